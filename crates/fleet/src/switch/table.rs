//! What exists: segments, machines and their interfaces. Rows only; changed by [`Update`]s, each
//! whole or not at all.
//!
//! A machine has one row, and one slot per interface. The slot is also its address behind the
//! switch: the kernel's side knows it as 240.0.0.0 plus the slot, whatever its address on the
//! segment is, so that segments may overlap and no visitor is ever taken for local.

use std::{collections::HashMap, net::Ipv4Addr};

use ipnet::Ipv4Net;

use super::{
    frame::Mac,
    personality::{IsnStyle, PersonalityId},
};

/// Most interfaces behind one switch.
pub const MAX_SLOTS: u32 = 1 << 20;
/// Most ports of a kind that one machine has open.
pub const MAX_PORTS: usize = 1024;
/// Where the kernel's side begins: a range that nobody routes (RFC 1112, class E).
const INSIDE: u32 = 0xf000_0000;

/// One interface of one machine: 1 to [`MAX_SLOTS`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(pub u32);

impl Slot {
    /// The address that the kernel's side knows it by.
    pub const fn inside(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(INSIDE | self.0)
    }

    /// The slot behind an address of the kernel's side.
    pub const fn of_inside(address: Ipv4Addr) -> Option<Self> {
        match address.to_bits() ^ INSIDE {
            slot @ 1..=MAX_SLOTS => Some(Self(slot)),
            _ => None,
        }
    }
}

/// A layer-2 segment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Segment(pub u32);

/// A machine: a small number that indexes its row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MachineId(pub u32);

/// A way to the real network, by index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UplinkId(pub u8);

/// A class of kernel behaviour, by index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ClassId(pub u8);

/// A change of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// A segment comes.
    PutSegment {
        /// Which.
        segment: Segment,
        /// Its subnet.
        subnet: Ipv4Net,
        /// Where it meets the real network, if it does.
        uplink: Option<UplinkId>,
    },
    /// A segment goes.
    DropSegment(Segment),
    /// A machine comes.
    PutMachine(MachineRow),
    /// A machine goes, with its connections.
    DropMachine(MachineId),
    /// A machine gets and loses interfaces, or routes otherwise; connections over those that stay
    /// go on.
    SetInterfaces {
        /// Which machine.
        machine: MachineId,
        /// All of its interfaces.
        interfaces: Vec<Interface>,
    },
    /// A machine opens and closes ports; connections stay.
    SetPorts {
        /// Which machine.
        machine: MachineId,
        /// All open ports.
        ports: Ports,
    },
}

/// The ports that a machine has open, in any order; up to [`MAX_PORTS`] of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// For connections.
    pub tcp: Vec<u16>,
    /// For datagrams.
    pub udp: Vec<u16>,
}

/// A machine, as an update brings it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineRow {
    /// Which.
    pub id: MachineId,
    /// How it behaves.
    pub personality: PersonalityId,
    /// The namespace that serves it.
    pub class: ClassId,
    /// Added to the class's timestamps, in milliseconds.
    pub clock: u32,
    /// Where its randomness comes from.
    pub seed: u64,
    /// Its interfaces.
    pub interfaces: Vec<Interface>,
    /// Its open ports.
    pub ports: Ports,
}

/// One interface of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its slot.
    pub slot: Slot,
    /// Where it is.
    pub segment: Segment,
    /// Its address there.
    pub address: Ipv4Addr,
    /// Its hardware address.
    pub mac: Mac,
    /// Whether the machine routes between this segment and the others of which that is true.
    pub routes: bool,
}

/// Why an update was refused. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The segment is not there.
    #[error("segment {0:?} does not exist")]
    SegmentMissing(Segment),
    /// The segment has machines.
    #[error("segment {0:?} has machines")]
    SegmentInUse(Segment),
    /// The row is there already.
    #[error("machine {0:?} or one of its slots exists")]
    Exists(MachineId),
    /// The machine is not there.
    #[error("machine {0:?} does not exist")]
    MachineMissing(MachineId),
    /// Another machine has the address.
    #[error("{address} is taken on that segment")]
    AddressTaken {
        /// Which.
        address: Ipv4Addr,
    },
    /// A number beyond what the table holds.
    #[error("{what} is beyond what the switch holds")]
    Beyond {
        /// Of what.
        what: &'static str,
    },
}

