//! How mutations stand in their table.

use model::{EventId, MutationId, MutationState, TopologyId};
use rusqlite::{Connection, Row};

use crate::{
    LeaseRecord, MutationRecord, Page,
    rows::{self, Columns, int},
};

/// The columns that [`read`] reads, in its order.
pub(crate) const COLUMNS: &str = "id, topology_id, op, state, version, expected_version, position, \
     requested_by, \"trigger\", requested_at, ended_at, reason, attempt, worker, lease_until, inverse, undone_by";

/// Reads [`COLUMNS`].
pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<MutationRecord> {
    let mut columns = Columns::of(row);
    Ok(MutationRecord {
        id: columns.text()?,
        topology_id: columns.text()?,
        op: columns.json()?,
        state: columns.text()?,
        version: columns.number()?,
        expected_version: columns.maybe(Columns::number)?,
        position: columns.number()?,
        requested_by: columns.string()?,
        trigger: columns.text()?,
        requested_at: columns.moment()?,
        ended_at: columns.maybe(Columns::moment)?,
        reason: columns.maybe(Columns::string)?,
        attempt: columns.number()?,
        worker: columns.maybe(Columns::string)?,
        lease_until: columns.maybe(Columns::moment)?,
        inverse: columns.json()?,
        undone_by: columns.maybe(Columns::text)?,
    })
}

/// Writes a new mutation.
pub(crate) fn insert(
    connection: &Connection,
    mutation: &MutationRecord,
    idempotency_key: Option<&str>,
    dedupe_event: Option<EventId>,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO mutations (id, topology_id, op, state, version, expected_version,
        position, requested_by, \"trigger\", requested_at, attempt, inverse, idempotency_key,
        dedupe_event) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values = (
        mutation.id.to_string(),
        mutation.topology_id.to_string(),
        rows::json(&mutation.op),
        mutation.state.as_str(),
        int(mutation.version),
        mutation.expected_version.map(int),
        int(mutation.position),
        &mutation.requested_by,
        mutation.trigger.as_str(),
        mutation.requested_at.as_micros(),
        mutation.attempt,
        rows::json(&mutation.inverse),
        idempotency_key,
        dedupe_event.map(|event| event.to_string()),
    );
    rows::run(connection, sql, values)?;
    Ok(())
}

/// The mutation of this id.
pub(crate) fn load(
    connection: &Connection,
    id: MutationId,
) -> rusqlite::Result<Option<MutationRecord>> {
    let sql = format!("SELECT {COLUMNS} FROM mutations WHERE id = ?");
    rows::select_one(connection, &sql, [id.to_string()], read)
}

/// The mutation that the requester queued under this key.
pub(crate) fn load_by_key(
    connection: &Connection,
    topology: TopologyId,
    requested_by: &str,
    key: &str,
) -> rusqlite::Result<Option<MutationRecord>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM mutations
         WHERE topology_id = ? AND requested_by = ? AND idempotency_key = ?"
    );
    rows::select_one(connection, &sql, (topology.to_string(), requested_by, key), read)
}

/// The mutation that this event queued.
pub(crate) fn load_by_event(
    connection: &Connection,
    event: EventId,
) -> rusqlite::Result<Option<MutationRecord>> {
    let sql = format!("SELECT {COLUMNS} FROM mutations WHERE dedupe_event = ?");
    rows::select_one(connection, &sql, [event.to_string()], read)
}

/// Unfinished mutations of a topology, oldest first.
pub(crate) fn in_flight(
    connection: &Connection,
    topology: TopologyId,
) -> rusqlite::Result<Vec<MutationRecord>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM mutations
         WHERE topology_id = ? AND state IN ('pending', 'applying') ORDER BY position"
    );
    rows::select(connection, &sql, [topology.to_string()], read)
}

/// Mutations of a topology, newest first.
pub(crate) fn page(
    connection: &Connection,
    topology: TopologyId,
    state: Option<MutationState>,
    cursor: Option<MutationId>,
    limit: usize,
) -> rusqlite::Result<Page<MutationRecord, MutationId>> {
    let limit = rows::page_size(limit);
    let sql = format!(
        "SELECT {COLUMNS} FROM mutations
         WHERE topology_id = ?1 AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR id < ?3)
         ORDER BY id DESC LIMIT ?4"
    );
    let values = (
        topology.to_string(),
        state.map(MutationState::as_str),
        cursor.map(|id| id.to_string()),
        rows::one_more(limit),
    );
    let found = rows::select(connection, &sql, values, read)?;
    Ok(Page::of(found, limit, |mutation| mutation.id))
}

/// Applied mutations of a topology, the last applied first.
pub(crate) fn applied(
    connection: &Connection,
    topology: TopologyId,
    limit: usize,
) -> rusqlite::Result<Vec<MutationRecord>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM mutations
         WHERE topology_id = ? AND state = 'applied' ORDER BY version DESC LIMIT ?"
    );
    let limit = int(rows::page_size(limit) as u64);
    rows::select(connection, &sql, (topology.to_string(), limit), read)
}

/// Writes down that an undo took these mutations back.
pub(crate) fn mark_undone(
    connection: &Connection,
    undone: &[MutationId],
    by: MutationId,
) -> rusqlite::Result<()> {
    for mutation in undone {
        let sql = "UPDATE mutations SET undone_by = ? WHERE id = ?";
        rows::run(connection, sql, (by.to_string(), mutation.to_string()))?;
    }
    Ok(())
}

/// How many mutations of a topology are pending.
pub(crate) fn pending_of(connection: &Connection, topology: TopologyId) -> rusqlite::Result<u64> {
    let sql = "SELECT COUNT(*) FROM mutations WHERE topology_id = ? AND state = 'pending'";
    connection
        .prepare_cached(sql)?
        .query_row([topology.to_string()], |row| Columns::of(row).number())
}

/// How many mutations are pending.
pub(crate) fn pending(connection: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT COUNT(*) FROM mutations WHERE state = 'pending'";
    connection.prepare_cached(sql)?.query_row([], |row| Columns::of(row).number())
}

/// The claim that began first, of those not ended.
pub(crate) fn oldest_lease(connection: &Connection) -> rusqlite::Result<Option<LeaseRecord>> {
    let sql = "SELECT id, topology_id, attempt, worker, claimed_at, lease_until FROM mutations
        WHERE state = 'applying' ORDER BY claimed_at LIMIT 1";
    rows::select_one(connection, sql, [], |row| {
        let mut columns = Columns::of(row);
        Ok(LeaseRecord {
            mutation_id: columns.text()?,
            topology_id: columns.text()?,
            attempt: columns.number()?,
            worker: columns.string()?,
            claimed_at: columns.moment()?,
            lease_until: columns.moment()?,
        })
    })
}
