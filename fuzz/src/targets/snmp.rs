//! The SNMP agent: datagrams, one after the other.

use decoys::{Answers, DatagramSession, Started, datagram::MAX_DATAGRAM_BYTES};
use model::Service;

use super::{Target, safe::assert_fact, visit};
use crate::Trace;

/// Longest answer to a short question.
const MAX_SHORT_ANSWER_BYTES: usize = 484;

/// A list of datagrams, each behind its length in two bytes. Their number decides on the persona.
pub(super) const TARGET: Target = Target {
    name: "snmp",
    about: "SNMP: answers are short, can be read, and do not depend on the datagrams before",
    words: &[
        "\x02\x01\x00",
        "\x02\x01\x01",
        "\x02\x01\x03",
        "\x04\x06public",
        "\x04\x07private",
        "\x05\x00",
        "\x06\x01\x2b",
        "\x06\x08\x2b\x06\x01\x02\x01\x01\x01\x00",
        "\x06\x09\x2b\x06\x01\x02\x01\x19\x01\x07\x00",
        "\x06\x0a\x2b\x06\x01\x02\x01\x02\x02\x01\x03\x02",
        "\x30\x0c",
        "\x02\x04\x7f\x7f\x7f\x7f",
    ],
    mutation: None,
    run,
};

fn run(input: &[u8], trace: &mut Trace) {
    let datagrams = datagrams(input);
    let mut session = begin(datagrams.len());
    for datagram in &datagrams {
        let (answer, facts) = ask(&mut *session, datagram);
        for fact in &facts {
            trace.note(assert_fact(fact));
        }
        let alone = ask(&mut *begin(datagrams.len()), datagram).0;
        assert_eq!(answer, alone, "an answer depends on the datagrams before");
        trace.note(answer.as_ref().map(|answer| check(answer, datagram)));
    }
}

fn begin(number: usize) -> Box<dyn DatagramSession> {
    let persona = visit::persona(number);
    let local = ([10, 66, 1, 10], Service::Snmp.port()).into();
    match decoys::start(Service::Snmp, persona, [3; 32], local, visit::peer()) {
        Started::Datagrams(session) => session,
        Started::Connection(_) => panic!("SNMP has no connections"),
    }
}

fn datagrams(mut input: &[u8]) -> Vec<&[u8]> {
    let mut datagrams = Vec::new();
    while let [high, low, rest @ ..] = input {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (datagram, rest) = rest.split_at(length.min(rest.len()).min(MAX_DATAGRAM_BYTES));
        datagrams.push(datagram);
        input = rest;
    }
    datagrams
}

fn ask(
    session: &mut dyn DatagramSession,
    datagram: &[u8],
) -> (Option<Vec<u8>>, Vec<model::SessionFact>) {
    let mut answers = Answers::new();
    session.receive(visit::START, datagram, &mut answers);
    let mut sent = answers.take_datagrams();
    assert!(sent.len() <= 1, "one answer to one question");
    (sent.pop(), answers.take_facts())
}

/// Holds an answer to its bounds; gives its status and how long it is, roughly.
fn check(answer: &[u8], datagram: &[u8]) -> (u8, usize) {
    let most = MAX_SHORT_ANSWER_BYTES.max(datagram.len() + 8);
    assert!(answer.len() <= most, "{} bytes to {}", answer.len(), datagram.len());
    let message = body(answer, 0x30);
    let (_, rest) = element(message, 0x02);
    let (_, rest) = element(rest, 0x04);
    let pdu = body(rest, 0xa2);
    let (_, rest) = element(pdu, 0x02);
    let (status, rest) = element(rest, 0x02);
    let (_, rest) = element(rest, 0x02);
    body(rest, 0x30);
    (status[0], answer.len() / 64)
}

/// What the one element that there is holds.
fn body(bytes: &[u8], tag: u8) -> &[u8] {
    let (body, rest) = element(bytes, tag);
    assert!(rest.is_empty(), "something behind the last element");
    body
}

/// What the first element holds, and what is behind it.
fn element(bytes: &[u8], tag: u8) -> (&[u8], &[u8]) {
    assert_eq!(bytes[0], tag);
    let (length, rest) = match bytes[1] {
        0x81 => (usize::from(bytes[2]), &bytes[3..]),
        0x82 => (usize::from(bytes[2]) << 8 | usize::from(bytes[3]), &bytes[4..]),
        short => (usize::from(short), &bytes[2..]),
    };
    rest.split_at(length)
}
