//! Why something did not work.

use std::{io, sync::Arc, time::Duration};

use super::Address;

/// Why a connection was not made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kernel says so: nobody listens, no such path, no permission.
    #[error("cannot connect to {address}")]
    Connect {
        /// Where.
        address: Address,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The other side does not answer.
    #[error("{address} did not answer within {limit:?}")]
    Timeout {
        /// Where.
        address: Address,
        /// How long was waited.
        limit: Duration,
    },
    /// The server does not want us.
    #[error("{address} refused the connection: {text}")]
    Refused {
        /// Where.
        address: Address,
        /// The server's own words.
        text: String,
    },
    /// The other side is no NATS server, or a broken one.
    #[error("{address} does not speak the NATS protocol: {what}")]
    Protocol {
        /// Where.
        address: Address,
        /// What it did.
        what: &'static str,
    },
    /// The server demands TLS, which this build does not have, or it has none and we demand it.
    #[error("{address} {what}")]
    NoTls {
        /// Where.
        address: Address,
        /// Who wants it.
        what: &'static str,
    },
    /// TLS did not come about.
    #[cfg(feature = "tls")]
    #[error("cannot speak TLS with {address}")]
    Tls {
        /// Where.
        address: Address,
        /// Why not.
        #[source]
        source: crate::tls::TlsError,
    },
    /// The seed is none, or there is nothing to sign.
    #[error("the nkey cannot be used: {what}")]
    Nkey {
        /// Why not.
        what: &'static str,
    },
}

/// How a connection ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Closed {
    /// We closed it.
    #[error("the connection is closed")]
    Here,
    /// The server closed it, after it said why.
    #[error("the server closed the connection: {0}")]
    Told(String),
    /// The server closed it without a word.
    #[error("the server closed the connection")]
    There,
    /// The socket failed.
    #[error("the connection broke")]
    Broke(#[source] Arc<io::Error>),
    /// What came in was no frame.
    #[error("the server said what is no frame of NATS")]
    Garbage,
    /// The server asks for more than it takes answers.
    #[error("the server does not take the answers to its pings")]
    Deaf,
    /// The server answered no pings.
    #[error("the server does not answer any more")]
    Stale,
}

/// Why something that was asked of a connection was not done.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection is over.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// A subject or filter that would break the protocol, or that a server refuses.
    #[error("`{0}` is no subject")]
    Subject(String),
    /// More than the server takes.
    #[error("a message of {bytes} bytes is above the server's limit of {max}")]
    TooLarge {
        /// Headers and body.
        bytes: usize,
        /// The server's `max_payload`.
        max: usize,
    },
    /// The server said no.
    #[error("refused by the server: {0}")]
    Refused(String),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Nobody is subscribed to the subject.
    #[error("nobody answers on `{0}`")]
    NoResponders(String),
    /// Somebody may be, but did not answer in time.
    #[error("no answer on `{subject}` within {limit:?}")]
    Timeout {
        /// Where it was sent.
        subject: String,
        /// How long was waited.
        limit: Duration,
    },
    /// It could not be sent, or the connection ended before the answer.
    #[error(transparent)]
    Client(#[from] ClientError),
}
