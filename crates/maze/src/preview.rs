//! What an op would do, without doing it: for a dry run.

use std::{collections::BTreeMap, sync::Arc};

use model::{Ambient, Op, Topology};

use crate::{Applied, Change, Observed, Stage, Step, Violation, apply_on};

/// What an op would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The topology afterwards, and what would undo the op.
    pub applied: Applied,
    /// LANs and deckies that come, change and go, as a person would say it.
    pub changes: Vec<String>,
    /// The steps in the network, where the topology is live.
    pub steps: Vec<Step>,
}

/// What `op` would do to `topology`, or all that is wrong with it. The steps are those from a
/// network that is as desired; nothing of `ambient` that is seen here comes back later: ids,
/// times and random picks are drawn anew when the op is applied.
///
/// # Errors
/// Where the op would be refused.
pub fn preview(
    stage: Stage,
    topology: &Topology,
    op: &Op,
    ambient: &Ambient,
) -> Result<Preview, Vec<Violation>> {
    let applied = apply_on(stage, topology, op, ambient)?;
    let steps = match stage {
        Stage::Live => {
            let change = Change::between(topology, &applied.topology);
            change.plan(Observed::of(&change.part_of(topology)))
        }
        Stage::Drawn => Vec::new(),
    };
    Ok(Preview { changes: changes(topology, &applied.topology), applied, steps })
}

/// The difference of two versions of a topology in words.
pub fn changes(before: &Topology, after: &Topology) -> Vec<String> {
    let mut said = Vec::new();
    if before.rotate_every != after.rotate_every {
        said.push(format!("topology {} changes its rotation", after.name));
    }
    said.extend(rows("LAN", &before.lans, &after.lans, |lan| lan.name.to_string()));
    said.extend(rows("decky", &before.deckies, &after.deckies, |decky| decky.name.to_string()));
    said
}

fn rows<K: Ord, V: PartialEq>(
    kind: &str,
    before: &BTreeMap<K, Arc<V>>,
    after: &BTreeMap<K, Arc<V>>,
    name: impl Fn(&V) -> String,
) -> Vec<String> {
    let mut said = Vec::new();
    for (id, row) in before {
        match after.get(id) {
            None => said.push(format!("{kind} {} goes", name(row))),
            Some(new) if new != row => said.push(format!("{kind} {} changes", name(row))),
            Some(_) => {}
        }
    }
    let new = after.iter().filter(|(id, _)| !before.contains_key(id));
    said.extend(new.map(|(_, row)| format!("{kind} {} comes", name(row))));
    said
}

impl Step {
    /// The step in words, with names instead of ids wherever one of `topologies` knows them.
    pub fn in_words(&self, topologies: &[&Topology]) -> String {
        let mut text = self.to_string();
        for topology in topologies {
            if let Some(decky) = self.decky().and_then(|id| topology.deckies.get(&id)) {
                text = text.replace(&decky.id.to_string(), decky.name.as_str());
            }
            if let Some(lan) = self.lan().and_then(|id| topology.lans.get(&id)) {
                text = text.replace(&lan.id.to_string(), lan.name.as_str());
            }
        }
        text
    }
}
