//! All streams and their consumers, by name: making, changing, looking at and removing them.
//!
//! Synchronous, one owner. Knows no thread, socket or JSON: the engine's thread drives it, the
//! JetStream facade and the in-process API ask it. What it changes is durable when the call
//! returns.

mod account;
mod captures;
mod consumers;
mod rules;
mod stream;

use std::collections::{BTreeMap, HashMap};

use captures::Captures;
use model::{Ambient, Timestamp};

pub(crate) use stream::{Consumer, Stream};

use super::{
    Purge, Registry, StreamConfig, StreamLog, UnixNanos,
    types::{OpenError, StreamInfo, StreamsConfig, StreamsError},
};
use crate::matcher;

/// Which subscription of the broker feeds which stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Interest {
    Begin { sid: u64, filter: Box<[u8]> },
    End { sid: u64 },
}

pub(crate) struct Catalogue {
    registry: Registry,
    limits: StreamsConfig,
    ambient: Ambient,
    slots: Vec<Option<Stream>>,
    names: BTreeMap<String, usize>,
    captures: Captures,
    /// Which stream a subscription feeds.
    sids: HashMap<u64, usize>,
    next_sid: u32,
    interest: Vec<Interest>,
    /// Streams with something that could not be written.
    unwritten: Vec<usize>,
}

impl Catalogue {
    pub(crate) fn open(
        registry: Registry,
        limits: StreamsConfig,
        ambient: Ambient,
    ) -> Result<Self, OpenError> {
        let now = ambient.now();
        let found = registry.open_all(nanos(now))?;
        let mut catalogue = Self {
            registry,
            limits,
            ambient,
            slots: Vec::new(),
            names: BTreeMap::new(),
            captures: Captures::default(),
            sids: HashMap::new(),
            next_sid: 0,
            interest: Vec::new(),
            unwritten: Vec::new(),
        };
        for opened in found {
            catalogue.recover(opened, now);
        }
        Ok(catalogue)
    }

    fn recover(&mut self, opened: super::Opened, now: Timestamp) {
        match opened.log {
            Ok((log, recovery)) => {
                report(&opened.name, &recovery);
                let slot = self.adopt(log);
                if let Some(stream) = self.slots[slot].as_mut() {
                    stream.load_consumers(now);
                }
            }
            Err(error) => {
                tracing::error!(
                    stream.name = opened.name,
                    error = &error as &dyn std::error::Error,
                    "stream not opened"
                );
            }
        }
    }

