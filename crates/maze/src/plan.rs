//! The steps from what is observed to what is desired. Pure: a plan is data.
//!
//! Order: services close, deckies go, LANs go, LANs come, deckies come, services open; within
//! each kind by id. So no step meets an address, a port or a LAN that an earlier one still holds.

use std::{collections::BTreeSet, fmt, sync::Arc};

use model::{Decky, DeckyId, Lan, LanId, ServiceConfig, Topology, TopologyId};

use crate::{Observed, ObservedLan};

/// One change to the network. Doing it twice is the same as doing it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A network comes.
    AddLan {
        /// Of which topology.
        topology: TopologyId,
        /// Its row.
        lan: Arc<Lan>,
    },
    /// A network goes; no decky is on it any more.
    RemoveLan {
        /// Of which topology.
        topology: TopologyId,
        /// Which.
        lan: LanId,
    },
    /// A machine comes, with nothing open.
    AddDecky {
        /// Of which topology.
        topology: TopologyId,
        /// Its row. The services in it come in steps of their own.
        decky: Arc<Decky>,
    },
    /// A machine goes, with whatever is still open.
    RemoveDecky {
        /// Of which topology.
        topology: TopologyId,
        /// Which.
        decky: DeckyId,
    },
    /// A service begins to answer, on every interface of the machine.
    OpenService {
        /// Of which topology.
        topology: TopologyId,
        /// On which machine.
        decky: DeckyId,
        /// What and where.
        service: ServiceConfig,
    },
    /// A service stops to answer.
    CloseService {
        /// Of which topology.
        topology: TopologyId,
        /// On which machine.
        decky: DeckyId,
        /// What and where.
        service: ServiceConfig,
    },
}

/// A step without what it is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum StepKind {
    /// [`Step::AddLan`].
    AddLan,
    /// [`Step::RemoveLan`].
    RemoveLan,
    /// [`Step::AddDecky`].
    AddDecky,
    /// [`Step::RemoveDecky`].
    RemoveDecky,
    /// [`Step::OpenService`].
    OpenService,
    /// [`Step::CloseService`].
    CloseService,
}

impl Step {
    /// Which kind of step.
    pub fn kind(&self) -> StepKind {
        match self {
            Self::AddLan { .. } => StepKind::AddLan,
            Self::RemoveLan { .. } => StepKind::RemoveLan,
            Self::AddDecky { .. } => StepKind::AddDecky,
            Self::RemoveDecky { .. } => StepKind::RemoveDecky,
            Self::OpenService { .. } => StepKind::OpenService,
            Self::CloseService { .. } => StepKind::CloseService,
        }
    }

    /// Of which topology.
    pub fn topology(&self) -> TopologyId {
        match self {
            Self::AddLan { topology, .. }
            | Self::RemoveLan { topology, .. }
            | Self::AddDecky { topology, .. }
            | Self::RemoveDecky { topology, .. }
            | Self::OpenService { topology, .. }
            | Self::CloseService { topology, .. } => *topology,
        }
    }

    /// The machine that it is about, if it is about one.
    pub fn decky(&self) -> Option<DeckyId> {
        match self {
            Self::AddLan { .. } | Self::RemoveLan { .. } => None,
            Self::AddDecky { decky, .. } => Some(decky.id),
            Self::RemoveDecky { decky, .. }
            | Self::OpenService { decky, .. }
            | Self::CloseService { decky, .. } => Some(*decky),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddLan { lan, .. } => write!(f, "add LAN {} ({})", lan.name, lan.subnet),
            Self::RemoveLan { lan, .. } => write!(f, "remove LAN {lan}"),
            Self::AddDecky { decky, .. } => write!(f, "add decky {}", decky.name),
            Self::RemoveDecky { decky, .. } => write!(f, "remove decky {decky}"),
            Self::OpenService { decky, service, .. } => {
                write!(f, "open {} on port {} of decky {decky}", service.service, service.port)
            }
            Self::CloseService { decky, service, .. } => {
                write!(f, "close {} on port {} of decky {decky}", service.service, service.port)
            }
        }
    }
}

/// The steps that turn `observed` into `desired`; nothing where they agree. `None` takes
/// everything down.
///
/// A LAN whose name, subnet or side changed is a new LAN, and its deckies move with it; a decky
/// whose name, archetype or interfaces changed is a new machine. A change of services is no more
/// than closes and opens, and nothing else of the topology is touched.
///
/// `desired` must be valid and have the id of `observed`.
pub fn plan(desired: Option<&Topology>, observed: &Observed) -> Vec<Step> {
    debug_assert!(desired.is_none_or(|d| d.id == observed.topology), "plan of another topology");
    let topology = observed.topology;
    let wanted_lan = |id: &LanId| desired.and_then(|d| d.lans.get(id));
    let wanted_decky = |id: &DeckyId| desired.and_then(|d| d.deckies.get(id));

    let kept_lans: BTreeSet<LanId> = observed
        .lans
        .iter()
        .filter(|(id, there)| {
            wanted_lan(id).is_some_and(|lan| **there == ObservedLan::from(&**lan))
        })
        .map(|(id, _)| *id)
        .collect();
    let lan_comes = |id: &LanId| wanted_lan(id).is_some() && !kept_lans.contains(id);
    let kept_deckies: BTreeSet<DeckyId> = observed
        .deckies
        .iter()
        .filter(|(id, there)| {
            wanted_decky(id).is_some_and(|decky| {
                there.is_machine(decky) && !decky.edges.iter().any(|edge| lan_comes(&edge.lan))
            })
        })
        .map(|(id, _)| *id)
        .collect();

    let mut closes = Vec::new();
    let mut removals = Vec::new();
    let mut additions = Vec::new();
    let mut opens = Vec::new();

    for (decky, there) in &observed.deckies {
        let kept = wanted_decky(decky).filter(|_| kept_deckies.contains(decky));
        let stays =
            |service: &ServiceConfig| kept.is_some_and(|row| row.services.contains(service));
        closes.extend(
            there
                .services
                .iter()
                .filter(|service| !stays(service))
                .map(|service| Step::CloseService { topology, decky: *decky, service: *service }),
        );
        if kept.is_none() {
            removals.push(Step::RemoveDecky { topology, decky: *decky });
        }
    }
    let lans_going = observed.lans.keys().filter(|id| !kept_lans.contains(id));
    removals.extend(lans_going.map(|lan| Step::RemoveLan { topology, lan: *lan }));

    let lans = desired.into_iter().flat_map(|d| d.lans.values());
    let lans_coming = lans.filter(|lan| !kept_lans.contains(&lan.id));
    additions.extend(lans_coming.map(|lan| Step::AddLan { topology, lan: lan.clone() }));
    for decky in desired.into_iter().flat_map(|d| d.deckies.values()) {
        let kept = observed.deckies.get(&decky.id).filter(|_| kept_deckies.contains(&decky.id));
        if kept.is_none() {
            additions.push(Step::AddDecky { topology, decky: decky.clone() });
        }
        let is_open = |service: &ServiceConfig| kept.is_some_and(|k| k.services.contains(service));
        opens.extend(
            decky
                .services
                .iter()
                .filter(|service| !is_open(service))
                .map(|service| Step::OpenService { topology, decky: decky.id, service: *service }),
        );
    }

    [closes, removals, additions, opens].concat()
}
