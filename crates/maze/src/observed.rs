//! What a driver sees of a topology, and what a step makes of it.
//!
//! [`Observed::after`] is the meaning of every [`Step`]: the fake driver and the property tests
//! run on it.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv4Net;
use model::{
    Archetype, Decky, DeckyId, Edge, Lan, LanId, Name, ServiceConfig, Topology, TopologyId,
};

use crate::{Step, apply::in_order, plan};

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

/// A LAN as it stands in the network. Its subnet and its side make it the LAN that it is; the
/// name is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedLan {
    /// Its name.
    pub name: Name,
    /// Its subnet.
    pub subnet: Ipv4Net,
    /// Whether it faces the outside.
    pub is_dmz: bool,
}

/// A decky as it stands in the network. Its name, archetype and first interface make it the
/// machine that it is; the rest can change while visitors look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedDecky {
    /// Its name.
    pub name: Name,
    /// What it pretends to be.
    pub archetype: Archetype,
    /// Its interfaces; the first is on its home LAN.
    pub edges: Vec<Edge>,
    /// Whether it routes between all of its LANs.
    pub forwards_l3: bool,
    /// Its open services.
    pub services: BTreeSet<ServiceConfig>,
}

impl Observed {
    /// Nothing exists.
    pub fn empty(topology: TopologyId) -> Self {
        Self { topology, lans: BTreeMap::new(), deckies: BTreeMap::new() }
    }

    /// What exists once all of `topology` does.
    pub fn of(topology: &Topology) -> Self {
        let mut all = Self::empty(topology.id);
        let steps = plan(Some(topology), &all);
        steps.iter().for_each(|step| all.advance(step));
        all
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
            Step::AttachDecky { decky, lan, .. } => {
                let edge = decky.edge_on(*lan);
                if let Some((there, edge)) = self.deckies.get_mut(&decky.id).zip(edge) {
                    there.edges.retain(|known| known.lan != *lan);
                    there.edges.push(*edge);
                    in_order(&mut there.edges);
                }
            }
            Step::DetachDecky { decky, lan, .. } => {
                if let Some(there) = self.deckies.get_mut(decky) {
                    there.edges.retain(|known| known.lan != *lan);
                }
            }
            Step::SetForwarding { decky, .. } => {
                if let Some(there) = self.deckies.get_mut(&decky.id) {
                    there.set_forwarding(decky);
                }
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

impl ObservedLan {
    /// Whether this is the segment of the row, whatever it is called.
    pub fn is_segment(&self, lan: &Lan) -> bool {
        self.subnet == lan.subnet && self.is_dmz == lan.is_dmz
    }
}

impl ObservedDecky {
    /// The machine of this row, with nothing open.
    pub fn without_services(decky: &Decky) -> Self {
        Self {
            name: decky.name.clone(),
            archetype: decky.archetype,
            edges: decky.edges.clone(),
            forwards_l3: decky.forwards_l3,
            services: BTreeSet::new(),
        }
    }

    /// Whether this is the machine of the row, whatever its services, its other interfaces and
    /// its routes are.
    pub fn is_machine(&self, decky: &Decky) -> bool {
        let same_home = match (self.edges.first(), decky.home()) {
            (Some(there), Some(wanted)) => is_interface(there, wanted),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        self.name == decky.name && self.archetype == decky.archetype && same_home
    }

    /// Whether it has this interface, whatever its routes are.
    pub fn has_interface(&self, wanted: &Edge) -> bool {
        self.edges.iter().any(|there| is_interface(there, wanted))
    }

    /// Whether it routes as the row does, on the interfaces that both have.
    pub fn routes_as(&self, decky: &Decky) -> bool {
        let agrees = |there: &Edge| {
            let wanted = decky.edges.iter().find(|wanted| is_interface(there, wanted));
            wanted.is_none_or(|wanted| wanted.forwards_l3 == there.forwards_l3)
        };
        self.forwards_l3 == decky.forwards_l3 && self.edges.iter().all(agrees)
    }

    fn set_forwarding(&mut self, decky: &Decky) {
        self.forwards_l3 = decky.forwards_l3;
        for there in &mut self.edges {
            if let Some(wanted) = decky.edge_on(there.lan) {
                there.forwards_l3 = wanted.forwards_l3;
            }
        }
    }
}

/// Whether two edges are the same interface.
fn is_interface(one: &Edge, other: &Edge) -> bool {
    one.lan == other.lan && one.address == other.address
}
