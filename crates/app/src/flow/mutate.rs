//! Flow *mutate*: queued change → claim with a lease → candidate → plan → network → one
//! transaction with desired state, outcome and events.
//!
//! The mutator owns the network: nobody else brings it anywhere. It wakes on
//! `topology.*.mutation.enqueued`, `topology.*.status` and a direct nudge; none of them carries
//! work, so a lost one costs latency only, because it looks by itself at least every poll
//! interval. `decky.*.mutate_request` does carry work: `requests.rs` queues it. Desired state
//! changes in the transaction that ends a mutation and nowhere else; after a crash the expired
//! lease runs the op again.

mod requests;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use api::MutatorView;
use bus::{Bus, BusState, Delivery, OnLag, Subscription};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use maze::{Change, Stage};
use model::{
    Ambient, DeckyId, MutationId, Op, Timestamp, Topology, TopologyId, TopologyStatus, Trigger,
};
use store::{
    Claim, EnqueueError, FinishError, MutationRecord, NewMutation, Store, StoreError,
    TopologyRecord,
};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::requests::Requests;
use crate::{
    crash_point,
    flow::{outcomes::outcomes, reconcile},
    network::{Failure, Network, Order, Void},
    workers::Pulse,
};

/// Shortest sleep between two looks that nobody asked for.
const FLOOR: Duration = Duration::from_secs(1);
/// Name under which leases are taken.
const WORKER: &str = "mutator";
/// Topologies that are changed at the same time at most; each is by one mutation at a time.
const AT_ONCE: usize = 8;
/// How often a change is tried whose steps fail for a reason that may pass.
const TRIES: u32 = 3;
/// Pause before the second try; the next is four times as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Most wake-ups that wait; more carry no news.
const WAKE_UPS: usize = 256;

/// Who has a visitor right now; scheduled rotations leave those deckies alone.
pub trait Occupancy: Send + Sync {
    /// How many sessions the decky has.
    fn live_sessions(&self, decky: DeckyId) -> usize;
}

/// Wakes the mutator.
#[derive(Debug, Default)]
pub struct Wake {
    queue: Notify,
    everything: Notify,
}

impl MutatorView for Wake {
    fn look_at_queue(&self) {
        self.queue.notify_one();
    }

    fn look_at_everything(&self) {
        self.everything.notify_one();
    }
}

/// What the mutator works with.
pub struct Mutator {
    /// The truth, with the queue.
    pub store: Store,
    /// What it changes.
    pub network: Network,
    /// Where wake-ups come from.
    pub bus: Bus,
    /// Its heart.
    pub pulse: Pulse,
    /// Time and randomness.
    pub ambient: Ambient,
    /// Who must not be disturbed.
    pub occupancy: Arc<dyn Occupancy>,
    /// A direct nudge, for when the bus is off.
    pub wake: Arc<Wake>,
    /// Longest sleep.
    pub poll: Duration,
    /// How long a claim lasts.
    pub lease: Duration,
    /// Told when the network was brought to desired state for the first time.
    pub ready: Option<oneshot::Sender<()>>,
}

/// What it remembers between two looks.
#[derive(Default)]
struct Memory {
    next_rotation: BTreeMap<TopologyId, Timestamp>,
    is_idle: Option<bool>,
    applied: u64,
    failed: u64,
}

/// How much of the work to look at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// The queue only.
    Queue,
    /// Every topology, then the queue.
    Everything,
}

struct WakeUps {
    enqueued: Subscription,
    status: Subscription,
}

impl Mutator {
    /// Works until `stop`; a change that is being applied is finished first.
    pub async fn run(mut self, stop: CancellationToken) {
        let ready = self.ready.take();
        let requests = Requests { store: &self.store, wake: &self.wake };
        let asked = self.listen(requests::FILTER, requests::MOST_WAITING).await;
        tokio::join!(self.work_off(ready, &stop), requests.run(asked, &stop));
    }

    async fn work_off(&self, mut ready: Option<oneshot::Sender<()>>, stop: &CancellationToken) {
        let mut memory = Memory::default();
        self.take_over().await;
        let mut wake_ups = self.subscribe().await;
        let mut heartbeat = self.pulse.beats();
        let mut look = Look::Everything;
        let mut looked_at = Instant::now();
        while !stop.is_cancelled() {
            if look == Look::Everything {
                looked_at = Instant::now();
            }
            self.mutate_all(look, &mut memory).await;
            // Nobody may be waiting any more; then there is nobody to tell.
            ready.take().map(|ready| ready.send(()));
            let pause = self.pause(&memory, looked_at.elapsed());
            // Cancel-safe: notifications, subscriptions, timers and tokens keep what is not taken.
            look = tokio::select! {
                () = stop.cancelled() => break,
                () = self.wake.everything.notified() => Look::Everything,
                () = self.wake.queue.notified() => Look::Queue,
                got = wake_ups.enqueued.next(), if self.has_bus() => look_for(got.as_ref()),
                _ = wake_ups.status.next(), if self.has_bus() => Look::Everything,
                _ = heartbeat.tick() => { self.beat(&memory).await; Look::Queue }
                () = tokio::time::sleep(pause) => Look::Everything,
            };
        }
    }

