//! What the format is and what the keys mean.

use std::{io, path::Path, time::Duration};

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::auth::{Account, Auth, Credentials, Peer, PeerAddress};

fn parsed(text: &str) -> Result<Map, ConfFault> {
    let included = |path: &Path| match path.to_str() {
        Some("conf/users.conf") => Ok("users = [a, b]\n".to_owned()),
        Some("conf/loop.conf") => Ok("include loop.conf".to_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let variable = |name: &str| match name {
        "PORT" => Some("4222".to_owned()),
        "SECRET" => Some("\"12\"".to_owned()),
        _ => None,
    };
    parse("conf/test.conf", text, &Outside { include: &included, variable: &variable })
}

/// The values of a file, without their places.
fn show(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Bool(on) => on.to_string(),
        Value::Array(nodes) => {
            let nodes: Vec<String> = nodes.iter().map(|node| show(&node.value)).collect();
            format!("[{}]", nodes.join(" "))
        }
        Value::Map(map) => {
            let pairs: Vec<String> =
                map.entries().map(|(key, node)| format!("{key}={}", show(&node.value))).collect();
            format!("{{{}}}", pairs.join(" "))
        }
    }
}

fn check(text: &str, expected: &str) {
    let found = match parsed(text) {
        Ok(map) => show(&Value::Map(map)),
        Err(fault) => fault.to_string(),
    };
    assert_eq!(found, expected, "{text:?}");
}

#[test]
fn the_ways_to_write_a_pair() {
    check("a 1\nb: 2\nc = 3; d=4, e:5 # f: 6\n// g: 7\n", "{a=1 b=2 c=3 d=4 e=5}");
    check("{\"a\": 1, 'b': {\"c\": [1, 2]}}", "{a=1 b={c=[1 2]}}");
    check("a{b c}\nd\n{\n e [\n f\n g, h\n]\n}", "{a={b=\"c\"} d={e=[\"f\" \"g\" \"h\"]}}");
    check("a: 1\na: 2", "{a=2}");
    check("", "{}");
}

#[test]
fn what_a_bare_word_is() {
    check("a: on, b: FALSE, c: yes", "{a=true b=false c=true}");
    check("a: 64k, b: 1MB, c: -1, d: 0.5", "{a=64000 b=1048576 c=-1 d=0.5}");
    check("a: 127.0.0.1:4222, b: 2s", r#"{a="127.0.0.1:4222" b="2s"}"#);
    check("a: nats://x/#y, b: \"true\", c: '1'", r##"{a="nats://x/#y" b="true" c="1"}"##);
    check("a: $2a$10$abc/def.", r#"{a="$2a$10$abc/def."}"#);
    check(r#"a: "q\"\\\t\x41", b: 'raw\n'"#, r#"{a="q\"\\\tA" b="raw\\n"}"#);
    check("a: (\n1\n2)", r#"{a="\n1\n2"}"#);
}

#[test]
fn variables_and_includes() {
    check("x: 1, a: $x, m: {a: $x, x: 2, b: $x}", "{x=1 a=1 m={a=1 x=2 b=2}}");
    check("a: $PORT, b: $SECRET", "{a=4222 b=12}");
    check("a: $nowhere", "conf/test.conf:1: variable `nowhere` is set nowhere");
    check("m { include users.conf\n }", r#"{m={users=["a" "b"]}}"#);
    check("include 'none'", "conf/test.conf:1: cannot include `none`: entity not found");
    check("'include': 1", "{include=1}");
}

#[test]
fn what_is_not_the_format_is_told_with_its_line() {
    for (text, fault) in [
        ("a: {\nb: 1\n", "3: `}` is missing"),
        ("a: [1\n", "2: `]` is missing"),
        ("\na: \"x\ny\"", "2: a quote is not closed on its line"),
        ("a: 'x", "1: a quote is not closed on its line"),
        ("a: (x", "1: `)` is missing"),
        ("a:", "1: a value is missing"),
        (": 1", "1: expected a key"),
        ("a: \"\\q\"", "1: an escape that is none"),
        ("a: \"\\xFF\"", "1: `\\x` needs two hexadecimal digits below 80"),
        ("{a: 1} b", "1: something follows the end"),
        ("a: 1 }", "1: expected a key"),
    ] {
        check(text, &format!("conf/test.conf:{fault}"));
    }
}

#[test]
fn hostile_files_are_bounded() {
    let refused = |text: &str, expected: &str| {
        let fault = parsed(text).expect_err("it is too much").what;
        assert!(fault.contains(expected), "{fault}");
    };
    refused(&"[".repeat(100), "expected a key");
    refused(&format!("a: {}", "[".repeat(100)), "deeper than 32");
    refused(&"a{".repeat(100), "deeper than 32");
    refused(&format!("a: [{}]", "1 ".repeat(MAX_VALUES)), "more than 100000 values");
    refused(&"#".repeat(MAX_TEXT_BYTES + 1), "is longer than");
    refused("include loop.conf", "includes, or too deep");
    let doubling: String = (0..40).map(|n| format!("v{}: [$v{n} $v{n}]\n", n + 1)).collect();
    refused(&format!("v0: x\n{doubling}"), "too large or too deep");
    let nesting: String = (0..40).map(|n| format!("v{}: [$v{n}]\n", n + 1)).collect();
    refused(&format!("v0: x\n{nesting}"), "too large or too deep");
    let long = format!("v: \"{}\"\na: [{}]", "x".repeat(100_000), "$v ".repeat(1000));
    refused(&long, "too large or too deep");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[a-z0-9${}\\[\\]()\"'\\\\:=,;#/ \n.é-]{0,64}") {
        if let Ok(map) = parsed(&text) {
            let _ = ServerConf::new(map);
        }
    }
}

fn conf(text: &str) -> Result<ServerConf, Vec<ConfFault>> {
    ServerConf::new(parsed(text).expect("it is the format"))
}

fn check_faults(text: &str, expected: &Expect) {
    let faults = conf(text).expect_err("it has faults");
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn every_fault_of_the_keys_is_told() {
    check_faults(
        "port: 70000\nmax_payload: many\ncolour: blue\nping_interval: [1]\nleafnodes {}\n\
         tls { cipher: x }\njetstream: 3\nno_auth_user: x\nlisten: here",
        &expect![[r#"
            conf/test.conf:1: is no port
            conf/test.conf:2: expected a number
            conf/test.conf:3: unknown field `colour`
            conf/test.conf:4: expected a duration like `2s`
            conf/test.conf:5: `leafnodes` is not supported
            conf/test.conf:6: `tls.cipher` is unknown or not supported
            conf/test.conf:7: expected `{ … }`
            conf/test.conf:9: `here` is no address with a port
            conf/test.conf:8: no_auth_user `x` is no user"#]],
    );
    check_faults(
        "accounts { A { jetstream: enabled }, B { jetstream: {max_mem: 1} } }",
        &expect!["conf/test.conf:1: streams of account `b` beside those of `a`: not supported"],
    );
    check_faults(
        "authorization { user: x }",
        &expect!["conf/test.conf:1: `authorization` needs both `user` and `password`"],
    );
    check_faults(
        "authorization { users: [{user: a, password: b}, {user: a, password: c}] }",
        &expect!["conf/test.conf:1: user `a` is there twice"],
    );
    check_faults(
        "authorization { users: [{user: a, permissions: {publish: \"a..b\"}}] }",
        &expect!["conf/test.conf:1: `a..b` is no subject"],
    );
}

#[test]
fn a_whole_server() {
    let conf = conf(
        "size: 10GB\nlisten: localhost:-1\nhttp: 8222\nserver_name: n1\nmax_payload: 128KB\n\
         max_connections: 10\nmax_subs: -1\nmax_sub_tokens: 9\nping_interval: \"100ms\"\nping_max: 3\n\
         write_deadline: 2\nlame_duck_duration: 1m\nlame_duck_grace_period: 5s\n\
         pid_file: /p, log_file: '/l', logtime: false\ndebug: yes\ntrace: true\n\
         websocket { port: 80 }\ntls { cert_file: c, key_file: k, ca_file: a, \
         verify: true, timeout: 0.5, handshake_first: 300ms }\n\
         jetstream { store_dir: /s, max_mem: 64MB, max_file: $size }",
    )
    .unwrap();
    assert_eq!(conf.listen, Listen { host: Some("localhost".into()), port: Some(0) });
    assert_eq!(conf.monitor, Listen { host: None, port: Some(8222) });
    let limits = &conf.limits;
    assert_eq!((limits.max_payload, limits.max_connections), (131_072, 10));
    assert_eq!((limits.max_subscriptions_per_client, limits.max_pings_out), (0, 3));
    assert_eq!(limits.max_filter_tokens, 9);
    assert_eq!(limits.ping_interval, Duration::from_millis(100));
    assert_eq!(limits.write_deadline, Duration::from_secs(2));
    let tls = conf.tls.unwrap();
    assert_eq!(tls.handshake_first, HandshakeFirst::Within(Duration::from_millis(300)));
    assert_eq!((tls.verify, tls.timeout), (true, Some(Duration::from_millis(500))));
    let streams = conf.jetstream.unwrap();
    assert_eq!((streams.max_memory, streams.max_file), (Some(64 << 20), Some(10 << 30)));
    expect![[r#"
        conf/test.conf:16: messages are not traced
        conf/test.conf:17: `websocket` has no effect here"#]]
    .assert_eq(&conf.warnings.join("\n"));
}

fn login(auth: &Auth, offered: Credentials<'_>) -> Option<std::sync::Arc<crate::auth::User>> {
    let address = PeerAddress::Tcp(([127, 0, 0, 1], 1).into());
    auth.authenticate(offered, b"", &Peer { address, tls: false }).ok()
}

fn by_name<'a>(user: &'a str, pass: &'a str) -> Credentials<'a> {
    Credentials { user: Some(user), pass: Some(pass), ..Credentials::default() }
}

fn auth(text: &str) -> Auth {
    Auth::new(conf(text).unwrap().auth.expect("there are users")).unwrap()
}

#[test]
fn users_in_each_of_their_places() {
    for text in [
        "authorization { user: derek, password: porkchop, timeout: 1 }",
        "authorization: { users: [ {user: derek, password: porkchop} ] }",
        "accounts { A { jetstream: enabled, users = [ {user: 'derek', pass: \"porkchop\"} ] } }",
        "accounts { SYS { users: [{user: s, pass: s}] }, A { users: [{user: derek, pass: porkchop}] } }",
    ] {
        let auth = auth(text);
        assert!(login(&auth, by_name("derek", "porkchop")).is_some(), "{text}");
        assert!(login(&auth, by_name("derek", "")).is_none(), "{text}");
        assert!(login(&auth, Credentials::default()).is_none(), "{text}");
    }
    let token = auth("authorization { token: \"s3cr3t\", timeout: \"2s\" }");
    let offered = Credentials { token: Some("s3cr3t"), ..Credentials::default() };
    assert!(login(&token, offered).is_some());
    assert!(conf("authorization { timeout: 1 }").unwrap().auth.is_none());
}

#[test]
fn the_main_account_is_the_one_with_streams() {
    let auth = auth(
        "accounts {
           A { users = [ {user: a, pass: x} ], default_permissions { publish: [open] } }
           B { users = [ {user: b, pass: x} ], jetstream: enabled }
         }",
    );
    let user = |name: &str| login(&auth, by_name(name, "x")).unwrap();
    assert_eq!(user("b").account, Account::MAIN);
    assert_eq!(user("a").account, Account::at(1).unwrap());
    assert!(user("a").permissions.is_some() && user("b").permissions.is_none());
}

#[test]
fn permissions_of_every_shape() {
    let auth = auth(
        "authorization {
           role = { publish = { deny = foo }, subscribe = { allow: [a, \"b q\"], deny: \"c\" } }
           default_permissions { publish: [open] }
           users = [ {user: derek, password: x, permissions: $role }, {user: plain, password: x}
             {user: answers, password: x, permissions: {allow_responses: {max: 2, ttl: 1s}}} ]
         }",
    );
    let of = |name: &str| login(&auth, by_name(name, "x")).unwrap().permissions.clone().unwrap();
    let derek = of("derek");
    assert!(derek.may_publish(b"bar") && !derek.may_publish(b"foo"));
    assert!(derek.may_subscribe(b"a", None) && derek.may_subscribe(b"b", Some(b"q")));
    assert!(!derek.may_subscribe(b"b", None) && !derek.may_subscribe(b"c", None));
    assert!(of("plain").may_publish(b"open") && !of("plain").may_publish(b"foo"));
    let answers = of("answers");
    assert!(!answers.may_publish(b"x"));
    assert_eq!(answers.allow_responses().unwrap().max, Some(2));
}

#[test]
fn a_user_without_password_stands_for_clients_without_credentials_only() {
    let auth = auth("no_auth_user: \"foo\"\naccounts: { A { users: [{ user: \"foo\" }] } }");
    assert_eq!(login(&auth, Credentials::default()).unwrap().name, "foo");
    assert!(login(&auth, by_name("foo", "")).is_none());
}
