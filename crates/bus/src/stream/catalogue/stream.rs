//! One stream with its consumers. Owns the log and the cursors over it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use model::Timestamp;
use tokio::sync::oneshot;

use super::super::{
    Filter, LogError, Retention, StreamLog,
    consumer::Cursor,
    engine::port::Reader,
    types::{ConsumerInfo, PubAck, PublishError, StreamInfo},
};
use crate::{broker::OutgoingBatch, matcher};

/// A consumer and where the engine keeps it.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) name: Arc<str>,
    pub(crate) cursor: Cursor,
    /// Stands in the list of those to be served in this cycle.
    pub(crate) touched: bool,
    /// The earliest wake-up that the engine has noted for it.
    pub(crate) wakes_at: Option<Timestamp>,
}

/// An answer that a publisher in this process waits for.
pub(crate) type Waiter = (oneshot::Sender<Result<PubAck, PublishError>>, PubAck);

/// The pause before the first try to mend a stream's files.
const MEND_AFTER: Duration = Duration::from_millis(500);
/// The pause between tries never grows beyond this.
const MEND_WITHIN: Duration = Duration::from_secs(60);

/// How the next try to mend a stream's files stands.
#[derive(Debug, Clone, Copy)]
struct Mending {
    planned: bool,
    pause: Duration,
}

pub(crate) struct Stream {
    pub(crate) log: StreamLog,
    name: Arc<str>,
    pub(crate) sids: Vec<u64>,
    slots: Vec<Option<Consumer>>,
    names: BTreeMap<Arc<str>, usize>,
    /// `{"stream":"NAME", "seq":`, which begins every acknowledgement.
    pub(crate) ack_prefix: Box<[u8]>,
    /// Acknowledgements that leave once what they speak of is committed.
    pub(crate) acks: OutgoingBatch,
    pub(crate) waiters: Vec<Waiter>,
    /// Stands in the list of those to be committed in this cycle.
    pub(crate) touched: bool,
    /// A message since the last commit replaced earlier ones.
    pub(crate) rolled_up: bool,
    /// It takes no message: all streams together are full.
    pub(crate) starved: bool,
    /// When the engine looks for messages over their age.
    pub(crate) expires_at: Option<Timestamp>,
    /// The first sequence that consumers were told of.
    first_told: u64,
    mending: Option<Mending>,
}

