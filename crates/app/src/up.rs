//! Start and stop: which component is made from which, in what order they begin and end.

use std::{
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use api::{ApiConfig, Handles};
use bus::Bus;
use fleet::{
    Fake, Helper, Loopback, LoopbackConfig, LoopbackError, Netns, NetnsConfig, NetnsError, Reach,
    Uplink,
    switch::{Personalities, PersonalityError},
};
use intel::Analyst;
use ipnet::Ipv4Net;
use model::{Ambient, InstallationSecret};
use store::{OpenError, Store, StoreError};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    bus_host::{BusError, BusHost},
    config::{Config, DriverChoice},
    flow::{
        mutate::{Mutator, Wake},
        observe::{CatchUpError, Ending, Ingest, Observer, QUEUE, Sessions},
        panic::KillSwitch,
        relay::{BusSink, Lifecycle, Relay, RelayHandle},
    },
    footing,
    host::{Host, Visitors},
    log::{self, LogLines},
    network::Network,
    workers::{Crew, Pulse, Roster, Warden},
};

/// Time for each of the two halves of a stop: the outside first, then what is behind it.
const GRACE: Duration = Duration::from_millis(2200);

/// Longest wait for the network before the control surface answers all the same.
const REBUILD: Duration = Duration::from_secs(10);

