//! How attackers, identities, sessions, activity and credentials stand in their tables.

use model::{
    Activity, Attacker, AttackerId, Credential, CredentialId, Identity, IdentityId, Session,
    SessionId, Truncation,
};
use rusqlite::{Connection, Row};

use crate::{
    Page, SessionFilter,
    rows::{self, Columns, int},
};

const ATTACKER: &str = "SELECT id, address, identity_id, first_seen, last_seen, score, reasons, \
     sessions, logins, logins_accepted, commands, requests, uploads, downloads, deckies, lans, \
     services, fingerprints FROM attackers";
const IDENTITY: &str = "SELECT id, formed_at, last_seen, attacker_ids, score FROM identities";
const SESSION: &str = "SELECT id, attacker_id, decky_id, topology_id, lan_id, service, peer, \
     started_at, ended_at, bytes_in, bytes_out, logins, commands, requests, uploads, truncated, \
     next_index FROM sessions";
const CREDENTIAL: &str =
    "SELECT id, hash, principal, secret, kind, first_seen, last_seen, tries FROM credentials";

/// The attacker whose `column` is `key`.
pub(crate) fn attacker(
    connection: &Connection,
    column: &str,
    key: String,
) -> rusqlite::Result<Option<Attacker>> {
    rows::select_one(connection, &format!("{ATTACKER} WHERE {column} = ?"), [key], read_attacker)
}

/// Attackers whose `column` is one of `keys`.
pub(crate) fn attackers_in(
    connection: &Connection,
    column: &str,
    keys: &[String],
) -> rusqlite::Result<Vec<Attacker>> {
    rows::select_in(connection, ATTACKER, column, keys, read_attacker)
}

/// Attackers, newest first; counted.
pub(crate) fn attackers(
    connection: &Connection,
    cursor: Option<AttackerId>,
    limit: usize,
) -> rusqlite::Result<Page<Attacker, AttackerId>> {
    let cursor = cursor.map(|id| id.to_string());
    let found = newest(connection, ATTACKER, cursor, limit, read_attacker)?;
    let page = Page::of(found, rows::page_size(limit), |attacker| attacker.id);
    Ok(Page { total: Some(count(connection, "attackers")?), ..page })
}

/// The identity of this id.
pub(crate) fn identity(
    connection: &Connection,
    id: IdentityId,
) -> rusqlite::Result<Option<Identity>> {
    let sql = format!("{IDENTITY} WHERE id = ?");
    rows::select_one(connection, &sql, [id.to_string()], read_identity)
}

/// Identities of these ids.
pub(crate) fn identities_in(
    connection: &Connection,
    ids: &[String],
) -> rusqlite::Result<Vec<Identity>> {
    rows::select_in(connection, IDENTITY, "id", ids, read_identity)
}

/// Identities, newest first; counted.
pub(crate) fn identities(
    connection: &Connection,
    cursor: Option<IdentityId>,
    limit: usize,
) -> rusqlite::Result<Page<Identity, IdentityId>> {
    let cursor = cursor.map(|id| id.to_string());
    let found = newest(connection, IDENTITY, cursor, limit, read_identity)?;
    let page = Page::of(found, rows::page_size(limit), |identity| identity.id);
    Ok(Page { total: Some(count(connection, "identities")?), ..page })
}

/// The session of this id.
pub(crate) fn session(connection: &Connection, id: SessionId) -> rusqlite::Result<Option<Session>> {
    let sql = format!("{SESSION} WHERE id = ?");
    rows::select_one(connection, &sql, [id.to_string()], read_session)
}

/// Sessions of these ids.
pub(crate) fn sessions_in(
    connection: &Connection,
    ids: &[String],
) -> rusqlite::Result<Vec<Session>> {
    rows::select_in(connection, SESSION, "id", ids, read_session)
}

/// Sessions that have no end, oldest first.
pub(crate) fn open_sessions(connection: &Connection) -> rusqlite::Result<Vec<Session>> {
    let sql = format!("{SESSION} WHERE ended_at IS NULL ORDER BY id");
    rows::select(connection, &sql, [], read_session)
}

/// Sessions, newest first.
pub(crate) fn sessions(
    connection: &Connection,
    filter: SessionFilter,
    cursor: Option<SessionId>,
    limit: usize,
) -> rusqlite::Result<Page<Session, SessionId>> {
    let limit = rows::page_size(limit);
    // Only the conditions that are asked for, so that each combination can use its index.
    let mut conditions = vec!["true"];
    let mut values: Vec<String> = Vec::new();
    let mut narrow = |condition, value: Option<String>| {
        if let Some(value) = value {
            conditions.push(condition);
            values.push(value);
        }
    };
    narrow("attacker_id = ?", filter.attacker.map(|id| id.to_string()));
    narrow("decky_id = ?", filter.decky.map(|id| id.to_string()));
    narrow("id < ?", cursor.map(|id| id.to_string()));
    match filter.live {
        Some(true) => conditions.push("ended_at IS NULL"),
        Some(false) => conditions.push("ended_at IS NOT NULL"),
        None => {}
    }
    let conditions = conditions.join(" AND ");
    let limit_shown = rows::one_more(limit);
    let sql = format!("{SESSION} WHERE {conditions} ORDER BY id DESC LIMIT {limit_shown}");
    let found = rows::select(connection, &sql, rusqlite::params_from_iter(values), read_session)?;
    Ok(Page::of(found, limit, |session| session.id))
}

