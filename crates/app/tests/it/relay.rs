//! The relay with a sink that does as it is told: what is delivered, in which order, and what is
//! left after a crash.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use api::{RelayView, SinkState};
use bus::Bus;
use model::{
    Ambient, Event, IdentityFormed, JournalEntry, Observation, Payload, StatusChanged, TopologyId,
    TopologyStatus,
};
use morgana::{
    flow::relay::{Order, Outcome, Relay, RelayHandle, Resume, Sink, Unreachable, subject_key},
    workers::Pulse,
};
use proptest::prelude::*;
use store::Store;
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Longest wait for what must happen, by the clock on the wall: the paused one runs ahead while
/// the store works.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a scripted sink does with one entry or, where it says so, with the whole batch.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Take,
    Later,
    Refuse,
    /// The whole batch: nobody there.
    Away,
    /// It takes the entry, and then the process dies before it hears of it.
    TakeAndDie,
    /// It takes the entry, and goes on when it may.
    TakeAndWait,
}

/// What outlives the process: the script, and what arrived.
#[derive(Default)]
struct Other {
    script: Mutex<Vec<Act>>,
    received: Mutex<Vec<(u64, String)>>,
    /// What was refused once, where the sink stays with its word.
    refused: Mutex<Option<BTreeSet<u64>>>,
    died: Notify,
    may_go: Notify,
}

impl Other {
    fn next(&self) -> Act {
        self.script.lock().unwrap().pop().unwrap_or(Act::Take)
    }

    /// What it does with this entry: whoever is stubborn refuses again what it refused before.
    fn act_on(&self, seq: u64) -> Act {
        let mut refused = self.refused.lock().unwrap();
        if refused.as_ref().is_some_and(|refused| refused.contains(&seq)) {
            return Act::Refuse;
        }
        let act = self.next();
        if let (Act::Refuse, Some(refused)) = (act, refused.as_mut()) {
            refused.insert(seq);
        }
        act
    }

    fn received(&self) -> Vec<u64> {
        self.received.lock().unwrap().iter().map(|(seq, _)| *seq).collect()
    }
}

struct Scripted {
    other: Arc<Other>,
    order: Order,
    resume: Resume,
}

impl Sink for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn resume(&self) -> Resume {
        self.resume
    }

    fn order(&self) -> Order {
        self.order
    }

    fn accepts(&self, entry: &JournalEntry) -> bool {
        entry.topic.as_str().starts_with("topology.")
    }

    fn key(&self, entry: &JournalEntry) -> String {
        subject_key(entry)
    }

    async fn deliver(&mut self, batch: &[Arc<JournalEntry>]) -> Result<Vec<Outcome>, Unreachable> {
        let mut outcomes = Vec::new();
        for entry in batch {
            let act = self.other.act_on(entry.seq.unwrap());
            if act == Act::Away {
                return Err(Unreachable("connection refused".into()));
            }
            if matches!(act, Act::Take | Act::TakeAndDie | Act::TakeAndWait) {
                let arrived = (entry.seq.unwrap(), subject_key(entry));
                self.other.received.lock().unwrap().push(arrived);
            }
            match act {
                Act::TakeAndDie => {
                    self.other.died.notify_one();
                    std::future::pending::<()>().await;
                }
                Act::Refuse => outcomes.push(Outcome::Refused("no such index".into())),
                Act::Later => {
                    outcomes.push(Outcome::Later("busy".into()));
                    if self.order == Order::Pipelined {
                        break;
                    }
                }
                Act::TakeAndWait => {
                    self.other.may_go.notified().await;
                    outcomes.push(Outcome::Delivered);
                }
                Act::Take | Act::Away => outcomes.push(Outcome::Delivered),
            }
        }
        Ok(outcomes)
    }
}

/// A data directory, its store and the sink; the relay runs over them once or more often.
struct Bench {
    _dir: tempfile::TempDir,
    store: Store,
    ambient: Ambient,
    other: Arc<Other>,
    order: Order,
    resume: Resume,
    topologies: Vec<TopologyId>,
}

/// One life of the relay.
struct Life {
    stop: CancellationToken,
    handle: RelayHandle,
    running: JoinHandle<()>,
}

