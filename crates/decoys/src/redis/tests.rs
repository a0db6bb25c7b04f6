//! Answers held against what Debian's own redis-server sent (`golden/`), and the rest of the
//! decoy against what it promises.

use std::time::Duration;

use expect_test::{Expect, expect};
use model::Archetype;
use proptest::prelude::*;

use super::{RedisSession, keyspace::Keyspace, server::Server};
use crate::{
    Output, Session,
    testing::{START, check_splits, local, peer, persona, run},
};

fn golden_session(password: Option<&str>) -> RedisSession {
    let persona = persona(1, "db-01", Archetype::DatabaseServer);
    let server = Server { persona, port: 16379, password: password.map(str::to_owned) };
    RedisSession::with(server, Keyspace::empty(), 7, local(16379), peer())
}

/// Undoes the notation of the captures.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (taken, byte) = match (c, rest.get(1..2)) {
            ('\\', Some("r")) => (2, b'\r'),
            ('\\', Some("n")) => (2, b'\n'),
            ('\\', Some("\\")) => (2, b'\\'),
            ('\\', Some("x")) => (4, u8::from_str_radix(&rest[2..4], 16).expect("hex")),
            ('{', Some(byte)) if rest.get(2..3) == Some("*") => {
                let end = rest.find('}').expect("closed");
                let count = rest[3..end].parse().expect("a number");
                bytes.extend(std::iter::repeat_n(byte.as_bytes()[0], count));
                rest = &rest[end + 1..];
                continue;
            }
            _ => (1, c as u8),
        };
        bytes.push(byte);
        rest = &rest[taken..];
    }
    bytes
}