/// What a connection keeps of its machine for as long as it lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Manner {
    pub(super) personality: PersonalityId,
    pub(super) class: ClassId,
    pub(super) clock: u32,
    /// Of the machine's row: another machine in the same slot has another.
    pub(super) serial: u32,
}

/// What frames travel on: a real segment, or one that exists in the table only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Wire {
    Uplink(UplinkId),
    Inner(Segment),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentRow {
    pub(super) subnet: Ipv4Net,
    pub(super) wire: Wire,
    machines: u32,
}

/// A machine as it stands.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) manner: Manner,
    pub(super) interfaces: Box<[Interface]>,
    tcp: Box<[u16]>,
    udp: Box<[u16]>,
    ip_id: u16,
    isn: u32,
    turn: u8,
    /// State of a SplitMix64.
    dice: u64,
    unreachable: Bucket,
}

/// How many unreachables a machine may still send.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    level: u8,
    filled: u64,
}

impl Machine {
    /// Whether it routes between any of its segments.
    fn forwards(&self) -> bool {
        self.interfaces.iter().filter(|interface| interface.routes).count() > 1
    }

    /// Whether connections are taken there.
    pub(super) fn has_tcp(&self, port: u16) -> bool {
        self.tcp.binary_search(&port).is_ok()
    }

    /// Whether datagrams are taken there.
    pub(super) fn has_udp(&self, port: u16) -> bool {
        self.udp.binary_search(&port).is_ok()
    }

    /// The identification for `count` packets that follow each other; the first one.
    pub(super) fn next_ip_id(&mut self, count: u16) -> u16 {
        let first = self.ip_id.wrapping_add(1);
        self.ip_id = self.ip_id.wrapping_add(count.max(1));
        first
    }

    /// An initial sequence number in the style of the personality.
    pub(super) fn next_isn(&mut self, style: &IsnStyle) -> u32 {
        let turn = usize::from(self.turn) % style.steps.len().max(1);
        let step = style.steps.get(turn).copied().unwrap_or(0);
        self.turn = ((turn + 1) % style.steps.len().max(1)) as u8;
        let noise = (u64::from(self.roll() as u32) * u64::from(style.noise)) >> 32;
        let centred = (noise as u32).wrapping_sub(style.noise / 2);
        self.isn = self.isn.wrapping_add(step).wrapping_add(centred);
        self.isn
    }

    /// Whether it may send an unreachable now.
    pub(super) fn may_refuse(&mut self, every: u32, burst: u8, now: u64) -> bool {
        let Some(earned) = now.saturating_sub(self.unreachable.filled).checked_div(every.into())
        else {
            return true;
        };
        let level = u64::from(self.unreachable.level).saturating_add(earned);
        let filled = self.unreachable.filled + earned * u64::from(every);
        self.unreachable = Bucket { level: level.min(burst.into()) as u8, filled };
        let may = self.unreachable.level > 0;
        self.unreachable.level -= u8::from(may);
        may
    }

    /// SplitMix64, Steele and others, 2014.
    fn roll(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.dice ^ (self.dice >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// One slot, as frames look it up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Port {
    pub(super) machine: MachineId,
    pub(super) segment: Segment,
    pub(super) address: Ipv4Addr,
    pub(super) mac: Mac,
}

type Fast = foldhash::fast::FixedState;

/// All rows, and the indexes that frames need.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) segments: HashMap<Segment, SegmentRow, Fast>,
    machines: Vec<Option<Machine>>,
    slots: Vec<Option<Port>>,
    by_address: HashMap<(Wire, Ipv4Addr), Slot, Fast>,
    /// Interfaces that route, of the machines that route from where they are.
    routers: HashMap<(Wire, Mac), Vec<Slot>, Fast>,
    /// In the order of their ids, so that ways are the same on every run.
    forwarders: std::collections::BTreeSet<MachineId>,
    serial: u32,
}

impl Table {
    pub(super) fn new(seed: u64) -> Self {
        let fast = || Fast::with_seed(seed);
        Self {
            segments: HashMap::with_hasher(fast()),
            machines: Vec::new(),
            slots: Vec::new(),
            by_address: HashMap::with_hasher(fast()),
            routers: HashMap::with_hasher(fast()),
            forwarders: std::collections::BTreeSet::new(),
            serial: 0,
        }
    }

