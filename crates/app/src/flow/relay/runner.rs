//! The task of one sink: reads the journal into its outbox, delivers, saves where it is, waits.

use std::{error::Error, pin::pin, sync::Arc, time::Duration};

use api::SinkState;
use model::Ambient;
use store::{BuryError, NewDeadLetter, SinkProgress, Store};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    DELIVERY_TIMEOUT, Desk, Outcome, Resume, Sink, Unreachable, backoff,
    outbox::{Batch, Outbox},
};
use crate::crash_point;

/// Most entries that are delivered at once.
const BATCH: usize = 256;
/// The cursor is saved after so many entries,
const SAVE_ENTRIES: u64 = 1024;
/// or after this long, whichever comes first.
const SAVE_AFTER: Duration = Duration::from_secs(1);
/// After the stop, what is there is delivered for this long at most.
const LAST_TURNS: Duration = Duration::from_millis(500);
/// Dead letters that are retried before others get their turn again: each is a round trip.
const LETTERS: usize = 16;
/// The sink looks by itself this often, so that a lost wake-up costs latency only.
const LOOK: Duration = Duration::from_secs(10);

/// A sink with what its task remembers.
pub(super) struct Runner<S> {
    sink: S,
    store: Store,
    ambient: Ambient,
    desk: Arc<Desk>,
    outbox: Outbox,
    /// Refused for good and not yet kept; the cursor in the store does not pass them.
    dead: Vec<NewDeadLetter>,
    /// The position in the store, and since when it is behind.
    saved: u64,
    unsaved_since: Option<Instant>,
    /// Failures in a row of the sink or the store, and when to try again.
    failures: u32,
    /// The last failure, until the sink works again: the same one is told once.
    trouble: Option<String>,
    retry_at: Option<Instant>,
    /// Whether dead letters may wait to be delivered again.
    has_letters: bool,
    /// Entries up to here may have arrived without our knowing: before a crash, or in a delivery
    /// that failed.
    in_doubt: u64,
}

