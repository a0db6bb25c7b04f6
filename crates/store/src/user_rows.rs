//! How users, browser sessions, API tokens and the one-time set-up stand in their tables.

use model::{Role, Timestamp, TokenId, UserId};
use rusqlite::{Connection, Row};

use crate::{
    ApiTokenRecord, NewApiToken, NewUser, NewWebSession, SetupError, SetupState, TokenHash,
    UserError, UserRecord, WebSessionRecord,
    rows::{self, Columns},
    writer::{Fault, Tx},
};

const USER: &str = "SELECT id, name, role, password_hash, disabled, created_at FROM users";

struct Setup {
    hash: Option<String>,
    expires_at: Option<Timestamp>,
    closed_at: Option<Timestamp>,
}

fn setup(connection: &Connection) -> rusqlite::Result<Setup> {
    let sql = "SELECT hash, expires_at, closed_at FROM setup";
    let row = rows::select_one(connection, sql, [], |row| {
        let mut columns = Columns::of(row);
        Ok(Setup {
            hash: columns.maybe(Columns::string)?,
            expires_at: columns.maybe(Columns::moment)?,
            closed_at: columns.maybe(Columns::moment)?,
        })
    })?;
    Ok(row.unwrap_or(Setup { hash: None, expires_at: None, closed_at: None }))
}

pub(crate) fn setup_state(connection: &Connection) -> rusqlite::Result<SetupState> {
    let setup = setup(connection)?;
    Ok(match (setup.closed_at, setup.expires_at) {
        (Some(_), _) => SetupState::Closed,
        (None, Some(expires_at)) => SetupState::Offered { expires_at },
        (None, None) => SetupState::Fresh,
    })
}

pub(crate) fn offer_setup(
    tx: &Tx<'_>,
    hash: TokenHash,
    expires_at: Timestamp,
) -> Result<(), Fault<SetupError>> {
    if setup_state(tx.connection)? == SetupState::Closed {
        return Err(Fault::Refused(SetupError::Closed));
    }
    let sql = "INSERT INTO setup (one, hash, expires_at) VALUES (1, ?, ?)
        ON CONFLICT (one) DO UPDATE SET hash = excluded.hash, expires_at = excluded.expires_at";
    rows::run(tx.connection, sql, (rows::hex(&hash.0), expires_at.as_micros()))?;
    Ok(())
}

pub(crate) fn consume_setup(
    tx: &Tx<'_>,
    secret: TokenHash,
    user: NewUser,
) -> Result<UserRecord, Fault<SetupError>> {
    let refused = |refusal| Err(Fault::Refused(refusal));
    let setup = setup(tx.connection)?;
    if setup.closed_at.is_some() {
        return refused(SetupError::Closed);
    }
    if setup.hash != Some(rows::hex(&secret.0)) {
        return refused(SetupError::Wrong);
    }
    if setup.expires_at.is_none_or(|at| at <= tx.now()) {
        return refused(SetupError::Expired);
    }
    let sql = "UPDATE setup SET hash = NULL, expires_at = NULL, closed_at = ?";
    rows::run(tx.connection, sql, [tx.now().as_micros()])?;
    Ok(insert(tx, user)?)
}

fn insert(tx: &Tx<'_>, user: NewUser) -> rusqlite::Result<UserRecord> {
    let user = UserRecord {
        id: tx.ambient().id(),
        name: user.name,
        role: user.role,
        password_hash: user.password_hash,
        disabled: false,
        created_at: tx.now(),
    };
    let sql = "INSERT INTO users (id, name, role, password_hash, disabled, created_at)
        VALUES (?, ?, ?, ?, 0, ?)";
    let (id, role, at) = (user.id.to_string(), user.role.as_str(), user.created_at.as_micros());
    rows::run(tx.connection, sql, (id, &user.name, role, &user.password_hash, at))?;
    Ok(user)
}

fn read_user(columns: &mut Columns<'_>) -> rusqlite::Result<UserRecord> {
    Ok(UserRecord {
        id: columns.text()?,
        name: columns.string()?,
        role: columns.text()?,
        password_hash: columns.string()?,
        disabled: columns.flag()?,
        created_at: columns.moment()?,
    })
}

fn user_row(row: &Row<'_>) -> rusqlite::Result<UserRecord> {
    read_user(&mut Columns::of(row))
}

pub(crate) fn users(connection: &Connection) -> rusqlite::Result<Vec<UserRecord>> {
    rows::select(connection, &format!("{USER} ORDER BY name"), [], user_row)
}

pub(crate) fn user(connection: &Connection, id: UserId) -> rusqlite::Result<Option<UserRecord>> {
    rows::select_one(connection, &format!("{USER} WHERE id = ?"), [id.to_string()], user_row)
}

