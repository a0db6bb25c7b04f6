//! What a driver sees of a topology, and what a step makes of it.
//!
//! [`Observed::after`] is the meaning of every [`Step`]: the fake driver and the property tests
//! run on it.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv4Net;
use model::{Archetype, Decky, DeckyId, Edge, Lan, LanId, Name, ServiceConfig, TopologyId};

use crate::Step;

/// What exists of one topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Which.
    pub topology: TopologyId,
    /// Its LANs.
    pub lans: BTreeMap<LanId, ObservedLan>,
    /// Its deckies.
    pub deckies: BTreeMap<DeckyId, ObservedDecky>,
}

/// What makes a LAN the LAN that it is; a change of any of it means a new LAN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedLan {
    /// Its name.
    pub name: Name,
    /// Its subnet.
    pub subnet: Ipv4Net,
    /// Whether it faces the outside.
    pub is_dmz: bool,
}

/// A decky as it stands in the network. All but the services make it the machine that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedDecky {
    /// Its name.
    pub name: Name,
    /// What it pretends to be.
    pub archetype: Archetype,
    /// Its interfaces.
    pub edges: Vec<Edge>,
    /// Its open services.
    pub services: BTreeSet<ServiceConfig>,
}

impl Observed {
    /// Nothing exists.
    pub fn empty(topology: TopologyId) -> Self {
        Self { topology, lans: BTreeMap::new(), deckies: BTreeMap::new() }
    }

    /// Whether nothing exists.
    pub fn is_empty(&self) -> bool {
        self.lans.is_empty() && self.deckies.is_empty()
    }

    /// What exists once `step` is done. Doing a step twice changes nothing more.
    pub fn after(&self, step: &Step) -> Self {
        let mut next = self.clone();
        next.advance(step);
        next
    }

    /// As [`Observed::after`], in place.
    pub fn advance(&mut self, step: &Step) {
        match step {
            Step::AddLan { lan, .. } => {
                self.lans.insert(lan.id, ObservedLan::from(&**lan));
            }
            Step::RemoveLan { lan, .. } => {
                self.lans.remove(lan);
            }
            Step::AddDecky { decky, .. } => {
                let there = self.deckies.get(&decky.id);
                if !there.is_some_and(|there| there.is_machine(decky)) {
                    self.deckies.insert(decky.id, ObservedDecky::without_services(decky));
                }
            }
            Step::RemoveDecky { decky, .. } => {
                self.deckies.remove(decky);
            }
            Step::OpenService { decky, service, .. } => {
                if let Some(there) = self.deckies.get_mut(decky) {
                    there.services.insert(*service);
                }
            }
            Step::CloseService { decky, service, .. } => {
                if let Some(there) = self.deckies.get_mut(decky) {
                    there.services.remove(service);
                }
            }
        }
    }
}

impl From<&Lan> for ObservedLan {
    fn from(lan: &Lan) -> Self {
        Self { name: lan.name.clone(), subnet: lan.subnet, is_dmz: lan.is_dmz }
    }
}

impl ObservedDecky {
    /// The machine of this row, with nothing open.
    pub fn without_services(decky: &Decky) -> Self {
        Self {
            name: decky.name.clone(),
            archetype: decky.archetype,
            edges: decky.edges.clone(),
            services: BTreeSet::new(),
        }
    }

    /// Whether this is the machine of the row, whatever its services are.
    pub fn is_machine(&self, decky: &Decky) -> bool {
        self.name == decky.name && self.archetype == decky.archetype && self.edges == decky.edges
    }
}
