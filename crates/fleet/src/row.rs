//! A decky's row as a step changes it: its interfaces and its routes. What the step does not name
//! stays as it is in the network, whatever the step's own row says.

use std::sync::Arc;

use model::{Decky, Edge, LanId};

/// With the interface of `row` on `lan`, in the order of `row`.
pub(crate) fn with_interface(there: &Decky, row: &Decky, lan: LanId) -> Arc<Decky> {
    let has = |on: LanId| on == lan || there.edge_on(on).is_some();
    let here = |edge: &Edge| there.edge_on(edge.lan).copied().unwrap_or(*edge);
    let edges = row.edges.iter().filter(|edge| has(edge.lan)).map(here).collect();
    Arc::new(Decky { edges, ..Decky::clone(there) })
}

/// Without its interface on `lan`.
pub(crate) fn without_interface(there: &Decky, lan: LanId) -> Arc<Decky> {
    let mut changed = Decky::clone(there);
    changed.edges.retain(|edge| edge.lan != lan);
    Arc::new(changed)
}

/// With the routes of `row`, on the interfaces that both have.
pub(crate) fn with_routes(there: &Decky, row: &Decky) -> Arc<Decky> {
    let mut changed = Decky::clone(there);
    changed.forwards_l3 = row.forwards_l3;
    for edge in &mut changed.edges {
        if let Some(wanted) = row.edge_on(edge.lan) {
            edge.forwards_l3 = wanted.forwards_l3;
        }
    }
    Arc::new(changed)
}
