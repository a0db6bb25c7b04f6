//! How a mutation moves: queued, claimed, renewed, ended. Each runs within a command of the
//! writer, so that state and events are one transaction.
//!
//! A claim is proven by its attempt number: whoever ends or renews names it, and where another
//! claim has raised it since, or the mutation has ended, nothing happens ([`Fenced`]). So a
//! mutation ends exactly once, however late an earlier holder comes back.

use std::{sync::Arc, time::Duration};

use model::{
    DeckyMutation, DeckyState, DeckyStateChanged, MutationEvent, MutationId, MutationState, Op,
    Payload, Timestamp, Topology, TopologyDelta, TopologyId, TopologyStatus,
};

use crate::{
    Claim, DeckyOutcome, EnqueueError, Enqueued, Fenced, FinishError, MAX_PENDING, MutationRecord,
    NewMutation, RenewError, StoreError, TopologyRecord,
    mutation_rows::{self, COLUMNS},
    rows::{self, int},
    topology_rows,
    writer::{Fault, Tx},
};

pub(crate) fn enqueue(tx: &mut Tx<'_>, new: NewMutation) -> Result<Enqueued, Fault<EnqueueError>> {
    let refused = |refusal| Err(Fault::Refused(refusal));
    if let Some(known) = known(tx, &new)? {
        if known.op != new.op || known.topology_id != new.topology_id {
            return refused(EnqueueError::KeyReusedDifferently);
        }
        return Ok(Enqueued { seq: known.position, mutation: known, replayed: true });
    }
    let Some(topology) = tx.topology(new.topology_id)? else {
        return refused(EnqueueError::UnknownTopology { id: new.topology_id });
    };
    if let Some(refusal) = refusal(&topology, &new) {
        return refused(refusal);
    }
    if mutation_rows::pending_of(tx.connection, new.topology_id)? >= MAX_PENDING {
        return refused(EnqueueError::QueueFull);
    }
    let mutation = keep(tx, new, topology.topology.version)?;
    Ok(Enqueued { seq: mutation.position, mutation, replayed: false })
}

/// What an earlier request of the same key, or of the same event, has queued.
fn known(tx: &Tx<'_>, new: &NewMutation) -> rusqlite::Result<Option<MutationRecord>> {
    if let Some(key) = &new.idempotency_key {
        let (topology, requester) = (new.topology_id, new.requested_by.as_str());
        let known = mutation_rows::load_by_key(tx.connection, topology, requester, key)?;
        if known.is_some() {
            return Ok(known);
        }
    }
    match new.dedupe_event {
        Some(event) => mutation_rows::load_by_event(tx.connection, event),
        None => Ok(None),
    }
}

fn refusal(record: &TopologyRecord, new: &NewMutation) -> Option<EnqueueError> {
    use TopologyStatus as S;
    match record.status {
        S::Pending | S::Deploying | S::Active | S::Degraded => {}
        status @ (S::Failed | S::TearingDown | S::TornDown) => {
            return Some(EnqueueError::NotMutable { status });
        }
    }
    let current = record.topology.version;
    let expected = new.expected_version.filter(|expected| *expected != current)?;
    Some(EnqueueError::VersionConflict { expected, current })
}

fn keep(tx: &mut Tx<'_>, new: NewMutation, version: u64) -> rusqlite::Result<MutationRecord> {
    let mut mutation = MutationRecord {
        id: tx.ambient().id::<MutationId>(),
        topology_id: new.topology_id,
        op: new.op,
        state: MutationState::Pending,
        version,
        expected_version: new.expected_version,
        position: 0,
        requested_by: new.requested_by,
        trigger: new.trigger,
        requested_at: tx.now(),
        ended_at: None,
        reason: None,
        attempt: 0,
        worker: None,
        lease_until: None,
        inverse: Vec::new(),
        undone_by: None,
    };
    mutation.position = say(tx, &mutation);
    let key = new.idempotency_key.as_deref();
    mutation_rows::insert(tx.connection, &mutation, key, new.dedupe_event)?;
    Ok(mutation)
}