impl Stream {
    pub(super) fn new(log: StreamLog) -> Self {
        let name: Arc<str> = log.config().name.as_str().into();
        let ack_prefix = format!("{{\"stream\":\"{name}\", \"seq\":").into_bytes().into();
        let first_told = log.state().first_seq;
        Self {
            log,
            name,
            sids: Vec::new(),
            slots: Vec::new(),
            names: BTreeMap::new(),
            ack_prefix,
            acks: OutgoingBatch::default(),
            waiters: Vec::new(),
            touched: false,
            rolled_up: false,
            starved: false,
            expires_at: None,
            first_told,
            mending: None,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    pub(crate) fn overlaps(&self, filter: &[u8]) -> bool {
        let mut subjects = self.log.config().subjects.iter();
        subjects.any(|subject| matcher::overlaps(subject.as_bytes(), filter))
    }

    pub(crate) fn info(&self) -> StreamInfo {
        StreamInfo {
            config: self.log.config().clone(),
            created: self.log.created(),
            state: self.log.state(),
            consumers: self.names.len(),
        }
    }

    /// Takes up the consumers that were kept, and lets go of what none of them needs. Where one is
    /// not readable nobody knows what that is.
    pub(super) fn load_consumers(&mut self, now: Timestamp) {
        let stored = match self.log.load_consumers() {
            Ok(stored) => stored,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                return tracing::error!(stream.name = %self.name, error, "consumers not read");
            }
        };
        let mut all = true;
        for consumer in stored {
            let reader = Reader::new(&mut self.log);
            let restored = consumer.state.map(|state| Cursor::restore(&state, &reader, now));
            match restored {
                Some(Ok(cursor)) => {
                    self.insert(cursor);
                }
                _ => {
                    all = false;
                    tracing::error!(stream.name = %self.name, consumer.name = consumer.name, "consumer's state is damaged");
                }
            }
        }
        if all {
            self.drop_unneeded();
        }
    }

    pub(super) fn insert(&mut self, cursor: Cursor) -> usize {
        let name: Arc<str> = cursor.config().name.as_str().into();
        let slot = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        self.names.insert(Arc::clone(&name), slot);
        self.slots[slot] = Some(Consumer { name, cursor, touched: false, wakes_at: None });
        slot
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Consumer> {
        let slot = self.names.remove(name)?;
        self.slots[slot].take()
    }

    pub(crate) fn consumer_slot(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    pub(crate) fn consumer_slots(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn consumer_at(&mut self, slot: usize) -> Option<&mut Consumer> {
        self.slots.get_mut(slot)?.as_mut()
    }

    /// A consumer and the log that it reads.
    pub(crate) fn consumer_and_log(
        &mut self,
        slot: usize,
    ) -> Option<(&mut Consumer, &mut StreamLog)> {
        let consumer = self.slots.get_mut(slot)?.as_mut()?;
        Some((consumer, &mut self.log))
    }

    pub(crate) fn consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.names.values().filter_map(|slot| self.slots[*slot].as_ref())
    }

    pub(crate) fn consumer_names(&self) -> Vec<&str> {
        self.names.keys().map(AsRef::as_ref).collect()
    }

    pub(crate) fn consumer_info(&mut self, name: &str) -> Option<ConsumerInfo> {
        let slot = self.consumer_slot(name)?;
        let stream = self.name.as_ref().to_owned();
        let (consumer, log) = self.consumer_and_log(slot)?;
        let state = consumer.cursor.state(&mut Reader::new(log));
        let (config, created) = (consumer.cursor.config().clone(), consumer.cursor.created());
        Some(ConsumerInfo { stream, config, created, state })
    }

    /// After messages went because of limits: tells consumers where the stream begins now.
    pub(crate) fn follow_removals(&mut self) {
        let first = self.log.state().first_seq;
        if first != self.first_told {
            self.first_told = first;
            for consumer in self.slots.iter_mut().flatten() {
                consumer.cursor.trimmed(first);
            }
        }
    }

    /// After messages went from anywhere: the consumers count anew.
    pub(crate) fn forget_removed(&mut self) {
        self.follow_removals();
        for consumer in self.slots.iter_mut().flatten() {
            consumer.cursor.recount();
        }
    }

    /// Whether acknowledgements take messages out of the stream.
    pub(crate) fn consumes(&self) -> bool {
        self.log.config().retention != Retention::Limits
    }

    /// Removes messages that nobody needs any more; `settled` by one consumer.
    pub(crate) fn consume(&mut self, settled: &[u64]) {
        let interest = self.log.config().retention == Retention::Interest;
        for seq in settled.iter().copied() {
            if interest && self.still_needed(seq) {
                continue;
            }
            if let Err(error) = self.log.remove(seq) {
                tracing::debug!(stream.name = %self.name, error = &error as &dyn std::error::Error, "consumed message not removed yet");
            }
        }
    }

    fn still_needed(&mut self, seq: u64) -> bool {
        let (log, mut consumers) = (&mut self.log, self.slots.iter().flatten());
        consumers.any(|c| c.cursor.needs(seq) && log.is_wanted(seq, c.cursor.filter()))
    }

    /// With interest retention: drops what waits for the commit and nobody wants. In the same
    /// commit, so that no crash leaves it behind.
    fn drop_unwanted(&mut self) {
        if self.log.config().retention == Retention::Interest {
            let fresh: Vec<u64> = (self.log.committed() + 1..=self.log.last_seq()).collect();
            self.consume(&fresh);
        }
    }

    /// With interest retention: drops everything that nobody needs any more.
    fn drop_unneeded(&mut self) {
        if self.log.config().retention != Retention::Interest {
            return;
        }
        let (all, mut from) = (Filter::all(), 0);
        while let Some(seq) = self.log.next_matching(from, &all) {
            self.consume(&[seq]);
            from = seq + 1;
        }
    }

    /// Writes what waits. Messages and removals for which there was no room go on waiting.
    pub(crate) fn commit(&mut self) -> Result<(), LogError> {
        if self.log.is_poisoned() {
            return Err(LogError::Poisoned);
        }
        if !self.log.is_dirty() {
            return Ok(());
        }
        self.drop_unwanted();
        let committed = self.log.commit().map(|_| ());
        committed.inspect_err(|error| {
            let error = error as &dyn std::error::Error;
            tracing::error!(stream.name = %self.name, error, "stream not written");
        })
    }

    /// Whether something waits that could not be written.
    pub(super) fn is_unwritten(&self) -> bool {
        self.log.is_dirty() || self.log.is_poisoned()
    }

    /// When its files are to be tried again; none where that is planned already.
    pub(crate) fn mend_at(&mut self, now: Timestamp) -> Option<Timestamp> {
        let mending = self.mending.get_or_insert(Mending { planned: false, pause: MEND_AFTER / 2 });
        if std::mem::replace(&mut mending.planned, true) {
            return None;
        }
        mending.pause = (mending.pause * 2).min(MEND_WITHIN);
        Some(now.plus(mending.pause))
    }

    /// All is written: the next trouble is tried soon again.
    pub(super) fn mended(&mut self) {
        self.mending.take_if(|mending| !mending.planned);
    }

    /// Opens the log again where its files failed; what was published and not committed is gone.
    pub(super) fn mend(&mut self, now: Timestamp) -> Result<(), LogError> {
        if let Some(mending) = &mut self.mending {
            mending.planned = false;
        }
        if !self.log.is_poisoned() {
            return Ok(());
        }
        let recovery = self.log.reopen(super::nanos(now))?;
        super::report(&self.name, &recovery);
        self.follow_removals();
        let reader = Reader::new(&mut self.log);
        self.slots.iter_mut().flatten().for_each(|consumer| consumer.cursor.resume(&reader));
        Ok(())
    }

    /// Saves the consumers whose state changed, as far as it can be saved now: false where some
    /// are left.
    pub(crate) fn save_consumers(&mut self) -> bool {
        if self.commit_consumed().is_err() {
            return false;
        }
        let dirty = self.slots.iter_mut().flatten().filter(|c| c.cursor.is_dirty());
        dirty.fold(true, |all, consumer| {
            let saved = save(&mut self.log, &self.name, consumer, false);
            all && saved.is_ok()
        })
    }

    /// Has the state of a consumer on disk, and before it the removal of what it consumed.
    pub(crate) fn save_consumer(&mut self, slot: usize) -> Result<(), LogError> {
        self.commit_consumed()?;
        let Some(consumer) = self.slots.get_mut(slot).and_then(Option::as_mut) else {
            return Ok(());
        };
        save(&mut self.log, &self.name, consumer, true)
    }

    /// What a consumer is done with leaves the stream before its state says so: otherwise a crash
    /// in between would leave a message that nobody gets and nobody removes.
    fn commit_consumed(&mut self) -> Result<(), LogError> {
        if self.consumes() { self.commit() } else { Ok(()) }
    }
}

fn save(
    log: &mut StreamLog,
    stream: &str,
    consumer: &mut Consumer,
    sync: bool,
) -> Result<(), LogError> {
    if !consumer.cursor.config().durable {
        return Ok(());
    }
    let saved = match consumer.cursor.is_dirty() {
        true => log.save_consumer(&consumer.name, &consumer.cursor.save(), sync),
        false if sync => log.sync_consumer(&consumer.name),
        false => Ok(()),
    };
    consumer.cursor.saved(saved.is_ok());
    saved.inspect_err(|error| {
        let error = error as &dyn std::error::Error;
        tracing::error!(stream.name = stream, consumer.name = %consumer.name, error, "consumer not saved");
    })
}