impl Bench {
    fn new(order: Order, resume: Resume) -> Self {
        let (dir, ambient) = (tempfile::tempdir().unwrap(), Ambient::system());
        let store = Store::open(dir.path(), ambient.clone()).unwrap();
        let topologies = (0..4).map(|_| ambient.id()).collect();
        let other = Arc::default();
        Self { _dir: dir, store, ambient, other, order, resume, topologies }
    }

    fn script(&self, acts: &[Act]) {
        *self.other.script.lock().unwrap() = acts.iter().rev().copied().collect();
    }

    fn start(&self) -> Life {
        let sink = Scripted { other: self.other.clone(), order: self.order, resume: self.resume };
        let relay = Relay::new(self.store.clone(), self.ambient.clone()).with(sink);
        let (stop, handle) = (CancellationToken::new(), relay.handle());
        let pulse = Pulse::new("relay", Bus::off(), self.ambient.clone());
        Life { handle, running: tokio::spawn(relay.run(pulse, stop.clone())), stop }
    }

    /// Journals one event for each digit: of the topology with that number.
    async fn say(&self, topologies: &str) -> u64 {
        let event = |digit: char| {
            let topology_id = self.topologies[digit as usize - '0' as usize];
            let (from, status) = (TopologyStatus::Active, TopologyStatus::Degraded);
            let payload = StatusChanged { topology_id, from, status, version: 1, reason: None };
            Event::new(&self.ambient, Payload::Status(payload))
        };
        let events = topologies.chars().map(event).collect();
        self.store.observe(Observation { events, ..Observation::default() }).await.unwrap()
    }

    async fn until_settled(&self, life: &Life) {
        let head = self.store.journal_head();
        self.until(|| life.handle.sinks()[0].position == head, "everything is settled").await;
    }

    async fn until(&self, holds: impl Fn() -> bool, what: &str) {
        let began = Instant::now();
        while !holds() {
            self.wait(began, what).await;
        }
    }

    /// Waits until no dead letter is to be tried again.
    async fn until_retried(&self) {
        let began = Instant::now();
        while !self.store.retrying_dead_letters("scripted", 1).await.unwrap().is_empty() {
            self.wait(began, "all letters are tried again").await;
        }
    }

    /// A moment, as long as there is patience.
    async fn wait(&self, began: Instant, what: &str) {
        assert!(began.elapsed() < PATIENCE, "never: {what}; received {:?}", self.other.received());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    async fn dead(&self) -> BTreeSet<u64> {
        let page = self.store.dead_letters("scripted", None, 1000).await.unwrap();
        page.items.iter().filter_map(|letter| letter.entry.seq).collect()
    }

    /// Everything has arrived or is a dead letter; what arrived, arrived in order of its key.
    async fn assert_whole(&self) {
        let dead = self.dead().await;
        let received = self.other.received.lock().unwrap().clone();
        let arrived: BTreeSet<u64> = received.iter().map(|(seq, _)| *seq).collect();
        let all: BTreeSet<u64> = (1..=self.store.journal_head()).collect();
        assert_eq!(&arrived | &dead, all, "nothing is missing");
        let mut newest = BTreeMap::<String, u64>::new();
        let mut seen = BTreeSet::new();
        for (seq, key) in received.iter().filter(|(seq, _)| seen.insert(*seq)) {
            let before = newest.insert(key.clone(), *seq).unwrap_or(0);
            assert!(before < *seq, "{key}: {before} before {seq} in {received:?}");
        }
    }
}

impl Life {
    async fn end(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }

