//! Applies an op to a topology.

use model::{Ambient, Op, Topology};

use crate::Violation;

/// An op that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The topology afterwards, its version one higher.
    pub topology: Topology,
    /// The ops that undo it, in order.
    pub inverse: Vec<Op>,
}

/// Applies `op` to `topology`, or says everything that is wrong with it.
pub fn apply(topology: &Topology, op: &Op, ambient: &Ambient) -> Result<Applied, Vec<Violation>> {
    let _ = (topology, op, ambient);
    unimplemented!()
}
