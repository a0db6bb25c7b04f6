//! What every bus does, whatever is behind the handle: each test runs over all of them.

use std::{future::Future, sync::Arc, time::Duration};

use model::{Ambient, Event, Payload, WorkerHealth};
use morgana_bus::{
    Bus, BusState, Delivery, OnLag, Subscription,
    broker::{Broker, BrokerConfig, UnixListenAt},
    client::{Client, Options},
};
use tokio::time::timeout;

use crate::{log, nats_server::NatsServer, shown};

const LIMIT: Duration = Duration::from_secs(20);

/// A bus, another handle on the same bus as a second process has one, and what they stand on.
struct World {
    kind: &'static str,
    bus: Bus,
    other: Bus,
    ground: Ground,
}

enum Ground {
    None,
    Broker { broker: Broker, directory: tempfile::TempDir },
    NatsServer(NatsServer),
}

fn connected(url: &str) -> Bus {
    Bus::connect("test", url, Ambient::system()).unwrap()
}

fn start_broker(directory: &tempfile::TempDir) -> Broker {
    let unix = Some(UnixListenAt::new(directory.path().join("bus.sock")));
    Broker::start(BrokerConfig { unix, ..BrokerConfig::new("test") }).unwrap()
}

impl World {
    fn embedded() -> Self {
        let bus = Bus::embedded("test");
        World { kind: "embedded", other: bus.clone(), bus, ground: Ground::None }
    }

    /// The other handle of both is a client on the socket.
    fn on_broker(kind: &'static str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let broker = start_broker(&directory);
        let url = format!("unix://{}", directory.path().join("bus.sock").display());
        let bus = match kind {
            "serving" => Bus::serving("test", &broker),
            _ => connected(&url),
        };
        let ground = Ground::Broker { broker, directory };
        World { kind, bus, other: connected(&url), ground }
    }

    fn on_nats_server(kind: &'static str) -> Option<Self> {
        let server = NatsServer::start(&[])?;
        let (bus, other) = (connected(&server.url(kind)), connected(&server.url("tcp")));
        Some(World { kind, bus, other, ground: Ground::NatsServer(server) })
    }

    async fn restart(&mut self) {
        match &mut self.ground {
            Ground::None => {}
            Ground::Broker { broker, directory } => {
                broker.stop().await;
                *broker = start_broker(directory);
            }
            Ground::NatsServer(server) => server.restart(),
        }
    }

    async fn end(self) {
        self.other.close().await;
        self.bus.close().await;
        if let Ground::Broker { broker, .. } = &self.ground {
            broker.stop().await;
        }
    }
}

/// Every world that this machine has.
fn worlds() -> impl Iterator<Item = World> {
    let mut makers: Vec<fn() -> Option<World>> = vec![
        || Some(World::embedded()),
        || Some(World::on_broker("serving")),
        || Some(World::on_broker("unix")),
        || World::on_nats_server("tcp"),
    ];
    if cfg!(feature = "nats") {
        makers.push(|| World::on_nats_server("nats"));
    }
    makers.into_iter().filter_map(|make| make())
}

async fn over_all<F: Future<Output = World>>(check: impl Fn(World) -> F) {
    for world in worlds() {
        eprintln!("over {}", world.kind);
        let world = timeout(3 * LIMIT, check(world)).await.expect("it ends");
        world.end().await;
    }
}

async fn subscribe(bus: &Bus, filter: &str) -> Subscription {
    bus.subscribe(filter.parse().unwrap(), 4096, OnLag::DropNewest).await
}

async fn next(subscription: &mut Subscription) -> String {
    let waited = timeout(LIMIT, subscription.next()).await;
    waited.expect("a delivery in time").as_ref().map_or("end".into(), shown)
}

fn beat(worker: &str) -> Event {
    let ambient = Ambient::system();
    let (worker, ts, figures) = (worker.into(), ambient.now(), [].into());
    Event::new(&ambient, Payload::WorkerHealth(WorkerHealth { worker, ts, figures }))
}

#[tokio::test]
async fn a_publisher_hears_itself_once_and_so_does_everybody_else() {
    over_all(async |world: World| {
        let mut own = subscribe(&world.bus, "system.log").await;
        let mut same_filter = subscribe(&world.bus, "system.log").await;
        let mut wider = subscribe(&world.bus, "system.>").await;
        let mut others = subscribe(&world.other, "system.log").await;
        for n in 0..200 {
            world.bus.publish(&log(n));
        }
        for subscription in [&mut own, &mut same_filter, &mut wider, &mut others] {
            for n in 0..200 {
                assert_eq!(next(subscription).await, n.to_string());
            }
        }
        world.other.publish(&log("back"));
        for subscription in [&mut own, &mut same_filter, &mut wider, &mut others] {
            assert_eq!(next(subscription).await, "back");
            assert!(subscription.try_next().is_none(), "once");
        }
        world
    })
    .await;
}

