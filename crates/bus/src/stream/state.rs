//! What a stream holds: messages as they are read back, and the figures of the whole.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A point in time: nanoseconds since 1970-01-01 UTC. Handed in by whoever owns the clock.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixNanos(pub u64);

impl UnixNanos {
    /// This moment plus a duration, at most the end of time.
    #[must_use]
    pub fn after(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }

    /// This moment minus a duration, at least 1970.
    #[must_use]
    pub fn before(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }
}

fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// One message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its place in the stream, from 1.
    pub seq: u64,
    /// When it was stored; never earlier than the message before it.
    pub at: UnixNanos,
    /// Its subject.
    pub subject: Bytes,
    /// Its header block as published, empty without headers.
    pub headers: Bytes,
    /// Its body.
    pub body: Bytes,
}

/// The figures of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamState {
    /// Messages that are there.
    pub messages: u64,
    /// Their bytes on disk, frame and padding included.
    pub bytes: u64,
    /// The first message that is there; `last_seq + 1` in an empty stream.
    pub first_seq: u64,
    /// When it was stored; zero in an empty stream.
    pub first_at: UnixNanos,
    /// The last number given out, 0 before the first; it never falls.
    pub last_seq: u64,
    /// When that message was stored; zero before the first.
    pub last_at: UnixNanos,
    /// Distinct subjects that are there.
    pub subjects: u64,
    /// Numbers between the first and the last message that are gone.
    pub deleted: u64,
    /// Message ids that were forgotten before their window was over, because the table was full.
    pub forgotten_ids: u64,
}
