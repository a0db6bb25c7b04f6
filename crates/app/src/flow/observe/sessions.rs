//! The durable stream `SESSIONS`: what visitors did, from the decoys to the observer.
//!
//! The only place that knows how a fact stands in the stream: subject, body, id. A work queue:
//! what is acknowledged goes. It is full before the stream refuses anything, so that facts of a
//! session are never stored out of their order; who publishes waits for room instead.

use std::time::Duration;

use bus::stream::{
    Consumer, ConsumerConfig, Delivered, Discard, Publish, PublishError, Retention, StreamConfig,
    Streams, StreamsError,
};
use model::{SessionEvent, Subject};
use store::StreamPosition;

/// The stream's name.
pub const SESSIONS: &str = "SESSIONS";
/// Its one consumer.
const OBSERVER: &str = "observer";
/// Its subjects.
const SUBJECTS: &str = "ingest.session.*";
/// Largest fact in the stream, in bytes: a few texts of [`model::MAX_TEXT_BYTES`], escaped once
/// more as JSON.
const MAX_FACT_BYTES: u32 = 256 << 10;
/// What the stream may hold above the limit that is waited for: the batch that filled it.
const SLACK_BYTES: u64 = 64 << 20;
/// Facts that are read and not acknowledged at most.
const IN_FLIGHT: u32 = 4096;
/// Facts that are not acknowledged in this time are read again; those that are understood by
/// then change nothing.
const ACK_WAIT: Duration = Duration::from_secs(60);

/// The stream with its one consumer. Clones share both.
#[derive(Clone)]
pub struct Sessions {
    streams: Streams,
    consumer: Consumer,
    incarnation: String,
    limit_bytes: u64,
}

/// A fact in the stream.
#[derive(Debug)]
pub struct StoredFact {
    /// Its place.
    pub seq: u64,
    /// The fact; `None` where its bytes are none.
    pub fact: Option<SessionEvent>,
}

impl Sessions {
    /// Makes the stream where it is missing, and its consumer anew: what an earlier run had read
    /// and not acknowledged is read again at once, not when its time is over.
    ///
    /// # Errors
    /// Where the streams are closed or their files fail.
    pub async fn open(streams: Streams, limit_bytes: u64) -> Result<Self, StreamsError> {
        let stream = streams.ensure(stream_config(limit_bytes)).await?;
        match streams.remove_consumer(SESSIONS, OBSERVER).await {
            Ok(()) | Err(StreamsError::NoConsumer(_)) => {}
            Err(error) => return Err(error),
        }
        let consumer = ConsumerConfig {
            ack_wait: ACK_WAIT,
            max_ack_pending: Some(IN_FLIGHT),
            ..ConsumerConfig::durable(OBSERVER)
        };
        let consumer = streams.consumer(SESSIONS, consumer).await?;
        let incarnation = format!("{:?}", stream.created);
        Ok(Self { streams, consumer, incarnation, limit_bytes })
    }

    /// The place of a message, as the store keeps it.
    pub fn position(&self, seq: u64) -> StreamPosition {
        StreamPosition { stream: SESSIONS.into(), incarnation: self.incarnation.clone(), seq }
    }

    /// Names this life of the stream.
    pub fn incarnation(&self) -> &str {
        &self.incarnation
    }

    /// Whether more may be put in.
    ///
    /// # Errors
    /// Where the streams are closed.
    pub async fn has_room(&self) -> Result<bool, StreamsError> {
        Ok(self.streams.info(SESSIONS).await?.state.bytes < self.limit_bytes)
    }

    /// How many facts wait.
    ///
    /// # Errors
    /// Where the streams are closed.
    pub async fn waiting(&self) -> Result<u64, StreamsError> {
        Ok(self.streams.info(SESSIONS).await?.state.messages)
    }

    /// Puts facts in, in their order; returns once all are on disk. A fact that is there already
    /// is not put in twice, so that the whole may be tried again.
    ///
    /// # Errors
    /// With the first that is not there.
    pub async fn put(&self, facts: &[SessionEvent]) -> Result<(), PublishError> {
        let messages = facts.iter().map(message).collect();
        let answers = self.streams.publish_many(messages).await;
        let answers = answers.map_err(|_| PublishError::Closed)?;
        answers.into_iter().try_for_each(|answer| answer.map(drop))
    }

    /// Up to `most` facts, oldest first; waits up to `wait` for the first. Cancel-safe: what is
    /// not taken is read again.
    ///
    /// # Errors
    /// Where the streams are closed.
    pub async fn fetch(&self, most: u32, wait: Duration) -> Result<Vec<StoredFact>, StreamsError> {
        let fetched = self.consumer.fetch(most, wait).await?;
        Ok(fetched.iter().map(stored).collect())
    }

    /// These are understood, and go.
    ///
    /// # Errors
    /// Where the streams are closed.
    pub async fn acknowledge(&self, seqs: Vec<u64>) -> Result<(), StreamsError> {
        self.consumer.ack(seqs).await
    }

    /// Whether this message is in the stream.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub async fn holds(&self, seq: u64) -> Result<bool, StreamsError> {
        Ok(self.streams.get(SESSIONS, seq).await?.is_some())
    }
}

fn stream_config(limit_bytes: u64) -> StreamConfig {
    let name = SESSIONS.parse().expect("it is a name");
    StreamConfig {
        description: Some("what visitors did, until it is understood".into()),
        retention: Retention::WorkQueue,
        discard: Discard::New,
        max_bytes: Some(limit_bytes + SLACK_BYTES),
        max_msg_size: Some(MAX_FACT_BYTES),
        ..StreamConfig::new(name, vec![SUBJECTS.into()])
    }
}

fn message(fact: &SessionEvent) -> Publish {
    let body = serde_json::to_vec(fact).expect("a fact serialises: its keys are strings");
    Publish {
        subject: Subject::ingest_session(fact.decky_id).as_str().to_owned().into(),
        body: body.into(),
        msg_id: Some(format!("{}:{}", fact.session_id, fact.index).into()),
        ..Publish::default()
    }
}

fn stored(message: &Delivered) -> StoredFact {
    let fact = serde_json::from_slice(&message.body);
    if let Err(error) = &fact {
        tracing::error!(
            seq = message.seq,
            error = error as &dyn std::error::Error,
            "a message of SESSIONS is no fact and is left out"
        );
    }
    StoredFact { seq: message.seq, fact: fact.ok() }
}
