//! The log of one stream: segments with checksums, group commit, recovery.
//!
//! Synchronous, one owner, no clock and no threads but one that prepares the next segment.
//! What is appended is neither visible nor acknowledged before [`StreamLog::commit`], which
//! writes and syncs once. It refuses to know consumers (it keeps their state as bytes), headers
//! (opaque bytes) and the API.

mod error;
mod filter;

use std::path::Path;

use bytes::Bytes;

pub use error::{AppendError, Full, LogError, RegistryError};
pub use filter::Filter;

use super::{
    config::StreamConfig,
    state::{Stored, StreamState, UnixNanos},
};

/// Longest subject and longest message id, in bytes.
pub const MAX_FIELD: usize = u16::MAX as usize;

/// Sizes that are the operator's to choose, the same for all streams of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// Bytes of a large segment, 64 MiB.
    pub segment_bytes: u32,
    /// Bytes of a stream's first segment, 1 MiB; each next one is twice as large, up to
    /// `segment_bytes`.
    pub first_segment_bytes: u32,
    /// Message ids remembered per stream, 1,048,576. A full table forgets the oldest id before
    /// its window is over, and counts it in [`StreamState::forgotten_ids`].
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

/// What a purge takes away: all that match `filter`, before `before`, except the newest `keep`.
#[derive(Debug, Clone, Default)]
pub struct Purge {
    /// Which subjects; all without.
    pub filter: Option<Filter>,
    /// Only messages before this number.
    pub before: Option<u64>,
    /// How many of the newest that match stay.
    pub keep: Option<u64>,
}

/// What opening a log found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Messages that are there.
    pub messages: u64,
    /// Bytes of an interrupted, never acknowledged write, cut off.
    pub torn_bytes: u64,
    /// What was acknowledged and cannot be read any more.
    pub damage: Damage,
}

/// What was acknowledged and cannot be read any more. The rest of the log stays readable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Damage {
    /// Messages that are lost: first and last number of each run.
    pub messages: Vec<(u64, u64)>,
    /// Places where the bytes are wrong; more than the messages explain means that a deletion
    /// was lost, too.
    pub places: u64,
    /// Bytes that are wrong.
    pub bytes: u64,
}

/// The log of one stream.
#[derive(Debug)]
pub struct StreamLog;

#[allow(unused_variables, missing_docs)]
impl StreamLog {
    /// Makes a stream in `dir`, which must not exist; with memory storage nothing is written.
    ///
    /// # Errors
    ///
    /// The directory exists, or the file system refuses.
    pub fn create(
        dir: &Path,
        config: StreamConfig,
        options: &LogOptions,
        now: UnixNanos,
    ) -> Result<Self, LogError> {
        unimplemented!()
    }

    /// Opens the stream in `dir` and repairs what a crash left.
    ///
    /// # Errors
    ///
    /// The metadata are damaged or the file system refuses. Damaged messages are no error: see
    /// [`Recovery`].
    pub fn open(
        dir: &Path,
        options: &LogOptions,
        now: UnixNanos,
    ) -> Result<(Self, Recovery), LogError> {
        unimplemented!()
    }

    pub fn config(&self) -> &StreamConfig {
        unimplemented!()
    }

    /// When the stream was made.
    pub fn created(&self) -> UnixNanos {
        unimplemented!()
    }

    /// Appends a message to the batch that the next commit writes.
    ///
    /// # Errors
    ///
    /// Says why it was refused.
    pub fn append(
        &mut self,
        message: &Append<'_>,
        now: UnixNanos,
    ) -> Result<Appended, AppendError> {
        unimplemented!()
    }

    /// Writes everything since the last commit (messages and removals) and syncs once. Returns
    /// the number of the last durable message.
    ///
    /// # Errors
    ///
    /// After an error the log is poisoned.
    pub fn commit(&mut self) -> Result<u64, LogError> {
        unimplemented!()
    }

    /// Whether something waits for a commit.
    pub fn is_dirty(&self) -> bool {
        unimplemented!()
    }

    /// The number of the last durable message.
    pub fn committed(&self) -> u64 {
        unimplemented!()
    }

    /// One committed message; none where it is gone or not there yet.
    ///
    /// # Errors
    ///
    /// It is damaged or cannot be read.
    pub fn get(&mut self, seq: u64) -> Result<Option<Stored>, LogError> {
        unimplemented!()
    }

