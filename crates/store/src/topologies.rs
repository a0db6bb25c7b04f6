//! Topologies: their status and the states of their deckies. The rows are in `topology_rows.rs`.

mod switch_off;

use std::{collections::BTreeMap, sync::Arc};

use model::{
    Decky, DeckyId, DeckyMutation, DeckyState, DeckyStateChanged, MutationState, Name, Payload,
    Shared, StatusChanged, Timestamp, Topology, TopologyId, TopologyStatus, Trigger,
};

use crate::{
    MutationRecord, Store, StoreError, journal, mutation_moves, mutation_rows, topology_rows,
    writer::{Fault, Tx},
};

/// Why mutations end that a teardown finds.
const TORN_DOWN: &str = "topology was torn down";
/// Why mutations end that the kill switch finds.
const SWITCHED_OFF: &str = "the network was switched off";
/// What a topology that is off the network leaves no mutation in.
const UNFINISHED: [MutationState; 2] = [MutationState::Pending, MutationState::Applying];

pub use switch_off::SwitchedOff;

/// A topology with what the installation knows about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologyRecord {
    /// What is wanted.
    pub topology: Topology,
    /// Its status.
    pub status: TopologyStatus,
    /// When it was created.
    pub created_at: Timestamp,
    /// Who created it.
    pub created_by: String,
    /// When its status last changed.
    pub status_changed_at: Timestamp,
    /// Why it has this status, where there is something to say.
    pub reason: Option<String>,
    /// State of each of its deckies.
    pub decky_states: Shared<BTreeMap<DeckyId, DeckyState>>,
}

/// A topology, its unfinished mutations and the journal position at which both were true: from
/// one read transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologySnapshot {
    /// The journal's head.
    pub head: u64,
    /// The topology.
    pub record: TopologyRecord,
    /// Its pending and applying mutations, oldest first.
    pub in_flight: Vec<MutationRecord>,
}

/// A decky's new state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeckyChange {
    /// Which.
    pub decky_id: DeckyId,
    /// Its state now.
    pub state: DeckyState,
    /// Why, where there is something to say.
    pub reason: Option<String>,
}