    pub(super) fn machine(&self, id: MachineId) -> Option<&Machine> {
        self.machines.get(id.0 as usize)?.as_ref()
    }

    pub(super) fn machine_mut(&mut self, id: MachineId) -> Option<&mut Machine> {
        self.machines.get_mut(id.0 as usize)?.as_mut()
    }

    pub(super) fn port(&self, slot: Slot) -> Option<&Port> {
        self.slots.get(slot.0 as usize)?.as_ref()
    }

    pub(super) fn at_address(&self, wire: Wire, address: Ipv4Addr) -> Option<Slot> {
        self.by_address.get(&(wire, address)).copied()
    }

    /// All addresses on a wire.
    pub(super) fn addresses_on(&self, wire: Wire) -> impl Iterator<Item = Ipv4Addr> {
        self.by_address.keys().filter(move |(on, _)| *on == wire).map(|(_, address)| *address)
    }

    /// Whether a segment on this wire has the address.
    pub(super) fn is_on(&self, wire: Wire, address: Ipv4Addr) -> bool {
        self.segments.values().any(|row| row.wire == wire && row.subnet.contains(&address))
    }

    /// Who of the hardware address passes packets on: one machine, or several that share it.
    pub(super) fn routers(&self, wire: Wire, mac: Mac) -> &[Slot] {
        self.routers.get(&(wire, mac)).map_or(&[], Vec::as_slice)
    }

    /// Whether packets that are handed to this slot are passed on.
    pub(super) fn routes(&self, slot: Slot) -> bool {
        let port = self.port(slot);
        let machine = port.and_then(|port| self.machine(port.machine));
        machine.is_some_and(|m| m.interfaces.iter().any(|i| i.slot == slot && i.routes))
    }

    /// The machines that route, by segment, each with its slot there.
    pub(super) fn forwarders(&self) -> HashMap<Segment, Vec<(Slot, MachineId)>> {
        let mut by_segment: HashMap<_, Vec<_>> = HashMap::new();
        for id in &self.forwarders {
            let interfaces = self.machine(*id).into_iter().flat_map(|m| &m.interfaces);
            for interface in interfaces.filter(|interface| interface.routes) {
                by_segment.entry(interface.segment).or_default().push((interface.slot, *id));
            }
        }
        by_segment
    }

    pub(super) fn apply(&mut self, update: Update) -> Result<(), Refusal> {
        match update {
            Update::PutSegment { segment, subnet, uplink } => {
                let wire = uplink.map_or(Wire::Inner(segment), Wire::Uplink);
                let row = SegmentRow { subnet, wire, machines: 0 };
                self.segments.entry(segment).or_insert(row);
                Ok(())
            }
            Update::DropSegment(segment) => match self.segments.get(&segment) {
                Some(row) if row.machines > 0 => Err(Refusal::SegmentInUse(segment)),
                _ => {
                    self.segments.remove(&segment);
                    Ok(())
                }
            },
            Update::PutMachine(row) => self.put_machine(row),
            Update::DropMachine(id) => {
                self.drop_machine(id);
                Ok(())
            }
            Update::SetInterfaces { machine, interfaces } => {
                self.machine(machine).ok_or(Refusal::MachineMissing(machine))?;
                self.check_places(machine, &interfaces)?;
                self.withdraw(machine);
                self.place(machine, interfaces);
                Ok(())
            }
            Update::SetPorts { machine, ports } => {
                let (tcp, udp) = (sorted(ports.tcp)?, sorted(ports.udp)?);
                let row = self.machine_mut(machine).ok_or(Refusal::MachineMissing(machine))?;
                (row.tcp, row.udp) = (tcp, udp);
                Ok(())
            }
        }
    }

    fn put_machine(&mut self, row: MachineRow) -> Result<(), Refusal> {
        let (tcp, udp) = (sorted(row.ports.tcp)?, sorted(row.ports.udp)?);
        if row.id.0 >= MAX_SLOTS {
            return Err(Refusal::Beyond { what: "the number of machines" });
        }
        if self.machine(row.id).is_some() {
            return Err(Refusal::Exists(row.id));
        }
        self.check_places(row.id, &row.interfaces)?;
        self.serial = self.serial.wrapping_add(1);
        let manner = Manner {
            personality: row.personality,
            class: row.class,
            clock: row.clock,
            serial: self.serial,
        };
        let mut machine = Machine {
            manner,
            interfaces: Box::default(),
            tcp,
            udp,
            ip_id: 0,
            isn: 0,
            turn: 0,
            dice: row.seed,
            unreachable: Bucket { level: u8::MAX, filled: 0 },
        };
        machine.ip_id = machine.roll() as u16;
        machine.isn = machine.roll() as u32;
        *entry(&mut self.machines, row.id.0) = Some(machine);
        self.place(row.id, row.interfaces);
        Ok(())
    }

