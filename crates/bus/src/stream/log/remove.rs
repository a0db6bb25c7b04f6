//! Removing: by hand, by acknowledgement, by filter, by age; and how that becomes records.

use super::{
    super::state::UnixNanos,
    Filter, LogError, StreamLog,
    block::Entry,
    ranges::Ranges,
    record::{self, Kind, Record},
};

/// Runs of numbers in one record.
const MAX_RUNS: usize = 4096;

/// Messages that one call of [`StreamLog::expire`] removes at most.
const MAX_EXPIRED: u64 = 16_384;

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

/// Removals that are not durable yet.
#[derive(Debug, Default)]
pub(super) struct Removals {
    runs: Ranges,
    /// What to overwrite.
    erase: Vec<Erasure>,
}

#[derive(Debug)]
struct Erasure {
    /// The segment's number.
    segment: u64,
    /// Where the record is.
    offset: u32,
    /// What takes its place: as long, with the message's number, time and id.
    record: Vec<u8>,
}

impl Removals {
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

impl StreamLog {
    /// Removes a message, durable with the next commit; false where there is none. With `erase`
    /// its bytes are overwritten at that commit.
    ///
    /// # Errors
    ///
    /// The log is poisoned.
    pub fn delete(&mut self, seq: u64, erase: bool) -> Result<bool, LogError> {
        self.check()?;
        if seq > self.committed {
            return Ok(false);
        }
        if erase && let Some((place, entry)) = self.index.get(seq) {
            let erasure = self.erasure(seq, place, entry)?;
            self.removals.erase.push(erasure);
        }
        Ok(self.take(seq))
    }

    /// Removes a message that was consumed: as [`StreamLog::delete`], cheap. Neighbours share a
    /// record, and a message at the front costs none of its own.
    ///
    /// # Errors
    ///
    /// The log is poisoned: it is removed once that is [opened again](StreamLog::reopen).
    pub fn remove(&mut self, seq: u64) -> Result<bool, LogError> {
        if self.index.get(seq).is_some() {
            self.consumed.add(seq, seq);
        }
        self.check()?;
        Ok(self.take(seq))
    }

    /// Removes many messages, durable with the next commit; returns how many. Those that wait for
    /// that commit go, too: the removal stands behind them.
    ///
    /// # Errors
    ///
    /// The log is poisoned.
    pub fn purge(&mut self, purge: &Purge) -> Result<u64, LogError> {
        self.check()?;
        let all = Filter::all();
        let filter = purge.filter.as_ref().unwrap_or(&all);
        let last = purge.before.map_or(u64::MAX, |before| before.saturating_sub(1));
        let matching = self.index.count_wanted(0, last.min(self.index.last_seq()), filter);
        let gone = matching.saturating_sub(purge.keep.unwrap_or(0));
        let mut from = 0;
        for _ in 0..gone {
            let Some(seq) = self.index.next_wanted(from, last, filter) else { break };
            self.take(seq);
            from = seq + 1;
        }
        Ok(gone)
    }

    /// Removes messages over their age, a bounded number at a time, durable with the next
    /// commit; returns how many. More may be due: see [`StreamLog::next_expiry`].
    ///
    /// # Errors
    ///
    /// The log is poisoned or cannot be read.
    pub fn expire(&mut self, now: UnixNanos) -> Result<u64, LogError> {
        self.check()?;
        self.now = self.now.max(now);
        self.drop_dead();
        let Some(max_age) = self.meta.config.max_age else { return Ok(0) };
        let mut gone = 0;
        while gone < MAX_EXPIRED
            && let Some((seq, _)) = self.index.next(0)
            && self.first_at().after(max_age) <= now
        {
            self.take(seq);
            gone += 1;
        }
        Ok(gone)
    }

    /// When the first message will be over its age; none without a limit or without messages.
    #[must_use]
    pub fn next_expiry(&self) -> Option<UnixNanos> {
        let max_age = self.meta.config.max_age?;
        (self.index.messages() > 0).then(|| self.first_at().after(max_age))
    }

