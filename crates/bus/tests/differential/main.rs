//! The same random sessions against Debian's nats-server and against our broker: the answers must
//! be equal, frame by frame.
//!
//! A session is a few raw TCP connections and steps: one connection sends frames, right or wrong,
//! cut anywhere; then every connection that is still there sends a PING and reads up to its PONG.
//! A session follows from its seed; one that tells the two apart is made short and printed.
//!
//! `MORGANA_SESSIONS` says how many (200), `MORGANA_SEED` the first seed (1). Where nats-server is
//! not installed, or is no 2.9, the tests say so and pass.
//!
//! Answers are compared after this, because nats-server leaves it open:
//! - INFO and PING frames come when they like: left out here; what INFO has is a test of its own;
//! - one message to several subscriptions of a client comes in any order: sorted by sid;
//! - an invalid subject of a publish is complained of once, or twice where its frame came to
//!   nats-server in two reads: several complaints in a row are one;
//! - no-responders takes any subscription to the reply subject: its sid is left out.
//!
//! Differences that are wanted, and so do not happen in a session:
//! - blanks before arguments, and what follows PING, PONG and +OK on their line, count against the
//!   limit of the control line: nats-server skips any amount of them;
//! - a carriage return within a line is a blank; nats-server then also drops the line's last byte;
//! - the JSON of an INFO from a client is not looked at: nats-server closes where it is none;
//! - a control line that is too long by a byte or two: nats-server measures lines that come in
//!   pieces a little differently from whole ones;
//! - an HPUB that is too large, or does not end where it says, of a client that announced no
//!   headers: ours is told of the size or the end, nats-server closes without a word;
//! - what stands behind a -ERR of a client: nats-server still does it where it came in the same
//!   read, ours is done with the client;
//! - CONNECT: Go folds a few letters beyond ASCII in keys, nests deeper, and replaces halves of
//!   surrogate pairs, where we refuse.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod dice;
mod replay;
mod servers;
mod session;

use std::{collections::BTreeSet, env, net::SocketAddr};

use servers::{Nats, Ours};
use session::Session;

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn random_sessions_get_the_answers_of_nats_server() {
    let Some(nats) = Nats::start() else { return };
    let ours = Ours::start();
    let first = number("MORGANA_SEED", 1);
    let mut frames = 0;
    for seed in first..first + number("MORGANA_SESSIONS", 200) {
        let session = Session::random(seed);
        frames += compare(&session, nats.addr, ours.addr).unwrap_or_else(|first| {
            let (short, last) = shortened(session, first, nats.addr, ours.addr);
            panic!("seed {seed}\n{short}\n{last}")
        });
    }
    println!("{frames} frames were equal");
}

/// How many frames were answered, or where the answers begin to differ.
fn compare(session: &Session, nats: SocketAddr, ours: SocketAddr) -> Result<usize, String> {
    let (theirs, ours) = (replay::run(session, nats), replay::run(session, ours));
    if theirs == ours {
        return Ok(theirs.len());
    }
    let same = theirs.iter().zip(&ours).take_while(|(a, b)| a == b).count();
    let around = |lines: &[String]| -> Vec<String> {
        lines.iter().take(same + 3).skip(same.saturating_sub(4)).cloned().collect()
    };
    Err(format!("nats-server: {:#?}\nours: {:#?}", around(&theirs), around(&ours)))
}

/// The session without the frames that its difference does not need.
fn shortened(
    mut session: Session,
    mut difference: String,
    nats: SocketAddr,
    ours: SocketAddr,
) -> (Session, String) {
    let mut at = 0;
    while let Some(shorter) = session.without(at) {
        match compare(&shorter, nats, ours) {
            Err(other) => (session, difference) = (shorter, other),
            Ok(_) => at += 1,
        }
    }
    (session, difference)
}

#[test]
fn info_has_the_keys_of_nats_server() {
    let Some(nats) = Nats::start() else { return };
    let ours = Ours::start();
    let keys = |addr| -> BTreeSet<String> {
        let info: serde_json::Value = serde_json::from_slice(&replay::info(addr)).unwrap();
        info.as_object().unwrap().keys().cloned().collect()
    };
    let mut expected = keys(nats.addr);
    // which commit it was built from
    expected.remove("git_commit");
    assert_eq!(keys(ours.addr), expected);
}