/// Says that the mutation has entered its state.
fn say(tx: &mut Tx<'_>, mutation: &MutationRecord) -> u64 {
    tx.say(Payload::mutation(MutationEvent {
        topology_id: mutation.topology_id,
        mutation_id: mutation.id,
        state: mutation.state,
        op: mutation.op.clone(),
        version: mutation.version,
        requested_by: mutation.requested_by.clone(),
        reason: mutation.reason.clone(),
    }))
}

pub(crate) fn claim(
    tx: &mut Tx<'_>,
    worker: &str,
    lease: Duration,
) -> Result<Option<Claim>, Fault<StoreError>> {
    let now = tx.now();
    let sql = format!(
        "UPDATE mutations SET state = 'applying', attempt = attempt + 1, worker = ?1,
            claimed_at = COALESCE(claimed_at, ?2), lease_until = ?3
         WHERE id = (
            SELECT m.id FROM mutations m JOIN topologies t ON t.id = m.topology_id
            WHERE m.state IN ('pending', 'applying')
            AND (m.state = 'pending' OR m.lease_until <= ?2)
            AND t.status IN ('pending', 'active', 'degraded')
            AND NOT EXISTS (
                SELECT 1 FROM mutations held
                WHERE held.topology_id = m.topology_id AND held.state = 'applying'
                AND held.lease_until > ?2)
            ORDER BY m.position LIMIT 1)
         RETURNING {COLUMNS}"
    );
    let values = (worker, now.as_micros(), now.plus(lease).as_micros());
    let Some(mutation) = rows::select_one(tx.connection, &sql, values, mutation_rows::read)? else {
        return Ok(None);
    };
    let topology = topology_of(tx, mutation.topology_id)?;
    // A later claim finds it applying already: no state changes, nothing is said.
    if mutation.attempt == 1 {
        let version = topology.topology.version;
        say(tx, &MutationRecord { version, ..mutation.clone() });
    }
    Ok(Some(Claim { mutation, topology: Arc::unwrap_or_clone(topology) }))
}

