//! The driver: owns every socket of every decoy, and holds the limits.
//!
//! One task runs [`Driver`]; it owns the tasks that accept and the tasks that converse. Others
//! hold a [`DriverHandle`]. What answers at an address is looked up in the [`Directory`] as a
//! connection is accepted or a datagram comes; what is not in there is closed at once, or
//! dropped. A panic in a session ends that session. The driver knows no protocol: it calls a
//! factory.
//!
//! Stopping: no more connections are accepted, every session ends with `truncated = shutdown`,
//! and what did not end within the grace period is aborted and reported.

mod allowance;
mod conversation;
mod data;
#[cfg(test)]
mod datagram_tests;
mod exchange;
mod expected;
mod handle;
mod limits;
mod record;
mod registry;
#[cfg(test)]
mod tests;
mod udp;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use model::{Ambient, Persona, Service, SessionEvent, Truncation};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use self::{
    allowance::Allowance,
    conversation::{Visit, converse},
    exchange::{Counter, Remains, serve},
    expected::Expected,
    registry::{Registry, Those},
    udp::Datagrams,
};
pub use self::{
    allowance::Bucket,
    expected::{Admission, DataPorts},
    handle::DriverHandle,
    limits::Limits,
};
use crate::{
    Started,
    directory::{Directory, Place},
};

/// Accepted connections that wait for the driver; when full, accepting waits.
const ACCEPTED_CAPACITY: usize = 256;

/// Commands that wait for the driver; when full, the caller waits.
const COMMAND_CAPACITY: usize = 64;

/// How long accepting rests after it failed, for want of descriptors for example.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// How a service becomes a session; [`crate::start()`] outside tests.
pub type Factory = fn(Service, Arc<Persona>, [u8; 32], SocketAddr, SocketAddr) -> Started;

/// Why a listener was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The socket is not usable.
    #[error("cannot use the listener")]
    Socket(#[source] io::Error),
    /// The LAN already has a listener at that address.
    #[error("{at} already listens")]
    Taken {
        /// The address.
        at: SocketAddr,
    },
    /// The driver has stopped.
    #[error("the decoy driver has stopped")]
    Stopped,
}

/// Why a conversation ended before its session wanted to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cut {
    /// The visitor is gone.
    Gone,
    /// A limit, or someone here.
    Limit(Truncation),
}

enum Command {
    Listen { place: Place, listener: Listener, done: oneshot::Sender<Result<(), ListenError>> },
    Unlisten { place: Place, done: oneshot::Sender<()> },
}

enum Listener {
    Connections(TcpListener),
    Datagrams(Datagrams),
}

struct Accepted {
    place: Place,
    stream: TcpStream,
    peer: SocketAddr,
}

/// Owns the sockets. Made by [`Driver::new`], lives in [`Driver::run`].
pub struct Driver {
    limits: Limits,
    ambient: Ambient,
    facts: mpsc::Sender<SessionEvent>,
    factory: Factory,
    directory: Arc<Directory>,
    registry: Arc<Registry>,
    expected: Arc<Expected>,
    datagrams: Arc<Registry>,
    allowance: Arc<Allowance>,
    commands: mpsc::Receiver<Command>,
    sessions: JoinSet<()>,
    acceptors: JoinSet<(Place, Option<Remains>)>,
    listening: std::collections::HashMap<Place, Acceptor>,
}

/// A running acceptor, as the driver sees it.
struct Acceptor {
    stop: CancellationToken,
    closed: Vec<oneshot::Sender<()>>,
}

impl Driver {
    /// A driver that reports to `facts`. When that channel is full, visitors wait.
    pub fn new(
        limits: Limits,
        ambient: Ambient,
        facts: mpsc::Sender<SessionEvent>,
    ) -> (Self, DriverHandle) {
        Self::with_factory(limits, ambient, facts, crate::start)
    }

