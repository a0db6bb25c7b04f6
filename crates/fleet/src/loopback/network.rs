//! What the loopback driver has made: LANs, machines, their addresses and what they have open.
//! Rows only; sockets are opened and closed elsewhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use maze::{Observed, ObservedDecky, ObservedLan};
use model::{Decky, DeckyId, Edge, LanId, ServiceConfig, TopologyId, Transport};

use crate::{
    StepError,
    row::{with_interface, with_routes, without_interface},
};

/// How many derived addresses are tried before giving up; a /16 that is half full is missed by
/// all of them once in 2^64.
const PROBES: u64 = 64;

/// All topologies on this driver.
pub(super) struct Network {
    prefix: [u8; 2],
    pub(super) sites: BTreeMap<TopologyId, Site>,
    taken: BTreeMap<Ipv4Addr, DeckyId>,
}

/// One topology.
#[derive(Default)]
pub(super) struct Site {
    pub(super) lans: BTreeMap<LanId, ObservedLan>,
    pub(super) deckies: BTreeMap<DeckyId, Machine>,
}

/// One decky.
#[derive(Clone)]
pub(super) struct Machine {
    pub(super) row: Arc<Decky>,
    pub(super) addresses: Vec<(LanId, Ipv4Addr)>,
    pub(super) open: BTreeMap<ServiceConfig, Vec<Opening>>,
}

/// A listener that the host has.
#[derive(Clone, Copy)]
pub(super) struct Opening {
    pub(super) lan: LanId,
    pub(super) transport: Transport,
    pub(super) at: SocketAddr,
}

impl Machine {
    fn seen(&self) -> ObservedDecky {
        let services = self.open.keys().copied().collect();
        ObservedDecky { services, ..ObservedDecky::without_services(&self.row) }
    }
}

impl Network {
    pub(super) fn new(prefix: [u8; 2]) -> Self {
        Self { prefix, sites: BTreeMap::new(), taken: BTreeMap::new() }
    }

    /// Every machine, with its topology.
    pub(super) fn deckies(&self) -> Vec<(TopologyId, DeckyId)> {
        let of = |(topology, site): (&TopologyId, &Site)| {
            site.deckies.keys().map(|decky| (*topology, *decky)).collect::<Vec<_>>()
        };
        self.sites.iter().flat_map(of).collect()
    }

    /// What there is of the topology; of all deckies, or `only` of these.
    pub(super) fn observed(
        &self,
        topology: TopologyId,
        only: Option<&BTreeSet<DeckyId>>,
    ) -> Observed {
        let mut observed = Observed::empty(topology);
        if let Some(site) = self.sites.get(&topology) {
            observed.lans.clone_from(&site.lans);
            let there = |id: &DeckyId| Some((*id, site.deckies.get(id)?.seen()));
            observed.deckies = match only {
                Some(only) => only.iter().filter_map(there).collect(),
                None => site.deckies.keys().filter_map(there).collect(),
            };
        }
        observed
    }

    pub(super) fn machine(&self, topology: TopologyId, decky: DeckyId) -> Option<&Machine> {
        self.sites.get(&topology)?.deckies.get(&decky)
    }

    fn machine_mut(&mut self, topology: TopologyId, decky: DeckyId) -> Option<&mut Machine> {
        self.sites.get_mut(&topology)?.deckies.get_mut(&decky)
    }

    pub(super) fn add_decky(
        &mut self,
        topology: TopologyId,
        row: &Arc<Decky>,
    ) -> Result<(), StepError> {
        if let Some(there) = self.machine(topology, row.id) {
            let is_same = ObservedDecky::without_services(&there.row).is_machine(row);
            let what = format!("decky {}", row.name);
            return if is_same { Ok(()) } else { Err(StepError::Exists { what }) };
        }
        let lans = self.sites.get(&topology).map(|site| &site.lans);
        let is_there = |edge: &&Edge| lans.is_some_and(|lans| lans.contains_key(&edge.lan));
        if let Some(edge) = row.edges.iter().find(|edge| !is_there(edge)) {
            return Err(StepError::LanMissing { decky: row.id, lan: edge.lan });
        }
        let mut addresses = Vec::new();
        for edge in &row.edges {
            let Some(address) = self.free_address(row.id, edge) else {
                self.taken.retain(|_, owner| *owner != row.id);
                let second = self.prefix[1];
                return Err(StepError::AddressesExhausted { decky: row.id, second });
            };
            self.taken.insert(address, row.id);
            addresses.push((edge.lan, address));
        }
        let machine = Machine { row: row.clone(), addresses, open: BTreeMap::new() };
        self.sites.entry(topology).or_default().deckies.insert(row.id, machine);
        Ok(())
    }

    /// One more address for a machine that is there, and what it has open; `None` where it has
    /// the interface already.
    pub(super) fn attach(
        &mut self,
        topology: TopologyId,
        row: &Arc<Decky>,
        lan: LanId,
    ) -> Result<Option<(Ipv4Addr, Vec<ServiceConfig>)>, StepError> {
        let site = self.sites.get(&topology);
        let missing = StepError::MachineMissing { decky: row.id };
        let machine = site.and_then(|site| site.deckies.get(&row.id)).ok_or(missing)?;
        if machine.addresses.iter().any(|(there, _)| *there == lan) {
            return Ok(None);
        }
        let has_lan = site.is_some_and(|site| site.lans.contains_key(&lan));
        let edge = row.edge_on(lan).filter(|_| has_lan);
        let edge = edge.ok_or(StepError::LanMissing { decky: row.id, lan })?;
        let second = self.prefix[1];
        let address = self.free_address(row.id, edge);
        let address = address.ok_or(StepError::AddressesExhausted { decky: row.id, second })?;
        Ok(Some((address, machine.open.keys().copied().collect())))
    }

