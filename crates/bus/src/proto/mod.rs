//! The NATS client protocol: frames, headers, INFO and CONNECT.
//!
//! Owns what bytes mean on the wire, in both directions, and how they are written. Pure: no
//! sockets, no clock, no state between two calls. It refuses to know who may do what, who is
//! subscribed, and what a connection has to say next.
//!
//! A reader hands the whole unread part of its buffer to [`parse_client`] or [`parse_server`] and
//! gets a frame that borrows from it, or how long the buffer has to become. Parsing the same bytes
//! in other pieces gives the same frames.

mod client;
mod errors;
mod headers;
mod line;
mod options;
mod server;
#[cfg(test)]
mod tests;
pub mod write;

pub use client::parse_client;
pub use errors::{ErrText, ProtoError};
pub use headers::{HeaderBuilder, HeaderError, Headers};
pub(crate) use line::is_blank;
pub use options::{ConnectError, ConnectOptions, ServerInfo};
pub use server::parse_server;

/// What a peer may send at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtoLimits {
    /// Bytes of a control line's arguments, CONNECT's included.
    pub max_control_line: usize,
    /// Bytes of a message, headers included.
    pub max_payload: usize,
}

impl Default for ProtoLimits {
    fn default() -> Self {
        ProtoLimits { max_control_line: 4096, max_payload: 1 << 20 }
    }
}

/// What the beginning of a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<F> {
    /// A whole frame.
    Frame {
        /// What was said.
        frame: F,
        /// Bytes of the buffer that it took.
        used: usize,
    },
    /// The beginning of one.
    Incomplete {
        /// How long the buffer has to become before it is worth asking again: where the end of the
        /// frame is not known yet, one byte more than there is.
        need: usize,
    },
}

/// What a client sends, borrowed from the buffer that it was read into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFrame<'a> {
    /// Who it is and what it wants: JSON, see [`ConnectOptions::parse`].
    Connect(&'a [u8]),
    /// Wants a PONG.
    Ping,
    /// Answers a PING.
    Pong,
    /// An INFO: it has no meaning from a client.
    Info,
    /// A `+OK`: it has no meaning from a client.
    Ok_,
    /// A `-ERR`: the client is unhappy; nats-server closes then.
    Err(&'a [u8]),
    /// PUB or HPUB.
    Pub {
        /// Where it goes; nothing is known about it but that it has no white space.
        subject: &'a [u8],
        /// Where answers go.
        reply: Option<&'a [u8]>,
        /// How much of `payload` is the header block; 0 for a PUB.
        headers_len: usize,
        /// The header block and the body.
        payload: &'a [u8],
        /// Whether it was an HPUB, which a client must have announced.
        hpub: bool,
    },
    /// SUB.
    Sub {
        /// The filter, not validated.
        subject: &'a [u8],
        /// The queue group.
        queue: Option<&'a [u8]>,
        /// The client's name for the subscription.
        sid: &'a [u8],
    },
    /// UNSUB.
    Unsub {
        /// The client's name for the subscription.
        sid: &'a [u8],
        /// Messages after which it ends, counted from its beginning; at once where absent. What
        /// is no number counts as absent, as in nats-server.
        max: Option<u64>,
    },
}

/// What a server sends, borrowed from the buffer that it was read into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerFrame<'a> {
    /// What the server is: JSON of [`ServerInfo`].
    Info(&'a [u8]),
    /// MSG or HMSG.
    Msg {
        /// Where it was published to.
        subject: &'a [u8],
        /// The subscription that it is for.
        sid: &'a [u8],
        /// Where answers go.
        reply: Option<&'a [u8]>,
        /// How much of `payload` is the header block; 0 for a MSG.
        headers_len: usize,
        /// The header block and the body.
        payload: &'a [u8],
    },
    /// Wants a PONG.
    Ping,
    /// Answers a PING.
    Pong,
    /// `+OK`, to verbose clients.
    Ok,
    /// `-ERR`: the text without its quotes.
    Err(&'a [u8]),
}
