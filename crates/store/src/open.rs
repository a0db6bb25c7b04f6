//! Opening and closing a data directory.
//!
//! The directory holds `morgana.db` (with SQLite's `-wal` and `-shm` while open), `morgana.lock`
//! (see `lock.rs`) and `morgana.opening` (see `installation.rs`). It is
//! readable by its owner only: captured secrets are in it.

use std::{
    fmt,
    fs::{DirBuilder, File, OpenOptions},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use model::{Ambient, InstallationSecret, Timestamp};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    LeaseRecord, OpenError, StoreError, installation, lock, mutation_rows,
    readers::Readers,
    schema::{self, MigrateError},
    standing::Standing,
    writer::{self, Fault, Message, Tx, Writer},
};

/// What makes this installation itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// Names this life of the journal; new after the database was copied or restored.
    pub epoch: String,
    /// From it derive personas and keyed hashes.
    pub secret: InstallationSecret,
}

/// What a store may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// How long to wait for another process that holds the database, such as a backup.
    pub busy_timeout: Duration,
    /// Largest size of the database file; beyond it writes fail as on a full disk. `None` means
    /// whatever the disk holds.
    pub file_bytes: Option<u64>,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self { busy_timeout: Duration::from_secs(5), file_bytes: None }
    }
}

/// A data directory, open. Cheap to clone; all clones are the same store. Its methods run within
/// a tokio runtime.
///
/// Writes wait where the queue of the writer is full. Once a write waits for its answer it is
/// carried out, whether or not its caller stays to hear. Dropping all clones ends the store too,
/// but only [`Store::close`] tells when the directory is free.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    installation: Installation,
    ambient: Ambient,
    database: PathBuf,
    queue: mpsc::Sender<Message>,
    head: watch::Receiver<u64>,
    readers: Readers,
    standing: Standing,
}

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
    /// Position of the oldest journal entry that is kept; one after the head where there is none.
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
        Self::open_with(path, ambient, StoreLimits::default())
    }

    /// The same, within other limits.
    ///
    /// # Errors
    /// Where it cannot be used, is in use by another process, or is too new.
    pub fn open_with(
        path: &Path,
        ambient: Ambient,
        limits: StoreLimits,
    ) -> Result<Store, OpenError> {
        make_directory(path)?;
        let lock = lock::take(path)?;
        let database = path.join("morgana.db");
        private_file(&database)?;
        let failed = |operation| {
            let path = database.clone();
            move |error: rusqlite::Error| OpenError::Database {
                operation,
                path,
                source: error.into(),
            }
        };
        let mut connection = Connection::open(&database).map_err(failed("open"))?;
        configure(&connection, limits).map_err(failed("configure"))?;
        schema::migrate(&mut connection).map_err(|error| match error {
            MigrateError::TooNew { found, known } => OpenError::TooNew { found, known },
            MigrateError::Sql(error) => failed("migrate")(error),
        })?;
        let installation = installation::load(&mut connection, path, &database, &ambient)?;
        let readers = Readers::open(&database, limits.busy_timeout).map_err(failed("read from"))?;
        let (queue, messages) = mpsc::channel(writer::QUEUE);
        let standing = Standing::default();
        let writer = Writer::new(connection, ambient.clone(), lock, messages, standing.clone());
        let (writer, head) = writer.map_err(failed("read the journal of"))?;
        thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run())
            .map_err(|source| OpenError::File { path: database.clone(), source })?;
        let inner = Inner { installation, ambient, database, queue, head, readers, standing };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Runs what is queued, closes all connections and lets go of the directory. Later calls
    /// answer [`StoreError::Closed`]. Closing again does nothing.
    pub async fn close(&self) {
        self.inner.readers.close().await;
        let (stop, stopped) = oneshot::channel();
        if self.inner.queue.send(Message::Stop(stop)).await.is_ok() {
            // An error here means that the writer is gone, which is what we wait for.
            let _ = stopped.await;
        }
        self.inner.standing.replace(Default::default());
    }

    /// What makes this installation itself.
    pub fn installation(&self) -> &Installation {
        &self.inner.installation
    }

    /// How the store is doing.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn health(&self) -> Result<Health, StoreError> {
        let queue_depth = self.inner.queue.max_capacity() - self.inner.queue.capacity();
        let database = self.inner.database.clone();
        self.read("read the health of the store", move |connection| {
            let (journal_oldest, journal_head) = crate::journal::range(connection)?;
            Ok(Health {
                queue_depth,
                pending_mutations: mutation_rows::pending(connection)?,
                oldest_lease: mutation_rows::oldest_lease(connection)?,
                journal_head,
                journal_oldest,
                file_bytes: size(&database) + size(&database.with_extension("db-wal")),
            })
        })
        .await
    }

    /// Runs `query` on a reading connection, in one read transaction.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.readers.read(operation, query).await
    }

    /// Queues `work` for the writer and waits until it is committed.
    pub(crate) async fn write<T, E>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, Fault<E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (job, answer) = writer::command(operation, work);
        let closed = |_| E::from(StoreError::Closed { operation });
        self.inner
            .queue
            .send(Message::Run(job))
            .await
            .map_err(|_| StoreError::Closed { operation })?;
        answer.await.map_err(closed)?
    }

    /// Topologies that are known without asking the database.
    pub(crate) fn standing(&self) -> &Standing {
        &self.inner.standing
    }

    /// The time now.
    pub(crate) fn now(&self) -> Timestamp {
        self.inner.ambient.now()
    }

    /// The newest committed position, as it changes.
    pub(crate) fn head(&self) -> &watch::Receiver<u64> {
        &self.inner.head
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("database", &self.inner.database).finish_non_exhaustive()
    }
}

fn make_directory(path: &Path) -> Result<(), OpenError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| OpenError::Directory { path: path.into(), source })
}

/// Makes a file that only its owner can read; SQLite gives its other files the same mode.
pub(crate) fn private_file(path: &Path) -> Result<File, OpenError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|source| OpenError::File { path: path.into(), source })
}

fn configure(connection: &Connection, limits: StoreLimits) -> rusqlite::Result<()> {
    connection.busy_timeout(limits.busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -16384;
         PRAGMA wal_autocheckpoint = 4096;
         PRAGMA journal_size_limit = 67108864;",
    )?;
    if let Some(bytes) = limits.file_bytes {
        let page: u64 =
            connection.query_row("PRAGMA page_size", [], |row| row.get::<_, u32>(0))?.into();
        connection.execute_batch(&format!("PRAGMA max_page_count = {}", (bytes / page).max(1)))?;
    }
    Ok(())
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map(|file| file.len()).unwrap_or(0)
}
