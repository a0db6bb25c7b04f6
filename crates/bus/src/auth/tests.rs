//! Who is let in, as what, and for how long.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use nkeys::KeyPair;
use rustix::time::{ClockId, clock_gettime};

use super::*;

const NONCE: &[u8] = b"nonce";

fn tcp() -> Peer {
    Peer { address: PeerAddress::Tcp(([127, 0, 0, 1], 4222).into()), tls: false }
}

fn unix(uid: u32) -> Peer {
    Peer { address: PeerAddress::Unix { uid, gid: 7, pid: Some(1) }, tls: false }
}

fn user(name: &str, login: Login) -> UserRule {
    UserRule { name: name.into(), login, permissions: None, account: Account::MAIN }
}

fn only(subject: &str) -> Permissions {
    let rules = SubjectRules::all().allow(&[subject]).unwrap();
    Permissions::new(rules.clone(), rules, None).unwrap()
}

fn password(text: &str) -> Login {
    Login::Password(text.into())
}

fn token(text: &str) -> Login {
    Login::Token(text.into())
}

fn by_name<'a>(user: &'a str, pass: &'a str) -> Credentials<'a> {
    Credentials { user: Some(user), pass: Some(pass), ..Credentials::default() }
}

fn by_token(token: &str) -> Credentials<'_> {
    Credentials { token: Some(token), ..Credentials::default() }
}

fn check(auth: &Auth, offered: Credentials<'_>, peer: Peer, expected: Result<&str, AuthError>) {
    let found = auth.authenticate(offered, NONCE, &peer);
    assert_eq!(found.as_ref().map(|user| user.name.as_str()).map_err(|err| *err), expected);
    if let Ok(user) = found {
        assert!(auth.still_valid(&user), "{} came in just now", user.name);
    }
}

#[test]
fn everybody_is_let_into_an_open_broker() {
    let auth = Auth::open();
    for offered in [Credentials::default(), by_name("x", "y"), by_token("z")] {
        check(&auth, offered, tcp(), Ok(""));
        check(&auth, offered, unix(1000), Ok(""));
    }
    assert!(!auth.required(&tcp()) && !auth.needs_nonce());
}

#[test]
fn users_prove_who_they_are() {
    let hash = bcrypt::hash("hashed", 4).unwrap();
    let rules = AuthRules {
        users: vec![
            user("plain", password("secret")),
            user("hashed", password(&hash)),
            user("bot", token("t0k3n")),
            user("probe", token(&bcrypt::hash("dear", 4).unwrap())),
        ],
        ..AuthRules::default()
    };
    let auth = Auth::new(rules).unwrap();
    assert!(auth.required(&tcp()) && auth.required(&unix(0)) && !auth.needs_nonce());
    for (offered, expected) in [
        (by_name("plain", "secret"), Ok("plain")),
        (by_name("hashed", "hashed"), Ok("hashed")),
        (by_token("t0k3n"), Ok("bot")),
        (by_token("dear"), Ok("probe")),
        (by_name("plain", "hashed"), Err(AuthError::Refused)),
        (by_name("hashed", &hash), Err(AuthError::Refused)),
        (by_name("nobody", "secret"), Err(AuthError::Refused)),
        (by_name("bot", "t0k3n"), Err(AuthError::Refused)),
        (by_name("plain", ""), Err(AuthError::Refused)),
        (by_token("secret"), Err(AuthError::Refused)),
        (by_name("", ""), Err(AuthError::Missing)),
        (Credentials { jwt: Some("e30"), ..Credentials::default() }, Err(AuthError::Jwt)),
        (Credentials { sig: Some("x"), ..Credentials::default() }, Err(AuthError::Missing)),
    ] {
        check(&auth, offered, tcp(), expected);
    }
}

#[test]
fn a_key_is_proven_by_a_signature_over_the_nonce() {
    let (pair, other) = (KeyPair::new_user(), KeyPair::new_user());
    let (key, other_key) = (pair.public_key(), other.public_key());
    let rules = AuthRules {
        users: vec![user("prober", Login::Nkey(key.clone())), user("plain", password("x"))],
        ..AuthRules::default()
    };
    let auth = Auth::new(rules).unwrap();
    assert!(auth.needs_nonce());
    let sig = URL_SAFE_NO_PAD.encode(pair.sign(NONCE).unwrap());
    let others = URL_SAFE_NO_PAD.encode(other.sign(NONCE).unwrap());
    for (nkey, sig, expected) in [
        (&key, &sig, Ok("prober")),
        (&key, &others, Err(AuthError::Refused)),
        (&other_key, &others, Err(AuthError::Refused)),
        (&"plain".to_string(), &sig, Err(AuthError::Refused)),
    ] {
        let offered = Credentials { nkey: Some(nkey), sig: Some(sig), ..Credentials::default() };
        check(&auth, offered, tcp(), expected);
    }
    check(&auth, by_name(&key, "x"), tcp(), Err(AuthError::Refused));
}

#[test]
fn the_unix_socket_tells_who_somebody_is() {
    let rules = AuthRules {
        users: vec![user("alice", password("secret"))],
        unix: UnixPeers::Trusted { owner: 500, others: only("mine.>") },
        ..AuthRules::default()
    };
    let auth = Auth::new(rules).unwrap();
    for (uid, everything) in [(0, true), (500, true), (1000, false)] {
        let user = auth.authenticate(Credentials::default(), b"", &unix(uid)).unwrap();
        assert_eq!(user.permissions.is_none(), everything, "uid {uid}");
        assert!(!auth.required(&unix(uid)));
    }
    check(&auth, by_name("alice", "secret"), unix(1000), Ok("alice"));
    check(&auth, by_name("alice", "wrong"), unix(0), Err(AuthError::Refused));
    check(&auth, Credentials::default(), tcp(), Err(AuthError::Missing));
}

