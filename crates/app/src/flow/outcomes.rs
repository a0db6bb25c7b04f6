//! What a change did to each decky that it touched, for the transaction that ends a mutation.

use model::{Decky, DeckyId, DeckyState, Topology, Trigger};
use store::{DeckyOutcome, TopologyRecord};

/// What a change did to each decky that it touched.
pub(super) fn outcomes(
    record: &TopologyRecord,
    after: &Topology,
    trigger: Trigger,
) -> Vec<DeckyOutcome> {
    let before = &record.topology;
    let is_deployed = record.status.is_deployed();
    let state = |id: &DeckyId| record.decky_states.get(id).copied().unwrap_or(DeckyState::Planned);
    let delta = after.delta_from(before);
    let deployed = |decky: &Decky| match decky.is_stopped {
        true => DeckyState::Stopped,
        false => DeckyState::Running,
    };
    let put = delta.deckies_put.iter().map(|decky| {
        let old = before.deckies.get(&decky.id);
        let from = if old.is_some() { state(&decky.id) } else { DeckyState::Planned };
        DeckyOutcome {
            decky_id: decky.id,
            name: decky.name.to_string(),
            from,
            to: if is_deployed { deployed(decky) } else { from },
            old_services: old.map(|d| d.service_set()).unwrap_or_default(),
            new_services: decky.service_set(),
            trigger: if old.is_some() { trigger } else { Trigger::Creation },
        }
    });
    let removed =
        delta.deckies_removed.iter().filter_map(|id| before.deckies.get(id)).map(|decky| {
            DeckyOutcome {
                decky_id: decky.id,
                name: decky.name.to_string(),
                from: state(&decky.id),
                to: DeckyState::Retired,
                old_services: decky.service_set(),
                new_services: Vec::new(),
                trigger: Trigger::Retirement,
            }
        });
    put.chain(removed).collect()
}