    /// What an earlier life of this worker had claimed runs again now, not when its lease is over.
    /// The lock on the data directory makes sure that there is no other.
    async fn take_over(&self) {
        match self.store.release_leases(WORKER).await {
            Ok(0) => {}
            Ok(mutations) => info!(mutations, "mutations of an earlier run are taken up again"),
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "leases of an earlier run stay until they are over"
            ),
        }
    }

    /// Whether wake-ups can come over the bus; one that is off or closed ends its subscriptions.
    fn has_bus(&self) -> bool {
        match self.bus.health().state {
            BusState::Off | BusState::Closed => false,
            BusState::Embedded
            | BusState::Idle
            | BusState::Connecting
            | BusState::Connected
            | BusState::Waiting => true,
        }
    }

    async fn subscribe(&self) -> WakeUps {
        WakeUps {
            enqueued: self.listen("topology.*.mutation.enqueued", WAKE_UPS).await,
            status: self.listen("topology.*.status", WAKE_UPS).await,
        }
    }

    async fn listen(&self, filter: &str, most_waiting: usize) -> Subscription {
        let filter = filter.parse().expect("a filter written here is one");
        self.bus.subscribe(filter, most_waiting, OnLag::DropNewest).await
    }

    /// Time to sleep: until the next rotation is due, at most the poll interval since the last
    /// look at everything, at least a second.
    fn pause(&self, memory: &Memory, since_look: Duration) -> Duration {
        let now = self.ambient.now();
        let until_due = memory.next_rotation.values().min().map(|due| due.since(now));
        until_due.unwrap_or(self.poll).min(self.poll.saturating_sub(since_look)).max(FLOOR)
    }

    /// Does what there is to do. A database that cannot be read is said once per look and tried
    /// again at the next. The first look comes before the queue, because changes are made to a
    /// network that stands; later the queue comes first, because somebody waits for it.
    async fn mutate_all(&self, look: Look, memory: &mut Memory) {
        let done = async {
            let is_first = memory.is_idle.is_none();
            if !is_first {
                self.drain(memory).await?;
            }
            if look == Look::Everything || is_first {
                self.look_at_topologies(memory).await?;
                self.drain(memory).await?;
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = done.await {
            warn!(error = &error as &dyn std::error::Error, "mutator could not use the database");
        }
    }

    async fn look_at_topologies(&self, memory: &mut Memory) -> Result<(), StoreError> {
        let order = self.network.order();
        let records = self.store.topologies().await?;
        let deployed = records.iter().filter(|record| record.status.is_deployed()).count();
        memory.next_rotation.clear();
        for record in records {
            let reconciled = reconcile::topology(&self.store, &self.network, order, record).await;
            // Switched off meanwhile: what was read is no longer so.
            let Ok(record) = reconciled else { break };
            if record.status.is_deployed() {
                self.rotate_due(&record).await;
                memory.note_rotation(&record.topology);
            }
        }
        memory.say_idle(deployed == 0);
        Ok(())
    }

    /// Queues the rotations that are due. A decky with a visitor waits for its next interval.
    async fn rotate_due(&self, record: &TopologyRecord) {
        let now = self.ambient.now();
        for decky in maze::due_rotations(&record.topology, now) {
            if self.occupancy.live_sessions(decky.id) > 0 {
                continue;
            }
            let every = decky.rotate_every.or(record.topology.rotate_every);
            let every = every.unwrap_or(self.poll).as_micros().max(1);
            let interval = now.since(decky.rotated_at).as_micros() / every;
            let key = format!("rotate-{}-{}-{interval}", decky.id, decky.rotated_at);
            let rotation = NewMutation {
                topology_id: record.topology.id,
                op: Op::RotateDecky { decky: decky.name.clone(), services: None },
                expected_version: None,
                idempotency_key: Some(key),
                requested_by: "schedule".into(),
                trigger: Trigger::Scheduled,
                dedupe_event: None,
            };
            if let Err(error) = self.store.enqueue(rotation).await {
                log_refusal(&error, decky.id);
            }
        }
    }

    /// Applies what is queued until nothing can be claimed: one after the other in each topology,
    /// several topologies at once. One that takes its time holds up no other.
    async fn drain(&self, memory: &mut Memory) -> Result<(), StoreError> {
        let mut running = FuturesUnordered::new();
        let (mut is_asked_for_more, mut broken) = (false, None);
        loop {
            while running.len() < AT_ONCE && broken.is_none() {
                let order = self.network.order();
                match self.store.claim(WORKER, self.lease).await {
                    Ok(Some(claim)) => running.push(self.work(order, claim)),
                    Ok(None) => break,
                    Err(error) => broken = Some(error),
                }
            }
            // Cancel-safe: what runs stays with `running`, and a wake-up is passed on below.
            tokio::select! {
                biased;
                done = running.next() => match done {
                    Some((id, outcome)) => memory.note_outcome(id, outcome),
                    None => break,
                },
                () = self.wake.queue.notified(), if broken.is_none() => {}
                () = self.wake.everything.notified() => is_asked_for_more = true,
                () = tokio::time::sleep(FLOOR) => {}
            }
        }
        if is_asked_for_more {
            self.wake.look_at_everything();
        }
        broken.map_or(Ok(()), Err)
    }

    async fn work(&self, order: Order, claim: Claim) -> (MutationId, Outcome) {
        crash_point("claimed");
        let id = claim.mutation.id;
        (id, self.apply(order, claim).await)
    }

    async fn apply(&self, order: Order, claim: Claim) -> Outcome {
        let Claim { mutation, topology: record } = claim;
        let applied = match self.candidate(&mutation, &record).await {
            Ok(applied) => applied,
            Err(Refusal::Because(reason)) => return self.fail(&mutation, reason).await,
            Err(Refusal::NotNow(error)) => {
                warn!(mutation.id = %mutation.id, error = &error as &dyn std::error::Error, "mutation not looked at; it runs again");
                return Outcome::Unfinished;
            }
        };
        if record.status.is_deployed()
            && let Err(reason) =
                self.realise(order, &mutation, (&record.topology, &applied.topology)).await
        {
            self.restore(order, &record).await;
            return self.fail(&mutation, reason).await;
        }
        crash_point("executed");
        let outcomes = outcomes(&record, &applied.topology, mutation.trigger);
        let finish = self.store.finish_applied(
            mutation.id,
            mutation.attempt,
            &applied.topology,
            &applied.inverse,
            outcomes,
        );
        match finish.await {
            Ok(_) => {
                crash_point("finished");
                if record.status == TopologyStatus::Degraded {
                    // It may be whole by that, or not what the change says: a full look tells.
                    self.wake.look_at_everything();
                }
                Outcome::Applied(applied.topology)
            }
            Err(error) => {
                self.restore(order, &record).await;
                unfinished(&mutation, &error)
            }
        }
    }

    /// What the mutation makes of the topology as it is now, or why it no longer fits.
    async fn candidate(
        &self,
        mutation: &MutationRecord,
        record: &TopologyRecord,
    ) -> Result<maze::Applied, Refusal> {
        let current = record.topology.version;
        if let Some(expected) = mutation.expected_version.filter(|version| *version != current) {
            let reason = format!("the topology has version {current} by now, not {expected}");
            return Err(Refusal::Because(reason));
        }
        if let Op::Undo { mutations, .. } = &mutation.op {
            self.check_not_undone(mutations).await?;
        }
        let stage = if record.status.is_deployed() { Stage::Live } else { Stage::Drawn };
        maze::apply_on(stage, &record.topology, &mutation.op, &self.ambient)
            .map_err(|violations| Refusal::Because(reason_of(&violations)))
    }

    async fn check_not_undone(&self, mutations: &[MutationId]) -> Result<(), Refusal> {
        for id in mutations {
            let known = self.store.mutation(*id).await.map_err(Refusal::NotNow)?;
            if let Some(by) = known.and_then(|mutation| mutation.undone_by) {
                let reason = format!("UNDO_TWICE: mutation {id} was undone by {by} already");
                return Err(Refusal::Because(reason));
            }
        }
        Ok(())
    }

    /// Brings what the candidate changes to the network. What fails for a reason that may pass is
    /// tried again. Where it fails for good, answers the reason.
    async fn realise(
        &self,
        order: Order,
        mutation: &MutationRecord,
        (before, after): (&Topology, &Topology),
    ) -> Result<(), String> {
        let change = Change::between(before, after);
        let mut pause = FIRST_PAUSE;
        for tries_left in (0..TRIES).rev() {
            let work = self.network.change_to(order, change.clone());
            let failures = self.holding_lease(mutation, work).await;
            let failures = failures.map_err(|void: Void| void.to_string())?;
            let Some(failure) = failures.into_iter().next() else { return Ok(()) };
            if tries_left == 0 || !failure.error.is_transient() {
                return Err(reason_of_failure(&failure));
            }
            info!(mutation.id = %mutation.id, error = &failure.error as &dyn std::error::Error, "step failed; it is tried again");
            self.holding_lease(mutation, tokio::time::sleep(pause)).await;
            pause *= 4;
        }
        Ok(())
    }

    /// Waits for `work` and renews the claim meanwhile.
    async fn holding_lease<T>(
        &self,
        mutation: &MutationRecord,
        work: impl Future<Output = T>,
    ) -> T {
        tokio::pin!(work);
        loop {
            // Cancel-safe: the work is pinned outside of the loop and goes on.
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(self.lease / 3) => {
                    let renewed = self.store.renew(mutation.id, mutation.attempt, self.lease).await;
                    if let Err(error) = renewed {
                        warn!(mutation.id = %mutation.id, error = &error as &dyn std::error::Error, "lease not renewed");
                    }
                }
            }
        }
    }

    async fn fail(&self, mutation: &MutationRecord, reason: String) -> Outcome {
        match self.store.finish_failed(mutation.id, mutation.attempt, &reason).await {
            Ok(_) => Outcome::Failed(reason),
            Err(error) => unfinished(mutation, &error),
        }
    }

    /// Brings the network back to desired state after a candidate did not make it. What cannot
    /// be restored makes the topology degraded, which heals at a later look; what was switched
    /// off meanwhile stays off.
    async fn restore(&self, order: Order, record: &TopologyRecord) {
        let restored = reconcile::topology(&self.store, &self.network, order, record.clone()).await;
        if restored.is_err() {
            info!(topology.id = %record.topology.id, "not restored: the network was switched off");
        }
    }

    async fn beat(&self, memory: &Memory) {
        let own = [
            ("applied_total", memory.applied),
            ("failed_total", memory.failed),
            ("rotating_topologies", memory.next_rotation.len() as u64),
        ];
        self.network.rest().await;
        let network = self.network.figures().await;
        self.pulse
            .beat(own.map(|(name, value)| (name.to_owned(), value)).into_iter().chain(network));
    }
}

