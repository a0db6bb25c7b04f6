//! Ops as people send them, one JSON a line, against the rules of topologies.

use maze::{Observed, apply, plan, validate};
use model::{Ambient, Op, Timestamp};

use super::{Target, ops::WORDS};
use crate::Trace;

/// Most ops of one input.
const MAX_OPS: usize = 200;

/// Lines of JSON; what is no op is passed over.
pub(super) const TARGET: Target = Target {
    name: "maze",
    about: "any ops leave a valid topology, and a plan that was done leaves nothing to do",
    words: WORDS,
    mutation: None,
    run,
};

fn run(input: &[u8], trace: &mut Trace) {
    let ambient = Ambient::seeded(7, Timestamp::from_micros(1_741_082_400_000_000));
    let mut topology = maze::demo("fuzz".parse().expect("a name"), &ambient);
    let mut observed = Observed::empty(topology.id);
    let ops = input.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    for (index, op) in ops.take(MAX_OPS).enumerate() {
        let op: Op = op;
        match apply(&topology, &op, &ambient) {
            Ok(applied) => {
                assert_eq!(validate(&applied.topology), vec![], "after {op:?}");
                assert_eq!(applied.topology.version, topology.version + 1);
                let undone = applied.inverse.iter().fold(applied.topology.clone(), |now, undo| {
                    apply(&now, undo, &ambient).expect("an undo applies").topology
                });
                assert_eq!(undone.deckies.len(), topology.deckies.len(), "{op:?} undone");
                assert_eq!(undone.lans.len(), topology.lans.len(), "{op:?} undone");
                topology = applied.topology;
                trace.note((op.word(), applied.inverse.len()));
            }
            Err(violations) => {
                assert!(!violations.is_empty(), "a refusal says why: {op:?}");
                violations.iter().for_each(|v| trace.note((op.word(), v.code.as_str(), &v.field)));
            }
        }
        if index % 3 == 0 {
            observed = reconcile(Some(&topology), observed, trace);
        }
    }
    let observed = reconcile(Some(&topology), observed, trace);
    assert!(reconcile(None, observed, trace).is_empty(), "a teardown leaves nothing");
}

/// Does the plan; nothing may be left to do.
fn reconcile(
    desired: Option<&model::Topology>,
    mut observed: Observed,
    trace: &mut Trace,
) -> Observed {
    let steps = plan(desired, &observed);
    steps.iter().for_each(|step| observed.advance(step));
    assert_eq!(plan(desired, &observed), vec![], "after {steps:?}");
    trace.note(steps.len().checked_ilog2());
    observed
}
