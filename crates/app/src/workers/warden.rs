//! Hears the heartbeats of all workers and obeys `system.<worker>.control` for those of this
//! process. The bus's permissions decide who may give such an order: by default the process
//! itself, which does so for administrators.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use api::{WorkerStatus, WorkersView};
use bus::{Bus, BusState, Delivery, OnLag, Subscription};
use model::{Ambient, ControlAction, JournalEntry, SubjectFilter, WorkerControl, WorkerHealth};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{Pulse, Registry, Roster, pulse::beats_every, registry::BUS};

/// Heartbeats and orders that wait at most; the next heartbeat makes up for a lost one.
const WAITING: usize = 1024;
/// Time between two reports on the bus.
const BUS_REPORT: Duration = Duration::from_secs(10);

/// Watches over the workers.
pub struct Warden {
    bus: Bus,
    ambient: Ambient,
    roster: Roster,
    registry: Arc<Mutex<Registry>>,
}

/// What the control surface sees of the workers.
#[derive(Clone)]
pub struct WorkersHandle {
    registry: Arc<Mutex<Registry>>,
    ambient: Ambient,
}

impl WorkersView for WorkersHandle {
    fn workers(&self) -> Vec<WorkerStatus> {
        with(&self.registry, |registry| registry.list(self.ambient.now()))
    }
}

impl Warden {
    /// Watches over the workers on this roster and those that are heard on the bus.
    pub fn new(bus: Bus, ambient: Ambient, roster: Roster) -> Self {
        Self { bus, ambient, roster, registry: Arc::default() }
    }

    /// What the control surface sees.
    pub fn handle(&self) -> WorkersHandle {
        WorkersHandle { registry: self.registry.clone(), ambient: self.ambient.clone() }
    }

    /// Hears from now on; done when the bus has the subscriptions, so that no first heartbeat of
    /// a worker that starts afterwards is missed.
    pub async fn listen(self) -> Listening {
        let filter = |text: &str| -> SubjectFilter { text.parse().expect("it is a filter") };
        let health = self.bus.subscribe(filter("system.*.health"), WAITING, OnLag::DropNewest);
        let control = self.bus.subscribe(filter("system.*.control"), WAITING, OnLag::DropNewest);
        Listening { health: health.await, control: control.await, warden: self }
    }

    fn expect_all(&self) {
        with(&self.registry, |registry| {
            self.roster.names().into_iter().chain([BUS]).for_each(|name| registry.expect(name));
        });
    }

    fn heard(&self, delivery: Option<Delivery>) {
        let Some(Delivery::Event(entry)) = delivery else { return };
        let health = serde_json::from_str::<WorkerHealth>(entry.payload.get());
        // The name comes from the subject: that is what permissions are about.
        let (Some(worker), Ok(health)) = (worker(&entry), health) else { return };
        with(&self.registry, |registry| registry.hear(worker, health, self.ambient.now()));
    }

    fn obey(&self, delivery: Option<Delivery>) {
        let Some(Delivery::Event(entry)) = delivery else { return };
        let order = serde_json::from_str::<WorkerControl>(entry.payload.get());
        let (Some(worker), Ok(order)) = (worker(&entry), order) else {
            debug!(topic = %entry.topic, "an order that says nothing is ignored");
            return;
        };
        match order.action {
            ControlAction::Stop => {
                with(&self.registry, |registry| registry.stopped(worker, &order.requested_by));
                if self.roster.stop(worker) {
                    info!(worker, requested_by = %order.requested_by, "a worker is stopped");
                }
            }
        }
    }
}

/// A warden that hears.
pub struct Listening {
    warden: Warden,
    health: Subscription,
    control: Subscription,
}

impl Listening {
    /// Watches until `stop`, and reports on the bus meanwhile with what `figures` adds.
    pub async fn run<F>(mut self, figures: impl Fn() -> F + Send, stop: CancellationToken)
    where
        F: Future<Output = Vec<(String, u64)>> + Send,
    {
        self.warden.expect_all();
        let Warden { bus, ambient, .. } = &self.warden;
        let (bus, pulse) = (bus.clone(), Pulse::new(BUS, bus.clone(), ambient.clone()));
        let mut reports = beats_every(BUS_REPORT);
        // A subscription that the bus refuses or ends is over; the other one goes on.
        let (mut hears, mut obeys) = (true, true);
        // A bus that is off ends its subscriptions.
        while !matches!(bus.health().state, BusState::Off | BusState::Closed) {
            // Cancel-safe: tokens, subscriptions and intervals keep what is not taken.
            tokio::select! {
                () = stop.cancelled() => return,
                got = self.health.next(), if hears => {
                    hears = got.is_some();
                    self.warden.heard(got);
                }
                got = self.control.next(), if obeys => {
                    obeys = got.is_some();
                    self.warden.obey(got);
                }
                _ = reports.tick() => {
                    pulse.beat(bus.health().figures().into_iter().chain(figures().await));
                }
            }
        }
        stop.cancelled().await;
    }
}

/// The worker that `system.<worker>.…` is about.
fn worker(entry: &JournalEntry) -> Option<&str> {
    entry.topic.as_str().split('.').nth(1)
}

fn with<T>(registry: &Mutex<Registry>, use_it: impl FnOnce(&mut Registry) -> T) -> T {
    use_it(&mut registry.lock().unwrap_or_else(PoisonError::into_inner))
}
