//! Flow *relay*: journal in order of `seq` → sinks. The journal is the outbox: nothing else
//! remembers what is still to be told.
//!
//! Each sink has one task, a cursor, a backoff of its own and its own dead letters, so that none
//! waits for another. Within a sink, entries of one key arrive in their order; an entry that has
//! to be tried again holds its key and the cursor, and nothing else. The commit wakes the task.
//! The cursor is saved now and then, so a crash repeats what was delivered since, and loses
//! nothing.
//!
//! A new sink is an implementation of [`Sink`] and one line in `up.rs`.

mod backoff;
mod bus;
mod lifecycle;
mod outbox;
mod runner;
mod sink;

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use api::{RelayView, SinkState, SinkStatus};
use model::Ambient;
use store::Store;
use tokio::{sync::Notify, task::JoinSet};
use tokio_util::sync::CancellationToken;

use self::runner::Runner;
pub use self::{
    bus::BusSink,
    lifecycle::{Lifecycle, NatsUrl},
    sink::{Order, Outcome, Resume, Sink, Unreachable, subject_key},
};
use crate::workers::Pulse;

/// How often one entry is tried before it becomes a dead letter: about a quarter of an hour.
pub const MAX_TRIES: u32 = 20;
/// Longest time that a sink may take for a batch.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);

type Task = Box<dyn FnOnce(CancellationToken) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// All sinks, before they run.
pub struct Relay {
    store: Store,
    ambient: Ambient,
    desks: Vec<Arc<Desk>>,
    tasks: Vec<Task>,
}

impl Relay {
    /// A relay without sinks.
    pub fn new(store: Store, ambient: Ambient) -> Self {
        Self { store, ambient, desks: Vec::new(), tasks: Vec::new() }
    }

    /// Adds a sink. One that begins at the head begins at the head of this moment.
    pub fn with(mut self, sink: impl Sink) -> Self {
        let desk = Arc::new(Desk::new(sink.name()));
        let runner = Runner::new(sink, self.store.clone(), self.ambient.clone(), desk.clone());
        self.desks.push(desk);
        self.tasks.push(Box::new(|stop| Box::pin(runner.run(stop))));
        self
    }

    /// What the control surface sees of it.
    pub fn handle(&self) -> RelayHandle {
        RelayHandle { desks: self.desks.clone().into() }
    }

    /// Runs every sink in a task of its own until `stop`; then each saves where it is. Ends early
    /// where one of them panics, which ends the others.
    pub async fn run(self, pulse: Pulse, stop: CancellationToken) {
        let (handle, store) = (self.handle(), self.store.clone());
        let mut tasks = JoinSet::new();
        for task in self.tasks {
            tasks.spawn(task(stop.clone()));
        }
        let mut beats = pulse.beats();
        loop {
            // Cancel-safe: a join set and an interval keep what is not taken.
            tokio::select! {
                ended = tasks.join_next() => match ended {
                    Some(Ok(())) => {}
                    Some(Err(error)) => {
                        tracing::error!(error = &error as &dyn std::error::Error, "a sink broke");
                        return;
                    }
                    None => return,
                },
                _ = beats.tick() => pulse.beat(handle.figures(store.journal_head())),
            }
        }
    }
}

/// The sinks of a relay, from outside.
#[derive(Clone)]
pub struct RelayHandle {
    desks: Arc<[Arc<Desk>]>,
}

impl RelayHandle {
    fn figures(&self, head: u64) -> Vec<(String, u64)> {
        let statuses = self.desks.iter().map(|desk| desk.status());
        statuses
            .flat_map(|status| {
                let behind = head.saturating_sub(status.position);
                [
                    (format!("{}_behind", status.sink), behind),
                    (format!("{}_delivered_total", status.sink), status.delivered),
                    (format!("{}_failures_total", status.sink), status.failures),
                ]
            })
            .collect()
    }
}

impl RelayView for RelayHandle {
    fn sinks(&self) -> Vec<SinkStatus> {
        self.desks.iter().map(|desk| desk.status()).collect()
    }

    fn wake(&self, sink: &str) {
        let named = self.desks.iter().filter(|desk| desk.status().sink == sink);
        named.for_each(|desk| desk.wake.notify_one());
    }
}

/// What a sink's task shows, and how it is woken.
struct Desk {
    status: Mutex<SinkStatus>,
    wake: Notify,
}

impl Desk {
    fn new(sink: &str) -> Self {
        let status = SinkStatus {
            sink: sink.into(),
            state: SinkState::Running,
            position: 0,
            delivered: 0,
            missed: 0,
            failures: 0,
            last_error: None,
            last_error_at: None,
        };
        Self { status: Mutex::new(status), wake: Notify::new() }
    }

    fn status(&self) -> SinkStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, note: impl FnOnce(&mut SinkStatus)) {
        note(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
