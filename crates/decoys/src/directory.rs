//! Who answers where: (LAN, transport, address, port) to decky, service and persona.
//!
//! Shared: an entry comes or goes in less than a microsecond however many there are, and nobody
//! who looks one up meets half a change. It knows nothing of sockets: the fleet says which
//! addresses really listen.

use std::{
    collections::HashMap,
    net::SocketAddr,
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

/// Who answers there.
#[derive(Debug)]
pub struct Entry {
    /// The maze.
    pub topology_id: TopologyId,
    /// The LAN.
    pub lan_id: LanId,
    /// The decky.
    pub decky_id: DeckyId,
    /// The protocol.
    pub service: Service,
    /// What the decky pretends to be.
    pub persona: LazyPersona,
    /// The persona's own address and port, which may differ from where it really listens.
    pub local: SocketAddr,
}

/// All entries.
#[derive(Default, Debug)]
pub struct Directory(RwLock<HashMap<Place, Arc<Entry>>>);

impl Directory {
    /// Who answers at `place`.
    pub fn get(&self, place: Place) -> Option<Arc<Entry>> {
        self.read().get(&place).map(Arc::clone)
    }

    /// Adds an entry; an earlier one at the same place is replaced.
    pub fn bind(&self, place: Place, entry: Entry) {
        self.write().insert(place, Arc::new(entry));
    }

    /// Takes an entry out.
    pub fn unbind(&self, place: Place) {
        self.write().remove(&place);
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether nobody answers anywhere.
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<Place, Arc<Entry>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Place, Arc<Entry>>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
