//! The one thread that writes: takes what is queued, runs it as one transaction, commits, then
//! answers.
//!
//! Each command runs in a savepoint, so that one that fails takes no other down and leaves no
//! gap in the journal: entries are numbered when they are said, kept in memory, forgotten with
//! their savepoint, and written together just before the commit. Where the commit fails, nobody
//! of the group is told that it worked.

use std::{error::Error, fs::File, sync::Arc};

use model::{Ambient, Event, EventContext, JournalEntry, Payload, Timestamp, TopologyId};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    StoreError, TopologyRecord, rows,
    standing::{Records, Standing},
    topology_rows,
};

/// Commands that may wait for the writer; who comes later waits to get in.
pub(crate) const QUEUE: usize = 1024;
/// Commands that share one transaction at most.
const GROUP: usize = 256;
/// From so many journal entries on, a commit's memory is given back after it.
const LARGE: usize = 1000;
/// Topologies that are kept in memory at most.
const CACHED: usize = 64;

type Cause = Arc<dyn Error + Send + Sync>;

/// What the queue carries.
pub(crate) enum Message {
    /// Something to write.
    Run(Box<dyn Job>),
    /// Finish what is queued, let go of the files, then say so.
    Stop(oneshot::Sender<()>),
}

/// Why a command failed: by the database, or because it is refused.
pub(crate) enum Fault<E> {
    Sql(rusqlite::Error),
    Refused(E),
}

impl<E> From<rusqlite::Error> for Fault<E> {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// A command in the queue, whatever it answers.
pub(crate) trait Job: Send {
    /// Runs within a savepoint; answers why it must be rolled back, if so.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Option<Cause>>;
    /// Answers the caller, after the commit or instead of it.
    fn settle(self: Box<Self>, lost: Option<&Cause>);
}

struct Command<F, T, E> {
    operation: &'static str,
    work: Option<F>,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

/// Makes a job of `work` and the place where its answer will appear.
pub(crate) fn command<F, T, E>(
    operation: &'static str,
    work: F,
) -> (Box<dyn Job>, oneshot::Receiver<Result<T, E>>)
where
    F: FnOnce(&mut Tx<'_>) -> Result<T, Fault<E>> + Send + 'static,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Command { operation, work: Some(work), outcome: None, reply }), answer)
}

impl<F, T, E> Job for Command<F, T, E>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T, Fault<E>> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Option<Cause>> {
        let Some(work) = self.work.take() else { return Ok(()) };
        let (outcome, verdict) = match work(tx) {
            Ok(value) => (Ok(value), Ok(())),
            Err(Fault::Refused(refusal)) => (Err(refusal), Err(None)),
            Err(Fault::Sql(error)) => {
                let source: Cause = Arc::new(error);
                let failure =
                    StoreError::Statement { operation: self.operation, source: source.clone() };
                (Err(failure.into()), Err(Some(source)))
            }
        };
        self.outcome = Some(outcome);
        verdict
    }

    fn settle(self: Box<Self>, lost: Option<&Cause>) {
        let answer = match (lost, self.outcome) {
            (None, Some(outcome)) => outcome,
            (Some(source), _) => {
                Err(StoreError::Commit { operation: self.operation, source: source.clone() }.into())
            }
            (None, None) => Err(StoreError::Closed { operation: self.operation }.into()),
        };
        // The caller may have gone; what is done stays done.
        let _ = self.reply.send(answer);
    }
}

/// What a command works with.
pub(crate) struct Tx<'a> {
    /// The connection, within the command's savepoint.
    pub(crate) connection: &'a Connection,
    desk: &'a mut Desk,
}

/// What the writer remembers between commands.
struct Desk {
    ambient: Ambient,
    /// Position of the newest entry, those not yet written included.
    head: u64,
    /// Entries that the group has said and that are written before its commit.
    unwritten: Vec<JournalEntry>,
    /// Topologies as they are after the commands so far. Only this thread changes them.
    topologies: Records,
    /// Whether the command that runs has changed `topologies`.
    touched: bool,
    /// Whether `topologies` are other than at the last commit.
    is_other: bool,
}

