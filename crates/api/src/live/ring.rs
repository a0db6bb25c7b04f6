//! The one buffer that all streams read from: the newest events, encoded, in order.
//!
//! Journalled events enter in order of `seq` without gaps; events that are not journalled stand
//! where they arrived. Full means: the oldest goes, and whoever still needed it is told to begin
//! anew.

use std::{collections::VecDeque, sync::Arc};

use super::frame::Frame;

/// Most events in the ring.
pub(crate) const MAX_SLOTS: usize = 8192;
/// Most bytes in the ring.
pub(crate) const MAX_BYTES: usize = 16 * 1024 * 1024;

/// What became of a journalled event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    Added,
    /// It is in already.
    Old,
    /// Others must come first.
    Early,
}

/// Events under dense indices that never repeat within a process.
#[derive(Debug)]
pub(crate) struct Ring {
    slots: VecDeque<Arc<Frame>>,
    /// Index of the oldest slot.
    start: u64,
    /// Everything journalled after this position, up to `head`, is here.
    tail: u64,
    /// The newest journalled position.
    head: u64,
    bytes: usize,
    max_slots: usize,
}

impl Ring {
    /// An empty ring that goes on after the journal position `head`.
    pub(crate) fn new(head: u64, max_slots: usize) -> Self {
        Self { slots: VecDeque::new(), start: 0, tail: head, head, bytes: 0, max_slots }
    }

    /// The newest journalled position that is, or was, in the ring.
    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    /// Index of the oldest event that is still here.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Index that the next event will get.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.slots.len() as u64
    }

    /// The event at `index`, where it is still or already here.
    pub(crate) fn get(&self, index: u64) -> Option<&Arc<Frame>> {
        self.slots.get(usize::try_from(index.checked_sub(self.start)?).ok()?)
    }

    /// Whether every journalled event after `seq` is here or yet to come.
    pub(crate) fn covers(&self, seq: u64) -> bool {
        seq >= self.tail
    }

    /// Index from which on nothing journalled after `seq` is missed.
    pub(crate) fn index_after(&self, seq: u64) -> Option<u64> {
        if !self.covers(seq) {
            return None;
        }
        if seq >= self.head {
            return Some(self.end());
        }
        let found = self.slots.iter().rposition(|slot| slot.seq == Some(seq + 1))?;
        Some(self.start + found as u64)
    }

    /// Adds an event that is journalled at `seq`.
    pub(crate) fn push_journalled(&mut self, seq: u64, frame: Frame) -> Pushed {
        if seq <= self.head {
            return Pushed::Old;
        }
        if seq > self.head + 1 {
            return Pushed::Early;
        }
        self.head = seq;
        self.push(frame);
        Pushed::Added
    }

    /// Adds an event that is not journalled.
    pub(crate) fn push_passing(&mut self, frame: Frame) {
        self.push(frame);
    }

    /// Goes on after `head`, which is beyond everything here: what lies between was compacted.
    pub(crate) fn skip_to(&mut self, head: u64) {
        self.start = self.end() + 1;
        self.slots.clear();
        self.bytes = 0;
        (self.tail, self.head) = (head, head);
    }

    fn push(&mut self, frame: Frame) {
        self.bytes += frame.bytes.len();
        self.slots.push_back(Arc::new(frame));
        while self.slots.len() > self.max_slots || self.bytes > MAX_BYTES {
            let Some(oldest) = self.slots.pop_front() else { break };
            self.start += 1;
            self.bytes -= oldest.bytes.len();
            self.tail = oldest.seq.unwrap_or(self.tail);
        }
    }
}