#[tokio::test]
async fn a_subscription_is_there_when_subscribe_returns() {
    over_all(async |world: World| {
        for n in 0..20 {
            let mut fresh = subscribe(&world.bus, "system.log").await;
            world.other.publish(&log(n));
            assert_eq!(next(&mut fresh).await, n.to_string());
        }
        world
    })
    .await;
}

#[tokio::test]
async fn filters_hold() {
    over_all(async |world: World| {
        let mut stars = subscribe(&world.bus, "system.*.health").await;
        let mut literal = subscribe(&world.bus, "system.b.health").await;
        let mut none = subscribe(&world.bus, "topology.>").await;
        for worker in ["a", "b"] {
            world.other.publish(&beat(worker));
        }
        world.other.publish(&log("x"));
        let mut all = subscribe(&world.bus, ">").await;
        let topic = async |subscription: &mut Subscription| match subscription.next().await {
            Some(Delivery::Event(entry)) => entry.topic.as_str().to_owned(),
            other => panic!("{other:?}"),
        };
        for expected in ["system.a.health", "system.b.health"] {
            assert_eq!(topic(&mut stars).await, expected);
        }
        world.bus.publish(&beat("c"));
        assert_eq!(topic(&mut stars).await, "system.c.health");
        assert_eq!(topic(&mut literal).await, "system.b.health");
        while topic(&mut all).await != "system.c.health" {}
        assert!(none.try_next().is_none() && literal.try_next().is_none());
        world
    })
    .await;
}