    /// As SIGKILL does: nothing more is done.
    async fn kill(self) {
        self.running.abort();
        let _ = self.running.await;
    }
}

fn is_waiting(life: &Life) -> bool {
    matches!(life.handle.sinks()[0].state, SinkState::Waiting { .. })
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_holds_its_key_and_nobody_else() {
    let bench = Bench::new(Order::Pipelined, Resume::Cursor);
    bench.script(&[Act::Take, Act::Later]);
    let life = bench.start();
    bench.say("00123").await;
    bench.until_settled(&life).await;
    assert_eq!(bench.other.received(), [1, 3, 4, 5, 2], "2 comes after its wait");
    bench.say("01").await;
    bench.until_settled(&life).await;
    let status = &life.handle.sinks()[0];
    assert_eq!((status.delivered, status.state), (7, SinkState::Running));
    assert_eq!(status.last_error.as_deref(), Some("busy"));
    life.end().await;
    assert_eq!(bench.store.sink_position("scripted").await.unwrap(), Some(7));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_away_blames_no_entry() {
    let bench = Bench::new(Order::OnePerKey, Resume::Cursor);
    bench.script(&[Act::Away; 60]);
    let life = bench.start();
    bench.say("0123").await;
    bench.until(|| is_waiting(&life), "it waits").await;
    bench.until_settled(&life).await;
    assert_eq!(bench.other.received(), [1, 2, 3, 4]);
    assert!(bench.dead().await.is_empty(), "an outage of an hour buries nothing");
    life.end().await;
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_kept_and_retried_on_demand() {
    let bench = Bench::new(Order::Pipelined, Resume::Cursor);
    bench.script(&[Act::Take, Act::Refuse, Act::Take]);
    let life = bench.start();
    bench.say("000").await;
    bench.until_settled(&life).await;
    assert_eq!(bench.other.received(), [1, 3]);
    life.end().await;
    assert_eq!(bench.dead().await, [2].into());

    // Refused again, then nobody there, then taken.
    bench.script(&[Act::Refuse]);
    let life = bench.start();
    let retry = async || {
        assert_eq!(bench.store.retry_dead_letters("scripted", None).await.unwrap(), 1);
        life.handle.wake("scripted");
        bench.until_retried().await;
    };
    retry().await;
    let letter = bench.store.dead_letters("scripted", None, 9).await.unwrap().items.remove(0);
    assert_eq!((letter.attempts, letter.reason.as_str()), (2, "no such index"));
    bench.script(&[Act::Away, Act::Take]);
    retry().await;
    assert_eq!(bench.other.received(), [1, 3, 2]);
    assert!(bench.dead().await.is_empty());
    life.end().await;
}

#[tokio::test]
async fn a_letter_waits_for_what_may_have_arrived_before_it() {
    let bench = Bench::new(Order::OnePerKey, Resume::Cursor);
    bench.script(&[Act::Refuse]);
    let life = bench.start();
    bench.say("0").await;
    bench.until_settled(&life).await;
    life.end().await;

    // An earlier life may have delivered what stands behind the cursor.
    bench.say("0000").await;
    bench.store.retry_dead_letters("scripted", None).await.unwrap();
    bench.script(&[Act::Take, Act::Take, Act::Take, Act::Take, Act::TakeAndDie]);
    let life = bench.start();
    bench.until(|| bench.other.received().len() == 5, "the letter arrives").await;
    assert_eq!(bench.other.received(), [2, 3, 4, 5, 1]);
    let kept = bench.store.sink_position("scripted").await.unwrap();
    assert_eq!(kept, Some(5), "nothing before the letter comes again");
    life.kill().await;

    // So may a delivery that failed.
    bench.script(&[Act::Refuse]);
    let life = bench.start();
    bench.until_retried().await;
    bench.script(&[Act::Away]);
    bench.say("0000").await;
    bench.until(|| is_waiting(&life), "it waits").await;
    bench.store.retry_dead_letters("scripted", None).await.unwrap();
    life.handle.wake("scripted");
    bench.until_retried().await;
    assert_eq!(bench.other.received()[5..], [6, 7, 8, 9, 1]);
    life.end().await;
}

#[tokio::test]
async fn many_letters_let_new_entries_pass() {
    let bench = Bench::new(Order::Pipelined, Resume::Cursor);
    bench.script(&[Act::Refuse; 100]);
    let life = bench.start();
    bench.say(&"0".repeat(100)).await;
    bench.until_settled(&life).await;
    life.end().await;
    bench.script(&[Act::TakeAndWait]);
    let life = bench.start();
    bench.store.retry_dead_letters("scripted", None).await.unwrap();
    life.handle.wake("scripted");
    bench.until(|| !bench.other.received().is_empty(), "a letter arrives").await;
    bench.say("1").await;
    bench.other.may_go.notify_one();
    bench.until_retried().await;
    let place = bench.other.received().iter().position(|seq| *seq == 101);
    assert!(place.is_some_and(|place| place < 30), "behind {place:?} letters");
    assert!(bench.dead().await.is_empty());
    life.end().await;
}

/// The clock runs: with it standing still, the last moment would be over at once.
#[tokio::test]
async fn an_end_delivers_what_is_there() {
    let bench = Bench::new(Order::OnePerKey, Resume::Cursor);
    let life = bench.start();
    bench.say("0").await;
    bench.until_settled(&life).await;
    bench.say("000").await;
    life.end().await;
    assert_eq!(bench.other.received(), [1, 2, 3, 4]);
    assert_eq!(bench.store.sink_position("scripted").await.unwrap(), Some(4));

    // Not longer than a moment where that does not go on.
    bench.script(&[Act::TakeAndWait]);
    let life = bench.start();
    bench.say("0").await;
    let began = Instant::now();
    life.end().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let life = bench.start();
    bench.until_settled(&life).await;
    life.end().await;
    bench.assert_whole().await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_begins_at_the_head_repeats_nothing() {
    let bench = Bench::new(Order::Pipelined, Resume::Head);
    bench.say("00").await;
    let life = bench.start();
    bench.say("11").await;
    bench.until_settled(&life).await;
    life.end().await;
    bench.say("22").await;
    let life = bench.start();
    bench.say("3").await;
    bench.until_settled(&life).await;
    assert_eq!(bench.other.received(), [3, 4, 7]);
    life.end().await;
    assert_eq!(bench.store.sink_position("scripted").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn what_it_does_not_want_moves_it_on() {
    let bench = Bench::new(Order::Pipelined, Resume::Cursor);
    let life = bench.start();
    let unwanted = Payload::IdentityFormed(IdentityFormed {
        identity_id: bench.ambient.id(),
        attacker_ids: Vec::new(),
    });
    let events = vec![Event::new(&bench.ambient, unwanted)];
    bench.store.observe(Observation { events, ..Observation::default() }).await.unwrap();
    bench.until_settled(&life).await;
    life.end().await;
    assert_eq!(bench.store.sink_position("scripted").await.unwrap(), Some(1));
    let life = bench.start();
    bench.say("1").await;
    bench.until_settled(&life).await;
    assert_eq!(bench.other.received(), [2]);
    life.end().await;
}

async fn check_crashes(order: Order, script: Vec<Act>, said: Vec<String>) {
    let bench = Bench::new(order, Resume::Cursor);
    bench.script(&script);
    *bench.other.refused.lock().unwrap() = Some(BTreeSet::new());
    let mut life = bench.start();
    // The first position has to be kept before the first event: from there on nothing is lost.
    while bench.store.sink_position("scripted").await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for topologies in said {
        bench.say(&topologies).await;
        let settled = tokio::select! {
            () = bench.until_settled(&life) => true,
            () = bench.other.died.notified() => false,
        };
        if !settled {
            life.kill().await;
            life = bench.start();
        }
    }
    loop {
        tokio::select! {
            () = bench.until_settled(&life) => break,
            () = bench.other.died.notified() => {
                life.kill().await;
                life = bench.start();
            }
        }
    }
    life.end().await;
    bench.assert_whole().await;
    let kept = bench.store.sink_position("scripted").await.unwrap();
    assert_eq!(kept, Some(bench.store.journal_head()));
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => Just(Act::Take),
        2 => Just(Act::Later),
        1 => Just(Act::Refuse),
        1 => Just(Act::Away),
        1 => Just(Act::TakeAndDie),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Killed between a delivery and the cursor, as often as the script says: entries may come
    /// again, none is missing, and none overtakes another of its key.
    #[test]
    fn crashes_repeat_and_lose_nothing(
        order in prop_oneof![Just(Order::OnePerKey), Just(Order::Pipelined)],
        script in proptest::collection::vec(act(), 0..80),
        said in proptest::collection::vec("[0-3]{1,12}", 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(check_crashes(order, script, said));
    }
}
