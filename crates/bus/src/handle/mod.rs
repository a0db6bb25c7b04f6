//! The handle that everybody publishes to and subscribes with, whatever bus is behind it.
//!
//! Owns the fan-out within the process ([`hub`]), the queues of subscribers ([`subscription`]), the
//! connection to a bus elsewhere ([`link`]) and the bond with a broker in this process
//! ([`serving`]). It knows neither wire nor socket: those are transports.

mod health;
mod hub;
mod link;
mod serving;
mod shared;
mod subscription;

use std::{sync::Arc, time::Duration};

use model::{Ambient, Event, JournalEntry, SubjectFilter};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use health::{BusHealth, BusState};
pub use link::{BoxFuture, Connection, Connector, Incoming, LinkError, Retry, SubscriptionId};
pub use shared::{close_all_shared, close_shared, shared};
pub use subscription::{Delivery, OnLag, Subscription};

use crate::{
    broker::Broker,
    client::AddressError,
    transport::{self, MAX_PAYLOAD_BYTES},
};
use hub::Hub;
use link::Link;
use serving::Serving;

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
    reach: Reach,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Where events go beyond the subscribers of this handle.
enum Reach {
    /// Nowhere.
    Here,
    /// To a broker in this process.
    Serving(Serving),
    /// To the task that holds the connection to a bus elsewhere.
    Elsewhere(mpsc::Sender<Arc<JournalEntry>>),
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
        Self::new(name, Hub::new(state), Reach::Here)
    }

    fn new(name: &str, hub: Arc<Hub>, reach: Reach) -> Self {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        Self { shared: Arc::new(Shared { name: name.into(), hub, reach, stop, tasks }) }
    }

    fn run(self, task: impl Future<Output = ()> + Send + 'static) -> Self {
        self.shared.tasks.spawn(task);
        self.shared.tasks.close();
        self
    }

    /// A bus within this process whose events `broker` tells to its clients, and which hears what
    /// they publish. Subscribers of this handle get events without a detour; the broker gets them
    /// only while somebody else subscribes there. `name` is what the broker shows.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn serving(name: &str, broker: &Broker) -> Self {
        let hub = Hub::new(BusState::Embedded);
        let (serving, bond) = Serving::new(name, broker, hub.clone());
        let bus = Self::new(name, hub, Reach::Serving(serving));
        let stop = bus.shared.stop.clone();
        bus.run(bond.run(stop))
    }

    /// A bus at an address: `unix:///run/morgana/bus.sock` or a path, `tcp://host:port` with this
    /// crate's own client, `nats://…` and `tls://…` with async-nats where that is compiled in.
    /// Credentials stand in the URL; for `nats` and `tls` also in a file, `?creds=/path`. Otherwise
    /// as [`Bus::connecting`].
    ///
    /// # Errors
    /// Where `url` is no address. That nobody is there is no error.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn connect(name: &str, url: &str, ambient: Ambient) -> Result<Self, AddressError> {
        let connector = transport::connector(url, name, &ambient)?;
        Ok(Self::connecting(name, connector, Retry::default(), ambient))
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
        let bus = Self::new(name, hub.clone(), Reach::Elsewhere(events));
        let stop = bus.shared.stop.clone();
        bus.run(Link::new(connector, retry, ambient, hub, outbound, stop).run())
    }

    /// Tells an event. Never waits and never fails; what is lost is counted in
    /// [`BusHealth::dropped`], what comes to a bus that is off or closed in
    /// [`BusHealth::skipped`].
    pub fn publish(&self, event: &Event) {
        let hub = &self.shared.hub;
        match hub.state() {
            BusState::Off | BusState::Closed => hub.skipped.add(1),
            // Nobody listens: not worth writing it down as JSON.
            BusState::Embedded if !self.is_heard(event) => hub.published.add(1),
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
        match &self.shared.reach {
            Reach::Here => {
                hub.published.add(1);
                hub.fan_out(&entry);
            }
            Reach::Serving(serving) => {
                hub.published.add(1);
                hub.fan_out(&entry);
                serving.publish(&entry);
            }
            Reach::Elsewhere(events) => match events.try_send(entry) {
                Ok(()) => hub.published.add(1),
                Err(mpsc::error::TrySendError::Full(_)) => hub.dropped.add(1),
                Err(mpsc::error::TrySendError::Closed(_)) => hub.skipped.add(1),
            },
        }
    }

    fn is_heard(&self, event: &Event) -> bool {
        let outside = match &self.shared.reach {
            Reach::Here => false,
            Reach::Serving(serving) => serving.has_interest(),
            Reach::Elsewhere(_) => true,
        };
        outside || self.shared.hub.has_listener(&event.topic)
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
        if !matches!(self.shared.reach, Reach::Here) {
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
            rejected: hub.rejected.get(),
            subscribers: hub.queues().len() as u64,
            reconnects: hub.reconnects.get(),
        }
    }

    /// Closes the bus for all clones: events that wait for the connection are sent if that is
    /// quick, subscriptions hand out what they hold and end, publishing is skipped from now on.
    /// Closing again does nothing.
    pub async fn close(&self) {
        self.shared.hub.enter(BusState::Closed);
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        self.shared.hub.end_all();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.cancel();
        self.hub.enter(BusState::Closed);
        self.hub.end_all();
    }
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus").field("health", &self.health()).finish()
    }
}
