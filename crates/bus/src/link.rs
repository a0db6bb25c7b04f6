//! The connection to a bus elsewhere: made when it is first needed, made again when it is lost.
//!
//! States: idle, connecting, connected, waiting; a failed try is never remembered beyond the wait
//! that follows it. One task owns the connection. This module knows no transport: that is behind
//! [`Connector`].

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use model::{Ambient, JournalEntry, SubjectFilter};
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{BusState, hub::Hub, subscription::Queue};

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
pub struct Incoming {
    /// For which subscription.
    pub subscription: SubscriptionId,
    /// What. Its topic is the one that the transport delivered it under.
    pub entry: Arc<JournalEntry>,
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
/// subscriptions. After an error the connection is dropped and a new one made.
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

/// A new subscription on its way to the connection.
pub(crate) struct Subscribe {
    pub(crate) queue: Arc<Queue>,
    pub(crate) acknowledge: oneshot::Sender<()>,
}

/// The task that owns the connection.
pub(crate) struct Link {
    connector: Box<dyn Connector>,
    retry: Retry,
    ambient: Ambient,
    hub: Arc<Hub>,
}

impl Link {
    pub(crate) fn new(
        connector: Box<dyn Connector>,
        retry: Retry,
        ambient: Ambient,
        hub: Arc<Hub>,
    ) -> Self {
        Self { connector, retry, ambient, hub }
    }

    pub(crate) async fn run(
        self,
        _outbound: mpsc::Receiver<Arc<JournalEntry>>,
        _subscribing: mpsc::Receiver<Subscribe>,
        _leaving: mpsc::UnboundedReceiver<SubscriptionId>,
        _stop: CancellationToken,
    ) {
        let _ = (&self.connector, &self.retry.timeout, &self.hub, BusState::Connected);
        let _ = (
            sleep(Duration::ZERO),
            timeout(Duration::ZERO, async {}),
            self.retry.wait(1, &self.ambient),
        );
        unimplemented!()
    }
}
