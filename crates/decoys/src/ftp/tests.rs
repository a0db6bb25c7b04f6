//! Dialogues with the FTP server, as vsftpd 3.0.3 of Debian 12 held them.

use std::time::Duration;

use expect_test::{Expect, expect};
use model::{Archetype, SessionFact};
use proptest::prelude::*;

use super::{FtpSession, LOGIN_DELAY};
use crate::{
    DataAction, DataEvent, Output, Session,
    testing::{START, check_splits, local, peer, persona},
};

fn session() -> FtpSession {
    let persona = persona(1, "files-01", Archetype::FileServer);
    FtpSession::new(persona, [5; 32], local(21), peer())
}

/// Commands and answers; `|` after a command uploads what follows. Time passes for delays, and
/// the data connection comes up at once.
fn check(lines: &str, expected: Expect) {
    let persona = persona(1, "files-01", Archetype::FileServer);
    let (user, secret) = (&persona.accounts[1].user, &persona.accounts[1].password);
    let mut session = session();
    let mut out = Output::new();
    let mut shown = String::new();
    session.open(START, &mut out);
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let line = line.replace("@user", user).replace("@secret", secret);
        let (command, upload) = line.split_once('|').unwrap_or((&line, ""));
        session.receive(START, format!("{command}\r\n").as_bytes(), &mut out);
        if let Some(at) = session.deadline().filter(|at| *at <= START.plus(LOGIN_DELAY)) {
            session.expire(at, &mut out);
        }
        answer_data(&mut session, upload, &mut shown, &mut out);
        for fact in out.take_facts() {
            match fact {
                SessionFact::Command { .. } => {}
                fact => shown.push_str(&format!("  {fact:?}\n")),
            }
        }
        let said = String::from_utf8_lossy(&out.take_wire()).replace("\r\n", "\n");
        shown.push_str(&said.replace(user.as_str(), "@user"));
    }
    let shown = shown.replace(user.as_str(), "@user").replace(secret.as_str(), "@secret");
    expected.assert_eq(&shown);
}

fn answer_data(session: &mut FtpSession, upload: &str, shown: &mut String, out: &mut Output) {
    for action in out.take_data() {
        match action {
            DataAction::Listen => {
                let addr = local(0).ip();
                session.data(START, DataEvent::Listening { addr, port: 40_000 }, out);
                session.data(START, DataEvent::Connected, out);
            }
            DataAction::Send(bytes) => {
                shown.push_str(&String::from_utf8_lossy(&bytes).replace("\r\n", "\n"));
            }
            DataAction::Close => {
                session.data(START, DataEvent::Closed, out);
            }
        }
    }
    if !upload.is_empty() {
        session.data(START, DataEvent::Received(upload.as_bytes().to_vec()), out);
        session.data(START, DataEvent::Closed, out);
    }
}

#[test]
fn nothing_goes_before_the_login() {
    check(
        "
        SYST
        FEAT
        PASS x
        AUTH TLS
        OPTS UTF8 ON
        USER root
        PASS toor
        ",
        expect![[""]],
    );
}

#[test]
fn a_user_moves_files() {
    check(
        "
        user @user
        PASS @secret
        PWD
        LIST
        PASV
        STOR u.bin|abc
        EPSV
        APPE u.bin|def
        SIZE u.bin
        PASV
        LIST
        TYPE I
        PASV
        RETR u.bin
        PASV
        RETR nope
        STOR /etc/x
        RNFR u.bin
        RNTO v.bin
        DELE v.bin
        MKD d
        MKD d
        RMD d
        RNTO x
        CWD /root
        ",
        expect![[""]],
    );
}

#[test]
fn it_never_bounces() {
    check(
        "
        USER @user
        PASS @secret
        PORT 198,51,100,7,10,10
        PORT 10,1,1,1,0,22
        EPRT |1|10.1.1.1|4000|
        EPRT x
        EPSV ALL
        PASV
        ",
        expect![[""]],
    );
}

#[test]
fn odd_commands_get_vsftpds_words() {
    check(
        "
        USER @user
        PASS @secret
        USER x
        PASS y
        STAT
        TYPE X
        MODE B
        STRU R
        REST 3
        ALLO 3
        ACCT x
        SITE
        SITE HELP
        SITE UMASK
        SITE CHMOD 644 nope
        STAT /nope
        ABOR
        AUTH TLS
        MLSD
        HELP
        ",
        expect![[""]],
    );
}

#[test]
fn the_third_refusal_hangs_up() {
    let mut session = session();
    let mut out = Output::new();
    let mut now = START;
    session.open(now, &mut out);
    for round in 1..=3 {
        session.receive(now, b"USER a\r\nPASS b\r\nUSER c\r\n", &mut out);
        assert!(!String::from_utf8_lossy(&out.take_wire()).contains("530"));
        now = now.plus(LOGIN_DELAY).plus(Duration::from_millis(1));
        let flow = session.expire(now, &mut out);
        assert!(out.take_wire().starts_with(b"530 Login incorrect.\r\n"));
        assert_eq!(flow == crate::Flow::Close, round == 3);
    }
}

#[test]
fn every_split_gives_the_same() {
    let new = || -> Box<dyn Session> { Box::new(session()) };
    check_splits(new, b"SYST\r\nFEAT\nUSER\r\nUSER x\r\n\r\nOPTS UTF8 ON\r\nPASS y\r\nQUIT\r\n");
    check_splits(new, &[b"A".repeat(5000), b"\r\nSYST\r\n".to_vec()].concat()[4000..]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..512), cut in 0..512_usize) {
        let persona = persona(1, "files-01", Archetype::FileServer);
        let account = &persona.accounts[1];
        let mut session = session();
        let mut out = Output::new();
        session.open(START, &mut out);
        let login = format!("USER {}\r\nPASS {}\r\n", account.user, account.password);
        session.receive(START, login.as_bytes(), &mut out);
        let (head, tail) = bytes.split_at(cut.min(bytes.len()));
        session.receive(START, head, &mut out);
        session.receive(START, b"\r\nRETR ", &mut out);
        session.receive(START, tail, &mut out);
        session.data(START, DataEvent::Closed, &mut out);
    }
}
