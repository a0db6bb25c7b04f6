//! Who answers where: (LAN, address, port) to decky, service and persona.
//!
//! Owns immutable snapshots; the driver swaps them atomically, so that a lookup never waits for
//! a change. It knows nothing of sockets: the fleet says which addresses really listen.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use model::{DeckyId, LanId, Persona, Service, TopologyId};

/// Where a connection really arrives. Two LANs may use the same addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Place {
    /// The LAN whose listener accepted it.
    pub lan: LanId,
    /// The local end of the connection, as the kernel sees it.
    pub at: SocketAddr,
}

/// Who answers there.
#[derive(Clone, Debug)]
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
    pub persona: Arc<Persona>,
    /// The persona's own address and port, which may differ from where it really listens.
    pub local: SocketAddr,
}

/// One immutable snapshot.
#[derive(Clone, Default, Debug)]
pub struct Directory {
    entries: HashMap<Place, Arc<Entry>>,
}

impl Directory {
    /// Who answers at `place`.
    pub fn get(&self, place: Place) -> Option<&Arc<Entry>> {
        self.entries.get(&place)
    }

    /// Adds an entry; an earlier one at the same place is replaced.
    pub fn bind(&mut self, place: Place, entry: Entry) {
        self.entries.insert(place, Arc::new(entry));
    }

    /// Takes an entry out and gives it back.
    pub fn unbind(&mut self, place: Place) -> Option<Arc<Entry>> {
        self.entries.remove(&place)
    }

    /// Takes out everything of one decky; tells how many entries those were.
    pub fn unbind_decky(&mut self, decky: DeckyId) -> usize {
        let before = self.entries.len();
        self.entries.retain(|_, entry| entry.decky_id != decky);
        before - self.entries.len()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody answers anywhere.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