    /// Like [`Driver::new`], with another way to make sessions.
    pub fn with_factory(
        limits: Limits,
        ambient: Ambient,
        facts: mpsc::Sender<SessionEvent>,
        factory: Factory,
    ) -> (Self, DriverHandle) {
        let directory = Arc::new(Directory::default());
        let registry = Registry::new(limits.connections, limits.connections_per_peer);
        let registry = Arc::new(registry);
        let most = (limits.datagram_sessions, limits.datagram_sessions_per_peer);
        let datagrams = Arc::new(Registry::new(most.0, most.1));
        let allowance = Arc::new(Allowance::new(limits.answers_per_peer, limits.answers));
        let expected = Arc::new(Expected::new(Arc::clone(&directory)));
        let (command, commands) = mpsc::channel(COMMAND_CAPACITY);
        let handle = DriverHandle {
            directory: Arc::clone(&directory),
            registry: Arc::clone(&registry),
            expected: Arc::clone(&expected),
            datagrams: Arc::clone(&datagrams),
            commands: command,
        };
        let driver = Self {
            limits,
            ambient,
            facts,
            factory,
            directory,
            registry,
            expected,
            datagrams,
            allowance,
            commands,
            sessions: JoinSet::new(),
            acceptors: JoinSet::new(),
            listening: std::collections::HashMap::new(),
        };
        (driver, handle)
    }

    /// Runs until `stop`, or until every handle is gone.
    pub async fn run(mut self, stop: CancellationToken) {
        let (accepted, mut incoming) = mpsc::channel(ACCEPTED_CAPACITY);
        loop {
            // Cancel-safe: channels and join sets lose nothing when a branch is dropped.
            tokio::select! {
                () = stop.cancelled() => break,
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command, &accepted),
                    None => break,
                },
                Some(connection) = incoming.recv() => self.welcome(connection),
                Some(closed) = self.acceptors.join_next() => self.acceptor_closed(closed),
                Some(ended) = self.sessions.join_next() => note_failure(ended),
            }
        }
        self.stop().await;
    }

    fn obey(&mut self, command: Command, accepted: &mpsc::Sender<Accepted>) {
        match command {
            Command::Listen { place, listener, done } => {
                let result = self.listen(place, listener, accepted.clone());
                // Nobody waits for the answer any more: the listener works all the same.
                let _ = done.send(result);
            }
            Command::Unlisten { place, done } => match self.listening.get_mut(&place) {
                Some(acceptor) => {
                    acceptor.stop.cancel();
                    acceptor.closed.push(done);
                }
                None => drop(done.send(())),
            },
        }
    }

    fn listen(
        &mut self,
        place: Place,
        listener: Listener,
        accepted: mpsc::Sender<Accepted>,
    ) -> Result<(), ListenError> {
        if self.listening.contains_key(&place) {
            return Err(ListenError::Taken { at: place.at });
        }
        let stop = CancellationToken::new();
        let until = stop.clone();
        match listener {
            Listener::Connections(listener) => self
                .acceptors
                .spawn(async move { (accept(place, listener, accepted, until).await, None) }),
            Listener::Datagrams(socket) => {
                let counter = self.counter(place, socket);
                self.acceptors.spawn(async move {
                    let (place, remains) = serve(counter, until).await;
                    (place, Some(remains))
                })
            }
        };
        self.listening.insert(place, Acceptor { stop, closed: Vec::new() });
        Ok(())
    }

    fn counter(&self, place: Place, socket: Datagrams) -> Counter {
        Counter {
            place,
            socket,
            directory: Arc::clone(&self.directory),
            registry: Arc::clone(&self.datagrams),
            allowance: Arc::clone(&self.allowance),
            limits: self.limits.clone(),
            ambient: self.ambient.clone(),
            facts: self.facts.clone(),
            factory: self.factory,
        }
    }

    fn acceptor_closed(
        &mut self,
        closed: Result<(Place, Option<Remains>), tokio::task::JoinError>,
    ) {
        match closed {
            Ok((place, remains)) => {
                if let Some(remains) = remains {
                    self.sessions.spawn(remains.end());
                }
                let acceptor = self.listening.remove(&place);
                for done in acceptor.into_iter().flat_map(|acceptor| acceptor.closed) {
                    // Whoever asked may have stopped waiting; the listener is closed all the same.
                    let _ = done.send(());
                }
            }
            Err(err) => {
                tracing::error!(error = &err as &dyn std::error::Error, "an acceptor failed");
            }
        }
    }

    fn welcome(&mut self, Accepted { place, stream, peer }: Accepted) {
        // A wildcard listener serves many addresses: the connection knows which one it is.
        let Ok(at) = stream.local_addr() else { return };
        let place = Place { at: plain(at), ..place };
        let Some(entry) = self.directory.get(place) else {
            return self.expected.hand_over(place, peer.ip(), stream);
        };
        let session_id = self.ambient.id();
        let with = (entry.interface.decky_id, entry.interface.lan_id);
        let ticket = self.registry.admit(session_id, with, peer.ip());
        let Some(ticket) = ticket else {
            tracing::debug!(peer.addr = %peer, "connection over the limit closed");
            return;
        };
        // Looked up again: an entry that went away before the ticket existed was not ended by
        // `end_sessions`.
        if self.directory.get(place).is_none_or(|now| !now.is(&entry)) {
            return;
        }
        // Small answers must not wait for more: interactive daemons set this too. Without it
        // the session works all the same.
        let _ = stream.set_nodelay(true);
        self.sessions.spawn(Box::pin(converse(Visit {
            stream,
            peer,
            place,
            session_id,
            entry,
            ticket,
            expected: Arc::clone(&self.expected),
            limits: self.limits.clone(),
            ambient: self.ambient.clone(),
            facts: self.facts.clone(),
            factory: self.factory,
        })));
    }

    async fn stop(mut self) {
        self.commands.close();
        self.registry.end(Those::All, Truncation::Shutdown);
        self.datagrams.end(Those::All, Truncation::Shutdown);
        for acceptor in self.listening.values() {
            acceptor.stop.cancel();
        }
        let grace = self.limits.grace;
        let drain = async {
            while let Some(closed) = self.acceptors.join_next().await {
                self.acceptor_closed(closed);
            }
            while let Some(ended) = self.sessions.join_next().await {
                note_failure(ended);
            }
        };
        if tokio::time::timeout(grace, drain).await.is_err() {
            tracing::warn!(
                sessions = self.sessions.len(),
                "sessions aborted after the grace period"
            );
            self.sessions.shutdown().await;
        }
    }
}

