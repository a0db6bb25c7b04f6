//! How topologies, LANs and deckies stand in their tables.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use model::{
    Decky, DeckyId, DeckyState, Lan, LanId, Name, Shared, Topology, TopologyDelta, TopologyId,
    TopologyStatus,
};
use rusqlite::{Connection, Params, Row};

use crate::{
    TopologyRecord,
    rows::{self, Columns, int},
};

const SELECT: &str = "SELECT id, name, version, status, created_at, created_by, \
     status_changed_at, reason, rotate_every FROM topologies";

/// The topology of this id.
pub(crate) fn load(
    connection: &Connection,
    id: TopologyId,
) -> rusqlite::Result<Option<TopologyRecord>> {
    Ok(load_where(connection, "id = ?", [id.to_string()])?.pop())
}

/// The topology of this name that is not torn down.
pub(crate) fn load_named(
    connection: &Connection,
    name: &Name,
) -> rusqlite::Result<Option<TopologyRecord>> {
    Ok(load_where(connection, "name = ? AND status <> 'torn_down'", [name.as_str()])?.pop())
}

/// The ids of all topologies, newest first.
pub(crate) fn ids(connection: &Connection) -> rusqlite::Result<Vec<TopologyId>> {
    let sql = "SELECT id FROM topologies ORDER BY id DESC";
    rows::select(connection, sql, [], |row| Columns::of(row).text())
}

/// All topologies, newest first.
pub(crate) fn load_all(connection: &Connection) -> rusqlite::Result<Vec<TopologyRecord>> {
    load_where(connection, "true ORDER BY id DESC", [])
}

/// Whether a topology that is not torn down has this name.
pub(crate) fn name_taken(connection: &Connection, name: &Name) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM topologies WHERE name = ? AND status <> 'torn_down'";
    Ok(rows::select_one(connection, sql, [name.as_str()], |_| Ok(()))?.is_some())
}

fn load_where(
    connection: &Connection,
    condition: &str,
    params: impl Params,
) -> rusqlite::Result<Vec<TopologyRecord>> {
    let sql = format!("{SELECT} WHERE {condition}");
    let mut records = rows::select(connection, &sql, params, record)?;
    for record in &mut records {
        let id = record.topology.id;
        record.topology.lans = load_lans(connection, id)?;
        for (decky, state) in load_deckies(connection, id)? {
            record.decky_states.insert(decky.id, state);
            record.topology.deckies.insert(decky.id, Arc::new(decky));
        }
    }
    Ok(records)
}

fn record(row: &Row<'_>) -> rusqlite::Result<TopologyRecord> {
    let mut columns = Columns::of(row);
    let mut topology = Topology::new(columns.text()?, columns.text()?);
    topology.version = columns.number()?;
    let mut record = TopologyRecord {
        topology,
        status: columns.text()?,
        created_at: columns.moment()?,
        created_by: columns.string()?,
        status_changed_at: columns.moment()?,
        reason: columns.maybe(Columns::string)?,
        decky_states: Shared::default(),
    };
    record.topology.rotate_every = columns.maybe(Columns::number)?.map(Duration::from_micros);
    Ok(record)
}

fn load_lans(
    connection: &Connection,
    id: TopologyId,
) -> rusqlite::Result<BTreeMap<LanId, Arc<Lan>>> {
    let sql = "SELECT id, name, subnet, is_dmz, position FROM lans WHERE topology_id = ?";
    let lans = rows::select(connection, sql, [id.to_string()], |row| {
        let mut columns = Columns::of(row);
        Ok(Lan {
            id: columns.text()?,
            name: columns.text()?,
            subnet: columns.text()?,
            is_dmz: columns.flag()?,
            position: columns.maybe(Columns::json)?,
        })
    })?;
    Ok(lans.into_iter().map(|lan| (lan.id, Arc::new(lan))).collect())
}

fn load_deckies(
    connection: &Connection,
    id: TopologyId,
) -> rusqlite::Result<Vec<(Decky, DeckyState)>> {
    let sql = "SELECT id, name, archetype, edges, services, rotate_every, rotated_at, position,
        forwards_l3, is_stopped, state FROM deckies WHERE topology_id = ?";
    rows::select(connection, sql, [id.to_string()], |row| {
        let mut columns = Columns::of(row);
        let decky = Decky {
            id: columns.text()?,
            name: columns.text()?,
            archetype: columns.text()?,
            edges: columns.json()?,
            services: columns.json()?,
            rotate_every: columns.maybe(Columns::number)?.map(Duration::from_micros),
            rotated_at: columns.moment()?,
            position: columns.maybe(Columns::json)?,
            forwards_l3: columns.flag()?,
            is_stopped: columns.flag()?,
        };
        Ok((decky, columns.text()?))
    })
}

