//! A store, the streams of the process and the sink between them; the sink lives once or more
//! often.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use api::{RelayView as _, SinkState, SinkStatus};
use bus::{
    Bus,
    stream::{Streams, StreamsConfig},
};
use exports::Format;
use model::{
    Ambient, Event, EventContext, JournalEntry, Observation, Payload,
    hub::{
        DecisionResolved, DomainGoalActivated, RepoRegistered, TaskStale, TaskState,
        TaskSweepCompleted, WorkstreamCompleted,
    },
};
use morgana::{
    flow::relay::{Lifecycle, Relay, RelayHandle},
    workers::Pulse,
};
use store::Store;
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Longest wait for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);
/// Who does everything: of what a header cannot hold as it is, something.
pub(super) const ACTOR: &str = "Åda \"100 %\"";

pub(super) struct World {
    dir: tempfile::TempDir,
    pub(super) store: Store,
    pub(super) streams: Streams,
    pub(super) ambient: Ambient,
    pub(super) server: watch::Sender<Option<String>>,
    pub(super) format: Format,
    said: AtomicUsize,
}

/// One life of the relay.
pub(super) struct Life {
    stop: CancellationToken,
    handle: RelayHandle,
    running: Option<JoinHandle<()>>,
    /// Its own, so that nothing of it outlives a kill.
    runtime: Option<Runtime>,
    log: Log,
}

/// What a life has logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Has it all that this thread logs, as long as the thread lives.
    fn attach(&self) {
        let log = self.clone();
        let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone());
        std::mem::forget(tracing::subscriber::set_default(lines.finish()));
    }
}

impl World {
    /// With events going to this server, or to the embedded stream.
    pub(super) fn new(server: Option<String>) -> Self {
        let (dir, ambient) = (tempfile::tempdir().unwrap(), Ambient::system());
        let store = Store::open(dir.path(), ambient.clone()).unwrap();
        let files = dir.path().join("streams");
        let streams = Streams::open(files, StreamsConfig::default(), ambient.clone()).unwrap();
        let (server, said) = (watch::channel(server).0, AtomicUsize::new(0));
        Self { dir, store, streams, ambient, server, format: Format::default(), said }
    }

