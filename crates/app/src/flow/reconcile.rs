//! Flow *reconcile*: desired state → plan → network → what really came of it, written down.
//!
//! One path for deploying, for the start after a crash, for healing and for taking down: compare
//! with what is observed, act on the difference, then state the truth. Nothing happens and
//! nothing is said where they agree.

use std::collections::BTreeMap;

use maze::{Observed, ObservedDecky};
use model::{DeckyId, DeckyState, Topology, TopologyId, TopologyStatus};
use store::{DeckyChange, Store, TopologyRecord, TransitionError};
use tracing::{info, warn};

use crate::{
    crash_point,
    network::{Failure, Network, Order, Void},
};

/// Brings the network to what the record says and keeps what came of it. Answers the record as
/// it is afterwards; where the database is away, as it was.
///
/// # Errors
/// Where the network was switched off since the record was read under `order`.
pub async fn topology(
    store: &Store,
    network: &Network,
    order: Order,
    record: TopologyRecord,
) -> Result<TopologyRecord, Void> {
    match record.status {
        TopologyStatus::Deploying | TopologyStatus::Active | TopologyStatus::Degraded => {
            build(store, network, order, record).await
        }
        TopologyStatus::TearingDown => Ok(take_down(store, network, record).await),
        TopologyStatus::Pending | TopologyStatus::Failed | TopologyStatus::TornDown => {
            clear_leftovers(network, record.topology.id).await;
            Ok(record)
        }
    }
}

async fn build(
    store: &Store,
    network: &Network,
    order: Order,
    record: TopologyRecord,
) -> Result<TopologyRecord, Void> {
    let id = record.topology.id;
    let failures = network.bring_to(order, id, record.topology.clone()).await?;
    crash_point("built");
    let troubles = network.troubles(id).into_iter().collect();
    let truth = Truth::of(&record.topology, &network.observe(id), &failures, &troubles);
    // What is gone because it was switched off is no truth about the topology.
    network.check(order)?;
    let status = truth.status(record.status);
    if status == TopologyStatus::Failed {
        clear_leftovers(network, id).await;
    }
    let failed = failures.first().map(|f| format!("could not {}: {}", f.step, f.error));
    let reason = failed.or_else(|| troubles.into_values().next());
    Ok(keep(store, record, status, reason, truth.changes()).await)
}

async fn take_down(store: &Store, network: &Network, record: TopologyRecord) -> TopologyRecord {
    let id = record.topology.id;
    let failures = network.take_down(id).await;
    crash_point("taken-down");
    let (status, reason) = match failures.first() {
        None => (TopologyStatus::TornDown, None),
        Some(f) => (TopologyStatus::Degraded, Some(format!("could not {}: {}", f.step, f.error))),
    };
    let retired = |decky_id: &DeckyId| DeckyChange {
        decky_id: *decky_id,
        state: DeckyState::Retired,
        reason: None,
    };
    let changes = match status {
        TopologyStatus::TornDown => record.topology.deckies.keys().map(retired).collect(),
        _ => Vec::new(),
    };
    keep(store, record, status, reason, changes).await
}

/// What a crash between two steps may have left of a topology that has no place in the network.
async fn clear_leftovers(network: &Network, id: TopologyId) {
    for failure in network.take_down(id).await {
        warn!(topology.id = %id, error = &failure.error as &dyn std::error::Error, "leftover not removed");
    }
}

/// Writes down what is different from the record; nothing where nothing is.
async fn keep(
    store: &Store,
    mut record: TopologyRecord,
    status: TopologyStatus,
    reason: Option<String>,
    changes: Vec<DeckyChange>,
) -> TopologyRecord {
    let id = record.topology.id;
    let current =
        |change: &DeckyChange| record.decky_states.get(&change.decky_id) == Some(&change.state);
    let changes: Vec<_> = changes.into_iter().filter(|change| !current(change)).collect();
    if status == record.status && changes.is_empty() {
        return record;
    }
    let states: BTreeMap<_, _> = changes.iter().map(|c| (c.decky_id, c.state)).collect();
    match store.set_status(id, record.status, status, reason.clone(), changes).await {
        Ok(_) => {
            info!(topology.id = %id, from = %record.status, status = %status, reason, "topology reconciled");
            record.status = status;
            record.reason = reason;
            record.decky_states.extend(states);
        }
        // Somebody asked for something else meanwhile: the next look sees to it.
        Err(TransitionError::Conflict { .. }) => {}
        Err(
            error @ (TransitionError::Unknown { .. }
            | TransitionError::Stale { .. }
            | TransitionError::Illegal { .. }
            | TransitionError::Store(_)),
        ) => {
            warn!(topology.id = %id, error = &error as &dyn std::error::Error, "status not kept");
        }
    }
    record
}

/// The states of a topology's deckies, as the network shows them.
struct Truth(BTreeMap<DeckyId, (DeckyState, Option<String>)>);

impl Truth {
    fn of(
        desired: &Topology,
        observed: &Observed,
        failures: &[Failure],
        troubles: &BTreeMap<DeckyId, String>,
    ) -> Self {
        let reason = |id: DeckyId| {
            let own = failures.iter().find(|f| f.step.decky() == Some(id));
            let own = own.map(|f| f.error.to_string()).or_else(|| troubles.get(&id).cloned());
            own.or_else(|| failures.first().map(|f| f.error.to_string()))
        };
        let is_whole = |there: &ObservedDecky, decky: &model::Decky| {
            decky.services.iter().all(|service| there.services.contains(service))
                && decky.edges.iter().all(|edge| there.has_interface(edge))
        };
        let state = |decky: &model::Decky| match observed.deckies.get(&decky.id) {
            None if decky.is_stopped => (DeckyState::Stopped, None),
            Some(there)
                if !decky.is_stopped
                    && is_whole(there, decky)
                    && !troubles.contains_key(&decky.id) =>
            {
                (DeckyState::Running, None)
            }
            Some(_) => (DeckyState::Degraded, reason(decky.id)),
            None => (DeckyState::Failed, reason(decky.id)),
        };
        Self(desired.deckies.values().map(|decky| (decky.id, state(decky))).collect())
    }

    fn status(&self, before: TopologyStatus) -> TopologyStatus {
        let is = |wanted: DeckyState| self.0.values().filter(|(state, _)| *state == wanted).count();
        let (stopped, all) = (is(DeckyState::Stopped), self.0.len());
        if is(DeckyState::Running) + stopped == all {
            TopologyStatus::Active
        } else if before == TopologyStatus::Deploying && is(DeckyState::Failed) + stopped == all {
            TopologyStatus::Failed
        } else {
            TopologyStatus::Degraded
        }
    }

    fn changes(self) -> Vec<DeckyChange> {
        let change = |(decky_id, (state, reason))| DeckyChange { decky_id, state, reason };
        self.0.into_iter().map(change).collect()
    }
}
