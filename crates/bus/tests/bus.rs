//! The bus as its users see it: in process, off, and over a scripted connection.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod battery;
mod client;
mod crash;
mod nats_server;
mod scripted;
mod wire;

use std::{sync::Arc, time::Duration};

use model::{Ambient, Event, JournalEntry, Payload, SystemLog, Timestamp};
use morgana_bus::{Bus, BusState, Delivery, OnLag, Retry, Subscription};
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};
use scripted::{Broker, Try};
use tokio::time::{Instant, timeout};

fn ambient() -> Ambient {
    Ambient::seeded(1, Timestamp::from_micros(0))
}

#[allow(clippy::needless_pass_by_value, reason = "reads better at the call")]
fn log(message: impl ToString) -> Event {
    let line = SystemLog::new("test", "info", &message.to_string());
    Event::new(&ambient(), Payload::SystemLog(line))
}

fn message(entry: &JournalEntry) -> String {
    let line: SystemLog = serde_json::from_str(entry.payload.get()).unwrap();
    line.message
}

/// What waits, in short: `a`, `b`, `gap 2`.
fn waiting(subscription: &mut Subscription) -> Vec<String> {
    std::iter::from_fn(|| subscription.try_next()).map(|d| shown(&d)).collect()
}

fn shown(delivery: &Delivery) -> String {
    match delivery {
        Delivery::Event(entry) => message(entry),
        Delivery::Gap { missed } => format!("gap {missed}"),
    }
}

async fn next(subscription: &mut Subscription) -> String {
    let waited = timeout(Duration::from_secs(600), subscription.next()).await;
    waited.expect("a delivery in time").as_ref().map_or("end".into(), shown)
}

async fn logs(bus: &Bus, capacity: usize, on_lag: OnLag) -> Subscription {
    bus.subscribe("system.log".parse().unwrap(), capacity, on_lag).await
}

#[tokio::test]
async fn a_publisher_hears_itself_and_filters_hold() {
    let bus = Bus::embedded("test");
    let mut all = bus.subscribe("system.>".parse().unwrap(), 8, OnLag::Disconnect).await;
    let mut other = bus.subscribe("topology.>".parse().unwrap(), 8, OnLag::Disconnect).await;
    bus.publish(&log("a"));
    bus.clone().publish_entry(Arc::new(log("b").to_entry(Some(7))));
    assert_eq!(waiting(&mut all), ["a", "b"]);
    assert!(waiting(&mut other).is_empty());
    let health = bus.health();
    assert_eq!((health.published, health.delivered, health.subscribers), (2, 2, 2));
    drop(other);
    assert_eq!(bus.health().subscribers, 1);
}

#[tokio::test]
async fn dropped_newest_leave_a_gap_in_their_place() {
    let bus = Bus::embedded("test");
    let mut slow = logs(&bus, 2, OnLag::DropNewest).await;
    for n in 0..5 {
        bus.publish(&log(n));
    }
    assert_eq!(next(&mut slow).await, "0");
    bus.publish(&log("later"));
    assert_eq!(waiting(&mut slow), ["1", "gap 3", "later"]);
    assert_eq!(bus.health().dropped, 3);

    (0..3).for_each(|n| bus.publish(&log(n)));
    assert_eq!(waiting(&mut slow), ["0", "1", "gap 1"], "a gap does not wait for the next event");
}

#[tokio::test]
async fn a_disconnected_subscriber_gets_its_queue_a_gap_and_the_end() {
    let bus = Bus::embedded("test");
    let mut slow = logs(&bus, 2, OnLag::Disconnect).await;
    let mut quick = logs(&bus, 16, OnLag::Disconnect).await;
    (0..5).for_each(|n| bus.publish(&log(n)));
    assert_eq!(bus.health().subscribers, 1);
    for expected in ["0", "1", "gap 1", "end", "end"] {
        assert_eq!(next(&mut slow).await, expected);
    }
    assert_eq!(waiting(&mut quick).len(), 5, "others are not affected");
}

