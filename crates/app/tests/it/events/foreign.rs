//! Others on our subjects, also in our name: what they say swallows no event of ours, and what
//! we said is known again, whoever spoke since and under which source we did.

use std::time::{Duration, Instant};

use bus::stream::Publish;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    embedded::forgetful,
    proxy::{Proxy, Way},
    reader::{Reader, STREAM},
    server::NatsServer,
    world::{World, until},
};

const SUBJECT: &str = "org.statehub.repo.registered";
/// The place of the first event.
const FIRST: &str = "00000000000000000001";
/// That of one that is not in the stream yet.
const LATER: &str = "00000000000000000030";
/// What is said once where somebody speaks in our name.
const COMPLAINT: &str = "the stream has events of our source that the journal does not know";

/// The newest message of a subject is this; what we have said meanwhile arrives all the same.
async fn check_newest(forge: impl Fn(&mut Value), complaints: usize) {
    let world = World::new(None);
    let life = world.start().await;
    world.say(20).await;
    world.until_settled(&life).await;
    life.end().await;
    let reader = Reader::Embedded(world.streams.clone());
    let mut newest = reader.all_of(STREAM).await.remove(0);
    assert_eq!((&newest["type"], newest["sequence"].as_str()), (&SUBJECT.into(), Some(FIRST)));
    forge(&mut newest);
    let publish = Publish {
        subject: Bytes::from_static(SUBJECT.as_bytes()),
        headers: Bytes::new(),
        body: newest.to_string().into(),
        msg_id: None,
    };
    world.streams.publish(publish).await.unwrap();
    world.say(20).await;
    let life = world.start().await;
    world.until_settled(&life).await;
    assert_eq!(life.said(COMPLAINT), complaints, "{newest}");
    life.end().await;
    let mut ids = reader.ids().await;
    if newest["source"] != json!("/elsewhere") {
        assert_eq!(ids.remove(20), newest["id"].as_str().unwrap());
    }
    assert_eq!(ids, world.expected().await, "{newest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_say_in_our_name_swallows_nothing() {
    let other = json!("019b76da-a800-7075-baa3-b893e730ac81");
    // Far ahead, as after a snapshot of the whole machine was put back, or from an enemy.
    let ahead = |event: &mut Value| {
        (event["id"], event["sequence"]) = (other.clone(), json!("09999999999999999999"));
    };
    check_newest(ahead, 1).await;
    let at_a_later_place = |event: &mut Value| {
        (event["id"], event["sequence"]) = (other.clone(), json!(LATER));
    };
    check_newest(at_a_later_place, 1).await;
    check_newest(|event| event["sequence"] = json!(LATER), 1).await;
    let under_their_own = |event: &mut Value| {
        (event["source"], event["sequence"]) = (json!("/elsewhere"), json!(LATER));
    };
    check_newest(under_their_own, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_in_our_name_is_complained_of_once() {
    let Some(server) = NatsServer::with_jetstream() else { return };
    let proxy = Proxy::to(server.port()).await;
    let world = World::new(Some(proxy.url()));
    let life = world.start().await;
    world.say(20).await;
    world.until_settled(&life).await;
    let reader = Reader::of(&server.url()).await;
    let mut forged = reader.all_of(STREAM).await.remove(0);
    forged["sequence"] = json!("09999999999999999999");
    let stranger = async_nats::connect(server.url()).await.unwrap();
    for _ in 0..3 {
        stranger.request(SUBJECT, forged.to_string().into()).await.unwrap();
        proxy.set(Way::Cut);
        world.say(20).await;
        life.until_trouble("cannot connect").await;
        proxy.set(Way::Open);
        life.wake();
        world.until_settled(&life).await;
    }
    assert_eq!(life.said(COMPLAINT), 1);
    life.end().await;
    let mut events = reader.all_of(STREAM).await;
    events.retain(|event| *event != forged);
    let ids: Vec<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids, world.expected().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_an_earlier_epoch_are_known_again() {
    let world = World::new(None);
    forgetful(&world.streams).await;
    let life = world.start().await;
    world.say(30).await;
    let reader = Reader::Embedded(world.streams.clone());
    until("all is there", async || reader.count().await == 30).await;
    life.kill().await;
    let world = world.reborn().await;
    let life = world.start().await;
    world.say(10).await;
    world.until_settled(&life).await;
    life.end().await;
    assert_eq!(reader.ids().await, world.expected().await);
}

/// Over a line on which one look-up after the other would take longer than a delivery may.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_behind_us_on_a_long_line_stops_nothing() {
    let Some(server) = NatsServer::with_jetstream() else { return };
    let reader = Reader::of(&server.url()).await;
    let proxy = Proxy::long(server.port(), Duration::from_millis(70)).await;
    let world = World::new(Some(proxy.url()));
    let life = world.start().await;
    world.say(20).await;
    world.until_settled(&life).await;
    proxy.set(Way::Mute);
    world.say(20).await;
    until("something is stored", async || reader.count().await > 20).await;
    let stranger = async_nats::connect(server.url()).await.unwrap();
    let theirs = json!({"source": "/elsewhere", "id": "1", "type": SUBJECT}).to_string();
    for _ in 0..300 {
        stranger.request(SUBJECT, theirs.clone().into()).await.unwrap();
    }
    proxy.set(Way::Cut);
    life.until_trouble("").await;
    proxy.set(Way::Open);
    life.wake();
    let asked = Instant::now();
    world.until_settled(&life).await;
    // Four trips of 140 ms to connect and find the stream, eight for 256 messages, and those of
    // publishing: far from the 36 s of one after the other.
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
    life.end().await;
    assert_eq!(reader.ids().await, world.expected().await);
}
