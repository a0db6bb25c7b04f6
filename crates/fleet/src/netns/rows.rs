//! What the driver has made: LANs, machines, their slots, and who uses which gate. Rows only;
//! the switch and the host are told elsewhere.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use maze::{Observed, ObservedDecky, ObservedLan};
use model::{Decky, DeckyId, Edge, Lan, LanId, ServiceConfig, TopologyId, Transport};

use crate::{
    StepError,
    row::{with_interface, with_routes, without_interface},
    switch::{
        ClassId, Interface, MAX_SLOTS, Mac, MachineId, MachineRow, PersonalityId, Ports, Refusal,
        Segment, Slot,
    },
};

/// Numbers that come back are used again late, so that nothing of before is met.
const RESTING: usize = 4096;
/// How many hardware addresses are tried; two deckies of a segment must not share one.
const TRIES: u64 = 64;

/// All topologies on this driver.
#[derive(Default)]
pub(super) struct Rows {
    sites: BTreeMap<TopologyId, Site>,
    segments: Numbers,
    machines: Numbers,
    slots: Numbers,
    macs: BTreeSet<Mac>,
    gates: BTreeMap<GateId, usize>,
    /// How many services of a class have second connections.
    data: BTreeMap<ClassId, usize>,
}

/// A gate: whose, and of which port.
pub(super) type GateId = (ClassId, Transport, u16);

/// One topology.
#[derive(Default)]
pub(super) struct Site {
    pub(super) lans: BTreeMap<LanId, (ObservedLan, Segment)>,
    pub(super) deckies: BTreeMap<DeckyId, Arc<Machine>>,
}

/// One decky.
#[derive(Clone)]
pub(super) struct Machine {
    pub(super) id: MachineId,
    pub(super) class: ClassId,
    pub(super) decky: Arc<Decky>,
    pub(super) interfaces: Vec<(LanId, Interface)>,
    /// Sorted.
    pub(super) open: Vec<ServiceConfig>,
}

/// Small numbers from 1; those given back rest before they are used again.
#[derive(Default)]
struct Numbers {
    highest: u32,
    resting: VecDeque<u32>,
}

impl Numbers {
    fn take(&mut self) -> u32 {
        let rested = if self.resting.len() > RESTING { self.resting.pop_front() } else { None };
        rested.unwrap_or_else(|| {
            self.highest += 1;
            self.highest
        })
    }

    fn give_back(&mut self, number: u32) {
        self.resting.push_back(number);
    }
}

impl Machine {
    /// The row for the switch; nothing is open yet.
    pub(super) fn row(&self, personality: PersonalityId, clock: u32, seed: u64) -> MachineRow {
        MachineRow {
            id: self.id,
            personality,
            class: self.class,
            clock,
            seed,
            interfaces: self.switch_interfaces(),
            ports: Ports::default(),
        }
    }

    fn seen(&self) -> ObservedDecky {
        let services = self.open.iter().copied().collect();
        ObservedDecky { services, ..ObservedDecky::without_services(&self.decky) }
    }

    /// The interfaces as the switch has them.
    pub(super) fn switch_interfaces(&self) -> Vec<Interface> {
        self.interfaces.iter().map(|(_, interface)| *interface).collect()
    }

    pub(super) fn interface_on(&self, lan: LanId) -> Option<&Interface> {
        self.interfaces.iter().find(|(on, _)| *on == lan).map(|(_, interface)| interface)
    }

    /// Without its interface on `lan`.
    pub(super) fn detached(&self, lan: LanId) -> Self {
        self.as_in(without_interface(&self.decky, lan), &self.interfaces)
    }

    /// With the routes of `row`.
    pub(super) fn routed(&self, row: &Decky) -> Self {
        self.as_in(with_routes(&self.decky, row), &self.interfaces)
    }

    /// The same machine with the interfaces and the routes of `decky`, which has none that are
    /// not in `interfaces`.
    fn as_in(&self, decky: Arc<Decky>, interfaces: &[(LanId, Interface)]) -> Self {
        let of = |lan: LanId| interfaces.iter().find(|(on, _)| *on == lan).copied();
        let routes = |lan| decky.edges.iter().any(|other| decky.routes_between(lan, other.lan));
        let shaped = |(lan, interface)| (lan, Interface { routes: routes(lan), ..interface });
        let interfaces = decky.edges.iter().filter_map(|edge| of(edge.lan)).map(shaped).collect();
        Self { id: self.id, class: self.class, decky, interfaces, open: self.open.clone() }
    }

    /// Where connections or datagrams to a port arrive, per LAN.
    pub(super) fn places(&self, port: u16) -> impl Iterator<Item = (LanId, SocketAddr)> {
        self.interfaces.iter().map(move |(lan, interface)| (*lan, place(interface, port)))
    }
}

/// Where connections or datagrams to a port of an interface arrive.
pub(super) fn place(interface: &Interface, port: u16) -> SocketAddr {
    (interface.slot.inside(), port).into()
}

