//! The audit log.

use std::net::IpAddr;

use model::Timestamp;

use crate::{Page, Store, StoreError};

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
        unimplemented!("{record:?}")
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
        unimplemented!("{cursor:?} {limit}")
    }

    /// Checks the whole chain; answers how many entries it has. Whoever can write the database
    /// can forge a whole new chain: compare the last hash with one kept elsewhere.
    ///
    /// # Errors
    /// Where an entry does not fit or the database cannot be read.
    pub async fn verify_audit(&self) -> Result<u64, AuditError> {
        unimplemented!()
    }
}
