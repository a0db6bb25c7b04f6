//! The agent against messages as snmpd 5.9.3 of Debian 12 was asked them. Where figures differ from
//! machine to machine, the expected answer is worked out; the rest is as recorded.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use model::{Archetype, Persona, SessionFact, Timestamp};
use proptest::prelude::*;

use super::{
    SnmpSession,
    agent::MAX_ANSWER_BYTES,
    ber::{self, INTEGER, NULL, OBJECT_ID, OCTETS, Reader, SEQUENCE},
    communities,
    message::Value,
    oid::Oid,
};
use crate::{
    Answers, DatagramSession,
    testing::{START, local, peer, persona},
};

const GET: u8 = 0xa0;
const NEXT: u8 = 0xa1;
const SET: u8 = 0xa3;
const BULK: u8 = 0xa5;

fn monitor() -> Arc<Persona> {
    persona(1, "monitor-01", Archetype::MonitoringNode)
}

fn printer() -> Arc<Persona> {
    persona(2, "printer-01", Archetype::Printer)
}

fn session(persona: &Arc<Persona>) -> SnmpSession {
    SnmpSession::new(Arc::clone(persona), local(161), peer())
}

fn oid(text: &str) -> Oid {
    let numbers: Vec<u32> = text.split('.').map(|n| n.parse().expect("a number")).collect();
    Oid::new(&numbers)
}

/// A variable of a request.
fn variable(name: &str, tag: u8, value: &[u8]) -> Vec<u8> {
    let (mut body, mut out) = (Vec::new(), Vec::new());
    ber::put(&mut body, OBJECT_ID, &oid(name).write());
    ber::put(&mut body, tag, value);
    ber::put(&mut out, SEQUENCE, &body);
    out
}

fn message(version: i64, community: &[u8], pdu: u8, two: (i64, i64), list: &[u8]) -> Vec<u8> {
    let (mut parts, mut body, mut out) = (Vec::new(), Vec::new(), Vec::new());
    for number in [7, two.0, two.1] {
        ber::put_integer(&mut parts, INTEGER, number);
    }
    ber::put(&mut parts, SEQUENCE, list);
    ber::put_integer(&mut body, INTEGER, version);
    ber::put(&mut body, OCTETS, community);
    ber::put(&mut body, pdu, &parts);
    ber::put(&mut out, SEQUENCE, &body);
    out
}

/// A question for these variables, with `public`.
fn question(version: i64, pdu: u8, two: (i64, i64), names: &[&str]) -> Vec<u8> {
    let list: Vec<u8> = names.iter().flat_map(|name| variable(name, NULL, &[])).collect();
    message(version, b"public", pdu, two, &list)
}

fn ask(session: &mut SnmpSession, now: Timestamp, datagram: &[u8]) -> (Option<Vec<u8>>, Answers) {
    let mut answers = Answers::new();
    session.receive(now, datagram, &mut answers);
    let mut sent = answers.take_datagrams();
    assert!(sent.len() <= 1, "one answer to one question");
    (sent.pop(), answers)
}

/// An answer: error, index, and the variables as name, tag and contents.
#[derive(Debug, PartialEq)]
struct Answer {
    status: i64,
    index: i64,
    variables: Vec<(String, u8, Vec<u8>)>,
}

fn read(answer: &[u8]) -> Answer {
    let mut body = Reader::new(Reader::new(answer).body(SEQUENCE).expect("a message"));
    body.integer().expect("a version");
    body.body(OCTETS).expect("a community");
    let mut pdu = Reader::new(body.body(0xa2).expect("a response"));
    assert_eq!(pdu.integer(), Some(7), "the id of the request");
    let (status, index) = (pdu.integer().expect("a status"), pdu.integer().expect("an index"));
    let mut list = Reader::new(pdu.body(SEQUENCE).expect("variables"));
    let mut variables = Vec::new();
    while !list.is_empty() {
        let mut pair = Reader::new(list.body(SEQUENCE).expect("a variable"));
        let name = Oid::read(pair.body(OBJECT_ID).expect("a name")).expect("whole");
        let value = pair.element().expect("a value");
        variables.push((name.to_string(), value.tag, value.body.to_vec()));
    }
    Answer { status, index, variables }
}

