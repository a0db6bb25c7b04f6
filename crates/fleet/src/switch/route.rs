//! Ways between segments: over deckies that forward, the shortest one.
//!
//! Found by breadth-first search, once for each decky that packets are handed to, and remembered
//! until the next change of the table. A packet to an address that nobody has costs no search.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::Ipv4Addr,
    sync::Arc,
};

use ipnet::Ipv4Net;

use super::table::{MachineId, Segment, Slot, Table, Wire};

/// Most forwarding deckies on a way; what is further away is unreachable.
pub(super) const MAX_HOPS: usize = 24;
/// Most deckies whose ways are remembered.
const MAX_ENTRIES: usize = 256;

/// A way to an address behind forwarding deckies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// Where packets come in at each forwarding decky, in order.
    pub(super) hops: Arc<[Slot]>,
    /// Who has the address; `None` where the segment is known and nobody there has it.
    pub(super) target: Option<Slot>,
}

/// What was found before.
#[derive(Debug, Default)]
pub(super) struct Routes(HashMap<Slot, Reach, foldhash::fast::RandomState>);

/// All that can be reached from one decky.
#[derive(Debug, Default)]
struct Reach {
    /// Segments behind it, the nearest first.
    segments: Vec<(Ipv4Net, Wire, Arc<[Slot]>)>,
    /// The addresses of the forwarding deckies themselves: no further hop leads there.
    own: HashMap<Ipv4Addr, Route, foldhash::fast::RandomState>,
}

impl Routes {
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// The way to `target` for a packet that was handed to `entry`, which is not its target.
    pub(super) fn find(&mut self, table: &Table, entry: Slot, target: Ipv4Addr) -> Option<Route> {
        if !table.routes(entry) {
            return None;
        }
        if self.0.len() >= MAX_ENTRIES && !self.0.contains_key(&entry) {
            self.0.clear();
        }
        let reach = self.0.entry(entry).or_insert_with(|| explore(table, entry));
        if let Some(own) = reach.own.get(&target) {
            return Some(own.clone());
        }
        let (_, wire, hops) = reach.segments.iter().find(|(net, ..)| net.contains(&target))?;
        Some(Route { hops: hops.clone(), target: table.at_address(*wire, target) })
    }
}

fn explore(table: &Table, entry: Slot) -> Reach {
    let mut reach = Reach::default();
    let Some(first) = table.port(entry) else { return reach };
    let forwarders = table.forwarders();
    let mut seen: HashSet<Segment> = HashSet::from([first.segment]);
    let mut known: HashSet<MachineId> = HashSet::from([first.machine]);
    let mut queue = VecDeque::from([(Vec::new(), entry, first.machine)]);
    while let Some((before, came_in, id)) = queue.pop_front() {
        let Some(machine) = table.machine(id) else { continue };
        let before: Arc<[Slot]> = before.into();
        let hops: Arc<[Slot]> = before.iter().copied().chain([came_in]).collect();
        for interface in machine.interfaces.iter().filter(|interface| interface.routes) {
            let there = Route { hops: before.clone(), target: Some(interface.slot) };
            reach.own.entry(interface.address).or_insert(there);
            let Some(segment) = table.segments.get(&interface.segment) else { continue };
            if !matches!(segment.wire, Wire::Inner(_)) || !seen.insert(interface.segment) {
                continue;
            }
            reach.segments.push((segment.subnet, segment.wire, hops.clone()));
            if hops.len() < MAX_HOPS {
                let next = forwarders.get(&interface.segment).into_iter().flatten();
                let new = next.filter(|(_, id)| known.insert(*id));
                queue.extend(new.map(|(slot, id)| (hops.to_vec(), *slot, *id)));
            }
        }
    }
    reach
}