/// Why a topology was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Another topology that is not torn down has this name.
    #[error("a topology named `{name}` exists already")]
    NameTaken {
        /// The name.
        name: Name,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a status was not changed.
#[derive(Debug, thiserror::Error)]
pub enum TransitionError {
    /// There is no such topology.
    #[error("there is no topology {id}")]
    Unknown {
        /// Its id.
        id: TopologyId,
    },
    /// It has another status than the caller thinks.
    #[error("the topology is {actual}, not {expected}")]
    Conflict {
        /// What the caller thinks.
        expected: TopologyStatus,
        /// What it is.
        actual: TopologyStatus,
    },
    /// It has another version than the caller insists on.
    #[error("the topology has version {current}, not {expected}")]
    Stale {
        /// The version that the caller insists on.
        expected: u64,
        /// The version that it has.
        current: u64,
    },
    /// No topology can make this move.
    #[error("a topology cannot go from {from} to {to}")]
    Illegal {
        /// The status now.
        from: TopologyStatus,
        /// The status wanted.
        to: TopologyStatus,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Keeps a new topology as `pending`, its deckies as `planned`; journals `topology.status`
    /// (from `pending` to `pending`) and answers its position. The name of a topology that is
    /// torn down is free again.
    ///
    /// # Errors
    /// Where the name is taken or the database fails.
    pub async fn create_topology(
        &self,
        topology: &Topology,
        requested_by: &str,
    ) -> Result<u64, CreateError> {
        let (topology, requested_by) = (topology.clone(), requested_by.to_owned());
        self.write("create a topology", move |tx| create(tx, topology, requested_by)).await
    }

    /// All topologies, newest first, those torn down included. Each is as of a commit, at least as
    /// new as what the caller was answered; not all need be of the same one.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn topologies(&self) -> Result<Vec<TopologyRecord>, StoreError> {
        // First, so that the database knows the ids of all that are known here.
        let known = self.standing().all();
        self.read("list topologies", move |connection| {
            let record = |id| match known.get(&id) {
                Some(record) => Ok(Some(TopologyRecord::clone(record))),
                None => topology_rows::load(connection, id),
            };
            let ids = topology_rows::ids(connection)?;
            ids.into_iter().filter_map(|id| record(id).transpose()).collect()
        })
        .await
    }

    /// The topology of this id.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn topology(&self, id: TopologyId) -> Result<Option<TopologyRecord>, StoreError> {
        if let Some(record) = self.standing().get(id) {
            return Ok(Some(Arc::unwrap_or_clone(record)));
        }
        self.read("read a topology", move |connection| topology_rows::load(connection, id)).await
    }

    /// The topology of this name that is not torn down.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn topology_named(&self, name: &Name) -> Result<Option<TopologyRecord>, StoreError> {
        if let Some(record) = self.standing().named(name) {
            return Ok(Some(Arc::unwrap_or_clone(record)));
        }
        let name = name.clone();
        self.read("read a topology", move |connection| topology_rows::load_named(connection, &name))
            .await
    }

    /// The topology, its unfinished mutations and the journal's head, from one read transaction.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn topology_snapshot(
        &self,
        id: TopologyId,
    ) -> Result<Option<TopologySnapshot>, StoreError> {
        self.read("read a topology", move |connection| {
            let Some(record) = topology_rows::load(connection, id)? else { return Ok(None) };
            let head = journal::head(connection)?;
            let in_flight = mutation_rows::in_flight(connection, id)?;
            Ok(Some(TopologySnapshot { head, record, in_flight }))
        })
        .await
    }

    /// Moves a topology from one status to another, and its deckies to new states, in one
    /// transaction; answers the position of the last event, or the head where nothing changed.
    ///
    /// Journals `topology.status`; `decky.state` for each decky whose state differs;
    /// `decky.mutation` where a planned or starting decky becomes running or degraded (trigger
    /// `creation`) and where one is retired (trigger `retirement`). `from == to` records deckies
    /// only. Deckies that the topology does not have are ignored.
    ///
    /// At `tearing_down` its pending mutations end as failed, at `torn_down` all unfinished ones.
    ///
    /// # Errors
    /// Where the topology is unknown, has another status, the move is illegal, or the database
    /// fails.
    pub async fn set_status(
        &self,
        id: TopologyId,
        from: TopologyStatus,
        to: TopologyStatus,
        reason: Option<String>,
        deckies: Vec<DeckyChange>,
    ) -> Result<u64, TransitionError> {
        self.write("change the status of a topology", move |tx| {
            transition(tx, id, (from, to), reason, deckies)
        })
        .await
    }

    /// As [`Store::set_status`], where the topology has this version; of two who saw the same
    /// version, one comes first and the other is told.
    ///
    /// # Errors
    /// Also where the topology has another version.
    pub async fn set_status_at(
        &self,
        id: TopologyId,
        version: u64,
        (from, to): (TopologyStatus, TopologyStatus),
        deckies: Vec<DeckyChange>,
    ) -> Result<u64, TransitionError> {
        self.write("change the status of a topology", move |tx| {
            let current = tx.topology(id)?.map(|record| record.topology.version);
            if let Some(current) = current.filter(|current| *current != version) {
                return Err(Fault::Refused(TransitionError::Stale { expected: version, current }));
            }
            transition(tx, id, (from, to), None, deckies)
        })
        .await
    }
}

fn create(
    tx: &mut Tx<'_>,
    topology: Topology,
    created_by: String,
) -> Result<u64, Fault<CreateError>> {
    if topology_rows::name_taken(tx.connection, &topology.name)? {
        return Err(Fault::Refused(CreateError::NameTaken { name: topology.name }));
    }
    let now = tx.now();
    let states = topology.deckies.keys().map(|id| (*id, DeckyState::Planned)).collect();
    let record = TopologyRecord {
        topology,
        status: TopologyStatus::Pending,
        created_at: now,
        created_by,
        status_changed_at: now,
        reason: None,
        decky_states: states,
    };
    topology_rows::insert(tx.connection, &record)?;
    let seq = say_status(tx, &record, TopologyStatus::Pending);
    tx.remember(record);
    Ok(seq)
}

