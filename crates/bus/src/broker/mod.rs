//! The broker: one I/O thread that owns sockets and match table.
//!
//! Everything that a message passes between two clients happens on that thread: parse, route,
//! append to the receiver's output, one write per receiver and tick. What is slow (passwords,
//! TLS, HTTP) happens elsewhere and talks to it by a queue of commands. It knows nothing of events,
//! streams or stores; a stream engine is one of its in-process clients.

mod accept;
mod batch;
mod command;
mod connection;
mod credentials;
mod fair;
mod io;
mod lame_duck;
mod limits;
mod listen;
mod local;
mod locals;
mod obey;
mod outbound;
mod output;
mod poller;
mod publication;
mod report;
mod router;
mod session;
mod sign_in;
mod slab;
mod stall;
mod stats;
mod sweep;
mod table;
#[cfg(test)]
mod tests;
mod turns;

use std::{
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub use batch::{Batch, Message, Origin, Outgoing, OutgoingBatch, SHARED_ABOVE};
pub use limits::Limits;
pub use local::{LocalClient, LocalOptions, LocalSink};
pub use stats::{BrokerStats, ConnectionStats, LocalStats, Traffic};

use command::{Command, CommandQueue};
use tokio::sync::watch;

use crate::{
    auth::Auth,
    descriptors::{clients_within, descriptor_limit},
};

/// The version that clients are told: what they may use follows from it.
pub const VERSION: &str = "2.9.25";

/// Where and how a broker serves.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// `server_name` in INFO.
    pub name: String,
    /// Where it listens for stock clients, if it does; port 0 is any.
    pub tcp: Option<SocketAddr>,
    /// The socket file for our own clients, if any.
    pub unix: Option<UnixListenAt>,
    /// What clients may take.
    pub limits: Limits,
    /// Who may connect.
    pub auth: Arc<Auth>,
    /// Whether INFO says that JetStream is served.
    pub jetstream: bool,
    /// Whether INFO says that TLS is to be had on the port, and demanded.
    pub tls: TlsOffer,
    /// Whether clients on sockets wait until [`Broker::open`]: whoever serves them in process can
    /// subscribe before the first of them asks.
    pub closed: bool,
}

/// What INFO says about TLS. Ending it is not the broker's work: a listener elsewhere does, and
/// hands the clear side to [`Broker::adopt`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsOffer {
    /// Nothing.
    #[default]
    None,
    /// `tls_available`.
    Available,
    /// `tls_required`.
    Required,
}

impl BrokerConfig {
    /// In-process clients only, nobody needs credentials.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            tcp: None,
            unix: None,
            limits: Limits::default(),
            auth: Arc::new(Auth::open()),
            jetstream: false,
            tls: TlsOffer::None,
            closed: false,
        }
    }
}

impl BrokerConfig {
    /// Clients leave descriptors to others: of streams, of the rest of the process.
    fn spare_descriptors(&mut self) {
        // Where TLS is ended, a client has a socket there and a pair between there and here.
        let each = if self.tls == TlsOffer::None { 1 } else { 3 };
        let most = clients_within(descriptor_limit(), each);
        if most < self.limits.max_connections {
            tracing::info!(max_connections = most, "fewer clients: there are no more descriptors");
            self.limits.max_connections = most;
        }
    }
}

/// A socket file to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixListenAt {
    /// Its path. A stale file there is replaced, one that somebody listens on is not.
    pub path: PathBuf,
    /// The group that may connect, by name or number; none: the group of the process.
    pub group: Option<String>,
    /// Its permission bits.
    pub mode: u32,
}

impl UnixListenAt {
    /// For the process's own user and group (0660).
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), group: None, mode: 0o660 }
    }
}

