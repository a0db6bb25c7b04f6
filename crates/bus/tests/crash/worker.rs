//! A consumer of the work queue: fetches, acknowledges, and remembers what it was told to be done.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use morgana_bus::client::{Client, Message};
use serde_json::json;
use tokio::task::JoinSet;

use super::{Dice, Killed, PATIENCE, Round, call, publisher::number_of};

/// Delivered again after this; longer than a fetch waits.
const ACK_WAIT: Duration = Duration::from_secs(1);
const FETCH_WAIT: Duration = Duration::from_millis(300);

#[derive(Default)]
pub(super) struct Worker {
    /// The broker said that their acknowledgement is taken.
    pub(super) confirmed: BTreeSet<u64>,
    /// Acknowledged by us; whether the broker knows is not known.
    pub(super) unsure: BTreeSet<u64>,
}

impl Worker {
    pub(super) async fn run(mut self, round: Arc<Round>, mut dice: Dice) -> Self {
        while let Some(client) = round.connect().await {
            let Err(Killed) = self.work(&client, &round, &mut dice).await;
        }
        self
    }

    async fn work(
        &mut self,
        client: &Client,
        round: &Round,
        dice: &mut Dice,
    ) -> Result<std::convert::Infallible, Killed> {
        make(client).await?;
        loop {
            let batch = 1 + dice.roll(16);
            let jobs = self.fetch(client, batch).await?;
            self.acknowledge(client, round, jobs, dice).await?;
        }
    }

    /// Up to `batch` jobs that are not done.
    pub(super) async fn fetch(
        &self,
        client: &Client,
        batch: u64,
    ) -> Result<Vec<(u64, Message)>, Killed> {
        let got = fetch(client, "jobs.worker", batch).await?;
        let mut jobs: Vec<_> = got.into_iter().map(|job| (number_of(&job), job)).collect();
        let again = jobs.iter().find(|(number, _)| self.confirmed.contains(number));
        assert!(again.is_none(), "done with, and here again: {again:?}");
        // One whose wait was over may come twice in one fetch.
        let mut seen = BTreeSet::new();
        jobs.retain(|(number, _)| seen.insert(*number));
        Ok(jobs)
    }

    /// Most with a confirmation, together or in turn; some without one; a few not at all.
    async fn acknowledge(
        &mut self,
        client: &Client,
        round: &Round,
        jobs: Vec<(u64, Message)>,
        dice: &mut Dice,
    ) -> Result<(), Killed> {
        let in_turn = dice.roll(2) == 0;
        let mut waiting = JoinSet::new();
        let mut died = false;
        for (number, job) in jobs {
            let chance = dice.roll(16);
            if chance == 0 {
                continue;
            }
            self.unsure.insert(number);
            let reply = String::from_utf8(job.reply.unwrap().to_vec()).unwrap();
            if chance == 1 {
                client.publish(&reply, None, &[], b"+ACK").await?;
                continue;
            }
            let client = client.clone();
            waiting.spawn(async move {
                let told = client.request(&reply, &[], b"+ACK", PATIENCE).await;
                told.map(|_| number).map_err(Killed::from)
            });
            if in_turn {
                died |= self.confirm(&mut waiting, round).await;
            }
        }
        died |= self.confirm(&mut waiting, round).await;
        if died { Err(Killed) } else { Ok(()) }
    }

    /// Takes all confirmations that come; true where one does not.
    async fn confirm(&mut self, waiting: &mut JoinSet<Result<u64, Killed>>, round: &Round) -> bool {
        let mut died = false;
        while let Some(told) = waiting.join_next().await {
            match told.unwrap() {
                Ok(number) => {
                    self.unsure.remove(&number);
                    self.confirmed.insert(number);
                    round.done();
                }
                Err(Killed) => died = true,
            }
        }
        died
    }
}

/// Makes the consumer, or finds it as it is.
pub(super) async fn make(client: &Client) -> Result<(), Killed> {
    let config = json!({
        "durable_name": "worker",
        "ack_policy": "explicit",
        "deliver_policy": "all",
        "ack_wait": u64::try_from(ACK_WAIT.as_nanos()).unwrap(),
        "max_ack_pending": 10_000,
    });
    let body = json!({ "stream_name": "jobs", "config": config });
    call(client, "CONSUMER.DURABLE.CREATE.jobs.worker", &body).await.map(drop)
}

/// Up to `batch` messages of a consumer, `stream.name`; waits only where there are none.
pub(super) async fn fetch(
    client: &Client,
    consumer: &str,
    batch: u64,
) -> Result<Vec<Message>, Killed> {
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(&inbox, None).await?;
    let expires = u64::try_from(FETCH_WAIT.as_nanos()).unwrap();
    let wish = json!({ "batch": batch, "expires": expires, "no_wait": true }).to_string();
    let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{consumer}");
    client.publish(&subject, Some(&inbox), &[], wish.as_bytes()).await?;
    let mut got = Vec::new();
    while (got.len() as u64) < batch {
        let answer = answers.next().await.ok_or(Killed)?;
        match answer.status() {
            None => got.push(answer),
            Some(404 | 408) => break,
            Some(status) => panic!("{consumer}: status {status}"),
        }
    }
    Ok(got)
}
