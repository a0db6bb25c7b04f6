//! The bond between a handle and a broker in this process.
//!
//! Events go to the broker only while somebody else is subscribed there. What
//! clients of the broker publish is read here, off the broker's thread, and told to those
//! subscribers of the handle whose filter it came for. The handle's own events do not come back:
//! its subscribers had them already.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use model::{JournalEntry, SubjectFilter};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{SubscriptionId, hub::Hub};
use crate::{
    broker::{Batch, Broker, LocalClient, LocalOptions, LocalSink, Message, Outgoing},
    transport::wire,
};

/// Bytes from the broker that may wait to be read; the broker counts what it drops beyond.
const MAX_WAITING_BYTES: usize = 64 << 20;

/// The publishing half.
pub(super) struct Serving {
    hub: Arc<Hub>,
    client: LocalClient,
    own: Arc<AtomicUsize>,
}

/// The listening half: a task keeps the broker's subscriptions equal to the hub's.
pub(super) struct Bond {
    hub: Arc<Hub>,
    client: LocalClient,
    batches: mpsc::UnboundedReceiver<Batch>,
    filters: Filters,
    /// Subscriptions of this handle among the broker's. Never more than the broker has of it, so
    /// that nobody else's interest is overlooked.
    own: Arc<AtomicUsize>,
    /// Subscriptions that know that the broker has them.
    acknowledged: BTreeSet<SubscriptionId>,
}

/// The filters that the broker has, by the number that its deliveries carry.
#[derive(Default)]
struct Filters {
    last_number: u64,
    by_number: BTreeMap<u64, SubjectFilter>,
}

/// Hands batches over. The queue is bounded: a batch counts as pending until it is dropped.
struct Sink(mpsc::UnboundedSender<Batch>);

impl LocalSink for Sink {
    fn deliver(&mut self, batch: Batch) {
        // Fails only where the handle is closed.
        let _ = self.0.send(batch);
    }
}

impl Serving {
    pub(super) fn new(name: &str, broker: &Broker, hub: Arc<Hub>) -> (Self, Bond) {
        let (sink, batches) = mpsc::unbounded_channel();
        let max_pending = Some(MAX_WAITING_BYTES);
        let named = LocalOptions::named(name);
        let options = LocalOptions { echo: false, answers: false, max_pending, ..named };
        let client = broker.local_with(options, Box::new(Sink(sink)));
        let (filters, acknowledged) = (Filters::default(), BTreeSet::new());
        let own = Arc::new(AtomicUsize::new(0));
        let serving = Self { hub: hub.clone(), client: client.clone(), own: own.clone() };
        (serving, Bond { hub, client, batches, filters, own, acknowledged })
    }

    /// Whether anybody but this handle may want to hear something.
    pub(super) fn has_interest(&self) -> bool {
        self.client.subscriptions_of_all() > self.own.load(Ordering::Relaxed)
    }

    pub(super) fn publish(&self, entry: &JournalEntry) {
        if !self.has_interest() {
            return;
        }
        let route = bytes::Bytes::copy_from_slice(entry.topic.as_str().as_bytes());
        let body = wire::encode(entry).into();
        if !self.client.publish(Outgoing { route, body, ..Outgoing::default() }) {
            self.hub.dropped.add(1);
        }
    }
}

impl Bond {
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            // Cancel-safe: a channel and a permit lose nothing when another branch wins.
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.hub.changed() => self.reconcile(&stop).await,
                Some(batch) = self.batches.recv() => self.read(&batch),
            }
        }
        self.client.close();
    }

    /// Makes the broker's subscriptions equal to the hub's, and tells subscribers.
    async fn reconcile(&mut self, stop: &CancellationToken) {
        let queues = self.hub.queues();
        let wanted: BTreeSet<_> = queues.iter().map(|queue| &queue.filter).collect();
        self.filters.retain(&wanted, |number| {
            self.own.fetch_sub(1, Ordering::Relaxed);
            self.client.unsubscribe(number, None);
        });
        for filter in wanted {
            if let Some(number) = self.filters.add(filter) {
                self.client.subscribe(number, filter.as_str().as_bytes(), None);
            }
        }
        // A broker that ended answers false: within the process the bus works on without it.
        // Cancel-safe: on stop nobody waits for the answer any more.
        tokio::select! {
            () = stop.cancelled() => return,
            _ = self.client.flush() => {}
        }
        self.own.store(self.filters.by_number.len(), Ordering::Relaxed);
        self.acknowledged.retain(|id| queues.iter().any(|queue| queue.id == *id));
        for queue in queues.iter().filter(|queue| self.acknowledged.insert(queue.id)) {
            queue.acknowledge();
        }
    }

    fn read(&self, batch: &Batch) {
        for message in batch.iter() {
            self.tell(&message);
        }
    }

    fn tell(&self, message: &Message<'_>) {
        // What comes for a filter that is gone was under way already.
        let Some(filter) = self.filters.by_number.get(&message.subscription) else {
            return;
        };
        if !wire::may_carry_events(message.subject) {
            return;
        }
        match wire::decode(message.subject, message.body) {
            Ok(entry) => self.hub.fan_out_for(filter, &Arc::new(entry)),
            Err(rejected) => {
                self.hub.rejected.add(1);
                rejected.log(message.subject);
            }
        }
    }
}

impl Filters {
    /// The number of a filter that is new.
    fn add(&mut self, filter: &SubjectFilter) -> Option<u64> {
        if self.by_number.values().any(|known| known == filter) {
            return None;
        }
        self.last_number += 1;
        self.by_number.insert(self.last_number, filter.clone());
        Some(self.last_number)
    }

    fn retain(&mut self, wanted: &BTreeSet<&SubjectFilter>, gone: impl Fn(u64)) {
        self.by_number.retain(|number, filter| {
            let keep = wanted.contains(filter);
            if !keep {
                gone(*number);
            }
            keep
        });
    }
}