impl Tx<'_> {
    /// The time now.
    pub(crate) fn now(&self) -> Timestamp {
        self.desk.ambient.now()
    }

    /// Where ids come from.
    pub(crate) fn ambient(&self) -> Ambient {
        self.desk.ambient.clone()
    }

    /// Position of the newest entry.
    pub(crate) fn head(&self) -> u64 {
        self.desk.head
    }

    /// Says an event that happens now; answers its position.
    pub(crate) fn say(&mut self, payload: Payload) -> u64 {
        let entry = Event::new(&self.desk.ambient, payload).to_entry(None);
        self.journal(entry)
    }

    /// Says an event that happens now, caused by whom `context` names; answers its position.
    pub(crate) fn say_within(&mut self, payload: Payload, context: &EventContext) -> u64 {
        let event = Event::new(&self.desk.ambient, payload).within(context.clone());
        self.journal(event.to_entry(None))
    }

    /// Journals an event; answers its position.
    pub(crate) fn journal(&mut self, mut entry: JournalEntry) -> u64 {
        self.desk.head += 1;
        entry.seq = Some(self.desk.head);
        self.desk.unwritten.push(entry);
        self.desk.head
    }

    /// The topology of this id, from memory where it is there.
    pub(crate) fn topology(
        &mut self,
        id: TopologyId,
    ) -> rusqlite::Result<Option<Arc<TopologyRecord>>> {
        if let Some(record) = self.desk.topologies.get(&id) {
            return Ok(Some(record.clone()));
        }
        let Some(record) = topology_rows::load(self.connection, id)? else { return Ok(None) };
        let record = Arc::new(record);
        self.desk.remember(record.clone());
        Ok(Some(record))
    }

    /// Takes note of what the command made of a topology.
    pub(crate) fn remember(&mut self, record: TopologyRecord) {
        self.desk.touched = true;
        self.desk.remember(Arc::new(record));
    }
}

impl Desk {
    fn remember(&mut self, record: Arc<TopologyRecord>) {
        self.is_other = true;
        let is_known = self.topologies.contains_key(&record.topology.id);
        if !is_known && self.topologies.len() >= CACHED {
            self.topologies.clear();
        }
        self.topologies.insert(record.topology.id, record);
    }

    fn forget_topologies(&mut self) {
        self.is_other = true;
        self.topologies.clear();
    }

    /// Back to where the journal ended at `head`.
    fn forget_after(&mut self, head: u64) {
        let gone = usize::try_from(self.head - head).unwrap_or(usize::MAX);
        self.unwritten.truncate(self.unwritten.len().saturating_sub(gone));
        self.head = head;
        if self.touched {
            self.forget_topologies();
        }
    }
}

/// The thread's state.
pub(crate) struct Writer {
    connection: Connection,
    desk: Desk,
    queue: mpsc::Receiver<Message>,
    head: watch::Sender<u64>,
    standing: Standing,
    /// Held for as long as the directory is in use.
    lock: File,
}

impl Writer {
    pub(crate) fn new(
        connection: Connection,
        ambient: Ambient,
        lock: File,
        queue: mpsc::Receiver<Message>,
        standing: Standing,
    ) -> rusqlite::Result<(Self, watch::Receiver<u64>)> {
        let newest = "SELECT COALESCE(MAX(seq), 0) FROM journal";
        let head: i64 = connection.query_row(newest, [], |row| row.get(0))?;
        let head = u64::try_from(head).unwrap_or(0);
        let (sender, receiver) = watch::channel(head);
        let desk = Desk {
            ambient,
            head,
            unwritten: Vec::new(),
            topologies: Records::new(),
            touched: false,
            is_other: false,
        };
        Ok((Self { connection, desk, queue, head: sender, standing, lock }, receiver))
    }