/// Who is behind a connection that was ended elsewhere, see [`Broker::adopt`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdoptedPeer {
    /// Its address.
    pub addr: SocketAddr,
    /// Whether it came by TLS.
    pub tls: bool,
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("cannot listen on {addr}")]
    Tcp {
        /// The address.
        addr: SocketAddr,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// The socket file cannot be made.
    #[error("cannot listen on `{}`", path.display())]
    Unix {
        /// Its path.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// Somebody listens on the socket file.
    #[error("`{}` is held by process {pid} of user {uid}", path.display())]
    Held {
        /// Its path.
        path: PathBuf,
        /// Who listens; 0 where it has no number in this PID namespace.
        pid: i32,
        /// Whose process it is.
        uid: u32,
    },
    /// The group of the socket file does not exist.
    #[error("there is no group `{group}`")]
    Group {
        /// Its name.
        group: String,
    },
    /// Thread, epoll or eventfd.
    #[error("cannot start the broker's threads")]
    System(#[source] std::io::Error),
}

/// The broker. Clones are handles of the same one; it stops with [`Broker::stop`], or when the
/// last clone goes.
#[derive(Debug, Clone)]
pub struct Broker {
    running: Arc<Running>,
}

#[derive(Debug)]
struct Running {
    queue: Arc<CommandQueue>,
    next_local: AtomicU64,
    tcp: Option<SocketAddr>,
    /// Closed once the I/O thread ended.
    ended: watch::Receiver<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.queue.push(Command::Stop);
    }
}

impl Broker {
    /// Starts to listen and to serve; it runs when this returns.
    ///
    /// # Errors
    /// An address that cannot be had, by its name; a socket path that another broker holds, with
    /// the process that does.
    pub fn start(mut config: BrokerConfig) -> Result<Self, StartError> {
        config.spare_descriptors();
        let listeners = io::Listeners::open(&config)?;
        let queue = CommandQueue::new(config.limits.max_pending_local);
        let queue = Arc::new(queue.map_err(StartError::System)?);
        let tcp = listeners.tcp_addr();
        let (alive, ended) = watch::channel(());
        io::spawn(config, listeners, Arc::clone(&queue), alive).map_err(StartError::System)?;
        let running = Running { queue, next_local: AtomicU64::new(1), tcp, ended };
        Ok(Self { running: Arc::new(running) })
    }

    /// Lets clients in that [`BrokerConfig::closed`] made wait. Twice is harmless.
    pub fn open(&self) {
        self.running.queue.push(Command::Open);
    }

    /// Where it listens for TCP, with the port that it got.
    #[must_use]
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        self.running.tcp
    }

    /// A new in-process client that hears itself.
    #[must_use]
    pub fn local(&self, name: &str, sink: Box<dyn LocalSink>) -> LocalClient {
        self.local_with(LocalOptions::named(name), sink)
    }

    /// A new in-process client.
    #[must_use]
    pub fn local_with(&self, options: LocalOptions, sink: Box<dyn LocalSink>) -> LocalClient {
        let id = self.running.next_local.fetch_add(1, Ordering::Relaxed);
        self.running.queue.push(Command::OpenLocal { id, options, sink });
        LocalClient::new(id, Arc::clone(&self.running.queue))
    }

    /// Takes over the clear side of a connection that is ended elsewhere. INFO is sent as to any
    /// other: whoever ends TLS takes that line off before it begins.
    pub fn adopt(&self, stream: UnixStream, peer: AdoptedPeer) {
        self.running.queue.push(Command::Adopt { stream, peer });
    }

    /// The numbers of this moment; none where the broker ended.
    pub async fn stats(&self) -> Option<BrokerStats> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.running.queue.push(Command::Stats { reply });
        answer.await.ok()
    }

    /// Other users from now on. Connections whose user is gone or changed are closed.
    pub fn set_auth(&self, auth: Arc<Auth>) {
        self.running.queue.push(Command::SetAuth { auth });
    }

    /// Tells clients to go elsewhere: no new ones, and after `grace` the present ones are closed
    /// one after the other over `spread`.
    pub fn lame_duck(&self, grace: Duration, spread: Duration) {
        self.running.queue.push(Command::LameDuck { grace, spread });
    }

    /// Closes a client's connection.
    pub fn close_connection(&self, cid: u64) {
        self.running.queue.push(Command::CloseConnection { cid });
    }

    /// Ends it; returns once sockets are closed and its socket file is gone. Twice is harmless.
    pub async fn stop(&self) {
        self.running.queue.push(Command::Stop);
        let mut ended = self.running.ended.clone();
        while ended.changed().await.is_ok() {}
    }
}

/// A number that nobody can guess.
fn random_seed() -> u64 {
    RandomState::new().hash_one(0_u8)
}
