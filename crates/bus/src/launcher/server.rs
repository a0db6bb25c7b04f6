//! What a launched server does from its first line to its last.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use model::Ambient;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{Access, LaunchError, Log, Options, Order, Signals};
use crate::{
    auth::{self, Auth, AuthFile},
    broker::{Broker, BrokerConfig, TlsOffer},
    monitor::{self, Facts, Monitor, Requests},
    natsconf,
    stream::Streams,
};

/// How often a server that is about to go looks whether its clients went.
const LOOK: Duration = Duration::from_millis(250);
/// What a server without a name is called.
const NAME: &str = "morgana";

/// Serves until `stop`, SIGTERM or the end of a lame duck; `signals` says where orders come from.
///
/// # Errors
/// What kept it from starting. Nothing is left running then.
pub async fn run(
    options: Options,
    log: Log,
    signals: Signals,
    stop: CancellationToken,
) -> Result<(), LaunchError> {
    let server = Server::start(options, log).await?;
    server.serve(signals, stop).await;
    Ok(())
}

/// A server that runs.
pub struct Server {
    broker: Broker,
    log: Log,
    reload: Reload,
    clients: Option<SocketAddr>,
    monitor: Option<SocketAddr>,
    streams: Option<Streams>,
    tasks: JoinSet<()>,
    /// TLS accepts nobody any more.
    closed: CancellationToken,
    end: CancellationToken,
    grace: Duration,
    spread: Duration,
    _pid_file: Option<PidFile>,
}

/// How users are read again.
enum Reload {
    Never,
    /// Whoever watches the file looks at once.
    Watched(Arc<Notify>),
    Conf(PathBuf),
}

/// Who may connect, and how that changes.
struct Gate {
    auth: Arc<Auth>,
    watched: Option<AuthFile>,
    reload: Reload,
}

impl Server {
    /// Starts all of it; it can be used when this returns.
    ///
    /// # Errors
    /// What kept it from starting. Nothing is left running then.
    pub async fn start(options: Options, log: Log) -> Result<Server, LaunchError> {
        let gate = gate(&options.access)?;
        log.info("Starting server");
        if let Err(error) = crate::raise_descriptor_limit() {
            log.warn(format_args!("Few clients and streams: no more files may be open ({error})"));
        }
        log.info(format_args!("  Version:  {}", crate::broker::VERSION));
        let broker = Broker::start(broker_config(&options, &gate)).map_err(LaunchError::Broker)?;
        let mut server = Server {
            clients: broker.tcp_addr(),
            broker,
            log,
            reload: Reload::Never,
            monitor: None,
            streams: None,
            tasks: JoinSet::new(),
            closed: CancellationToken::new(),
            end: CancellationToken::new(),
            grace: options.lame_duck_grace,
            spread: options.lame_duck_spread,
            _pid_file: options.pid_file.as_deref().map(PidFile::write).transpose()?,
        };
        // Before anybody can ask for them: a client that comes back after a restart asks at once.
        server.start_streams(&options).await?;
        #[cfg(feature = "tls")]
        server.start_tls(&options).await?;
        server.start_monitor(&options, &gate).await?;
        server.watch(gate);
        server.broker.open();
        server.tell_ready(&options);
        Ok(server)
    }

    /// Where stock clients connect.
    pub fn clients(&self) -> Option<SocketAddr> {
        self.clients
    }

    /// Where monitoring is.
    pub fn monitor(&self) -> Option<SocketAddr> {
        self.monitor
    }

    /// The broker itself.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    #[cfg(feature = "tls")]
    async fn start_tls(&mut self, options: &Options) -> Result<(), LaunchError> {
        use crate::tls::{TlsListener, TlsSettings};
        let (Some(files), Some(addr)) = (&options.tls, options.tcp) else { return Ok(()) };
        let settings = TlsSettings::load(files).map_err(LaunchError::Tls)?;
        let (most, broker) = (options.limits.max_connections, self.broker.clone());
        let bound = TlsListener::bind(addr, settings, most, broker).await;
        let listener = bound.map_err(LaunchError::Tls)?;
        self.clients = Some(listener.addr());
        self.tasks.spawn(listener.run(self.closed.clone(), self.end.clone()));
        self.log.info("TLS required for client connections");
        Ok(())
    }

