//! Second connections behind listeners that many sessions share: who waits for whom, and where.
//!
//! Whoever owns the shared listeners says at which ports visitors may be asked to come, and lets
//! them in one by one; here each session finds a port for its visitor, and the connection finds
//! the session. The lock is held for map operations only.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use model::LanId;
use tokio::{net::TcpStream, sync::oneshot};

use crate::directory::{Directory, Place};

/// Keeps the way open for a visitor, until it is dropped.
pub type Admission = Box<dyn Send + Sync>;

/// Where sessions behind shared listeners may ask their visitors to come once more.
#[derive(Clone)]
pub struct DataPorts {
    /// The ports; all of them listen.
    pub range: RangeInclusive<u16>,
    /// Lets connections of this peer in at this address of the listener, and nobody else's. `None`
    /// where that is so already, or cannot be.
    pub admit: Arc<dyn Fn(SocketAddr, IpAddr) -> Option<Admission> + Send + Sync>,
}

impl std::fmt::Debug for DataPorts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataPorts").field("range", &self.range).finish_non_exhaustive()
    }
}

/// Who waits at one of those ports, and for whom.
type Waiting = HashMap<(Place, IpAddr), oneshot::Sender<TcpStream>>;

/// All that sessions wait for.
#[derive(Debug)]
pub(super) struct Expected {
    directory: Arc<Directory>,
    ports: Mutex<HashMap<LanId, DataPorts>>,
    waiting: Mutex<Waiting>,
}

/// A connection that a session waits for; nobody is let in any more when it is dropped.
pub(super) struct Awaited {
    expected: Arc<Expected>,
    place: Place,
    peer: IpAddr,
    stream: oneshot::Receiver<TcpStream>,
    _admission: Admission,
}

impl Expected {
    pub(super) fn new(directory: Arc<Directory>) -> Self {
        Self { directory, ports: Mutex::default(), waiting: Mutex::default() }
    }

    /// From now on sessions behind the listeners of `lan` find their ports here.
    pub(super) fn set_ports(&self, lan: LanId, ports: DataPorts) {
        lock(&self.ports).insert(lan, ports);
    }

    /// The ports for sessions behind the listeners of `lan`; `None` where each has its own.
    pub(super) fn ports(&self, lan: LanId) -> Option<DataPorts> {
        lock(&self.ports).get(&lan).cloned()
    }

    /// Has `peer` come to a port of `here` that no service has; `draw` chooses. `None` where he
    /// is waited for at all of them.
    pub(super) fn expect(
        self: &Arc<Self>,
        ports: &DataPorts,
        here: Place,
        peer: IpAddr,
        draw: u16,
    ) -> Option<Awaited> {
        let begin = usize::from(draw) % ports.range.len().max(1);
        let order = ports.range.clone().skip(begin).chain(ports.range.clone().take(begin));
        order.into_iter().find_map(|port| {
            let place = Place { at: SocketAddr::new(here.at.ip(), port), ..here };
            if self.directory.get(place).is_some() {
                return None;
            }
            let admission = (ports.admit)(place.at, peer)?;
            let (sender, stream) = oneshot::channel();
            lock(&self.waiting).insert((place, peer), sender);
            let expected = Arc::clone(self);
            Some(Awaited { expected, place, peer, stream, _admission: admission })
        })
    }

    /// Hands a connection to the session that waits for it; closes one that none waits for.
    pub(super) fn hand_over(&self, place: Place, peer: IpAddr, stream: TcpStream) {
        let waiting = lock(&self.waiting).remove(&(place, peer));
        // A session that went away meanwhile drops it, too.
        waiting.map(|session| session.send(stream));
    }
}

impl Awaited {
    pub(super) fn port(&self) -> u16 {
        self.place.at.port()
    }

    /// The connection, when it comes. Cancel-safe: what came stays until it is taken.
    pub(super) async fn accept(&mut self) -> io::Result<TcpStream> {
        (&mut self.stream).await.map_err(io::Error::other)
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        lock(&self.expected.waiting).remove(&(self.place, self.peer));
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