#[tokio::test]
async fn closing_ends_subscriptions_after_what_they_hold_and_skips_the_rest() {
    let bus = Bus::embedded("test");
    let mut early = logs(&bus, 8, OnLag::DropNewest).await;
    bus.publish(&log("a"));
    bus.close().await;
    bus.close().await;
    bus.publish(&log("b"));
    bus.publish_entry(Arc::new(log("c").to_entry(None)));
    let mut late = logs(&bus, 8, OnLag::DropNewest).await;
    assert_eq!((next(&mut early).await, next(&mut early).await), ("a".into(), "end".into()));
    assert_eq!(next(&mut late).await, "end");
    let health = bus.health();
    assert_eq!(
        (health.state, health.published, health.skipped, health.subscribers),
        (BusState::Closed, 1, 2, 0)
    );
}

#[tokio::test]
async fn a_waiting_subscriber_hears_that_the_last_handle_is_gone() {
    let bus = Bus::embedded("test");
    let mut waiting = logs(&bus, 8, OnLag::DropNewest).await;
    let ended = tokio::spawn(async move { next(&mut waiting).await });
    tokio::task::yield_now().await;
    drop(bus);
    assert_eq!(ended.await.unwrap(), "end");
}

#[tokio::test]
async fn a_bus_that_is_off_skips_and_counts() {
    let bus = Bus::off();
    let mut none = logs(&bus, 8, OnLag::DropNewest).await;
    bus.publish(&log("a"));
    assert_eq!(next(&mut none).await, "end");
    let health = bus.health();
    assert_eq!((health.state, health.published, health.skipped), (BusState::Off, 0, 1));
    bus.close().await;
}

#[tokio::test]
async fn an_oversized_payload_is_dropped_and_counted() {
    let bus = Bus::embedded("test");
    let mut logs = logs(&bus, 8, OnLag::DropNewest).await;
    bus.publish(&log("x".repeat(2 << 20)));
    assert!(waiting(&mut logs).is_empty());
    assert_eq!(bus.health().dropped, 1);
}

fn connecting(broker: &Broker) -> Bus {
    Bus::connecting("test", Box::new(broker.clone()), Retry::default(), ambient())
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let reached = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(600), reached).await.unwrap_or_else(|_| panic!("never {what}"));
}

#[tokio::test(start_paused = true)]
async fn the_connection_is_made_when_first_used() {
    let broker = Broker::new([]);
    let bus = connecting(&broker);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((broker.tries(), bus.health().state), (0, BusState::Idle));
    bus.publish(&log("a"));
    until("published", || broker.published() == ["a"]).await;
    assert_eq!((broker.tries(), bus.health().state), (1, BusState::Connected));
}