/// What happened in a session, in order.
pub(crate) fn activity(
    connection: &Connection,
    session: SessionId,
) -> rusqlite::Result<Vec<Activity>> {
    let sql = "SELECT session_id, place, at, kind, text FROM activity
        WHERE session_id = ? ORDER BY place";
    rows::select(connection, sql, [session.to_string()], |row| {
        let mut columns = Columns::of(row);
        Ok(Activity {
            session_id: columns.text()?,
            index: columns.number()?,
            at: columns.moment()?,
            kind: columns.text()?,
            text: columns.string()?,
        })
    })
}

/// The credential of this hash.
pub(crate) fn credential(
    connection: &Connection,
    hash: String,
) -> rusqlite::Result<Option<Credential>> {
    rows::select_one(connection, &format!("{CREDENTIAL} WHERE hash = ?"), [hash], read_credential)
}

/// Credentials of these hashes.
pub(crate) fn credentials_in(
    connection: &Connection,
    hashes: &[String],
) -> rusqlite::Result<Vec<Credential>> {
    rows::select_in(connection, CREDENTIAL, "hash", hashes, read_credential)
}

/// Credentials, newest first.
pub(crate) fn credentials(
    connection: &Connection,
    cursor: Option<CredentialId>,
    limit: usize,
) -> rusqlite::Result<Page<Credential, CredentialId>> {
    let cursor = cursor.map(|id| id.to_string());
    let found = newest(connection, CREDENTIAL, cursor, limit, read_credential)?;
    Ok(Page::of(found, rows::page_size(limit), |credential| credential.id))
}

/// One row more than a page holds, newest first, after the cursor.
fn newest<T>(
    connection: &Connection,
    select: &str,
    cursor: Option<String>,
    limit: usize,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let limit = rows::one_more(rows::page_size(limit));
    match cursor {
        Some(cursor) => {
            let sql = format!("{select} WHERE id < ? ORDER BY id DESC LIMIT ?");
            rows::select(connection, &sql, (cursor, limit), read)
        }
        None => {
            rows::select(connection, &format!("{select} ORDER BY id DESC LIMIT ?"), [limit], read)
        }
    }
}

fn count(connection: &Connection, table: &str) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(&format!("SELECT COUNT(*) FROM {table}"))?
        .query_row([], |row| Columns::of(row).number())
}

fn read_attacker(row: &Row<'_>) -> rusqlite::Result<Attacker> {
    let mut columns = Columns::of(row);
    Ok(Attacker {
        id: columns.text()?,
        address: columns.text()?,
        identity_id: columns.text()?,
        first_seen: columns.moment()?,
        last_seen: columns.moment()?,
        score: columns.number()?,
        reasons: columns.json()?,
        sessions: columns.number()?,
        logins: columns.number()?,
        logins_accepted: columns.number()?,
        commands: columns.number()?,
        requests: columns.number()?,
        uploads: columns.number()?,
        downloads: columns.number()?,
        deckies: columns.json()?,
        lans: columns.json()?,
        services: columns.json()?,
        fingerprints: columns.json()?,
    })
}

/// Writes whole rows in place of those of the same id.
pub(crate) fn put_attackers(
    connection: &Connection,
    attackers: &[Attacker],
) -> rusqlite::Result<()> {
    let into = "attackers (id, address, identity_id, first_seen, last_seen, score, reasons, \
        sessions, logins, logins_accepted, commands, requests, uploads, downloads, deckies, \
        lans, services, fingerprints)";
    rows::insert(connection, into, &rows::replacing(into), attackers, |row, attacker| {
        row.put(attacker.id.to_string())?
            .put(attacker.address.to_string())?
            .put(attacker.identity_id.to_string())?
            .put(attacker.first_seen.as_micros())?
            .put(attacker.last_seen.as_micros())?
            .put(attacker.score)?
            .put(rows::json(&attacker.reasons))?
            .put(int(attacker.sessions))?
            .put(int(attacker.logins))?
            .put(int(attacker.logins_accepted))?
            .put(int(attacker.commands))?
            .put(int(attacker.requests))?
            .put(int(attacker.uploads))?
            .put(int(attacker.downloads))?
            .put(rows::json(&attacker.deckies))?
            .put(rows::json(&attacker.lans))?
            .put(rows::json(&attacker.services))?
            .put(rows::json(&attacker.fingerprints))?;
        Ok(())
    })
}