    fn drop_machine(&mut self, id: MachineId) {
        self.withdraw(id);
        if let Some(row) = self.machines.get_mut(id.0 as usize) {
            *row = None;
        }
    }

    /// Whether the machine can have these interfaces: no other has their slots or addresses.
    fn check_places(&self, id: MachineId, interfaces: &[Interface]) -> Result<(), Refusal> {
        let is_other = |slot: Slot| self.port(slot).is_some_and(|port| port.machine != id);
        let mut taken = Vec::with_capacity(interfaces.len());
        for interface in interfaces {
            if !(1..=MAX_SLOTS).contains(&interface.slot.0) {
                return Err(Refusal::Beyond { what: "the number of interfaces" });
            }
            let segment = self.segments.get(&interface.segment);
            let wire = segment.ok_or(Refusal::SegmentMissing(interface.segment))?.wire;
            let (place, address) = ((wire, interface.address), interface.address);
            if self.at_address(wire, address).is_some_and(is_other) || taken.contains(&place) {
                return Err(Refusal::AddressTaken { address });
            }
            let count = interfaces.iter().filter(|other| other.slot == interface.slot).count();
            if is_other(interface.slot) || count > 1 {
                return Err(Refusal::Exists(id));
            }
            taken.push(place);
        }
        Ok(())
    }

    /// Gives a machine that has none these interfaces; they were checked.
    fn place(&mut self, id: MachineId, interfaces: Vec<Interface>) {
        for interface in &interfaces {
            let Interface { slot, segment, address, mac, routes } = *interface;
            *entry(&mut self.slots, slot.0) = Some(Port { machine: id, segment, address, mac });
            if let Some(row) = self.segments.get_mut(&segment) {
                row.machines += 1;
                self.by_address.insert((row.wire, address), slot);
                if routes {
                    self.routers.entry((row.wire, mac)).or_default().push(slot);
                }
            }
        }
        if let Some(machine) = self.machine_mut(id) {
            machine.interfaces = interfaces.into();
            if machine.forwards() {
                self.forwarders.insert(id);
            }
        }
    }

