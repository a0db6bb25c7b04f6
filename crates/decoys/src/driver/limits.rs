//! What one visitor, and all of them together, may use up.

use std::time::Duration;

use super::Bucket;

/// Bounds that the driver holds for every session.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at the same time; more are closed as they are accepted.
    pub connections: usize,
    /// Connections of one source address at the same time; more are closed as they are accepted.
    pub connections_per_peer: usize,
    /// Sessions over datagrams at the same time; what would begin more is dropped. Few, because
    /// source addresses of datagrams can be forged, and each session is told to everybody.
    pub datagram_sessions: usize,
    /// Sessions over datagrams of one source address at the same time.
    pub datagram_sessions_per_peer: usize,
    /// How long a source may stay silent before its session over datagrams is over.
    pub datagram_idle: Duration,
    /// What may be answered to one source beyond what it sent by datagrams.
    pub answers_per_peer: Bucket,
    /// What may be answered to all sources together beyond what they sent by datagrams.
    pub answers: Bucket,
    /// Bytes that a session may send us, its data connection included.
    pub bytes_in: u64,
    /// Bytes that a session may get from us, its data connection included.
    pub bytes_out: u64,
    /// How long a session may last.
    pub duration: Duration,
    /// How long a visitor may stay silent.
    pub idle: Duration,
    /// How long a visitor may leave our bytes unread.
    pub write_stall: Duration,
    /// Facts that are kept of one session, `Started` and `Ended` included.
    pub facts: u32,
    /// How long a data connection may take to come.
    pub data_accept: Duration,
    /// How long input is discarded after [`crate::Flow::Linger`].
    pub linger: Duration,
    /// How long sessions may take to end when the driver stops.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8_192,
            connections_per_peer: 128,
            datagram_sessions: 512,
            datagram_sessions_per_peer: 128,
            datagram_idle: Duration::from_secs(10),
            answers_per_peer: Bucket { burst: 32 << 10, per_second: 1 << 10 },
            answers: Bucket { burst: 256 << 10, per_second: 32 << 10 },
            bytes_in: 64 << 20,
            bytes_out: 256 << 20,
            duration: Duration::from_secs(4 * 3600),
            idle: Duration::from_secs(900),
            write_stall: Duration::from_secs(30),
            facts: 20_000,
            data_accept: Duration::from_secs(30),
            linger: Duration::from_secs(2),
            grace: Duration::from_secs(2),
        }
    }
}
