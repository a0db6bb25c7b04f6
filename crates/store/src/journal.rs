//! The journal: what was said, in commit order.

use std::sync::Arc;

use model::JournalEntry;
use rusqlite::{Connection, Row};
use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::{
    Store, StoreError,
    rows::{self, Columns, int},
    writer::Fault,
};

/// Most entries that one [`Store::journal_after`] answers; larger limits are cut to it.
pub const MAX_ENTRIES: usize = 10_000;

/// Entries that one transaction of [`Store::prune_journal`] removes, so that others get their
/// turn in between.
const PRUNED_AT_ONCE: u64 = 5000;

impl Store {
    /// Position of the newest entry that is committed; 0 where there is none.
    pub fn journal_head(&self) -> u64 {
        *self.head().borrow()
    }

    /// Tells of every new head, after its commit.
    pub fn watch_journal(&self) -> watch::Receiver<u64> {
        self.head().clone()
    }

    /// The entries after `seq`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn journal_after(
        &self,
        seq: u64,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, StoreError> {
        let limit = int(limit.min(MAX_ENTRIES) as u64);
        self.read("read the journal", move |connection| {
            let sql = "SELECT v, id, seq, topic, kind, ts, payload, context FROM journal
                WHERE seq > ? ORDER BY seq LIMIT ?";
            rows::select(connection, sql, (int(seq), limit), entry)
        })
        .await
    }

    /// Position of the oldest entry that is kept; one after the head where there is none. Who
    /// has seen less than the one before it cannot resume.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn journal_oldest(&self) -> Result<u64, StoreError> {
        self.read("read the journal", |connection| Ok(range(connection)?.0)).await
    }

    /// Removes all entries but the newest `keep` (at least one stays), a few thousand per
    /// transaction; answers how many went.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn prune_journal(&self, keep: u64) -> Result<u64, StoreError> {
        let (oldest, head) = self.read("read the journal", range).await?;
        let last = head.saturating_sub(keep.max(1));
        let mut removed = 0;
        let mut upto = oldest.saturating_sub(1);
        while upto < last {
            upto = last.min(upto + PRUNED_AT_ONCE);
            removed += self
                .write("prune the journal", move |tx| -> Result<usize, Fault<StoreError>> {
                    let sql = "DELETE FROM journal WHERE seq <= ?";
                    Ok(rows::run(tx.connection, sql, [int(upto)])?)
                })
                .await? as u64;
        }
        Ok(removed)
    }
}

/// Positions of the oldest and of the newest entry, as [`Store::journal_oldest`] and
/// [`Store::journal_head`] have them.
pub(crate) fn range(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    // Two subqueries: SQLite walks the whole table for MIN and MAX side by side.
    let sql = "SELECT (SELECT MIN(seq) FROM journal), (SELECT COALESCE(MAX(seq), 0) FROM journal)";
    connection.prepare_cached(sql)?.query_row([], |row| {
        let mut columns = Columns::of(row);
        let oldest = columns.maybe(Columns::number)?;
        let head = columns.number()?;
        Ok((oldest.unwrap_or(head + 1), head))
    })
}

/// The newest position that this read transaction sees.
pub(crate) fn head(connection: &Connection) -> rusqlite::Result<u64> {
    range(connection).map(|(_, head)| head)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<JournalEntry> {
    let mut columns = Columns::of(row);
    Ok(JournalEntry {
        v: columns.number()?,
        id: columns.text()?,
        seq: Some(columns.number()?),
        topic: columns.text()?,
        kind: columns.string()?,
        ts: columns.moment()?,
        payload: payload(columns.string()?)?,
        context: columns.maybe(Columns::json)?.unwrap_or_default(),
    })
}

fn payload(text: String) -> rusqlite::Result<Arc<RawValue>> {
    match RawValue::from_string(text) {
        Ok(payload) => Ok(payload.into()),
        Err(error) => Err(rows::unreadable(6, Box::new(error))),
    }
}