    /// With events in this format.
    pub(super) fn with(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// The database's next life: a new epoch over the same journal.
    pub(super) async fn reborn(mut self) -> Self {
        let epoch = self.store.installation().epoch.clone();
        self.store.close().await;
        std::fs::remove_file(self.dir.path().join("morgana.opening")).unwrap();
        self.store = Store::open(self.dir.path(), self.ambient.clone()).unwrap();
        assert_ne!(self.store.installation().epoch, epoch);
        self
    }

    /// Starts the sink; done when its first position is kept, so that no event is missed.
    pub(super) async fn start(&self) -> Life {
        let server = self.server.subscribe();
        let (store, streams) = (self.store.clone(), self.streams.clone());
        let mut sink = Lifecycle::new(store, streams, server, self.format);
        sink.prepare().await;
        let relay = Relay::new(self.store.clone(), self.ambient.clone()).with(sink);
        let (stop, handle) = (CancellationToken::new(), relay.handle());
        let pulse = Pulse::new("relay", Bus::off(), self.ambient.clone());
        let log = Log::default();
        let attached = log.clone();
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .on_thread_start(move || attached.attach())
            .enable_all()
            .build()
            .unwrap();
        let running = runtime.spawn(relay.run(pulse, stop.clone()));
        until("a first position", async || {
            self.store.sink_position(Lifecycle::NAME).await.unwrap().is_some()
        })
        .await;
        Life { stop, handle, running: Some(running), runtime: Some(runtime), log }
    }

    /// Journals so many lifecycle events of several types, one transaction for each dozen.
    pub(super) async fn say(&self, count: usize) {
        let mut left = count;
        while left > 0 {
            let now = left.min(12);
            self.journal((0..now).map(|_| self.next()).collect()).await;
            left -= now;
        }
    }

    /// Journals these in one transaction.
    pub(super) async fn journal(&self, payloads: Vec<Payload>) {
        let event = |payload| Event::new(&self.ambient, payload).within(EventContext::of(ACTOR));
        let events = payloads.into_iter().map(event).collect();
        self.store.observe(Observation { events, ..Observation::default() }).await.unwrap();
    }

    /// The next event: each type of the hub's in turn, stale tasks more often.
    pub(super) fn next(&self) -> Payload {
        let number = self.said.fetch_add(1, Ordering::Relaxed);
        match number % 9 {
            0 => Payload::RepoRegistered(RepoRegistered {
                repo_id: self.ambient.id(),
                repo_slug: format!("repo-{number}").parse().unwrap(),
                domain_slug: "sales".parse().unwrap(),
                remote_url: None,
                local_path: Some("/srv/git/shop".parse().unwrap()),
            }),
            1 => Payload::WorkstreamCompleted(WorkstreamCompleted {
                workstream_id: self.ambient.id(),
                slug: format!("stream-{number}").parse().unwrap(),
                title: "TLS on every port".parse().unwrap(),
                topic_id: self.ambient.id(),
                repo_id: None,
                repo_goal_id: None,
            }),
            2 => self.decision("two sites write"),
            3 => Payload::DomainGoalActivated(DomainGoalActivated {
                goal_id: self.ambient.id(),
                domain_id: self.ambient.id(),
                domain_slug: "sales".parse().unwrap(),
                title: "No clear text".parse().unwrap(),
                previous_goal_id: None,
            }),
            4 => Payload::TaskSweepCompleted(TaskSweepCompleted {
                cancelled: 1,
                task_ids: vec![self.ambient.id()],
                truncated: false,
                swept_at: self.ambient.now(),
            }),
            _ => Payload::TaskStale(TaskStale {
                task_id: self.ambient.id(),
                title: format!("task {number}").parse().unwrap(),
                workstream_id: self.ambient.id(),
                workstream_slug: "tls-everywhere".parse().unwrap(),
                previous_state: TaskState::Todo,
            }),
        }
    }

    pub(super) fn decision(&self, rationale: &str) -> Payload {
        Payload::DecisionResolved(DecisionResolved {
            decision_id: self.ambient.id(),
            title: "Which database?".parse().unwrap(),
            rationale: rationale.into(),
            decided_by: "ada".into(),
            workstream_id: None,
            topic_id: None,
        })
    }

    /// A decision whose event has more than 4 KiB.
    pub(super) fn long_decision(&self) -> Payload {
        self.decision(&"long ".repeat(2000))
    }

    /// The ids that must have arrived, in the order of the journal.
    pub(super) async fn expected(&self) -> Vec<String> {
        sent_of(&self.store).await
    }

    pub(super) async fn until_settled(&self, life: &Life) {
        let head = self.store.journal_head();
        until("everything is settled", async || life.status().position >= head).await;
    }

    /// Waits until so many dead letters are kept.
    pub(super) async fn until_letters(&self, count: u64) {
        until("so many dead letters", async || {
            let counts = self.store.dead_letter_counts().await.unwrap();
            counts.get(Lifecycle::NAME).copied().unwrap_or(0) == count
        })
        .await;
    }

    /// Waits until no dead letter is to be tried again.
    pub(super) async fn until_retried(&self) {
        until("every letter was tried again", async || {
            self.store.retrying_dead_letters(Lifecycle::NAME, 1).await.unwrap().is_empty()
        })
        .await;
    }
}

/// The ids of what leaves, of everything that a journal holds.
pub(super) async fn sent_of(store: &Store) -> Vec<String> {
    let (mut ids, mut seen) = (Vec::new(), 0);
    loop {
        let entries = store.journal_after(seen, 5000).await.unwrap();
        let Some(last) = entries.last() else { return ids };
        seen = last.seq.unwrap();
        let leaves = |entry: &&JournalEntry| exports::type_of(entry).is_some();
        ids.extend(entries.iter().filter(leaves).map(|entry| entry.id.to_string()));
    }
}

impl Life {
    pub(super) fn status(&self) -> SinkStatus {
        self.handle.sinks().remove(0)
    }

    /// How many lines of its log hold this.
    pub(super) fn said(&self, text: &str) -> usize {
        let log = self.log.0.lock().unwrap();
        String::from_utf8_lossy(&log).lines().filter(|line| line.contains(text)).count()
    }

    /// Has it try now what waits.
    pub(super) fn wake(&self) {
        self.handle.wake(Lifecycle::NAME);
    }

    /// Waits until it waits to try again.
    pub(super) async fn until_failing(&self) {
        until("it waits to try again", async || {
            matches!(self.status().state, SinkState::Waiting { .. })
        })
        .await;
    }

    /// Waits until it says that this is wrong.
    pub(super) async fn until_trouble(&self, text: &str) {
        let says = |status: SinkStatus| status.last_error.is_some_and(|e| e.contains(text));
        let met = tokio::time::timeout(PATIENCE, async {
            while !says(self.status()) {
                tokio::time::sleep(LOOK).await;
            }
        });
        assert!(met.await.is_ok(), "never {text:?}, but {:?}", self.status());
    }

    pub(super) async fn end(mut self) {
        self.stop.cancel();
        self.running.take().unwrap().await.unwrap();
    }

    /// As SIGKILL does: nothing more is done, by no thread, once this returns.
    pub(super) async fn kill(mut self) {
        let runtime = self.runtime.take().unwrap();
        tokio::task::spawn_blocking(move || drop(runtime)).await.unwrap();
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Waits until this holds.
pub(super) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(LOOK).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "never: {what}");
}