pub(crate) fn user_named(
    connection: &Connection,
    name: &str,
) -> rusqlite::Result<Option<UserRecord>> {
    rows::select_one(connection, &format!("{USER} WHERE name = ?"), [name], user_row)
}

pub(crate) fn create(tx: &Tx<'_>, user: NewUser) -> Result<UserRecord, Fault<UserError>> {
    if user_named(tx.connection, &user.name)?.is_some() {
        return Err(Fault::Refused(UserError::NameTaken { name: user.name }));
    }
    Ok(insert(tx, user)?)
}

/// The user, who must be there.
fn existing(tx: &Tx<'_>, id: UserId) -> Result<UserRecord, Fault<UserError>> {
    user(tx.connection, id)?.ok_or(Fault::Refused(UserError::Unknown { id }))
}

/// Refuses to take the last administrator away.
fn keep_an_admin(tx: &Tx<'_>, user: &UserRecord) -> Result<(), Fault<UserError>> {
    if user.role != Role::Admin || user.disabled {
        return Ok(());
    }
    let sql = "SELECT 1 FROM users WHERE role = 'admin' AND disabled = 0 AND id <> ? LIMIT 1";
    match rows::select_one(tx.connection, sql, [user.id.to_string()], |_| Ok(()))? {
        Some(()) => Ok(()),
        None => Err(Fault::Refused(UserError::LastAdmin)),
    }
}

pub(crate) fn set_disabled(
    tx: &Tx<'_>,
    id: UserId,
    disabled: bool,
) -> Result<(), Fault<UserError>> {
    let user = existing(tx, id)?;
    if disabled {
        keep_an_admin(tx, &user)?;
        end_web_sessions(tx, id)?;
    }
    let sql = "UPDATE users SET disabled = ? WHERE id = ?";
    rows::run(tx.connection, sql, (i64::from(disabled), id.to_string()))?;
    Ok(())
}

pub(crate) fn set_role(tx: &Tx<'_>, id: UserId, role: Role) -> Result<(), Fault<UserError>> {
    let user = existing(tx, id)?;
    if role != Role::Admin {
        keep_an_admin(tx, &user)?;
    }
    let sql = "UPDATE users SET role = ? WHERE id = ?";
    rows::run(tx.connection, sql, (role.as_str(), id.to_string()))?;
    end_web_sessions(tx, id)?;
    Ok(())
}

pub(crate) fn set_password(
    tx: &Tx<'_>,
    id: UserId,
    password_hash: &str,
) -> Result<(), Fault<UserError>> {
    existing(tx, id)?;
    let sql = "UPDATE users SET password_hash = ? WHERE id = ?";
    rows::run(tx.connection, sql, (password_hash, id.to_string()))?;
    end_web_sessions(tx, id)?;
    Ok(())
}

pub(crate) fn delete(tx: &Tx<'_>, id: UserId) -> Result<(), Fault<UserError>> {
    let user = existing(tx, id)?;
    keep_an_admin(tx, &user)?;
    // Browser sessions and API tokens go with their user.
    rows::run(tx.connection, "DELETE FROM users WHERE id = ?", [id.to_string()])?;
    Ok(())
}

pub(crate) fn put_web_session(
    tx: &Tx<'_>,
    session: &NewWebSession,
) -> Result<(), Fault<UserError>> {
    let user = existing(tx, session.user_id)?;
    if user.disabled {
        return Err(Fault::Refused(UserError::Unknown { id: user.id }));
    }
    let now = tx.now().as_micros();
    let over = "DELETE FROM web_sessions WHERE idle_until <= ?";
    rows::run(tx.connection, over, [now])?;
    let sql = "INSERT INTO web_sessions (hash, user_id, created_at, idle_until, absolute_until)
        VALUES (?, ?, ?, ?, ?)";
    let idle_until = session.idle_until.min(session.absolute_until).as_micros();
    let absolute_until = session.absolute_until.as_micros();
    let hash = rows::hex(&session.hash.0);
    rows::run(tx.connection, sql, (hash, user.id.to_string(), now, idle_until, absolute_until))?;
    Ok(())
}

pub(crate) fn web_session(
    connection: &Connection,
    hash: TokenHash,
    now: Timestamp,
) -> rusqlite::Result<Option<WebSessionRecord>> {
    let sql = "SELECT u.id, u.name, u.role, u.password_hash, u.disabled, u.created_at,
            s.created_at, s.idle_until, s.absolute_until
        FROM web_sessions s JOIN users u ON u.id = s.user_id
        WHERE s.hash = ? AND s.idle_until > ? AND u.disabled = 0";
    rows::select_one(connection, sql, (rows::hex(&hash.0), now.as_micros()), |row| {
        let mut columns = Columns::of(row);
        Ok(WebSessionRecord {
            user: read_user(&mut columns)?,
            created_at: columns.moment()?,
            idle_until: columns.moment()?,
            absolute_until: columns.moment()?,
        })
    })
}