    /// The machine has the interface that [`Network::attach`] found, and answers there.
    pub(super) fn attached(
        &mut self,
        topology: TopologyId,
        row: &Arc<Decky>,
        (lan, address): (LanId, Ipv4Addr),
        openings: Vec<(ServiceConfig, Opening)>,
    ) {
        self.taken.insert(address, row.id);
        let Some(machine) = self.machine_mut(topology, row.id) else { return };
        machine.row = with_interface(&machine.row, row, lan);
        machine.addresses.push((lan, address));
        for (service, opening) in openings {
            machine.open.entry(service).or_default().push(opening);
        }
    }

    /// Forgets an interface; answers what it had open.
    pub(super) fn detached(
        &mut self,
        topology: TopologyId,
        decky: DeckyId,
        lan: LanId,
    ) -> Vec<Opening> {
        let Some(machine) = self.machine_mut(topology, decky) else { return Vec::new() };
        machine.row = without_interface(&machine.row, lan);
        let mut closed = Vec::new();
        for openings in machine.open.values_mut() {
            closed.extend(openings.extract_if(.., |opening| opening.lan == lan));
        }
        let gone: Vec<_> = machine.addresses.extract_if(.., |(there, _)| *there == lan).collect();
        for (_, address) in gone {
            self.taken.remove(&address);
        }
        closed
    }

    /// What the machine has open on one LAN.
    pub(super) fn openings_on(
        &self,
        topology: TopologyId,
        decky: DeckyId,
        lan: LanId,
    ) -> Vec<Opening> {
        let open = self.machine(topology, decky).into_iter().flat_map(|m| m.open.values());
        open.flatten().filter(|opening| opening.lan == lan).copied().collect()
    }

    /// Takes note of the routes: loopback has no packets to route, so they are data only.
    pub(super) fn set_forwarding(
        &mut self,
        topology: TopologyId,
        row: &Arc<Decky>,
    ) -> Result<(), StepError> {
        let missing = StepError::MachineMissing { decky: row.id };
        let machine = self.machine_mut(topology, row.id).ok_or(missing)?;
        machine.row = with_routes(&machine.row, row);
        Ok(())
    }

    pub(super) fn remove_decky(&mut self, topology: TopologyId, decky: DeckyId) {
        if let Some(site) = self.sites.get_mut(&topology) {
            site.deckies.remove(&decky);
        }
        self.taken.retain(|_, owner| *owner != decky);
        self.forget_empty(topology);
    }

    pub(super) fn forget_empty(&mut self, topology: TopologyId) {
        let is_empty = |site: &Site| site.lans.is_empty() && site.deckies.is_empty();
        if self.sites.get(&topology).is_some_and(is_empty) {
            self.sites.remove(&topology);
        }
    }

    /// All that the decky has open; `None` where there is no such decky.
    pub(super) fn openings_of(&self, topology: TopologyId, id: DeckyId) -> Option<Vec<Opening>> {
        Some(self.machine(topology, id)?.open.values().flatten().copied().collect())
    }

    pub(super) fn openings_at(
        &self,
        topology: TopologyId,
        decky: DeckyId,
        service: ServiceConfig,
    ) -> Option<Vec<Opening>> {
        self.machine(topology, decky)?.open.get(&service).cloned()
    }

    pub(super) fn opened(
        &mut self,
        topology: TopologyId,
        decky: DeckyId,
        service: ServiceConfig,
        openings: Vec<Opening>,
    ) {
        if let Some(machine) = self.machine_mut(topology, decky) {
            machine.open.insert(service, openings);
        }
    }

    pub(super) fn closed(&mut self, topology: TopologyId, id: DeckyId, service: ServiceConfig) {
        if let Some(machine) = self.machine_mut(topology, id) {
            machine.open.remove(&service);
        }
    }

    /// The decky that listens at `addr`.
    pub(super) fn owner_of(&self, transport: Transport, addr: SocketAddr) -> Option<DeckyId> {
        let IpAddr::V4(address) = addr.ip() else { return None };
        let owner = *self.taken.get(&address)?;
        let machine = self.sites.values().find_map(|site| site.deckies.get(&owner))?;
        let mut openings = machine.open.values().flatten();
        openings
            .any(|opening| (opening.transport, opening.at) == (transport, addr))
            .then_some(owner)
    }

    /// The last two octets of the LAN address behind the prefix; where those are taken, octets
    /// that derive from ids, so that the same network gets the same addresses again.
    fn free_address(&self, decky: DeckyId, edge: &Edge) -> Option<Ipv4Addr> {
        let [first, second] = self.prefix;
        let [.., third, fourth] = edge.address.octets();
        let derived = (0..PROBES).map(|probe| {
            let mut hasher = DefaultHasher::new();
            (decky, edge.lan, probe).hash(&mut hasher);
            let [a, b, ..] = hasher.finish().to_le_bytes();
            (a, b)
        });
        std::iter::once((third, fourth))
            .chain(derived)
            .filter(|(third, fourth)| !matches!((third, fourth), (0, 0) | (255, 254 | 255)))
            .map(|(third, fourth)| Ipv4Addr::new(first, second, third, fourth))
            .find(|address| !self.taken.contains_key(address))
    }
}
