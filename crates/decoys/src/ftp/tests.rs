//! Replies held against what Debian's own vsftpd sent (`golden/`), and the data connection, the
//! facts and the bounds against what they promise.

use std::{fmt::Write, net::IpAddr, sync::Arc};

use expect_test::{Expect, expect};
use model::{Archetype, Persona, PersonaAccount, SessionFact, Timestamp};
use proptest::prelude::*;

use super::{FtpSession, MAX_WAITING_BYTES, welcomes_guests};
use crate::{
    DataAction, DataEvent, Flow, Output, Session,
    testing::{START, check_splits, local, peer, persona},
};

/// A persona with the account of the captures that does, or does not, let guests in.
fn host(guests: bool) -> Arc<Persona> {
    let found = (0..64).map(|salt| persona(salt, "files", Archetype::LinuxServer));
    let found = found.into_iter().find(|p| welcomes_guests(p) == guests).expect("some of both");
    let mut host = Persona::clone(&found);
    host.accounts.push(PersonaAccount {
        user: "goldftp".into(),
        password: "gold".into(),
        uid: 4242,
    });
    Arc::new(host)
}

fn session(guests: bool) -> FtpSession {
    FtpSession::new(host(guests), [5; 32], local(21), peer())
}

/// A session with what the driver would keep of it.
struct Visit {
    session: FtpSession,
    now: Timestamp,
    out: Output,
    seen: String,
    facts: Vec<SessionFact>,
    closed: bool,
}

impl Visit {
    fn new(guests: bool) -> Self {
        let mut visit = Self {
            session: session(guests),
            now: START,
            out: Output::new(),
            seen: String::new(),
            facts: Vec::new(),
            closed: false,
        };
        visit.call(|session, now, out| session.open(now, out));
        visit
    }

    /// Calls the session and answers what it asks of the data connection for a listener.
    fn call(&mut self, call: impl FnOnce(&mut FtpSession, Timestamp, &mut Output) -> Flow) {
        if self.closed {
            return;
        }
        let mut flow = call(&mut self.session, self.now, &mut self.out);
        loop {
            self.seen.push_str(&String::from_utf8_lossy(&self.out.take_wire()));
            self.facts.extend(self.out.take_facts());
            let actions = self.out.take_data();
            for action in &actions {
                match action {
                    DataAction::Listen => {}
                    DataAction::Send(bytes) => {
                        let bytes = String::from_utf8_lossy(bytes).replace('\r', "");
                        write!(self.seen, "[sends]\n{bytes}").expect("a string takes it");
                    }
                    DataAction::Close => self.seen.push_str("[closes]\n"),
                }
            }
            self.closed |= flow != Flow::Continue;
            if self.closed || !actions.contains(&DataAction::Listen) {
                return;
            }
            let addr: IpAddr = "10.66.1.10".parse().expect("an address");
            let event = DataEvent::Listening { addr, port: 50_000 };
            flow = self.session.data(self.now, event, &mut self.out);
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.call(|session, now, out| session.receive(now, bytes, out));
    }

    fn data(&mut self, event: DataEvent) {
        self.call(|session, now, out| session.data(now, event, out));
    }

    /// Lets the time of the next deadline come.
    fn wait(&mut self) {
        if let Some(deadline) = self.session.deadline() {
            self.now = deadline;
            self.call(|session, now, out| session.expire(now, out));
        }
    }

    /// Waits for refusals, however many commands wait behind.
    fn settle(&mut self) {
        while matches!(self.session.state, super::State::Refusing { .. }) {
            self.wait();
        }
    }
}

/// Undoes the notation of the captures.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = match (c, rest.get(1..2)) {
            ('\\', Some("x")) => {
                bytes.push(u8::from_str_radix(&rest[2..4], 16).expect("hex"));
                4
            }
            ('\\', Some(kind)) => {
                bytes.push(match kind {
                    "r" => b'\r',
                    "n" => b'\n',
                    other => other.as_bytes()[0],
                });
                2
            }
            ('{', _) => {
                let end = rest.find('}').expect("closed");
                let count = rest[3..end].parse().expect("a number");
                bytes.extend(std::iter::repeat_n(rest.as_bytes()[1], count));
                end + 1
            }
            _ => {
                bytes.push(c as u8);
                1
            }
        };
        rest = &rest[taken..];
    }
    bytes
}