/// The topology of a mutation, which a foreign key keeps there.
fn topology_of(tx: &mut Tx<'_>, id: TopologyId) -> rusqlite::Result<Arc<TopologyRecord>> {
    tx.topology(id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

pub(crate) fn renew(
    tx: &mut Tx<'_>,
    held: Fenced,
    lease: Duration,
) -> Result<Timestamp, Fault<RenewError>> {
    let until = tx.now().plus(lease);
    let sql = "UPDATE mutations SET lease_until = ?
        WHERE id = ? AND attempt = ? AND state = 'applying'";
    let values = (until.as_micros(), held.id.to_string(), held.attempt);
    if rows::run(tx.connection, sql, values)? == 0 {
        return Err(Fault::Refused(held.into()));
    }
    Ok(until)
}

pub(crate) fn release(tx: &mut Tx<'_>, worker: &str) -> Result<u64, Fault<StoreError>> {
    let sql = "UPDATE mutations SET lease_until = ? WHERE worker = ? AND state = 'applying'";
    let released = rows::run(tx.connection, sql, (tx.now().as_micros(), worker))?;
    Ok(released as u64)
}

pub(crate) fn apply(
    tx: &mut Tx<'_>,
    held: Fenced,
    after: Topology,
    inverse: &[Op],
    deckies: Vec<DeckyOutcome>,
) -> Result<u64, Fault<FinishError>> {
    let ended =
        Ending { state: MutationState::Applied, version: Some(after.version), reason: None };
    let mutation = end(tx, held, ended, inverse)?;
    let mut record = Arc::unwrap_or_clone(topology_of(tx, mutation.topology_id)?);
    let (current, wanted) = (record.topology.version, after.version);
    let follows = after.id == record.topology.id && wanted == current + 1;
    if !follows || !topology_rows::update_version(tx.connection, &after)? {
        return Err(Fault::Refused(FinishError::Conflict { current, wanted }));
    }
    let delta = after.delta_from(&record.topology);
    topology_rows::write_delta(tx.connection, after.id, &delta)?;
    record.topology = after;
    if let Op::Undo { mutations, .. } = &mutation.op {
        mutation_rows::mark_undone(tx.connection, mutations, mutation.id)?;
    }
    settle_states(tx, &mut record, &delta, &deckies)?;
    let seq = say(tx, &mutation);
    for outcome in deckies {
        say_outcome(tx, &mutation, outcome);
    }
    tx.remember(record);
    Ok(seq)
}

/// Gives the deckies that are left their new states; new ones are planned.
fn settle_states(
    tx: &Tx<'_>,
    record: &mut TopologyRecord,
    delta: &TopologyDelta,
    outcomes: &[DeckyOutcome],
) -> rusqlite::Result<()> {
    let TopologyRecord { decky_states, .. } = record;
    for id in &delta.deckies_removed {
        decky_states.remove(id);
    }
    for decky in &delta.deckies_put {
        decky_states.entry(decky.id).or_insert(DeckyState::Planned);
    }
    for outcome in outcomes {
        let Some(state) = decky_states.get_mut(&outcome.decky_id) else { continue };
        *state = outcome.to;
        topology_rows::update_decky_state(tx.connection, outcome.decky_id, outcome.to, None)?;
    }
    Ok(())
}

fn say_outcome(tx: &mut Tx<'_>, mutation: &MutationRecord, outcome: DeckyOutcome) {
    let DeckyOutcome { decky_id, name, from, to, old_services, new_services, trigger } = outcome;
    let topology_id = mutation.topology_id;
    let is_served_otherwise = old_services != new_services;
    if from != to || is_served_otherwise {
        tx.say(Payload::DeckyState(DeckyStateChanged {
            decky_id,
            topology_id,
            name: name.clone(),
            from,
            state: to,
            services: new_services.clone(),
            reason: None,
        }));
    }
    if is_served_otherwise {
        tx.say(Payload::DeckyMutation(DeckyMutation {
            decky_id,
            topology_id,
            name,
            old_services,
            new_services,
            trigger,
            mutation_id: Some(mutation.id),
        }));
    }
}

pub(crate) fn fail(
    tx: &mut Tx<'_>,
    held: Fenced,
    reason: String,
) -> Result<u64, Fault<FinishError>> {
    let ended = Ending { state: MutationState::Failed, version: None, reason: Some(reason) };
    let mutation = end(tx, held, ended, &[])?;
    let version = topology_of(tx, mutation.topology_id)?.topology.version;
    Ok(say(tx, &MutationRecord { version, ..mutation }))
}

struct Ending {
    state: MutationState,
    /// The version that it made, where it made one.
    version: Option<u64>,
    reason: Option<String>,
}

/// Ends a mutation, if the claim still holds.
fn end(
    tx: &Tx<'_>,
    held: Fenced,
    ending: Ending,
    inverse: &[Op],
) -> Result<MutationRecord, Fault<FinishError>> {
    let sql = format!(
        "UPDATE mutations SET state = ?, version = COALESCE(?, version), reason = ?,
            ended_at = ?, inverse = ?, lease_until = NULL
         WHERE id = ? AND attempt = ? AND state = 'applying' RETURNING {COLUMNS}"
    );
    let values = (
        ending.state.as_str(),
        ending.version.map(int),
        ending.reason,
        tx.now().as_micros(),
        rows::json(inverse),
        held.id.to_string(),
        held.attempt,
    );
    let ended = rows::select_one(tx.connection, &sql, values, mutation_rows::read)?;
    ended.ok_or_else(|| Fault::Refused(held.into()))
}

/// Ends all mutations of a topology that are in one of `states` as failed, oldest first.
pub(crate) fn fail_all(
    tx: &mut Tx<'_>,
    topology: &TopologyRecord,
    states: &[MutationState],
    reason: &str,
) -> rusqlite::Result<()> {
    let sql = format!(
        "UPDATE mutations SET state = 'failed', reason = ?, ended_at = ?, lease_until = NULL
         WHERE topology_id = ? AND state = ? RETURNING {COLUMNS}"
    );
    let mut ended = Vec::new();
    for state in states {
        let id = topology.topology.id.to_string();
        let values = (reason, tx.now().as_micros(), id, state.as_str());
        ended.extend(rows::select(tx.connection, &sql, values, mutation_rows::read)?);
    }
    ended.sort_by_key(|mutation| mutation.position);
    for mutation in ended {
        say(tx, &MutationRecord { version: topology.topology.version, ..mutation });
    }
    Ok(())
}
