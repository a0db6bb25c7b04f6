//! Which messages have which subject. Pure.
//!
//! Eight bytes for each message and some 150 for each subject. Messages that are gone are
//! forgotten lazily; who asks brings the answer to "does it live".

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use foldhash::fast::RandomState;

use super::filter::Filter;

/// Filters whose subjects are remembered. One more clears the table: it is rebuilt by one match
/// for each subject.
const MAX_REMEMBERED_FILTERS: usize = 64;

/// The messages of one subject.
#[derive(Debug)]
pub(crate) struct Subject {
    name: Arc<[u8]>,
    /// Ascending; some may be gone, never the first or the last.
    seqs: VecDeque<u64>,
    live: u64,
}

impl Subject {
    pub(crate) fn name(&self) -> &[u8] {
        &self.name
    }

    /// How many messages live.
    pub(crate) fn live(&self) -> u64 {
        self.live
    }

    /// The first message that lives.
    pub(crate) fn first(&self) -> Option<u64> {
        self.seqs.front().copied()
    }

    /// The last message that lives.
    pub(crate) fn last(&self) -> Option<u64> {
        self.seqs.back().copied()
    }

    /// Numbers at or after one, some of which may be gone.
    pub(crate) fn from(&self, from: u64) -> impl Iterator<Item = u64> + '_ {
        self.seqs.range(self.seqs.partition_point(|seq| *seq < from)..).copied()
    }

    /// Numbers at or before one, descending, some of which may be gone.
    pub(crate) fn until(&self, to: u64) -> impl Iterator<Item = u64> + '_ {
        self.seqs.range(..self.seqs.partition_point(|seq| *seq <= to)).rev().copied()
    }

    /// Forgets what is gone at both ends, and inside once it is the larger part.
    fn settle(&mut self, lives: &impl Fn(u64) -> bool) {
        while self.seqs.front().is_some_and(|seq| !lives(*seq)) {
            self.seqs.pop_front();
        }
        while self.seqs.back().is_some_and(|seq| !lives(*seq)) {
            self.seqs.pop_back();
        }
        if self.seqs.len() as u64 > 2 * self.live + 32 {
            self.seqs.retain(|seq| lives(*seq));
            self.seqs.shrink_to(self.seqs.len() * 2);
        }
    }
}

/// The subjects that a filter wants.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    bits: Vec<u64>,
    count: usize,
}

impl Wanted {
    /// How many subjects are wanted.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn contains(&self, id: u32) -> bool {
        self.bits.get(id as usize / 64).is_some_and(|word| word >> (id % 64) & 1 == 1)
    }

    /// The ids, ascending.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.bits.iter().enumerate().flat_map(|(place, word)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| place as u32 * 64 + bit)
        })
    }

    fn insert(&mut self, id: u32) {
        let place = id as usize / 64;
        if self.bits.len() <= place {
            self.bits.resize(place + 1, 0);
        }
        self.bits[place] |= 1 << (id % 64);
        self.count += 1;
    }

    fn remove(&mut self, id: u32) {
        if self.contains(id) {
            self.bits[id as usize / 64] &= !(1 << (id % 64));
            self.count -= 1;
        }
    }
}

/// All subjects that have a message.
#[derive(Debug, Default)]
pub(crate) struct Subjects {
    ids: HashMap<Arc<[u8]>, u32, RandomState>,
    /// By id; none where the id is free.
    slots: Vec<Option<Subject>>,
    free: Vec<u32>,
    remembered: HashMap<Filter, Wanted, RandomState>,
}

impl Subjects {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Subject> + '_ {
        self.slots.iter().flatten()
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<&Subject> {
        self.by_id(*self.ids.get(name)?)
    }

    pub(crate) fn by_id(&self, id: u32) -> Option<&Subject> {
        self.slots.get(id as usize)?.as_ref()
    }

    /// Adds a message, newer than all others; the subject's id.
    pub(crate) fn push(&mut self, name: &[u8], seq: u64) -> u32 {
        let id = self.ids.get(name).copied().unwrap_or_else(|| self.begin(name));
        if let Some(subject) = &mut self.slots[id as usize] {
            subject.seqs.push_back(seq);
            subject.live += 1;
        }
        id
    }

    /// Counts a message out that lives no more.
    pub(crate) fn remove(&mut self, id: u32, lives: impl Fn(u64) -> bool) {
        let Some(Some(subject)) = self.slots.get_mut(id as usize) else { return };
        subject.live -= 1;
        if subject.live > 0 {
            subject.settle(&lives);
            return;
        }
        self.ids.remove(&subject.name);
        self.slots[id as usize] = None;
        self.free.push(id);
        for wanted in self.remembered.values_mut() {
            wanted.remove(id);
        }
    }

    /// The subjects that a filter wants, remembered.
    pub(crate) fn wanted(&mut self, filter: &Filter) -> &Wanted {
        if self.remembered.len() >= MAX_REMEMBERED_FILTERS && !self.remembered.contains_key(filter)
        {
            self.remembered.clear();
        }
        self.remembered.entry(filter.clone()).or_insert_with(|| {
            let mut wanted = Wanted::default();
            for (id, subject) in (0..).zip(&self.slots) {
                if subject.as_ref().is_some_and(|subject| filter.matches(&subject.name)) {
                    wanted.insert(id);
                }
            }
            wanted
        })
    }

    fn begin(&mut self, name: &[u8]) -> u32 {
        let name: Arc<[u8]> = name.into();
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        for (filter, wanted) in &mut self.remembered {
            if filter.matches(&name) {
                wanted.insert(id);
            }
        }
        self.ids.insert(name.clone(), id);
        self.slots[id as usize] = Some(Subject { name, seqs: VecDeque::new(), live: 0 });
        id
    }
}