#[test]
fn vsftpd_is_imitated() {
    let dialogues = include_str!("golden/dialogues.txt");
    let mut wrong = Vec::new();
    let mut count = 0;
    for dialogue in dialogues.split("## ").skip(1) {
        let (name, lines) = dialogue.split_once('\n').expect("a name");
        let lines: Vec<&str> = lines.lines().collect();
        let inputs: Vec<Vec<u8>> =
            lines.iter().filter_map(|l| l.strip_prefix("> ")).map(unescape).collect();
        let real: Vec<u8> =
            lines.iter().filter_map(|l| l.strip_prefix("< ")).flat_map(unescape).collect();
        let real = String::from_utf8_lossy(&real).into_owned();
        let closes = lines.contains(&"= closed");
        for step in [usize::MAX, 1] {
            let mut visit = Visit::new(name.starts_with("anon") && name != "anonref");
            for input in &inputs {
                for chunk in input.chunks(step) {
                    visit.send(chunk);
                }
                visit.settle();
            }
            if visit.seen != real || visit.closed != closes {
                let ours = visit.seen.lines().zip(real.lines()).find(|(a, b)| a != b);
                wrong.push(format!("{name} step {step} closed {}: {ours:?}", visit.closed));
            }
        }
        count += 1;
    }
    assert!(count > 10 && wrong.is_empty(), "{count} dialogues, wrong:\n{}", wrong.join("\n"));
}

/// What a visitor sees who is logged in. Lines that begin with `!` are what his data connection
/// does, or time that passes; others are commands. Facts come last.
#[track_caller]
fn check(script: &str, expected: &Expect) {
    let mut visit = Visit::new(false);
    visit.send(b"USER goldftp\r\nPASS gold\r\n");
    visit.seen.clear();
    visit.facts.clear();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.strip_prefix("! ") {
            None => {
                writeln!(visit.seen, "> {line}").expect("a string takes it");
                visit.send(format!("{line}\r\n").as_bytes());
            }
            Some("connects") => visit.data(DataEvent::Connected),
            Some("closes") => visit.data(DataEvent::Closed),
            Some("waits") => visit.wait(),
            Some(bytes) => visit.data(DataEvent::Received(bytes.as_bytes().to_vec())),
        }
    }
    let mut text = visit.seen.replace('\r', "");
    for fact in &visit.facts {
        if !matches!(fact, SessionFact::Command { .. }) {
            writeln!(text, "* {fact:?}").expect("a string takes it");
        }
    }
    if visit.closed {
        text.push_str("[closed]\n");
    }
    expected.assert_eq(&text);
}