#[test]
fn somebody_may_stand_for_clients_without_credentials() {
    let rules = AuthRules {
        users: vec![user("guest", password("g"))],
        no_auth_user: Some("guest".into()),
        default_permissions: Some(only("open.>")),
        ..AuthRules::default()
    };
    let auth = Auth::new(rules).unwrap();
    assert!(!auth.required(&tcp()));
    let guest = auth.authenticate(Credentials::default(), b"", &tcp()).unwrap();
    assert_eq!((guest.name.as_str(), &guest.permissions), ("guest", &Some(only("open.>"))));
    check(&auth, by_name("guest", "wrong"), tcp(), Err(AuthError::Refused));
}

#[test]
fn a_reload_knows_who_is_gone_or_changed() {
    let make = |users: Vec<UserRule>, default: Option<Permissions>| {
        Auth::new(AuthRules { users, default_permissions: default, ..AuthRules::default() })
            .unwrap()
    };
    let before = make(vec![user("a", password("1"))], None);
    let alice = before.authenticate(by_name("a", "1"), b"", &tcp()).unwrap();
    let limited = UserRule { permissions: Some(only("x")), ..user("a", password("1")) };
    for (users, default, expected) in [
        (vec![user("a", password("1"))], None, true),
        (vec![user("b", password("2")), user("a", password("1"))], None, true),
        (vec![user("b", password("1"))], None, false),
        (vec![user("a", password("2"))], None, false),
        (vec![user("a", token("1"))], None, false),
        (vec![limited], None, false),
        (vec![user("a", password("1"))], Some(only("x")), false),
    ] {
        let what = format!("{users:?} {default:?}");
        assert_eq!(make(users, default).still_valid(&alice), expected, "{what}");
    }
    assert!(!Auth::open().still_valid(&alice));
    let anyone = Auth::open().authenticate(Credentials::default(), b"", &tcp()).unwrap();
    assert!(Auth::open().still_valid(&anyone) && !before.still_valid(&anyone));
}

#[test]
fn every_fault_of_the_rules_is_named() {
    let rules = AuthRules {
        users: vec![
            user("a", password("1")),
            user("a", password("2")),
            user("b", password("")),
            user("c", token("1")),
            user("c", token("2")),
        ],
        no_auth_user: Some("d".into()),
        ..AuthRules::default()
    };
    let twice = |name: &str| RuleError::Twice { name: name.into() };
    let expected = vec![
        twice("a"),
        RuleError::Secret { name: "b".into(), source: SecretError::Empty },
        twice("c"),
        RuleError::NoAuthUser { name: "d".into() },
    ];
    assert_eq!(Auth::new(rules).unwrap_err(), expected);
}

/// Dearer than the difference of any two code paths here, cheap enough for a test.
const COST: u32 = 8;

#[test]
fn no_refusal_is_cheaper_than_another() {
    let hash = bcrypt::hash("x", COST).unwrap();
    let users = vec![user("hashed", password(&hash)), user("plain", password("y"))];
    let auth = Auth::new(AuthRules { users, ..AuthRules::default() }).unwrap();
    // The thread's own time: what else the machine does is not in it.
    let now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
    };
    let time = |offered: Credentials<'_>| {
        let refused = || {
            let start = now();
            assert!(auth.authenticate(offered, b"", &tcp()).is_err());
            now() - start
        };
        (0..5).map(|_| refused()).min().unwrap_or_default()
    };
    let wrong = time(by_name("hashed", "wrong"));
    for offered in [by_name("nobody", "wrong"), by_name("plain", "wrong"), by_token("wrong")] {
        assert!(time(offered) * 3 > wrong, "{:?} against {wrong:?}", time(offered));
    }
}

#[test]
fn only_what_is_slow_to_check_waits() {
    let hash = bcrypt::hash("slow", 4).unwrap();
    let pair = KeyPair::new_user();
    let key = pair.public_key();
    let sig = URL_SAFE_NO_PAD.encode(pair.sign(NONCE).unwrap());
    let signed = |sig| Credentials { nkey: Some(&key), sig: Some(sig), ..Credentials::default() };
    let quick = vec![
        user("plain", password("quick")),
        user("token", token("t")),
        user("key", Login::Nkey(key.clone())),
    ];
    let slow = || user("hashed", Login::Password(hash.clone()));
    let mixed = quick.iter().cloned().chain([slow()]).collect();
    let auth = |users| Auth::new(AuthRules { users, ..AuthRules::default() }).unwrap();
    let (quick, mixed) = (auth(quick), auth(mixed));
    for (offered, of_quick, of_mixed) in [
        (by_name("plain", "quick"), Some(true), Some(true)),
        (by_name("plain", "wrong"), Some(false), None),
        (by_name("hashed", "slow"), Some(false), None),
        (by_name("nobody", "x"), Some(false), None),
        (by_token("t"), Some(true), Some(true)),
        (by_token("x"), Some(false), None),
        (signed(&sig), Some(true), Some(true)),
        (signed("x"), Some(false), None),
        (Credentials::default(), Some(false), Some(false)),
    ] {
        for (auth, expected) in [(&quick, of_quick), (&mixed, of_mixed)] {
            let found = auth.authenticate_at_once(offered, NONCE, &tcp());
            assert_eq!(found.map(|found| found.is_ok()), expected);
        }
    }
}