/// Writes a new topology with its LANs and deckies.
pub(crate) fn insert(connection: &Connection, record: &TopologyRecord) -> rusqlite::Result<()> {
    let topology = &record.topology;
    let sql = "INSERT INTO topologies (id, name, version, status, created_at, created_by,
        status_changed_at, reason, rotate_every) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values = (
        topology.id.to_string(),
        topology.name.as_str(),
        int(topology.version),
        record.status.as_str(),
        record.created_at.as_micros(),
        &record.created_by,
        record.status_changed_at.as_micros(),
        &record.reason,
        topology.rotate_every.map(micros),
    );
    rows::run(connection, sql, values)?;
    let nothing = Topology::new(topology.id, topology.name.clone());
    write_delta(connection, topology.id, &topology.delta_from(&nothing))
}

/// Writes the status of a topology.
pub(crate) fn update_status(
    connection: &Connection,
    record: &TopologyRecord,
) -> rusqlite::Result<()> {
    let sql = "UPDATE topologies SET status = ?, status_changed_at = ?, reason = ? WHERE id = ?";
    let values = (
        TopologyStatus::as_str(record.status),
        record.status_changed_at.as_micros(),
        &record.reason,
        record.topology.id.to_string(),
    );
    rows::run(connection, sql, values)?;
    Ok(())
}

/// Moves a topology one version on, with what holds for the whole of it; answers whether it had
/// the version before.
pub(crate) fn update_version(connection: &Connection, after: &Topology) -> rusqlite::Result<bool> {
    let sql = "UPDATE topologies SET version = ?, rotate_every = ? WHERE id = ? AND version = ?";
    let version = int(after.version);
    let values = (version, after.rotate_every.map(micros), after.id.to_string(), version - 1);
    Ok(rows::run(connection, sql, values)? == 1)
}

/// Writes the state of a decky.
pub(crate) fn update_decky_state(
    connection: &Connection,
    id: DeckyId,
    state: DeckyState,
    reason: Option<&str>,
) -> rusqlite::Result<()> {
    let sql = "UPDATE deckies SET state = ?, reason = ? WHERE id = ?";
    rows::run(connection, sql, (state.as_str(), reason, id.to_string()))?;
    Ok(())
}

/// Writes the rows that differ and removes those that are gone, these first, so that a name can
/// move from one to another. New deckies are `planned`, others keep their state.
pub(crate) fn write_delta(
    connection: &Connection,
    topology: TopologyId,
    delta: &TopologyDelta,
) -> rusqlite::Result<()> {
    for decky in &delta.deckies_removed {
        rows::run(connection, "DELETE FROM deckies WHERE id = ?", [decky.to_string()])?;
    }
    for lan in &delta.lans_removed {
        rows::run(connection, "DELETE FROM lans WHERE id = ?", [lan.to_string()])?;
    }
    put_lans(connection, topology, &delta.lans_put)?;
    put_deckies(connection, topology, &delta.deckies_put)
}

fn put_lans(
    connection: &Connection,
    topology: TopologyId,
    lans: &[Arc<Lan>],
) -> rusqlite::Result<()> {
    let into = "lans (id, topology_id, name, subnet, is_dmz, position)";
    let tail = "ON CONFLICT (id) DO UPDATE SET name = excluded.name, subnet = excluded.subnet,
        is_dmz = excluded.is_dmz, position = excluded.position";
    rows::insert(connection, into, tail, lans, |row, lan| {
        row.put(lan.id.to_string())?
            .put(topology.to_string())?
            .put(lan.name.as_str())?
            .put(lan.subnet.to_string())?
            .put(i64::from(lan.is_dmz))?
            .put(lan.position.as_ref().map(rows::json))?;
        Ok(())
    })
}

fn put_deckies(
    connection: &Connection,
    topology: TopologyId,
    deckies: &[Arc<Decky>],
) -> rusqlite::Result<()> {
    let into = "deckies (id, topology_id, name, archetype, edges, services, rotate_every,
        rotated_at, position, forwards_l3, is_stopped, state)";
    let tail = "ON CONFLICT (id) DO UPDATE SET name = excluded.name,
        archetype = excluded.archetype, edges = excluded.edges, services = excluded.services,
        rotate_every = excluded.rotate_every, rotated_at = excluded.rotated_at,
        position = excluded.position, forwards_l3 = excluded.forwards_l3,
        is_stopped = excluded.is_stopped";
    rows::insert(connection, into, tail, deckies, |row, decky| {
        row.put(decky.id.to_string())?
            .put(topology.to_string())?
            .put(decky.name.as_str())?
            .put(decky.archetype.as_str())?
            .put(rows::json(&decky.edges))?
            .put(rows::json(&decky.services))?
            .put(decky.rotate_every.map(micros))?
            .put(decky.rotated_at.as_micros())?
            .put(decky.position.as_ref().map(rows::json))?
            .put(i64::from(decky.forwards_l3))?
            .put(i64::from(decky.is_stopped))?
            .put(DeckyState::Planned.as_str())?;
        Ok(())
    })
}

fn micros(every: Duration) -> i64 {
    i64::try_from(every.as_micros()).unwrap_or(i64::MAX)
}
