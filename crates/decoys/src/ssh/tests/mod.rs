//! Whole sessions in virtual time.

mod client;

use std::time::Duration;

use client::{IDENTIFICATION, Pair, Step, Wish, persona, session, start};
use model::SessionFact;
use proptest::prelude::*;

use super::{
    algorithms::{CipherName, Compression, HostKeyAlgorithm, KexMethod, MacName},
    message,
    wire::{Reader, Writer},
};
use crate::{Flow, Output, Session};

const ROOT: usize = 0;

/// A session that is in.
fn logged_in(wish: Wish) -> Pair {
    let persona = persona();
    let mut pair = Pair::new(&persona);
    pair.exchange(wish, &mut Vec::new());
    pair.log_in(&persona.accounts[ROOT].password);
    pair
}

/// Handshake and login with this wish, then keys anew at the client's wish.
#[track_caller]
fn check(wish: Wish) {
    let mut pair = logged_in(wish);
    let mut keys = Vec::new();
    pair.exchange(wish, &mut keys);
    pair.open_channel(1 << 20);
    assert_eq!(pair.flow, Flow::Continue, "{wish:?}");
}

#[test]
fn every_key_exchange_works() {
    for &kex in KexMethod::ALL {
        check(Wish { kex, ..Wish::default() });
    }
}

#[test]
fn every_host_key_works() {
    for &host_key in HostKeyAlgorithm::ALL {
        check(Wish { host_key, ..Wish::default() });
    }
}

#[test]
fn every_protection_works_strict_or_not() {
    for &cipher in CipherName::ALL {
        for &mac in MacName::ALL {
            for strict in [true, false] {
                let compression = if strict { Compression::None } else { Compression::Delayed };
                check(Wish { cipher, mac, compression, strict, ..Wish::default() });
            }
        }
    }
}

#[test]
fn host_keys_stay_and_differ() {
    let mut seen = Vec::new();
    for &host_key in &HostKeyAlgorithm::ALL[1..] {
        for _ in 0..2 {
            let mut pair = Pair::new(&persona());
            pair.exchange(Wish { host_key, ..Wish::default() }, &mut seen);
        }
    }
    assert!(seen.chunks(2).all(|same| same[0] == same[1]));
    seen.dedup();
    assert_eq!(seen.len(), 3);
}

#[test]
fn the_client_is_fingerprinted() {
    let mut pair = Pair::new(&persona());
    pair.exchange(Wish::default(), &mut Vec::new());
    let named = |wanted: &str| {
        pair.facts.iter().find_map(|fact| match fact {
            SessionFact::Fingerprint { name, value } if name == wanted => Some(value.clone()),
            _ => None,
        })
    };
    assert_eq!(named("ssh.banner").as_deref(), Some(IDENTIFICATION));
    let text = "curve25519-sha256,ext-info-c,kex-strict-c-v00@openssh.com;\
                chacha20-poly1305@openssh.com;hmac-sha2-256-etm@openssh.com;none";
    let hassh = super::algorithms::hex(&<md5::Md5 as md5::Digest>::digest(text));
    assert_eq!(named("hassh"), Some(hassh));
}

#[test]
fn wrong_passwords_take_as_long_for_whoever_exists_or_not() {
    let mut pair = Pair::new(&persona());
    pair.exchange(Wish::default(), &mut Vec::new());
    pair.send(Writer::message(message::SERVICE_REQUEST).text("ssh-userauth"));
    pair.expect(message::SERVICE_ACCEPT);
    for _ in 0..5 {
        pair.password("root", "wrong");
        assert!(pair.next().is_none(), "the answer waits");
        let waited = pair.wait();
        assert!((Duration::from_secs(1)..Duration::from_millis(3100)).contains(&waited));
        let refusal = pair.expect(message::USERAUTH_FAILURE);
        assert_eq!(refusal, Writer::blob().text("publickey,password").bool(false).done());
    }
    pair.password("root", "wrong");
    pair.wait();
    assert_eq!(pair.goodbye(), "Too many authentication failures");
    let logins = pair.facts.iter().filter(|f| matches!(f, SessionFact::Login { .. })).count();
    assert_eq!(logins, 6);
}

#[test]
fn an_offered_key_is_recorded_and_refused() {
    let mut pair = Pair::new(&persona());
    pair.exchange(Wish::default(), &mut Vec::new());
    pair.send(Writer::message(message::SERVICE_REQUEST).text("ssh-userauth"));
    pair.expect(message::SERVICE_ACCEPT);
    let request = |method: &str| {
        Writer::message(message::USERAUTH_REQUEST).text("eve").text("ssh-connection").text(method)
    };
    pair.send(request("none"));
    pair.expect(message::USERAUTH_FAILURE);
    pair.send(request("publickey").bool(false).text("ssh-ed25519").string(b"key"));
    assert!(pair.wait() < Duration::from_millis(10));
    pair.expect(message::USERAUTH_FAILURE);
    let expected = SessionFact::Login {
        principal: "eve".into(),
        secret: "SHA256:LHDhK3oGRvkiefQnx7OOczTY5Tic/xZ6HcMOc/gmtoM".into(),
        method: "publickey".into(),
        accepted: false,
    };
    assert_eq!(pair.facts.last(), Some(&expected));
    pair.password("adam", "x");
    assert_eq!(
        pair.goodbye(),
        "Change of username or service not allowed: (eve,ssh-connection) -> (adam,ssh-connection)"
    );
}

