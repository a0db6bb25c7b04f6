//! The audit log: records in a chain of hashes, so that none can be changed, removed from the
//! middle or put in later without all that follow being written anew.

use std::net::IpAddr;

use model::Timestamp;
use rusqlite::{Connection, Row};
use sha2::{Digest as _, Sha256};

use crate::{
    Page, Store, StoreError,
    rows::{self, Columns, int},
    writer::{Fault, Tx},
};

/// Entries that the check of the chain reads at once.
const CHECKED_AT_ONCE: usize = 1000;

const SELECT: &str =
    "SELECT seq, at, actor, action, object, address, outcome, detail, hash FROM audit";

/// Something that somebody did, or was denied. Secrets must be masked by the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Who: a user name, `local`, or what an unknown caller claimed to be.
    pub actor: String,
    /// What, such as `topology.deploy`.
    pub action: String,
    /// To what, such as `topology/0192…`.
    pub object: String,
    /// From where.
    pub address: Option<IpAddr>,
    /// How it ended: `ok`, `denied`, `failed`, ….
    pub outcome: String,
    /// More, in words.
    pub detail: Option<String>,
}

/// A record as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its place, dense from 1.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub record: AuditRecord,
    /// SHA-256 over the hash before and all fields of this entry, in lower-case hex.
    pub hash: String,
}

/// Why the audit log is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// An entry is missing or was changed.
    #[error("the audit log is broken at entry {seq}")]
    Broken {
        /// The first entry that does not fit.
        seq: u64,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Adds a record, chained to the one before; answers its place.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn audit(&self, record: AuditRecord) -> Result<u64, StoreError> {
        self.write("add to the audit log", move |tx| Ok::<_, Fault<StoreError>>(add(tx, record)?))
            .await
    }

    /// The audit log, newest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn audit_log(
        &self,
        cursor: Option<u64>,
        limit: usize,
    ) -> Result<Page<AuditEntry, u64>, StoreError> {
        self.read("read the audit log", move |connection| page(connection, cursor, limit)).await
    }

    /// Checks the whole chain; answers how many entries it has. Whoever can write the database
    /// can forge a whole new chain: compare the last hash with one kept elsewhere.
    ///
    /// # Errors
    /// Where an entry does not fit or the database cannot be read.
    pub async fn verify_audit(&self) -> Result<u64, AuditError> {
        let (mut seq, mut hash) = (0, String::new());
        loop {
            let entries =
                self.read("check the audit log", move |connection| after(connection, seq)).await?;
            if entries.is_empty() {
                return Ok(seq);
            }
            for entry in entries {
                if entry.seq != seq + 1 || entry.hash != chained(&hash, &entry) {
                    return Err(AuditError::Broken { seq: seq + 1 });
                }
                (seq, hash) = (entry.seq, entry.hash);
            }
        }
    }
}

/// Adds a record within a transaction.
pub(crate) fn add(tx: &Tx<'_>, record: AuditRecord) -> rusqlite::Result<u64> {
    let newest = format!("{SELECT} ORDER BY seq DESC LIMIT 1");
    let before = rows::select_one(tx.connection, &newest, [], read)?;
    let (seq, hash) = before.map_or((0, String::new()), |entry| (entry.seq, entry.hash));
    let mut entry = AuditEntry { seq: seq + 1, at: tx.now(), record, hash: String::new() };
    entry.hash = chained(&hash, &entry);
    let sql = "INSERT INTO audit (seq, at, actor, action, object, address, outcome, detail, hash)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let AuditRecord { actor, action, object, address, outcome, detail } = &entry.record;
    let address = address.map(|address| address.to_string());
    let (seq, at) = (int(entry.seq), entry.at.as_micros());
    let values = (seq, at, actor, action, object, address, outcome, detail, &entry.hash);
    rows::run(tx.connection, sql, values)?;
    Ok(entry.seq)
}

/// The hash of an entry: over the hash before it and all of its fields, each preceded by its
/// length, so that no two entries share an input.
fn chained(before: &str, entry: &AuditEntry) -> String {
    let AuditRecord { actor, action, object, address, outcome, detail } = &entry.record;
    let address = address.map(|address| address.to_string()).unwrap_or_default();
    let has_detail = if detail.is_some() { "1" } else { "0" };
    let (seq, at) = (entry.seq.to_string(), entry.at.as_micros().to_string());
    let detail = detail.as_deref().unwrap_or_default();
    let fields = [before, &seq, &at, actor, action, object, &address, outcome, has_detail, detail];
    let mut hash = Sha256::new();
    for field in fields {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field.as_bytes());
    }
    rows::hex(&hash.finalize())
}

fn page(
    connection: &Connection,
    cursor: Option<u64>,
    limit: usize,
) -> rusqlite::Result<Page<AuditEntry, u64>> {
    let limit = rows::page_size(limit);
    let sql = format!("{SELECT} WHERE seq < ? ORDER BY seq DESC LIMIT ?");
    let values = (int(cursor.unwrap_or(u64::MAX)), rows::one_more(limit));
    Ok(Page::of(rows::select(connection, &sql, values, read)?, limit, |entry| entry.seq))
}

fn after(connection: &Connection, seq: u64) -> rusqlite::Result<Vec<AuditEntry>> {
    let sql = format!("{SELECT} WHERE seq > ? ORDER BY seq LIMIT {CHECKED_AT_ONCE}");
    rows::select(connection, &sql, [int(seq)], read)
}

fn read(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    let mut columns = Columns::of(row);
    Ok(AuditEntry {
        seq: columns.number()?,
        at: columns.moment()?,
        record: AuditRecord {
            actor: columns.string()?,
            action: columns.string()?,
            object: columns.string()?,
            address: columns.maybe(Columns::text)?,
            outcome: columns.string()?,
            detail: columns.maybe(Columns::string)?,
        },
        hash: columns.string()?,
    })
}