/// Accepts until stopped; the listener is closed when this returns.
async fn accept(
    place: Place,
    listener: TcpListener,
    accepted: mpsc::Sender<Accepted>,
    stop: CancellationToken,
) -> Place {
    loop {
        // Cancel-safe: accept takes a connection only when it completes.
        let connection = tokio::select! {
            biased;
            () = stop.cancelled() => return place,
            connection = listener.accept() => connection,
        };
        match connection {
            Ok((stream, peer)) => {
                let connection = Accepted { place, stream, peer: plain(peer) };
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return place,
                    sent = accepted.send(connection) => if sent.is_err() { return place },
                }
            }
            Err(err) => {
                tracing::warn!(error = &err as &dyn std::error::Error, "accepting failed");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
}

/// Has a connection end without a word when it is dropped: its machine is gone, and the kernel
/// need not try for minutes to say goodbye for it.
fn abandon(stream: &TcpStream) {
    // Otherwise it ends with a goodbye.
    let _ = stream.set_zero_linger();
}

/// An IPv4 address that came in through an IPv6 socket, as itself.
fn plain(at: SocketAddr) -> SocketAddr {
    SocketAddr::new(at.ip().to_canonical(), at.port())
}

fn note_failure(ended: Result<(), tokio::task::JoinError>) {
    if let Err(err) = ended {
        tracing::error!(error = &err as &dyn std::error::Error, "a session task failed");
    }
}