impl<S: Sink> Runner<S> {
    pub(super) fn new(sink: S, store: Store, ambient: Ambient, desk: Arc<Desk>) -> Self {
        let head = store.journal_head();
        let outbox = Outbox::new(sink.order(), head);
        Self {
            sink,
            store,
            ambient,
            desk,
            outbox,
            dead: Vec::new(),
            saved: head,
            unsaved_since: None,
            failures: 0,
            trouble: None,
            retry_at: None,
            has_letters: true,
            in_doubt: head,
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut head = self.store.watch_journal();
        if stop.run_until_cancelled(self.begin()).await.is_none() {
            return;
        }
        let desk = self.desk.clone();
        let mut over = pin!(async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_TURNS).await;
        });
        loop {
            head.borrow_and_update();
            // Cut in the middle of a delivery, its batch comes again: at least once.
            let is_busy = tokio::select! {
                () = &mut over => break,
                is_busy = self.turn() => is_busy,
            };
            self.show();
            if is_busy {
                continue;
            }
            if stop.is_cancelled() {
                break;
            }
            // Cancel-safe: tokens, watches, notifications and timers keep what is not taken.
            tokio::select! {
                () = stop.cancelled() => {}
                changed = head.changed() => if changed.is_err() { break },
                () = desk.wake.notified() => self.woken(),
                () = tokio::time::sleep_until(self.next_turn()) => {}
            }
        }
        self.save().await;
        self.sink.close().await;
        self.desk.note(|status| status.state = SinkState::Stopped);
    }

    /// Finds where it was. A sink that never was anywhere keeps the head as its first position,
    /// so that a crash before its first delivery misses nothing.
    async fn begin(&mut self) {
        while self.sink.resume() == Resume::Cursor {
            match self.store.sink_position(self.sink.name()).await {
                Ok(Some(position)) => {
                    self.outbox = Outbox::new(self.sink.order(), position);
                    self.saved = position;
                    break;
                }
                Ok(None) => {
                    self.unsaved_since = Some(Instant::now());
                    if self.save().await {
                        break;
                    }
                }
                Err(error) => self.failed(&error.to_string()),
            }
            tokio::time::sleep_until(self.retry_at.unwrap_or_else(Instant::now)).await;
        }
        self.show();
    }

    /// Does what can be done now; whether there may be more at once.
    async fn turn(&mut self) -> bool {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        self.retry_at = None;
        if self.is_save_due() && !self.save().await {
            return false;
        }
        let mut is_busy = self.fill().await;
        let batch = self.outbox.ready(Instant::now(), BATCH);
        if !batch.entries.is_empty() {
            is_busy = self.deliver(batch).await;
        }
        if self.retry_at.is_none() {
            is_busy |= self.retry_letters().await;
        }
        is_busy && self.retry_at.is_none()
    }

    /// Reads the journal while there is room; whether something was read.
    async fn fill(&mut self) -> bool {
        let room = self.outbox.room().min(BATCH);
        if room == 0 || self.store.journal_head() <= self.outbox.read() {
            return false;
        }
        let missed = self.outbox.missed();
        match self.store.journal_after(self.outbox.read(), room).await {
            Ok(entries) => {
                for entry in entries {
                    // What nobody wants moves the cursor too.
                    self.unsaved_since.get_or_insert_with(Instant::now);
                    let key = self.sink.accepts(&entry).then(|| self.sink.key(&entry));
                    self.outbox.take(entry.seq.unwrap_or(0), entry, key);
                }
            }
            Err(error) => self.failed(&error.to_string()),
        }
        if self.outbox.missed() > missed {
            let entries = self.outbox.missed() - missed;
            error!(sink = self.sink.name(), entries, "the journal was pruned before a sink had it");
        }
        true
    }

    /// Whether it went well.
    async fn deliver(&mut self, batch: Batch) -> bool {
        match self.hand_over(&batch.entries).await {
            Ok(outcomes) => {
                crash_point("relay-delivered");
                self.settle(&batch, outcomes);
                true
            }
            Err(Unreachable(reason)) => {
                self.in_doubt = self.outbox.read();
                self.failed(&reason);
                false
            }
        }
    }

    async fn hand_over(
        &mut self,
        entries: &[Arc<model::JournalEntry>],
    ) -> Result<Vec<Outcome>, Unreachable> {
        in_time(self.sink.deliver(entries)).await
    }

    fn settle(&mut self, batch: &Batch, outcomes: Vec<Outcome>) {
        let delivered = outcomes.iter().filter(|o| **o == Outcome::Delivered).count() as u64;
        let later = outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Later(reason) | Outcome::Refused(reason) => Some(reason.clone()),
            Outcome::Delivered => None,
        });
        let ambient = &self.ambient;
        let wait = |attempts| backoff::wait(attempts, ambient);
        let dead = self.outbox.settle(Instant::now(), batch, outcomes, wait);
        for letter in &dead {
            warn!(sink = self.sink.name(), seq = letter.entry.seq, reason = %letter.reason, "an entry is a dead letter");
        }
        self.dead.extend(dead);
        self.works();
        self.unsaved_since.get_or_insert_with(Instant::now);
        let now = self.ambient.now();
        self.desk.note(|status| {
            status.delivered += delivered;
            if let Some(reason) = later {
                (status.last_error, status.last_error_at) = (Some(reason), Some(now));
            }
        });
    }

    /// Delivers some of what an operator wants retried, one by one; whether there may be more.
    ///
    /// A letter comes to stand behind entries that are younger than it. A sink that asks how far
    /// it is by its newest entry is misled by that, so letters wait until everything before them
    /// is settled and kept: then nothing of it comes again, whatever happens.
    async fn retry_letters(&mut self) -> bool {
        if !self.has_letters || self.outbox.position() < self.in_doubt {
            return false;
        }
        let letters = match self.store.retrying_dead_letters(self.sink.name(), LETTERS).await {
            Ok(letters) => letters,
            Err(error) => {
                self.failed(&error.to_string());
                return false;
            }
        };
        self.has_letters = !letters.is_empty();
        if letters.is_empty() || !self.save().await {
            return false;
        }
        for letter in letters {
            if !self.retry_letter(letter).await {
                return false;
            }
        }
        true
    }

    /// Whether it was settled, one way or the other.
    async fn retry_letter(&mut self, letter: store::DeadLetter) -> bool {
        let entry = Arc::new(letter.entry);
        let outcome = match in_time(self.sink.redeliver(&entry)).await {
            Ok(outcomes) => outcomes.into_iter().next(),
            Err(Unreachable(reason)) => {
                self.failed(&reason);
                return false;
            }
        };
        self.works();
        let outcome = match outcome {
            Some(Outcome::Delivered) => Ok(()),
            Some(Outcome::Later(reason) | Outcome::Refused(reason)) => Err(reason),
            None => Err("the sink did not try".into()),
        };
        let settled = self.store.settle_dead_letter(letter.id, outcome).await;
        settled.map_err(|error| self.failed(&error.to_string())).is_ok()
    }

    /// Somebody has changed something, so it is tried at once.
    fn woken(&mut self) {
        self.has_letters = true;
        self.retry_at = None;
    }

    fn is_save_due(&self) -> bool {
        let Some(since) = self.unsaved_since else { return false };
        since.elapsed() >= SAVE_AFTER
            || self.outbox.position() - self.saved >= SAVE_ENTRIES
            || self.dead.len() >= BATCH
    }

    /// Keeps where it is, with its dead letters; whether that worked.
    async fn save(&mut self) -> bool {
        if self.unsaved_since.is_none() {
            return true;
        }
        let position = self.outbox.position();
        let is_kept = self.sink.resume() == Resume::Cursor;
        if is_kept || !self.dead.is_empty() {
            let progress =
                SinkProgress { position: is_kept.then_some(position), dead: self.dead.clone() };
            if let Err(error) = self.store.save_sink(self.sink.name(), progress).await {
                self.not_saved(&error);
                return false;
            }
        }
        self.dead.clear();
        self.saved = position;
        self.unsaved_since = None;
        true
    }

    fn not_saved(&mut self, error: &BuryError) {
        error!(
            sink = self.sink.name(),
            error = error as &dyn Error,
            "a sink stands still until its position can be kept"
        );
        self.failed(&error.to_string());
    }

    /// The sink was reached.
    fn works(&mut self) {
        self.failures = 0;
        if self.trouble.take().is_some() {
            info!(sink = self.sink.name(), "a sink works again");
        }
    }

    /// Nothing is tried for a while.
    fn failed(&mut self, reason: &str) {
        self.failures = self.failures.saturating_add(1);
        let wait = backoff::wait(self.failures, &self.ambient);
        if self.trouble.as_deref() != Some(reason) {
            warn!(sink = self.sink.name(), reason, "a sink fails; it is tried again");
            self.trouble = Some(reason.to_owned());
        }
        self.retry_at = Some(Instant::now() + wait);
        let now = self.ambient.now();
        self.desk.note(|status| {
            (status.last_error, status.last_error_at) = (Some(reason.into()), Some(now));
            status.failures += 1;
            status.state = SinkState::Waiting { until: now.plus(wait) };
        });
    }

    fn next_turn(&self) -> Instant {
        let look = Instant::now() + LOOK;
        if let Some(at) = self.retry_at.filter(|at| *at > Instant::now()) {
            return at.min(look);
        }
        let save = self.unsaved_since.map(|since| since + SAVE_AFTER);
        [save, self.outbox.next_due()].into_iter().flatten().min().map_or(look, |at| at.min(look))
    }

    fn show(&mut self) {
        let is_waiting = self.retry_at.is_some_and(|at| Instant::now() < at);
        if !is_waiting {
            self.retry_at = None;
        }
        self.desk.note(|status| {
            status.position = self.outbox.position();
            status.missed = self.outbox.missed();
            if !is_waiting {
                status.state = SinkState::Running;
            }
        });
    }
}

async fn in_time(
    delivery: impl Future<Output = Result<Vec<Outcome>, Unreachable>>,
) -> Result<Vec<Outcome>, Unreachable> {
    let outcomes = tokio::time::timeout(DELIVERY_TIMEOUT, delivery).await;
    outcomes.unwrap_or_else(|_| Err(Unreachable("it did not answer in time".into())))
}
