//! What a decoy protocol is to the driver: a state machine without I/O.
//!
//! Owns the trait and the output buffer. It must not know sockets, clocks or tasks: the time is
//! an argument, randomness comes from the seed given to [`crate::start()`].

use std::net::IpAddr;

use model::{SessionFact, Timestamp};

/// Most bytes that one call of a session may put into its output, wire and data connection
/// together; what is beyond is dropped and the driver ends the session with
/// `truncated = bytes`.
pub const MAX_OUTPUT_BYTES: usize = 8 << 20;

/// Most facts that one call of a session may record; what is beyond is dropped and the driver
/// ends the session with `truncated = facts`.
pub const MAX_OUTPUT_FACTS: usize = 16_384;

/// Whether the connection goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Wait for more.
    Continue,
    /// Write what is in the output, then close. Input that was not read yet makes the kernel
    /// send RST instead of FIN, as it does for the real daemons.
    Close,
    /// Write what is in the output, send FIN, then read and discard for a moment before the
    /// close, as web servers do, so that a visitor who still sends gets to read the answer.
    Linger,
}

/// What a session wants from its data connection (FTP). The driver owns the socket; a session
/// has at most one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DataAction {
    /// Listen on a free port of the local address for one connection of the same peer. Answered
    /// by [`DataEvent::Listening`], or by [`DataEvent::Closed`] where that fails. Replaces an
    /// earlier listener or connection without an event.
    Listen,
    /// Send these bytes on the data connection; before [`DataEvent::Connected`] they wait.
    Send(Vec<u8>),
    /// Close the data connection once everything was sent. Answered by [`DataEvent::Closed`].
    Close,
}

/// What happened to the data connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DataEvent {
    /// The driver listens. The address is the persona's, as the visitor believes it.
    Listening {
        /// The address to announce.
        addr: IpAddr,
        /// The port to announce.
        port: u16,
    },
    /// The peer connected.
    Connected,
    /// The peer sent this.
    Received(Vec<u8>),
    /// It is over: closed by either side, never connected in time, or it failed.
    Closed,
}

/// One conversation with one visitor, as plain state.
pub trait Session: Send {
    /// The connection was accepted: send the banner, if the protocol has one.
    fn open(&mut self, now: Timestamp, out: &mut Output) -> Flow;

    /// The visitor sent `bytes`. However the same input is cut into calls, the output is the same.
    fn receive(&mut self, now: Timestamp, bytes: &[u8], out: &mut Output) -> Flow;

    /// When [`Session::expire`] wants to be called; asked after every other call.
    fn deadline(&self) -> Option<Timestamp> {
        None
    }

    /// The deadline has passed.
    fn expire(&mut self, _now: Timestamp, _out: &mut Output) -> Flow {
        Flow::Continue
    }

    /// The visitor will send no more (FIN).
    fn finished(&mut self, _now: Timestamp, _out: &mut Output) -> Flow {
        Flow::Close
    }

    /// Something happened to the data connection. Protocols without one ignore it.
    fn data(&mut self, _now: Timestamp, _event: DataEvent, _out: &mut Output) -> Flow {
        Flow::Continue
    }
}

/// What a session produced during one call. The driver takes the facts first, then writes the
/// bytes, then acts on the data connection.
#[derive(Debug, Default)]
pub struct Output {
    wire: Vec<u8>,
    facts: Vec<SessionFact>,
    data: Vec<DataAction>,
    data_bytes: usize,
    overflow: Option<Overflow>,
}

/// Which bound of an [`Output`] was hit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overflow {
    /// [`MAX_OUTPUT_BYTES`].
    Bytes,
    /// [`MAX_OUTPUT_FACTS`].
    Facts,
}

impl Output {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends bytes to the visitor.
    pub fn send(&mut self, bytes: &[u8]) {
        if self.room_for(bytes.len()) {
            self.wire.extend_from_slice(bytes);
        }
    }

    /// Records a fact. `Started` and `Ended` are the driver's alone and must not come from here.
    pub fn record(&mut self, fact: SessionFact) {
        if self.facts.len() < MAX_OUTPUT_FACTS {
            self.facts.push(fact);
        } else {
            self.overflow.get_or_insert(Overflow::Facts);
        }
    }

    /// Acts on the data connection.
    pub fn data(&mut self, action: DataAction) {
        let bytes = match &action {
            DataAction::Send(bytes) => bytes.len(),
            DataAction::Listen | DataAction::Close => 0,
        };
        if self.room_for(bytes) && self.data.len() < MAX_OUTPUT_FACTS {
            self.data_bytes += bytes;
            self.data.push(action);
        }
    }

    /// Takes the bytes for the visitor.
    pub fn take_wire(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.wire)
    }

    /// Takes the facts, in order.
    pub fn take_facts(&mut self) -> Vec<SessionFact> {
        std::mem::take(&mut self.facts)
    }

    /// Takes the actions on the data connection, in order.
    pub fn take_data(&mut self) -> Vec<DataAction> {
        self.data_bytes = 0;
        std::mem::take(&mut self.data)
    }

    /// Takes the bound that was hit, if one was.
    pub fn take_overflow(&mut self) -> Option<Overflow> {
        self.overflow.take()
    }

    fn room_for(&mut self, bytes: usize) -> bool {
        let fits = self.wire.len() + self.data_bytes + bytes <= MAX_OUTPUT_BYTES;
        if !fits {
            self.overflow.get_or_insert(Overflow::Bytes);
        }
        fits
    }
}