    /// Runs until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let mut stops = Vec::new();
        while let Some(group) = self.next_group(&mut stops) {
            self.run_group(group);
        }
        let Self { connection, lock, .. } = self;
        if let Err((_, error)) = connection.close() {
            tracing::warn!(error = &error as &dyn Error, "the database was not closed cleanly");
        }
        drop(lock);
        for stop in stops {
            let _ = stop.send(());
        }
    }

    /// Waits for a command and takes what else is there. `None` at the end.
    fn next_group(&mut self, stops: &mut Vec<oneshot::Sender<()>>) -> Option<Vec<Box<dyn Job>>> {
        let mut group = Vec::new();
        let mut next = Some(self.queue.blocking_recv()?);
        while let Some(message) = next {
            match message {
                Message::Run(job) => group.push(job),
                Message::Stop(stop) => {
                    self.queue.close();
                    stops.push(stop);
                }
            }
            next = if group.len() < GROUP { self.queue.try_recv().ok() } else { None };
        }
        Some(group)
    }

    fn run_group(&mut self, mut group: Vec<Box<dyn Job>>) {
        if group.is_empty() {
            return;
        }
        let before = self.desk.head;
        let verdict = self.transact(&mut group);
        if let Err(cause) = &verdict {
            tracing::error!(
                error = cause.as_ref() as &dyn Error,
                commands = group.len(),
                "a group of commands was not committed"
            );
            self.desk.head = before;
            // The database alone knows what came of it.
            self.desk.forget_topologies();
            if !self.connection.is_autocommit() {
                let _ = self.connection.execute_batch("ROLLBACK");
            }
        }
        // Before the answers, so that whoever has one finds its position in the head, and what it
        // did.
        if std::mem::take(&mut self.desk.is_other) {
            self.standing.replace(self.desk.topologies.clone());
        }
        if self.desk.head != before {
            self.head.send_replace(self.desk.head);
        }
        for job in group {
            job.settle(verdict.as_ref().err());
        }
        let is_large = self.desk.unwritten.len() >= LARGE;
        self.desk.unwritten.clear();
        if is_large {
            self.shrink();
        }
    }

    /// Lets go of memory that a large commit needed.
    fn shrink(&mut self) {
        self.desk.unwritten.shrink_to(GROUP);
        // Nobody needs it to work.
        let _ = self.connection.execute_batch("PRAGMA shrink_memory");
    }

    /// Runs the commands and commits. An error means that nothing of the group was kept.
    fn transact(&mut self, group: &mut [Box<dyn Job>]) -> Result<(), Cause> {
        rows::run(&self.connection, "BEGIN IMMEDIATE", []).map_err(cause)?;
        for job in group {
            self.run_job(job.as_mut())?;
        }
        write_entries(&self.connection, &self.desk.unwritten).map_err(cause)?;
        rows::run(&self.connection, "COMMIT", []).map_err(cause)?;
        Ok(())
    }

    fn run_job(&mut self, job: &mut dyn Job) -> Result<(), Cause> {
        let before = self.desk.head;
        self.desk.touched = false;
        rows::run(&self.connection, "SAVEPOINT command", []).map_err(cause)?;
        let verdict = job.run(&mut Tx { connection: &self.connection, desk: &mut self.desk });
        if let Err(failure) = verdict {
            self.desk.forget_after(before);
            // A full disk or an I/O error makes SQLite give up the whole transaction.
            if self.connection.is_autocommit() {
                return Err(failure.unwrap_or_else(|| {
                    Arc::from(Box::<dyn Error + Send + Sync>::from("the transaction was given up"))
                }));
            }
            rows::run(&self.connection, "ROLLBACK TO command", []).map_err(cause)?;
        }
        rows::run(&self.connection, "RELEASE command", []).map_err(cause)?;
        Ok(())
    }
}

fn cause(error: rusqlite::Error) -> Cause {
    Arc::new(error)
}

fn write_entries(connection: &Connection, entries: &[JournalEntry]) -> rusqlite::Result<()> {
    let into = "journal (seq, id, topic, kind, v, ts, payload, context)";
    rows::insert(connection, into, "", entries, |row, entry| {
        row.put(entry.seq.map(rows::int))?
            .put(entry.id.to_string())?
            .put(entry.topic.as_str())?
            .put(entry.kind.as_str())?
            .put(entry.v)?
            .put(entry.ts.as_micros())?
            .put(entry.payload.get())?
            .put((!entry.context.is_empty()).then(|| rows::json(&entry.context)))?;
        Ok(())
    })
}
