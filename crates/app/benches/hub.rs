//! Lifecycle events from the commit to a consumer of their stream: latency of single ones, events
//! per second of many; embedded and, where there is one in PATH, on nats-server.
//!
//! `MORGANA_BENCH_RUNS` and `MORGANA_BENCH_EVENTS` change the counts.

#![allow(missing_docs, clippy::unwrap_used, reason = "a program that prints figures")]

#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../tests/it/events/server.rs"]
mod server;
#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../tests/it/events/world.rs"]
mod world;

use std::time::{Duration, Instant};

use bus::stream::{Consumer, ConsumerConfig};
use futures_util::StreamExt as _;
use serde_json::json;

use crate::{server::NatsServer, world::World};

/// Events of one transaction where throughput is measured.
const TOGETHER: usize = 100;
/// Pause between single events.
const PACE: Duration = Duration::from_millis(4);
const STREAM: &str = "ACTIVITY_EVENTS";

fn count(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let is_test = std::env::args().any(|argument| argument == "--test");
    let runs = if is_test { 1 } else { count("MORGANA_BENCH_RUNS", 5) };
    let events = if is_test { 200 } else { count("MORGANA_BENCH_EVENTS", 20_000) };
    let mut embedded = Figures::default();
    for _ in 0..runs {
        let world = World::new(None);
        let life = world.start().await;
        let config = ConsumerConfig::durable("bench");
        let reader = Reader::Embedded(world.streams.consumer(STREAM, config).await.unwrap());
        embedded.measure(&world, reader, events).await;
        life.end().await;
    }
    embedded.print("embedded", events, runs);
    let mut remote = Figures::default();
    for _ in 0..runs {
        let Some(server) = NatsServer::with_jetstream() else { return };
        let world = World::new(Some(server.url()));
        let reader = on_server(&server.url()).await;
        let life = world.start().await;
        remote.measure(&world, reader, events).await;
        life.end().await;
    }
    remote.print("nats-server", events, runs);
}

/// A consumer of the stream.
enum Reader {
    Embedded(Consumer),
    Nats(async_nats::Subscriber),
}

/// The stream and a push consumer of it, by JetStream's API.
async fn on_server(url: &str) -> Reader {
    let client = async_nats::connect(url).await.unwrap();
    let inbox = client.new_inbox();
    let messages = client.subscribe(inbox.clone()).await.unwrap();
    let stream = json!({"name": STREAM, "subjects": ["org.>"], "storage": "file"});
    let consumer = json!({"stream_name": STREAM, "config": {
        "deliver_subject": inbox, "deliver_policy": "all", "ack_policy": "none",
    }});
    for (subject, body) in [
        (format!("$JS.API.STREAM.CREATE.{STREAM}"), stream),
        (format!("$JS.API.CONSUMER.CREATE.{STREAM}"), consumer),
    ] {
        let answer = client.request(subject, body.to_string().into()).await.unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
        assert!(answer.get("error").is_none(), "{answer}");
    }
    Reader::Nats(messages)
}

impl Reader {
    /// When each of so many events came.
    async fn read(mut self, count: usize) -> (Self, Vec<Instant>) {
        let mut times = Vec::with_capacity(count);
        while times.len() < count {
            let came = match &mut self {
                Self::Embedded(consumer) => {
                    let messages = consumer.fetch(256, Duration::from_secs(10)).await.unwrap();
                    let now = Instant::now();
                    consumer.ack(messages.iter().map(|message| message.seq)).await.unwrap();
                    times.extend(messages.iter().map(|_| now));
                    messages.len()
                }
                Self::Nats(messages) => {
                    let next = tokio::time::timeout(Duration::from_secs(10), messages.next());
                    let came = usize::from(next.await.is_ok_and(|message| message.is_some()));
                    times.push(Instant::now());
                    came
                }
            };
            assert!(came > 0, "nothing comes after {} events", times.len());
        }
        (self, times)
    }
}

#[derive(Default)]
struct Figures {
    p50: Vec<f64>,
    p99: Vec<f64>,
    per_second: Vec<f64>,
}

impl Figures {
    async fn measure(&mut self, world: &World, reader: Reader, events: usize) {
        let reader = self.latency(world, reader, (events / 20).max(20)).await;
        let reading = tokio::spawn(reader.read(events));
        let began = Instant::now();
        for _ in 0..events / TOGETHER {
            world.journal((0..TOGETHER).map(|_| world.next()).collect()).await;
        }
        let (_, times) = reading.await.unwrap();
        let took = times.last().unwrap().duration_since(began).as_secs_f64();
        self.per_second.push(events as f64 / took);
    }

    /// From the commit of a single event until the consumer has it.
    async fn latency(&mut self, world: &World, reader: Reader, events: usize) -> Reader {
        let reading = tokio::spawn(reader.read(events));
        let mut committed = Vec::with_capacity(events);
        for _ in 0..events {
            world.journal(vec![world.next()]).await;
            committed.push(Instant::now());
            tokio::time::sleep(PACE).await;
        }
        let (reader, came) = reading.await.unwrap();
        let times = committed.iter().zip(&came);
        let mut millis: Vec<f64> = times
            .map(|(at, came)| came.saturating_duration_since(*at).as_secs_f64() * 1e3)
            .collect();
        millis.sort_by(f64::total_cmp);
        let quantile = |q: f64| millis[((millis.len() - 1) as f64 * q).round() as usize];
        self.p50.push(quantile(0.5));
        self.p99.push(quantile(0.99));
        reader
    }

    fn print(&self, place: &str, events: usize, runs: usize) {
        println!(
            "{place}: {:.0} events/s of {events}; commit to consumer p50 {:.2} ms, p99 {:.2} ms \
             (medians of {runs})",
            median(&self.per_second),
            median(&self.p50),
            median(&self.p99)
        );
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