#[test]
fn a_file_that_was_stored_is_listed_and_read_back() {
    check(
        "PASV
         STOR run.sh
         ! connects
         ! hello
         ! world
         ! closes
         PASV
         LIST run*
         ! connects
         ! closes
         REST 3
         EPSV
         ! connects
         RETR run.sh
         ! closes",
        &expect![[r#"
            > PASV
            227 Entering Passive Mode (10,66,1,10,195,80).
            > STOR run.sh
            150 Ok to send data.
            226 Transfer complete.
            > PASV
            227 Entering Passive Mode (10,66,1,10,195,80).
            > LIST run*
            150 Here comes the directory listing.
            [sends]
            -rw-------    1 4242     4242           10 Mar 04 10:00 run.sh
            [closes]
            226 Directory send OK.
            > REST 3
            350 Restart position accepted (3).
            > EPSV
            229 Entering Extended Passive Mode (|||50000|)
            > RETR run.sh
            150 Opening BINARY mode data connection for run.sh (10 bytes).
            [sends]
            loworld[closes]
            226 Transfer complete.
            * Upload { name: "/home/goldftp/run.sh", sha256: "936a185caaa266bb9cbe981e9e05cb78cd732b0b3280eb944412bb6f8f8f07af", bytes: 10 }
        "#]],
    );
}

#[test]
fn commands_wait_for_the_data_connection() {
    check(
        "PASV
         NLST
         NOOP
         ! connects
         PWD
         ! closes",
        &expect![[r#"
            > PASV
            227 Entering Passive Mode (10,66,1,10,195,80).
            > NLST
            > NOOP
            150 Here comes the directory listing.
            [sends]
            [closes]
            > PWD
            226 Directory send OK.
            200 NOOP ok.
            257 "/home/goldftp" is the current directory
        "#]],
    );
}

#[test]
fn bytes_may_come_before_the_command_that_wants_them() {
    check(
        "PASV
         ! connects
         ! early
         ! closes
         APPE early
         SIZE early",
        &expect![[r#"
            > PASV
            227 Entering Passive Mode (10,66,1,10,195,80).
            > APPE early
            150 Ok to send data.
            226 Transfer complete.
            > SIZE early
            213 5
            * Upload { name: "/home/goldftp/early", sha256: "f408830bcc7fab370819172244aa32e3ba66a848835911c02629d9a4dff77992", bytes: 5 }
        "#]],
    );
}

#[test]
fn a_visitor_who_does_not_connect_is_told() {
    check(
        "PASV
         LIST
         ! closes
         LIST
         PASV
         ! closes
         LIST",
        &expect![[r#"
            > PASV
            227 Entering Passive Mode (10,66,1,10,195,80).
            > LIST
            425 Failed to establish connection.
            > LIST
            425 Use PORT or PASV first.
            > PASV
            227 Entering Passive Mode (10,66,1,10,195,80).
            > LIST
            425 Failed to establish connection.
        "#]],
    );
}

#[test]
fn active_mode_is_refused_and_recorded() {
    check(
        "PORT 198,51,100,7,200,1
         PORT 10,0,0,1,4,1
         EPRT |1|198.51.100.7|5000|
         LIST",
        &expect![[r#"
            > PORT 198,51,100,7,200,1
            500 Illegal PORT command.
            > PORT 10,0,0,1,4,1
            500 Illegal PORT command.
            > EPRT |1|198.51.100.7|5000|
            500 Illegal EPRT command.
            > LIST
            425 Use PORT or PASV first.
            * Request { text: "PORT 198,51,100,7,200,1" }
            * Request { text: "PORT 10,0,0,1,4,1" }
            * Request { text: "EPRT |1|198.51.100.7|5000|" }
        "#]],
    );
}

#[test]
fn silence_ends_a_session() {
    check(
        "! waits",
        &expect![[r#"
        421 Timeout.
        [closed]
    "#]],
    );
    check(
        "PASV
         STOR x
         ! connects
         ! abc
         ! waits",
        &expect![[r#"
            > PASV
            227 Entering Passive Mode (10,66,1,10,195,80).
            > STOR x
            150 Ok to send data.
            421 Data timeout. Reconnect. Sorry.
            * Upload { name: "/home/goldftp/x", sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", bytes: 3 }
            [closed]
        "#]],
    );
}

#[test]
fn changes_are_seen_by_later_commands() {
    check(
        "MKD loot
         CWD loot
         EPSV
         STOU
         ! connects
         ! abc
         ! closes
         MDTM 20200102030405 STOU.1
         SITE CHMOD 755 STOU.1
         RNFR STOU.1
         RNTO kept
         STAT .
         DELE kept
         CDUP
         RMD loot
         CWD loot",
        &expect![[r#"
            > MKD loot
            257 "/home/goldftp/loot" created
            > CWD loot
            250 Directory successfully changed.
            > EPSV
            229 Entering Extended Passive Mode (|||50000|)
            > STOU
            150 FILE: STOU.1
            226 Transfer complete.
            > MDTM 20200102030405 STOU.1
            213 File modification time set.
            > SITE CHMOD 755 STOU.1
            200 SITE CHMOD command ok.
            > RNFR STOU.1
            350 Ready for RNTO.
            > RNTO kept
            250 Rename successful.
            > STAT .
            213-Status follows:
            drwx------    2 4242     4242         4096 Mar 04 10:00 .
            drwxr-xr-x    4 4242     4242         4096 Mar 01 19:48 ..
            -rwxr-xr-x    1 4242     4242            3 Jan 02  2020 kept
            213 End of status
            > DELE kept
            250 Delete operation successful.
            > CDUP
            250 Directory successfully changed.
            > RMD loot
            250 Remove directory operation successful.
            > CWD loot
            550 Failed to change directory.
            * Upload { name: "/home/goldftp/loot/STOU.1", sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", bytes: 3 }
        "#]],
    );
}

#[test]
fn logins_are_recorded_and_passwords_are_no_commands() {
    let mut visit = Visit::new(false);
    visit.send(b"USER admin\r\nPASS one\r\nUSER goldftp\r\npass gold\r\nPASS again\r\nQUIT\r\n");
    let asked = visit.session.deadline().expect("the refusal has a time").since(START);
    assert!((2_000..4_000).contains(&asked.as_millis()), "{asked:?}");
    visit.settle();
    let facts: Vec<String> = visit
        .facts
        .iter()
        .map(|fact| match fact {
            SessionFact::Login { principal, secret, method, accepted } => {
                format!("{method} {principal} {secret} {accepted}")
            }
            SessionFact::Command { text } => text.clone(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        facts,
        [
            "USER admin",
            "password admin one false",
            "USER goldftp",
            "password goldftp gold true",
            "QUIT"
        ]
    );
    assert!(visit.closed);
}

#[test]
fn input_may_be_cut_anywhere() {
    let input = b"USER goldftp\r\nPASS gold\r\nPWD\r\nMKD a\r\nSTAT a\nPASV\r\nLIST\r\nQUIT\r\n";
    check_splits(|| Box::new(session(false)), input);
    check_splits(|| Box::new(session(false)), b"USER x\r\nPASS y\r\nNOOP\r\n");
}

#[test]
fn a_file_larger_than_the_disk_is_hashed_whole() {
    let mut visit = Visit::new(false);
    visit.send(b"USER goldftp\r\nPASS gold\r\nPASV\r\nSTOR big\r\n");
    visit.data(DataEvent::Connected);
    for _ in 0..80 {
        visit.data(DataEvent::Received(vec![0; 64 << 10]));
    }
    visit.data(DataEvent::Closed);
    assert!(visit.seen.ends_with("451 Failure writing to local file.\r\n"));
    let upload = visit.facts.iter().find_map(|fact| match fact {
        SessionFact::Upload { bytes, sha256, .. } => Some((*bytes, sha256.as_str())),
        _ => None,
    });
    let zeroes = "c036cbb7553a909f8b8877d4461924307f27ecb66cff928eeeafd569c3887e29";
    assert_eq!(upload, Some((5 << 20, zeroes)));
}

#[test]
fn what_waits_is_bounded() {
    let mut visit = Visit::new(false);
    visit.send(b"USER a\r\nPASS b\r\n");
    for _ in 0..=MAX_WAITING_BYTES / 4096 {
        visit.send(&[b'\n'; 4096]);
    }
    assert!(visit.closed);
}

/// A byte or a command of a hostile visitor, or an event.
fn act() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let verbs = [
        "LIST",
        "NLST -alR",
        "STOR",
        "RETR",
        "APPE",
        "STOU",
        "CWD",
        "MKD",
        "RNFR",
        "RNTO",
        "REST",
        "SITE CHMOD",
        "SITE UMASK",
        "MDTM",
        "SIZE",
        "STAT",
        "DELE",
        "RMD",
        "PASV",
        "EPSV",
        "TYPE",
        "USER",
        "PORT",
        "MDTM 99999999999999",
    ];
    let tail = proptest::collection::vec(any::<u8>(), 0..24);
    let command = (proptest::sample::select(verbs.to_vec()), tail.clone())
        .prop_map(|(verb, tail)| (0, [verb.as_bytes(), b" ", &tail, b"\r\n"].concat()));
    let known = proptest::sample::select(vec!["a", "/", "..", "~", ".profile", "a/../b", "*{a,"]);
    let likely = (proptest::sample::select(verbs.to_vec()), known)
        .prop_map(|(verb, path)| (0, format!("{verb} {path}\r\n").into_bytes()));
    prop_oneof![
        4 => likely,
        2 => command,
        1 => tail.clone().prop_map(|tail| (0, tail)),
        1 => tail.prop_map(|tail| (1, tail)),
        3 => (2..5_u8).prop_map(|event| (event, Vec::new())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn nothing_that_a_visitor_does_breaks_it(acts in proptest::collection::vec(act(), 0..60)) {
        let mut visit = Visit::new(false);
        visit.send(b"USER goldftp\r\nPASS gold\r\n");
        for (kind, bytes) in acts {
            match kind {
                0 => visit.send(&bytes),
                1 => visit.data(DataEvent::Received(bytes)),
                2 => visit.data(DataEvent::Connected),
                3 => visit.data(DataEvent::Closed),
                _ => visit.call(|session, now, out| session.expire(now, out)),
            }
            prop_assert!(visit.session.buffer.len() <= MAX_WAITING_BYTES);
        }
    }
}
