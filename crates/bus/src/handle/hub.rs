//! Who is subscribed, and the fan-out to them. Shared by the handle, by the subscriptions and by
//! the task that holds a connection.

use std::sync::{
    Arc, Mutex, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};

use model::{JournalEntry, Subject, SubjectFilter};
use tokio::sync::Notify;

use super::{
    BusState, OnLag, SubscriptionId,
    health::Counter,
    subscription::{Offered, Queue},
};

#[derive(Debug)]
pub(super) struct Hub {
    /// Replaced as a whole, so that whoever publishes walks a copy and holds no lock meanwhile.
    queues: RwLock<Arc<Vec<Arc<Queue>>>>,
    next_id: AtomicU64,
    state: Mutex<BusState>,
    /// Wakes the connection's task when a subscription came or went.
    changed: Notify,
    pub(super) published: Counter,
    pub(super) delivered: Counter,
    pub(super) dropped: Counter,
    pub(super) skipped: Counter,
    pub(super) rejected: Counter,
    pub(super) reconnects: Counter,
}

impl Hub {
    pub(super) fn new(state: BusState) -> Arc<Self> {
        Arc::new(Self {
            queues: RwLock::default(),
            next_id: AtomicU64::new(1),
            state: Mutex::new(state),
            changed: Notify::new(),
            published: Counter::default(),
            delivered: Counter::default(),
            dropped: Counter::default(),
            skipped: Counter::default(),
            rejected: Counter::default(),
            reconnects: Counter::default(),
        })
    }

    pub(super) fn state(&self) -> BusState {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a state; closed is final.
    pub(super) fn enter(&self, next: BusState) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *state != BusState::Closed {
            *state = next;
        }
    }

    pub(super) fn queues(&self) -> Arc<Vec<Arc<Queue>>> {
        self.queues.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change_queues(&self, change: impl FnOnce(&mut Vec<Arc<Queue>>)) {
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut queues));
        drop(queues);
        self.changed.notify_one();
    }

    /// Returns once a subscription came or went since the last call. For one waiter.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// A new queue that gets what is published from now on; an ended one where the bus takes
    /// nothing.
    pub(super) fn add(&self, filter: SubjectFilter, capacity: usize, on_lag: OnLag) -> Arc<Queue> {
        let id = SubscriptionId(self.next_id.fetch_add(1, Ordering::Relaxed));
        let queue = Arc::new(Queue::new(id, filter, capacity, on_lag));
        self.change_queues(|queues| queues.push(queue.clone()));
        // After the push: a close that happens meanwhile either sees the queue or is seen here.
        if matches!(self.state(), BusState::Off | BusState::Closed) {
            queue.end();
            self.remove(id);
        }
        queue
    }

    pub(super) fn remove(&self, id: SubscriptionId) {
        self.change_queues(|queues| queues.retain(|queue| queue.id != id));
    }

    /// Ends every subscription.
    pub(super) fn end_all(&self) {
        let mut ended = Arc::default();
        self.change_queues(|queues| ended = Arc::new(std::mem::take(queues)));
        ended.iter().for_each(|queue| queue.end());
    }

    pub(super) fn has_listener(&self, topic: &Subject) -> bool {
        self.queues().iter().any(|queue| queue.filter.matches(topic))
    }

    /// Offers an entry to everyone whose filter matches.
    pub(super) fn fan_out(&self, entry: &Arc<JournalEntry>) {
        for queue in self.queues().iter().filter(|queue| queue.filter.matches(&entry.topic)) {
            self.offer(queue, entry);
        }
    }

    /// Offers an entry that came for one filter to everyone who has exactly this filter.
    pub(super) fn fan_out_for(&self, filter: &SubjectFilter, entry: &Arc<JournalEntry>) {
        for queue in self.queues().iter().filter(|queue| queue.filter == *filter) {
            self.offer(queue, entry);
        }
    }

    pub(super) fn offer(&self, queue: &Queue, entry: &Arc<JournalEntry>) {
        match queue.offer(entry) {
            Offered::Queued => self.delivered.add(1),
            Offered::Dropped => self.dropped.add(1),
            Offered::Disconnected => {
                self.dropped.add(1);
                tracing::warn!(filter = %queue.filter, "subscriber disconnected: it lags");
                self.remove(queue.id);
            }
            Offered::Ended => {}
        }
    }
}
