//! The log of one stream: segments with checksums, group commit, recovery.
//!
//! Synchronous, one owner, no clock and no threads but one that prepares the next segment.
//! What is appended is neither visible nor acknowledged before [`StreamLog::commit`], which
//! writes and syncs once. It refuses to know consumers (it keeps their state as bytes), headers
//! (opaque bytes) and the API.
//!
//! On disk a stream is a directory: `meta.json`, segments of records in the order in
//! which things happened, `consumers/`. A removal is a record, too, behind the message that
//! caused it, so that a crash between the two never takes the old without the new. A segment is
//! removed once nothing before its end is left; the segments that follow say so themselves.

mod append;
mod block;
mod consumers;
mod error;
mod examine;
mod files;
mod filter;
mod ids;
mod index;
mod life;
mod message;
mod meta;
mod names;
mod open;
pub(crate) mod ranges;
mod read;
mod record;
mod registry;
mod remove;
mod scan;
mod segment;
mod subjects;
mod tail;

use std::{
    collections::VecDeque,
    hash::BuildHasher,
    path::{Path, PathBuf},
};

pub use consumers::StoredConsumer;
pub use error::{AppendError, Full, LogError, RegistryError};
pub use examine::{Examined, ExaminedRecord, examine};
pub use filter::Filter;
pub use message::{Append, Appended, Expected, LogOptions, MAX_FIELD, MAX_MESSAGE, Peeked};
pub use open::{Damage, Recovery};
pub use registry::{Opened, Registry};
pub use remove::Purge;

use consumers::Consumers;
use ids::Ids;
use index::Index;
use meta::Meta;
use ranges::Ranges;
use read::Window;
use record::{Kind, Record};
use remove::Removals;
use segment::{Preparing, Segment};
use tail::Tail;

use super::{
    config::{Storage, StreamConfig},
    state::{StreamState, UnixNanos},
};

