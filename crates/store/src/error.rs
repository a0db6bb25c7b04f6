//! What can go wrong with any operation, and with opening.

use std::{error::Error, io, path::PathBuf, sync::Arc};

/// The database could not do what was asked. Where a write returns this, nothing of it was kept,
/// unless the process was stopped meanwhile ([`StoreError::Closed`]: unknown).
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A statement failed; only this operation is affected.
    #[error("cannot {operation}")]
    Statement {
        /// What was tried, such as `enqueue a mutation`.
        operation: &'static str,
        /// Why.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The transaction of a group of operations could not be begun or committed: disk full,
    /// locked by another process, an I/O error. All operations of the group get this.
    #[error("cannot commit: {operation}")]
    Commit {
        /// What was tried.
        operation: &'static str,
        /// Why.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The store was closed before an answer came.
    #[error("the store was closed: {operation}")]
    Closed {
        /// What was tried.
        operation: &'static str,
    },
}

impl StoreError {
    /// What was tried.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Statement { operation, .. }
            | Self::Commit { operation, .. }
            | Self::Closed { operation } => operation,
        }
    }
}

/// Why a data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made.
    #[error("cannot create the data directory `{path}`")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process (or another store of this one) has it open.
    #[error("the data directory `{path}` is in use by another process")]
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// A file beside the database cannot be read or written.
    #[error("cannot use the file `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database cannot be opened or set up.
    #[error("cannot {operation} the database `{path}`")]
    Database {
        /// What was tried.
        operation: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A newer version of this program has changed the schema.
    #[error("the database has schema {found}, this program knows schemas up to {known}")]
    TooNew {
        /// The version found.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
}
