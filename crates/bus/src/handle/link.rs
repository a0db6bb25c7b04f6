//! The connection to a bus elsewhere: made when it is first needed, made again when it is lost.
//!
//! States: idle, connecting, connected, waiting; a failed try is never remembered beyond the wait
//! that follows it. One task owns the connection. This module knows no transport: that is behind
//! [`Connector`].

use std::{
    collections::{BTreeSet, VecDeque},
    future::Future,
    iter,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use model::{Ambient, JournalEntry, SubjectFilter};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{BusState, hub::Hub, subscription::Queue};

/// A future behind a pointer, as the two traits here return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A subscription's number, unique within one bus handle and its clones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SubscriptionId(pub(crate) u64);

impl SubscriptionId {
    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// A number that a transport read from its wire.
    pub const fn from_wire(number: u64) -> Self {
        Self(number)
    }
}

/// What a connection brings in.
#[derive(Clone, Debug)]
pub enum Incoming {
    /// An event.
    Event {
        /// For which subscription.
        subscription: SubscriptionId,
        /// What. Its topic is the one that the transport delivered it under.
        entry: Arc<JournalEntry>,
    },
    /// The connection could not keep up.
    Lost {
        /// Whose events.
        subscription: SubscriptionId,
        /// How many; none where nobody can tell.
        missed: Option<u64>,
    },
    /// Something that is no event; dropped and counted in [`BusHealth::rejected`](crate::BusHealth).
    Rejected,
}

/// Why a connection failed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The transport says so.
    #[error("the bus's transport failed")]
    Transport(#[source] std::io::Error),
    /// The other side ended it.
    #[error("the bus ended the connection")]
    Ended,
    /// The other side does not take this one thing; the connection goes on.
    #[error("refused by the bus: {0}")]
    Refused(String),
    /// No answer in time.
    #[error("no answer from the bus within {0:?}")]
    Timeout(Duration),
}

/// Makes connections. A seam: each transport brings its own, tests a scripted one.
pub trait Connector: Send + Sync + 'static {
    /// Makes a new connection. Given up after [`Retry::timeout`].
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, LinkError>>;
}

/// A connection to a bus. The bus must echo: what this connection publishes comes back to its own
/// subscriptions. After an error other than [`LinkError::Refused`] the connection is dropped and a
/// new one made.
pub trait Connection: Send {
    /// Hands an entry to the transport.
    fn publish<'a>(&'a mut self, entry: &'a JournalEntry) -> BoxFuture<'a, Result<(), LinkError>>;
    /// Subscribes; returns once the other side has it.
    fn subscribe<'a>(
        &'a mut self,
        id: SubscriptionId,
        filter: &'a SubjectFilter,
    ) -> BoxFuture<'a, Result<(), LinkError>>;
    /// Ends a subscription.
    fn unsubscribe(&mut self, id: SubscriptionId) -> BoxFuture<'_, Result<(), LinkError>>;
    /// The next that comes in. Must be cancel-safe: it is dropped whenever there is something to
    /// send.
    fn receive(&mut self) -> BoxFuture<'_, Result<Incoming, LinkError>>;
    /// Sends what is buffered and says goodbye.
    fn close(&mut self) -> BoxFuture<'_, Result<(), LinkError>>;
}

/// How a lost connection is made again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retry {
    /// How long a try to connect, and each answer of a connection, may take.
    pub timeout: Duration,
    /// Longest wait after the first failure; doubles with each further one.
    pub first: Duration,
    /// Where the doubling ends.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(2),
            first: Duration::from_millis(100),
            longest: Duration::from_secs(10),
        }
    }
}

impl Retry {
    /// The wait after `failures` in a row (from 1), between half and the whole of its doubling.
    fn wait(&self, failures: u32, ambient: &Ambient) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures.saturating_sub(1).min(20));
        let most = doubled.min(self.longest);
        let jitter = f64::from(u32::from_be_bytes(ambient.bytes())) / f64::from(u32::MAX);
        most.mul_f64(0.5 + 0.5 * jitter)
    }
}