    /// When the first message was stored. Where it cannot be read: when the last of its segment
    /// was, so that it goes with that one.
    pub(super) fn first_at(&self) -> UnixNanos {
        let first = self.index.next(0).and_then(|(seq, _)| self.index.get(seq));
        first.map_or(UnixNanos(0), |(place, entry)| {
            self.at_of(place, entry).unwrap_or(self.index.blocks()[place].last_at)
        })
    }

    /// When a message was stored.
    pub(super) fn at_of(&self, place: usize, entry: Entry) -> Result<UnixNanos, LogError> {
        const LEN: u32 = record::HEAD as u32;
        if place + 1 == self.segments.len()
            && let Some(head) = self.tail.slice(entry.offset, LEN)
        {
            return Ok(record::claimed_at(head));
        }
        let mut head = [0; record::HEAD];
        self.segments[place].read(&mut head, entry.offset)?;
        Ok(record::claimed_at(&head))
    }

    /// Takes a message out of the index and notes it for the next commit.
    pub(super) fn take(&mut self, seq: u64) -> bool {
        if self.index.remove(seq).is_none() {
            if !self.index.missing.contains(seq) {
                return false;
            }
            self.index.missing.subtract(seq, seq);
        }
        self.removals.runs.add(seq, seq);
        true
    }

    /// Turns the noted removals into records. What lies before the first message that is there
    /// needs no run of its own, damage included: it is older than what was removed. Those for
    /// which there is no room stay noted.
    pub(super) fn write_removals(&mut self) -> Result<(), LogError> {
        if self.removals.is_empty() {
            return Ok(());
        }
        let first = self.index.first_seq();
        self.index.missing.subtract(0, first - 1);
        while !self.removals.is_empty() {
            let runs = self.removals.runs.iter().filter(|(_, last)| *last >= first);
            let runs: Vec<(u64, u64)> = runs.take(MAX_RUNS).collect();
            self.write_removal(first, &runs)?;
            self.removals.runs.subtract(0, first - 1);
            runs.iter().for_each(|(from, to)| self.removals.runs.subtract(*from, *to));
        }
        Ok(())
    }

    fn write_removal(&mut self, first: u64, runs: &[(u64, u64)]) -> Result<(), LogError> {
        let mut body = self.index.last_seq().to_le_bytes().to_vec();
        for (from, to) in runs {
            body.extend_from_slice(&from.to_le_bytes());
            body.extend_from_slice(&to.to_le_bytes());
        }
        let record =
            Record { body: &body, ..Record::control(Kind::Remove, 0, first, self.last_at) };
        self.push(&record).map(|_| ())
    }

    /// What takes the place of a message. Its id stays, so that it is not taken again.
    fn erasure(&mut self, seq: u64, place: usize, entry: Entry) -> Result<Erasure, LogError> {
        let salt = self.meta.salt;
        let bytes = self.bytes_of(place, entry)?;
        let (at, msg_id) = Record::verified(bytes, salt)
            .map_or((UnixNanos(0), Vec::new()), |record| (record.at, record.msg_id.to_vec()));
        let body = vec![0; entry.len as usize - record::HEAD - msg_id.len()];
        let erased =
            Record { msg_id: &msg_id, body: &body, ..Record::control(Kind::Erased, 0, seq, at) };
        let mut record = Vec::new();
        erased.encode(salt, &mut record);
        Ok(Erasure { segment: self.segments[place].number, offset: entry.offset, record })
    }

    /// Overwrites what was deleted for good. The removal is durable by now, so that a crash in
    /// between shows no half message.
    pub(super) fn erase(&mut self) -> Result<(), LogError> {
        for erasure in std::mem::take(&mut self.removals.erase) {
            let Erasure { segment, offset, record } = erasure;
            let place = self.segments.iter().position(|other| other.number == segment);
            let Some(place) = place else { continue };
            self.segments[place].write(&record, offset)?;
            self.segments[place].sync()?;
            if place + 1 == self.segments.len() {
                self.tail.overwrite(offset, &record);
            }
            self.window = super::Window::default();
        }
        Ok(())
    }
}
