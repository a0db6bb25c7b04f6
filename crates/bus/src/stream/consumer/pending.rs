//! Messages delivered and not settled: when each is due again, and which wait for redelivery.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use model::Timestamp;

/// One unsettled delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InFlight {
    /// Number of the first delivery at the consumer: what the acknowledgement floor counts by.
    pub(crate) cseq: u64,
    pub(crate) deliveries: u32,
    /// When it is delivered again unless settled.
    pub(crate) due: Timestamp,
}

/// By sequence in the stream. Every entry either has a due time in `due` or is in `again`.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    by_seq: BTreeMap<u64, InFlight>,
    due: BTreeSet<(Timestamp, u64)>,
    again: BTreeSet<u64>,
    redelivered: usize,
}

impl Pending {
    pub(crate) fn len(&self) -> usize {
        self.by_seq.len()
    }

    pub(crate) fn contains(&self, seq: u64) -> bool {
        self.by_seq.contains_key(&seq)
    }

    pub(crate) fn get(&self, seq: u64) -> Option<&InFlight> {
        self.by_seq.get(&seq)
    }

    /// Entries that were delivered more than once.
    pub(crate) fn redelivered(&self) -> usize {
        self.redelivered
    }

    /// How many wait to be delivered again.
    pub(crate) fn waiting(&self) -> usize {
        self.again.len()
    }

    pub(crate) fn first(&self) -> Option<(u64, &InFlight)> {
        self.by_seq.first_key_value().map(|(seq, entry)| (*seq, entry))
    }

    pub(crate) fn first_again(&self) -> Option<u64> {
        self.again.first().copied()
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &InFlight)> {
        self.by_seq.iter().map(|(seq, entry)| (*seq, entry))
    }

    pub(crate) fn insert(&mut self, seq: u64, entry: InFlight) {
        self.remove(seq);
        self.by_seq.insert(seq, entry);
        self.due.insert((entry.due, seq));
        self.redelivered += usize::from(entry.deliveries > 1);
    }

    /// Another delivery; says which one it is.
    pub(crate) fn deliver_again(
        &mut self,
        seq: u64,
        wait: impl Fn(u32) -> Duration,
        now: Timestamp,
    ) -> u32 {
        self.again.remove(&seq);
        let Some(entry) = self.by_seq.get_mut(&seq) else { return 1 };
        entry.deliveries += 1;
        entry.due = now.plus(wait(entry.deliveries));
        self.redelivered += usize::from(entry.deliveries == 2);
        self.due.insert((entry.due, seq));
        entry.deliveries
    }

    /// The last delivery of `seq` did not take place: it waits again, as before it.
    pub(crate) fn undeliver(&mut self, seq: u64) {
        let Some(entry) = self.by_seq.get_mut(&seq) else { return };
        self.redelivered -= usize::from(entry.deliveries == 2);
        entry.deliveries -= 1;
        self.due.remove(&(entry.due, seq));
        self.again.insert(seq);
    }

    /// Moves the time when an entry is due.
    pub(crate) fn postpone(&mut self, seq: u64, until: Timestamp) {
        let Some(entry) = self.by_seq.get_mut(&seq) else { return };
        self.due.remove(&(entry.due, seq));
        self.again.remove(&seq);
        entry.due = until;
        self.due.insert((until, seq));
    }

    /// An entry waits for redelivery from now on.
    pub(crate) fn again(&mut self, seq: u64) {
        let Some(entry) = self.by_seq.get(&seq) else { return };
        self.due.remove(&(entry.due, seq));
        self.again.insert(seq);
    }

    /// What is due waits for redelivery; says whether anything was.
    pub(crate) fn fall_due(&mut self, now: Timestamp) -> bool {
        let before = self.again.len();
        while let Some((_, seq)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.again(seq);
        }
        self.again.len() > before
    }

    pub(crate) fn remove(&mut self, seq: u64) -> Option<InFlight> {
        let entry = self.by_seq.remove(&seq)?;
        self.due.remove(&(entry.due, seq));
        self.again.remove(&seq);
        self.redelivered -= usize::from(entry.deliveries > 1);
        Some(entry)
    }

    /// The sequences up to and with `seq`.
    pub(crate) fn up_to(&self, seq: u64) -> Vec<u64> {
        self.by_seq.range(..=seq).map(|(seq, _)| *seq).collect()
    }

    /// The sequences from `seq` on.
    pub(crate) fn starting_at(&self, seq: u64) -> Vec<u64> {
        self.by_seq.range(seq..).map(|(seq, _)| *seq).collect()
    }
}
