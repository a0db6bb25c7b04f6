//! Pages, and how values of the model stand in columns: ids, words and hashes as text, moments
//! as microseconds, counters as 64-bit integers, flags as 0 and 1, lists as JSON.

use std::{error::Error, str::FromStr};

use model::Timestamp;
use rusqlite::{
    Connection, Row, Statement, ToSql,
    types::{Type, ValueRef},
};
use serde::{Serialize, de::DeserializeOwned};

/// Most rows that one page of a list holds; larger limits are cut to it.
pub const MAX_PAGE: usize = 1000;

/// Rows of one multi-row statement. A few sizes only, so that prepared statements are used
/// again; the widest table stays far below SQLite's 32,766 variables.
const CHUNKS: [usize; 3] = [64, 8, 1];

/// Rows of a list, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, C> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins: the id of the last row here. `None` at the end.
    pub next: Option<C>,
    /// Rows of the whole list, where the list counts them (attackers and identities).
    pub total: Option<u64>,
}

/// The first page of a list together with the journal position at which it was true: both from
/// one read transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot<T, C> {
    /// The journal's head.
    pub head: u64,
    /// The page.
    pub page: Page<T, C>,
}

impl<T, C> Page<T, C> {
    /// A page of what a query found that was asked for one row more than `limit`.
    pub(crate) fn of(mut items: Vec<T>, limit: usize, id: impl Fn(&T) -> C) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(id) } else { None };
        Self { items, next, total: None }
    }
}

/// A caller's limit within what a page may hold.
pub(crate) fn page_size(limit: usize) -> usize {
    limit.clamp(1, MAX_PAGE)
}

/// What to ask a query for, so that [`Page::of`] sees whether there is more.
pub(crate) fn one_more(limit: usize) -> i64 {
    int(limit as u64 + 1)
}

/// A counter as a column holds it; beyond 2^63 it stays there.
pub(crate) fn int(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A value as JSON.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("rows serialise: their keys are strings")
}

/// Bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads the columns of a row one after the other.
pub(crate) struct Columns<'a> {
    row: &'a Row<'a>,
    at: usize,
}

impl<'a> Columns<'a> {
    pub(crate) fn of(row: &'a Row<'a>) -> Self {
        Self { row, at: 0 }
    }

    fn advance(&mut self) -> usize {
        self.at += 1;
        self.at - 1
    }

    fn is_null(&self) -> rusqlite::Result<bool> {
        Ok(self.row.get_ref(self.at)? == ValueRef::Null)
    }

    /// `None` where the column is null, else what `read` makes of it.
    pub(crate) fn maybe<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        if self.is_null()? {
            self.advance();
            return Ok(None);
        }
        read(self).map(Some)
    }

    /// A plain text.
    pub(crate) fn string(&mut self) -> rusqlite::Result<String> {
        let at = self.advance();
        self.row.get(at)
    }

    /// An id, a word, a name or an address.
    pub(crate) fn text<T>(&mut self) -> rusqlite::Result<T>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        let at = self.advance();
        let text = self.row.get_ref(at)?.as_str()?;
        text.parse().map_err(|e| unreadable(at, Box::new(e)))
    }

    /// A moment.
    pub(crate) fn moment(&mut self) -> rusqlite::Result<Timestamp> {
        let at = self.advance();
        self.row.get(at).map(Timestamp::from_micros)
    }

    /// A counter or a coordinate.
    pub(crate) fn number<T: TryFrom<i64>>(&mut self) -> rusqlite::Result<T> {
        let at = self.advance();
        let number: i64 = self.row.get(at)?;
        T::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(at, number))
    }

    /// A flag.
    pub(crate) fn flag(&mut self) -> rusqlite::Result<bool> {
        self.number::<i64>().map(|n| n != 0)
    }

    /// Bytes that stand there as hex.
    pub(crate) fn hex<const N: usize>(&mut self) -> rusqlite::Result<[u8; N]> {
        let at = self.advance();
        let text = self.row.get_ref(at)?.as_str()?;
        let mut bytes = [0; N];
        let pair = |place: usize| {
            let digits = text.get(2 * place..2 * place + 2)?;
            u8::from_str_radix(digits, 16).ok()
        };
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = pair(place).ok_or_else(|| unreadable(at, "no hex of that length".into()))?;
        }
        Ok(bytes)
    }

    /// A list or another JSON value.
    pub(crate) fn json<T: DeserializeOwned>(&mut self) -> rusqlite::Result<T> {
        let at = self.advance();
        let text = self.row.get_ref(at)?.as_str()?;
        serde_json::from_str(text).map_err(|e| unreadable(at, Box::new(e)))
    }
}