    /// Takes a machine's interfaces.
    fn withdraw(&mut self, id: MachineId) {
        self.forwarders.remove(&id);
        let row = self.machine_mut(id).map(|machine| std::mem::take(&mut machine.interfaces));
        for interface in row.iter().flatten() {
            if let Some(port) = self.slots.get_mut(interface.slot.0 as usize) {
                *port = None;
            }
            let Some(segment) = self.segments.get_mut(&interface.segment) else { continue };
            segment.machines -= 1;
            self.by_address.remove(&(segment.wire, interface.address));
            let by_mac = (segment.wire, interface.mac);
            let Some(routers) = self.routers.get_mut(&by_mac) else { continue };
            routers.retain(|slot| *slot != interface.slot);
            if routers.is_empty() {
                self.routers.remove(&by_mac);
            }
        }
    }
}

fn sorted(mut ports: Vec<u16>) -> Result<Box<[u16]>, Refusal> {
    ports.sort_unstable();
    ports.dedup();
    match ports.len() {
        0..=MAX_PORTS => Ok(ports.into()),
        _ => Err(Refusal::Beyond { what: "the number of ports of a machine" }),
    }
}

/// The place of index `at`; the list grows to it.
fn entry<T>(list: &mut Vec<Option<T>>, at: u32) -> &mut Option<T> {
    let at = at as usize;
    if list.len() <= at {
        list.resize_with(at + 1, || None);
    }
    &mut list[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(id: u32, subnet: &str, uplink: Option<u8>) -> Update {
        let (segment, subnet) = (Segment(id), subnet.parse().unwrap());
        Update::PutSegment { segment, subnet, uplink: uplink.map(UplinkId) }
    }

    fn machine(id: u32, slot: u32, on: u32, address: &str) -> Update {
        let interface = Interface {
            slot: Slot(slot),
            segment: Segment(on),
            address: address.parse().unwrap(),
            mac: Mac([0, 0x15, 0x5d, 0, 0, id as u8]),
            routes: false,
        };
        Update::PutMachine(MachineRow {
            id: MachineId(id),
            personality: PersonalityId::default(),
            class: ClassId(0),
            clock: 0,
            seed: 1,
            interfaces: vec![interface],
            ports: Ports { tcp: vec![80, 22, 80], udp: vec![161] },
        })
    }

    #[test]
    fn slots_are_addresses_of_the_inside() {
        for slot in [1, 255, MAX_SLOTS] {
            assert_eq!(Slot::of_inside(Slot(slot).inside()), Some(Slot(slot)));
        }
        for address in ["240.0.0.0", "10.0.0.1", "255.255.255.255", "240.16.0.1", "0.0.0.1"] {
            assert_eq!(Slot::of_inside(address.parse().unwrap()), None, "{address}");
        }
    }

    #[test]
    fn rows_come_and_go_whole() {
        let mut table = Table::new(1);
        let wire = Wire::Uplink(UplinkId(0));
        table.apply(segment(1, "10.0.0.0/24", Some(0))).unwrap();
        table.apply(segment(2, "10.0.0.0/24", None)).unwrap();
        table.apply(segment(3, "10.0.0.0/24", Some(0))).unwrap();
        table.apply(machine(1, 1, 1, "10.0.0.1")).unwrap();
        table.apply(machine(2, 2, 2, "10.0.0.1")).unwrap();
        let taken = Refusal::AddressTaken { address: Ipv4Addr::new(10, 0, 0, 1) };
        assert_eq!(table.apply(machine(3, 3, 3, "10.0.0.1")), Err(taken), "one real segment");
        let same_slot = table.apply(machine(3, 1, 1, "10.0.0.9"));
        assert_eq!(same_slot, Err(Refusal::Exists(MachineId(3))));
        let nowhere = table.apply(machine(3, 3, 9, "10.0.0.9"));
        assert_eq!(nowhere, Err(Refusal::SegmentMissing(Segment(9))));
        let row = table.machine(MachineId(1)).unwrap();
        assert!(row.has_tcp(80) && !row.has_tcp(81) && !row.has_tcp(161));
        assert!(row.has_udp(161) && !row.has_udp(80));
        let in_use = table.apply(Update::DropSegment(Segment(1)));
        assert_eq!(in_use, Err(Refusal::SegmentInUse(Segment(1))));
        for _ in 0..2 {
            table.apply(Update::DropMachine(MachineId(1))).unwrap();
            table.apply(Update::DropSegment(Segment(1))).unwrap();
        }
        assert_eq!(table.at_address(wire, Ipv4Addr::new(10, 0, 0, 1)), None);
        table.apply(machine(3, 1, 3, "10.0.0.1")).unwrap();
        assert_eq!(table.at_address(wire, Ipv4Addr::new(10, 0, 0, 1)), Some(Slot(1)));
    }

    #[test]
    fn who_routes_is_found_by_a_hardware_address_that_others_share() {
        let mut table = Table::new(1);
        table.apply(segment(1, "10.0.0.0/24", Some(0))).unwrap();
        let (wire, mac) = (Wire::Uplink(UplinkId(0)), Mac([2, 0, 0, 0, 0, 1]));
        for (id, routes) in [(1, false), (2, true), (3, true)] {
            let address = Ipv4Addr::new(10, 0, 0, id as u8);
            table.apply(machine(id, id, 1, &address.to_string())).unwrap();
            let interfaces =
                vec![Interface { slot: Slot(id), segment: Segment(1), address, mac, routes }];
            table.apply(Update::SetInterfaces { machine: MachineId(id), interfaces }).unwrap();
        }
        assert_eq!(table.routers(wire, mac), [Slot(2), Slot(3)]);
        table.apply(Update::DropMachine(MachineId(2))).unwrap();
        assert_eq!(table.routers(wire, mac), [Slot(3)]);
        table.apply(Update::DropMachine(MachineId(3))).unwrap();
        assert!(table.routers(wire, mac).is_empty() && table.routers.is_empty());
    }

    #[test]
    fn interfaces_come_and_go_whole() {
        let mut table = Table::new(1);
        for (id, subnet) in [(1, "10.0.0.0/24"), (2, "10.1.0.0/24")] {
            table.apply(segment(id, subnet, None)).unwrap();
        }
        table.apply(machine(1, 1, 1, "10.0.0.1")).unwrap();
        table.apply(machine(2, 2, 2, "10.1.0.2")).unwrap();
        let at = |slot: u32, on: u32, address: &str, routes| Interface {
            slot: Slot(slot),
            segment: Segment(on),
            address: address.parse().unwrap(),
            mac: Mac([0, 0x15, 0x5d, 0, 1, slot as u8]),
            routes,
        };
        let set = |id: u32, interfaces: &[Interface]| {
            let (machine, interfaces) = (MachineId(id), interfaces.to_vec());
            Update::SetInterfaces { machine, interfaces }
        };
        let home = |routes| at(1, 1, "10.0.0.1", routes);
        let taken = table.apply(set(1, &[home(true), at(3, 2, "10.1.0.2", true)]));
        assert_eq!(taken, Err(Refusal::AddressTaken { address: Ipv4Addr::new(10, 1, 0, 2) }));
        let same_slot = table.apply(set(1, &[home(true), at(2, 2, "10.1.0.1", true)]));
        assert_eq!(same_slot, Err(Refusal::Exists(MachineId(1))));
        assert_eq!(table.machine(MachineId(1)).unwrap().interfaces.len(), 1, "nothing changed");
        let nobody = table.apply(set(9, &[]));
        assert_eq!(nobody, Err(Refusal::MachineMissing(MachineId(9))));

        let second = Wire::Inner(Segment(2));
        let forwarders = |table: &Table| table.forwarders().get(&Segment(2)).map_or(0, Vec::len);
        for (routes, expected) in [(false, 0), (true, 1)] {
            let both = [home(true), at(3, 2, "10.1.0.1", routes)];
            table.apply(set(1, &both)).unwrap();
            assert_eq!(table.at_address(second, Ipv4Addr::new(10, 1, 0, 1)), Some(Slot(3)));
            assert_eq!(forwarders(&table), expected);
        }
        table.apply(set(1, &[home(true)])).unwrap();
        assert_eq!(table.at_address(second, Ipv4Addr::new(10, 1, 0, 1)), None);
        assert!(table.port(Slot(3)).is_none());
        assert_eq!(forwarders(&table), 0);
        let in_use = table.apply(Update::DropSegment(Segment(1)));
        assert_eq!(in_use, Err(Refusal::SegmentInUse(Segment(1))), "it still has its home");
        assert!(table.machine(MachineId(1)).unwrap().has_tcp(22), "ports stay");
    }

    #[test]
    fn unreachables_are_limited_as_asked() {
        let mut table = Table::new(1);
        table.apply(segment(1, "10.0.0.0/24", None)).unwrap();
        table.apply(machine(1, 1, 1, "10.0.0.1")).unwrap();
        let machine = table.machine_mut(MachineId(1)).unwrap();
        let mut sent = |now| (0..20).filter(|_| machine.may_refuse(1000, 6, now)).count();
        assert_eq!(sent(5000), 6);
        assert_eq!(sent(5999), 0);
        assert_eq!(sent(6000), 1);
        assert_eq!(sent(60_000), 6);
        assert!((0..500).all(|_| machine.may_refuse(0, 0, 60_000)));
    }

    #[test]
    fn sequence_numbers_take_their_steps() {
        let mut table = Table::new(1);
        table.apply(segment(1, "10.0.0.0/24", None)).unwrap();
        table.apply(machine(1, 1, 1, "10.0.0.1")).unwrap();
        let machine = table.machine_mut(MachineId(1)).unwrap();
        let style = IsnStyle { steps: vec![1000, 5000], noise: 100 };
        let drawn: Vec<u32> = (0..50).map(|_| machine.next_isn(&style)).collect();
        for (turn, pair) in drawn.windows(2).enumerate() {
            let (step, wanted) = (pair[1].wrapping_sub(pair[0]), [5000, 1000][turn % 2]);
            assert!((wanted - 50..=wanted + 50).contains(&step), "{step}");
        }
    }
}
