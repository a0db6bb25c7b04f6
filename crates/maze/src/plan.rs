//! The steps from what is observed to what is desired. Pure: a plan is data.
//!
//! Order: services close, interfaces go, deckies go, LANs go, LANs come, deckies come, interfaces
//! come, routes change, services open; within each kind by id. So no step meets an address, a
//! port or a LAN that an earlier one still holds.

use std::{collections::BTreeSet, fmt, sync::Arc};

use model::{Decky, DeckyId, Edge, Lan, LanId, ServiceConfig, Topology, TopologyId};

use crate::{Observed, ObservedDecky};

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
    /// An interface comes; what the machine has open answers there too.
    AttachDecky {
        /// Of which topology.
        topology: TopologyId,
        /// The machine's row, which has the interface.
        decky: Arc<Decky>,
        /// On which LAN.
        lan: LanId,
    },
    /// An interface goes, with whatever is still open there.
    DetachDecky {
        /// Of which topology.
        topology: TopologyId,
        /// Which machine.
        decky: DeckyId,
        /// On which LAN; not its home.
        lan: LanId,
    },
    /// The machine routes between its LANs as its row says.
    SetForwarding {
        /// Of which topology.
        topology: TopologyId,
        /// Its row.
        decky: Arc<Decky>,
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
    /// [`Step::AttachDecky`].
    AttachDecky,
    /// [`Step::DetachDecky`].
    DetachDecky,
    /// [`Step::SetForwarding`].
    SetForwarding,
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
            Self::AttachDecky { .. } => StepKind::AttachDecky,
            Self::DetachDecky { .. } => StepKind::DetachDecky,
            Self::SetForwarding { .. } => StepKind::SetForwarding,
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
            | Self::AttachDecky { topology, .. }
            | Self::DetachDecky { topology, .. }
            | Self::SetForwarding { topology, .. }
            | Self::OpenService { topology, .. }
            | Self::CloseService { topology, .. } => *topology,
        }
    }

    /// The machine that it is about, if it is about one.
    pub fn decky(&self) -> Option<DeckyId> {
        match self {
            Self::AddLan { .. } | Self::RemoveLan { .. } => None,
            Self::AddDecky { decky, .. }
            | Self::AttachDecky { decky, .. }
            | Self::SetForwarding { decky, .. } => Some(decky.id),
            Self::RemoveDecky { decky, .. }
            | Self::DetachDecky { decky, .. }
            | Self::OpenService { decky, .. }
            | Self::CloseService { decky, .. } => Some(*decky),
        }
    }
}

impl Step {
    /// The LAN that it is about, if it is about one.
    pub fn lan(&self) -> Option<LanId> {
        match self {
            Self::AddLan { lan, .. } => Some(lan.id),
            Self::RemoveLan { lan, .. }
            | Self::AttachDecky { lan, .. }
            | Self::DetachDecky { lan, .. } => Some(*lan),
            Self::AddDecky { .. }
            | Self::RemoveDecky { .. }
            | Self::SetForwarding { .. }
            | Self::OpenService { .. }
            | Self::CloseService { .. } => None,
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
            Self::AttachDecky { decky, lan, .. } => {
                write!(f, "attach decky {} to LAN {lan}", decky.name)?;
                decky.edge_on(*lan).map_or(Ok(()), |edge| write!(f, " as {}", edge.address))
            }
            Self::DetachDecky { decky, lan, .. } => {
                write!(f, "detach decky {decky} from LAN {lan}")
            }
            Self::SetForwarding { decky, .. } => {
                write!(f, "set the routes of decky {}", decky.name)
            }
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
/// everything down. Deckies that are stopped are not in the network.
///
/// A LAN whose subnet or side changed is a new LAN, and the deckies whose home it is move with
/// it; a decky whose name, archetype or first interface changed is a new machine. Everything else
/// changes in place: services close and open, interfaces come and go, and no other machine is
/// touched.
///
/// `desired` must be valid and have the id of `observed`.
pub fn plan(desired: Option<&Topology>, observed: &Observed) -> Vec<Step> {
    debug_assert!(desired.is_none_or(|d| d.id == observed.topology), "plan of another topology");
    let planner = Planner::new(desired, observed);
    let mut steps = planner.closes();
    steps.extend(planner.detaches());
    steps.extend(planner.removals());
    steps.extend(planner.additions());
    steps.extend(planner.attaches());
    steps.extend(planner.routes());
    steps.extend(planner.opens());
    steps
}

/// What is wanted, what is there, and what of it can stay.
struct Planner<'a> {
    topology: TopologyId,
    desired: Option<&'a Topology>,
    observed: &'a Observed,
    kept_lans: BTreeSet<LanId>,
    kept_deckies: BTreeSet<DeckyId>,
}

impl<'a> Planner<'a> {
    fn new(desired: Option<&'a Topology>, observed: &'a Observed) -> Self {
        let topology = observed.topology;
        let kept_lans = observed.lans.iter().filter(|(id, there)| {
            let wanted = desired.and_then(|desired| desired.lans.get(id));
            wanted.is_some_and(|lan| there.is_segment(lan))
        });
        let kept_lans = kept_lans.map(|(id, _)| *id).collect();
        let mut planner =
            Self { topology, desired, observed, kept_lans, kept_deckies: BTreeSet::new() };
        let wanted = planner.wanted_deckies();
        let kept = wanted.filter(|decky| planner.can_stay(decky)).map(|decky| decky.id);
        planner.kept_deckies = kept.collect();
        planner
    }

    fn wanted_lans(&self) -> impl Iterator<Item = &'a Arc<Lan>> + use<'a> {
        self.desired.into_iter().flat_map(|desired| desired.lans.values())
    }

    fn wanted_deckies(&self) -> impl Iterator<Item = &'a Arc<Decky>> + use<'a> {
        let deckies = self.desired.into_iter().flat_map(|desired| desired.deckies.values());
        deckies.filter(|decky| !decky.is_stopped)
    }

    /// Whether the machine that is there can become this row without going away.
    fn can_stay(&self, decky: &Decky) -> bool {
        let there = self.observed.deckies.get(&decky.id);
        let keeps_home = decky.home().is_none_or(|home| self.kept_lans.contains(&home.lan));
        there.is_some_and(|there| there.is_machine(decky)) && keeps_home
    }

    /// The deckies that stay, as they are wanted and as they are.
    fn kept(&self) -> impl Iterator<Item = (&'a Arc<Decky>, &'a ObservedDecky)> {
        let both = |decky: &'a Arc<Decky>| {
            let there = self.observed.deckies.get(&decky.id)?;
            self.kept_deckies.contains(&decky.id).then_some((decky, there))
        };
        self.wanted_deckies().filter_map(both)
    }

    /// What a decky that stays has, by id; others have nothing.
    fn kept_there(&self, decky: &DeckyId) -> Option<&'a ObservedDecky> {
        self.observed.deckies.get(decky).filter(|_| self.kept_deckies.contains(decky))
    }

