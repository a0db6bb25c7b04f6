//! Results by subject, in bounded memory.
//!
//! Two generations: new and used results are in the younger one; when that is full it becomes the
//! older one, and what was in the older one is forgotten. So what is asked for stays, and nothing
//! is ever scanned.
//!
//! A change of a literal filter drops the one result that it concerns. A change of a wildcard
//! filter is only noted, in a short log: a result that is asked for again is compared with the
//! changes since it was last good. Results that are older than the log are found anew.

use std::{
    cell::Cell,
    collections::{HashMap, VecDeque},
    mem,
    rc::Rc,
};

use foldhash::fast::RandomState;

use super::{
    Routes,
    subject::{is_literal, matches},
};

/// Wildcard changes that are remembered: comparing with more costs as much as matching anew.
const LOG: usize = 64;

/// Bytes of all results, about.
const MAX_BYTES: usize = 128 << 20;

/// What an entry costs besides its subject and its routes: the slot, two allocations.
const OVERHEAD: usize = 128;

pub(super) struct Cache {
    young: Generation,
    old: Generation,
    /// Entries of one generation.
    capacity: usize,
    /// The latest changes of wildcard filters, the newest last.
    log: VecDeque<Box<[u8]>>,
    /// Changes of wildcard filters so far.
    now: u64,
}

/// Keyed by a seeded hash: who chooses subjects cannot choose collisions.
#[derive(Default)]
struct Generation {
    entries: HashMap<Box<[u8]>, Entry, RandomState>,
    bytes: usize,
}

struct Entry {
    routes: Rc<Routes>,
    /// The change up to which it is good.
    good: Cell<u64>,
}

impl Generation {
    fn remove(&mut self, subject: &[u8]) -> Option<(Box<[u8]>, Entry)> {
        let (key, entry) = self.entries.remove_entry(subject)?;
        self.bytes -= cost(&key, &entry.routes);
        Some((key, entry))
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }
}

fn cost(subject: &[u8], routes: &Routes) -> usize {
    OVERHEAD + subject.len() + routes.bytes()
}

impl Cache {
    /// Remembers up to `entries` results.
    pub(super) fn new(entries: usize) -> Cache {
        let capacity = entries / 2;
        let (young, old) = Default::default();
        Cache { young, old, capacity, log: VecDeque::new(), now: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.young.entries.len() + self.old.entries.len()
    }

    /// A filter got or lost a route.
    pub(super) fn changed(&mut self, filter: &[u8]) {
        if is_literal(filter) {
            self.forget(filter);
            return;
        }
        self.now += 1;
        if self.log.len() == LOG {
            self.log.pop_front();
        }
        self.log.push_back(filter.into());
    }

    /// What is known of `subject` and still so.
    #[inline]
    pub(super) fn get(&mut self, subject: &[u8]) -> Option<Rc<Routes>> {
        match self.young.entries.get(subject) {
            Some(entry) if entry.good.get() == self.now => Some(Rc::clone(&entry.routes)),
            Some(entry) if self.is_good(subject, entry) => Some(Rc::clone(&entry.routes)),
            Some(_) => self.forget(subject),
            None => self.promote(subject),
        }
    }

    /// Whether no change since `entry` was last good concerns it; notes that it is good now.
    fn is_good(&self, subject: &[u8], entry: &Entry) -> bool {
        let missed = self.now - entry.good.get();
        let Some(known) = self.log.len().checked_sub(missed as usize) else { return false };
        let good = !self.log.range(known..).any(|filter| matches(filter, subject));
        if good {
            entry.good.set(self.now);
        }
        good
    }

    /// Brings a good result over from the older generation.
    #[cold]
    fn promote(&mut self, subject: &[u8]) -> Option<Rc<Routes>> {
        let (key, entry) = self.old.remove(subject)?;
        let routes = self.is_good(subject, &entry).then_some(entry.routes)?;
        self.keep(key, Rc::clone(&routes));
        Some(routes)
    }

    /// Drops what is known of `subject`.
    #[cold]
    fn forget(&mut self, subject: &[u8]) -> Option<Rc<Routes>> {
        self.young.remove(subject);
        self.old.remove(subject);
        None
    }

    /// Remembers a result that [`Cache::get`] just did not have.
    pub(super) fn put(&mut self, subject: &[u8], routes: &Rc<Routes>) {
        if self.capacity > 0 && cost(subject, routes) <= MAX_BYTES / 2 {
            self.keep(subject.into(), Rc::clone(routes));
        }
    }

    fn keep(&mut self, subject: Box<[u8]>, routes: Rc<Routes>) {
        let cost = cost(&subject, &routes);
        let bytes = self.young.bytes + cost;
        if self.young.entries.len() >= self.capacity || bytes > MAX_BYTES / 2 {
            mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.bytes += cost;
        self.young.entries.insert(subject, Entry { routes, good: Cell::new(self.now) });
    }
}