/// What comes back for one datagram; none is silence.
fn answer(persona: &Arc<Persona>, datagram: &[u8]) -> Option<Answer> {
    ask(&mut session(persona), START, datagram).0.map(|answer| read(&answer))
}

/// All variables by GetNext from the root, at `now`.
fn walk(persona: &Arc<Persona>, version: i64, now: Timestamp) -> Vec<(String, u8, Vec<u8>)> {
    let mut session = session(persona);
    let mut walked: Vec<(String, u8, Vec<u8>)> = Vec::new();
    let mut at = "1.3".to_owned();
    loop {
        let (answer, _) = ask(&mut session, now, &question(version, NEXT, (0, 0), &[&at]));
        let mut answer = read(&answer.expect("an answer"));
        let (name, tag, value) = answer.variables.pop().expect("a variable");
        if answer.status != 0 || tag == 0x82 {
            assert_eq!(
                (name.as_str(), answer.status),
                (at.as_str(), if version == 0 { 2 } else { 0 })
            );
            return walked;
        }
        assert!(oid(&name) > oid(&at), "{name} after {at}");
        at.clone_from(&name);
        walked.push((name, tag, value));
        assert!(walked.len() < 1_000, "the walk ends");
    }
}

fn find<'a>(walked: &'a [(String, u8, Vec<u8>)], name: &str) -> &'a [u8] {
    let found = walked.iter().find(|(there, ..)| there == name);
    &found.unwrap_or_else(|| panic!("no {name}")).2
}