    /// As [`StreamLog::get`], without copying.
    ///
    /// # Errors
    ///
    /// It is damaged or cannot be read.
    pub fn peek(&mut self, seq: u64) -> Result<Option<Peeked<'_>>, LogError> {
        unimplemented!()
    }

    /// The first committed message at or after `from` that matches. Without one, ask again from
    /// `committed() + 1`.
    pub fn next_matching(&mut self, from: u64, filter: &Filter) -> Option<u64> {
        unimplemented!()
    }

    /// How many committed messages at or after `from` match.
    pub fn count_matching(&mut self, from: u64, filter: &Filter) -> u64 {
        unimplemented!()
    }

    /// The last committed message that matches.
    pub fn last_matching(&mut self, filter: &Filter) -> Option<u64> {
        unimplemented!()
    }

    /// The last committed message with this subject.
    pub fn last_by_subject(&self, subject: &[u8]) -> Option<u64> {
        unimplemented!()
    }

    /// The first committed message stored at or after a moment.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn first_since(&mut self, at: UnixNanos) -> Result<Option<u64>, LogError> {
        unimplemented!()
    }

    pub fn state(&self) -> StreamState {
        unimplemented!()
    }

    /// Subjects that match and their messages, in no order, at most `limit`.
    pub fn subjects(&self, filter: &Filter, limit: usize) -> Vec<(Bytes, u64)> {
        unimplemented!()
    }

    /// Removes a message, durable with the next commit; false where there is none. With `erase`
    /// its bytes are overwritten at that commit.
    ///
    /// # Errors
    ///
    /// The log is poisoned.
    pub fn delete(&mut self, seq: u64, erase: bool) -> Result<bool, LogError> {
        unimplemented!()
    }

    /// Removes a message that was consumed: as [`StreamLog::delete`], cheap.
    ///
    /// # Errors
    ///
    /// The log is poisoned.
    pub fn remove(&mut self, seq: u64) -> Result<bool, LogError> {
        unimplemented!()
    }

    /// Removes many messages, durable with the next commit; returns how many.
    ///
    /// # Errors
    ///
    /// The log is poisoned.
    pub fn purge(&mut self, purge: &Purge) -> Result<u64, LogError> {
        unimplemented!()
    }

    /// Changes limits and the rest of the configuration at once (synced); what the new limits do
    /// not allow is gone with the next commit.
    ///
    /// # Errors
    ///
    /// Name or storage differ, or the file system refuses.
    pub fn update(&mut self, config: StreamConfig) -> Result<(), LogError> {
        unimplemented!()
    }

    /// Removes messages over their age, a bounded number at a time, durable with the next
    /// commit; returns how many. More may be due: see [`StreamLog::next_expiry`].
    ///
    /// # Errors
    ///
    /// The log is poisoned or cannot be read.
    pub fn expire(&mut self, now: UnixNanos) -> Result<u64, LogError> {
        unimplemented!()
    }

    /// When the first message will be over its age; none without a limit or without messages.
    pub fn next_expiry(&self) -> Option<UnixNanos> {
        unimplemented!()
    }

    /// Removes the stream and its directory.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub fn destroy(self) -> Result<(), LogError> {
        unimplemented!()
    }

    /// Commits and marks the end, so that damage to it can be told from a crash.
    ///
    /// # Errors
    ///
    /// As [`StreamLog::commit`].
    pub fn close(self) -> Result<(), LogError> {
        unimplemented!()
    }

    /// Keeps the state of a consumer. Without `sync` it survives the process, with it (or a
    /// later save with it) the machine; a crash at any moment leaves this state or an earlier
    /// one, at least the last synced.
    ///
    /// # Errors
    ///
    /// The name is none, or the file system refuses.
    pub fn save_consumer(&mut self, name: &str, state: &[u8], sync: bool) -> Result<(), LogError> {
        unimplemented!()
    }

    /// All consumers with their last state; damaged ones come with `state: None`.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub fn load_consumers(&mut self) -> Result<Vec<StoredConsumer>, LogError> {
        unimplemented!()
    }

    /// Forgets a consumer (synced); unknown ones are no error.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub fn remove_consumer(&mut self, name: &str) -> Result<(), LogError> {
        unimplemented!()
    }
}

/// A consumer as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredConsumer {
    /// Its name.
    pub name: String,
    /// What was saved last; none where that is damaged.
    pub state: Option<Vec<u8>>,
}

/// The directory of all streams, held by this process alone.
#[derive(Debug)]
pub struct Registry;

/// One directory of a registry, opened or not.
#[derive(Debug)]
pub struct Opened {
    /// The stream's name, the directory's where the metadata cannot be read.
    pub name: String,
    /// The log, or why there is none. One stream's error does not stop the others.
    pub log: Result<(StreamLog, Recovery), LogError>,
}

#[allow(unused_variables, missing_docs)]
impl Registry {
    /// Takes the directory, making it where it is missing.
    ///
    /// # Errors
    ///
    /// Another process holds it, or the file system refuses.
    pub fn open(dir: &Path, options: LogOptions) -> Result<Self, RegistryError> {
        unimplemented!()
    }

    /// Opens every stream that is there, in the order of names.
    ///
    /// # Errors
    ///
    /// The directory cannot be listed.
    pub fn open_all(&self, now: UnixNanos) -> Result<Vec<Opened>, RegistryError> {
        unimplemented!()
    }

    /// Makes a stream.
    ///
    /// # Errors
    ///
    /// It exists or the file system refuses.
    pub fn create(&self, config: StreamConfig, now: UnixNanos) -> Result<StreamLog, LogError> {
        unimplemented!()
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        unimplemented!()
    }
}
