//! Finding the records of a segment after whatever happened to it. Pure.
//!
//! Two things make bytes wrong, and they call for opposite answers. A crash in the middle of a
//! write leaves a torn tail: nobody was told that it is there, it is cut off, and so is every
//! whole record behind the first wrong one. Damage changes bytes that were acknowledged: it is
//! reported, and what is behind it stays.
//!
//! They are told apart by what records say about each other: each holds the offset up to which
//! the segment was durable when it was made. Wrong bytes before the largest such offset were
//! durable once, so they are damage; so are all in a segment that has a successor, which is begun
//! only once it is durable. Everything else is a torn tail. What is cut off may be the only one to
//! say that damage before it was durable, so it leaves a [mark](Scanned::mark) that goes on saying
//! so.

use super::{
    super::state::UnixNanos,
    record::{self, ALIGN, HEAD, Kind, Record},
};

/// How often the search for records after damage may checksum the segment over. Bodies can look
/// like records; where a hostile one uses this up, the rest of the segment counts as damaged.
const SEARCH_BUDGET: usize = 16;

/// Wrong bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// Offsets of the records to keep, ascending.
    pub(crate) records: Vec<u32>,
    /// Where the next record goes.
    pub(crate) end: usize,
    /// Bytes behind `end` that are not zero and must become so.
    pub(crate) torn: usize,
    /// Damage before `end`.
    pub(crate) gaps: Vec<Gap>,
}

impl Scanned {
    /// What takes the place of a torn tail behind damage: without it the next scan would take the
    /// damage, and all that is whole behind it, for torn. To be written before the tail is cut.
    pub(crate) fn mark(&self, salt: u32) -> Vec<u8> {
        let mut mark = Vec::new();
        if self.torn > 0 && !self.gaps.is_empty() {
            let durable = self.end as u32;
            Record::control(Kind::Durable, durable, 0, UnixNanos(0)).encode(salt, &mut mark);
        }
        mark
    }
}

/// Scans a segment. `last`: it has no successor.
pub(crate) fn scan(bytes: &[u8], salt: u32, last: bool) -> Scanned {
    let content = content_end(bytes);
    let mut walk =
        Walk { bytes, salt, last_seq: 0, durable: 0, budget: bytes.len() * SEARCH_BUDGET };
    let mut found = Scanned::default();
    let mut at = 0;
    while at < content {
        match walk.record(at) {
            Some(len) => {
                found.records.push(at as u32);
                at += len;
            }
            None => {
                let end = walk.search(at, content);
                found.gaps.push(Gap { start: at, end });
                at = end;
            }
        }
    }
    found.end = at;
    cut(&mut found, walk.durable as usize, last, content);
    found
}

fn cut(found: &mut Scanned, durable: usize, last: bool, content: usize) {
    let torn = if last { found.gaps.iter().position(|gap| gap.start >= durable) } else { None };
    let Some(torn) = torn else { return };
    let end = found.gaps[torn].start;
    found.gaps.truncate(torn);
    found.records.truncate(found.records.partition_point(|at| (*at as usize) < end));
    found.end = end;
    found.torn = content.saturating_sub(end);
}

struct Walk<'a> {
    bytes: &'a [u8],
    salt: u32,
    last_seq: u64,
    durable: u32,
    /// Bytes that may still be checksummed while searching.
    budget: usize,
}

impl Walk<'_> {
    /// Takes the record at an offset; its padded length.
    fn record(&mut self, at: usize) -> Option<usize> {
        let record = Record::verified(self.bytes.get(at..)?, self.salt)?;
        if record.durable as usize > at {
            return None;
        }
        if record.kind == Kind::Message {
            if record.seq <= self.last_seq {
                return None;
            }
            self.last_seq = record.seq;
        }
        self.durable = self.durable.max(record.durable);
        Some(record::padded(record.len()))
    }

    /// Whether a record seems to begin here; what looks like one is paid for.
    fn candidate(&mut self, at: usize) -> bool {
        let rest = &self.bytes[at..];
        if record::claimed_len(rest) < HEAD {
            return false;
        }
        let Some(record) = Record::parse(rest) else { return false };
        let affordable = record.len() <= self.budget;
        self.budget = self.budget.saturating_sub(record.len());
        affordable
            && record.durable as usize <= at
            && Record::verified(rest, self.salt)
                .is_some_and(|record| record.kind != Kind::Message || record.seq > self.last_seq)
    }

    /// The offset of the next record after wrong bytes at `from`, or where the content ends.
    /// First where the wrong record would have ended, then everywhere.
    fn search(&mut self, from: usize, content: usize) -> usize {
        let claimed = from + record::padded(record::claimed_len(&self.bytes[from..]));
        if claimed > from && claimed < content && self.candidate(claimed) {
            return claimed;
        }
        (from + ALIGN..content)
            .step_by(ALIGN)
            .find(|at| self.candidate(*at))
            .unwrap_or_else(|| content.next_multiple_of(ALIGN).min(self.bytes.len()))
    }
}

/// Where the zeros at the end begin.
pub(crate) fn content_end(bytes: &[u8]) -> usize {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut end = bytes.len();
    for chunk in bytes.rchunks(ZEROS.len()) {
        if chunk != &ZEROS[..chunk.len()] {
            let zeros = chunk.iter().rev().take_while(|byte| **byte == 0).count();
            return end - zeros;
        }
        end -= chunk.len();
    }
    end
}
