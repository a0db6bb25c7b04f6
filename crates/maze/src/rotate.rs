//! Rotation: who is due, and what comes next.

use std::sync::Arc;

use model::{Ambient, Decky, Service, Timestamp, Topology};

/// When the next scheduled rotation of the topology is due; `None` where nothing rotates.
pub fn next_due(topology: &Topology) -> Option<Timestamp> {
    topology.deckies.values().filter_map(|decky| topology.due_at(decky)).min()
}

/// The deckies whose scheduled rotation is due at `now`, the longest overdue first.
pub fn due_rotations(topology: &Topology, now: Timestamp) -> Vec<Arc<Decky>> {
    let due_at = |decky: &Arc<Decky>| topology.due_at(decky).filter(|at| *at <= now);
    let mut due: Vec<_> =
        topology.deckies.values().filter_map(|d| Some((due_at(d)?, d.clone()))).collect();
    due.sort_by_key(|(at, decky)| (*at, decky.id));
    due.into_iter().map(|(_, decky)| decky).collect()
}

/// The most services that a rotation picks.
const MOST_PICKED: u32 = 3;

/// One to three services of the archetype's pool, sorted, other than the decky has now. `None`
/// where the pool allows no other set.
pub fn pick_services(decky: &Decky, ambient: &Ambient) -> Option<Vec<Service>> {
    let mut pool = decky.archetype.pool().to_vec();
    pool.sort_unstable();
    let mut current = decky.service_set();
    current.sort_unstable();
    let choices: Vec<Vec<Service>> = (1..1_u32 << pool.len())
        .filter(|mask| mask.count_ones() <= MOST_PICKED)
        .map(|mask| subset(&pool, mask))
        .filter(|set| *set != current)
        .collect();
    let count = u64::try_from(choices.len()).ok().filter(|count| *count > 0)?;
    let index = usize::try_from(u64::from_le_bytes(ambient.bytes()) % count).ok()?;
    choices.into_iter().nth(index)
}

/// The members of `pool` whose bits are set.
fn subset(pool: &[Service], mask: u32) -> Vec<Service> {
    pool.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1).map(|(_, s)| *s).collect()
}