    fn adopt(&mut self, log: StreamLog) -> usize {
        let slot = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        let stream = Stream::new(log);
        self.names.insert(stream.name().to_owned(), slot);
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot] = Some(stream);
        self.begin_interest(slot);
        slot
    }

    fn begin_interest(&mut self, slot: usize) {
        let Some(stream) = self.slots[slot].as_mut() else { return };
        for subject in &stream.log.config().subjects {
            self.next_sid += 1;
            let sid = (slot as u64 + 1) << 32 | u64::from(self.next_sid);
            stream.sids.push(sid);
            self.sids.insert(sid, slot);
            self.captures.add(subject.as_bytes(), slot);
            self.interest.push(Interest::Begin { sid, filter: subject.as_bytes().into() });
        }
    }

    fn end_interest(&mut self, slot: usize) {
        let Some(stream) = self.slots[slot].as_mut() else { return };
        for sid in stream.sids.drain(..) {
            self.sids.remove(&sid);
            self.interest.push(Interest::End { sid });
        }
        self.captures.remove(slot);
    }

    /// What changed about the subscriptions since the last call.
    pub(crate) fn take_interest(&mut self) -> Vec<Interest> {
        std::mem::take(&mut self.interest)
    }

    /// All subscriptions anew, for a broker that knows none.
    pub(crate) fn renew_interest(&mut self) {
        self.interest.clear();
        self.sids.clear();
        for slot in 0..self.slots.len() {
            if let Some(stream) = self.slots[slot].as_mut() {
                stream.sids.clear();
            }
            self.captures.remove(slot);
            self.begin_interest(slot);
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.ambient.now()
    }

    pub(crate) fn ambient(&self) -> &Ambient {
        &self.ambient
    }

    /// The stream that subscription `sid` feeds.
    pub(crate) fn by_sid(&mut self, sid: u64) -> Option<(usize, &mut Stream)> {
        let slot = *self.sids.get(&sid)?;
        Some((slot, self.slots.get_mut(slot)?.as_mut()?))
    }

    pub(crate) fn at(&mut self, slot: usize) -> Option<&mut Stream> {
        self.slots.get_mut(slot)?.as_mut()
    }

    /// Streams that could not be written since the last call.
    pub(crate) fn take_unwritten(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.unwritten)
    }

    /// Takes note of a stream that could not be written, or could be.
    pub(crate) fn note_unwritten(&mut self, slot: usize) {
        match self.at(slot) {
            Some(stream) if stream.is_unwritten() => self.unwritten.push(slot),
            Some(stream) => stream.mended(),
            None => {}
        }
    }

    /// Tries the files of a stream again; false where they fail again, which is noted.
    pub(crate) fn mend(&mut self, slot: usize) -> bool {
        let now = self.now();
        let Some(stream) = self.at(slot) else { return false };
        let mended = stream.mend(now);
        if let Err(error) = &mended {
            let error = error as &dyn std::error::Error;
            tracing::error!(stream.name = stream.name(), error, "stream's files fail again");
            self.note_unwritten(slot);
        }
        mended.is_ok()
    }

    /// Commits a stream by its name.
    fn commit(&mut self, name: &str) -> Result<(), StreamsError> {
        let slot = self.slot(name).ok_or_else(|| StreamsError::NoStream(name.to_owned()))?;
        let committed = self.at(slot).map_or(Ok(()), Stream::commit);
        self.note_unwritten(slot);
        Ok(committed?)
    }

    pub(crate) fn look(&self, slot: usize) -> Option<&Stream> {
        self.slots.get(slot)?.as_ref()
    }

    pub(crate) fn infos(&self) -> Vec<StreamInfo> {
        self.names.values().filter_map(|slot| Some(self.look(*slot)?.info())).collect()
    }

    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn slot(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    pub(crate) fn get(&mut self, name: &str) -> Result<&mut Stream, StreamsError> {
        let slot = self.slot(name);
        slot.and_then(|slot| self.at(slot)).ok_or_else(|| StreamsError::NoStream(name.to_owned()))
    }

    /// The stream that captures a subject.
    pub(crate) fn capturing(&self, subject: &[u8]) -> Option<usize> {
        self.captures.of(subject)
    }

    /// Names in order, of those streams only that capture what `filter` can name.
    pub(crate) fn names(&self, filter: Option<&str>) -> Vec<&str> {
        let wanted = |slot: usize| {
            // An empty one is none, as for nats-server.
            let Some(filter) = filter.filter(|filter| !filter.is_empty()) else { return true };
            let stream = self.slots[slot].as_ref();
            stream.is_some_and(|stream| stream.overlaps(filter.as_bytes()))
        };
        let kept = self.names.iter().filter(|(_, slot)| wanted(**slot));
        kept.map(|(name, _)| name.as_str()).collect()
    }

    /// Makes a stream; true where it is new, false where it exists just like this.
    pub(crate) fn create(&mut self, config: StreamConfig) -> Result<bool, StreamsError> {
        rules::check_new(&config)?;
        let name = config.name.as_str();
        if let Ok(stream) = self.get(name) {
            let same = *stream.log.config() == config;
            return if same { Ok(false) } else { Err(StreamsError::Different(name.to_owned())) };
        }
        self.check_overlap(&config)?;
        self.check_account(&config)?;
        let most = self.limits.account.max_streams.unwrap_or(usize::MAX);
        if self.names.len() >= most.min(self.limits.max_streams) {
            return Err(StreamsError::TooMany("streams"));
        }
        let log = self.registry.create(config, nanos(self.ambient.now()))?;
        self.adopt(log);
        Ok(true)
    }

    fn check_overlap(&self, config: &StreamConfig) -> Result<(), StreamsError> {
        let overlaps = |stream: &&Stream| {
            let other = stream.name() != config.name.as_str();
            other && config.subjects.iter().any(|subject| stream.overlaps(subject.as_bytes()))
        };
        match self.slots.iter().flatten().find(overlaps) {
            Some(stream) => Err(StreamsError::Overlap(stream.name().to_owned())),
            None => Ok(()),
        }
    }

    /// Changes a stream's configuration.
    pub(crate) fn update(&mut self, config: StreamConfig) -> Result<(), StreamsError> {
        let config = rules::as_sealed(config);
        rules::check(&config)?;
        let name = config.name.as_str().to_owned();
        rules::check_update(self.get(&name)?.log.config(), &config)?;
        self.check_overlap(&config)?;
        self.check_account(&config)?;
        let slot = self.slot(&name).ok_or_else(|| StreamsError::NoStream(name.clone()))?;
        let Some(stream) = self.at(slot) else { return Ok(()) };
        let moved = stream.log.config().subjects != config.subjects;
        stream.log.update(config)?;
        if moved {
            self.end_interest(slot);
            self.begin_interest(slot);
        }
        let committed = self.commit(&name);
        self.get(&name)?.follow_removals();
        committed
    }

    /// Removes a stream with everything in it.
    pub(crate) fn remove(&mut self, name: &str) -> Result<Stream, StreamsError> {
        let none = || StreamsError::NoStream(name.to_owned());
        let slot = self.slot(name).ok_or_else(none)?;
        self.end_interest(slot);
        self.names.remove(name);
        self.slots[slot].take().ok_or_else(none)
    }

    /// Removes messages; says how many.
    pub(crate) fn purge(&mut self, name: &str, purge: &Purge) -> Result<u64, StreamsError> {
        let stream = self.get(name)?;
        if stream.log.config().sealed {
            return Err(StreamsError::Sealed);
        }
        if stream.log.config().deny_purge {
            return Err(StreamsError::Forbidden("stream purge"));
        }
        let purged = stream.log.purge(purge)?;
        let committed = self.commit(name);
        self.get(name)?.forget_removed();
        committed.map(|()| purged)
    }

    /// Removes one message; false where it is not there.
    pub(crate) fn delete_message(
        &mut self,
        name: &str,
        seq: u64,
        erase: bool,
    ) -> Result<bool, StreamsError> {
        let stream = self.get(name)?;
        if stream.log.config().sealed {
            return Err(StreamsError::Sealed);
        }
        if stream.log.config().deny_delete {
            return Err(StreamsError::Forbidden("message delete"));
        }
        let deleted = stream.log.delete(seq, erase)?;
        let committed = self.commit(name);
        self.get(name)?.forget_removed();
        committed.map(|()| deleted)
    }

    pub(crate) fn info(&mut self, name: &str) -> Result<StreamInfo, StreamsError> {
        Ok(self.get(name)?.info())
    }

    /// Saves what is not saved and ends.
    pub(crate) fn close(self) {
        for mut stream in self.slots.into_iter().flatten() {
            stream.save_consumers();
            if let Err(error) = stream.log.close() {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "stream not closed cleanly"
                );
            }
        }
    }
}

fn report(name: &str, recovery: &super::Recovery) {
    if recovery.damage != super::Damage::default() {
        let lost = &recovery.damage.messages;
        tracing::error!(stream.name = name, stream.lost = ?lost, "stream has lost messages to damage");
    }
    if recovery.torn_bytes > 0 {
        tracing::info!(
            stream.name = name,
            stream.torn = recovery.torn_bytes,
            "unfinished write cut off"
        );
    }
}

/// The clock of the engine in the numbers of the logs.
pub(crate) fn nanos(at: Timestamp) -> UnixNanos {
    UnixNanos(u64::try_from(at.as_micros()).unwrap_or(0).saturating_mul(1000))
}

/// Whether a filter lies within what a stream captures.
pub(crate) fn within(filter: &str, subjects: &[String]) -> bool {
    subjects.iter().any(|subject| matcher::is_subset(filter.as_bytes(), subject.as_bytes()))
}
