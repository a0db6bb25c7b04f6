//! Judges a whole topology.

use model::Topology;

use crate::Violation;

/// Everything that is wrong with `topology`; empty where nothing is.
pub fn validate(topology: &Topology) -> Vec<Violation> {
    let _ = topology;
    unimplemented!()
}
