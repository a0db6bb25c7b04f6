//! Opening and closing a data directory.

use std::path::Path;

use model::{Ambient, InstallationSecret};

use crate::{LeaseRecord, OpenError, StoreError};

/// What makes this installation itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// Names this life of the journal; new after the database was copied or restored.
    pub epoch: String,
    /// From it derive personas and keyed hashes.
    pub secret: InstallationSecret,
}

/// A data directory, open. Cheap to clone; all clones are the same store.
#[derive(Clone, Debug)]
pub struct Store {}

/// How the store is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Commands that wait for the writer.
    pub queue_depth: usize,
    /// Mutations that wait to be claimed.
    pub pending_mutations: u64,
    /// The claim that began first, of those not ended.
    pub oldest_lease: Option<LeaseRecord>,
    /// Position of the newest journal entry; 0 where there is none.
    pub journal_head: u64,
    /// Position of the oldest journal entry that is kept.
    pub journal_oldest: u64,
    /// Size of the database file and its write-ahead log, in bytes.
    pub file_bytes: u64,
}

impl Store {
    /// Opens the data directory `path`, made where missing, and brings its schema up to date.
    ///
    /// # Errors
    /// Where it cannot be used, is in use by another process, or is too new.
    pub fn open(path: &Path, ambient: Ambient) -> Result<Store, OpenError> {
        unimplemented!("{path:?} {ambient:?}")
    }

    /// Runs what is queued, closes all connections and lets go of the directory. Later calls
    /// answer [`StoreError::Closed`]. Closing again does nothing.
    pub async fn close(&self) {
        unimplemented!()
    }

    /// What makes this installation itself.
    pub fn installation(&self) -> &Installation {
        unimplemented!()
    }

    /// How the store is doing.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn health(&self) -> Result<Health, StoreError> {
        unimplemented!()
    }
}
