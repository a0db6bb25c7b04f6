//! The connections that read: a few, each query in one read transaction on a blocking thread.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use crate::StoreError;

/// Queries that run at once; further ones wait.
const CONNECTIONS: usize = 4;

/// The pool.
pub(crate) struct Readers {
    free: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

/// A connection on loan; comes back on drop, out of any transaction.
struct Loan {
    connection: Option<Connection>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Drop for Loan {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if !connection.is_autocommit() && connection.execute_batch("ROLLBACK").is_err() {
            return;
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

impl Readers {
    pub(crate) fn open(database: &Path, busy_timeout: Duration) -> rusqlite::Result<Self> {
        let open = |_| -> rusqlite::Result<Connection> {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(database, flags)?;
            connection.busy_timeout(busy_timeout)?;
            connection.set_prepared_statement_cache_capacity(64);
            Ok(connection)
        };
        let idle = (0..CONNECTIONS).map(open).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { free: Arc::new(Semaphore::new(CONNECTIONS)), idle: Arc::new(Mutex::new(idle)) })
    }

    /// Runs `query` in a read transaction. Where the caller goes away the query still ends and
    /// gives its connection back.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = StoreError::Closed { operation };
        let Ok(permit) = self.free.clone().acquire_owned().await else { return Err(closed) };
        let connection = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let loan = Loan { connection, idle: self.idle.clone() };
        let work = move || {
            // Declared first, so dropped last: the connection is back before its permit is.
            let _permit = permit;
            let loan = loan;
            loan.connection.as_ref().map(|connection| in_transaction(connection, query))
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Some(Ok(value))) => Ok(value),
            Ok(Some(Err(error))) => {
                Err(StoreError::Statement { operation, source: Arc::new(error) })
            }
            Ok(None) => Err(closed),
            Err(error) => Err(StoreError::Statement { operation, source: Arc::new(error) }),
        }
    }

    /// Waits for the queries that run and closes all connections.
    pub(crate) async fn close(&self) {
        if let Ok(all) = self.free.acquire_many(CONNECTIONS as u32).await {
            self.free.close();
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
            drop(all);
        }
    }
}

fn in_transaction<T>(
    connection: &Connection,
    query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.execute_batch("BEGIN")?;
    let value = query(connection)?;
    connection.execute_batch("COMMIT")?;
    Ok(value)
}
