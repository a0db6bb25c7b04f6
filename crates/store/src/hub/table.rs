//! What the tables of the hub have in common: loading, paging, keeping, removing.

use std::fmt::Display;

use model::{
    TypedId,
    hub::{Refusal, Slug, Stamps},
};
use rusqlite::{Connection, Row, ToSql};

use super::HubError;
use crate::{
    Page,
    rows::{self, Binder, Columns, one_more, page_size},
    writer::{Fault, Tx},
};

/// What a change of the hub answers within the writer.
pub(super) type Outcome<T> = Result<T, Fault<HubError>>;

/// A kind of thing with a table of its own, in which it has the alias `r`.
pub(super) trait Table: Sized + Clone + PartialEq {
    /// Its ids.
    type Id: TypedId + Display;
    /// What one is called.
    const NOUN: &'static str;
    /// `SELECT … FROM … r …`, without conditions; begins with the columns that `read` reads.
    const SELECT: &'static str;
    /// `table (id, …)`, in the order of `bind`.
    const INTO: &'static str;
    /// Who may refer to one: table, column, and what to call them.
    const REFERRERS: &'static [(&'static str, &'static str, &'static str)];

    fn read(columns: &mut Columns<'_>) -> rusqlite::Result<Self>;
    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()>;
    fn id(&self) -> Self::Id;
    /// `None` where rows never change.
    fn stamps(&mut self) -> Option<&mut Stamps>;
}

/// A kind of thing whose table has a column `slug`.
pub(super) trait Named: Table {}

