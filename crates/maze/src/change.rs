//! What a change of a topology is about, so that planning it costs as much as the change and not
//! as much as the topology.

use std::collections::BTreeSet;

use model::{Decky, DeckyId, LanId, Topology};

use crate::{Observed, Step, plan};

/// The part of a topology that a change touches: rows that differ, deckies on LANs whose rows
/// differ, and the LANs of all these deckies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What is desired of this part afterwards.
    desired: Topology,
    lans: BTreeSet<LanId>,
    deckies: BTreeSet<DeckyId>,
}

impl Change {
    /// From `before` to `after`.
    pub fn between(before: &Topology, after: &Topology) -> Self {
        let delta = after.delta_from(before);
        let mut lans: BTreeSet<_> = delta.lans_put.iter().map(|lan| lan.id).collect();
        lans.extend(delta.lans_removed);
        let mut deckies: BTreeSet<_> = delta.deckies_put.iter().map(|decky| decky.id).collect();
        deckies.extend(delta.deckies_removed);
        if !lans.is_empty() {
            let is_on_them = |decky: &&Decky| decky.edges.iter().any(|e| lans.contains(&e.lan));
            deckies.extend(rows(before).chain(rows(after)).filter(is_on_them).map(|d| d.id));
        }
        for topology in [before, after] {
            let of_them = deckies.iter().filter_map(|id| topology.deckies.get(id));
            lans.extend(of_them.flat_map(|decky| &decky.edges).map(|edge| edge.lan));
        }
        Self { desired: part(after, &lans, &deckies), lans, deckies }
    }

    /// The topology.
    pub fn topology(&self) -> model::TopologyId {
        self.desired.id
    }

    /// The deckies that it touches, those that go and those that come included.
    pub fn deckies(&self) -> &BTreeSet<DeckyId> {
        &self.deckies
    }

    /// The same part of the topology as it was.
    pub fn part_of(&self, before: &Topology) -> Topology {
        part(before, &self.lans, &self.deckies)
    }

    /// The steps that make the change; of `observed`, other LANs and deckies are not looked at.
    /// Where the network was as desired before, these are all steps that there are.
    pub fn plan(&self, mut observed: Observed) -> Vec<Step> {
        observed.lans.retain(|id, _| self.lans.contains(id));
        observed.deckies.retain(|id, _| self.deckies.contains(id));
        plan(Some(&self.desired), &observed)
    }
}

fn rows(topology: &Topology) -> impl Iterator<Item = &Decky> {
    topology.deckies.values().map(|decky| &**decky)
}

fn part(topology: &Topology, lans: &BTreeSet<LanId>, deckies: &BTreeSet<DeckyId>) -> Topology {
    let lan = |id: &LanId| Some((*id, topology.lans.get(id)?.clone()));
    let decky = |id: &DeckyId| Some((*id, topology.deckies.get(id)?.clone()));
    Topology {
        version: topology.version,
        rotate_every: topology.rotate_every,
        lans: lans.iter().filter_map(lan).collect(),
        deckies: deckies.iter().filter_map(decky).collect(),
        ..Topology::new(topology.id, topology.name.clone())
    }
}