/// The task that owns the connection.
pub(crate) struct Link {
    connector: Box<dyn Connector>,
    retry: Retry,
    ambient: Ambient,
    hub: Arc<Hub>,
    outbound: mpsc::Receiver<Arc<JournalEntry>>,
    stop: CancellationToken,
}

/// A connection and what it was told.
struct Live {
    connection: Box<dyn Connection>,
    subscribed: BTreeSet<SubscriptionId>,
}

/// Why the task stopped using a connection.
enum Over {
    Stopped,
    Lost(LinkError),
}

impl From<LinkError> for Over {
    fn from(error: LinkError) -> Self {
        Self::Lost(error)
    }
}

impl Link {
    pub(crate) fn new(
        connector: Box<dyn Connector>,
        retry: Retry,
        ambient: Ambient,
        hub: Arc<Hub>,
        outbound: mpsc::Receiver<Arc<JournalEntry>>,
        stop: CancellationToken,
    ) -> Self {
        Self { connector, retry, ambient, hub, outbound, stop }
    }

    pub(crate) async fn run(mut self) {
        let mut unsent = None;
        // Cancel-safe: a channel and a permit lose nothing when another branch wins.
        let wanted = tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = self.hub.changed() => true,
            entry = self.outbound.recv() => {
                unsent = entry;
                unsent.is_some()
            }
        };
        if wanted {
            self.keep_connected(&mut unsent).await;
        }
        self.count_unsent(unsent.as_ref());
    }

    async fn keep_connected(&mut self, unsent: &mut Option<Arc<JournalEntry>>) {
        let (mut failures, mut was_connected) = (0, false);
        loop {
            self.hub.enter(BusState::Connecting);
            let over = match self.connect().await {
                Ok(mut live) => {
                    failures = 0;
                    if std::mem::replace(&mut was_connected, true) {
                        self.hub.reconnects.add(1);
                    }
                    self.hub.enter(BusState::Connected);
                    self.serve(&mut live, unsent).await
                }
                Err(over) => over,
            };
            match over {
                Over::Stopped => return,
                Over::Lost(error) => {
                    failures += 1;
                    if !self.wait(failures, &error).await {
                        return;
                    }
                }
            }
        }
    }

    /// A new connection that knows every subscription.
    async fn connect(&self) -> Result<Live, Over> {
        let made = async {
            let connection = self.answer(self.connector.connect()).await?;
            let mut live = Live { connection, subscribed: BTreeSet::new() };
            self.reconcile(&mut live).await?;
            Ok(live)
        };
        // Cancel-safe: a half-made connection may go when the bus closes.
        tokio::select! {
            () = self.stop.cancelled() => Err(Over::Stopped),
            made = made => made.map_err(Over::Lost),
        }
    }

    /// Uses a connection until it is lost or the bus closes.
    async fn serve(&mut self, live: &mut Live, unsent: &mut Option<Arc<JournalEntry>>) -> Over {
        loop {
            if let Some(entry) = unsent.take()
                && let Err(error) = self.publish(live, &entry).await
            {
                return error.into();
            }
            // Cancel-safe: a channel and a permit lose nothing when another branch wins, and
            // `receive` must be cancel-safe by its contract.
            let done = tokio::select! {
                () = self.stop.cancelled() => {
                    self.say_goodbye(live).await;
                    return Over::Stopped;
                }
                () = self.hub.changed() => self.reconcile(live).await,
                Some(entry) = self.outbound.recv() => {
                    *unsent = Some(entry);
                    Ok(())
                }
                incoming = live.connection.receive() => incoming.map(|new| self.deliver(&new)),
            };
            if let Err(error) = done {
                return error.into();
            }
        }
    }

    /// Publishes one entry; what is refused is dropped and counted, like what is lost.
    async fn publish(&self, live: &mut Live, entry: &JournalEntry) -> Result<(), LinkError> {
        let published = self.answer(live.connection.publish(entry)).await;
        if published.is_err() {
            self.hub.dropped.add(1);
        }
        match published {
            Err(LinkError::Refused(reason)) => {
                tracing::warn!(topic = %entry.topic, reason, "event dropped: the bus refused it");
                Ok(())
            }
            published => published,
        }
    }

    /// Makes the other side's subscriptions equal to the hub's. A subscriber that does not wait
    /// for this any more may have missed something, so it gets a gap.
    async fn reconcile(&self, live: &mut Live) -> Result<(), LinkError> {
        let queues = self.hub.queues();
        let wanted: BTreeSet<_> = queues.iter().map(|queue| queue.id).collect();
        let gone: Vec<_> = live.subscribed.difference(&wanted).copied().collect();
        for id in gone {
            self.answer(live.connection.unsubscribe(id)).await?;
            live.subscribed.remove(&id);
        }
        for queue in queues.iter() {
            if !live.subscribed.contains(&queue.id) {
                self.subscribe(live, queue).await?;
            }
        }
        Ok(())
    }

    /// Subscribes; a subscription that the other side refuses ends.
    async fn subscribe(&self, live: &mut Live, queue: &Queue) -> Result<(), LinkError> {
        match self.answer(live.connection.subscribe(queue.id, &queue.filter)).await {
            Ok(()) => {
                live.subscribed.insert(queue.id);
                queue.acknowledge();
                Ok(())
            }
            Err(LinkError::Refused(reason)) => {
                tracing::warn!(filter = %queue.filter, reason, "subscription refused by the bus");
                queue.end();
                self.hub.remove(queue.id);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn deliver(&self, incoming: &Incoming) {
        match incoming {
            Incoming::Event { subscription, entry } => {
                self.with_queue(*subscription, |queue| self.hub.offer(queue, entry));
            }
            Incoming::Lost { subscription, missed } => {
                self.hub.dropped.add(missed.unwrap_or(1));
                self.with_queue(*subscription, |queue| queue.lost(*missed));
            }
            Incoming::Rejected => self.hub.rejected.add(1),
        }
    }

    fn with_queue(&self, id: SubscriptionId, act: impl FnOnce(&Queue)) {
        if let Some(queue) = self.hub.queues().iter().find(|queue| queue.id == id) {
            act(queue);
        }
    }

    /// Sends what waits, as long as the other side answers in time.
    async fn say_goodbye(&mut self, live: &mut Live) {
        self.outbound.close();
        let mut left: VecDeque<_> = iter::from_fn(|| self.outbound.try_recv().ok()).collect();
        let sending = async {
            while let Some(entry) = left.front() {
                match live.connection.publish(entry).await {
                    Err(LinkError::Refused(_)) => self.hub.dropped.add(1),
                    published => published?,
                }
                left.pop_front();
            }
            live.connection.close().await
        };
        if let Err(error) = within(self.retry.timeout, sending).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "bus closed without goodbye");
        }
        self.hub.dropped.add(left.len() as u64);
    }

    /// Waits before the next try; false where the bus closes meanwhile.
    async fn wait(&self, failures: u32, error: &LinkError) -> bool {
        let wait = self.retry.wait(failures, &self.ambient);
        tracing::warn!(
            error = error as &dyn std::error::Error,
            failures,
            wait_ms = wait.as_millis() as u64,
            "bus unreachable"
        );
        self.hub.enter(BusState::Waiting);
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = sleep(wait) => true,
        }
    }

    /// Counts what nobody will send any more.
    fn count_unsent(&mut self, unsent: Option<&Arc<JournalEntry>>) {
        self.outbound.close();
        let mut left = u64::from(unsent.is_some());
        while self.outbound.try_recv().is_ok() {
            left += 1;
        }
        self.hub.dropped.add(left);
    }

    async fn answer<T>(
        &self,
        asked: impl Future<Output = Result<T, LinkError>>,
    ) -> Result<T, LinkError> {
        within(self.retry.timeout, asked).await
    }
}

async fn within<T>(
    limit: Duration,
    asked: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, LinkError> {
    timeout(limit, asked).await.unwrap_or(Err(LinkError::Timeout(limit)))
}
