//! Reads everything back after the last kill and compares it with what the clients were told.

use std::{collections::BTreeSet, fmt, net::SocketAddr, ops::AddAssign};

use morgana_bus::client::{Client, Message};
use serde_json::json;

use super::{
    Clients, Killed, PATIENCE, Process, Publisher, Worker, call, options,
    publisher::number_of,
    worker::{self, fetch},
};

/// What was looked at.
#[derive(Default)]
pub(super) struct Total {
    sent: u64,
    acknowledged: u64,
    stored: u64,
    done: u64,
}

impl AddAssign for Total {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.acknowledged += other.acknowledged;
        self.stored += other.stored;
        self.done += other.done;
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, acknowledged, stored, done } = self;
        write!(f, "{sent} sent, {acknowledged} acknowledged, {stored} read back, {done} done")
    }
}

pub(super) async fn read_back(clients: Clients, mut broker: Process, at: SocketAddr) -> Total {
    let client = connect(at).await;
    let read = all(&clients, &client).await;
    let total = read.unwrap_or_else(|Killed| panic!("the broker is gone: {}", broker.said()));
    broker.kill();
    total
}

async fn connect(at: SocketAddr) -> Client {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match Client::connect(options(at)).await {
            Ok(client) => return client,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

async fn all(clients: &Clients, client: &Client) -> Result<Total, Killed> {
    let mut total = Total::default();
    for publisher in &clients.publishers {
        total.sent += publisher.sent;
        total.acknowledged += publisher.acknowledged.len() as u64;
    }
    for stream in ["turn", "wide"] {
        let stored = everything(client, stream).await?;
        total.stored += stored.len() as u64;
        for publisher in clients.publishers.iter().filter(|p| p.stream == stream) {
            complete(publisher, &stored);
        }
    }
    for publisher in clients.publishers.iter().filter(|p| p.stream == "jobs") {
        total.stored += rest_of_the_queue(client, publisher, &clients.worker).await?;
    }
    total.done = clients.worker.confirmed.len() as u64;
    Ok(total)
}

/// All messages of a stream with their places, which leave nothing out.
async fn everything(client: &Client, stream: &str) -> Result<Vec<(u64, Message)>, Killed> {
    let config = json!({ "ack_policy": "none", "deliver_policy": "all", "name": "reader" });
    let body = json!({ "stream_name": stream, "config": config });
    call(client, &format!("CONSUMER.CREATE.{stream}.reader"), &body).await?;
    let state = call(client, &format!("STREAM.INFO.{stream}"), &json!({})).await?;
    let state = &state["state"];
    let wanted = state["messages"].as_u64().unwrap();
    assert_eq!(state["last_seq"].as_u64(), Some(wanted), "{stream}: {state}");
    let mut stored = Vec::new();
    while (stored.len() as u64) < wanted {
        let batch = (wanted - stored.len() as u64).min(500);
        let got = fetch(client, &format!("{stream}.reader"), batch).await?;
        stored.extend(got.into_iter().map(|message| (place(&message), message)));
    }
    let places = stored.iter().map(|(place, _)| *place);
    assert!(places.eq(1..=wanted), "{stream}: places are missing");
    Ok(stored)
}

/// `$JS.ACK.stream.consumer.deliveries.place.…`
fn place(message: &Message) -> u64 {
    let reply = std::str::from_utf8(message.reply.as_ref().unwrap()).unwrap();
    reply.split('.').nth(5).unwrap().parse().unwrap()
}

/// A publisher's messages: from the first one on, each once, in order, at least as far as they
/// were acknowledged, at most as far as they were sent, each where its acknowledgement says.
fn complete(publisher: &Publisher, stored: &[(u64, Message)]) {
    let subject = publisher.subject();
    let own: Vec<_> = stored.iter().filter(|(_, m)| m.subject == subject.as_bytes()).collect();
    let numbers = own.iter().map(|(_, message)| number_of(message));
    assert!(numbers.eq(1..=own.len() as u64), "{subject}: out of order, twice or missing");
    assert!(own.len() as u64 <= publisher.sent, "{subject}: more than was sent");
    let places: Vec<u64> = own.iter().map(|(place, _)| *place).collect();
    let acknowledged = &publisher.acknowledged;
    assert!(places.starts_with(acknowledged), "{subject}: not where the acknowledgements say");
}

/// Works the queue off: what is left was never confirmed as done, and nothing is missing.
async fn rest_of_the_queue(
    client: &Client,
    publisher: &Publisher,
    worker: &Worker,
) -> Result<u64, Killed> {
    worker::make(client).await?;
    let mut left = BTreeSet::new();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let state = call(client, "STREAM.INFO.jobs", &json!({})).await?;
        if state["state"]["messages"] == 0 {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "the queue is never empty: {state}");
        for (number, job) in worker.fetch(client, 100).await? {
            let reply = String::from_utf8(job.reply.unwrap().to_vec()).unwrap();
            client.request(&reply, &[], b"+ACK", PATIENCE).await?;
            assert!(left.insert(number), "job {number} came after its confirmation");
        }
    }
    let acknowledged = publisher.acknowledged.len() as u64;
    let known = |number: &u64| {
        [&left, &worker.confirmed, &worker.unsure].iter().any(|s| s.contains(number))
    };
    let lost: Vec<u64> = (1..=acknowledged).filter(|number| !known(number)).collect();
    assert!(lost.is_empty(), "jobs are lost: {lost:?}");
    assert!(left.last().is_none_or(|last| *last <= publisher.sent), "more than was sent");
    Ok(left.len() as u64)
}
