//! Who answers where: (LAN, transport, address, port) to decky, service and persona.
//!
//! Shared: an entry comes or goes in less than a microsecond however many there are, and nobody
//! who looks one up meets half a change. It knows nothing of sockets: the fleet says which
//! addresses really listen.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, LazyLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use model::{DeckyId, LanId, Persona, Service, TopologyId, Transport};

/// Where a connection or a datagram really arrives. Two LANs may use the same addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Place {
    /// The LAN whose listener accepted it.
    pub lan: LanId,
    /// What carried it.
    pub transport: Transport,
    /// The local end, as the kernel sees it.
    pub at: SocketAddr,
}

/// A persona that is derived when the first visitor comes; most deckies never have one.
pub type LazyPersona = LazyLock<Arc<Persona>, Box<dyn FnOnce() -> Arc<Persona> + Send>>;

/// A decky on one of its LANs, as visitors meet it.
#[derive(Debug)]
pub struct Interface {
    /// The maze.
    pub topology_id: TopologyId,
    /// The LAN.
    pub lan_id: LanId,
    /// The decky.
    pub decky_id: DeckyId,
    /// The address that it pretends to have, which may differ from where it really listens.
    pub address: IpAddr,
    /// What the decky pretends to be.
    pub persona: LazyPersona,
}

/// Who answers there. All services of an interface share it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Whose it is.
    pub interface: Arc<Interface>,
    /// The protocol.
    pub service: Service,
    /// The port that it pretends to have.
    pub port: u16,
}

impl Entry {
    /// The address and port that it pretends to have.
    pub fn local(&self) -> SocketAddr {
        SocketAddr::new(self.interface.address, self.port)
    }

    /// What the decky pretends to be.
    pub fn persona(&self) -> Arc<Persona> {
        Arc::clone(&self.interface.persona)
    }

    /// Whether this is the same service of the same interface, and not of a machine that came into
    /// its place.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.interface, &other.interface)
            && (self.service, self.port) == (other.service, other.port)
    }
}

/// A place, as small as it can be kept.
type Key = (LanId, IpAddr, u16, Transport);

/// All entries.
#[derive(Default, Debug)]
pub struct Directory(RwLock<HashMap<Key, Entry>>);

impl Directory {
    /// Who answers at `place`.
    pub fn get(&self, place: Place) -> Option<Entry> {
        self.read().get(&key(place)).cloned()
    }

    /// Adds an entry; an earlier one at the same place is replaced.
    pub fn bind(&self, place: Place, entry: Entry) {
        self.write().insert(key(place), entry);
    }

    /// Takes an entry out.
    pub fn unbind(&self, place: Place) {
        self.write().remove(&key(place));
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether nobody answers anywhere.
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<Key, Entry>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Key, Entry>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(Place { lan, transport, at }: Place) -> Key {
    (lan, at.ip(), at.port(), transport)
}