    async fn start_monitor(&mut self, options: &Options, gate: &Gate) -> Result<(), LaunchError> {
        let facts = self.facts(options, gate);
        let requests = Requests::new(&self.broker, facts.clone());
        self.tasks.spawn(requests.run(self.end.clone()));
        let Some(addr) = options.monitor else { return Ok(()) };
        let bound = Monitor::bind(addr, facts, monitor::of(&self.broker)).await;
        let monitor = bound.map_err(|source| LaunchError::Monitor { addr, source })?;
        self.monitor = monitor.addr();
        if let Some(addr) = self.monitor {
            self.log.info(format_args!("Starting http monitor on {addr}"));
        }
        self.tasks.spawn(monitor.run(self.end.clone()));
        Ok(())
    }

    async fn start_streams(&mut self, options: &Options) -> Result<(), LaunchError> {
        let Some(dir) = &options.store_dir else { return Ok(()) };
        self.log.info("Starting JetStream");
        let opened = Streams::open(dir, options.streams.clone(), Ambient::system());
        let streams = opened.map_err(LaunchError::Streams)?;
        streams.attach(&self.broker);
        streams.ready().await.map_err(LaunchError::StreamsEnded)?;
        self.streams = Some(streams);
        self.log.info(format_args!("  Store Directory: \"{}\"", dir.display()));
        Ok(())
    }

    fn facts(&self, options: &Options, gate: &Gate) -> Facts {
        let peer = auth::Peer { address: auth::PeerAddress::Tcp(ANYBODY), tls: false };
        Facts {
            version: crate::broker::VERSION.into(),
            clients: self.clients,
            http: None,
            limits: options.limits.clone(),
            auth_required: gate.auth.required(&peer),
            tls_required: tls(options),
            tls_verify: tls_verify(options),
            store_dir: options.store_dir.as_ref().map(|path| path.display().to_string()),
        }
    }

    /// Takes the way of reloading over.
    fn watch(&mut self, gate: Gate) {
        self.reload = gate.reload;
        if let (Some(file), Reload::Watched(look)) = (gate.watched, &self.reload) {
            let broker = self.broker.clone();
            let taken = move |auth| broker.set_auth(auth);
            self.tasks.spawn(auth::watch(file, taken, Arc::clone(look), self.end.clone()));
        }
    }

    fn tell_ready(&self, options: &Options) {
        if let Some(at) = &options.unix {
            self.log.info(format_args!("Listening for local clients on {}", at.path.display()));
        }
        if let Some(addr) = self.clients {
            self.log.info(format_args!("Listening for client connections on {addr}"));
            if !addr.ip().is_loopback() && matches!(options.access, Access::Open) {
                self.log.warn("Clients of other machines need no credentials");
            }
        }
        self.log.info("Server is ready");
    }

    /// Serves until `stop`, an order to stop, or the end of a lame duck.
    pub async fn serve(mut self, mut signals: Signals, stop: CancellationToken) {
        let mut gone = None;
        loop {
            // Cancel-safe: orders wait, and the lame duck's deadline is kept outside.
            let order = tokio::select! {
                () = stop.cancelled() => Order::Stop,
                order = signals.next() => order,
                () = until_gone(&self.broker, gone) => Order::Stop,
            };
            match order {
                Order::Stop => break,
                Order::Reload => self.read_again(),
                Order::Reopen => self.reopen(),
                Order::LameDuck => {
                    gone.get_or_insert_with(|| self.lame_duck());
                }
            }
        }
        self.shut_down().await;
    }

    /// Returns when all clients are to be gone.
    fn lame_duck(&self) -> Instant {
        self.log.info("Entering lame duck mode, stop accepting new clients");
        self.closed.cancel();
        self.broker.lame_duck(self.grace, self.spread);
        Instant::now() + self.grace + self.spread
    }

    fn reopen(&self) {
        match self.log.reopen() {
            Ok(()) => self.log.info("File log re-opened"),
            Err(err) => self.log.error(format_args!("Failed to re-open the log: {err}")),
        }
    }

