//! Where the messages of one segment are. Pure.

use super::super::state::UnixNanos;

/// Where one message is, 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its number, from the segment's base.
    delta: u32,
    /// Offset of its record; 0 once it is gone (there stands the segment's own record).
    pub(crate) offset: u32,
    /// Bytes of its record without padding.
    pub(crate) len: u32,
    /// Its subject's id.
    pub(crate) subject: u32,
}

impl Entry {
    fn live(&self) -> bool {
        self.offset != 0
    }
}

/// The messages of one segment, ascending. Memory follows what is there, not what was.
#[derive(Debug)]
pub(crate) struct Block {
    base: u64,
    entries: Vec<Entry>,
    /// Before this place nothing lives.
    head: usize,
    live: usize,
    /// Padded bytes of what lives.
    pub(crate) bytes: u64,
    /// When the last message was stored.
    pub(crate) last_at: UnixNanos,
    /// When the last message with an id was stored; 0 without one.
    pub(crate) last_id_at: UnixNanos,
}

impl Block {
    pub(crate) fn new(base: u64) -> Self {
        Self {
            base,
            entries: Vec::new(),
            head: 0,
            live: 0,
            bytes: 0,
            last_at: UnixNanos(0),
            last_id_at: UnixNanos(0),
        }
    }

    /// The first number that can be in it.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// How many messages live.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Whether a number is within its reach.
    pub(crate) fn reaches(&self, seq: u64) -> bool {
        seq >= self.base && u32::try_from(seq - self.base).is_ok()
    }

    /// Notes when a message was stored, and whether it has an id.
    pub(crate) fn note(&mut self, at: UnixNanos, has_id: bool) {
        self.last_at = at;
        if has_id {
            self.last_id_at = at;
        }
    }

    /// Adds a message after all others; it is within reach.
    pub(crate) fn push(&mut self, seq: u64, offset: u32, len: u32, subject: u32) {
        let delta = (seq - self.base) as u32;
        self.entries.push(Entry { delta, offset, len, subject });
        self.live += 1;
        self.bytes += padded(len);
    }

    /// A message that lives.
    pub(crate) fn get(&self, seq: u64) -> Option<Entry> {
        self.place(seq).map(|place| self.entries[place])
    }

    /// Takes a message out.
    pub(crate) fn remove(&mut self, seq: u64) -> Option<Entry> {
        let place = self.place(seq)?;
        let entry = self.entries[place];
        self.entries[place].offset = 0;
        self.live -= 1;
        self.bytes -= padded(entry.len);
        self.settle();
        Some(entry)
    }

    /// The first message that lives at or after a number.
    pub(crate) fn next(&self, from: u64) -> Option<(u64, Entry)> {
        self.iter(from).next()
    }

    /// The last message that lives at or before a number.
    pub(crate) fn previous(&self, to: u64) -> Option<(u64, Entry)> {
        let delta = to.checked_sub(self.base)?;
        let end = self.entries.partition_point(|entry| u64::from(entry.delta) <= delta);
        let entry = self.entries[..end].iter().rev().find(|entry| entry.live())?;
        Some((self.base + u64::from(entry.delta), *entry))
    }

    /// Messages that live at or after a number.
    pub(crate) fn iter(&self, from: u64) -> impl Iterator<Item = (u64, Entry)> + '_ {
        let delta = from.saturating_sub(self.base);
        let start = self.lower_bound(delta).max(self.head);
        self.entries[start..]
            .iter()
            .filter(|entry| entry.live())
            .map(|entry| (self.base + u64::from(entry.delta), *entry))
    }

    /// The place of the first entry at or after a delta. Mostly nothing is missing, and the place
    /// can be counted from the end.
    fn lower_bound(&self, delta: u64) -> usize {
        let Some(last) = self.entries.last() else { return 0 };
        let back = u64::from(last.delta).saturating_sub(delta) as usize;
        if let Some(guess) = (self.entries.len() - 1).checked_sub(back)
            && u64::from(self.entries[guess].delta) == delta
        {
            return guess;
        }
        self.entries.partition_point(|entry| u64::from(entry.delta) < delta)
    }

    fn place(&self, seq: u64) -> Option<usize> {
        let delta = seq.checked_sub(self.base)?;
        let place = self.lower_bound(delta);
        let entry = self.entries.get(place)?;
        (u64::from(entry.delta) == delta && entry.live()).then_some(place)
    }

    /// Forgets what is gone: at the front by counting, elsewhere once it is the larger part.
    fn settle(&mut self) {
        while self.entries.get(self.head).is_some_and(|entry| !entry.live()) {
            self.head += 1;
        }
        if self.entries.len() > 64 && self.live * 2 < self.entries.len() {
            self.entries.retain(Entry::live);
            self.entries.shrink_to(self.live * 2);
            self.head = 0;
        }
    }
}

fn padded(len: u32) -> u64 {
    super::record::padded(len as usize) as u64
}
