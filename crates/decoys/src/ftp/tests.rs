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
        expect![[r#"
            220 (vsFTPd 3.0.3)
            530 Please login with USER and PASS.
            211-Features:
             EPRT
             EPSV
             MDTM
             PASV
             REST STREAM
             SIZE
             TVFS
            211 End
            503 Login with USER first.
            530 Please login with USER and PASS.
            200 Always in UTF8 mode.
            331 Please specify the password.
              Login { principal: "root", secret: "toor", method: "password", accepted: false }
            530 Login incorrect.
        "#]],
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
        expect![[r#"
            220 (vsFTPd 3.0.3)
            331 Please specify the password.
              Login { principal: "@user", secret: "@secret", method: "password", accepted: true }
            230 Login successful.
            257 "/home/@user" is the current directory
            425 Use PORT or PASV first.
            227 Entering Passive Mode (10,66,1,10,156,64).
              Upload { name: "u.bin", sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", bytes: 3 }
            150 Ok to send data.
            226 Transfer complete.
            229 Entering Extended Passive Mode (|||40000|)
              Upload { name: "u.bin", sha256: "bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721", bytes: 6 }
            150 Ok to send data.
            226 Transfer complete.
            213 6
            227 Entering Passive Mode (10,66,1,10,156,64).
            -rw-r--r--    1 1000     1000          141 Mar 01 06:45 notes.txt
            -rw-------    1 1000     1000            6 Mar 04 10:00 u.bin
            150 Here comes the directory listing.
            226 Directory send OK.
            200 Switching to Binary mode.
            227 Entering Passive Mode (10,66,1,10,156,64).
            abcdef150 Opening BINARY mode data connection for u.bin (6 bytes).
            226 Transfer complete.
            227 Entering Passive Mode (10,66,1,10,156,64).
            550 Failed to open file.
            553 Could not create file.
            350 Ready for RNTO.
            250 Rename successful.
            250 Delete operation successful.
            257 "/home/@user/d" created
            550 Create directory operation failed.
            250 Remove directory operation successful.
            503 RNFR required first.
            550 Failed to change directory.
        "#]],
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
        expect![[r#"
            220 (vsFTPd 3.0.3)
            331 Please specify the password.
              Login { principal: "@user", secret: "@secret", method: "password", accepted: true }
            230 Login successful.
              Request { text: "PORT 198.51.100.7:2570" }
            500 Illegal PORT command.
              Request { text: "PORT 10.1.1.1:22" }
            500 Illegal PORT command.
            500 Bad EPRT command.
            500 Bad EPRT command.
            200 EPSV ALL ok.
            550 Permission denied.
        "#]],
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
        expect![[r#"
            220 (vsFTPd 3.0.3)
            331 Please specify the password.
              Login { principal: "@user", secret: "@secret", method: "password", accepted: true }
            230 Login successful.
            530 Can't change to another user.
            230 Already logged in.
            211-FTP server status:
                 Connected to 198.51.100.7
                 Logged in as @user
                 TYPE: ASCII
                 No session bandwidth limit
                 Session timeout in seconds is 300
                 Control connection is plain text
                 Data connections will be plain text
                 At session startup, client count was 1
                 vsFTPd 3.0.3 - secure, fast, stable
            211 End of status
            500 Unrecognised TYPE command.
            504 Bad MODE command.
            504 Bad STRU command.
            350 Restart position accepted (3).
            202 ALLO command ignored.
            502 ACCT not implemented.
            500 Unknown SITE command.
            214 CHMOD UMASK HELP
            200 Your current UMASK is 077
            550 SITE CHMOD command failed.
            213-Status follows:
            213 End of status
            225 No transfer to ABOR.
            550 Permission denied.
            500 Unknown command.
            214-The following commands are recognized.
             ABOR ACCT ALLO APPE CDUP CWD  DELE EPRT EPSV FEAT HELP LIST MDTM MKD
             MODE NLST NOOP OPTS PASS PASV PORT PWD  QUIT REIN REST RETR RMD  RNFR
             RNTO SITE SIZE SMNT STAT STOR STOU STRU SYST TYPE USER XCUP XCWD XMKD
             XPWD XRMD
            214 Help OK.
        "#]],
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
