//! The message ids of the last while, for dedupe. Pure.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use foldhash::fast::RandomState;

use super::{super::state::UnixNanos, LogOptions};

/// Ids seen within a window, bounded in entries and bytes. Full means: the oldest is forgotten
/// before its time, counted, and a late repetition of it is stored twice.
#[derive(Debug)]
pub(crate) struct Ids {
    seqs: HashMap<Arc<[u8]>, u64, RandomState>,
    order: VecDeque<(UnixNanos, Arc<[u8]>)>,
    bytes: usize,
    window: Duration,
    max_ids: usize,
    max_bytes: usize,
    forgotten: u64,
}

impl Ids {
    pub(crate) fn new(window: Duration, options: &LogOptions) -> Self {
        Self {
            seqs: HashMap::default(),
            order: VecDeque::new(),
            bytes: 0,
            window,
            max_ids: options.max_ids,
            max_bytes: options.max_id_bytes,
            forgotten: 0,
        }
    }

    /// Changes the window; what is already forgotten stays so.
    pub(crate) fn set_window(&mut self, window: Duration) {
        self.window = window;
    }

    /// Ids forgotten before their time.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The message that came with an id within the window.
    pub(crate) fn seen(&mut self, id: &[u8], now: UnixNanos) -> Option<u64> {
        let oldest = now.before(self.window);
        while self.order.front().is_some_and(|(at, _)| *at <= oldest) {
            self.forget_oldest();
        }
        self.seqs.get(id).copied()
    }

    /// Remembers the id of a message; an empty one is none.
    pub(crate) fn insert(&mut self, id: &[u8], seq: u64, at: UnixNanos) {
        if id.is_empty() || self.window.is_zero() || self.seqs.contains_key(id) {
            return;
        }
        let id: Arc<[u8]> = id.into();
        self.bytes += id.len();
        self.seqs.insert(id.clone(), seq);
        self.order.push_back((at, id));
        while self.order.len() > self.max_ids || self.bytes > self.max_bytes {
            self.forget_oldest();
            self.forgotten += 1;
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, id)) = self.order.pop_front() {
            self.bytes -= id.len();
            self.seqs.remove(&id);
        }
    }
}