#[test]
fn whoever_does_not_log_in_is_cut_off() {
    let mut pair = Pair::new(&persona());
    pair.exchange(Wish::default(), &mut Vec::new());
    assert_eq!(pair.wait(), Duration::from_secs(120));
    assert_eq!(pair.flow, Flow::Close);
    assert!(pair.next().is_none());
}

#[test]
fn output_keeps_within_the_visitors_window() {
    let mut pair = logged_in(Wish::default());
    pair.open_channel(10);
    pair.request("exec", Writer::blob().text("seq 1 100"));
    pair.expect(message::CHANNEL_WINDOW_ADJUST);
    pair.expect(message::CHANNEL_SUCCESS);
    let mut received = Vec::new();
    let data = |pair: &mut Pair, received: &mut Vec<u8>| {
        let body = pair.expect(message::CHANNEL_DATA);
        let mut reader = Reader::new(&body);
        assert_eq!(reader.u32(), Ok(3));
        let bytes = reader.string().unwrap();
        assert!(bytes.len() <= 10);
        received.extend_from_slice(bytes);
    };
    data(&mut pair, &mut received);
    assert!(pair.next().is_none(), "the window is shut");
    for _ in 0..28 {
        pair.send(Writer::message(message::CHANNEL_WINDOW_ADJUST).u32(0).u32(10));
        data(&mut pair, &mut received);
    }
    pair.send(Writer::message(message::CHANNEL_WINDOW_ADJUST).u32(0).u32(10));
    data(&mut pair, &mut received);
    let expected: String = (1..=100).map(|n| format!("{n}\n")).collect();
    assert_eq!(String::from_utf8(received).unwrap(), expected);
    pair.expect(message::CHANNEL_EOF);
    let status = pair.expect(message::CHANNEL_REQUEST);
    assert_eq!(status, Writer::blob().u32(3).text("exit-status").bool(false).u32(0).done());
    pair.expect(message::CHANNEL_REQUEST);
    pair.expect(message::CHANNEL_CLOSE);
}

#[test]
fn our_own_wish_for_new_keys_holds_output_back() {
    let wish = Wish::default();
    let mut pair = logged_in(wish);
    pair.open_channel(1 << 20);
    pair.session.rekey_after(1);
    pair.request("exec", Writer::blob().text("true"));
    pair.session.rekey_after(1 << 30);
    pair.exchange(wish, &mut Vec::new());
    pair.expect(message::CHANNEL_WINDOW_ADJUST);
    pair.expect(message::CHANNEL_SUCCESS);
}

#[test]
fn forwarding_is_recorded_and_leads_nowhere() {
    let mut pair = logged_in(Wish::default());
    pair.send(
        Writer::message(message::CHANNEL_OPEN)
            .text("direct-tcpip")
            .u32(9)
            .u32(1)
            .u32(1)
            .text("127.0.0.1")
            .u32(25)
            .text("10.0.0.1")
            .u32(1),
    );
    let refusal = pair.expect(message::CHANNEL_OPEN_FAILURE);
    let expected = Writer::blob().u32(9).u32(2).text("Connection refused").text("");
    assert_eq!(refusal, expected.done());
    let request = SessionFact::Request { text: "direct-tcpip 127.0.0.1:25".into() };
    assert_eq!(pair.facts.last(), Some(&request));
}

#[test]
fn sessions_are_counted_and_unknown_channels_end_it() {
    let mut pair = logged_in(Wish::default());
    let open = || Writer::message(message::CHANNEL_OPEN).text("session").u32(3).u32(1).u32(32_768);
    for _ in 0..10 {
        pair.send(open());
        pair.expect(message::CHANNEL_OPEN_CONFIRMATION);
    }
    pair.send(open());
    pair.expect(message::CHANNEL_OPEN_FAILURE);
    pair.send(Writer::message(message::CHANNEL_DATA).u32(77).string(b"x"));
    assert_eq!(pair.goodbye(), "channel_input_data packet referred to nonexistent channel 77");
}

