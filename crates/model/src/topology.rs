//! Topologies as data. The rules that change them are in the crate `maze`.

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc, time::Duration};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::{Archetype, DeckyId, LanId, Name, Position, Service, Timestamp, TopologyId};

/// A maze of LANs: what is wanted. Rows are shared, so that a changed copy is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Its id.
    pub id: TopologyId,
    /// Its name, unique in the installation.
    pub name: Name,
    /// Counts changes, from 1.
    pub version: u64,
    /// Its LANs.
    pub lans: BTreeMap<LanId, Arc<Lan>>,
    /// Its deckies.
    pub deckies: BTreeMap<DeckyId, Arc<Decky>>,
}

/// A layer-2 segment with one IPv4 subnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lan {
    /// Its id.
    pub id: LanId,
    /// Its name, unique in the topology.
    pub name: Name,
    /// Its subnet; never overlaps another of the same topology.
    pub subnet: Ipv4Net,
    /// Whether it faces the outside. At most one per topology does.
    pub is_dmz: bool,
    /// Where the console draws it.
    pub position: Option<Position>,
}

/// A decoy machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decky {
    /// Its id; its persona derives from it.
    pub id: DeckyId,
    /// Its name, unique in the topology; also its host name.
    pub name: Name,
    /// What it pretends to be.
    pub archetype: Archetype,
    /// Its interfaces; the first is on its home LAN.
    pub edges: Vec<Edge>,
    /// Its services, sorted, without duplicates.
    pub services: Vec<ServiceConfig>,
    /// Time between two scheduled rotations; `None` means never.
    pub rotate_every: Option<Duration>,
    /// When it last changed its services, or was created.
    pub rotated_at: Timestamp,
    /// Where the console draws it.
    pub position: Option<Position>,
}

/// One interface of a decky.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// The LAN.
    pub lan: LanId,
    /// The address on it.
    pub address: Ipv4Addr,
}

/// A service on a decky.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServiceConfig {
    /// The protocol.
    pub service: Service,
    /// The TCP port.
    pub port: u16,
}

impl From<Service> for ServiceConfig {
    fn from(service: Service) -> Self {
        Self { service, port: service.port() }
    }
}

impl Topology {
    /// A topology without LANs, at version 1.
    pub fn new(id: TopologyId, name: Name) -> Self {
        Self { id, name, version: 1, lans: BTreeMap::new(), deckies: BTreeMap::new() }
    }

    /// The LAN of this name.
    pub fn lan_named(&self, name: &Name) -> Option<&Arc<Lan>> {
        self.lans.values().find(|lan| lan.name == *name)
    }

    /// The decky of this name.
    pub fn decky_named(&self, name: &Name) -> Option<&Arc<Decky>> {
        self.deckies.values().find(|decky| decky.name == *name)
    }

    /// The rows that differ between `before` and this one.
    pub fn delta_from(&self, before: &Topology) -> TopologyDelta {
        TopologyDelta {
            lans_put: changed(&before.lans, &self.lans),
            lans_removed: missing(&before.lans, &self.lans),
            deckies_put: changed(&before.deckies, &self.deckies),
            deckies_removed: missing(&before.deckies, &self.deckies),
        }
    }
}

impl Decky {
    /// The services without their ports.
    pub fn service_set(&self) -> Vec<Service> {
        self.services.iter().map(|s| s.service).collect()
    }

    /// When it is due for a scheduled rotation.
    pub fn due_at(&self) -> Option<Timestamp> {
        self.rotate_every.map(|every| self.rotated_at.plus(every))
    }
}

/// The rows of a topology that a change writes and removes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopologyDelta {
    /// LANs that are new or different.
    pub lans_put: Vec<Arc<Lan>>,
    /// LANs that are gone.
    pub lans_removed: Vec<LanId>,
    /// Deckies that are new or different.
    pub deckies_put: Vec<Arc<Decky>>,
    /// Deckies that are gone.
    pub deckies_removed: Vec<DeckyId>,
}

fn changed<K: Ord, V: PartialEq>(
    before: &BTreeMap<K, Arc<V>>,
    after: &BTreeMap<K, Arc<V>>,
) -> Vec<Arc<V>> {
    let same = |old: &Arc<V>, new: &Arc<V>| Arc::ptr_eq(old, new) || old == new;
    let is_new = |(key, row): &(&K, &Arc<V>)| !before.get(key).is_some_and(|old| same(old, row));
    after.iter().filter(is_new).map(|(_, row)| row.clone()).collect()
}

fn missing<K: Ord + Copy, V>(before: &BTreeMap<K, V>, after: &BTreeMap<K, V>) -> Vec<K> {
    before.keys().filter(|key| !after.contains_key(key)).copied().collect()
}
