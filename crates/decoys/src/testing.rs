//! Drives a session in tests the way the driver does, without sockets.

use std::{net::SocketAddr, sync::Arc};

use model::{
    Ambient, Archetype, DeckyId, InstallationSecret, Name, Persona, SessionFact, Timestamp,
};

use crate::{DataAction, Flow, Output, Session};

/// 2025-03-04T10:00:00Z: the moment at which tests begin.
pub(crate) const START: Timestamp = Timestamp::from_micros(1_741_082_400_000_000);

/// Everything that came out of a session.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ran {
    /// Bytes for the visitor.
    pub(crate) wire: Vec<u8>,
    /// Facts, in order.
    pub(crate) facts: Vec<SessionFact>,
    /// Actions on the data connection.
    pub(crate) data: Vec<DataAction>,
    /// Whether the session closed the connection.
    pub(crate) closed: bool,
}

impl Ran {
    /// Takes over what one call produced.
    pub(crate) fn absorb(&mut self, flow: Flow, out: &mut Output) {
        self.wire.extend(out.take_wire());
        self.facts.extend(out.take_facts());
        self.data.extend(out.take_data());
        self.closed |= flow != Flow::Continue;
    }
}

/// Opens a session and feeds it `chunks`, until it closes.
pub(crate) fn run<'a>(
    session: &mut dyn Session,
    now: Timestamp,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Ran {
    let mut ran = Ran::default();
    let mut out = Output::new();
    let flow = session.open(now, &mut out);
    ran.absorb(flow, &mut out);
    for chunk in chunks {
        if ran.closed {
            break;
        }
        let flow = session.receive(now, chunk, &mut out);
        ran.absorb(flow, &mut out);
    }
    ran
}

/// Asserts that `input` gives the same output whole, byte by byte, and cut in two anywhere.
pub(crate) fn check_splits(mut new: impl FnMut() -> Box<dyn Session>, input: &[u8]) {
    let whole = run(&mut *new(), START, [input]);
    assert_eq!(run(&mut *new(), START, input.chunks(1)), whole, "byte by byte");
    for at in 1..input.len() {
        let (head, tail) = input.split_at(at);
        assert_eq!(run(&mut *new(), START, [head, tail]), whole, "cut at {at}");
    }
}

/// A persona that is the same in every run; another `salt` makes another decky.
pub(crate) fn persona(salt: u64, name: &str, archetype: Archetype) -> Arc<Persona> {
    let decky: DeckyId = Ambient::seeded(salt, START).id();
    let name: Name = name.parse().expect("a valid name");
    Arc::new(Persona::derive(&InstallationSecret::new([7; 32]), decky, &name, archetype))
}

/// The visitor's address in tests.
pub(crate) fn peer() -> SocketAddr {
    "198.51.100.7:40123".parse().expect("an address")
}

/// The persona's address in tests, with `port`.
pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::new("10.66.1.10".parse().expect("an address"), port)
}
