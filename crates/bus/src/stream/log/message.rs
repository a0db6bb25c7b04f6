//! What goes into a log and what comes out.

use super::super::state::UnixNanos;

/// Longest subject and longest message id, in bytes.
pub const MAX_FIELD: usize = u16::MAX as usize;

/// Most bytes of headers and body of one message, whatever the stream allows.
pub const MAX_MESSAGE: usize = 64 << 20;

/// Sizes that are the operator's to choose, the same for all streams of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// Bytes of a large segment, 64 MiB.
    pub segment_bytes: u32,
    /// Bytes of a stream's first segment, 1 MiB; each next one is twice as large, up to
    /// `segment_bytes`. One that must hold a larger message is larger.
    pub first_segment_bytes: u32,
    /// Message ids remembered per stream, 1,048,576. A full table forgets the oldest id before
    /// its window is over, and counts it in
    /// [`StreamState::forgotten_ids`](crate::stream::StreamState::forgotten_ids).
    pub max_ids: usize,
    /// Bytes of the remembered ids per stream, 64 MiB; the same when full.
    pub max_id_bytes: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            first_segment_bytes: 1 << 20,
            max_ids: 1 << 20,
            max_id_bytes: 64 << 20,
        }
    }
}

/// A message on its way into a log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Append<'a> {
    /// Its subject.
    pub subject: &'a [u8],
    /// Its header block, empty without headers.
    pub headers: &'a [u8],
    /// Its body.
    pub body: &'a [u8],
    /// Its id for dedupe (`Nats-Msg-Id`); kept beside the headers, which are not read.
    pub msg_id: Option<&'a [u8]>,
    /// What the publisher believes about the stream.
    pub expected: Expected<'a>,
}

/// What a publisher believes; a message whose belief is wrong is refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected<'a> {
    /// The number of the stream's last message.
    pub last_seq: Option<u64>,
    /// The number of the subject's last message, 0: there is none.
    pub last_subject_seq: Option<u64>,
    /// The id of the stream's last message.
    pub last_msg_id: Option<&'a [u8]>,
}

/// Where a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its number, or that of the first message with its id.
    pub seq: u64,
    /// The stream had its id already: nothing was appended. The first one may itself still wait
    /// for the commit, so the acknowledgement waits for it all the same.
    pub duplicate: bool,
}

/// A message read in place, valid until the log is touched again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peeked<'a> {
    /// Its place in the stream.
    pub seq: u64,
    /// When it was stored.
    pub at: UnixNanos,
    /// Its subject.
    pub subject: &'a [u8],
    /// Its header block, empty without headers.
    pub headers: &'a [u8],
    /// Its body.
    pub body: &'a [u8],
}