pub(crate) fn touch_web_session(
    tx: &Tx<'_>,
    hash: TokenHash,
    idle_until: Timestamp,
) -> rusqlite::Result<bool> {
    let sql = "UPDATE web_sessions
        SET idle_until = CASE WHEN absolute_until < ?1 THEN absolute_until ELSE ?1 END
        WHERE hash = ?2 AND idle_until > ?3";
    let values = (idle_until.as_micros(), rows::hex(&hash.0), tx.now().as_micros());
    Ok(rows::run(tx.connection, sql, values)? == 1)
}

pub(crate) fn delete_web_session(tx: &Tx<'_>, hash: TokenHash) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM web_sessions WHERE hash = ?";
    Ok(rows::run(tx.connection, sql, [rows::hex(&hash.0)])? == 1)
}

pub(crate) fn end_web_sessions(tx: &Tx<'_>, user: UserId) -> rusqlite::Result<u64> {
    let sql = "DELETE FROM web_sessions WHERE user_id = ?";
    Ok(rows::run(tx.connection, sql, [user.to_string()])? as u64)
}

pub(crate) fn put_api_token(
    tx: &Tx<'_>,
    token: NewApiToken,
) -> Result<ApiTokenRecord, Fault<UserError>> {
    let user = existing(tx, token.user_id)?;
    let taken = "SELECT 1 FROM api_tokens WHERE user_id = ? AND name = ?";
    let key = (user.id.to_string(), &token.name);
    if rows::select_one(tx.connection, taken, key, |_| Ok(()))?.is_some() {
        return Err(Fault::Refused(UserError::NameTaken { name: token.name }));
    }
    let kept = ApiTokenRecord {
        id: tx.ambient().id(),
        name: token.name,
        user_id: user.id,
        role: token.role,
        created_at: tx.now(),
        expires_at: token.expires_at,
    };
    let sql = "INSERT INTO api_tokens (id, hash, name, user_id, role, created_at, expires_at)
        VALUES (?, ?, ?, ?, ?, ?, ?)";
    let values = (
        kept.id.to_string(),
        rows::hex(&token.hash.0),
        &kept.name,
        kept.user_id.to_string(),
        kept.role.as_str(),
        kept.created_at.as_micros(),
        kept.expires_at.map(Timestamp::as_micros),
    );
    rows::run(tx.connection, sql, values)?;
    Ok(kept)
}

fn read_token(columns: &mut Columns<'_>) -> rusqlite::Result<ApiTokenRecord> {
    Ok(ApiTokenRecord {
        id: columns.text()?,
        name: columns.string()?,
        user_id: columns.text()?,
        role: columns.text()?,
        created_at: columns.moment()?,
        expires_at: columns.maybe(Columns::moment)?,
    })
}

pub(crate) fn api_token(
    connection: &Connection,
    hash: TokenHash,
    now: Timestamp,
) -> rusqlite::Result<Option<(ApiTokenRecord, UserRecord)>> {
    let sql = "SELECT t.id, t.name, t.user_id, t.role, t.created_at, t.expires_at,
            u.id, u.name, u.role, u.password_hash, u.disabled, u.created_at
        FROM api_tokens t JOIN users u ON u.id = t.user_id
        WHERE t.hash = ? AND (t.expires_at IS NULL OR t.expires_at > ?) AND u.disabled = 0";
    rows::select_one(connection, sql, (rows::hex(&hash.0), now.as_micros()), |row| {
        let mut columns = Columns::of(row);
        Ok((read_token(&mut columns)?, read_user(&mut columns)?))
    })
}

pub(crate) fn api_tokens(
    connection: &Connection,
    user: Option<UserId>,
) -> rusqlite::Result<Vec<ApiTokenRecord>> {
    let sql = "SELECT id, name, user_id, role, created_at, expires_at FROM api_tokens
        WHERE ?1 IS NULL OR user_id = ?1 ORDER BY id DESC";
    rows::select(connection, sql, [user.map(|id| id.to_string())], |row| {
        read_token(&mut Columns::of(row))
    })
}

pub(crate) fn revoke_api_token(tx: &Tx<'_>, id: TokenId) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM api_tokens WHERE id = ?";
    Ok(rows::run(tx.connection, sql, [id.to_string()])? == 1)
}
