//! Consumers as plain state: which messages of a stream were delivered to whom, which of them
//! are settled, who waits for more.
//!
//! Owns delivery order, acknowledgement, redelivery, pull requests and the pace of push
//! consumers. Knows no file, socket, clock or thread: the stream is looked at through
//! [`Source`], what goes out leaves through [`Outlet`], and `now` is handed in.
//!
//! The promise is at least once: state that was not saved before a crash leads to redelivery,
//! never to a message that nobody gets.

mod ack;
mod config;
mod cursor;
mod flow;
mod pending;
mod request;
mod saved;
mod serve;
mod settle;
mod status;
#[cfg(test)]
mod tests;

pub(crate) use ack::write_number;
pub use ack::{Ack, AckSubject};
pub use config::{AckPolicy, ConsumerConfig, Deliver, Push};
pub use cursor::{Cursor, CursorState, Point};
pub use request::{PullRequest, Requester};
pub use saved::RestoreError;
pub use status::{Status, flow_subject};

use model::Timestamp;

use super::{log::Filter, state::UnixNanos};

/// A message as a consumer sees it before it is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its sequence in the stream.
    pub seq: u64,
    /// Bytes that delivering it takes: its subjects, headers and body.
    pub bytes: u64,
    /// When it was stored.
    pub at: UnixNanos,
    /// Whether its subject can be written on the wire: a client of the broker can get it.
    pub on_the_wire: bool,
}

/// The visible part of a stream: what is committed.
pub trait Source {
    /// The first sequence that is there; one past [`Source::last`] where nothing is.
    fn first(&self) -> u64;
    /// The last sequence ever visible; zero in a new stream.
    fn last(&self) -> u64;
    /// The first message at or after `from` that the filter matches.
    fn next(&mut self, from: u64, filter: &Filter) -> Option<Head>;
    /// The message at `seq`, if it is still there.
    fn head(&mut self, seq: u64) -> Option<Head>;
    /// Messages at or after `from` that the filter matches.
    fn count(&mut self, from: u64, filter: &Filter) -> u64;
    /// The last message that the filter matches.
    fn last_matching(&mut self, filter: &Filter) -> Option<u64>;
    /// The first sequence stored at this moment or later; one past the last where there is none.
    fn since(&mut self, at: Timestamp) -> u64;
    /// The last message of every subject that the filter matches, ascending.
    fn last_per_subject(&mut self, filter: &Filter) -> Vec<u64>;
}

/// One delivery on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outbound {
    /// The message: always the one that [`Source::next`] or [`Source::head`] returned last.
    pub head: Head,
    /// Which delivery of the message this is, from 1.
    pub deliveries: u32,
    /// The delivery's number at the consumer.
    pub cseq: u64,
    /// Messages yet to be delivered for the first time.
    pub pending: u64,
}

/// Where deliveries and statuses leave; it can see the stream too.
pub trait Outlet {
    /// How it sees the stream.
    type Source: Source;
    /// The stream.
    fn source(&mut self) -> &mut Self::Source;
    /// A message for a requester.
    fn deliver(&mut self, to: &Requester, delivery: Outbound);
    /// A status for a requester.
    fn status(&mut self, to: &Requester, status: Status);
    /// Asks a push subscriber to answer on the flow control subject with this number.
    fn flow_control(&mut self, to: &Requester, number: u64);
}
