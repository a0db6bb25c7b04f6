//! Stock clients: nats.py reads events and checks them against the schemas, and a program beside
//! Morgana publishes its own, on the embedded broker and on nats-server.

use std::{path::PathBuf, sync::Arc};

use bus::{
    auth::Auth,
    broker::{Broker, BrokerConfig},
};
use exports::Format;
use serde_json::Value;
use testkit::run;

use super::{
    reader::{Reader, STREAM},
    server::NatsServer,
    world::{ACTOR, World},
};

pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Runs a program of `tests/python`; answers the JSON lines that it printed.
pub(super) async fn python(program: &str, arguments: &[&str]) -> Vec<Value> {
    let python = root().join(".tools/python/bin/python");
    assert!(python.exists(), "{} is missing: run tools/setup.sh", python.display());
    let script = root().join("crates/app/tests/python").join(program).display().to_string();
    let arguments: Vec<&str> =
        std::iter::once(script.as_str()).chain(arguments.iter().copied()).collect();
    let printed = run(&python.display().to_string(), &arguments, "").await;
    let line = |line: &str| {
        serde_json::from_str(line).unwrap_or_else(|_| panic!("{program} failed:\n{printed}"))
    };
    printed.lines().map(line).collect()
}

/// The directory of the schemas.
pub(super) fn schemas() -> String {
    root().join("schemas").display().to_string()
}

/// The embedded broker with the streams of this world, for everybody on this machine.
pub(super) async fn serve(world: &World) -> (Broker, String) {
    let tcp = Some("127.0.0.1:0".parse().unwrap());
    let auth = Arc::new(Auth::open());
    let config = BrokerConfig { tcp, auth, jetstream: true, ..BrokerConfig::new("test") };
    let broker = Broker::start(config).unwrap();
    world.streams.attach(&broker);
    world.streams.ready().await.unwrap();
    let url = format!("nats://{}", broker.tcp_addr().unwrap());
    (broker, url)
}

/// Everything that the hub says, read by nats.py, is as its format and its schema have it.
async fn check_read(world: &World, url: &str) {
    let life = world.start().await;
    world.say(60).await;
    let read = python("read_events.py", &[url, &schemas(), "60", world.format.name()]).await;
    let actor = match world.format {
        Format::Structured | Format::Binary => ACTOR.into(),
        Format::OlderEnvelope => Value::Null,
    };
    assert!(read.iter().all(|line| line["actor"] == actor), "{}", read[0]);
    let ids: Vec<&str> = read.iter().map(|line| line["id"].as_str().unwrap()).collect();
    assert_eq!(ids, world.expected().await);
    let subjects: std::collections::BTreeSet<&str> =
        read.iter().map(|line| line["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects.len(), 6, "every type of the hub's is there: {subjects:?}");
    life.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_py_reads_from_the_embedded_broker() {
    for format in Format::ALL {
        let world = World::new(None).with(format);
        let (broker, url) = serve(&world).await;
        check_read(&world, &url).await;
        broker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_py_reads_from_nats_server() {
    for format in Format::ALL {
        let Some(server) = NatsServer::with_jetstream() else { return };
        check_read(&World::new(Some(server.url())).with(format), &server.url()).await;
    }
}

/// A program publishes ten events and repeats the first.
async fn check_published(url: &str, first: u64) {
    let acks = python("publish_events.py", &[url, "10"]).await;
    assert_eq!(acks.len(), 11);
    for (ack, seq) in acks.iter().zip(first..first + 10) {
        assert_eq!((&ack["stream"], &ack["seq"]), (&STREAM.into(), &seq.into()));
        assert_eq!(ack["duplicate"], false);
    }
    assert_eq!((&acks[10]["seq"], &acks[10]["duplicate"]), (&first.into(), &true.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_publishes_to_the_embedded_broker_beside_us() {
    let world = World::new(None);
    let (broker, url) = serve(&world).await;
    // Nobody has made the stream: the program does, and the sink finds it.
    check_published(&url, 1).await;
    let life = world.start().await;
    world.say(5).await;
    world.until_settled(&life).await;
    check_published(&url, 16).await;
    world.say(5).await;
    world.until_settled(&life).await;
    life.end().await;
    let reader = Reader::Embedded(world.streams.clone());
    assert_eq!(reader.ids().await, world.expected().await);
    assert_eq!(reader.count().await, 30);
    broker.stop().await;
}
