//! A publisher that sends numbered messages, remembers which were acknowledged, and after a
//! reconnect sends the others again.

use std::sync::Arc;

use morgana_bus::{
    client::{Client, Message},
    proto::HeaderBuilder,
};
use serde_json::Value;

use super::{Dice, Killed, Round};

pub(super) struct Publisher {
    pub(super) stream: &'static str,
    name: &'static str,
    /// Messages that may be under way.
    window: u64,
    /// The largest number that was ever sent.
    pub(super) sent: u64,
    /// For every acknowledged message, from number 1: where it is in its stream.
    pub(super) acknowledged: Vec<u64>,
}

impl Publisher {
    pub(super) fn new(stream: &'static str, name: &'static str, window: u64) -> Self {
        Self { stream, name, window, sent: 0, acknowledged: Vec::new() }
    }

    pub(super) fn subject(&self) -> String {
        format!("{}.{}", self.stream, self.name)
    }

    pub(super) async fn run(mut self, round: Arc<Round>) -> Self {
        while let Some(client) = round.connect().await {
            let Err(Killed) = self.publish(&client, &round).await;
        }
        self
    }

    async fn publish(
        &mut self,
        client: &Client,
        round: &Round,
    ) -> Result<std::convert::Infallible, Killed> {
        let inbox = client.new_inbox();
        let mut answers = client.subscribe(&format!("{inbox}.*"), None).await?;
        // The last acknowledged one too: its second acknowledgement must say the same.
        let mut next = (self.acknowledged.len() as u64).max(1);
        let mut heard = next - 1;
        loop {
            while next <= heard + self.window {
                self.send(client, &inbox, next).await?;
                next += 1;
            }
            let answer = answers.next().await.ok_or(Killed)?;
            heard += 1;
            self.hear(&answer, heard);
            round.stored();
        }
    }

    async fn send(&mut self, client: &Client, inbox: &str, number: u64) -> Result<(), Killed> {
        self.sent = self.sent.max(number);
        let (subject, reply) = (self.subject(), format!("{inbox}.{number}"));
        let id = format!("{subject}.{number}");
        let headers = HeaderBuilder::new().add(b"Nats-Msg-Id", id.as_bytes()).finish();
        Ok(client.publish(&subject, Some(&reply), &headers, &body(&subject, number)).await?)
    }

    /// Acknowledgements come in the order of the messages, and say the same every time.
    fn hear(&mut self, answer: &Message, number: u64) {
        let subject = self.subject();
        let (of, status) = (answer.subject_text(), answer.status());
        assert!(status.is_none(), "{subject} {number}: status {status:?}");
        assert!(of.ends_with(&format!(".{number}")), "{subject} {number}: an answer at {of}");
        let ack: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(ack["stream"], self.stream, "{subject} {number}: {ack}");
        let seq = ack["seq"].as_u64().filter(|seq| *seq > 0).unwrap();
        match self.acknowledged.get(number as usize - 1) {
            Some(before) => {
                let again = (*before, &Value::Bool(true));
                assert_eq!((seq, &ack["duplicate"]), again, "{subject} {number}: {ack}");
            }
            None => self.acknowledged.push(seq),
        }
    }
}

/// What the message of this number says: mostly little, sometimes more than a page.
pub(super) fn body(subject: &str, number: u64) -> Vec<u8> {
    let mut dice = Dice(number);
    let size = if dice.roll(32) == 0 { dice.roll(12_000) } else { dice.roll(200) };
    let mut body = format!("{subject} {number} ").into_bytes();
    body.extend((0..size).map(|_| dice.roll(256) as u8));
    body
}

/// The number of a message that comes back, its content and id checked.
pub(super) fn number_of(message: &Message) -> u64 {
    let subject = message.subject_text();
    let said = message.header("Nats-Msg-Id").expect("an id");
    let number = said.strip_prefix(&*subject).and_then(|rest| rest.strip_prefix('.'));
    let number = number.and_then(|number| number.parse().ok());
    let number = number.unwrap_or_else(|| panic!("nobody sent {said} to {subject}"));
    assert!(message.body == body(&subject, number), "{said} has another content");
    number
}