impl Rows {
    pub(super) fn site(&self, topology: TopologyId) -> Option<&Site> {
        self.sites.get(&topology)
    }

    /// What there is of the topology; of all deckies, or `only` of these.
    pub(super) fn observed(
        &self,
        topology: TopologyId,
        only: Option<&BTreeSet<DeckyId>>,
    ) -> Observed {
        let mut observed = Observed::empty(topology);
        if let Some(site) = self.sites.get(&topology) {
            observed.lans =
                site.lans.iter().map(|(id, (lan, _))| (*id, ObservedLan::clone(lan))).collect();
            let there = |id: &DeckyId| Some((*id, site.deckies.get(id)?.seen()));
            observed.deckies = match only {
                Some(only) => only.iter().filter_map(there).collect(),
                None => site.deckies.keys().filter_map(there).collect(),
            };
        }
        observed
    }

    pub(super) fn topologies(&self) -> Vec<TopologyId> {
        self.sites.keys().copied().collect()
    }

    /// The segment for a LAN that comes; `None` where it is there already.
    pub(super) fn segment_for(
        &mut self,
        topology: TopologyId,
        lan: &Lan,
    ) -> Result<Option<Segment>, StepError> {
        let there = self.sites.get(&topology).and_then(|site| site.lans.get(&lan.id));
        match there {
            Some((known, _)) if known.is_segment(lan) => Ok(None),
            Some(_) => Err(StepError::Exists { what: format!("LAN {}", lan.name) }),
            None => Ok(Some(Segment(self.segments.take()))),
        }
    }

    pub(super) fn add_lan(&mut self, topology: TopologyId, lan: &Lan, segment: Segment) {
        let site = self.sites.entry(topology).or_default();
        site.lans.insert(lan.id, (ObservedLan::from(lan), segment));
    }

    /// The segment of a LAN that may go; `None` where there is no such LAN.
    pub(super) fn removable(
        &self,
        topology: TopologyId,
        lan: LanId,
    ) -> Result<Option<Segment>, StepError> {
        let Some(site) = self.sites.get(&topology) else { return Ok(None) };
        let is_on = |m: &&Arc<Machine>| m.decky.edges.iter().any(|edge| edge.lan == lan);
        match site.deckies.values().find(is_on) {
            Some(machine) => Err(StepError::LanInUse { lan, decky: machine.decky.id }),
            None => Ok(site.lans.get(&lan).map(|(_, segment)| *segment)),
        }
    }

    pub(super) fn remove_lan(&mut self, topology: TopologyId, lan: LanId) {
        let Some(site) = self.sites.get_mut(&topology) else { return };
        if let Some((_, segment)) = site.lans.remove(&lan) {
            self.segments.give_back(segment.0);
        }
        self.forget_empty(topology);
    }

    /// Whether this machine is there; an error where another of its id is.
    pub(super) fn has(&self, topology: TopologyId, decky: &Decky) -> Result<bool, StepError> {
        let there = self.sites.get(&topology).and_then(|site| site.deckies.get(&decky.id));
        let Some(there) = there else { return Ok(false) };
        match ObservedDecky::without_services(&there.decky).is_machine(decky) {
            true => Ok(true),
            false => Err(StepError::Exists { what: format!("decky {}", decky.name) }),
        }
    }

    pub(super) fn faces_uplink(&self, lan: LanId) -> bool {
        let found = self.sites.values().find_map(|site| site.lans.get(&lan));
        found.is_some_and(|(lan, _)| lan.is_dmz)
    }

    /// Numbers and hardware addresses for a machine that comes; `mac` draws one by LAN and try.
    pub(super) fn new_machine(
        &mut self,
        topology: TopologyId,
        decky: &Arc<Decky>,
        class: ClassId,
        mac: impl Fn(LanId, u64) -> Mac,
    ) -> Result<Machine, StepError> {
        let id = MachineId(self.machines.take());
        let (interfaces, open) = (Vec::new(), Vec::new());
        let mut machine = Machine { id, class, decky: decky.clone(), interfaces, open };
        for edge in &decky.edges {
            match self.take_interface(topology, decky.id, edge, &mac) {
                Ok(interface) => machine.interfaces.push((edge.lan, interface)),
                Err(error) => {
                    self.give_back(&machine);
                    return Err(error);
                }
            }
        }
        Ok(machine.as_in(decky.clone(), &machine.interfaces))
    }

    /// The machine with one more interface, that of `row` on `lan`.
    pub(super) fn attached(
        &mut self,
        topology: TopologyId,
        machine: &Machine,
        (row, lan): (&Decky, LanId),
        mac: impl Fn(LanId, u64) -> Mac,
    ) -> Result<Machine, StepError> {
        let missing = StepError::LanMissing { decky: row.id, lan };
        let edge = row.edge_on(lan).ok_or(missing)?;
        let interface = self.take_interface(topology, row.id, edge, &mac)?;
        let mut interfaces = machine.interfaces.clone();
        interfaces.push((lan, interface));
        Ok(machine.as_in(with_interface(&machine.decky, row, lan), &interfaces))
    }

