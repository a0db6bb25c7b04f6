//! The bus of this process and its durable streams: made from the section `[bus]`, ended
//! together. The one place that knows which of them runs: within the process, served to others
//! on a socket, on a NATS server, or not at all. The streams run in any case.

use std::{io, net::SocketAddr, sync::Arc};

use bus::{
    Bus,
    auth::{Auth, AuthFile, AuthFileError, AuthRules, RuleError, UnixPeers, local_peers, watch},
    broker::{Broker, BrokerConfig, BrokerStats, Limits, TlsOffer, UnixListenAt},
    client::AddressError,
    monitor::{Facts, Monitor, Requests, of},
    stream::{OpenError, Streams, StreamsConfig, StreamsError},
    tls::{TlsError, TlsFiles, TlsListener, TlsSettings},
};
use model::Ambient;
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::{
    config::{BusMode, Config},
    workers::Crew,
};

/// What the bus is called where others see it.
const NAME: &str = "morgana";

/// Why there is no bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The URL cannot be used.
    #[error("cannot use the bus elsewhere (key `bus.mode`)")]
    Address(#[from] AddressError),
    /// The users file is not right.
    #[error("cannot take the users of the bus (key `bus.users_file`)")]
    Users(#[from] AuthFileError),
    /// The rules for the socket contradict each other.
    #[error("cannot make the rules of the bus: {0}")]
    Rules(RuleError),
    /// The socket or the port cannot be had.
    #[error("cannot serve the bus (keys `bus.socket`, `bus.socket_group` and `bus.listen`)")]
    Serve(#[from] bus::broker::StartError),
    /// The port of the figures cannot be had.
    #[error("cannot show the figures of the bus on {addr} (key `bus.monitor`)")]
    Monitor {
        /// Where.
        addr: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The streams cannot be opened.
    #[error("cannot open the durable streams (key `bus.streams_dir`)")]
    Streams(#[from] OpenError),
    /// The streams ended at once.
    #[error("the durable streams ended at their start")]
    StreamsEnded(#[from] StreamsError),
    /// Certificate, key or port of TLS cannot be had.
    #[error(
        "cannot serve the bus by TLS (keys `bus.tls_certificate`, `bus.tls_key` and `bus.listen`)"
    )]
    Tls(#[from] TlsError),
}

/// The bus with what is behind it.
pub(crate) struct BusHost {
    pub(crate) bus: Bus,
    pub(crate) streams: Streams,
    broker: Option<Broker>,
    users: Option<AuthFile>,
    tls: Option<TlsListener>,
    /// Where NATS clients reach it by TCP.
    clients: Option<SocketAddr>,
    by_tls: bool,
    requests: Option<Requests>,
    monitor: Option<Monitor>,
    reload: Arc<Notify>,
}

impl BusHost {
    /// Starts what the configuration asks for.
    pub(crate) async fn start(config: &Config, ambient: &Ambient) -> Result<Self, BusError> {
        let streams =
            Streams::open(config.streams_dir(), StreamsConfig::default(), ambient.clone())?;
        let (users, auth) = users(config)?;
        let broker = match is_served(config) {
            true => Some(Broker::start(broker_config(config, auth))?),
            false => None,
        };
        let mut host = Self {
            bus: bus(config, broker.as_ref(), ambient)?,
            streams,
            users,
            tls: None,
            clients: broker.as_ref().and_then(Broker::tcp_addr),
            by_tls: tls_files(config).is_some(),
            requests: None,
            monitor: None,
            reload: Arc::default(),
            broker,
        };
        host.open_to_others(config).await?;
        Ok(host)
    }

    /// What clients of other processes find: streams, figures, TLS.
    async fn open_to_others(&mut self, config: &Config) -> Result<(), BusError> {
        let Some(broker) = &self.broker else { return Ok(()) };
        self.streams.attach(broker);
        self.streams.ready().await?;
        if let (Some(files), Some(addr)) = (tls_files(config), config.bus.listen) {
            let settings = TlsSettings::load(&files)?;
            let (most, broker) = (limits(config).max_connections, broker.clone());
            let listener = TlsListener::bind(addr, settings, most, broker).await?;
            self.clients = Some(listener.addr());
            self.tls = Some(listener);
        }
        let facts = facts(config, self.clients);
        if let Some(addr) = config.bus.monitor {
            let bound = Monitor::bind(addr, facts.clone(), of(broker)).await;
            self.monitor = Some(bound.map_err(|source| BusError::Monitor { addr, source })?);
        }
        self.requests = Some(Requests::new(broker, facts));
        broker.open();
        Ok(())
    }

    /// Starts what goes on beside it: the users file is watched, the figures are shown.
    pub(crate) fn run(&mut self, crew: &mut Crew) {
        if let (Some(users), Some(broker)) = (self.users.take(), self.broker.clone()) {
            let taken = move |auth| broker.set_auth(auth);
            let (look, stop) = (self.reload.clone(), crew.stop_token());
            crew.spawn_quietly("users of the bus", watch(users, taken, look, stop));
        }
        if let Some(tls) = self.tls.take() {
            let stop = crew.stop_token();
            crew.spawn_quietly("TLS of the bus", tls.run(stop.clone(), stop));
        }
        if let Some(requests) = self.requests.take() {
            let stop = crew.stop_token();
            crew.spawn_quietly("questions to the bus", requests.run(stop));
        }
        if let Some(monitor) = self.monitor.take() {
            info!(addr = ?monitor.addr(), "the bus shows its figures");
            let stop = crew.stop_token();
            crew.spawn_quietly("figures of the bus", monitor.run(stop));
        }
    }

    /// Where NATS clients reach it by TCP.
    pub(crate) fn url(&self) -> Option<String> {
        let scheme = if self.by_tls { "tls" } else { "nats" };
        self.clients.map(|addr| format!("{scheme}://{addr}"))
    }

    /// Reads the users file again, where there is one.
    pub(crate) fn reload(&self) {
        self.reload.notify_one();
    }

    /// What the broker has to report, as a function of its own.
    pub(crate) fn figures(&self) -> impl Fn() -> BoxFigures + Send + use<> {
        let broker = self.broker.clone();
        move || {
            let broker = broker.clone();
            Box::pin(async move {
                match broker {
                    Some(broker) => broker.stats().await.map(|stats| named(&stats)),
                    None => None,
                }
                .unwrap_or_default()
            })
        }
    }

    /// Ends all of it; what is accepted is on disk.
    pub(crate) async fn stop(self) {
        self.bus.close().await;
        // First: their last acknowledgements still go out.
        self.streams.close().await;
        if let Some(broker) = &self.broker {
            broker.stop().await;
        }
    }
}

/// Figures that take a moment.
pub(crate) type BoxFigures = std::pin::Pin<Box<dyn Future<Output = Vec<(String, u64)>> + Send>>;

/// Whether others can reach the bus of this process.
fn is_served(config: &Config) -> bool {
    config.bus.mode == BusMode::Embedded
        && (config.bus_socket_path().is_some() || config.bus.listen.is_some())
}

/// The users file where there is one, and who may connect. Who runs the service and root may do
/// everything on the socket, others little.
fn users(config: &Config) -> Result<(Option<AuthFile>, Arc<Auth>), BusError> {
    let unix = UnixPeers::Trusted { owner: fleet::privilege::own_uid(), others: local_peers() };
    let Some(path) = config.bus.users_file.as_ref().filter(|_| is_served(config)) else {
        let rules = AuthRules { unix, ..AuthRules::default() };
        let auth = Auth::new(rules);
        return auth
            .map(|auth| (None, Arc::new(auth)))
            .map_err(|mut wrong| BusError::Rules(wrong.swap_remove(0)));
    };
    let file = AuthFile::load(path, unix)?;
    let auth = file.auth();
    Ok((Some(file), auth))
}

fn broker_config(config: &Config, auth: Arc<Auth>) -> BrokerConfig {
    let unix = config.bus_socket_path().map(|path| UnixListenAt {
        group: config.bus.socket_group.clone(),
        ..UnixListenAt::new(path)
    });
    let by_tls = tls_files(config).is_some();
    BrokerConfig {
        // Where TLS is spoken, the port is not the broker's.
        tcp: config.bus.listen.filter(|_| !by_tls),
        tls: if by_tls { TlsOffer::Required } else { TlsOffer::None },
        unix,
        limits: limits(config),
        auth,
        jetstream: true,
        closed: true,
        ..BrokerConfig::new(NAME)
    }
}

fn limits(config: &Config) -> Limits {
    let wanted = &config.bus.limits;
    // The keys' ranges fit where this runs: 64-bit Linux.
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Limits {
        max_connections: size(wanted.connections),
        max_subscriptions_per_client: size(wanted.subscriptions_per_client),
        max_payload: size(wanted.payload_bytes),
        max_pending_per_client: size(wanted.pending_bytes_per_client),
        max_pending_total: size(wanted.pending_bytes),
        ..Limits::default()
    }
}

fn tls_files(config: &Config) -> Option<TlsFiles> {
    let (certificate, key) = (config.bus.tls_certificate.as_ref()?, config.bus.tls_key.as_ref()?);
    Some(TlsFiles::new(certificate, key))
}

fn facts(config: &Config, clients: Option<SocketAddr>) -> Facts {
    Facts {
        version: env!("CARGO_PKG_VERSION").into(),
        clients,
        http: None,
        limits: limits(config),
        auth_required: config.bus.users_file.is_some(),
        tls_required: tls_files(config).is_some(),
        tls_verify: false,
        store_dir: Some(config.streams_dir().display().to_string()),
    }
}

fn bus(config: &Config, broker: Option<&Broker>, ambient: &Ambient) -> Result<Bus, BusError> {
    Ok(match (&config.bus.mode, broker) {
        (BusMode::Off, _) => Bus::off(),
        (BusMode::Nats(url), _) => elsewhere(url, ambient)?,
        (BusMode::Embedded, Some(broker)) => Bus::serving(NAME, broker),
        (BusMode::Embedded, None) => Bus::embedded(NAME),
    })
}

fn elsewhere(url: &str, ambient: &Ambient) -> Result<Bus, BusError> {
    if !url.starts_with("tls://") {
        warn!("the bus is on another server without TLS: who is on the way reads and writes it");
    }
    if !url.contains('@') && !url.contains("?creds=") {
        warn!(
            "the bus is on another server without credentials: whoever reaches it can forge events"
        );
    }
    warn!("SESSIONS stays on this host; only the bus is on the other server");
    Ok(Bus::connect(NAME, url, ambient.clone())?)
}

/// The broker's figures by name, as the heartbeat of the bus carries them.
fn named(stats: &BrokerStats) -> Vec<(String, u64)> {
    [
        ("connections", stats.connections as u64),
        ("connections_total", stats.total_connections),
        ("subscriptions", stats.subscriptions as u64),
        ("in_msgs_total", stats.traffic.in_msgs),
        ("in_bytes_total", stats.traffic.in_bytes),
        ("out_msgs_total", stats.traffic.out_msgs),
        ("out_bytes_total", stats.traffic.out_bytes),
        ("slow_consumers_total", stats.slow_consumers),
        ("stale_connections_total", stats.stale_connections),
        ("refused_connections_total", stats.refused_connections),
        ("auth_errors_total", stats.auth_errors),
        ("protocol_errors_total", stats.protocol_errors),
        ("dropped_local_total", stats.dropped_local),
        ("pending_bytes", stats.pending_bytes as u64),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