#[tokio::test(start_paused = true)]
async fn what_is_published_right_after_subscribing_arrives() {
    let broker = Broker::new([]);
    let bus = connecting(&broker);
    let mut first = logs(&bus, 8, OnLag::DropNewest).await;
    bus.publish(&log("a"));
    assert_eq!(next(&mut first).await, "a", "without a gap, and from our own connection");
    let mut second = logs(&bus, 8, OnLag::DropNewest).await;
    bus.publish(&log("b"));
    assert_eq!((next(&mut first).await, next(&mut second).await), ("b".into(), "b".into()));
    drop(second);
    until("unsubscribed", || broker.subscriptions() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_try_is_not_remembered() {
    let broker = Broker::new([Try::Refuse, Try::Hang, Try::Refuse]);
    let bus = connecting(&broker);
    let began = Instant::now();
    bus.publish(&log("a"));
    until("published", || broker.published() == ["a"]).await;
    assert_eq!(broker.tries(), 4);
    let took = began.elapsed();
    // One try hangs for 2 s; the waits are at most 100, 200 and 400 ms and at least half of that.
    assert!(took >= Duration::from_millis(2350) && took < Duration::from_millis(2710), "{took:?}");
    assert_eq!(bus.health().reconnects, 0, "the first connection is no reconnect");
}

#[tokio::test(start_paused = true)]
async fn a_dead_bus_holds_nobody_and_leaves_a_gap() {
    let broker = Broker::new([Try::Hang, Try::Refuse, Try::Refuse]);
    let bus = connecting(&broker);
    let began = Instant::now();
    let mut early = logs(&bus, 8, OnLag::DropNewest).await;
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    assert_eq!(next(&mut early).await, "gap 0");
    bus.publish(&log("a"));
    assert_eq!(next(&mut early).await, "a");
}

#[tokio::test(start_paused = true)]
async fn after_a_lost_connection_subscriptions_go_on_behind_a_gap() {
    let broker = Broker::new([Try::Accept, Try::Refuse]);
    let bus = connecting(&broker);
    let mut first = logs(&bus, 8, OnLag::DropNewest).await;
    bus.publish(&log("a"));
    assert_eq!(next(&mut first).await, "a");
    broker.lose_connection();
    assert_eq!(next(&mut first).await, "gap 0");
    bus.publish(&log("b"));
    assert_eq!(next(&mut first).await, "b");
    let health = bus.health();
    assert_eq!((health.reconnects, health.state), (1, BusState::Connected));
    assert_eq!(broker.tries(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_full_way_out_drops_and_counts() {
    let broker = Broker::new([Try::Hang]);
    let bus = connecting(&broker);
    (0..5000).for_each(|n| bus.publish(&log(n)));
    let health = bus.health();
    assert_eq!(health.published + health.dropped, 5000);
    assert!(health.dropped >= 900, "{health:?}");
    let kept = health.published as usize;
    until("all kept ones published", || broker.published().len() == kept).await;
}

#[tokio::test(start_paused = true)]
async fn closing_sends_what_waits_and_says_goodbye() {
    let broker = Broker::new([]);
    let bus = connecting(&broker);
    let mut all = logs(&bus, 8, OnLag::DropNewest).await;
    bus.publish(&log("a"));
    bus.publish(&log("b"));
    tokio::join!(bus.close(), bus.close());
    bus.close().await;
    assert_eq!(broker.published(), ["a", "b"]);
    assert!(broker.said_goodbye());
    while next(&mut all).await != "end" {}
    assert_eq!(bus.health().state, BusState::Closed);
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_a_dead_bus() {
    let broker = Broker::new([Try::Hang]);
    let bus = connecting(&broker);
    bus.publish(&log("a"));
    tokio::time::sleep(Duration::from_millis(1)).await;
    let began = Instant::now();
    bus.close().await;
    assert!(began.elapsed() < Duration::from_millis(10));
    assert_eq!(bus.health().dropped, 1);
}

/// What a subscriber of this capacity sees, worked out the slow way: a list of everything that
/// was published, with holes.
fn expected(capacity: usize, steps: &[bool]) -> Vec<String> {
    let (mut seen, mut queue, mut lost) = (vec![], std::collections::VecDeque::new(), 0);
    let mut published = 0;
    let take = |queue: &mut std::collections::VecDeque<(u64, u64)>, lost: &mut u64| {
        let mut out = vec![];
        match queue.front_mut() {
            Some((before, _)) if *before > 0 => out.push(format!("gap {}", std::mem::take(before))),
            Some(_) => out.extend(queue.pop_front().map(|(_, n)| n.to_string())),
            None if *lost > 0 => out.push(format!("gap {}", std::mem::take(lost))),
            None => {}
        }
        out
    };
    for &publish in steps {
        if !publish {
            seen.extend(take(&mut queue, &mut lost));
        } else if queue.len() < capacity {
            queue.push_back((std::mem::take(&mut lost), published));
            published += 1;
        } else {
            lost += 1;
            published += 1;
        }
    }
    while !queue.is_empty() || lost > 0 {
        seen.extend(take(&mut queue, &mut lost));
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn events_and_gaps_add_up_in_order(
        capacity in 1usize..5,
        steps in prop::collection::vec(any::<bool>(), 0..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let bus = Bus::embedded("test");
        let mut slow = runtime.block_on(logs(&bus, capacity, OnLag::DropNewest));
        let (mut seen, mut published) = (vec![], 0u64);
        for &publish in &steps {
            if publish {
                bus.publish(&log(published));
                published += 1;
            } else {
                seen.extend(slow.try_next().as_ref().map(shown));
            }
        }
        seen.extend(waiting(&mut slow));
        prop_assert_eq!(&seen, &expected(capacity, &steps));
        let mut at = 0;
        for one in &seen {
            match one.strip_prefix("gap ") {
                Some(missed) => at += missed.parse::<u64>().unwrap(),
                None => {
                    prop_assert_eq!(one, &at.to_string());
                    at += 1;
                }
            }
        }
        prop_assert!(at == published);
    }
}