fn read_identity(row: &Row<'_>) -> rusqlite::Result<Identity> {
    let mut columns = Columns::of(row);
    Ok(Identity {
        id: columns.text()?,
        formed_at: columns.moment()?,
        last_seen: columns.moment()?,
        attacker_ids: columns.json()?,
        score: columns.number()?,
    })
}

/// Writes whole rows in place of those of the same id.
pub(crate) fn put_identities(
    connection: &Connection,
    identities: &[Identity],
) -> rusqlite::Result<()> {
    let into = "identities (id, formed_at, last_seen, attacker_ids, score)";
    rows::insert(connection, into, &rows::replacing(into), identities, |row, identity| {
        row.put(identity.id.to_string())?
            .put(identity.formed_at.as_micros())?
            .put(identity.last_seen.as_micros())?
            .put(rows::json(&identity.attacker_ids))?
            .put(identity.score)?;
        Ok(())
    })
}

fn read_session(row: &Row<'_>) -> rusqlite::Result<Session> {
    let mut columns = Columns::of(row);
    Ok(Session {
        id: columns.text()?,
        attacker_id: columns.text()?,
        decky_id: columns.text()?,
        topology_id: columns.text()?,
        lan_id: columns.text()?,
        service: columns.text()?,
        peer: columns.string()?,
        started_at: columns.moment()?,
        ended_at: columns.maybe(Columns::moment)?,
        bytes_in: columns.number()?,
        bytes_out: columns.number()?,
        logins: columns.number()?,
        commands: columns.number()?,
        requests: columns.number()?,
        uploads: columns.number()?,
        truncated: columns.maybe(Columns::text)?,
        next_index: columns.number()?,
    })
}

/// Writes whole rows in place of those of the same id, unless these are further on.
pub(crate) fn put_sessions(connection: &Connection, sessions: &[Session]) -> rusqlite::Result<()> {
    let into = "sessions (id, attacker_id, decky_id, topology_id, lan_id, service, peer, \
        started_at, ended_at, bytes_in, bytes_out, logins, commands, requests, uploads, \
        truncated, next_index)";
    let tail =
        format!("{} WHERE excluded.next_index >= sessions.next_index", rows::replacing(into));
    rows::insert(connection, into, &tail, sessions, |row, session| {
        row.put(session.id.to_string())?
            .put(session.attacker_id.to_string())?
            .put(session.decky_id.to_string())?
            .put(session.topology_id.to_string())?
            .put(session.lan_id.to_string())?
            .put(session.service.as_str())?
            .put(session.peer.as_str())?
            .put(session.started_at.as_micros())?
            .put(session.ended_at.map(|at| at.as_micros()))?
            .put(int(session.bytes_in))?
            .put(int(session.bytes_out))?
            .put(session.logins)?
            .put(session.commands)?
            .put(session.requests)?
            .put(session.uploads)?
            .put(session.truncated.map(Truncation::as_str))?
            .put(session.next_index)?;
        Ok(())
    })
}

/// Adds what is not there yet.
pub(crate) fn put_activity(connection: &Connection, activity: &[Activity]) -> rusqlite::Result<()> {
    let into = "activity (session_id, place, at, kind, text)";
    let tail = "ON CONFLICT (session_id, place) DO NOTHING";
    rows::insert(connection, into, tail, activity, |row, activity| {
        row.put(activity.session_id.to_string())?
            .put(activity.index)?
            .put(activity.at.as_micros())?
            .put(activity.kind.as_str())?
            .put(activity.text.as_str())?;
        Ok(())
    })
}

fn read_credential(row: &Row<'_>) -> rusqlite::Result<Credential> {
    let mut columns = Columns::of(row);
    Ok(Credential {
        id: columns.text::<CredentialId>()?,
        hash: columns.string()?,
        principal: columns.string()?,
        secret: columns.string()?,
        kind: columns.string()?,
        first_seen: columns.moment()?,
        last_seen: columns.moment()?,
        tries: columns.number()?,
    })
}

/// Writes whole rows in place of those of the same id.
pub(crate) fn put_credentials(
    connection: &Connection,
    credentials: &[Credential],
) -> rusqlite::Result<()> {
    let into = "credentials (id, hash, principal, secret, kind, first_seen, last_seen, tries)";
    rows::insert(connection, into, &rows::replacing(into), credentials, |row, credential| {
        row.put(credential.id.to_string())?
            .put(credential.hash.as_str())?
            .put(credential.principal.as_str())?
            .put(credential.secret.as_str())?
            .put(credential.kind.as_str())?
            .put(credential.first_seen.as_micros())?
            .put(credential.last_seen.as_micros())?
            .put(int(credential.tries))?;
        Ok(())
    })
}