/// The log of one stream.
#[derive(Debug)]
pub struct StreamLog {
    /// None in memory.
    dir: Option<PathBuf>,
    meta: Meta,
    options: LogOptions,
    index: Index,
    /// One for each block of the index.
    segments: VecDeque<Segment>,
    /// The number of the next segment.
    next_number: u64,
    tail: Tail,
    removals: Removals,
    ids: Ids,
    last_msg_id: Box<[u8]>,
    last_at: UnixNanos,
    /// The latest moment that was handed in.
    now: UnixNanos,
    committed: u64,
    /// Consumed messages whose removal is not durable yet.
    consumed: Ranges,
    preparing: Option<Preparing>,
    window: Window,
    consumers: Consumers,
    poisoned: bool,
}

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
        let meta = Meta::new(config, now, salt());
        if meta.config.storage == Storage::Memory {
            let segment = Segment::in_memory(1, options.first_segment_bytes);
            return Self::begin(None, meta, options, segment, Consumers::in_memory());
        }
        if dir.exists() {
            return Err(LogError::Exists(meta.config.name));
        }
        life::begin(dir)?;
        let segment = segment::prepare(dir, 1, options.first_segment_bytes)?;
        let consumers = Consumers::open(dir)?;
        meta.save(dir)?;
        life::finish(dir)?;
        Self::begin(Some(dir.to_owned()), meta, options, segment, consumers)
    }

    fn begin(
        dir: Option<PathBuf>,
        meta: Meta,
        options: &LogOptions,
        segment: Segment,
        consumers: Consumers,
    ) -> Result<Self, LogError> {
        let mut log = Self::empty(dir, meta, options, consumers);
        log.begin_segment(segment);
        log.commit()?;
        Ok(log)
    }

    /// A log without segments.
    fn empty(dir: Option<PathBuf>, meta: Meta, options: &LogOptions, consumers: Consumers) -> Self {
        Self {
            dir,
            ids: Ids::new(meta.config.duplicate_window, options),
            meta,
            options: options.clone(),
            index: Index::default(),
            segments: VecDeque::new(),
            next_number: 1,
            tail: Tail::at(0),
            removals: Removals::default(),
            last_msg_id: Box::default(),
            last_at: UnixNanos(0),
            now: UnixNanos(0),
            committed: 0,
            consumed: Ranges::default(),
            preparing: None,
            window: Window::default(),
            consumers,
            poisoned: false,
        }
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &StreamConfig {
        &self.meta.config
    }

    /// When the stream was made.
    #[must_use]
    pub fn created(&self) -> UnixNanos {
        self.meta.created
    }

    /// The figures of the stream, what waits for a commit included.
    #[must_use]
    pub fn state(&self) -> StreamState {
        let (first_seq, last_seq) = (self.index.first_seq(), self.index.last_seq());
        StreamState {
            messages: self.index.messages(),
            bytes: self.index.bytes(),
            first_seq,
            first_at: self.first_at(),
            last_seq,
            last_at: self.last_at,
            subjects: self.index.subjects().len() as u64,
            deleted: (last_seq + 1 - first_seq).saturating_sub(self.index.messages()),
            forgotten_ids: self.ids.forgotten(),
        }
    }

    /// Writes everything since the last commit (messages and removals) and syncs once. Returns
    /// the number of the last durable message.
    ///
    /// # Errors
    ///
    /// Where a write or a sync failed the log is poisoned: what is on disk is unknown until it is
    /// [opened again](StreamLog::reopen). Otherwise there was no room for removals: the messages
    /// are durable, the removals wait for the next commit.
    pub fn commit(&mut self) -> Result<u64, LogError> {
        self.check()?;
        let removed = self.write_removals();
        if self.poisoned {
            return removed.map(|()| self.committed);
        }
        let written = self.flush();
        self.guard(written)?;
        self.committed = self.index.last_seq();
        if removed.is_ok() {
            self.consumed.clear();
            let erased = self.erase();
            self.guard(erased)?;
        }
        self.drop_dead();
        self.prepare_next();
        removed.map(|()| self.committed)
    }

    /// Whether something waits for a commit.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.tail.is_dirty() || !self.removals.is_empty()
    }

    /// Whether an earlier write failed; reads still work.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// The last number given out, committed or not.
    pub(crate) fn last_seq(&self) -> u64 {
        self.index.last_seq()
    }

    /// The number of the last durable message.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.committed
    }

    /// Changes limits and the rest of the configuration at once (synced); what the new limits do
    /// not allow is gone with the next commit.
    ///
    /// # Errors
    ///
    /// Name or storage differ, or the file system refuses.
    pub fn update(&mut self, config: StreamConfig) -> Result<(), LogError> {
        self.check()?;
        if config.name != self.meta.config.name {
            return Err(LogError::Fixed("the name"));
        }
        if config.storage != self.meta.config.storage {
            return Err(LogError::Fixed("the storage"));
        }
        let meta = Meta::new(config, self.meta.created, self.meta.salt);
        if let Some(dir) = &self.dir {
            meta.save(dir)?;
        }
        self.meta = meta;
        self.ids.set_window(self.meta.config.duplicate_window);
        self.enforce_subject_limits();
        self.enforce_limits();
        Ok(())
    }

    /// Takes the stream's name from its directory: whatever happens to the files, it is not found
    /// any more. Before it all is as it was.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub fn end(&mut self) -> Result<(), LogError> {
        self.preparing = None;
        if let Some(dir) = &mut self.dir {
            life::end(dir)?;
        }
        Ok(())
    }

    /// Removes the stream and its directory.
    ///
    /// # Errors
    ///
    /// The file system refuses; after [`StreamLog::end`] the next opening of the directory of all
    /// streams removes the rest.
    pub fn destroy(mut self) -> Result<(), LogError> {
        self.end()?;
        self.dir.as_deref().map_or(Ok(()), life::clear)
    }

    /// Commits and marks the end, so that later damage to it can be told from a crash.
    ///
    /// # Errors
    ///
    /// As [`StreamLog::commit`].
    pub fn close(mut self) -> Result<(), LogError> {
        self.commit()?;
        self.consumers.sync()?;
        let end = Record::control(Kind::Durable, 0, self.committed, self.last_at);
        let marked = self.push(&end).and_then(|_| self.flush());
        self.guard(marked)
    }

    fn check(&self) -> Result<(), LogError> {
        if self.poisoned { Err(LogError::Poisoned) } else { Ok(()) }
    }

    /// After a failed write or sync nothing is known about the file: pages that could not be
    /// written may be marked clean, and a second sync would lie.
    fn guard<T>(&mut self, result: Result<T, LogError>) -> Result<T, LogError> {
        self.poisoned |= result.is_err();
        result
    }

    /// Writes and syncs what waits in the tail.
    fn flush(&mut self) -> Result<(), LogError> {
        let Some(segment) = self.segments.back_mut() else { return Ok(()) };
        self.tail.flush(segment)
    }

    /// Adds a record to the tail, in a new segment where this one is full; where it is.
    fn push(&mut self, record: &Record<'_>) -> Result<u32, LogError> {
        self.reserve(record.len(), 0)?;
        let record = Record { durable: self.tail.durable(), ..*record };
        Ok(self.tail.push(&record, self.meta.salt))
    }

    /// Makes room for a record that leaves `kept` bytes to others. A segment is begun only once
    /// the one before it is durable.
    fn reserve(&mut self, len: usize, kept: u32) -> Result<(), LogError> {
        let size = self.segments.back().map_or(0, |segment| segment.size);
        let size = size - kept.min(size / 8);
        let end = self.tail.end() as usize + record::padded(len);
        if end <= size as usize {
            return Ok(());
        }
        let flushed = self.flush();
        self.guard(flushed)?;
        let segment = self.next_segment(len)?;
        self.begin_segment(segment);
        Ok(())
    }

    /// A segment with room for a record: the one prepared, or one made now, a small one where
    /// there is no room for more.
    fn next_segment(&mut self, len: usize) -> Result<Segment, LogError> {
        let needed = (record::padded(len) + SEGMENT_RECORD) as u32;
        let size = self.next_size().max(needed);
        let Some(dir) = &self.dir else { return Ok(Segment::in_memory(self.next_number, size)) };
        match self.preparing.take().and_then(Preparing::finish) {
            Some(segment) if segment.size >= needed => Ok(segment),
            _ => {
                let least = self.options.first_segment_bytes.max(needed);
                segment::prepare(dir, self.next_number, size).or_else(|error| match least < size {
                    true => segment::prepare(dir, self.next_number, least),
                    false => Err(error),
                })
            }
        }
    }

    fn next_size(&self) -> u32 {
        let largest = self.options.segment_bytes.max(self.options.first_segment_bytes);
        self.segments
            .back()
            .map_or(self.options.first_segment_bytes, |segment| segment.size.saturating_mul(2))
            .min(largest)
    }

    fn begin_segment(&mut self, segment: Segment) {
        let base = self.index.last_seq() + 1;
        let first = self.index.first_seq().to_le_bytes();
        let record =
            Record { body: &first, ..Record::control(Kind::Segment, 0, base, self.last_at) };
        self.next_number = segment.number + 1;
        self.segments.push_back(segment);
        self.index.begin_block(base);
        self.tail = Tail::at(0);
        self.tail.push(&record, self.meta.salt);
    }

    /// Has the next segment made once this one is half full.
    fn prepare_next(&mut self) {
        let (Some(dir), Some(segment)) = (&self.dir, self.segments.back()) else { return };
        if self.preparing.is_none() && self.tail.end() > segment.size / 2 {
            self.preparing = Preparing::start(dir, self.next_number, self.next_size());
        }
    }

    /// Removes the segments at the front in which nothing is left. That their messages are gone
    /// is durable in later segments: removals name the first message that is there.
    fn drop_dead(&mut self) {
        while self.first_is_dead() && !self.first_is_held() {
            self.index.drop_block();
            let Some(segment) = self.segments.pop_front() else { return };
            if let Err(error) = segment.remove() {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(stream.name = %self.meta.config.name, error, "dead segment stays");
            }
        }
    }

    /// Whether the first segment is not the last, and nothing is left in it.
    fn first_is_dead(&self) -> bool {
        let blocks = self.index.blocks();
        let Some(end) = blocks.get(1).map(|next| next.base()) else { return false };
        blocks[0].live() == 0 && !self.index.missing.iter().any(|(first, _)| first < end)
    }

    /// Whether the first segment, dead, is still needed for its message ids: a restart would
    /// forget them within their window. Dead segments over [`MAX_HELD`] go all the same.
    fn first_is_held(&self) -> bool {
        let window = self.meta.config.duplicate_window;
        let needed = self.index.blocks()[0].last_id_at > self.now.before(window);
        if !needed || self.dir.is_none() {
            return false;
        }
        let dead = self.index.blocks().iter().zip(&self.segments);
        let dead = dead.take_while(|(block, _)| block.live() == 0);
        dead.map(|(_, segment)| u64::from(segment.size)).sum::<u64>() <= MAX_HELD
    }
}

#[cfg(test)]
impl StreamLog {
    /// From now on the last segment cannot be written.
    pub(crate) fn break_files(&mut self) {
        let (Some(dir), Some(last)) = (&self.dir, self.segments.back_mut()) else { return };
        let path = dir.join(segment::file_name(last.number));
        let read_only = std::fs::File::open(&path).expect("a segment has a file");
        *last = Segment::of_file(last.number, last.size, read_only, path);
    }
}

/// Bytes of segments in which nothing but message ids is left, per stream.
const MAX_HELD: u64 = 128 << 20;

/// Padded bytes of the record that begins a segment.
const SEGMENT_RECORD: usize = record::HEAD + 8;

/// Unpredictable for whoever writes messages; no secret otherwise.
fn salt() -> u32 {
    std::hash::RandomState::new().hash_one("salt") as u32
}

#[cfg(test)]
mod tests;
