//! Where each sink of the relay stands in the journal, and what it refused for good: its dead
//! letters. What a sink is and how it delivers stays outside.

use std::collections::BTreeMap;

use model::{JournalEntry, Timestamp};
use rusqlite::{Connection, Row};

use crate::{
    Page, Store, StoreError,
    rows::{self, Columns, int},
    writer::{Fault, Tx},
};

/// Most dead letters of one sink. Beyond it none is taken, so the sink stops where it is until
/// somebody has them retried; the journal keeps what follows.
pub const MAX_DEAD_LETTERS: u64 = 10_000;

const SELECT: &str =
    "SELECT id, sink, entry, attempts, reason, buried_at, retrying FROM dead_letters";

/// How far a sink has come since it was saved last.
#[derive(Clone, Debug, Default)]
pub struct SinkProgress {
    /// Everything up to here is delivered, not wanted, or a dead letter. `None` for a sink whose
    /// position is not kept.
    pub position: Option<u64>,
    /// What it refused for good.
    pub dead: Vec<NewDeadLetter>,
}

/// An entry that a sink refused for good.
#[derive(Clone, Debug)]
pub struct NewDeadLetter {
    /// The entry; it has its place in the journal.
    pub entry: JournalEntry,
    /// How often its delivery was tried.
    pub attempts: u32,
    /// Why it was refused, in words for an operator.
    pub reason: String,
}

/// A dead letter as kept.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Its number, growing.
    pub id: u64,
    /// The sink that refused it.
    pub sink: String,
    /// What was refused.
    pub entry: JournalEntry,
    /// How often its delivery was tried.
    pub attempts: u32,
    /// Why it was refused the last time.
    pub reason: String,
    /// When that was.
    pub buried_at: Timestamp,
    /// Whether it waits to be delivered again.
    pub retrying: bool,
}

/// Why a sink's progress was not kept.
#[derive(Debug, thiserror::Error)]
pub enum BuryError {
    /// The sink has as many dead letters as it may.
    #[error("{sink} has {MAX_DEAD_LETTERS} dead letters, and no room for more")]
    Full {
        /// The sink.
        sink: String,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// How far this sink has come; `None` where it has never been saved.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn sink_position(&self, sink: &str) -> Result<Option<u64>, StoreError> {
        let sink = sink.to_owned();
        self.read("read the position of a sink", move |connection| {
            let sql = "SELECT position FROM sink_cursors WHERE sink = ?";
            rows::select_one(connection, sql, [sink], |row| Columns::of(row).number())
        })
        .await
    }

    /// Keeps how far a sink has come, with its new dead letters, in one transaction. A position
    /// never goes back, and an entry is buried once.
    ///
    /// # Errors
    /// Where the sink has too many dead letters, or the database fails; then nothing is kept.
    pub async fn save_sink(&self, sink: &str, progress: SinkProgress) -> Result<(), BuryError> {
        let sink = sink.to_owned();
        self.write("keep the position of a sink", move |tx| save(tx, sink, &progress)).await
    }

