//! Outages under load, and acknowledgements lost on the way: every event once, in order.
//! `MORGANA_OUTAGE_SECONDS` makes the outage as long as wanted.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    proxy::{Proxy, Way},
    reader::{Reader, STREAM},
    server::NatsServer,
    world::{World, until},
};

/// The shortest window that nats-server takes, in nanoseconds.
const WINDOW: u64 = 100_000_000;
/// Longer than that.
const BEYOND: Duration = Duration::from_millis(400);

fn outage() -> Duration {
    let seconds = std::env::var("MORGANA_OUTAGE_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(3))
}

/// Loses acknowledgements, stays away for longer than the window, and comes back; `others` also
/// publish on the same subjects, before, meanwhile and after.
async fn check_lost_acknowledgements(others: bool) {
    let Some(server) = NatsServer::with_jetstream() else { return };
    let reader = Reader::of(&server.url()).await;
    reader.make(STREAM, &["org.>"], json!({"duplicate_window": WINDOW})).await;
    let stranger = async_nats::connect(server.url()).await.unwrap();
    let meddle = async || {
        if others {
            for subject in ["org.statehub.task.stale", "org.statehub.repo.registered"] {
                let theirs = json!({"source": "/elsewhere", "id": "1", "type": subject});
                stranger.request(subject, theirs.to_string().into()).await.unwrap();
            }
        }
    };
    let proxy = Proxy::to(server.port()).await;
    let world = World::new(Some(proxy.url()));
    let life = world.start().await;
    for _ in 0..4 {
        world.say(20).await;
        world.until_settled(&life).await;
        meddle().await;
        let (delivered, stored) = (life.status().delivered, reader.count().await);
        proxy.set(Way::Mute);
        world.say(60).await;
        until("something is stored", async || reader.count().await > stored).await;
        meddle().await;
        proxy.set(Way::Cut);
        tokio::time::sleep(BEYOND).await;
        assert_eq!(life.status().delivered, delivered, "nothing of it was acknowledged");
        proxy.set(Way::Open);
        life.wake();
    }
    world.until_settled(&life).await;
    life.end().await;
    assert_eq!(reader.ids().await, world.expected().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_acknowledgements_double_nothing_beyond_the_window() {
    check_lost_acknowledgements(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_where_others_publish_on_the_same_subjects() {
    check_lost_acknowledgements(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_under_load_loses_and_doubles_nothing() {
    let Some(mut server) = NatsServer::with_jetstream() else { return };
    Reader::of(&server.url())
        .await
        .make(STREAM, &["org.>"], json!({"duplicate_window": WINDOW}))
        .await;
    let world = World::new(Some(server.url()));
    let life = world.start().await;
    let mut slowest = Duration::ZERO;
    let mut say = async |span: Duration| {
        let began = Instant::now();
        while began.elapsed() < span {
            let asked = Instant::now();
            world.say(1).await;
            slowest = slowest.max(asked.elapsed());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    for _ in 0..3 {
        say(Duration::from_millis(300)).await;
        server.kill();
        say(outage() / 3).await;
        server.restart("jetstream {}");
        life.wake();
    }
    say(Duration::from_millis(300)).await;
    life.wake();
    world.until_settled(&life).await;
    life.end().await;
    let expected = world.expected().await;
    assert_eq!(Reader::of(&server.url()).await.ids().await, expected);
    println!("{} events, slowest commit {slowest:?}", expected.len());
}