fn transition(
    tx: &mut Tx<'_>,
    id: TopologyId,
    (from, to): (TopologyStatus, TopologyStatus),
    reason: Option<String>,
    deckies: Vec<DeckyChange>,
) -> Result<u64, Fault<TransitionError>> {
    let refused = |refusal| Err(Fault::Refused(refusal));
    let Some(record) = tx.topology(id)? else {
        return refused(TransitionError::Unknown { id });
    };
    if record.status != from {
        let actual = record.status;
        return refused(TransitionError::Conflict { expected: from, actual });
    }
    if from != to && !from.may_become(to) {
        return refused(TransitionError::Illegal { from, to });
    }
    make_move(tx, Arc::unwrap_or_clone(record), to, reason, deckies)?;
    Ok(tx.head())
}

/// Gives a topology a status and its deckies their states; says what is different.
fn make_move(
    tx: &mut Tx<'_>,
    mut record: TopologyRecord,
    to: TopologyStatus,
    reason: Option<String>,
    deckies: Vec<DeckyChange>,
) -> rusqlite::Result<()> {
    let from = record.status;
    if from != to {
        record.status = to;
        record.reason = reason;
        record.status_changed_at = tx.now();
        topology_rows::update_status(tx.connection, &record)?;
        say_status(tx, &record, from);
        end_mutations(tx, &record)?;
    }
    for change in deckies {
        change_decky(tx, &mut record, change)?;
    }
    tx.remember(record);
    Ok(())
}

fn say_status(tx: &mut Tx<'_>, record: &TopologyRecord, from: TopologyStatus) -> u64 {
    tx.say(Payload::Status(StatusChanged {
        topology_id: record.topology.id,
        from,
        status: record.status,
        version: record.topology.version,
        reason: record.reason.clone(),
    }))
}

/// Ends the mutations that the new status leaves without a future.
fn end_mutations(tx: &mut Tx<'_>, record: &TopologyRecord) -> rusqlite::Result<()> {
    use TopologyStatus as S;
    match record.status {
        S::TearingDown => {
            mutation_moves::fail_all(tx, record, &[MutationState::Pending], TORN_DOWN)
        }
        S::TornDown => mutation_moves::fail_all(tx, record, &UNFINISHED, TORN_DOWN),
        // Nothing becomes pending but by the kill switch.
        S::Pending => mutation_moves::fail_all(tx, record, &UNFINISHED, SWITCHED_OFF),
        S::Deploying | S::Active | S::Degraded | S::Failed => Ok(()),
    }
}

fn change_decky(
    tx: &mut Tx<'_>,
    record: &mut TopologyRecord,
    change: DeckyChange,
) -> rusqlite::Result<()> {
    let DeckyChange { decky_id, state, reason } = change;
    let Some(decky) = record.topology.deckies.get(&decky_id) else { return Ok(()) };
    let from = record.decky_states.insert(decky_id, state).unwrap_or(DeckyState::Planned);
    if from == state {
        return Ok(());
    }
    topology_rows::update_decky_state(tx.connection, decky_id, state, reason.as_deref())?;
    tx.say(Payload::DeckyState(DeckyStateChanged {
        decky_id,
        topology_id: record.topology.id,
        name: decky.name.to_string(),
        from,
        state,
        services: if state == DeckyState::Retired { Vec::new() } else { decky.service_set() },
        reason,
    }));
    if let Some(trigger) = trigger_of(from, state) {
        tx.say(services_changed(record.topology.id, decky, trigger));
    }
    Ok(())
}

/// Why the services of a decky changed with its state, where they did.
fn trigger_of(from: DeckyState, to: DeckyState) -> Option<Trigger> {
    use DeckyState as S;
    match (from, to) {
        (S::Planned | S::Starting, S::Running | S::Degraded) => Some(Trigger::Creation),
        (_, S::Retired) => Some(Trigger::Retirement),
        _ => None,
    }
}

fn services_changed(topology_id: TopologyId, decky: &Decky, trigger: Trigger) -> Payload {
    let (old_services, new_services) = match trigger {
        Trigger::Retirement => (decky.service_set(), Vec::new()),
        _ => (Vec::new(), decky.service_set()),
    };
    Payload::DeckyMutation(DeckyMutation {
        decky_id: decky.id,
        topology_id,
        name: decky.name.to_string(),
        old_services,
        new_services,
        trigger,
        mutation_id: None,
    })
}