    fn read_again(&self) {
        match &self.reload {
            Reload::Never => self.log.warn("There is nothing to reload"),
            Reload::Watched(look) => look.notify_one(),
            Reload::Conf(path) => match auth_of(path) {
                Ok(auth) => {
                    self.broker.set_auth(Arc::new(auth));
                    self.log.info("Reloaded: authorization users");
                    self.log.info("Reloaded server configuration");
                }
                Err(faults) => {
                    let faults = faults.join("; ");
                    self.log.error(format_args!("Failed to reload server configuration: {faults}"));
                }
            },
        }
    }

    async fn shut_down(&mut self) {
        self.log.info("Initiating Shutdown...");
        // First: their last acknowledgements still go out.
        if let Some(streams) = &self.streams {
            streams.close().await;
        }
        self.broker.stop().await;
        self.end.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.log.info("Server Exiting..");
    }
}

/// A peer like any on TCP.
const ANYBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

#[cfg(feature = "tls")]
fn tls(options: &Options) -> bool {
    options.tls.is_some()
}

#[cfg(not(feature = "tls"))]
fn tls(_: &Options) -> bool {
    false
}

#[cfg(feature = "tls")]
fn tls_verify(options: &Options) -> bool {
    options.tls.as_ref().is_some_and(|files| files.client_roots.is_some())
}

#[cfg(not(feature = "tls"))]
fn tls_verify(_: &Options) -> bool {
    false
}

fn broker_config(options: &Options, gate: &Gate) -> BrokerConfig {
    let tls = tls(options);
    BrokerConfig {
        name: options.name.clone().unwrap_or_else(|| NAME.into()),
        // Where TLS is spoken, the port is not the broker's.
        tcp: options.tcp.filter(|_| !tls),
        unix: options.unix.clone(),
        limits: options.limits.clone(),
        auth: Arc::clone(&gate.auth),
        jetstream: options.store_dir.is_some(),
        tls: if tls { TlsOffer::Required } else { TlsOffer::None },
        closed: true,
    }
}

fn gate(access: &Access) -> Result<Gate, LaunchError> {
    match access {
        Access::Open => {
            Ok(Gate { auth: Arc::new(Auth::open()), watched: None, reload: Reload::Never })
        }
        Access::File { path, unix } => {
            let file = AuthFile::load(path, unix.clone()).map_err(LaunchError::File)?;
            let reload = Reload::Watched(Arc::new(Notify::new()));
            Ok(Gate { auth: file.auth(), watched: Some(file), reload })
        }
        Access::Rules { rules, reload } => {
            let auth = Auth::new(rules.clone()).map_err(LaunchError::Users)?;
            let reload = reload.clone().map_or(Reload::Never, Reload::Conf);
            Ok(Gate { auth: Arc::new(auth), watched: None, reload })
        }
    }
}

/// What nats-server's configuration says about users; nobody needs credentials where it has none.
fn auth_of(path: &Path) -> Result<Auth, Vec<String>> {
    let conf = natsconf::load(path).map_err(|faults| texts(&faults))?;
    match conf.auth {
        Some(rules) => Auth::new(rules).map_err(|faults| texts(&faults)),
        None => Ok(Auth::open()),
    }
}

fn texts<E: ToString>(faults: &[E]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

/// Waits until no client is left or `deadline` came; for ever without one.
async fn until_gone(broker: &Broker, deadline: Option<Instant>) {
    let Some(deadline) = deadline else { return std::future::pending().await };
    while Instant::now() < deadline {
        match broker.stats().await {
            Some(stats) if stats.connections > 0 => sleep(LOOK).await,
            _ => return,
        }
    }
}

/// A file with the process id, removed in the end.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: &Path) -> Result<PidFile, LaunchError> {
        let failed = |source: io::Error| LaunchError::PidFile { path: path.into(), source };
        // Without a line end: there are readers that take all of it for the number.
        fs::write(path, std::process::id().to_string()).map_err(failed)?;
        Ok(PidFile(path.into()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Whoever removed it before wanted the same.
        let _ = fs::remove_file(&self.0);
    }
}
