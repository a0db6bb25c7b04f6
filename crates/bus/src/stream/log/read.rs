//! Reading what is committed.

use bytes::Bytes;

use super::{
    super::state::{Stored, UnixNanos},
    Filter, LogError, Peeked, StreamLog,
    block::Entry,
    record::Record,
};

/// Bytes that are read ahead for a reader that goes forward.
const READ_AHEAD: u32 = 128 << 10;

/// The last bytes that were read from a file.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// The segment's number; no segment has number 0.
    number: u64,
    start: u32,
    bytes: Vec<u8>,
}

impl Window {
    fn end(&self) -> u32 {
        self.start + self.bytes.len() as u32
    }

    fn holds(&self, number: u64, entry: Entry) -> bool {
        self.number == number
            && entry.offset >= self.start
            && entry.offset + entry.len <= self.end()
    }

    /// How much to read for an entry that is not here: more where the reader goes forward.
    fn wanted(&self, number: u64, entry: Entry, readable: u32) -> u32 {
        let forward = self.number == number
            && entry.offset >= self.start
            && entry.offset < self.end().saturating_add(READ_AHEAD / 8);
        let ahead = if forward { READ_AHEAD } else { 0 };
        ahead.min(readable.saturating_sub(entry.offset)).max(entry.len)
    }
}

impl StreamLog {
    /// One committed message; none where it is gone or not there yet.
    ///
    /// # Errors
    ///
    /// It is damaged or cannot be read.
    pub fn get(&mut self, seq: u64) -> Result<Option<Stored>, LogError> {
        let Some(peeked) = self.peek(seq)? else { return Ok(None) };
        let Peeked { seq, at, subject, headers, body } = peeked;
        let all = Bytes::from([subject, headers, body].concat());
        let (subject, headers) = (subject.len(), subject.len() + headers.len());
        Ok(Some(Stored {
            seq,
            at,
            subject: all.slice(..subject),
            headers: all.slice(subject..headers),
            body: all.slice(headers..),
        }))
    }

    /// As [`StreamLog::get`], without copying.
    ///
    /// # Errors
    ///
    /// It is damaged or cannot be read.
    pub fn peek(&mut self, seq: u64) -> Result<Option<Peeked<'_>>, LogError> {
        if seq > self.committed {
            return Ok(None);
        }
        let Some((place, entry)) = self.index.get(seq) else {
            let missing = self.index.missing.contains(seq);
            return if missing { Err(LogError::Damaged { seq }) } else { Ok(None) };
        };
        let salt = self.meta.salt;
        let record = Record::verified(self.bytes_of(place, entry)?, salt);
        let record = record.filter(|record| record.seq == seq).ok_or(LogError::Damaged { seq })?;
        let Record { at, subject, headers, body, .. } = record;
        Ok(Some(Peeked { seq, at, subject, headers, body }))
    }

    /// The first committed message at or after `from` that matches. Without one, ask again from
    /// `committed() + 1`. Damaged messages, whose subject nobody knows, are passed over; opening
    /// reported them.
    pub fn next_matching(&mut self, from: u64, filter: &Filter) -> Option<u64> {
        self.index.next_wanted(from, self.committed, filter)
    }

    /// Whether there is such a message, committed or not, and the filter wants it.
    pub(crate) fn is_wanted(&mut self, seq: u64, filter: &Filter) -> bool {
        self.index.next_wanted(seq, seq, filter).is_some()
    }

    /// How many committed messages at or after `from` match.
    pub fn count_matching(&mut self, from: u64, filter: &Filter) -> u64 {
        self.index.count_wanted(from, self.committed, filter)
    }

    /// The last committed message that matches.
    pub fn last_matching(&mut self, filter: &Filter) -> Option<u64> {
        self.index.last_wanted(self.committed, filter)
    }

    /// The last committed message with this subject.
    #[must_use]
    pub fn last_by_subject(&self, subject: &[u8]) -> Option<u64> {
        self.index.last_of(subject, self.committed)
    }

    /// The first committed message stored at or after a moment.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn first_since(&self, at: UnixNanos) -> Result<Option<u64>, LogError> {
        let (mut low, mut high) = (self.index.first_seq(), self.committed + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.index.next(middle).and_then(|(seq, _)| self.index.get(seq).map(|e| (seq, e)))
            {
                Some((seq, (place, entry))) if self.at_of(place, entry)? < at => low = seq + 1,
                _ => high = middle,
            }
        }
        Ok(self.index.next(low).map(|(seq, _)| seq).filter(|seq| *seq <= self.committed))
    }

    /// Subjects that match and their messages, in no order, at most `limit`.
    #[must_use]
    pub fn subjects(&self, filter: &Filter, limit: usize) -> Vec<(Bytes, u64)> {
        let all = self.index.subjects().iter().filter(|subject| filter.matches(subject.name()));
        let counted = all.map(|subject| (Bytes::copy_from_slice(subject.name()), subject.live()));
        counted.take(limit).collect()
    }

    /// The bytes of a record: from the tail, from what was read last, or from the file.
    pub(super) fn bytes_of(&mut self, place: usize, entry: Entry) -> Result<&[u8], LogError> {
        let last = place + 1 == self.segments.len();
        if last && self.tail.slice(entry.offset, entry.len).is_some() {
            return Ok(self.tail.slice(entry.offset, entry.len).unwrap_or_default());
        }
        let segment = &self.segments[place];
        if !self.window.holds(segment.number, entry) {
            let readable = if last { self.tail.durable() } else { segment.readable() };
            let wanted = self.window.wanted(segment.number, entry, readable);
            self.window.number = 0;
            self.window.bytes.resize(wanted as usize, 0);
            segment.read(&mut self.window.bytes, entry.offset)?;
            (self.window.number, self.window.start) = (segment.number, entry.offset);
        }
        let start = (entry.offset - self.window.start) as usize;
        Ok(&self.window.bytes[start..start + entry.len as usize])
    }
}