/// Longest wait for another process that has the data directory, and the pause between two looks.
const LOCK: Duration = Duration::from_secs(5);
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Why Morgana did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be made.
    #[error("cannot create the data directory `{path}` (key `data_dir`)")]
    DataDir {
        /// Which.
        path: PathBuf,
        /// From the system.
        #[source]
        source: io::Error,
    },
    /// The database cannot be opened.
    #[error("cannot open the database in the data directory (key `data_dir`)")]
    Store(#[from] OpenError),
    /// The database cannot be used.
    #[error("cannot use the database")]
    Query(#[from] StoreError),
    /// The loopback driver does not work here.
    #[error("the loopback driver does not work here (key `fleet.loopback_prefix`)")]
    Loopback(#[from] LoopbackError),
    /// The netns driver does not work here.
    #[error("the netns driver does not work here (key `fleet.uplink`)")]
    Netns(#[from] NetnsError),
    /// The root helper cannot be watched.
    #[error("cannot watch the root helper")]
    Helper(#[source] io::Error),
    /// A personality file is wrong.
    #[error("cannot use the personalities (key `fleet.personalities`)")]
    Personalities(#[from] PersonalityError),
    /// The bus or its streams cannot be had.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// What an earlier run left cannot be understood.
    #[error(transparent)]
    CatchUp(#[from] CatchUpError),
    /// The control surface cannot listen.
    #[error("the control surface cannot listen (keys `listen` and `socket`)")]
    Api(#[from] api::BindError),
}

/// A running Morgana.
pub struct Morgana {
    /// The database.
    pub store: Store,
    /// The bus.
    pub bus: Bus,
    /// Time and randomness.
    pub ambient: Ambient,
    /// Where deckies answer.
    pub network: Network,
    /// Where the console and the API answer.
    pub url: String,
    /// The one-time set-up secret, until the set-up is done.
    pub setup_secret: Option<String>,
    host: BusHost,
    nats_url: watch::Sender<Option<String>>,
    relay: RelayHandle,
    wake: Arc<Wake>,
    outside: Crew,
    inside: Crew,
    network_failed: CancellationToken,
}

impl Morgana {
    /// Boots everything in this process, which does itself what needs privilege.
    ///
    /// # Errors
    /// As [`Self::start_with`].
    pub async fn start(config: &Config, ambient: Ambient) -> Result<Self, StartError> {
        Self::start_with(config, ambient, None).await
    }

    /// Boots everything in this process, but for what a root helper does. Answers once the
    /// network is rebuilt from desired state and the control surface answers, so that what it says
    /// of deckies is true from the start.
    ///
    /// # Errors
    /// Where the data directory, the database, the driver or a listener cannot be had.
    pub async fn start_with(
        config: &Config,
        ambient: Ambient,
        helper: Option<Helper>,
    ) -> Result<Self, StartError> {
        let store = open_store(&config.data_dir, &ambient).await?;
        let mut host = BusHost::start(config, &ambient).await?;
        let bus = host.bus.clone();
        let wake = Arc::new(Wake::default());
        let roster = Roster::default();
        let (mut outside, mut inside) = (Crew::new(roster.clone()), Crew::new(roster.clone()));
        let pulse = |worker| Pulse::new(worker, bus.clone(), ambient.clone());
        let warden = Warden::new(bus.clone(), ambient.clone(), roster);
        let workers = Arc::new(warden.handle());
        let (nats_url, server) = watch::channel(config.nats_url.clone());
        let format = config.events_format;
        let mut lifecycle = Lifecycle::new(store.clone(), host.streams.clone(), server, format);
        lifecycle.prepare().await;
        let relay =
            Relay::new(store.clone(), ambient.clone()).with(BusSink(bus.clone())).with(lifecycle);
        let sinks = relay.handle();

        let (facts, received) = mpsc::channel(QUEUE);
        let secret = store.installation().secret.clone();
        let sessions = Sessions::open(host.streams.clone(), config.bus.sessions_bytes);
        let sessions = sessions.await.map_err(CatchUpError::Streams)?;
        let mut observer = Observer {
            store: store.clone(),
            bus: bus.clone(),
            pulse: pulse("observer"),
            ambient: ambient.clone(),
            analyst: Analyst::new(secret.clone(), ambient.clone()),
            sessions: sessions.clone(),
        };
        observer.catch_up().await?;

        let (decoys, visitors) = decoys::Driver::new(decoy_limits(config), ambient.clone(), facts);
        let host_of_decoys = Host::new(visitors.clone(), secret.clone());
        let network_failed = host_of_decoys.failed();
        let watched = helper.as_ref().map(Helper::watch).transpose();
        let watched = watched.map_err(StartError::Helper)?.flatten();
        let network = network(config, host_of_decoys, secret, &ambient, helper)?;
        let handles = Handles {
            store: store.clone(),
            bus: bus.clone(),
            ambient: ambient.clone(),
            network: Arc::new(network.clone()),
            relay: Arc::new(sinks.clone()),
            workers,
            panic: Arc::new(KillSwitch::new(store.clone(), network.clone())),
            mutator: wake.clone(),
        };
        let api = api::Server::new(api_config(config), handles).bind().await?;
        let url = api.addr().map(|addr| format!("http://{addr}")).unwrap_or_default();
        let setup_secret = api::offer_setup(&store, &ambient).await?;
        let (ready, rebuilt) = oneshot::channel();
        let mutator = Mutator {
            store: store.clone(),
            network: network.clone(),
            bus: bus.clone(),
            pulse: pulse("mutator"),
            ambient: ambient.clone(),
            occupancy: Arc::new(Visitors(visitors.clone())),
            wake: wake.clone(),
            poll: config.poll,
            lease: config.lease,
            ready: Some(ready),
        };

        // First, so that no heartbeat is missed.
        let warden = warden.listen().await;
        let (ingested, closing) = (CancellationToken::new(), inside.stop_token());
        let ingest = Ingest { sessions, facts: received, done: ingested.clone().drop_guard() };
        inside.spawn_quietly("ingest", ingest.run(closing.clone()));
        inside.spawn("observer", |stop| observer.run(Ending { stop, closing, ingested }));
        inside.spawn("relay", |stop| relay.run(pulse("relay"), stop));
        outside.spawn("decoys", |stop| with_pulse(pulse("decoys"), decoys.run(stop), visitors));
        outside.spawn("mutator", |stop| mutator.run(stop));
        if tokio::time::timeout(REBUILD, rebuilt).await.is_err() {
            warn!("the network is not rebuilt yet; it goes on meanwhile");
        }
        let heart = pulse("api");
        outside.spawn("api", |stop| async move { heart.beside(api.run(stop), Vec::new).await });
        let stop = inside.stop_token();
        inside.spawn_quietly("warden", warden.run(host.figures(), stop));
        host.run(&mut inside);
        if let Some(life) = watched {
            let stop = inside.stop_token();
            inside.spawn_quietly("root helper", footing::tell_when_ended(life, stop));
        }
        info!(url, data_dir = %config.data_dir.display(), socket = %config.socket_path().display(), bus = %config.bus.mode, "morgana is up");
        Ok(Self {
            store,
            bus,
            ambient,
            network,
            url,
            setup_secret,
            host,
            nats_url,
            relay: sinks,
            wake,
            outside,
            inside,
            network_failed,
        })
    }

    /// Tells the bus these lines of the log, from now on.
    pub fn tell_log(&mut self, lines: LogLines) {
        let (bus, ambient, stop) =
            (self.bus.clone(), self.ambient.clone(), self.inside.stop_token());
        self.inside.spawn_quietly("log", log::tell(lines, bus, ambient, stop));
    }

    /// Where NATS clients reach the bus by TCP.
    pub fn bus_url(&self) -> Option<String> {
        self.host.url()
    }

    /// Takes what may change while it runs: the users of the bus, and where the lifecycle events
    /// go.
    pub fn reload(&self, config: &Config) {
        self.host.reload();
        let is_new = self.nats_url.send_if_modified(|url| {
            let is_new = *url != config.nats_url;
            url.clone_from(&config.nats_url);
            is_new
        });
        if is_new {
            api::RelayView::wake(&self.relay, Lifecycle::NAME);
        }
    }

    /// Has the mutator look at everything now.
    pub fn wake_mutator(&self) {
        api::MutatorView::look_at_everything(&*self.wake);
    }

    /// Ends when a component does that should not; never, while all is well.
    pub async fn broken(&mut self) -> &'static str {
        // Cancel-safe: a join set keeps the results that are not taken.
        tokio::select! {
            name = self.outside.ended() => name,
            name = self.inside.ended() => name,
            () = self.network_failed.cancelled() => "network",
        }
    }

    /// Stops: no new visitors and requests, live sessions are ended and recorded, then the
    /// database closes. Takes less than 5 s; what did not end by itself is named and cut.
    pub async fn stop(self) {
        self.outside.end(GRACE).await;
        self.inside.end(GRACE).await;
        self.host.stop().await;
        self.store.close().await;
        info!("morgana is down");
    }
}

/// The decoys, with their heartbeat.
async fn with_pulse(
    pulse: Pulse,
    decoys: impl Future<Output = ()>,
    visitors: decoys::DriverHandle,
) {
    let figures = || {
        vec![
            ("live_sessions", visitors.all_live_sessions() as u64),
            ("refused_connections_total", visitors.refused_connections()),
            ("refused_datagrams_total", visitors.refused_datagrams()),
        ]
    };
    pulse.beside(decoys, figures).await;
}

/// Opens the data directory; waits a while for another process that has it, such as the
/// `hub sweep-stale` of a cron job.
async fn open_store(path: &Path, ambient: &Ambient) -> Result<Store, StartError> {
    create_private(path).map_err(|source| StartError::DataDir { path: path.into(), source })?;
    let end = Instant::now() + LOCK;
    loop {
        match Store::open(path, ambient.clone()) {
            Err(OpenError::InUse { .. }) if Instant::now() < end => sleep(LOCK_PAUSE).await,
            opened => return Ok(opened?),
        }
    }
}

/// A directory that only its owner can enter: the database holds secrets.
fn create_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn network(
    config: &Config,
    host: Host,
    secret: InstallationSecret,
    ambient: &Ambient,
    helper: Option<Helper>,
) -> Result<Network, StartError> {
    let driver: Arc<dyn fleet::Driver> = match config.driver {
        DriverChoice::Loopback => {
            let loopback = LoopbackConfig {
                prefix: config.loopback_prefix,
                port_offset: config.port_offset,
                ..LoopbackConfig::default()
            };
            Arc::new(Loopback::new(loopback, Arc::new(host))?)
        }
        DriverChoice::Netns => {
            let (netns, host) = (netns(config, secret, ambient)?, Arc::new(host));
            Arc::new(match helper {
                Some(helper) => Netns::with_helper(netns, host, helper)?,
                None => Netns::new(netns, host)?,
            })
        }
        DriverChoice::Fake => Arc::new(Fake::new()),
    };
    Ok(Network::new(driver))
}

/// This machine's address and the subnet of the interface that is made where none is named: that
/// of the demo's outer LAN.
const DEMO_UPLINK: (&str, Ipv4Addr, u8) = ("morgana0", Ipv4Addr::new(10, 66, 1, 254), 24);

fn netns(
    config: &Config,
    secret: InstallationSecret,
    ambient: &Ambient,
) -> Result<NetnsConfig, PersonalityError> {
    let keys = &config.netns;
    let mut personalities = Personalities::built_in();
    if let Some(directory) = &keys.personalities {
        personalities.extend_from(directory)?;
    }
    let Reach { uplink, offloads } = reach(config);
    Ok(NetnsConfig {
        uplink,
        mac: keys.uplink_mac,
        personalities,
        protected: keys.protected.clone(),
        listen_first: keys.listen_first,
        offloads,
        secret,
        ambient: ambient.clone(),
    })
}

/// What of the network the netns driver touches.
pub(crate) fn reach(config: &Config) -> Reach {
    let (name, address, bits) = DEMO_UPLINK;
    let uplink = match &config.netns.uplink {
        Some(name) => Uplink::Interface(name.clone()),
        None => Uplink::Demo { name: name.into(), address: Ipv4Net::new_assert(address, bits) },
    };
    Reach { uplink, offloads: true }
}

fn decoy_limits(config: &Config) -> decoys::Limits {
    let limits = &config.limits;
    decoys::Limits {
        connections: limits.connections,
        connections_per_peer: limits.connections_per_peer,
        bytes_in: limits.bytes,
        bytes_out: limits.bytes,
        duration: limits.duration,
        idle: limits.idle,
        grace: Duration::from_millis(1500),
        ..decoys::Limits::default()
    }
}

fn api_config(config: &Config) -> ApiConfig {
    let mut api = ApiConfig {
        listen: Some(config.listen),
        socket: Some(config.socket_path()),
        ..ApiConfig::default()
    };
    api.limits.grace = Duration::from_millis(1500);
    api
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_data_directory_in_use_is_waited_for_but_not_for_ever() {
        let (dir, ambient) = (tempfile::tempdir().unwrap(), Ambient::system());
        let path = dir.path().join("data");
        let other = Store::open(&path, ambient.clone()).unwrap();
        let refused = open_store(&path, &ambient).await;
        assert!(matches!(refused, Err(StartError::Store(OpenError::InUse { .. }))), "{refused:?}");

        let mut opening = std::pin::pin!(open_store(&path, &ambient));
        let early = tokio::time::timeout(Duration::from_secs(1), &mut opening).await;
        assert!(early.is_err(), "it waits");
        other.close().await;
        opening.await.unwrap().close().await;
    }
}
