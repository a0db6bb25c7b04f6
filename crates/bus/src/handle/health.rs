//! How the bus fares: a state and counters that only grow.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use serde::Serialize;

/// What a bus is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BusState {
    /// Switched off: publishing is skipped.
    Off,
    /// In process, working.
    Embedded,
    /// Elsewhere; nobody has used it yet.
    Idle,
    /// Elsewhere; being connected to.
    Connecting,
    /// Elsewhere; connected.
    Connected,
    /// Elsewhere; waiting before the next try to connect.
    Waiting,
    /// Closed.
    Closed,
}

/// The state and figures of a bus at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BusHealth {
    /// The bus's name.
    pub name: String,
    /// What it is doing.
    pub state: BusState,
    /// Events that it took.
    pub published: u64,
    /// Events put into the queues of subscribers.
    pub delivered: u64,
    /// Events lost: refused by a full queue, too large, or on a connection that broke.
    pub dropped: u64,
    /// Events that it did not take because it is off or closed.
    pub skipped: u64,
    /// What came in and is no event: malformed, too large, or under another topic than its own.
    pub rejected: u64,
    /// Subscriptions now.
    pub subscribers: u64,
    /// How often a lost connection was made again.
    pub reconnects: u64,
}

impl BusHealth {
    /// The counters by name, as a worker's heartbeat carries them.
    pub fn figures(&self) -> BTreeMap<String, u64> {
        [
            ("published", self.published),
            ("delivered", self.delivered),
            ("dropped", self.dropped),
            ("skipped", self.skipped),
            ("rejected", self.rejected),
            ("subscribers", self.subscribers),
            ("reconnects", self.reconnects),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

/// A counter that only grows.
#[derive(Default, Debug)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
