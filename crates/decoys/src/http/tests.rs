//! Answers held against what Debian's own nginx and Apache sent (`golden/`), and the rest of the
//! decoy against what it promises.

use std::sync::Arc;

use expect_test::{Expect, expect};
use model::{Archetype, Persona, SessionFact};
use proptest::prelude::*;

use super::{
    HttpSession,
    site::{File, Product, Site},
};
use crate::{
    Output, Session,
    testing::{START, check_splits, local, peer, persona, run},
};

fn golden_site(product: Product, port: u16) -> Site {
    let file = |path: &str, media, body: &str| File {
        path: path.into(),
        media,
        body: body.into(),
        modified: "2025-01-02T03:04:05Z".parse().expect("a timestamp"),
    };
    let index = "<!DOCTYPE html>\n<html><head><title>t</title></head><body>golden</body></html>\n";
    Site {
        product,
        server_name: "127.0.0.1".into(),
        port,
        files: vec![
            file("/index.html", "text/html", index),
            file("/robots.txt", "text/plain", "User-agent: *\nDisallow: /admin\n"),
        ],
        directories: vec!["/assets"],
        realm: "Restricted",
        portal: None,
    }
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
            ('{', Some("a")) => {
                let end = rest.find('}').expect("closed");
                let count = rest[3..end].parse().expect("a number");
                bytes.extend(std::iter::repeat_n(b'a', count));
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

fn check_golden(product: Product, port: u16, captures: &str) {
    let lines: Vec<&str> = captures.lines().collect();
    let mut wrong = Vec::new();
    for case in lines.chunks_exact(3) {
        let request = unescape(case[0].strip_prefix("> ").expect("a request"));
        let answer = unescape(case[1].strip_prefix("< ").unwrap_or_default());
        let mut session = HttpSession::with_site(golden_site(product, port), [1; 32]);
        let ran = run(&mut session, START, [request.as_slice()]);
        // nginx keeps a refused upload open for a while, which looks like an open connection.
        let lingers = answer.starts_with(b"HTTP/1.1 413");
        if ran.wire != answer || (!lingers && ran.closed != (case[2] == "= fin")) {
            wrong.push(format!(
                "{}\n  real: {:?} {}\n  ours: {:?} closed {}",
                &case[0][..case[0].len().min(200)],
                String::from_utf8_lossy(&answer),
                case[2],
                String::from_utf8_lossy(&ran.wire),
                ran.closed,
            ));
        }
        let mut session = HttpSession::with_site(golden_site(product, port), [1; 32]);
        let split = run(&mut session, START, request.chunks(1));
        if split != ran {
            wrong.push(format!("{}\n differs when cut", &case[0][..case[0].len().min(200)]));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} differ:\n{}",
        wrong.len(),
        lines.len() / 3,
        wrong.join("\n")
    );
}

#[test]
fn nginx_is_imitated() {
    check_golden(Product::Nginx, 18080, include_str!("golden/nginx.txt"));
}

#[test]
fn apache_is_imitated() {
    check_golden(Product::Apache, 18081, include_str!("golden/apache.txt"));
}

fn session(persona: &Arc<Persona>) -> HttpSession {
    HttpSession::new(persona, [2; 32], local(80), peer())
}

/// The status lines and the facts of a conversation.
fn check(input: &str, expected: &Expect) {
    let persona = persona(3, "web-01", Archetype::WebServer);
    let ran = run(&mut session(&persona), START, [input.as_bytes()]);
    let mut seen = String::new();
    for line in String::from_utf8_lossy(&ran.wire).lines() {
        if line.starts_with("HTTP/1.1") || line.contains("error") {
            seen.push_str(line.trim_end());
            seen.push('\n');
        }
    }
    for fact in ran.facts {
        seen.push_str(&format!("{fact:?}\n"));
    }
    expected.assert_eq(&seen);
}

#[test]
fn failed_logins_are_recorded() {
    check(
        "POST /login HTTP/1.1\r\nHost: a\r\nUser-Agent: x/1\r\nContent-Length: 33\r\n\r\n\
         username=root&password=a%26b+%ff!",
        &expect![[r#"
            HTTP/1.1 200 OK
            <p class="error">Invalid user name or password.</p>
            Request { text: "POST /login HTTP/1.1" }
            Fingerprint { name: "http.user_agent", value: "x/1" }
            Fingerprint { name: "http.headers", value: "9823e734b13a991520b8499a21781e51" }
            Login { principal: "root", secret: "a&b \\xff!", method: "form", accepted: false }
        "#]],
    );
    check(
        "GET /admin HTTP/1.0\r\nAuthorization: Basic cm9vdDpub3BlOjE=\r\n\r\n",
        &expect![[r#"
            HTTP/1.1 401 Unauthorized
            Request { text: "GET /admin HTTP/1.0" }
            Fingerprint { name: "http.headers", value: "1467e09597b4e97c3562d2adb2fbaf82" }
            Login { principal: "root", secret: "nope:1", method: "basic", accepted: false }
        "#]],
    );
}

#[test]
fn uploads_are_hashed() {
    check(
        "POST /shell.php HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nabc\r\n0\r\n\r\n",
        &expect![[r#"
            HTTP/1.1 404 Not Found
            Request { text: "POST /shell.php HTTP/1.1" }
            Fingerprint { name: "http.headers", value: "9575fd1231b4e2f3e5f990628f9d2744" }
            Upload { name: "/shell.php", sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", bytes: 3 }
        "#]],
    );
}

#[test]
fn an_account_gets_in_on_every_connection() {
    let persona = persona(4, "web-02", Archetype::WebServer);
    let account = &persona.accounts[0];
    let form = format!("username={}&password={}", account.user, account.password);
    let login =
        format!("POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{form}", form.len());
    let ran = run(&mut session(&persona), START, [login.as_bytes()]);
    assert!(matches!(ran.facts.last(), Some(SessionFact::Login { accepted: true, .. })));
    let wire = String::from_utf8(ran.wire).expect("text");
    let cookie = wire.lines().find_map(|line| line.strip_prefix("Set-Cookie: ")).expect("a cookie");
    let pair = cookie.split(';').next().expect("a pair");
    let home = |cookie: &str| {
        let request = format!("GET /home HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n");
        let ran = run(&mut session(&persona), START, [request.as_bytes()]);
        String::from_utf8(ran.wire).expect("text")
    };
    assert!(home(pair).contains("Signed in as root"));
    let forged = format!("{}0", &pair[..pair.len() - 1]);
    assert!(home(&forged).starts_with("HTTP/1.1 302") || forged == pair);
    assert!(home("x=y").starts_with("HTTP/1.1 302"));
}

#[test]
fn no_two_deckies_serve_the_same_bytes() {
    let page = |salt: u64, name: &str| {
        let persona = persona(salt, name, Archetype::WebServer);
        let request: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        run(&mut session(&persona), START, [request]).wire
    };
    assert_eq!(page(5, "web-03"), page(5, "web-03"));
    assert_ne!(page(5, "web-03"), page(6, "web-04"));
}

#[test]
fn cutting_the_input_changes_nothing() {
    let persona = persona(3, "web-01", Archetype::WebServer);
    let input = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nPOST /login HTTP/1.1\r\nHost: a\r\n\
        Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nuser=\r\n3\r\na&p\r\n\
        0\r\nTrailer: x\r\n\r\nHEAD /nope HTTP/1.0\r\n\r\nGET / HTTP/1.1\r\n";
    check_splits(|| Box::new(session(&persona)), input);
}

proptest! {
    #[test]
    fn garbage_is_survived(
        salt in 0u64..4,
        words in proptest::collection::vec(prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            Just(b"GET / HTTP/1.1\r\n".to_vec()), Just(b"\r\n".to_vec()), Just(b"Host: a\r\n".to_vec()),
            Just(b"POST /login HTTP/1.1\r\n".to_vec()), Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
            Just(b"Content-Length: 5\r\n".to_vec()), Just(b"3\r\nabc\r\n".to_vec()),
            Just(b"Cookie: sid=0011223344556677aa\r\n".to_vec()),
        ], 0..40),
        cut in 1usize..50,
    ) {
        let persona = persona(salt, "web-01", Archetype::WebServer);
        let input: Vec<u8> = words.concat();
        let mut session = session(&persona);
        let mut out = Output::new();
        session.open(START, &mut out);
        for chunk in input.chunks(cut) {
            if session.receive(START, chunk, &mut out) != crate::Flow::Continue {
                break;
            }
            prop_assert!(session.buffer.len() < 1 << 20);
        }
    }
}