#[tokio::test]
async fn a_subscriber_that_lags_is_told_what_it_missed() {
    over_all(async |world: World| {
        let filter = "system.log".parse().unwrap();
        let mut slow = world.bus.subscribe(filter, 2, OnLag::DropNewest).await;
        let mut quick = subscribe(&world.bus, "system.log").await;
        for n in 0..50 {
            world.other.publish(&log(n));
        }
        for n in 0..50 {
            assert_eq!(next(&mut quick).await, n.to_string());
        }
        // The slow one may be served after the quick one.
        let dropped = async {
            while world.bus.health().dropped < 48 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(LIMIT, dropped).await.unwrap();
        for expected in ["0", "1", "gap 48"] {
            assert_eq!(next(&mut slow).await, expected);
        }
        world
    })
    .await;
}

#[tokio::test]
async fn closing_sends_what_waits_and_may_be_repeated() {
    over_all(async |world: World| {
        let mut others = subscribe(&world.other, "system.log").await;
        let mut own = subscribe(&world.bus, "system.log").await;
        for n in 0..100 {
            world.bus.publish(&log(n));
        }
        world.bus.close().await;
        tokio::join!(world.bus.close(), world.bus.close());
        for n in 0..100 {
            assert_eq!(next(&mut others).await, n.to_string());
        }
        while next(&mut own).await != "end" {}
        world.bus.publish(&log("late"));
        let health = world.bus.health();
        assert_eq!((health.state, health.skipped, health.dropped), (BusState::Closed, 1, 0));
        assert_eq!(next(&mut subscribe(&world.bus, ">").await).await, "end");
        world
    })
    .await;
}

#[tokio::test]
async fn after_a_restart_of_the_other_side_subscriptions_go_on_behind_a_gap() {
    over_all(async |mut world: World| {
        if matches!(world.kind, "embedded" | "serving") {
            return world;
        }
        let mut own = subscribe(&world.bus, "system.log").await;
        world.bus.publish(&log("a"));
        assert_eq!(next(&mut own).await, "a");
        world.restart().await;
        assert_eq!(next(&mut own).await, "gap 0");
        world.bus.publish(&log("b"));
        assert_eq!(next(&mut own).await, "b");
        let health = world.bus.health();
        assert_eq!((health.state, health.reconnects), (BusState::Connected, 1));
        world
    })
    .await;
}

#[tokio::test]
async fn what_is_no_event_is_dropped_and_counted() {
    over_all(async |world: World| {
        let url = match &world.ground {
            Ground::None => return world,
            Ground::Broker { directory, .. } => {
                directory.path().join("bus.sock").display().to_string()
            }
            Ground::NatsServer(server) => server.url("tcp"),
        };
        let mut all = subscribe(&world.bus, ">").await;
        let forger = Client::connect(Options::new(url.parse().unwrap())).await.unwrap();
        let honest = serde_json::to_vec(&log("forged").to_entry(None)).unwrap();
        let large = vec![b' '; forger.server_info().max_payload];
        let forged =
            [("system.mutator.control", &honest[..]), ("system.log", b"{}"), ("a", &large)];
        for (subject, body) in forged {
            forger.publish(subject, None, &[], body).await.unwrap();
        }
        forger.publish("system.log", None, &[], &honest).await.unwrap();
        assert_eq!(next(&mut all).await, "forged", "under its own topic it is an event");
        assert_eq!(world.bus.health().rejected, 3);
        assert!(all.try_next().is_none());
        world
    })
    .await;
}

#[tokio::test]
async fn what_the_other_side_does_not_take_is_dropped_and_the_rest_goes_on() {
    over_all(async |world: World| {
        if matches!(world.kind, "embedded" | "serving") {
            return world;
        }
        let mut own = subscribe(&world.bus, "system.log").await;
        // Fits the bus, but not with its envelope into the 1 MiB of a server.
        world.bus.publish(&log("x".repeat((1 << 20) - 100)));
        world.bus.publish(&log("small"));
        assert_eq!(next(&mut own).await, "small");
        let health = world.bus.health();
        assert_eq!((health.dropped, health.reconnects), (1, 0));
        world
    })
    .await;
}

#[tokio::test]
async fn a_subscription_that_the_server_refuses_ends_and_others_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("users.conf");
    let user = r#"{ user: ann, password: secret, permissions: { subscribe: ["system.log", "_INBOX.>"] } }"#;
    std::fs::write(&file, format!("authorization: {{ users: [ {user} ] }}")).unwrap();
    let Some(server) = NatsServer::start(&["-c", file.to_str().unwrap()]) else { return };
    let kinds: &[&str] = if cfg!(feature = "nats") { &["tcp", "nats"] } else { &["tcp"] };
    for kind in kinds {
        let bus = connected(&format!("{kind}://ann:secret@127.0.0.1:{}", server.port()));
        let mut allowed = subscribe(&bus, "system.log").await;
        assert_eq!(next(&mut subscribe(&bus, "topology.>").await).await, "end");
        bus.publish(&log("a"));
        assert_eq!(next(&mut allowed).await, "a");
        assert_eq!((bus.health().subscribers, bus.health().reconnects), (1, 0));
        bus.close().await;
    }
}

#[tokio::test]
async fn two_handles_on_one_broker_hear_each_other() {
    let broker = Broker::start(BrokerConfig::new("test")).unwrap();
    let (one, other) = (Bus::serving("one", &broker), Bus::serving("other", &broker));
    let mut own = subscribe(&one, "system.log").await;
    one.publish(&log("unheard elsewhere"));
    let mut others = subscribe(&other, "system.>").await;
    one.publish(&log("a"));
    other.publish(&log("b"));
    for expected in ["unheard elsewhere", "a", "b"] {
        assert_eq!(next(&mut own).await, expected);
    }
    let mut heard = [next(&mut others).await, next(&mut others).await];
    heard.sort();
    assert_eq!(heard, ["a", "b"], "each tells its own at once, the other's when they come");
    one.close().await;
    other.close().await;
    broker.stop().await;
}

#[tokio::test]
async fn a_shared_handle_is_made_once_and_again_after_it_was_closed() {
    let made = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let get = || {
        morgana_bus::shared("battery", |role| {
            made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Bus::embedded(role)
        })
    };
    let first = get();
    let mut logs = subscribe(&get(), "system.log").await;
    first.publish(&log("a"));
    assert_eq!((next(&mut logs).await.as_str(), first.health().name.as_str()), ("a", "battery"));
    morgana_bus::close_shared("battery").await;
    morgana_bus::close_shared("battery").await;
    assert_eq!(next(&mut logs).await, "end");
    assert_eq!(get().health().state, BusState::Embedded);
    get().close().await;
    assert_eq!(get().health().state, BusState::Embedded, "however it was closed");
    assert_eq!(made.load(std::sync::atomic::Ordering::Relaxed), 3);
    morgana_bus::close_all_shared().await;
}
