//! Topologies as data. The rules that change them are in the crate `maze`.

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc, time::Duration};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::{
    Archetype, DeckyId, LanId, Name, Position, Service, Shared, Timestamp, TopologyId, TypedId as _,
};

/// A maze of LANs: what is wanted. Rows are shared, so that a changed copy is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Its id.
    pub id: TopologyId,
    /// Its name, unique in the installation.
    pub name: Name,
    /// Counts changes, from 1.
    pub version: u64,
    /// Time between two scheduled rotations of each decky without an interval of its own;
    /// `None` means never.
    pub rotate_every: Option<Duration>,
    /// Its LANs.
    pub lans: BTreeMap<LanId, Arc<Lan>>,
    /// Its deckies.
    pub deckies: Shared<BTreeMap<DeckyId, Arc<Decky>>>,
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
    /// Its interfaces; the first is on its home LAN, the others follow by the LAN's id.
    pub edges: Vec<Edge>,
    /// Whether it is a gateway: routes between all of its LANs.
    #[serde(default)]
    pub forwards_l3: bool,
    /// Whether it is taken off the network for now.
    #[serde(default)]
    pub is_stopped: bool,
    /// Its services, sorted, without duplicates.
    pub services: Vec<ServiceConfig>,
    /// Time between two scheduled rotations; `None` means as the topology has it.
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
    /// Whether the machine routes between this LAN and its home, and to others like it.
    #[serde(default)]
    pub forwards_l3: bool,
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
        Self {
            id,
            name,
            version: 1,
            rotate_every: None,
            lans: BTreeMap::new(),
            deckies: Shared::default(),
        }
    }

    /// The LAN of this name.
    pub fn lan_named(&self, name: &Name) -> Option<&Arc<Lan>> {
        self.lans.values().find(|lan| lan.name == *name)
    }

    /// The decky of this name.
    pub fn decky_named(&self, name: &Name) -> Option<&Arc<Decky>> {
        self.deckies.values().find(|decky| decky.name == *name)
    }

    /// When a decky of this topology is due for a scheduled rotation: once its interval, or else
    /// the topology's, is over, up to a fifth sooner. How much sooner follows from the decky and
    /// from when it last rotated, so that it stands still over restarts, differs between deckies
    /// and cannot be told in advance by whoever watches. `None` while it is stopped.
    pub fn due_at(&self, decky: &Decky) -> Option<Timestamp> {
        let every = decky.rotate_every.or(self.rotate_every)?;
        let sooner = every.mul_f64(decky.jitter() / 5.0);
        (!decky.is_stopped).then(|| decky.rotated_at.plus(every - sooner))
    }

    /// The rows that differ between `before` and this one.
    pub fn delta_from(&self, before: &Topology) -> TopologyDelta {
        let (lans_put, lans_removed) = differences(&before.lans, &self.lans);
        let (deckies_put, deckies_removed) = differences(&before.deckies, &self.deckies);
        TopologyDelta { lans_put, lans_removed, deckies_put, deckies_removed }
    }
}

impl Decky {
    /// The services without their ports.
    pub fn service_set(&self) -> Vec<Service> {
        self.services.iter().map(|s| s.service).collect()
    }

    /// The interface on its home LAN.
    pub fn home(&self) -> Option<&Edge> {
        self.edges.first()
    }

    /// The interface on this LAN.
    pub fn edge_on(&self, lan: LanId) -> Option<&Edge> {
        self.edges.iter().find(|edge| edge.lan == lan)
    }

    /// Whether it routes packets from one of its LANs to another. A gateway does between all of
    /// them; others between their home and the interfaces that forward, and among these.
    pub fn routes_between(&self, one: LanId, other: LanId) -> bool {
        let home = self.home().map(|edge| edge.lan);
        let takes_part = |lan: LanId| {
            let edge = self.edge_on(lan);
            edge.is_some_and(|edge| self.forwards_l3 || edge.forwards_l3 || home == Some(lan))
        };
        one != other && takes_part(one) && takes_part(other)
    }

    /// A number from 0 to 1 that follows from the decky and from when it last rotated.
    fn jitter(&self) -> f64 {
        let [high, low] =
            [self.id.uuid().as_u128() >> 64, self.id.uuid().as_u128()].map(|part| part as u64);
        let mut mixed = high ^ low.rotate_left(32) ^ self.rotated_at.as_micros().cast_unsigned();
        // The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as f64 / u64::MAX as f64
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

/// The rows of `after` that are new or different, and the keys that are in `before` only. Goes
/// through both once, in the order of the keys.
fn differences<K: Ord + Copy, V: PartialEq>(
    before: &BTreeMap<K, Arc<V>>,
    after: &BTreeMap<K, Arc<V>>,
) -> (Vec<Arc<V>>, Vec<K>) {
    let (mut put, mut removed) = (Vec::new(), Vec::new());
    let mut old = before.iter().peekable();
    for (key, row) in after {
        while let Some((gone, _)) = old.next_if(|(known, _)| *known < key) {
            removed.push(*gone);
        }
        let known = old.next_if(|(known, _)| *known == key);
        if !known.is_some_and(|(_, known)| Arc::ptr_eq(known, row) || known == row) {
            put.push(row.clone());
        }
    }
    removed.extend(old.map(|(key, _)| *key));
    (put, removed)
}
