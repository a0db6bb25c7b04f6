//! The mutator over a network that fails where it is told to, on a clock that stands still.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use api::{MutatorView as _, PanicSwitch};
use bus::{Bus, Delivery, OnLag};
use fleet::{Driver, Failure, Fake};
use maze::StepKind;
use model::{
    Ambient, DeckyId, DeckyState, Event, JournalEntry, MutateRequest, MutationState, Name, Op,
    Payload, Service, Timestamp, Topology, TopologyId, TopologyStatus, Trigger,
};
use morgana::{
    flow::{
        mutate::{Mutator, Occupancy, Wake},
        panic::KillSwitch,
    },
    network::Network,
    workers::Pulse,
};
use store::{MutationRecord, NewMutation, Store};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longest wait for what must happen.
const PATIENCE: Duration = Duration::from_secs(10);

struct Bench {
    _dir: tempfile::TempDir,
    store: Store,
    bus: Bus,
    ambient: Ambient,
    fake: Arc<Fake>,
    network: Network,
    wake: Arc<Wake>,
    topology: Topology,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

struct Nobody;

impl Occupancy for Nobody {
    fn live_sessions(&self, _decky: DeckyId) -> usize {
        0
    }
}

struct Everywhere;

impl Occupancy for Everywhere {
    fn live_sessions(&self, _decky: DeckyId) -> usize {
        1
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

impl Bench {
    /// The demo maze, deployed on a fake network.
    async fn deployed(occupancy: Arc<dyn Occupancy>) -> Self {
        let fake = Arc::new(Fake::new());
        Self::on(fake.clone(), fake, occupancy).await
    }

    /// The same on this driver.
    async fn on(driver: Arc<dyn Driver>, fake: Arc<Fake>, occupancy: Arc<dyn Occupancy>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ambient = Ambient::seeded(7, Timestamp::from_micros(1_800_000_000_000_000));
        let store = Store::open(dir.path(), ambient.clone()).unwrap();
        let topology = maze::demo(name("demo"), &ambient);
        store.create_topology(&topology, "test").await.unwrap();
        let (pending, deploying) = (TopologyStatus::Pending, TopologyStatus::Deploying);
        store.set_status(topology.id, pending, deploying, None, Vec::new()).await.unwrap();
        let (bus, wake, stop) =
            (Bus::embedded("test"), Arc::new(Wake::default()), CancellationToken::new());
        let network = Network::new(driver);
        let mutator = Mutator {
            store: store.clone(),
            network: network.clone(),
            bus: bus.clone(),
            pulse: Pulse::new("mutator", bus.clone(), ambient.clone()),
            ambient: ambient.clone(),
            occupancy,
            wake: wake.clone(),
            poll: Duration::from_secs(3600),
            lease: Duration::from_secs(30),
            ready: None,
        };
        let running = tokio::spawn(mutator.run(stop.clone()));
        let bench =
            Self { _dir: dir, store, bus, ambient, fake, network, wake, topology, stop, running };
        bench.until_status(TopologyStatus::Active).await;
        bench
    }

    async fn enqueue(&self, op: Op) -> MutationRecord {
        self.enqueue_for(self.topology.id, op).await
    }

    async fn enqueue_for(&self, topology_id: TopologyId, op: Op) -> MutationRecord {
        let mutation = NewMutation {
            topology_id,
            op,
            expected_version: None,
            idempotency_key: None,
            requested_by: "test".into(),
            trigger: Trigger::Operator,
            dedupe_event: None,
        };
        let queued = self.store.enqueue(mutation).await.unwrap();
        self.wake.look_at_queue();
        queued.mutation
    }

    async fn ended(&self, mutation: &MutationRecord) -> MutationRecord {
        self.until(async |bench| {
            let now = bench.store.mutation(mutation.id).await.unwrap().unwrap();
            now.state.is_final().then_some(now)
        })
        .await
    }

    async fn until_status(&self, status: TopologyStatus) {
        self.until(async |bench| {
            let now = bench.store.topology(bench.topology.id).await.unwrap().unwrap();
            (now.status == status).then_some(())
        })
        .await;
    }

    /// Waits for a condition; looks again at every commit.
    async fn until<T>(&self, condition: impl AsyncFn(&Self) -> Option<T>) -> T {
        let mut head = self.store.watch_journal();
        let waiting = async {
            loop {
                head.borrow_and_update();
                if let Some(value) = condition(self).await {
                    return value;
                }
                head.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("it happens in time")
    }

    async fn journal(&self) -> Vec<JournalEntry> {
        self.store.journal_after(0, 10_000).await.unwrap()
    }

    /// Whether the network is what is desired.
    async fn is_as_desired(&self) -> bool {
        let record = self.store.topology(self.topology.id).await.unwrap().unwrap();
        maze::plan(Some(&record.topology), &self.fake.observe(self.topology.id)).is_empty()
    }

    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.running).await.expect("it stops").unwrap();
        self.store.close().await;
    }
}

fn add_decky() -> Op {
    Op::AddDecky {
        name: name("new-01"),
        lan: name("office"),
        services: Some(vec![Service::Ssh, Service::Http]),
        archetype: None,
        forwards_l3: false,
        ip: None,
        rotate_every_seconds: None,
        position: None,
    }
}

#[tokio::test]
async fn a_step_that_fails_fails_the_change_and_nothing_else() {
    let bench = Bench::deployed(Arc::new(Nobody)).await;
    let states = |entries: &[JournalEntry]| {
        entries.iter().filter(|entry| entry.kind == "decky.state").count()
    };
    let before = states(&bench.journal().await);
    bench.fake.fail_kind(StepKind::OpenService, 1, Failure::Permanent);
    let failed = bench.ended(&bench.enqueue(add_decky()).await).await;
    assert_eq!(failed.state, MutationState::Failed);
    let reason = failed.reason.unwrap();
    assert!(reason.contains("could not open ssh on port 22"), "{reason}");
    assert!(bench.is_as_desired().await, "the previous state is restored");
    assert_eq!(states(&bench.journal().await), before, "nothing happened to any decky");

    let applied = bench.ended(&bench.enqueue(add_decky()).await).await;
    assert_eq!(applied.state, MutationState::Applied);
    assert!(bench.is_as_desired().await);
    bench.end().await;
}

#[tokio::test]
async fn a_change_that_no_longer_fits_fails_with_the_code() {
    let bench = Bench::deployed(Arc::new(Nobody)).await;
    let (first, second) = (bench.enqueue(add_decky()).await, bench.enqueue(add_decky()).await);
    assert_eq!(bench.ended(&first).await.state, MutationState::Applied);
    let second = bench.ended(&second).await;
    assert_eq!(second.state, MutationState::Failed);
    assert!(second.reason.unwrap().starts_with("DECKY_NAME_DUP: "));
    bench.end().await;
}

#[tokio::test]
async fn a_step_that_may_work_later_is_tried_again() {
    let bench = Bench::deployed(Arc::new(Nobody)).await;
    bench.fake.fail_kind(StepKind::OpenService, 2, Failure::Transient);
    let applied = bench.ended(&bench.enqueue(add_decky()).await).await;
    assert_eq!(applied.state, MutationState::Applied, "{:?}", applied.reason);
    bench.fake.fail_kind(StepKind::OpenService, 9, Failure::Transient);
    let rotate = Op::RotateDecky { decky: name("new-01"), services: Some(vec![Service::Ftp]) };
    let failed = bench.ended(&bench.enqueue(rotate).await).await;
    assert_eq!(failed.state, MutationState::Failed, "not for ever");
    bench.end().await;
}

#[tokio::test]
async fn a_batch_that_fails_halfway_leaves_nothing_behind() {
    let bench = Bench::deployed(Arc::new(Nobody)).await;
    let lab = Op::AddLan { name: name("lab"), subnet: None, is_dmz: false, position: None };
    let attach = |decky| Op::AttachDecky {
        decky: name(decky),
        lan: name("lab"),
        ip: None,
        forwards_l3: true,
    };
    let batch = Op::Batch { ops: vec![lab, attach("web-01"), attach("db-01")] };
    bench.fake.fail_kind(StepKind::AttachDecky, 1, Failure::Permanent);
    let failed = bench.ended(&bench.enqueue(batch.clone()).await).await;
    assert_eq!(failed.state, MutationState::Failed);
    assert!(bench.is_as_desired().await, "the previous state is restored");
    let record = bench.store.topology(bench.topology.id).await.unwrap().unwrap();
    assert_eq!((record.topology.version, record.topology.lans.len()), (1, 3));

    let applied = bench.ended(&bench.enqueue(batch).await).await;
    assert_eq!((applied.state, applied.version), (MutationState::Applied, 2));
    assert!(bench.is_as_desired().await);
    let removed = |step: &maze::Step| step.kind() == StepKind::RemoveDecky;
    assert!(!bench.fake.steps().iter().any(removed), "no machine went away for an interface");

    let undo = || Op::Undo { mutations: vec![applied.id], ops: applied.inverse.clone() };
    let undone = bench.ended(&bench.enqueue(undo()).await).await;
    assert_eq!(undone.state, MutationState::Applied, "{:?}", undone.reason);
    let known = bench.store.mutation(applied.id).await.unwrap().unwrap();
    assert_eq!(known.undone_by, Some(undone.id));
    let record = bench.store.topology(bench.topology.id).await.unwrap().unwrap();
    assert_eq!(record.topology.deckies, bench.topology.deckies);
    assert_eq!(record.topology.lans, bench.topology.lans);
    let twice = bench.ended(&bench.enqueue(undo()).await).await;
    assert!(twice.reason.unwrap().starts_with("UNDO_TWICE"));
    bench.end().await;
}

/// A network in which adding a LAN takes until it is let through.
struct Gated {
    fake: Fake,
    gate: (Mutex<bool>, Condvar),
    /// How many steps came to the gate.
    came: AtomicUsize,
}

impl Gated {
    fn new() -> Arc<Self> {
        let gate = (Mutex::new(true), Condvar::new());
        Arc::new(Self { fake: Fake::new(), gate, came: AtomicUsize::new(0) })
    }
}

impl Driver for Gated {
    fn observe(&self, topology: TopologyId) -> maze::Observed {
        self.fake.observe(topology)
    }

    fn execute(&self, step: &maze::Step) -> Result<(), fleet::StepError> {
        if step.kind() == StepKind::AddLan {
            let open = self.gate.0.lock().unwrap();
            self.came.fetch_add(1, SeqCst);
            // Not for ever: a test that fails must end.
            drop(self.gate.1.wait_timeout_while(open, PATIENCE * 2, |open| !*open).unwrap());
        }
        self.fake.execute(step)
    }

    fn endpoints(&self, decky: DeckyId) -> Vec<fleet::Endpoint> {
        self.fake.endpoints(decky)
    }

    fn topologies(&self) -> Vec<TopologyId> {
        self.fake.topologies()
    }
}

#[tokio::test]
async fn a_topology_that_takes_its_time_holds_up_no_other() {
    let gated = Gated::new();
    let bench = Bench::on(gated.clone(), Arc::new(Fake::new()), Arc::new(Nobody)).await;
    let other = maze::demo(name("other"), &bench.ambient);
    bench.store.create_topology(&other, "test").await.unwrap();
    *gated.gate.0.lock().unwrap() = false;
    let lab = Op::AddLan { name: name("lab"), subnet: None, is_dmz: false, position: None };
    let slow = bench.enqueue(lab.clone()).await;
    bench
        .until(async |bench| {
            let now = bench.store.mutation(slow.id).await.unwrap().unwrap();
            (now.state == MutationState::Applying).then_some(())
        })
        .await;
    let quick = bench.enqueue_for(other.id, lab).await;
    assert_eq!(bench.ended(&quick).await.state, MutationState::Applied);
    let still = bench.store.mutation(slow.id).await.unwrap().unwrap();
    assert_eq!(still.state, MutationState::Applying);
    *gated.gate.0.lock().unwrap() = true;
    gated.gate.1.notify_all();
    assert_eq!(bench.ended(&slow).await.state, MutationState::Applied);
    bench.end().await;
}

#[tokio::test]
async fn the_kill_switch_waits_for_what_is_under_way_and_voids_what_was_ordered() {
    let gated = Gated::new();
    let bench = Bench::on(gated.clone(), Arc::new(Fake::new()), Arc::new(Nobody)).await;
    let id = bench.topology.id;
    let switch = KillSwitch::new(bench.store.clone(), bench.network.clone());
    *gated.gate.0.lock().unwrap() = false;
    let lan = |label| Op::AddLan { name: name(label), subnet: None, is_dmz: false, position: None };
    let decky = Op::AddDecky {
        name: name("new-01"),
        lan: name("lab"),
        services: Some(vec![Service::Ssh]),
        archetype: None,
        forwards_l3: false,
        ip: None,
        rotate_every_seconds: None,
        position: None,
    };
    let came = gated.came.load(SeqCst);
    let halfway = bench.enqueue(Op::Batch { ops: vec![lan("lab"), decky] }).await;
    let waiting = bench.enqueue(lan("later")).await;
    let under_way = async {
        while gated.came.load(SeqCst) == came {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, under_way).await.expect("the step is being done");
    let order = bench.network.order();
    let thrown = tokio::spawn(async move { PanicSwitch::throw(&switch, "test").await });
    let void = async {
        while bench.network.check(order).is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, void).await.expect("orders are void at once");
    *gated.gate.0.lock().unwrap() = true;
    gated.gate.1.notify_all();
    let done = tokio::time::timeout(PATIENCE, thrown).await.unwrap().unwrap().unwrap();
    assert_eq!((done.off.len(), done.left.len()), (1, 0));
    for mutation in [&halfway, &waiting] {
        let ended = bench.ended(mutation).await;
        assert_eq!(ended.state, MutationState::Failed);
        assert!(ended.reason.unwrap().contains("switched off"));
    }
    // A look at everything, and what was read before the switch was thrown, bring nothing back.
    bench.wake.look_at_everything();
    bench.ended(&bench.enqueue(lan("drawn")).await).await;
    let stale = bench.topology.clone();
    let void = bench.network.bring_to(order, id, stale).await;
    assert!(void.is_err());
    assert_eq!(gated.topologies(), []);

    let (pending, deploying) = (TopologyStatus::Pending, TopologyStatus::Deploying);
    bench.store.set_status(id, pending, deploying, None, Vec::new()).await.unwrap();
    bench.wake.look_at_everything();
    bench.until_status(TopologyStatus::Active).await;
    assert_eq!(gated.topologies(), [id]);
    bench.end().await;
}

#[tokio::test]
async fn a_stopped_decky_is_off_the_network_until_it_is_started() {
    let bench = Bench::deployed(Arc::new(Nobody)).await;
    let decky = bench.topology.decky_named(&name("db-01")).unwrap().id;
    let state = async || {
        let record = bench.store.topology(bench.topology.id).await.unwrap().unwrap();
        record.decky_states[&decky]
    };
    bench.ended(&bench.enqueue(Op::StopDecky { decky: name("db-01") }).await).await;
    assert_eq!(state().await, DeckyState::Stopped);
    assert!(!bench.fake.observe(bench.topology.id).deckies.contains_key(&decky));
    // A look at everything finds it where it is wanted.
    bench.wake.look_at_everything();
    bench.ended(&bench.enqueue(add_decky()).await).await;
    assert_eq!(state().await, DeckyState::Stopped);
    bench.ended(&bench.enqueue(Op::StartDecky { decky: name("db-01") }).await).await;
    assert_eq!(state().await, DeckyState::Running);
    bench.end().await;
}

#[tokio::test]
async fn a_network_that_somebody_changed_heals() {
    let bench = Bench::deployed(Arc::new(Nobody)).await;
    let network = bench.fake.network();
    network.overwrite(maze::Observed::empty(bench.topology.id));
    bench.fake.fail_kind(StepKind::AddDecky, 2, Failure::Transient);
    bench.wake.look_at_everything();
    bench.until_status(TopologyStatus::Degraded).await;
    let record = bench.store.topology(bench.topology.id).await.unwrap().unwrap();
    let failed = record.decky_states.values().filter(|state| **state == DeckyState::Failed);
    assert_eq!(failed.count(), 2);
    assert!(record.reason.unwrap().contains("could not add decky"));

    bench.wake.look_at_everything();
    bench.until_status(TopologyStatus::Active).await;
    assert!(bench.is_as_desired().await);
    bench.end().await;
}

#[tokio::test]
async fn a_change_of_a_degraded_maze_is_followed_by_a_look_at_all_of_it() {
    let bench = Bench::deployed(Arc::new(Nobody)).await;
    let decky = *bench.topology.deckies.keys().next().unwrap();
    bench.fake.trouble(decky, Some("a real host has its address"));
    bench.wake.look_at_everything();
    bench.until_status(TopologyStatus::Degraded).await;
    bench.fake.trouble(decky, None);
    let rotate = Op::RotateDecky { decky: name("files-01"), services: None };
    let change = bench.enqueue(rotate).await;
    assert_eq!(bench.ended(&change).await.state, MutationState::Applied);
    bench.until_status(TopologyStatus::Active).await;
    bench.end().await;
}

#[tokio::test]
async fn a_decky_in_trouble_is_degraded_with_the_reason_until_it_is_over() {
    let bench = Bench::deployed(Arc::new(Nobody)).await;
    let steps = bench.fake.steps().len();
    assert_eq!(bench.fake.prepared(), [steps], "all steps of a plan are said at once");
    let decky = *bench.topology.deckies.keys().next().unwrap();
    bench.fake.trouble(decky, Some("a real host has its address"));
    bench.wake.look_at_everything();
    bench.until_status(TopologyStatus::Degraded).await;
    let record = bench.store.topology(bench.topology.id).await.unwrap().unwrap();
    let troubled = record.decky_states.iter().filter(|(_, s)| **s == DeckyState::Degraded);
    assert_eq!(troubled.map(|(id, _)| *id).collect::<Vec<_>>(), [decky]);
    assert_eq!(record.reason.as_deref(), Some("a real host has its address"));
    assert_eq!(bench.fake.steps().len(), steps, "nothing that a step could mend");

    bench.fake.trouble(decky, None);
    bench.wake.look_at_everything();
    bench.until_status(TopologyStatus::Active).await;
    bench.end().await;
}

#[tokio::test]
async fn deckies_rotate_when_their_interval_is_over_and_nobody_visits() {
    for (occupancy, rotates) in
        [(Arc::new(Nobody) as Arc<dyn Occupancy>, true), (Arc::new(Everywhere), false)]
    {
        let bench = Bench::deployed(occupancy).await;
        let rotate_every = Op::UpdateDecky {
            decky: name("web-01"),
            patch: None,
            services: None,
            rotate_every_seconds: Some(60),
            position: None,
            force: false,
        };
        bench.ended(&bench.enqueue(rotate_every).await).await;
        bench.ambient.advance(Duration::from_secs(61));
        // A change after the rotation was due: once it has ended, so has the look before it.
        bench.wake.look_at_everything();
        let later = Op::AddLan { name: name("lab"), subnet: None, is_dmz: false, position: None };
        bench.ended(&bench.enqueue(later).await).await;
        if rotates {
            bench
                .until(async |bench| {
                    let scheduled = bench.journal().await.into_iter().find(|entry| {
                        entry.kind == "decky.mutation" && entry.payload.get().contains("scheduled")
                    });
                    scheduled.map(|_| ())
                })
                .await;
            assert!(bench.is_as_desired().await);
        } else {
            let all = bench.store.mutations(bench.topology.id, None, None, 50).await.unwrap();
            let scheduled = all.items.iter().filter(|m| m.trigger == Trigger::Scheduled);
            assert_eq!(scheduled.count(), 0, "whoever has a visitor is left alone");
        }
        bench.end().await;
    }
}

#[tokio::test]
async fn a_request_on_the_bus_alone_is_queued_once_under_its_event_id() {
    let bench = Bench::deployed(Arc::new(Nobody)).await;
    let decky_id = bench.topology.decky_named(&name("web-01")).unwrap().id;
    let request = MutateRequest { decky_id, requested_by: "elsewhere".into(), reason: None };
    let event = Event::new(&bench.ambient, Payload::MutateRequest(request));
    bench.bus.publish(&event);
    bench.bus.publish(&event);
    let rotated = bench
        .until(async |bench| {
            let all = bench.store.mutations(bench.topology.id, None, None, 50).await.unwrap();
            all.items.into_iter().find(|m| m.state == MutationState::Applied)
        })
        .await;
    assert_eq!(rotated.requested_by, "elsewhere");
    // Whatever came of the second one has come before this.
    bench.ended(&bench.enqueue(add_decky()).await).await;
    let all = bench.store.mutations(bench.topology.id, None, None, 50).await.unwrap();
    assert_eq!(all.items.len(), 2, "{:#?}", all.items);
    bench.end().await;
}

#[tokio::test]
async fn a_request_on_the_bus_is_queued_while_the_mutator_is_busy() {
    let gated = Gated::new();
    let bench = Bench::on(gated.clone(), Arc::new(Fake::new()), Arc::new(Nobody)).await;
    *gated.gate.0.lock().unwrap() = false;
    let lab = Op::AddLan { name: name("lab"), subnet: None, is_dmz: false, position: None };
    let slow = bench.enqueue(lab).await;
    let decky_id = bench.topology.decky_named(&name("web-01")).unwrap().id;
    let asked: Vec<String> = (0..3).map(|n| format!("elsewhere-{n}")).collect();
    for requested_by in asked.clone() {
        let request = MutateRequest { decky_id, requested_by, reason: None };
        bench.bus.publish(&Event::new(&bench.ambient, Payload::MutateRequest(request)));
    }
    let queued = bench
        .until(async |bench| {
            let all = bench.store.mutations(bench.topology.id, None, None, 50).await.unwrap();
            let queued = all.items.into_iter().filter(|m| asked.contains(&m.requested_by));
            let queued: Vec<_> = queued.collect();
            (queued.len() == asked.len()).then_some(queued)
        })
        .await;
    let slow_now = bench.store.mutation(slow.id).await.unwrap().unwrap();
    assert!(!slow_now.state.is_final(), "the mutator still has that in hand: {slow_now:?}");
    *gated.gate.0.lock().unwrap() = true;
    gated.gate.1.notify_all();
    for request in queued {
        assert_eq!(bench.ended(&request).await.state, MutationState::Applied);
    }
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn it_says_every_thirty_seconds_that_it_is_well() {
    let bus = Bus::embedded("test");
    let filter = "system.mutator.health".parse().unwrap();
    let mut beats = bus.subscribe(filter, 16, OnLag::DropNewest).await;
    let dir = tempfile::tempdir().unwrap();
    let ambient = Ambient::system();
    let store = Store::open(dir.path(), ambient.clone()).unwrap();
    let stop = CancellationToken::new();
    let mutator = Mutator {
        store: store.clone(),
        network: Network::new(Arc::new(Fake::new())),
        bus: bus.clone(),
        pulse: Pulse::new("mutator", bus.clone(), ambient.clone()),
        ambient,
        occupancy: Arc::new(Nobody),
        wake: Arc::new(Wake::default()),
        poll: Duration::from_secs(10),
        lease: Duration::from_secs(30),
        ready: None,
    };
    let running = tokio::spawn(mutator.run(stop.clone()));
    let began = tokio::time::Instant::now();
    for beat in 0..3 {
        let Some(Delivery::Event(entry)) = beats.next().await else { panic!("no heartbeat") };
        assert!(entry.payload.get().contains("\"worker\":\"mutator\""), "{}", entry.payload);
        let of_the_driver = "\"steps_total\":0";
        assert!(entry.payload.get().contains(of_the_driver), "{}", entry.payload);
        let at = began.elapsed().as_secs();
        assert!((beat * 30..beat * 30 + 12).contains(&at), "beat {beat} at {at} s");
    }
    stop.cancel();
    running.await.unwrap();
    store.close().await;
}