fn check_golden(password: Option<&str>, captures: &str) {
    let lines: Vec<&str> = captures.lines().collect();
    let mut wrong = Vec::new();
    for case in lines.chunks_exact(3) {
        let request = unescape(case[0].strip_prefix("> ").expect("a request"));
        let answer = unescape(case[1].strip_prefix("< ").unwrap_or_default());
        let ran = run(&mut golden_session(password), START, [request.as_slice()]);
        let shown = &case[0][..case[0].len().min(300)];
        if ran.wire != answer || ran.closed != (case[2] == "= fin") {
            wrong.push(format!(
                "{shown}\n  real: {:?} {}\n  ours: {:?} closed {}",
                String::from_utf8_lossy(&answer),
                case[2],
                String::from_utf8_lossy(&ran.wire),
                ran.closed,
            ));
        }
        if run(&mut golden_session(password), START, request.chunks(1)) != ran {
            wrong.push(format!("{shown}\n  differs when cut"));
        }
    }
    let cases = lines.len() / 3;
    assert!(wrong.is_empty(), "{} of {cases} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn an_open_redis_is_imitated() {
    check_golden(None, include_str!("golden/open.txt"));
}

#[test]
fn single_commands_are_imitated() {
    check_golden(None, include_str!("golden/single.txt"));
}

#[test]
fn a_guarded_redis_is_imitated() {
    check_golden(Some("secret"), include_str!("golden/auth.txt"));
}

fn facts(password: Option<&str>, input: &str, expected: &Expect) {
    let ran = run(&mut golden_session(password), START, [input.as_bytes()]);
    let seen: String = ran.facts.iter().map(|fact| format!("{fact:?}\n")).collect();
    expected.assert_eq(&seen);
}

#[test]
fn logins_are_recorded_without_their_command() {
    facts(
        Some("secret"),
        "AUTH nope\r\nHELLO 3 AUTH default secret\r\nCONFIG SET dir /root/.ssh\r\n",
        &expect![[r#"
            Login { principal: "", secret: "nope", method: "password", accepted: false }
            Command { text: "HELLO 3" }
            Login { principal: "default", secret: "secret", method: "password", accepted: true }
            Command { text: "CONFIG SET dir /root/.ssh" }
        "#]],
    );
}

#[test]
fn large_values_are_recorded_as_uploads() {
    let input = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$600\r\n{}\r\n", "x".repeat(600));
    let ran = run(&mut golden_session(None), START, [input.as_bytes()]);
    let uploads = ran.facts.iter().filter(|fact| format!("{fact:?}").starts_with("Upload"));
    assert_eq!(uploads.count(), 1);
}

#[test]
fn writes_last_as_long_as_the_session() {
    let persona = persona(2, "db-02", Archetype::DatabaseServer);
    let password = persona.accounts[0].password.clone();
    let new = || RedisSession::new(&persona, [3; 32], local(6379), peer());
    let ask = |session: &mut RedisSession, input: &str| {
        let ran = run(session, START, [input.as_bytes()]);
        String::from_utf8(ran.wire).expect("text")
    };
    let mut session = new();
    ask(&mut session, &format!("AUTH {password}\r\nSET mine 1\r\n"));
    assert_eq!(ask(&mut session, "GET mine\r\n"), "$1\r\n1\r\n");
    let mut other = new();
    ask(&mut other, &format!("AUTH {password}\r\n"));
    assert_eq!(ask(&mut other, "GET mine\r\n"), "$-1\r\n");
    assert!(ask(&mut other, "KEYS *\r\n").contains("app:settings"));
}

#[test]
fn uptime_is_the_persona_s_and_never_goes_back() {
    let persona = persona(2, "db-02", Archetype::DatabaseServer);
    let server = Server { persona, port: 6379, password: None };
    let uptime = |seconds: u64| -> u64 {
        let now = START.plus(Duration::from_secs(seconds));
        let info = server.info(now, &Keyspace::empty(), &[b"server".to_vec()]);
        let line = info.lines().find_map(|line| line.strip_prefix("uptime_in_seconds:"));
        line.expect("an uptime").parse().expect("a number")
    };
    assert!(uptime(0) > 86_400);
    assert_eq!(uptime(500) - uptime(0), 500);
}

#[test]
fn no_two_deckies_have_the_same_run_id() {
    let info = |salt: u64| {
        let persona = persona(salt, "db-02", Archetype::DatabaseServer);
        let server = Server { persona, port: 6379, password: None };
        let info = server.info(START, &Keyspace::empty(), &[]);
        info.lines().find(|line| line.starts_with("run_id:")).expect("a run id").to_owned()
    };
    assert_eq!(info(2), info(2));
    assert_ne!(info(2), info(3));
}

#[test]
fn cutting_the_input_changes_nothing() {
    let input = b"PING\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nb\r\nc\x00\r\nGET a\r\n\
        GET / HTTP/1.1\r\nPING\r\nHELLO 3\r\nKEYS *\r\nMULTI\r\nINCR n\r\nEXEC\r\n*1\r\nX";
    check_splits(|| Box::new(golden_session(None)), input);
}

proptest! {
    #[test]
    fn garbage_is_survived(
        words in proptest::collection::vec(prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            Just(b"*3\r\n".to_vec()), Just(b"$3\r\nSET\r\n".to_vec()), Just(b"$-1\r\n".to_vec()),
            Just(b"$1\r\nk\r\n".to_vec()), Just(b"*2147483647\r\n".to_vec()),
            Just(b"$536870912\r\n".to_vec()), Just(b"LRANGE l -9223372036854775808 9\r\n".to_vec()),
            Just(b"RPUSH l a b c\r\n".to_vec()), Just(b"KEYS [^a-\\\r\n".to_vec()),
            Just(b"SETRANGE s 536870911 x\r\n".to_vec()), Just(b"EXPIRE l 9223372036854775807\r\n".to_vec()),
            Just(b"LINDEX l -9223372036854775808\r\nTTL l\r\n".to_vec()),
            Just(b"LREM l -9223372036854775808 a\r\n".to_vec()),
            Just(b"GETRANGE l -1 -9223372036854775808\r\n".to_vec()),
        ], 0..40),
        cut in 1usize..50,
    ) {
        let input: Vec<u8> = words.concat();
        let mut session = golden_session(None);
        let mut out = Output::new();
        session.open(START, &mut out);
        for chunk in input.chunks(cut) {
            if session.receive(START, chunk, &mut out) != crate::Flow::Continue {
                break;
            }
            prop_assert!(session.parser.held() < 8 << 20);
        }
    }
}
