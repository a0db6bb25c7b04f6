//! What a subscriber holds: a bounded queue with its losses in place.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use model::{JournalEntry, SubjectFilter};
use tokio::{sync::Notify, time::timeout};

use super::{hub::Hub, link::SubscriptionId};

/// Longest queue that a subscriber can ask for, in events.
pub(super) const MAX_CAPACITY: usize = 65_536;

/// What happens to a subscriber whose queue is full. Chosen per subscriber; there is no default.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnLag {
    /// It gets what its queue holds, then a gap, then the end.
    Disconnect,
    /// It goes on; new events are dropped while the queue is full, and a gap stands in their
    /// place.
    DropNewest,
}

/// What a subscription hands out.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// An event.
    Event(Arc<JournalEntry>),
    /// Events are missing here.
    Gap {
        /// How many; 0 where nobody can tell, as after a lost connection.
        missed: u64,
    },
}

/// Events that did not make it, until they are reported as a gap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Loss {
    None,
    Counted(u64),
    Unknown,
}

impl Loss {
    fn and(self, other: Loss) -> Loss {
        match (self, other) {
            (Loss::None, loss) | (loss, Loss::None) => loss,
            (Loss::Counted(a), Loss::Counted(b)) => Loss::Counted(a.saturating_add(b)),
            (Loss::Unknown, _) | (_, Loss::Unknown) => Loss::Unknown,
        }
    }

    /// Reports the loss once.
    fn take(&mut self) -> Option<Delivery> {
        match std::mem::replace(self, Loss::None) {
            Loss::None => None,
            Loss::Counted(missed) => Some(Delivery::Gap { missed }),
            Loss::Unknown => Some(Delivery::Gap { missed: 0 }),
        }
    }
}

/// What became of an event that was offered to a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Offered {
    /// It waits in the queue.
    Queued,
    /// The queue was full.
    Dropped,
    /// The queue was full, and the subscriber is disconnected for that.
    Disconnected,
    /// The subscription had ended before.
    Ended,
}

/// The bus's side of a subscription.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) id: SubscriptionId,
    pub(super) filter: SubjectFilter,
    capacity: usize,
    on_lag: OnLag,
    waiting: Mutex<Waiting>,
    changed: Notify,
    acknowledged: Notify,
}

#[derive(Debug)]
struct Waiting {
    /// Each event with what was lost right before it.
    events: VecDeque<(Loss, Arc<JournalEntry>)>,
    /// Lost after the last event.
    loss: Loss,
    ended: bool,
    /// Whether the subscriber still waits for the bus to have the subscription, so that it cannot
    /// have missed anything. Only a bus elsewhere asks.
    awaited: bool,
}

impl Queue {
    pub(super) fn new(
        id: SubscriptionId,
        filter: SubjectFilter,
        capacity: usize,
        on_lag: OnLag,
    ) -> Self {
        let waiting =
            Waiting { events: VecDeque::new(), loss: Loss::None, ended: false, awaited: true };
        Self {
            id,
            filter,
            capacity: capacity.clamp(1, MAX_CAPACITY),
            on_lag,
            waiting: Mutex::new(waiting),
            changed: Notify::new(),
            acknowledged: Notify::new(),
        }
    }

    /// Held for a few instructions only, never across anything that waits.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn offer(&self, entry: &Arc<JournalEntry>) -> Offered {
        let offered = {
            let mut waiting = self.waiting();
            if waiting.ended {
                return Offered::Ended;
            }
            if waiting.events.len() < self.capacity {
                let before = std::mem::replace(&mut waiting.loss, Loss::None);
                waiting.events.push_back((before, entry.clone()));
                Offered::Queued
            } else {
                waiting.loss = waiting.loss.and(Loss::Counted(1));
                match self.on_lag {
                    OnLag::DropNewest => Offered::Dropped,
                    OnLag::Disconnect => {
                        waiting.ended = true;
                        Offered::Disconnected
                    }
                }
            }
        };
        self.changed.notify_one();
        offered
    }

    /// The bus elsewhere has the subscription, for the first time or again. Leaves a gap unless
    /// the subscriber waited for this.
    pub(super) fn acknowledge(&self) {
        let mut waiting = self.waiting();
        if !std::mem::replace(&mut waiting.awaited, false) {
            waiting.loss = waiting.loss.and(Loss::Unknown);
        }
        drop(waiting);
        self.acknowledged.notify_one();
        self.changed.notify_one();
    }

    /// The transport lost events of this subscription; none where nobody can tell how many.
    pub(super) fn lost(&self, missed: Option<u64>) {
        let mut waiting = self.waiting();
        waiting.loss = waiting.loss.and(missed.map_or(Loss::Unknown, Loss::Counted));
        drop(waiting);
        self.changed.notify_one();
    }

    /// Waits for the acknowledgement, or for the end, or until `limit` is over.
    pub(super) async fn acknowledged_within(&self, limit: Duration) {
        let _ = timeout(limit, async {
            while self.is_awaited() {
                self.acknowledged.notified().await;
            }
        })
        .await;
        self.waiting().awaited = false;
    }

    fn is_awaited(&self) -> bool {
        let waiting = self.waiting();
        waiting.awaited && !waiting.ended
    }

    /// No more events; what is queued stays readable.
    pub(super) fn end(&self) {
        self.waiting().ended = true;
        self.acknowledged.notify_one();
        self.changed.notify_one();
    }

    fn poll(&self) -> Polled {
        let mut waiting = self.waiting();
        let loss = match waiting.events.front_mut() {
            Some((before, _)) => before,
            None => &mut waiting.loss,
        };
        if let Some(gap) = loss.take() {
            return Polled::Ready(gap);
        }
        match waiting.events.pop_front() {
            Some((_, entry)) => Polled::Ready(Delivery::Event(entry)),
            None if waiting.ended => Polled::Ended,
            None => Polled::Empty,
        }
    }
}

enum Polled {
    Ready(Delivery),
    Empty,
    Ended,
}

/// A subscriber's side: what matches its filter, in the order of arrival. Dropping it
/// unsubscribes.
#[derive(Debug)]
pub struct Subscription {
    queue: Arc<Queue>,
    hub: Arc<Hub>,
}

impl Subscription {
    pub(super) fn new(queue: Arc<Queue>, hub: Arc<Hub>) -> Self {
        Self { queue, hub }
    }

    /// The next delivery; `None` once the bus is closed or this subscriber was disconnected, and
    /// everything before that was handed out.
    ///
    /// Cancel-safe: nothing is taken from the queue before the future is ready.
    pub async fn next(&mut self) -> Option<Delivery> {
        loop {
            match self.queue.poll() {
                Polled::Ready(delivery) => return Some(delivery),
                Polled::Ended => return None,
                // Notify keeps one permit, so a change between the look and the wait is not
                // missed. There is one waiter: this one.
                Polled::Empty => self.queue.changed.notified().await,
            }
        }
    }

    /// What is there without waiting.
    pub fn try_next(&mut self) -> Option<Delivery> {
        match self.queue.poll() {
            Polled::Ready(delivery) => Some(delivery),
            Polled::Empty | Polled::Ended => None,
        }
    }

    /// The filter.
    pub fn filter(&self) -> &SubjectFilter {
        &self.queue.filter
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.queue.end();
        self.hub.remove(self.queue.id);
    }
}