/// A condition on a list: SQL with at most one place, and what stands there.
pub(super) type Condition = (&'static str, Option<String>);

/// The conditions that are wanted.
pub(super) fn conditions(all: impl IntoIterator<Item = Option<Condition>>) -> Vec<Condition> {
    all.into_iter().flatten().collect()
}

/// `column = value`, where a value is wanted.
pub(super) fn equal(sql: &'static str, value: Option<impl Display>) -> Option<Condition> {
    value.map(|value| (sql, Some(value.to_string())))
}

fn read<T: Table>(row: &Row<'_>) -> rusqlite::Result<T> {
    T::read(&mut Columns::of(row))
}

pub(super) fn load<T: Table>(connection: &Connection, id: T::Id) -> rusqlite::Result<Option<T>> {
    load_by(connection, &id.to_string())
}

/// The same, by the text of an id.
pub(super) fn load_by<T: Table>(connection: &Connection, id: &str) -> rusqlite::Result<Option<T>> {
    let sql = format!("{} WHERE r.id = ?", T::SELECT);
    rows::select_one(connection, &sql, [id], read)
}

pub(super) fn named<T: Named>(connection: &Connection, slug: &Slug) -> rusqlite::Result<Option<T>> {
    let sql = format!("{} WHERE r.slug = ?", T::SELECT);
    rows::select_one(connection, &sql, [slug.as_str()], read)
}

/// The rows that meet all conditions, newest first.
pub(super) fn page<T: Table>(
    connection: &Connection,
    mut wanted: Vec<Condition>,
    after: Option<T::Id>,
    limit: usize,
) -> rusqlite::Result<Page<T, T::Id>> {
    wanted.extend(equal("r.id < ?", after));
    let all: Vec<&str> = wanted.iter().map(|(sql, _)| *sql).collect();
    let filter =
        if all.is_empty() { String::new() } else { format!("WHERE {}", all.join(" AND ")) };
    let sql = format!("{} {filter} ORDER BY r.id DESC LIMIT ?", T::SELECT);
    let limit = page_size(limit);
    let last = one_more(limit);
    let mut values: Vec<&dyn ToSql> = Vec::new();
    values.extend(wanted.iter().filter_map(|(_, value)| value.as_ref()).map(|v| v as &dyn ToSql));
    values.push(&last);
    let items = rows::select(connection, &sql, values.as_slice(), read)?;
    Ok(Page::of(items, limit, T::id))
}

/// Writes a row, new or changed.
pub(super) fn put<T: Table>(tx: &Tx<'_>, row: &T) -> rusqlite::Result<()> {
    let tail = rows::replacing(T::INTO);
    rows::insert(tx.connection, T::INTO, &tail, std::slice::from_ref(row), |binder, row| {
        row.bind(binder)
    })
}

/// The times and the version of a row that is made now.
pub(super) fn fresh(tx: &Tx<'_>) -> Stamps {
    let now = tx.now();
    Stamps { version: 1, created_at: now, updated_at: now }
}

/// The row to change, where it has the version that is insisted on.
pub(super) fn expect<T: Table>(tx: &Tx<'_>, id: T::Id, version: Option<u64>) -> Outcome<T> {
    let Some(mut row) = load::<T>(tx.connection, id)? else {
        return Err(Fault::Refused(HubError::Unknown { noun: T::NOUN }));
    };
    let current = row.stamps().map(|stamps| stamps.version);
    match (current, version) {
        (Some(current), Some(wanted)) if current != wanted => {
            let noun = T::NOUN;
            Err(Fault::Refused(HubError::VersionConflict { noun, current, wanted }))
        }
        _ => Ok(row),
    }
}

/// Keeps what became of a row: a new version, unless nothing changed.
pub(super) fn keep<T: Table>(tx: &Tx<'_>, before: &T, mut after: T) -> rusqlite::Result<T> {
    if after == *before {
        return Ok(after);
    }
    if let Some(stamps) = after.stamps() {
        stamps.version += 1;
        stamps.updated_at = tx.now();
    }
    put(tx, &after)?;
    // Read again: what is derived from other rows may have changed with it.
    Ok(load(tx.connection, after.id())?.unwrap_or(after))
}

/// Refuses a slug that another row of this kind has.
pub(super) fn free<T: Named>(tx: &Tx<'_>, slug: &Slug, own: Option<T::Id>) -> Outcome<()> {
    let holder = named::<T>(tx.connection, slug)?;
    let other = holder.filter(|row| own.is_none_or(|own| row.id().uuid() != own.uuid()));
    match other {
        Some(_) => Err(Fault::Refused(HubError::SlugTaken { noun: T::NOUN, slug: slug.clone() })),
        None => Ok(()),
    }
}

/// What a field refers to.
pub(super) fn referred<T: Table>(tx: &Tx<'_>, field: &'static str, id: T::Id) -> Outcome<T> {
    let found = load(tx.connection, id)?;
    let missing = || HubError::NoSuch { field, noun: T::NOUN, id: id.to_string() };
    found.ok_or_else(|| Fault::Refused(missing()))
}

/// Removes a row that nothing refers to.
pub(super) fn remove<T: Table>(tx: &Tx<'_>, id: T::Id, version: Option<u64>) -> Outcome<()> {
    expect::<T>(tx, id, version)?;
    for (table, column, by) in T::REFERRERS {
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE {column} = ?");
        let count = rows::select_one(tx.connection, &sql, [id.to_string()], |row| {
            Columns::of(row).number::<u64>()
        })?;
        if let Some(count @ 1..) = count {
            return Err(Fault::Refused(HubError::InUse { noun: T::NOUN, by, count }));
        }
    }
    let (table, _) = T::INTO.split_once(' ').unwrap_or_default();
    rows::run(tx.connection, &format!("DELETE FROM {table} WHERE id = ?"), [id.to_string()])?;
    Ok(())
}

/// A move that the model refuses.
pub(super) fn refused<T: Table>(
    from: &'static str,
    to: &'static str,
    why: Refusal,
) -> Fault<HubError> {
    Fault::Refused(HubError::Move { noun: T::NOUN, from, to, why })
}

/// Reads version and times.
pub(super) fn read_stamps(columns: &mut Columns<'_>) -> rusqlite::Result<Stamps> {
    Ok(Stamps {
        version: columns.number()?,
        created_at: columns.moment()?,
        updated_at: columns.moment()?,
    })
}

/// Binds version and times.
pub(super) fn bind_stamps(row: &mut Binder<'_, '_>, stamps: &Stamps) -> rusqlite::Result<()> {
    row.put(rows::int(stamps.version))?
        .put(stamps.created_at.as_micros())?
        .put(stamps.updated_at.as_micros())?;
    Ok(())
}

/// Puts `value` in the place of what is there, where there is one.
pub(super) fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}
