//! The handle.

use std::{sync::Arc, time::Duration};

use model::{Ambient, Event, JournalEntry, SubjectFilter};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{BusHealth, BusState, Connector, OnLag, Retry, Subscription, hub::Hub, link::Link};

/// Largest payload that the bus takes, in bytes.
const MAX_PAYLOAD_BYTES: usize = 1 << 20;

/// Events that wait for a connection before further ones are dropped.
const OUTBOUND_EVENTS: usize = 4096;

/// How long a subscription waits for the acknowledgement of a bus elsewhere.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(2);

/// A handle on the bus. Clones share the bus; when the last is dropped, it closes.
#[derive(Clone)]
pub struct Bus {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    hub: Arc<Hub>,
    remote: Option<Remote>,
}

/// The way to the task that holds the connection.
struct Remote {
    events: mpsc::Sender<Arc<JournalEntry>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Bus {
    /// A bus within this process.
    pub fn embedded(name: &str) -> Self {
        Self::local(name, BusState::Embedded)
    }

    /// No bus: publishing is skipped, subscriptions end at once.
    pub fn off() -> Self {
        Self::local("off", BusState::Off)
    }

    fn local(name: &str, state: BusState) -> Self {
        let shared = Shared { name: name.into(), hub: Hub::new(state), remote: None };
        Self { shared: Arc::new(shared) }
    }

    /// A bus elsewhere, reached through `connector` when it is first used, and again whenever
    /// the connection is lost. `ambient` gives the jitter between tries.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn connecting(
        name: &str,
        connector: Box<dyn Connector>,
        retry: Retry,
        ambient: Ambient,
    ) -> Self {
        let (events, outbound) = mpsc::channel(OUTBOUND_EVENTS);
        let hub = Hub::new(BusState::Idle);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let link = Link::new(connector, retry, ambient, hub.clone(), outbound, stop.clone());
        tasks.spawn(link.run());
        tasks.close();
        let remote = Some(Remote { events, stop, tasks });
        Self { shared: Arc::new(Shared { name: name.into(), hub, remote }) }
    }

    /// Tells an event. Never waits and never fails; what is lost is counted in
    /// [`BusHealth::dropped`], what comes to a bus that is off or closed in
    /// [`BusHealth::skipped`].
    pub fn publish(&self, event: &Event) {
        let hub = &self.shared.hub;
        match hub.state() {
            BusState::Off | BusState::Closed => hub.skipped.add(1),
            // Nobody listens: not worth writing it down as JSON.
            BusState::Embedded if !hub.has_listener(&event.topic) => hub.published.add(1),
            BusState::Embedded
            | BusState::Idle
            | BusState::Connecting
            | BusState::Connected
            | BusState::Waiting => self.publish_entry(Arc::new(event.to_entry(None))),
        }
    }

    /// Tells an event that is written already. Never waits and never fails, like
    /// [`Bus::publish`].
    pub fn publish_entry(&self, entry: Arc<JournalEntry>) {
        let hub = &self.shared.hub;
        if matches!(hub.state(), BusState::Off | BusState::Closed) {
            hub.skipped.add(1);
            return;
        }
        let bytes = entry.payload.get().len();
        if bytes > MAX_PAYLOAD_BYTES {
            hub.dropped.add(1);
            tracing::warn!(topic = %entry.topic, bytes, "event dropped: its payload is too large");
            return;
        }
        match &self.shared.remote {
            None => {
                hub.published.add(1);
                hub.fan_out(&entry);
            }
            Some(remote) => match remote.events.try_send(entry) {
                Ok(()) => hub.published.add(1),
                Err(mpsc::error::TrySendError::Full(_)) => hub.dropped.add(1),
                Err(mpsc::error::TrySendError::Closed(_)) => hub.skipped.add(1),
            },
        }
    }

    /// Subscribes; returns once the bus has it, so that nothing published afterwards is missed.
    /// A bus elsewhere that does not answer within 2 s does not hold the caller: the subscription
    /// is made when the connection is, and begins with a gap. `capacity` (1 to 65,536 events) and
    /// `on_lag` say what happens to a subscriber that does not keep up.
    pub async fn subscribe(
        &self,
        filter: SubjectFilter,
        capacity: usize,
        on_lag: OnLag,
    ) -> Subscription {
        let hub = &self.shared.hub;
        let queue = hub.add(filter, capacity, on_lag);
        // Made before the wait, so that a cancelled caller unsubscribes.
        let subscription = Subscription::new(queue.clone(), hub.clone());
        if self.shared.remote.is_some() {
            queue.acknowledged_within(SUBSCRIBE_TIMEOUT).await;
        }
        subscription
    }

    /// The state and figures now.
    pub fn health(&self) -> BusHealth {
        let hub = &self.shared.hub;
        BusHealth {
            name: self.shared.name.clone(),
            state: hub.state(),
            published: hub.published.get(),
            delivered: hub.delivered.get(),
            dropped: hub.dropped.get(),
            skipped: hub.skipped.get(),
            subscribers: hub.queues().len() as u64,
            reconnects: hub.reconnects.get(),
        }
    }

    /// Closes the bus for all clones: events that wait for the connection are sent if that is
    /// quick, subscriptions hand out what they hold and end, publishing is skipped from now on.
    /// Closing again does nothing.
    pub async fn close(&self) {
        self.shared.hub.enter(BusState::Closed);
        if let Some(remote) = &self.shared.remote {
            remote.stop.cancel();
            remote.tasks.wait().await;
        }
        self.shared.hub.end_all();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(remote) = &self.remote {
            remote.stop.cancel();
        }
        self.hub.enter(BusState::Closed);
        self.hub.end_all();
    }
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus").field("health", &self.health()).finish()
    }
}