/// Why a mutation is not applied.
enum Refusal {
    /// It does not fit; what an operator is told.
    Because(String),
    /// The database is away.
    NotNow(StoreError),
}

enum Outcome {
    Applied(Topology),
    Failed(String),
    /// Somebody else owns it now, or the database is away: a later claim ends it.
    Unfinished,
}

impl Memory {
    fn note_outcome(&mut self, id: MutationId, outcome: Outcome) {
        match outcome {
            Outcome::Applied(topology) => {
                self.applied += 1;
                self.note_rotation(&topology);
                info!(mutation.id = %id, topology.id = %topology.id, version = topology.version, "mutation applied");
            }
            Outcome::Failed(reason) => {
                self.failed += 1;
                warn!(mutation.id = %id, reason, "mutation failed");
            }
            Outcome::Unfinished => {}
        }
    }

    fn note_rotation(&mut self, topology: &Topology) {
        match maze::next_due(topology) {
            Some(due) => self.next_rotation.insert(topology.id, due),
            None => self.next_rotation.remove(&topology.id),
        };
    }

    /// Says that there is nothing to mutate when that begins and when it ends, not at each look.
    fn say_idle(&mut self, is_idle: bool) {
        if self.is_idle != Some(is_idle) {
            self.is_idle = Some(is_idle);
            if is_idle {
                info!("no topology is deployed; the mutator is idle");
            } else {
                info!("the mutator is at work");
            }
        }
    }
}

/// A gap hides nobody knows what, so everything is looked at.
fn look_for(delivery: Option<&Delivery>) -> Look {
    match delivery {
        Some(Delivery::Event(_)) => Look::Queue,
        Some(Delivery::Gap { .. }) | None => Look::Everything,
    }
}

fn log_refusal(error: &EnqueueError, decky: DeckyId) {
    warn!(decky.id = %decky, error = error as &dyn std::error::Error, "rotation not queued");
}

fn unfinished(mutation: &MutationRecord, error: &FinishError) -> Outcome {
    let id = mutation.id;
    match error {
        FinishError::Fenced(_) => debug!(mutation.id = %id, "another claim took over"),
        FinishError::Conflict { .. } | FinishError::Store(_) => {
            warn!(mutation.id = %id, error = error as &dyn std::error::Error, "mutation not ended; it runs again");
        }
    }
    Outcome::Unfinished
}

fn reason_of(violations: &[maze::Violation]) -> String {
    let say = |v: &maze::Violation| format!("{}: {}", v.code.as_str(), v.message);
    violations.iter().map(say).collect::<Vec<_>>().join("; ")
}

fn reason_of_failure(failure: &Failure) -> String {
    format!("could not {}: {}", failure.step, failure.error)
}
