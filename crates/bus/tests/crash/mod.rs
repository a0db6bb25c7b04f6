//! SIGKILL of a whole broker under load, again and again: the broker is a process, its clients are
//! tasks of this one, which come back and send again what was not acknowledged.
//!
//! `MORGANA_ROUNDS` says how often (15 without it), `MORGANA_SEED` where the moments come from. A
//! directory lives for [`ROUNDS_OF_ONE`] rounds and is read back then: every acknowledged message
//! is there, once, in its publisher's order, none invented; and what a work queue's consumer was
//! told to be done with never comes again.

mod process;
mod publisher;
mod verify;
mod worker;

use std::{
    fmt::Debug,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use model::Ambient;
use morgana_bus::client::{Client, ClientError, InboxLimits, Options, RequestError};
use serde_json::Value;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use process::{Process, Sizes};
use publisher::Publisher;
use worker::Worker;

/// Kills that one directory lives through.
const ROUNDS_OF_ONE: u64 = 8;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// What a broker has to do at most before it is killed.
const MOST_WORK: Work = Work { stored: 600, done: 8 };

/// SplitMix64.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// What the clients of a broker were told.
#[derive(Clone, Copy, Default)]
struct Work {
    /// Messages that are stored.
    stored: u64,
    /// Jobs that are done.
    done: u64,
}

/// What the clients of one round share.
struct Round {
    at: SocketAddr,
    /// The broker is gone and does not come back in this round.
    over: AtomicBool,
    work: watch::Sender<Work>,
}

impl Round {
    fn stored(&self) {
        self.work.send_modify(|work| work.stored += 1);
    }

    fn done(&self) {
        self.work.send_modify(|work| work.done += 1);
    }

    /// Connects as soon as there is somebody; none once the round is over.
    async fn connect(&self) -> Option<Client> {
        while !self.over.load(Ordering::Relaxed) {
            if let Ok(client) = Client::connect(options(self.at)).await {
                return Some(client);
            }
            sleep(Duration::from_millis(1)).await;
        }
        None
    }
}

fn options(at: SocketAddr) -> Options {
    Options {
        timeout: PATIENCE,
        inbox: InboxLimits { messages: 1 << 20, bytes: 256 << 20 },
        ambient: Ambient::system(),
        ..Options::new(format!("tcp://{at}").parse().unwrap())
    }
}

/// The broker died: everything else that a client may be told is a failure.
struct Killed;

impl From<ClientError> for Killed {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Closed(_) => Self,
            other => panic!("{other}"),
        }
    }
}

impl From<RequestError> for Killed {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Client(error) => error.into(),
            other => panic!("{other}"),
        }
    }
}

/// A call of JetStream's API that must succeed.
async fn call(client: &Client, name: &str, body: &Value) -> Result<Value, Killed> {
    let (subject, body) = (format!("$JS.API.{name}"), body.to_string());
    let answer = client.request(&subject, &[], body.as_bytes(), PATIENCE).await?;
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert!(answer.get("error").is_none(), "{name}: {answer}");
    Ok(answer)
}

/// Everybody who uses the broker.
struct Clients {
    publishers: Vec<Publisher>,
    worker: Worker,
}

impl Clients {
    fn new() -> Self {
        let sources = [
            ("turn", "a", 1),
            ("turn", "b", 1),
            ("wide", "a", 256),
            ("wide", "b", 256),
            ("wide", "c", 1),
            ("jobs", "a", 32),
        ];
        let publishers = sources.map(|(stream, name, window)| Publisher::new(stream, name, window));
        Self { publishers: publishers.into(), worker: Worker::default() }
    }

    /// Lets all of them work until the broker is killed at a moment that `dice` choose.
    async fn round(self, mut broker: Process, at: SocketAddr, dice: &mut Dice) -> Self {
        let (work, mut worked) = watch::channel(Work::default());
        let round = Arc::new(Round { at, over: AtomicBool::new(false), work });
        let mut publishing = JoinSet::new();
        for publisher in self.publishers {
            publishing.spawn(publisher.run(Arc::clone(&round)));
        }
        let working = tokio::spawn(self.worker.run(Arc::clone(&round), Dice(dice.0)));
        if dice.roll(8) == 0 {
            // While it starts, or shortly after.
            std::thread::sleep(Duration::from_micros(dice.roll(40_000)));
        } else {
            let (stored, done) = (dice.roll(MOST_WORK.stored), dice.roll(MOST_WORK.done));
            let enough = worked.wait_for(|work| work.stored >= stored && work.done >= done);
            let enough = timeout(PATIENCE, enough);
            // Cancel-safe: nobody ends before the broker does, unless it is by a panic.
            tokio::select! {
                enough = enough => assert!(enough.is_ok(), "too little work; {}", broker.said()),
                Some(ended) = publishing.join_next() => drop(ended.unwrap()),
            }
            std::thread::sleep(Duration::from_micros(dice.roll(3000)));
        }
        broker.kill();
        round.over.store(true, Ordering::Relaxed);
        Self { publishers: publishing.join_all().await, worker: working.await.unwrap() }
    }
}

/// An address that is free and stays so: on loopback, but nobody else's.
fn free_address() -> SocketAddr {
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let own = Ipv4Addr::new(127, 64 | a & 63, b, c);
    TcpListener::bind((own, 0)).unwrap().local_addr().unwrap()
}

/// Makes the streams; they stay for all rounds.
async fn prepare(dir: &Path, at: SocketAddr, sizes: Sizes) {
    let _broker = Process::start(dir, at, sizes);
    let round = Round { at, over: AtomicBool::new(false), work: watch::channel(Work::default()).0 };
    let client = round.connect().await.unwrap();
    let created = async {
        for (name, retention) in [("turn", "limits"), ("wide", "limits"), ("jobs", "workqueue")] {
            let subjects = [format!("{name}.*")];
            let stream = serde_json::json!({
                "name": name, "subjects": subjects, "retention": retention, "storage": "file",
                // What is sent again must be known, however long a machine stood still meanwhile.
                "duplicate_window": 3_600_000_000_000_u64,
            });
            call(&client, &format!("STREAM.CREATE.{name}"), &stream).await?;
        }
        Ok::<_, Killed>(())
    };
    assert!(created.await.is_ok(), "the broker died by itself");
}

fn variable<T: std::str::FromStr<Err: Debug>>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Says on a failure how to see it again.
struct Repeat {
    seed: u64,
    round: u64,
}

impl Drop for Repeat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed in round {}: MORGANA_SEED={}", self.round, self.seed);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_a_broker_is_killed() {
    let (rounds, seed) = (variable("MORGANA_ROUNDS", 15), variable("MORGANA_SEED", 1));
    let (mut repeat, mut dice) = (Repeat { seed, round: 0 }, Dice(seed));
    let mut total = verify::Total::default();
    while repeat.round < rounds {
        let dir = tempfile::tempdir().unwrap();
        let at = free_address();
        let sizes = match (repeat.round / ROUNDS_OF_ONE) % 2 {
            0 => Sizes::Usual,
            _ => Sizes::Small,
        };
        prepare(dir.path(), at, sizes).await;
        let mut clients = Clients::new();
        for _ in 0..ROUNDS_OF_ONE.min(rounds - repeat.round) {
            repeat.round += 1;
            clients = clients.round(Process::start(dir.path(), at, sizes), at, &mut dice).await;
        }
        total += verify::read_back(clients, Process::start(dir.path(), at, sizes), at).await;
    }
    println!("{rounds} rounds, seed {seed}: {total}");
}
