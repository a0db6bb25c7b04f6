//! The state of a consumer as it lies on disk: one JSON document.

use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ConsumerConfig, Cursor, Point, Source, pending::InFlight};

/// A state file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the consumer's saved state is not readable")]
pub struct RestoreError(#[source] serde_json::Error);

#[derive(Serialize, Deserialize)]
struct Saved {
    v: u32,
    config: ConsumerConfig,
    created: Timestamp,
    next_seq: u64,
    delivered: Point,
    floor: Point,
    /// Sequence, number of the first delivery, deliveries, due in microseconds.
    pending: Vec<(u64, u64, u32, i64)>,
    backlog: Vec<u64>,
    /// First and last number of each run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    passed: Vec<(u64, u64)>,
}

const VERSION: u32 = 1;

impl Cursor {
    /// The state as bytes; it counts as changed until [`Cursor::saved`] says otherwise.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let entry = |(seq, entry): (u64, &InFlight)| {
            (seq, entry.cseq, entry.deliveries, entry.due.as_micros())
        };
        let saved = Saved {
            v: VERSION,
            config: self.config.clone(),
            created: self.created,
            next_seq: self.next_seq,
            delivered: self.delivered,
            floor: self.floor,
            pending: self.pending.iter().map(entry).collect(),
            backlog: self.backlog.iter().copied().collect(),
            passed: self.passed.iter().collect(),
        };
        serde_json::to_vec(&saved).expect("numbers, texts and lists are always JSON")
    }

    /// Whether what [`Cursor::save`] returned last is where it belongs.
    pub fn saved(&mut self, saved: bool) {
        self.dirty = !saved;
    }

    /// The stream was opened anew, with what was committed: so is the consumer over it.
    pub fn resume(&mut self, source: &impl Source) {
        self.next_seq = self.next_seq.min(source.last() + 1);
        self.recount();
        self.trimmed(source.first());
        self.dirty = true;
    }

    /// A consumer as it was saved, over the stream as it is now.
    ///
    /// # Errors
    /// When the bytes are not a saved state.
    pub fn restore(
        bytes: &[u8],
        source: &impl Source,
        now: Timestamp,
    ) -> Result<Self, RestoreError> {
        let saved: Saved = serde_json::from_slice(bytes).map_err(RestoreError)?;
        let mut cursor = Self::blank(saved.config, now);
        cursor.created = saved.created;
        cursor.next_seq = saved.next_seq.min(source.last() + 1);
        (cursor.delivered, cursor.floor) = (saved.delivered, saved.floor);
        for (seq, cseq, deliveries, due) in saved.pending {
            let due = Timestamp::from_micros(due);
            cursor.pending.insert(seq, InFlight { cseq, deliveries, due });
        }
        cursor.backlog = saved.backlog.into();
        saved.passed.iter().for_each(|(first, last)| cursor.passed.add(*first, *last));
        cursor.after_backlog = cursor.next_seq;
        cursor.dirty = false;
        cursor.recount();
        cursor.trimmed(source.first());
        Ok(cursor)
    }
}
