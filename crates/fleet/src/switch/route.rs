//! Ways between segments: over deckies that forward, the shortest one.
//!
//! Found by breadth-first search and remembered; the memory is bounded and forgotten at every
//! change of the table.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::Ipv4Addr,
    sync::Arc,
};

use super::table::{MachineId, Segment, Slot, Table, Wire};

/// Most forwarding deckies on a way; what is further away is unreachable.
pub(super) const MAX_HOPS: usize = 24;
/// Most ways that are remembered.
const MAX_ROUTES: usize = 65_536;

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
pub(super) struct Routes(HashMap<(Slot, Ipv4Addr), Option<Route>, foldhash::fast::RandomState>);

impl Routes {
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// The way to `target` for a packet that was handed to `entry`, which is not its target.
    pub(super) fn find(&mut self, table: &Table, entry: Slot, target: Ipv4Addr) -> Option<Route> {
        if let Some(known) = self.0.get(&(entry, target)) {
            return known.clone();
        }
        let found = search(table, entry, target);
        if self.0.len() >= MAX_ROUTES {
            self.0.clear();
        }
        self.0.insert((entry, target), found.clone());
        found
    }
}

fn search(table: &Table, entry: Slot, target: Ipv4Addr) -> Option<Route> {
    let first = table.port(entry)?;
    let mut seen: HashSet<Segment> = HashSet::from([first.segment]);
    let mut queue: VecDeque<Vec<(Slot, MachineId)>> = VecDeque::new();
    queue.push_back(vec![(entry, first.machine)]);
    while let Some(way) = queue.pop_front() {
        let (came_in, last) = way.last().copied()?;
        let Some(machine) = table.machine(last) else { continue };
        let routed = || machine.interfaces.iter().filter(|interface| interface.routes);
        if !routed().any(|interface| interface.slot == came_in) {
            continue;
        }
        let hops = || way.iter().map(|(slot, _)| *slot).collect();
        // One of the forwarding decky's own addresses is no further hop: it is there.
        let own = routed().find(|interface| interface.address == target);
        if let Some(own) = own {
            let before = way[..way.len() - 1].iter().map(|(slot, _)| *slot).collect();
            return Some(Route { hops: before, target: Some(own.slot) });
        }
        for interface in routed() {
            let Some(segment) = table.segments.get(&interface.segment) else { continue };
            if !matches!(segment.wire, Wire::Inner(_)) || !seen.insert(interface.segment) {
                continue;
            }
            if segment.subnet.contains(&target) {
                let target = table.at_address(segment.wire, target);
                return Some(Route { hops: hops(), target });
            }
            if way.len() < MAX_HOPS {
                let next = table.forwarders_on(interface.segment, last);
                queue.extend(next.map(|(slot, id)| [way.clone(), vec![(slot, id)]].concat()));
            }
        }
    }
    None
}
