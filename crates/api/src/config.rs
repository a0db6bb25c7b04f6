//! What the control surface is given.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use model::{Ambient, DeckyId, LanId, Service};

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
    /// Called after something was queued or a status changed: the mutator looks at once.
    pub wake_mutator: Arc<dyn Fn() + Send + Sync>,
}

/// Where deckies really answer: the fleet, as the control surface sees it.
pub trait NetworkView: Send + Sync {
    /// The open services of a decky; empty where it is not deployed. Quick.
    fn endpoints(&self, decky: DeckyId) -> Vec<EndpointView>;
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
