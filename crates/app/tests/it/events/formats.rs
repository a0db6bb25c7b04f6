//! The format of events changes between the lives of a service: what was sent before is known
//! again, though the stream's memory of ids is over.

use std::time::Duration;

use exports::Format;
use serde_json::json;

use super::{
    embedded::forgetful,
    reader::{Reader, STREAM},
    server::NatsServer,
    world::World,
};

/// Every change of format, and none.
const FORMATS: [Format; 8] = [
    Format::Structured,
    Format::Binary,
    Format::Binary,
    Format::OlderEnvelope,
    Format::OlderEnvelope,
    Format::Structured,
    Format::OlderEnvelope,
    Format::Binary,
];

/// Each life is killed before it keeps how far it came; the next one sends in another format.
async fn check(mut world: World, reader: Reader, window: Duration) {
    for format in FORMATS {
        tokio::time::sleep(window).await;
        world = world.with(format);
        let life = world.start().await;
        world.until_settled(&life).await;
        world.say(20).await;
        world.until_settled(&life).await;
        life.kill().await;
    }
    assert_eq!(reader.message_ids().await, world.expected().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_format_doubles_and_loses_nothing() {
    let world = World::new(None);
    forgetful(&world.streams).await;
    let reader = Reader::Embedded(world.streams.clone());
    check(world, reader, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_on_nats_server() {
    let Some(server) = NatsServer::with_jetstream() else { return };
    let reader = Reader::of(&server.url()).await;
    // The shortest window that it takes.
    reader.make(STREAM, &["org.>"], json!({"duplicate_window": 100_000_000})).await;
    check(World::new(Some(server.url())), reader, Duration::from_millis(400)).await;
}
