//! `morgana bus bench`: how many messages go through from here, so that a user can tell a slow
//! network from a slow bus. Its own client is part of what it measures.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bus::client::{Client, Subscriber};
use tokio::{task::JoinSet, time::timeout};

use super::show::bytes;
use crate::cli::render;

/// How long a subscriber waits for the next message before it counts the rest as lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// Measure how many messages go through.
#[derive(clap::Args)]
pub(super) struct Bench {
    /// Messages of each publisher
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    msgs: u64,
    /// Bytes of a message
    #[arg(long, value_name = "BYTES", default_value_t = 128)]
    size: usize,
    /// Publishers, each with a connection of its own
    #[arg(long, value_name = "N", default_value_t = 1)]
    pubs: u64,
    /// Subscribers, each with a connection of its own
    #[arg(long, value_name = "N", default_value_t = 1)]
    subs: u64,
    /// Where to; a fresh subject when not given
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
}

impl Bench {
    pub(super) async fn run(
        self,
        connect: impl AsyncFn() -> anyhow::Result<Client>,
    ) -> anyhow::Result<()> {
        if self.pubs == 0 && self.subs == 0 {
            bail!("nobody publishes and nobody subscribes: --pubs, --subs");
        }
        let first = connect().await?;
        let subject = self.subject.clone().unwrap_or_else(|| first.new_inbox());
        let mut receiving = JoinSet::new();
        for _ in 0..self.subs {
            let subscriber = connect().await?.subscribe(&subject, None).await?;
            receiving.spawn(receive(subscriber, self.msgs * self.pubs));
        }
        let mut clients = Vec::new();
        for _ in 0..self.pubs {
            clients.push(connect().await?);
        }
        let start = Instant::now();
        let mut sending = JoinSet::new();
        for client in clients {
            sending.spawn(send(client, subject.clone(), self.msgs, vec![b'x'; self.size]));
        }
        for sent in sending.join_all().await {
            sent?;
        }
        self.report("published", self.msgs * self.pubs, start.elapsed())?;
        self.report_received(&receiving.join_all().await, start)
    }

    fn report_received(&self, received: &[Received], start: Instant) -> anyhow::Result<()> {
        let all: u64 = received.iter().map(|one| one.messages).sum();
        if let Some(last) = received.iter().filter_map(|one| one.last).max() {
            self.report("received", all, last.duration_since(start))?;
        }
        match self.msgs * self.pubs * self.subs - all {
            0 => Ok(()),
            lost => bail!("{lost} messages were lost: a subscriber was too slow"),
        }
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "for people")]
    #[allow(clippy::cast_sign_loss, reason = "rates are not negative")]
    fn report(&self, what: &str, messages: u64, took: Duration) -> anyhow::Result<()> {
        let rate = messages as f64 / took.as_secs_f64().max(1e-9);
        render::line(&format!(
            "{what:<10} {messages} messages in {took:.2?}: {rate:.0} a second, {}/s",
            bytes((rate * self.size as f64) as u64)
        ))
    }
}

async fn send(client: Client, subject: String, count: u64, body: Vec<u8>) -> anyhow::Result<()> {
    for _ in 0..count {
        client.publish(&subject, None, &[], &body).await?;
    }
    client.flush().await.context("the bus did not confirm what was published")
}

/// What one subscriber got, and when the last of it came.
struct Received {
    messages: u64,
    last: Option<Instant>,
}

async fn receive(mut subscriber: Subscriber, expected: u64) -> Received {
    let mut received = Received { messages: 0, last: None };
    while received.messages < expected {
        match timeout(PATIENCE, subscriber.next()).await {
            Ok(Some(_)) => {
                received.messages += 1;
                received.last = Some(Instant::now());
            }
            Ok(None) | Err(_) => break,
        }
    }
    received
}
