//! What the control surface is given.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use model::{Ambient, DeckyId, LanId, Service, Timestamp};

/// Where to listen and how much to allow.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// TCP address; loopback unless there is a reason. `None`: the UNIX socket only.
    pub listen: Option<SocketAddr>,
    /// UNIX socket for the command line, where the service's owner and root need no login.
    pub socket: Option<PathBuf>,
    /// How browsers reach the service, where a proxy stands before it: its host is accepted in
    /// `Host` and `Origin`, and `https` makes cookies secure.
    pub public_url: Option<String>,
    /// What is allowed at most.
    pub limits: Limits,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)),
            socket: None,
            public_url: None,
            limits: Limits::default(),
        }
    }
}

/// What is allowed at most.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections; further ones wait in the kernel.
    pub connections: usize,
    /// Live streams of all clients together.
    pub streams: usize,
    /// Live streams of one address.
    pub streams_per_address: usize,
    /// Live streams of one user.
    pub streams_per_user: usize,
    /// Live streams of one browser login.
    pub streams_per_login: usize,
    /// Live streams of one API token, or of one user on the UNIX socket.
    pub streams_per_token: usize,
    /// A login ends when it was not used for this long.
    pub session_idle: Duration,
    /// A login ends after this long in any case.
    pub session_lifetime: Duration,
    /// A client that takes nothing for this long is cut.
    pub write_timeout: Duration,
    /// Time that requests get to finish at shutdown.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            streams: 16_384,
            streams_per_address: 12_288,
            streams_per_user: 10_240,
            streams_per_login: 64,
            streams_per_token: 10_240,
            session_idle: Duration::from_secs(3600),
            session_lifetime: Duration::from_secs(12 * 3600),
            write_timeout: Duration::from_secs(10),
            grace: Duration::from_secs(5),
        }
    }
}

/// What the control surface works with.
#[derive(Clone)]
pub struct Handles {
    /// The truth.
    pub store: store::Store,
    /// Tells what is not journalled.
    pub bus: bus::Bus,
    /// Time and randomness.
    pub ambient: Ambient,
    /// Where deckies really answer.
    pub network: Arc<dyn NetworkView>,
    /// The sinks of the journal.
    pub relay: Arc<dyn RelayView>,
    /// The workers, as they are heard.
    pub workers: Arc<dyn WorkersView>,
    /// Takes everything off the network.
    pub panic: Arc<dyn PanicSwitch>,
    /// Is told what there is to do.
    pub mutator: Arc<dyn MutatorView>,
}

/// Where deckies really answer: the fleet, as the control surface sees it.
pub trait NetworkView: Send + Sync {
    /// The open services of a decky; empty where it is not deployed. Quick.
    fn endpoints(&self, decky: DeckyId) -> Vec<EndpointView>;
}

/// The mutator, as the control surface sees it. Quick; told twice, it looks at least once.
pub trait MutatorView: Send + Sync {
    /// A change was queued.
    fn look_at_queue(&self);

    /// The status of a topology changed.
    fn look_at_everything(&self);
}

/// The kill switch, as the control surface sees it.
pub trait PanicSwitch: Send + Sync {
    /// Takes everything off the network, on behalf of `by`; it stays off until it is deployed
    /// again. Waits for no queue, and goes on where nobody waits for it.
    fn throw(
        &self,
        by: &str,
    ) -> Pin<Box<dyn Future<Output = Result<Panicked, PanicError>> + Send + '_>>;
}

/// What the kill switch did.
#[derive(Clone, Debug)]
pub struct Panicked {
    /// The topologies that were deployed.
    pub off: Vec<store::SwitchedOff>,
    /// What could not be removed, in words; empty means that nothing is left.
    pub left: Vec<String>,
    /// Time until nothing answered any more.
    pub down_after: Duration,
    /// Time until the database knew.
    pub took: Duration,
}

/// Why the kill switch is not through.
#[derive(Debug, thiserror::Error)]
pub enum PanicError {
    /// The network is off, and stays off as long as the process lives; the next start brings
    /// back what the database has.
    #[error("the network is off, but the database does not know")]
    NotKept(#[source] store::StoreError),
}

/// One open service of a decky.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointView {
    /// On which LAN.
    pub lan: LanId,
    /// The protocol.
    pub service: Service,
    /// The port that its persona shows.
    pub port: u16,
    /// Where it really answers.
    pub listening: SocketAddr,
}

/// The sinks of the journal: the relay, as the control surface sees it.
pub trait RelayView: Send + Sync {
    /// Every sink that runs here. Quick.
    fn sinks(&self) -> Vec<SinkStatus>;

    /// Has the sink of this name look at its dead letters at once.
    fn wake(&self, sink: &str);
}

/// How a sink fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkStatus {
    /// Its name.
    pub sink: String,
    /// What it does.
    pub state: SinkState,
    /// Everything in the journal up to here is delivered, not wanted, or a dead letter.
    pub position: u64,
    /// Entries that arrived since the process began.
    pub delivered: u64,
    /// Entries that were pruned from the journal before their turn came.
    pub missed: u64,
    /// How often it could not be reached since the process began.
    pub failures: u64,
    /// The last thing that went wrong, in words for an operator.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<Timestamp>,
}

/// What a sink does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkState {
    /// It delivers what there is.
    Running,
    /// It failed and is tried again.
    Waiting {
        /// When.
        until: Timestamp,
    },
    /// It has ended.
    Stopped,
}

/// The workers of this and other processes, as they are heard.
pub trait WorkersView: Send + Sync {
    /// Every worker that should be there or was heard, by name. Quick.
    fn workers(&self) -> Vec<WorkerStatus>;
}

/// How a worker fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerStatus {
    /// Its name.
    pub worker: String,
    /// Whether it is alive.
    pub state: WorkerState,
    /// When it was heard last.
    pub heard_at: Option<Timestamp>,
    /// Who had it stopped.
    pub stopped_by: Option<String>,
    /// Whether it can be told to stop.
    pub can_stop: bool,
    /// Its figures, by name.
    pub figures: BTreeMap<String, u64>,
}

/// Whether a worker is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// It was heard lately.
    Ok,
    /// It was not heard for 90 s.
    Stale,
    /// It was never heard, as with a bus that is off.
    Unknown,
    /// Somebody had it stopped; it starts with the process.
    Stopped,
}
