//! Outages under load, and acknowledgements lost on the way: every event once, in order.
//! `MORGANA_OUTAGE_SECONDS` makes the outage as long as wanted.

use std::time::{Duration, Instant};

use morgana::flow::relay::Lifecycle;
use serde_json::{Value, json};

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
/// Most bytes of a message where dead letters shall come about.
const LIMIT: i64 = 4096;

fn limited(bytes: i64) -> Value {
    json!({"duplicate_window": WINDOW, "max_msg_size": bytes})
}

fn outage() -> Duration {
    let seconds = std::env::var("MORGANA_OUTAGE_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(3))
}

/// What comes between besides the lost acknowledgements.
#[derive(Clone, Copy)]
enum Between {
    Nothing,
    /// Others publish on the same subjects, before, meanwhile and after.
    Others,
    /// A dead letter is retried in each round.
    Letters,
    OthersAndLetters,
}

/// Loses acknowledgements, stays away for longer than the window, and comes back.
async fn check_lost_acknowledgements(between: Between) {
    let Some(server) = NatsServer::with_jetstream() else { return };
    let reader = Reader::of(&server.url()).await;
    reader.make(STREAM, &["org.>"], limited(LIMIT)).await;
    let stranger = async_nats::connect(server.url()).await.unwrap();
    let meddle = async || {
        if matches!(between, Between::Others | Between::OthersAndLetters) {
            for subject in ["org.statehub.task.stale", "org.statehub.repo.registered"] {
                let theirs = json!({"source": "/elsewhere", "id": "1", "type": subject});
                stranger.request(subject, theirs.to_string().into()).await.unwrap();
            }
        }
    };
    let proxy = Proxy::to(server.port()).await;
    let world = World::new(Some(proxy.url()));
    let life = world.start().await;
    let has_letters = matches!(between, Between::Letters | Between::OthersAndLetters);
    let mut letters = Vec::new();
    for _ in 0..4 {
        if has_letters {
            world.journal(vec![world.long_decision()]).await;
            letters.extend(world.expected().await.pop());
            world.until_letters(1).await;
        }
        world.say(20).await;
        world.until_settled(&life).await;
        meddle().await;
        let (delivered, stored) = (life.status().delivered, reader.count().await);
        proxy.set(Way::Mute);
        world.say(60).await;
        until("something is stored", async || reader.count().await > stored).await;
        meddle().await;
        if has_letters {
            reader.update(STREAM, &["org.>"], limited(-1)).await;
            world.store.retry_dead_letters(Lifecycle::NAME, None).await.unwrap();
        }
        proxy.set(Way::Cut);
        tokio::time::sleep(BEYOND).await;
        assert_eq!(life.status().delivered, delivered, "nothing of it was acknowledged");
        proxy.set(Way::Open);
        life.wake();
        if has_letters {
            world.until_retried().await;
            reader.update(STREAM, &["org.>"], limited(LIMIT)).await;
        }
    }
    world.until_settled(&life).await;
    life.end().await;
    let (mut ids, mut expected) = (reader.ids().await, world.expected().await);
    let mut late = ids.clone();
    late.retain(|id| letters.contains(id));
    assert_eq!(late, letters, "each letter is there once");
    ids.retain(|id| !letters.contains(id));
    expected.retain(|id| !letters.contains(id));
    assert_eq!(ids, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_acknowledgements_double_nothing_beyond_the_window() {
    check_lost_acknowledgements(Between::Nothing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_where_others_publish_on_the_same_subjects() {
    check_lost_acknowledgements(Between::Others).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_where_dead_letters_are_retried_meanwhile() {
    check_lost_acknowledgements(Between::Letters).await;
    check_lost_acknowledgements(Between::OthersAndLetters).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_whose_acknowledgement_was_lost_comes_once() {
    let Some(server) = NatsServer::with_jetstream() else { return };
    let reader = Reader::of(&server.url()).await;
    reader.make(STREAM, &["org.>"], limited(LIMIT)).await;
    let proxy = Proxy::to(server.port()).await;
    let world = World::new(Some(proxy.url()));
    let life = world.start().await;
    world.journal(vec![world.long_decision(), world.long_decision()]).await;
    world.until_settled(&life).await;
    life.end().await;
    reader.update(STREAM, &["org.>"], limited(-1)).await;
    let life = world.start().await;
    let retry = async |letter: u64| {
        world.store.retry_dead_letters(Lifecycle::NAME, Some(letter)).await.unwrap();
        life.wake();
    };
    // The first one, for which the stream is searched while it is still empty.
    retry(1).await;
    world.until_retried().await;
    proxy.set(Way::Mute);
    retry(2).await;
    until("it is stored", async || reader.count().await == 2).await;
    proxy.set(Way::Cut);
    tokio::time::sleep(BEYOND).await;
    proxy.set(Way::Open);
    life.wake();
    world.until_retried().await;
    world.say(10).await;
    world.until_settled(&life).await;
    life.end().await;
    assert_eq!(reader.ids().await, world.expected().await);
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