/// A column that holds what it cannot hold.
pub(crate) fn unreadable(at: usize, source: Box<dyn Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, Type::Text, source)
}

/// Binds the values of a multi-row statement one after the other.
pub(crate) struct Binder<'a, 'conn> {
    statement: &'a mut Statement<'conn>,
    next: usize,
}

impl Binder<'_, '_> {
    pub(crate) fn put(&mut self, value: impl ToSql) -> rusqlite::Result<&mut Self> {
        self.statement.raw_bind_parameter(self.next, value)?;
        self.next += 1;
        Ok(self)
    }
}

/// Inserts `rows` by as few statements as [`CHUNKS`] allow. `into` names table and columns, and
/// `tail` says what to do on conflict.
pub(crate) fn insert<T>(
    connection: &Connection,
    into: &str,
    tail: &str,
    rows: &[T],
    bind: impl Fn(&mut Binder<'_, '_>, &T) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let columns = into.matches(',').count() + 1;
    let tuple = format!("({})", vec!["?"; columns].join(","));
    let mut rest = rows;
    while !rest.is_empty() {
        let size = CHUNKS.into_iter().find(|size| *size <= rest.len()).unwrap_or(1);
        let (now, later) = rest.split_at(size);
        let tuples = vec![tuple.as_str(); size].join(",");
        let mut statement =
            connection.prepare_cached(&format!("INSERT INTO {into} VALUES {tuples} {tail}"))?;
        let mut binder = Binder { statement: &mut statement, next: 1 };
        now.iter().try_for_each(|row| bind(&mut binder, row))?;
        statement.raw_execute()?;
        rest = later;
    }
    Ok(())
}

/// The tail of an insert that replaces all columns of a row whose id is there already.
pub(crate) fn replacing(into: &str) -> String {
    let (_, columns) = into.trim_end_matches(')').split_once('(').unwrap_or_default();
    let assignments: Vec<String> = columns
        .split(',')
        .map(str::trim)
        .filter(|column| *column != "id")
        .map(|column| format!("{column} = excluded.{column}"))
        .collect();
    format!("ON CONFLICT (id) DO UPDATE SET {}", assignments.join(", "))
}

/// The texts, each once.
pub(crate) fn distinct(mut texts: Vec<String>) -> Vec<String> {
    texts.sort_unstable();
    texts.dedup();
    texts
}

/// The rows of `select` whose `column` is one of `keys`; in no particular order.
pub(crate) fn select_in<T>(
    connection: &Connection,
    select: &str,
    column: &str,
    keys: &[String],
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut found = Vec::with_capacity(keys.len());
    for some in keys.chunks(CHUNKS[0]) {
        let size = CHUNKS.into_iter().rev().find(|size| *size >= some.len()).unwrap_or(CHUNKS[0]);
        let marks = vec!["?"; size].join(",");
        let mut statement =
            connection.prepare_cached(&format!("{select} WHERE {column} IN ({marks})"))?;
        // Places left over repeat the last key.
        let last = some.len() - 1;
        let padded = (0..size).map(|at| &some[at.min(last)]);
        let rows = statement.query_map(rusqlite::params_from_iter(padded), |row| read(row))?;
        for row in rows {
            found.push(row?);
        }
    }
    Ok(found)
}

/// All rows of a query.
pub(crate) fn select<T>(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(params, |row| read(row))?.collect()
}

/// The only row of a query, where there is one.
pub(crate) fn select_one<T>(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    use rusqlite::OptionalExtension as _;
    connection.prepare_cached(sql)?.query_row(params, read).optional()
}

/// Runs a statement that answers nothing; how many rows it changed.
pub(crate) fn run(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> rusqlite::Result<usize> {
    connection.prepare_cached(sql)?.execute(params)
}