fn number(walked: &[(String, u8, Vec<u8>)], name: &str) -> u64 {
    find(walked, name).iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

fn text(walked: &[(String, u8, Vec<u8>)], name: &str) -> String {
    String::from_utf8(find(walked, name).to_vec()).expect("text")
}

#[test]
fn a_walk_ends_in_order_and_is_the_same_in_both_versions() {
    for persona in [monitor(), printer()] {
        let walked = walk(&persona, 1, START);
        assert_eq!(walk(&persona, 0, START), walked);
        assert!(walked.len() > 70, "{}", walked.len());
        // Each can be asked for by its name.
        for (name, tag, value) in &walked {
            let answer = answer(&persona, &question(1, GET, (0, 0), &[name])).expect("an answer");
            assert_eq!(answer.variables, [(name.clone(), *tag, value.clone())]);
        }
    }
}

#[test]
fn bulk_walks_find_what_single_steps_find() {
    let persona = monitor();
    for repeat in [1, 7, 100, i64::from(i32::MAX)] {
        let mut session = session(&persona);
        let mut walked = Vec::new();
        let mut at = "1.3".to_owned();
        while at != "end" {
            let asked = question(1, BULK, (0, repeat), &[&at]);
            let (answer, _) = ask(&mut session, START, &asked);
            let answer = answer.expect("an answer");
            assert!(answer.len() <= MAX_ANSWER_BYTES, "{}", answer.len());
            for (name, tag, value) in read(&answer).variables {
                at = if tag == 0x82 { "end".to_owned() } else { name.clone() };
                walked.extend((tag != 0x82).then_some((name, tag, value)));
            }
        }
        assert_eq!(walked, walk(&persona, 1, START));
    }
}

#[test]
fn a_server_is_the_one_that_its_shell_shows() {
    let persona = monitor();
    let now = persona.booted_at.plus(Duration::from_secs(1_000_000));
    let walked = walk(&persona, 1, now);
    let about = text(&walked, "1.3.6.1.2.1.1.1.0");
    let kernel = format!("{} {}", persona.kernel_release, persona.kernel_version);
    assert_eq!(about, format!("Linux monitor-01 {kernel} x86_64"));
    assert_eq!(find(&walked, "1.3.6.1.2.1.1.2.0"), oid("1.3.6.1.4.1.8072.3.2.10").write());
    assert_eq!(text(&walked, "1.3.6.1.2.1.1.5.0"), "monitor-01");
    // The agent started seconds after the machine.
    assert_eq!(number(&walked, "1.3.6.1.2.1.25.1.1.0"), 100_000_000);
    let agent = number(&walked, "1.3.6.1.2.1.1.3.0");
    assert!((99_998_400..99_999_500).contains(&agent), "{agent}");
    assert_eq!(number(&walked, "1.3.6.1.2.1.2.1.0"), 2);
    assert_eq!(text(&walked, "1.3.6.1.2.1.2.2.1.2.1"), "lo");
    assert_eq!(find(&walked, "1.3.6.1.2.1.2.2.1.6.2").len(), 6);
    assert_eq!(find(&walked, "1.3.6.1.2.1.4.20.1.1.10.66.1.10"), [10, 66, 1, 10]);
    assert_eq!(number(&walked, "1.3.6.1.2.1.4.20.1.2.10.66.1.10"), 2);
    assert_eq!(number(&walked, "1.3.6.1.2.1.2.2.1.10.2"), 413_000_000);
    let date = find(&walked, "1.3.6.1.2.1.25.1.2.0");
    assert_eq!((date.len(), date[8]), (11, b'+'));
    // Numbers grow as unsigned ones: the walk above would show a sign otherwise.
    let later = walk(&persona, 1, now.plus(Duration::from_secs(60)));
    assert_eq!(number(&later, "1.3.6.1.2.1.1.3.0"), agent + 6_000);
}

#[test]
fn the_uptime_begins_again_after_497_days() {
    let persona = monitor();
    let up = Duration::from_millis((1 << 32) * 10 + 1_230);
    let walked = walk(&persona, 1, persona.booted_at.plus(up));
    assert_eq!(number(&walked, "1.3.6.1.2.1.25.1.1.0"), 123);
}

#[test]
fn a_printer_is_a_printer() {
    let walked = walk(&printer(), 1, START);
    let about = text(&walked, "1.3.6.1.2.1.1.1.0");
    assert!(about.starts_with("HP ETHERNET MULTI-ENVIRONMENT,ROM none,JETDIRECT,JD1"), "{about}");
    assert_eq!(find(&walked, "1.3.6.1.2.1.1.2.0"), oid("1.3.6.1.4.1.11.2.3.9.1").write());
    assert!(text(&walked, "1.3.6.1.2.1.25.3.2.1.3.1").starts_with("HP "));
    assert_eq!(number(&walked, "1.3.6.1.2.1.25.3.5.1.1.1"), 3, "idle");
    assert_eq!(number(&walked, "1.3.6.1.2.1.2.1.0"), 1);
    let other = walk(&persona(3, "printer-02", Archetype::Printer), 1, START);
    let hardware = "1.3.6.1.2.1.2.2.1.6.1";
    assert_ne!(find(&walked, hardware), find(&other, hardware));
}

/// Status, index and tags of the answer; `-` is silence.
fn check(datagram: &[u8], expected: &str) {
    let seen = answer(&monitor(), datagram).map_or("-".to_owned(), |answer| {
        let tags: Vec<String> =
            answer.variables.iter().map(|(_, tag, _)| format!("{tag:02x}")).collect();
        format!("{}/{} {}", answer.status, answer.index, tags.join(" "))
    });
    assert_eq!(seen.trim(), expected, "{datagram:02x?}");
}

const NAME: &str = "1.3.6.1.2.1.1.5.0";
const LAST: &str = "1.3.6.1.2.1.25.1.7.0";
const BEFORE_LAST: &str = "1.3.6.1.2.1.25.1.6.0";
const COLUMN: &str = "1.3.6.1.2.1.2.2.1.3";

#[test]
fn what_is_missing_is_said_as_net_snmp_says_it() {
    let absent = ["1.3.6.1.2.1.1.99.0", "1.3.6.1.2.1.1.5.1", "1.3.6.1.2.1.1.5"];
    check(&question(1, GET, (0, 0), &[NAME, absent[0], absent[1], absent[2]]), "0/0 04 80 81 81");
    check(&question(1, GET, (0, 0), &["1.3.6.1.2.1.2.2.1.1.77"]), "0/0 81");
    check(&question(1, GET, (0, 0), &["1.3.6.1.2.1.2.2.1.99.1"]), "0/0 80");
    check(&question(0, GET, (0, 0), &[NAME, absent[0]]), "2/2 05 05");
    check(&question(1, NEXT, (0, 0), &[NAME, LAST]), "0/0 04 82");
    check(&question(0, NEXT, (0, 0), &[NAME, LAST]), "2/2 05 05");
    for version in [0, 1] {
        check(&question(version, GET, (0, 0), &[]), "0/0");
        check(&question(version, GET, (5, 3), &[NAME]), "0/0 04");
    }
}

#[test]
fn bulk_ends_with_the_row_that_reaches_the_end() {
    check(&question(1, BULK, (0, 2), &[NAME]), "0/0 04 02");
    check(&question(1, BULK, (1, 2), &[NAME, COLUMN]), "0/0 04 02 02");
    check(&question(1, BULK, (0, 5), &[BEFORE_LAST]), "0/0 02 82");
    check(&question(1, BULK, (0, 3), &[BEFORE_LAST, NAME]), "0/0 02 04 82 02");
    check(&question(1, BULK, (1, 3), &[LAST, COLUMN]), "0/0 82 02 02 02");
    check(&question(1, BULK, (0, 3), &[LAST, LAST]), "0/0 82 82");
    check(&question(1, BULK, (0, 0), &[NAME]), "0/0");
    check(&question(1, BULK, (1, 0), &[NAME]), "0/0 04");
    check(&question(1, BULK, (-1, -1), &[NAME]), "0/0");
    check(&question(1, BULK, (-1, 2), &[NAME]), "0/0 04 02");
    check(&question(1, BULK, (0, 10), &[]), "0/0");
    check(&question(0, BULK, (0, 3), &[NAME]), "0/0 04 02 43");
}

#[test]
fn nothing_can_be_set() {
    let set = |version, list: &[u8]| message(version, b"public", SET, (0, 0), list);
    let name = variable(NAME, OCTETS, b"x");
    let contact = variable("1.3.6.1.2.1.1.4.0", OCTETS, b"x");
    check(&set(0, &name), "2/1 04");
    check(&set(1, &name), "6/1 04");
    check(&set(1, &[contact, name.clone()].concat()), "6/1 04 04");
    check(&set(1, &[]), "0/0");
    let told = answer(&monitor(), &set(1, &name)).expect("an answer");
    assert_eq!(told.variables, [(NAME.to_owned(), OCTETS, b"x".to_vec())], "as it was asked");
}

#[test]
fn what_is_no_request_gets_silence() {
    let good = question(1, GET, (0, 0), &[NAME]);
    for pdu in [0xa2, 0xa4, 0xa6, 0xa7, 0xa8, 0xa9, 0x30] {
        check(&question(1, pdu, (0, 0), &[NAME]), "-");
    }
    for version in [2, 3, 5, -1] {
        check(&question(version, GET, (0, 0), &[NAME]), "-");
    }
    check(b"hello world", "-");
    check(b"", "-");
    for cut in 0..good.len() {
        check(&good[..cut], "-");
    }
    check(&[&good[..], b"more"].concat(), "0/0 04");
    let value = |tag| message(1, b"public", GET, (0, 0), &variable(NAME, tag, b"ab"));
    check(&value(0x44), "0/0 04");
    check(&value(0x59), "-");
    // As long as the question, because what is not there takes no room.
    let many = |count| question(1, GET, (0, 0), &vec!["1.3.6.1.2.1.1.7.1"; count]);
    assert_eq!(answer(&monitor(), &many(80)).expect("an answer").variables.len(), 80);
    check(&many(1_000), "-");
}

#[test]
fn what_does_not_fit_is_too_big() {
    let names = ["1.3.6.1.2.1.1.1.0"; 30];
    let asked = question(1, GET, (0, 0), &names);
    assert!(asked.len() < MAX_ANSWER_BYTES);
    check(&asked, "1/0");
    check(&question(0, GET, (0, 0), &names[..20]), &format!("1/0{}", " 05".repeat(20)));
    check(&question(1, GET, (0, 0), &names[..3]), "0/0 04 04 04");
}

#[test]
fn communities_are_the_personas_own() {
    let with = |community: &[u8]| message(1, community, GET, (0, 0), &variable(NAME, NULL, &[]));
    check(&with(b"public"), "0/0 04");
    check(&with(b"private"), "-");
    check(&with(b"Public"), "-");
    check(&with(b""), "-");
    let mut seconds = 0;
    for salt in 0..40 {
        let persona = persona(salt, "monitor-01", Archetype::MonitoringNode);
        let known = communities(&persona);
        assert_eq!((known[0], &known), ("public", &communities(&persona)));
        for community in &known[1..] {
            seconds += 1;
            assert!(answer(&persona, &with(community.as_bytes())).is_some());
        }
    }
    assert!((8..32).contains(&seconds), "{seconds} of 40 have a second");
}

fn facts(datagrams: &[Vec<u8>]) -> Vec<String> {
    let mut session = session(&monitor());
    let mut told = Vec::new();
    for datagram in datagrams {
        let (_, mut answers) = ask(&mut session, START, datagram);
        told.extend(answers.take_facts().into_iter().map(|fact| match fact {
            SessionFact::Login { principal, secret, method, accepted } => {
                assert_eq!((principal.as_str(), method.as_str()), ("", "community"));
                format!("login {secret} {accepted}")
            }
            SessionFact::Request { text } => text,
            other => panic!("{other:?}"),
        }));
    }
    told
}

#[test]
fn every_message_is_told_and_a_community_once() {
    let set = message(
        1,
        b"private",
        SET,
        (0, 0),
        &[variable(NAME, OCTETS, b"owned\n"), variable("1.3.6.1.2.1.1.7.0", INTEGER, &[0, 200])]
            .concat(),
    );
    assert_eq!(
        facts(&[
            question(0, NEXT, (0, 0), &["1.3.6.1.2.1"]),
            question(1, BULK, (0, 10), &["1.3.6.1.2.1", NAME]),
            set.clone(),
            set,
            question(1, GET, (0, 0), &[NAME; 11]),
            question(3, GET, (0, 0), &[NAME]),
            b"GET / HTTP/1.0\r\n".to_vec(),
        ]),
        [
            "login public true",
            "v1 get-next 1.3.6.1.2.1",
            "v2c get-bulk 0/10 1.3.6.1.2.1 1.3.6.1.2.1.1.5.0",
            "login private false",
            "v2c set 1.3.6.1.2.1.1.5.0=\"owned\\x0a\" 1.3.6.1.2.1.1.7.0=02:00c8",
            "v2c set 1.3.6.1.2.1.1.5.0=\"owned\\x0a\" 1.3.6.1.2.1.1.7.0=02:00c8",
            "login public true",
            &format!("v2c get {} and 3 more", [NAME; 8].join(" ")),
            "v3 message",
            "no SNMP request: GET / HTTP/1.0\\x0d\\x0a",
        ]
    );
}

#[test]
fn long_names_are_told_within_bounds() {
    let long = vec!["4294967295"; 120].join(".");
    let names = [format!("1.3.{long}"), format!("1.3.1.{long}"), format!("1.3.2.{long}")];
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let told = facts(&[question(1, GET, (0, 0), &[names.clone(), names].concat())]);
    assert!(told[1].len() <= model::MAX_TEXT_BYTES, "{}", told[1].len());
    assert!(told[1].ends_with('…'));
}

proptest! {
    #[test]
    fn no_datagram_harms(datagram in prop::collection::vec(any::<u8>(), 0..400)) {
        let at: SocketAddr = local(161);
        let mut session = SnmpSession::new(printer(), at, peer());
        ask(&mut session, START, &datagram);
    }

    #[test]
    fn damage_is_answered_within_bounds(at in 0..60_usize, byte: u8, names in 1..6_usize) {
        let mut datagram = question(1, BULK, (0, 50), &vec![COLUMN; names]);
        let place = at % datagram.len();
        datagram[place] = byte;
        let (answer, mut answers) = ask(&mut session(&monitor()), START, &datagram);
        let most = MAX_ANSWER_BYTES.max(datagram.len());
        prop_assert!(answer.is_none_or(|answer| answer.len() <= most));
        prop_assert!(answers.take_facts().len() <= 2);
    }

    #[test]
    fn values_are_written_as_numbers_without_sign(word: u32) {
        let binding = super::message::binding(&oid("1.3.6"), &Value::Counter(word));
        let mut pair = Reader::new(Reader::new(&binding).body(SEQUENCE).expect("a pair"));
        pair.element().expect("a name");
        let value = pair.element().expect("a value").body;
        prop_assert!(value[0] < 0x80);
        let read = value.iter().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
        prop_assert_eq!(read, u64::from(word));
    }
}
