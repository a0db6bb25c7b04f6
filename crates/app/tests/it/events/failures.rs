//! A NATS server that cannot take the events: said once, counted, tried again, nothing lost.

use std::net::TcpListener;

use morgana::flow::relay::Lifecycle;
use serde_json::json;

use super::{
    proxy::{Proxy, Way},
    reader::{Reader, STREAM},
    server::NatsServer,
    world::{Life, World, until},
};

const JETSTREAM: &str = "jetstream {}";

/// Everything that was said is in the stream, once and in order; nothing was given up.
async fn assert_whole(world: &World, life: Life, server: &NatsServer) {
    life.wake();
    world.until_settled(&life).await;
    assert!(life.status().failures > 0, "failures are counted");
    life.end().await;
    assert_eq!(Reader::of(&server.url()).await.ids().await, world.expected().await);
    assert!(world.store.dead_letter_counts().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_a_server_once_and_in_order() {
    let Some(server) = NatsServer::with_jetstream() else { return };
    let world = World::new(Some(server.url()));
    let life = world.start().await;
    world.say(700).await;
    world.until_settled(&life).await;
    let reader = Reader::of(&server.url()).await;
    assert_eq!(reader.ids().await, world.expected().await);
    let config = reader.ask(&format!("$JS.API.STREAM.INFO.{STREAM}"), json!({})).await;
    assert_eq!(config["config"]["subjects"], json!(["org.>"]));
    assert_eq!((life.status().failures, life.status().delivered), (0, 700));
    life.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_stream_is_found_by_its_subjects() {
    let Some(server) = NatsServer::with_jetstream() else { return };
    let reader = Reader::of(&server.url()).await;
    reader.make("EVERYTHING", &["org.>", "other.*"], json!({})).await;
    let world = World::new(Some(server.url()));
    let life = world.start().await;
    world.say(10).await;
    world.until_settled(&life).await;
    assert_eq!(reader.all_of("EVERYTHING").await.len(), 10);
    life.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens_there() {
    let Some(mut server) = NatsServer::with_jetstream() else { return };
    server.kill();
    let world = World::new(Some(server.url()));
    let life = world.start().await;
    world.say(30).await;
    life.until_trouble("cannot connect to nats://127.0.0.1").await;
    server.restart(JETSTREAM);
    assert_whole(&world, life, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn something_else_listens_there() {
    // Accepts by its backlog and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let world = World::new(Some(format!("nats://{}", silent.local_addr().unwrap())));
    let life = world.start().await;
    world.say(1).await;
    life.until_trouble("cannot connect to").await;
    life.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_jetstream() {
    let Some(mut server) = NatsServer::start("") else { return };
    let world = World::new(Some(server.url()));
    let life = world.start().await;
    world.say(30).await;
    life.until_trouble("no JetStream").await;
    server.restart(JETSTREAM);
    assert_whole(&world, life, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_subjects_taken_by_another_stream() {
    let Some(server) = NatsServer::with_jetstream() else { return };
    let reader = Reader::of(&server.url()).await;
    reader.make("ORDERS", &["org.orders.>"], json!({})).await;
    let world = World::new(Some(server.url()));
    let life = world.start().await;
    world.say(30).await;
    life.until_trouble("stream `ORDERS` takes `org.orders.>`").await;
    reader.ask("$JS.API.STREAM.DELETE.ORDERS", json!({})).await;
    assert_whole(&world, life, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_taken_by_another_stream() {
    let Some(server) = NatsServer::with_jetstream() else { return };
    let reader = Reader::of(&server.url()).await;
    reader.make(STREAM, &["mine.>"], json!({})).await;
    let world = World::new(Some(server.url()));
    let life = world.start().await;
    world.say(30).await;
    life.until_trouble("cannot make stream `ACTIVITY_EVENTS`: stream name already in use").await;
    reader.ask(&format!("$JS.API.STREAM.DELETE.{STREAM}"), json!({})).await;
    assert_whole(&world, life, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_permitted() {
    let allowed = "jetstream {}\nauthorization { user: u, password: p }\n";
    let denied = "jetstream {}\nauthorization { users: [ \
        { user: u, password: p, permissions: { publish: { deny: \"$JS.API.>\" } } } ] }\n";
    let Some(mut server) = NatsServer::start(denied) else { return };
    let with_password = server.url().replace("nats://", "nats://u:p@");
    let world = World::new(Some(with_password.clone()));
    let life = world.start().await;
    world.say(30).await;
    life.until_trouble("Permissions Violation").await;
    // Then nobody of this name is let in at all.
    server.restart("jetstream {}\nauthorization { user: other, password: p }\n");
    life.wake();
    life.until_trouble("authorization violation").await;
    let error = life.status().last_error.unwrap();
    assert!(!error.contains("u:p"), "{error}");
    server.restart(allowed);
    life.wake();
    world.until_settled(&life).await;
    life.end().await;
    let options = async_nats::ConnectOptions::with_user_and_password("u".into(), "p".into());
    let reader = Reader::Nats(options.connect(server.url()).await.unwrap());
    assert_eq!(reader.ids().await, world.expected().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk() {
    let small = "jetstream { max_file_store: 40KB }";
    let Some(mut server) = NatsServer::start(small) else { return };
    let world = World::new(Some(server.url()));
    let life = world.start().await;
    world.say(300).await;
    life.until_trouble("the stream refuses: insufficient resources").await;
    let reader = Reader::of(&server.url()).await;
    assert!(reader.count().await < 300, "not all of it fits");
    drop(reader);
    server.restart("jetstream { max_file_store: 10MB }");
    assert_whole(&world, life, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_full_and_discards_what_is_new() {
    let Some(server) = NatsServer::with_jetstream() else { return };
    let reader = Reader::of(&server.url()).await;
    reader.make(STREAM, &["org.>"], json!({"max_msgs": 25, "discard": "new"})).await;
    let proxy = Proxy::to(server.port()).await;
    let world = World::new(Some(proxy.url()));
    let life = world.start().await;
    world.say(40).await;
    life.until_trouble("the stream refuses: maximum messages exceeded").await;
    assert_eq!(reader.count().await, 25);
    // However often it is tried, that is said once, on one connection.
    for _ in 0..3 {
        let failures = life.status().failures;
        life.wake();
        until("it has tried again", async || life.status().failures > failures).await;
    }
    let lines = ["events go to a NATS server", "a sink fails"];
    assert_eq!(lines.map(|line| life.said(line)), [1, 1]);
    assert_eq!(proxy.accepted(), 1);
    reader.update(STREAM, &["org.>"], json!({"max_msgs": 1000, "discard": "new"})).await;
    assert_whole(&world, life, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_is_not_told_again() {
    let Some(server) = NatsServer::with_jetstream() else { return };
    let proxy = Proxy::to(server.port()).await;
    let world = World::new(Some(proxy.url()));
    let life = world.start().await;
    for _ in 0..3 {
        proxy.set(Way::Open);
        life.wake();
        world.say(5).await;
        world.until_settled(&life).await;
        proxy.set(Way::Cut);
        world.say(5).await;
        life.until_failing().await;
    }
    assert_eq!(life.said("events go to a NATS server"), 1);
    proxy.set(Way::Open);
    assert_whole(&world, life, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_the_place_of_ours_is_taken() {
    let Some(server) = NatsServer::with_jetstream() else { return };
    let world = World::new(Some(server.url()));
    let life = world.start().await;
    // Of each type: nothing more needs to be asked.
    world.say(9).await;
    world.until_settled(&life).await;
    let reader = Reader::of(&server.url()).await;
    reader.ask(&format!("$JS.API.STREAM.DELETE.{STREAM}"), json!({})).await;
    reader.make("OTHER", &["org.>"], json!({})).await;
    world.say(5).await;
    life.until_trouble("expected stream").await;
    life.wake();
    world.until_settled(&life).await;
    assert_eq!(life.said("events go to a NATS server"), 2);
    life.end().await;
    assert_eq!(reader.all_of("OTHER").await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_were_raised_hold_nothing_back() {
    let Some(server) = NatsServer::start("jetstream {}\nmax_payload: 8000") else { return };
    let world = World::new(Some(server.url()));
    let life = world.start().await;
    let retry = async || {
        world.until_letters(1).await;
        world.store.retry_dead_letters(Lifecycle::NAME, None).await.unwrap();
        life.wake();
        world.until_retried().await;
    };
    // The server's; the letter is the first event that there is.
    world.journal(vec![world.long_decision()]).await;
    retry().await;
    let page = world.store.dead_letters(Lifecycle::NAME, None, 10).await.unwrap();
    assert!(page.items[0].reason.contains("8000 are allowed"), "{}", page.items[0].reason);
    server.reload("jetstream {}\nmax_payload: 1MB");
    until("the server has read it", async || {
        let client = async_nats::connect(server.url()).await.unwrap();
        client.server_info().max_payload > 8000
    })
    .await;
    retry().await;
    world.until_letters(0).await;
    // The stream's.
    let reader = Reader::of(&server.url()).await;
    reader.update(STREAM, &["org.>"], json!({"max_msg_size": 4096})).await;
    world.journal(vec![world.long_decision()]).await;
    retry().await;
    world.until_letters(1).await;
    reader.update(STREAM, &["org.>"], json!({})).await;
    world.journal(vec![world.long_decision()]).await;
    world.until_settled(&life).await;
    retry().await;
    world.until_letters(0).await;
    life.end().await;
    let mut ids = reader.ids().await;
    ids.swap(1, 2);
    assert_eq!(ids, world.expected().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_changes_while_it_runs() {
    let Some(server) = NatsServer::with_jetstream() else { return };
    let world = World::new(None);
    let life = world.start().await;
    world.say(10).await;
    world.until_settled(&life).await;
    world.server.send_replace(Some(server.url()));
    world.say(10).await;
    world.until_settled(&life).await;
    world.server.send_replace(None);
    world.say(10).await;
    world.until_settled(&life).await;
    life.end().await;
    let expected = world.expected().await;
    let (here, there) = (
        Reader::Embedded(world.streams.clone()).ids().await,
        Reader::of(&server.url()).await.ids().await,
    );
    assert_eq!(there, expected[10..20]);
    assert_eq!(here, [&expected[..10], &expected[20..]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_while_nobody_is_there_is_quick_and_loses_nothing() {
    let Some(mut server) = NatsServer::with_jetstream() else { return };
    let world = World::new(Some(server.url()));
    let life = world.start().await;
    world.say(5).await;
    world.until_settled(&life).await;
    server.kill();
    world.say(5).await;
    life.until_trouble("").await;
    let began = std::time::Instant::now();
    life.end().await;
    assert!(began.elapsed().as_secs() < 2, "{:?}", began.elapsed());
    server.restart(JETSTREAM);
    let life = world.start().await;
    until("all is there", async || life.status().position == 10).await;
    life.end().await;
    assert_eq!(Reader::of(&server.url()).await.ids().await, world.expected().await);
    let kept = world.store.sink_position(Lifecycle::NAME).await.unwrap();
    assert_eq!(kept, Some(10));
}