    fn closes(&self) -> Vec<Step> {
        let topology = self.topology;
        let wanted = |id: &DeckyId| {
            let kept = self.kept_deckies.contains(id);
            self.desired.filter(|_| kept).and_then(|desired| desired.deckies.get(id))
        };
        let closes = self.observed.deckies.iter().flat_map(|(id, there)| {
            let row = wanted(id);
            let stays =
                move |service: &ServiceConfig| row.is_some_and(|r| r.services.contains(service));
            let going = there.services.iter().filter(move |service| !stays(service));
            going.map(move |service| Step::CloseService { topology, decky: *id, service: *service })
        });
        closes.collect()
    }

    fn detaches(&self) -> Vec<Step> {
        let topology = self.topology;
        let detaches = self.kept().flat_map(|(decky, there)| {
            let stays = |edge: &Edge| {
                self.kept_lans.contains(&edge.lan)
                    && decky.edge_on(edge.lan).is_some_and(|row| row.address == edge.address)
            };
            let going: Vec<LanId> =
                there.edges.iter().filter(|edge| !stays(edge)).map(|edge| edge.lan).collect();
            going.into_iter().map(|lan| Step::DetachDecky { topology, decky: decky.id, lan })
        });
        detaches.collect()
    }

    fn removals(&self) -> Vec<Step> {
        let topology = self.topology;
        let deckies = self.observed.deckies.keys().filter(|id| !self.kept_deckies.contains(id));
        let lans = self.observed.lans.keys().filter(|id| !self.kept_lans.contains(id));
        deckies
            .map(|decky| Step::RemoveDecky { topology, decky: *decky })
            .chain(lans.map(|lan| Step::RemoveLan { topology, lan: *lan }))
            .collect()
    }

    fn additions(&self) -> Vec<Step> {
        let topology = self.topology;
        let lans = self.wanted_lans().filter(|lan| !self.kept_lans.contains(&lan.id));
        let deckies = self.wanted_deckies().filter(|decky| !self.kept_deckies.contains(&decky.id));
        lans.map(|lan| Step::AddLan { topology, lan: lan.clone() })
            .chain(deckies.map(|decky| Step::AddDecky { topology, decky: decky.clone() }))
            .collect()
    }

    fn attaches(&self) -> Vec<Step> {
        let topology = self.topology;
        let attaches = self.kept().flat_map(|(decky, there)| {
            let is_new =
                |edge: &&Edge| !self.kept_lans.contains(&edge.lan) || !there.has_interface(edge);
            let coming: Vec<LanId> = decky.edges.iter().filter(is_new).map(|e| e.lan).collect();
            let decky = decky.clone();
            coming.into_iter().map(move |lan| Step::AttachDecky {
                topology,
                decky: decky.clone(),
                lan,
            })
        });
        attaches.collect()
    }

    fn routes(&self) -> Vec<Step> {
        let topology = self.topology;
        let others = self.kept().filter(|(decky, there)| !there.routes_as(decky));
        others.map(|(decky, _)| Step::SetForwarding { topology, decky: decky.clone() }).collect()
    }

    fn opens(&self) -> Vec<Step> {
        let topology = self.topology;
        let opens = self.wanted_deckies().flat_map(|decky| {
            let there = self.kept_there(&decky.id);
            let is_open =
                move |service: &ServiceConfig| there.is_some_and(|t| t.services.contains(service));
            let coming = decky.services.iter().filter(move |service| !is_open(service));
            coming.map(|service| Step::OpenService { topology, decky: decky.id, service: *service })
        });
        opens.collect()
    }
}
