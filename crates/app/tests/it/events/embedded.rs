//! The stream of the process itself.

use std::time::Duration;

use bus::stream::{ConsumerConfig, StreamConfig, Streams};
use morgana::flow::relay::Lifecycle;
use serde_json::Value;

use super::{
    reader::{Reader, STREAM},
    world::{ACTOR, World},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_reads_what_the_journal_has() {
    let world = World::new(None);
    let life = world.start().await;
    let consumer = world.streams.consumer(STREAM, ConsumerConfig::durable("engine")).await.unwrap();
    world.say(500).await;
    world.until_settled(&life).await;
    let mut read = Vec::new();
    loop {
        let messages = consumer.fetch(200, Duration::ZERO).await.unwrap();
        if messages.is_empty() {
            break;
        }
        for message in &messages {
            let event: Value = serde_json::from_slice(&message.body).unwrap();
            assert_eq!(event["type"].as_str().unwrap().as_bytes(), &message.subject[..]);
            assert_eq!(event["actor"], ACTOR);
            let headers = String::from_utf8_lossy(&message.headers);
            let id = event["id"].as_str().unwrap().to_owned();
            assert!(headers.contains(&format!("Nats-Msg-Id: {id}\r\n")), "{headers}");
            assert!(headers.contains("content-type: application/cloudevents+json\r\n"));
            read.push(id);
        }
        consumer.ack(messages.iter().map(|message| message.seq)).await.unwrap();
    }
    assert_eq!(read, world.expected().await);
    assert_eq!(life.status().delivered, 500);
    life.end().await;
}

/// A stream of ours with a window that is over at once.
pub(super) async fn forgetful(streams: &Streams) {
    let config = StreamConfig {
        duplicate_window: Duration::from_millis(1),
        ..StreamConfig::new(STREAM.parse().unwrap(), vec!["org.>".into()])
    };
    streams.ensure(config).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_delivery_and_cursor_doubles_nothing() {
    let world = World::new(None);
    forgetful(&world.streams).await;
    for round in 0..6 {
        let life = world.start().await;
        world.say(20 + round).await;
        if round % 2 == 0 {
            world.until_settled(&life).await;
        }
        life.kill().await;
    }
    let life = world.start().await;
    world.until_settled(&life).await;
    life.end().await;
    let reader = Reader::Embedded(world.streams.clone());
    assert_eq!(reader.ids().await, world.expected().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_fits_is_a_dead_letter_until_it_does() {
    let world = World::new(None);
    let limited = |max_msg_size| StreamConfig {
        max_msg_size,
        ..StreamConfig::new(STREAM.parse().unwrap(), vec!["org.>".into()])
    };
    world.streams.ensure(limited(Some(4096))).await.unwrap();
    let life = world.start().await;
    world.say(3).await;
    world.journal(vec![world.long_decision()]).await;
    world.say(3).await;
    world.until_settled(&life).await;
    world.until_letters(1).await;
    let page = world.store.dead_letters(Lifecycle::NAME, None, 10).await.unwrap();
    assert!(page.items[0].reason.contains("4096 are allowed"), "{}", page.items[0].reason);
    let reader = Reader::Embedded(world.streams.clone());
    assert_eq!(reader.ids().await.len(), 6);

    world.streams.ensure(limited(None)).await.unwrap();
    world.store.retry_dead_letters(Lifecycle::NAME, None).await.unwrap();
    life.wake();
    world.until_letters(0).await;
    let mut ids = reader.ids().await;
    let letter = ids.pop().unwrap();
    ids.insert(3, letter);
    assert_eq!(ids, world.expected().await, "later ones had arrived before it");
    life.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_new_fits_once_the_limit_is_raised() {
    let world = World::new(None);
    let limited = |max_msg_size| StreamConfig {
        max_msg_size,
        ..StreamConfig::new(STREAM.parse().unwrap(), vec!["org.>".into()])
    };
    world.streams.ensure(limited(Some(4096))).await.unwrap();
    let life = world.start().await;
    world.say(3).await;
    world.until_settled(&life).await;
    world.streams.ensure(limited(None)).await.unwrap();
    world.say(3).await;
    world.journal(vec![world.long_decision(), world.long_decision()]).await;
    world.until_settled(&life).await;
    life.end().await;
    let reader = Reader::Embedded(world.streams.clone());
    assert_eq!(reader.ids().await, world.expected().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_the_place_of_ours_is_taken() {
    let world = World::new(None);
    let life = world.start().await;
    // Of each type: nothing more needs to be asked.
    world.say(9).await;
    world.until_settled(&life).await;
    world.streams.remove(STREAM).await.unwrap();
    let other = StreamConfig::new("OTHER".parse().unwrap(), vec!["org.>".into()]);
    world.streams.ensure(other).await.unwrap();
    world.say(5).await;
    life.until_trouble("expected stream").await;
    life.wake();
    world.until_settled(&life).await;
    life.end().await;
    assert_eq!(Reader::Embedded(world.streams.clone()).all_of("OTHER").await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_others_on_our_subjects_is_named_and_waited_for() {
    let world = World::new(None);
    let theirs = StreamConfig::new("ORDERS".parse().unwrap(), vec!["org.orders.>".into()]);
    world.streams.ensure(theirs).await.unwrap();
    let life = world.start().await;
    world.say(5).await;
    life.until_trouble("stream `ORDERS` takes `org.orders.>`").await;
    world.streams.remove("ORDERS").await.unwrap();
    life.wake();
    world.until_settled(&life).await;
    let reader = Reader::Embedded(world.streams.clone());
    assert_eq!(reader.ids().await, world.expected().await);
    life.end().await;
}
