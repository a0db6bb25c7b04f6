//! Feeds the ring: journalled events from the journal, the others from the bus.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use bus::{Bus, BusState, Delivery, OnLag, Subscription};
use model::{JournalEntry, SubjectFilter};
use store::{Store, StoreError};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use super::{
    Frame, Page, Ring,
    client::Health,
    ring::{MAX_SLOTS, Pushed},
};

/// Rows read from the journal at once.
const ROWS: usize = 512;
/// A lost wake-up costs at most this much latency.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Pause after the journal could not be read.
const RETRY: Duration = Duration::from_secs(1);
/// How often the bus is asked how it fares.
const HEALTH_EVERY: Duration = Duration::from_secs(1);
/// Events of the bus that may wait for the ring; beyond, the newest are dropped, which the
/// streams are told.
const BUS_QUEUE: usize = 4096;

/// The ring and whoever waits for it.
pub(crate) struct Hub {
    store: Store,
    bus: Bus,
    epoch: Arc<str>,
    started: Instant,
    /// Held for copying only, never across an await.
    ring: RwLock<Ring>,
    health: Mutex<Health>,
    changed: watch::Sender<()>,
}

impl Hub {
    /// A ring with the newest part of the journal, so that resumes after a restart find it.
    ///
    /// # Errors
    /// Where the journal cannot be read.
    pub(crate) async fn new(store: Store, bus: Bus) -> Result<Self, StoreError> {
        let oldest = store.journal_oldest().await?;
        let from = store.journal_head().saturating_sub(MAX_SLOTS as u64 / 2);
        let after = from.max(oldest.saturating_sub(1));
        let hub = Self {
            epoch: store.installation().epoch.as_str().into(),
            started: Instant::now(),
            ring: RwLock::new(Ring::new(after, MAX_SLOTS)),
            health: Mutex::new(Ok(())),
            changed: watch::Sender::new(()),
            store,
            bus,
        };
        while hub.read_on().await? {}
        hub.note_health(&mut false);
        Ok(hub)
    }

    pub(crate) fn epoch(&self) -> Arc<str> {
        self.epoch.clone()
    }

    /// Time since the hub began: the clock of all streams.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn instant(&self, at: Duration) -> Instant {
        self.started + at
    }

    pub(crate) fn ring(&self) -> RwLockReadGuard<'_, Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn health(&self) -> Health {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes when there is something new.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// A part of the journal, for a stream that resumes from before the ring.
    pub(crate) async fn page(&self, after: u64) -> Result<Page, StoreError> {
        let oldest = self.store.journal_oldest().await?;
        let head = self.store.journal_head();
        let entries = self.store.journal_after(after, ROWS).await?;
        Ok(Page { entries, oldest, head })
    }

    /// Follows the journal until `stop`.
    pub(crate) async fn follow_journal(&self, stop: CancellationToken) {
        let mut heads = self.store.watch_journal();
        loop {
            heads.borrow_and_update();
            let wait = match self.read_on().await {
                Ok(true) => continue,
                Ok(false) => LOOK_EVERY,
                Err(StoreError::Closed { .. }) => return,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "the journal cannot be read for the live streams");
                    RETRY
                }
            };
            // All three are cancel-safe: nothing is taken out of them.
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = heads.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Follows the bus until `stop`.
    pub(crate) async fn follow_bus(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(HEALTH_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut subscription = self.subscribe().await;
        let mut missed = false;
        loop {
            // `next` of a subscription is cancel-safe, and so are the others.
            tokio::select! {
                () = stop.cancelled() => return,
                delivery = subscription.next(), if !missed => match delivery {
                    Some(Delivery::Event(entry)) => self.pass(&entry),
                    Some(Delivery::Gap { .. }) => self.set_health(Err("events of the bus were missed")),
                    None => missed = true,
                },
                _ = ticks.tick() => {
                    if missed && self.is_up() {
                        subscription = self.subscribe().await;
                    }
                    self.note_health(&mut missed);
                }
            }
        }
    }

    async fn subscribe(&self) -> Subscription {
        self.bus.subscribe(SubjectFilter::all(), BUS_QUEUE, OnLag::DropNewest).await
    }

    fn is_up(&self) -> bool {
        !matches!(self.bus.health().state, BusState::Off | BusState::Closed)
    }

    /// Takes over how the bus fares; clears `ended` where it is up.
    fn note_health(&self, ended: &mut bool) {
        let health = match self.bus.health().state {
            BusState::Embedded | BusState::Connected | BusState::Idle => Ok(()),
            BusState::Off => Err("the bus is off"),
            BusState::Closed => Err("the bus is closed"),
            BusState::Connecting | BusState::Waiting => Err("the bus cannot be reached"),
        };
        *ended &= !self.is_up();
        self.set_health(health);
    }

    fn set_health(&self, health: Health) {
        let before = std::mem::replace(
            &mut *self.health.lock().unwrap_or_else(PoisonError::into_inner),
            health,
        );
        if before != health {
            self.changed.send_replace(());
        }
    }

    /// Puts an event of the bus into the ring, unless the journal brings it or it is nobody's
    /// to see.
    fn pass(&self, entry: &JournalEntry) {
        if entry.seq.is_some() || entry.topic.as_str().starts_with("ingest.") {
            return;
        }
        let frame = Frame::new(&self.epoch, entry);
        self.ring.write().unwrap_or_else(PoisonError::into_inner).push_passing(frame);
        self.changed.send_replace(());
    }

    /// Reads on in the journal; whether there may be more.
    async fn read_on(&self) -> Result<bool, StoreError> {
        let after = self.ring().head();
        let entries = self.store.journal_after(after, ROWS).await?;
        let encoded: Vec<(u64, Frame)> = entries
            .iter()
            .filter_map(|entry| Some((entry.seq?, Frame::new(&self.epoch, entry))))
            .collect();
        if encoded.is_empty() {
            return Ok(false);
        }
        let more = encoded.len() == ROWS;
        self.add(encoded);
        self.changed.send_replace(());
        Ok(more)
    }

    fn add(&self, encoded: Vec<(u64, Frame)>) {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        for (seq, frame) in encoded {
            if seq > ring.head() + 1 {
                ring.skip_to(seq - 1);
            }
            let pushed = ring.push_journalled(seq, frame);
            debug_assert_ne!(pushed, Pushed::Early, "skipped to just before");
        }
    }
}