    /// How many dead letters each sink has; sinks without any are not there.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn dead_letter_counts(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        self.read("count dead letters", |connection| {
            let sql = "SELECT sink, COUNT(*) FROM dead_letters GROUP BY sink";
            let counts = rows::select(connection, sql, [], |row| {
                let mut columns = Columns::of(row);
                Ok((columns.string()?, columns.number()?))
            });
            Ok(counts?.into_iter().collect())
        })
        .await
    }

    /// The dead letters of a sink, newest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn dead_letters(
        &self,
        sink: &str,
        cursor: Option<u64>,
        limit: usize,
    ) -> Result<Page<DeadLetter, u64>, StoreError> {
        let sink = sink.to_owned();
        self.read("list dead letters", move |connection| page(connection, &sink, cursor, limit))
            .await
    }

    /// Marks the dead letter of this number, or all of the sink, to be delivered again; answers
    /// how many wait now that did not before.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn retry_dead_letters(&self, sink: &str, id: Option<u64>) -> Result<u64, StoreError> {
        let sink = sink.to_owned();
        self.write("retry dead letters", move |tx| -> Result<u64, Fault<StoreError>> {
            let sql = "UPDATE dead_letters SET retrying = 1
                WHERE sink = ? AND retrying = 0 AND (?2 IS NULL OR id = ?2)";
            Ok(rows::run(tx.connection, sql, (sink, id.map(int)))? as u64)
        })
        .await
    }

    /// The dead letters of a sink that wait to be delivered again, oldest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn retrying_dead_letters(
        &self,
        sink: &str,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let (sink, limit) = (sink.to_owned(), int(rows::page_size(limit) as u64));
        self.read("read dead letters to retry", move |connection| {
            let sql = format!("{SELECT} WHERE sink = ? AND retrying = 1 ORDER BY id LIMIT ?");
            rows::select(connection, &sql, (sink, limit), read)
        })
        .await
    }

    /// Ends the retry of a dead letter: removed where it was delivered, else kept with the new
    /// reason and one attempt more.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn settle_dead_letter(
        &self,
        id: u64,
        outcome: Result<(), String>,
    ) -> Result<(), StoreError> {
        self.write("end the retry of a dead letter", move |tx| -> Result<(), Fault<StoreError>> {
            let now = tx.now().as_micros();
            match &outcome {
                Ok(()) => {
                    rows::run(tx.connection, "DELETE FROM dead_letters WHERE id = ?", [int(id)])
                }
                Err(reason) => {
                    let sql = "UPDATE dead_letters SET retrying = 0, attempts = attempts + 1,
                        reason = ?, buried_at = ? WHERE id = ?";
                    rows::run(tx.connection, sql, (reason, now, int(id)))
                }
            }?;
            Ok(())
        })
        .await
    }
}

fn save(tx: &mut Tx<'_>, sink: String, progress: &SinkProgress) -> Result<(), Fault<BuryError>> {
    let now = tx.now().as_micros();
    if let Some(position) = progress.position {
        let sql = "INSERT INTO sink_cursors (sink, position, saved_at) VALUES (?, ?, ?)
            ON CONFLICT (sink) DO UPDATE
            SET position = excluded.position, saved_at = excluded.saved_at
            WHERE excluded.position >= sink_cursors.position";
        rows::run(tx.connection, sql, (&sink, int(position), now))?;
    }
    if progress.dead.is_empty() {
        return Ok(());
    }
    bury(tx.connection, &sink, &progress.dead, now)?;
    if buried(tx.connection, &sink)? > MAX_DEAD_LETTERS {
        return Err(Fault::Refused(BuryError::Full { sink }));
    }
    Ok(())
}

fn bury(
    connection: &Connection,
    sink: &str,
    dead: &[NewDeadLetter],
    now: i64,
) -> rusqlite::Result<()> {
    let into = "dead_letters (sink, seq, entry, attempts, reason, buried_at, retrying)";
    rows::insert(connection, into, "ON CONFLICT (sink, seq) DO NOTHING", dead, |row, letter| {
        row.put(sink)?
            .put(int(letter.entry.seq.unwrap_or(0)))?
            .put(rows::json(&letter.entry))?
            .put(letter.attempts)?
            .put(&letter.reason)?
            .put(now)?
            .put(0)?;
        Ok(())
    })
}

fn buried(connection: &Connection, sink: &str) -> rusqlite::Result<u64> {
    let sql = "SELECT COUNT(*) FROM dead_letters WHERE sink = ?";
    let count = rows::select_one(connection, sql, [sink], |row| Columns::of(row).number())?;
    Ok(count.unwrap_or(0))
}

fn page(
    connection: &Connection,
    sink: &str,
    cursor: Option<u64>,
    limit: usize,
) -> rusqlite::Result<Page<DeadLetter, u64>> {
    let limit = rows::page_size(limit);
    let sql = format!("{SELECT} WHERE sink = ? AND id < ? ORDER BY id DESC LIMIT ?");
    let values = (sink, int(cursor.unwrap_or(u64::MAX)), rows::one_more(limit));
    Ok(Page::of(rows::select(connection, &sql, values, read)?, limit, |letter| letter.id))
}

fn read(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    let mut columns = Columns::of(row);
    Ok(DeadLetter {
        id: columns.number()?,
        sink: columns.string()?,
        entry: columns.json()?,
        attempts: columns.number()?,
        reason: columns.string()?,
        buried_at: columns.moment()?,
        retrying: columns.flag()?,
    })
}