/// A full session: handshake, a wrong password, login, a shell on a terminal, keys anew, exit.
fn full_session(wish: Wish) -> Pair {
    let persona = persona();
    let mut pair = Pair::new(&persona);
    pair.exchange(wish, &mut Vec::new());
    pair.send(Writer::message(message::SERVICE_REQUEST).text("ssh-userauth"));
    pair.expect(message::SERVICE_ACCEPT);
    pair.password("root", "no");
    pair.wait();
    pair.expect(message::USERAUTH_FAILURE);
    pair.log_in(&persona.accounts[ROOT].password);
    pair.open_channel(1 << 20);
    let size = Writer::blob().text("vt100").raw(&[0; 16]).text("");
    pair.request("pty-req", size);
    pair.request("shell", Writer::blob());
    for keys in ["id\r", "ec", "ho x\x7fy\r", "\x1b[A\r"] {
        pair.send(Writer::message(message::CHANNEL_DATA).u32(0).text(keys));
    }
    while pair.next().is_some() {}
    pair.exchange(wish, &mut Vec::new());
    pair.send(Writer::message(message::CHANNEL_DATA).u32(0).text("exit\r"));
    pair
}

#[test]
fn however_input_is_cut_the_output_is_the_same() {
    for cipher in [CipherName::ChaChaPoly, CipherName::Aes128Ctr, CipherName::Aes256Gcm] {
        let whole = full_session(Wish { cipher, mac: MacName::Sha256, ..Wish::default() });
        assert!(whole.facts.contains(&SessionFact::Command { text: "echo y".into() }));
        let sent: usize = whole.steps.iter().map(|(_, step)| length(step)).sum();
        for at in (0..sent).step_by(37) {
            replay(&whole, |offset| offset == at);
        }
        replay(&whole, |_| true);
    }
}

fn length(step: &Step) -> usize {
    match step {
        Step::Receive(bytes) => bytes.len(),
        Step::Expire => 0,
    }
}

/// Does the same again to a new session, with input cut where `cut` says so.
#[track_caller]
fn replay(whole: &Pair, cut: impl Fn(usize) -> bool) {
    let mut session = session(&persona());
    let mut out = Output::new();
    session.open(start(), &mut out);
    let mut offset = 0;
    for (now, step) in &whole.steps {
        match step {
            Step::Expire => {
                session.expire(*now, &mut out);
            }
            Step::Receive(bytes) => {
                let mut from = 0;
                for to in 1..=bytes.len() {
                    offset += 1;
                    if to == bytes.len() || cut(offset) {
                        session.receive(*now, &bytes[from..to], &mut out);
                        from = to;
                    }
                }
            }
        }
    }
    assert!(out.take_wire() == whole.wire, "the same bytes go out");
    assert_eq!(out.take_facts(), whole.facts);
}

/// Gives bytes to a session that is in, or is not; nothing may panic, and it ends or waits.
fn survive(mut pair: Pair, bytes: &[u8]) {
    pair.raw(bytes);
    while pair.flow == Flow::Continue && pair.session.deadline().is_some() {
        pair.wait();
    }
    let mut out = Output::new();
    pair.session.finished(pair.now, &mut out);
    assert_eq!(pair.session.receive(pair.now, b"more", &mut out), Flow::Close);
}

fn garbage() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..200)
}

/// Messages with the right number and any body, or a good body that is cut and changed.
fn hostile_messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let number = prop_oneof![0u8..=100, 50u8..=50, 80u8..=82, 90u8..=98];
    let text = prop_oneof![
        Just("session"),
        Just("exec"),
        Just("shell"),
        Just("pty-req"),
        Just("direct-tcpip"),
        Just("tcpip-forward"),
        Just("subsystem"),
        Just("env"),
        Just("root"),
        Just("ls -l"),
    ];
    let word = prop_oneof![
        any::<u32>().prop_map(|n| n.to_be_bytes().to_vec()),
        (0u32..3).prop_map(|n| n.to_be_bytes().to_vec()),
        text.prop_map(|t| Writer::blob().text(t).done()),
        any::<bool>().prop_map(|b| vec![u8::from(b)]),
        garbage(),
    ];
    let body = proptest::collection::vec(word, 0..5);
    let message = (number, body).prop_map(|(n, body)| [vec![n], body.concat()].concat());
    proptest::collection::vec(message, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn strangers_bytes_do_no_harm(bytes in garbage(), identify in any::<bool>()) {
        let mut session = session(&persona());
        let mut out = Output::new();
        session.open(start(), &mut out);
        if identify {
            session.receive(start(), b"SSH-2.0-x\r\n", &mut out);
        }
        session.receive(start(), &bytes, &mut out);
        session.finished(start(), &mut out);
    }

    #[test]
    fn sealed_garbage_does_no_harm(messages in hostile_messages()) {
        let mut pair = logged_in(Wish::default());
        pair.open_channel(1 << 16);
        for message in messages {
            if pair.flow == Flow::Continue {
                pair.send(Writer::blob().raw(&message));
            }
        }
        survive(pair, b"\0\0\0\0");
    }

    #[test]
    fn unsealed_garbage_does_no_harm(messages in hostile_messages(), kexinit in any::<bool>()) {
        let mut pair = Pair::new(&persona());
        if kexinit {
            pair.send(Writer::blob().raw(&Wish::default().kexinit()));
        }
        for message in messages {
            if pair.flow == Flow::Continue {
                pair.send(Writer::blob().raw(&message));
            }
        }
        survive(pair, b"\xff\xff\xff\xff\xff\xff\xff\xff");
    }
}