    fn take_interface(
        &mut self,
        topology: TopologyId,
        decky: DeckyId,
        edge: &Edge,
        mac: &impl Fn(LanId, u64) -> Mac,
    ) -> Result<Interface, StepError> {
        let site = self.sites.get(&topology);
        let known = site.and_then(|site| site.lans.get(&edge.lan));
        let (_, segment) = *known.ok_or(StepError::LanMissing { decky, lan: edge.lan })?;
        let slot = Slot(self.slots.take());
        if slot.0 > MAX_SLOTS {
            self.slots.give_back(slot.0);
            return Err(Refusal::Beyond { what: "the number of interfaces" }.into());
        }
        let mut tries = (0..TRIES).map(|nth| mac(edge.lan, nth));
        let free = tries.find(|mac| !self.macs.contains(mac));
        let mac = free.unwrap_or_else(|| mac(edge.lan, 0));
        self.macs.insert(mac);
        Ok(Interface { slot, segment, address: edge.address, mac, routes: false })
    }

    /// Takes back what a machine had.
    pub(super) fn give_back(&mut self, machine: &Machine) {
        self.machines.give_back(machine.id.0);
        for (_, interface) in &machine.interfaces {
            self.give_back_interface(interface);
        }
    }

    pub(super) fn give_back_interface(&mut self, interface: &Interface) {
        self.slots.give_back(interface.slot.0);
        self.macs.remove(&interface.mac);
    }

    /// Takes note of a machine, in place of the one of its id.
    pub(super) fn put_machine(&mut self, topology: TopologyId, machine: Machine) {
        let site = self.sites.entry(topology).or_default();
        site.deckies.insert(machine.decky.id, Arc::new(machine));
    }

    pub(super) fn remove_machine(&mut self, topology: TopologyId, decky: DeckyId) {
        let site = self.sites.get_mut(&topology);
        if let Some(machine) = site.and_then(|site| site.deckies.remove(&decky)) {
            self.give_back(&machine);
        }
        self.forget_empty(topology);
    }

    pub(super) fn machine(&self, topology: TopologyId, decky: DeckyId) -> Option<Arc<Machine>> {
        self.sites.get(&topology)?.deckies.get(&decky).cloned()
    }

    pub(super) fn find(&self, decky: DeckyId) -> Option<&Machine> {
        self.sites.values().find_map(|site| site.deckies.get(&decky)).map(|machine| &**machine)
    }

    pub(super) fn opened(&mut self, topology: TopologyId, id: DeckyId, service: ServiceConfig) {
        let Some(machine) = self.machine_mut(topology, id) else { return };
        if let Err(place) = machine.open.binary_search(&service) {
            machine.open.insert(place, service);
        }
    }

    pub(super) fn closed(&mut self, topology: TopologyId, id: DeckyId, service: ServiceConfig) {
        if let Some(machine) = self.machine_mut(topology, id) {
            machine.open.retain(|open| *open != service);
        }
    }

    /// One more uses the gate; whether it is the first.
    pub(super) fn enter_gate(&mut self, gate: GateId) -> bool {
        enter(&mut self.gates, gate)
    }

    /// One fewer uses the gate; whether it was the last.
    pub(super) fn leave_gate(&mut self, gate: GateId) -> bool {
        leave(&mut self.gates, gate)
    }

    /// One more service of the class has second connections; whether it is the first.
    pub(super) fn enter_data(&mut self, class: ClassId) -> bool {
        enter(&mut self.data, class)
    }

    /// One service fewer of the class has them; whether it was the last.
    pub(super) fn leave_data(&mut self, class: ClassId) -> bool {
        leave(&mut self.data, class)
    }

    /// Every gate that is open.
    pub(super) fn gates(&self) -> impl Iterator<Item = GateId> {
        self.gates.keys().copied()
    }

    /// Every machine there is.
    pub(super) fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.sites.values().flat_map(|site| site.deckies.values()).map(|machine| &**machine)
    }

    fn machine_mut(&mut self, topology: TopologyId, id: DeckyId) -> Option<&mut Machine> {
        self.sites.get_mut(&topology)?.deckies.get_mut(&id).map(Arc::make_mut)
    }

    fn forget_empty(&mut self, topology: TopologyId) {
        let is_empty = |site: &Site| site.lans.is_empty() && site.deckies.is_empty();
        if self.sites.get(&topology).is_some_and(is_empty) {
            self.sites.remove(&topology);
        }
    }
}

/// Counts one user more; whether it is the first.
fn enter<K: Ord + Copy>(users: &mut BTreeMap<K, usize>, what: K) -> bool {
    let count = users.entry(what).or_default();
    *count += 1;
    *count == 1
}

/// Counts one user fewer; whether it was the last.
fn leave<K: Ord + Copy>(users: &mut BTreeMap<K, usize>, what: K) -> bool {
    let Some(count) = users.get_mut(&what) else { return false };
    *count -= 1;
    let is_last = *count == 0;
    if is_last {
        users.remove(&what);
    }
    is_last
}
