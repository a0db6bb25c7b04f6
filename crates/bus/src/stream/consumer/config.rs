//! What a consumer is asked to be. Owns the settings and their defaults; knows no JSON of
//! JetStream and no stream.

use std::time::Duration;

use model::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a new consumer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deliver {
    /// With the first message of the stream.
    All,
    /// With the last message that the filter matches.
    Last,
    /// With what is published from now on.
    New,
    /// At this sequence, or the first one after it.
    From(u64),
    /// With the first message stored at this moment or later.
    Since(Timestamp),
    /// With the last message of every subject that the filter matches, then what is new.
    LastPerSubject,
}

/// What it takes for a delivered message to be done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AckPolicy {
    /// Nothing: delivered is done.
    None,
    /// An acknowledgement settles all up to its message.
    All,
    /// Every message is acknowledged by itself.
    Explicit,
}

/// How a push consumer delivers without being asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// Where deliveries go.
    pub subject: String,
    /// Subscribers must be members of this queue group.
    pub group: Option<String>,
    /// Deliveries stop until the subscriber says that it has what it was sent.
    pub flow_control: bool,
    /// A sign of life goes out after this much silence.
    pub heartbeat: Option<Duration>,
    /// Bits per second at most; zero is no limit.
    pub rate_limit: u64,
}

/// The settings of a consumer. `Default` is JetStream's: everything, explicit acknowledgement
/// within 30 s, at most 1000 messages in flight, 512 waiting requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerConfig {
    /// Its name; empty asks for one to be made up.
    pub name: String,
    /// Survives its users; its state is on disk.
    pub durable: bool,
    /// For people.
    pub description: Option<String>,
    /// Where it begins.
    pub deliver: Deliver,
    /// What settles a message.
    pub ack: AckPolicy,
    /// A delivery that is not settled within this time is repeated.
    pub ack_wait: Duration,
    /// Deliveries of one message at most; `None` is no limit.
    pub max_deliver: Option<u32>,
    /// Instead of `ack_wait`: the wait after the first, second, … delivery; the last one stays.
    pub backoff: Vec<Duration>,
    /// Only messages whose subject this filter matches.
    pub filter: Option<String>,
    /// Deliver at the pace of storage rather than at once (accepted and echoed; delivered at once).
    pub replay_original: bool,
    /// Percentage of acknowledgements to sample (echoed only).
    pub sample: Option<String>,
    /// Messages delivered and not settled at most; `None` is no limit.
    pub max_ack_pending: Option<u32>,
    /// Pull requests that may wait at once.
    pub max_waiting: u32,
    /// Messages one pull request may ask for; `None` is no limit.
    pub max_batch: Option<u32>,
    /// How long one pull request may wait; `None` is no limit.
    pub max_expires: Option<Duration>,
    /// Bytes one pull request may ask for; `None` is no limit.
    pub max_bytes: Option<u64>,
    /// Deliver headers and the size of the body only.
    pub headers_only: bool,
    /// Removed after this much time without a request or a subscriber.
    pub inactive_threshold: Option<Duration>,
    /// Copies asked for (echoed only; there is one).
    pub replicas: u32,
    /// Keep its state in memory only.
    pub memory: bool,
    /// Set for push consumers; `None` pulls.
    pub push: Option<Push>,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            durable: false,
            description: None,
            deliver: Deliver::All,
            ack: AckPolicy::Explicit,
            ack_wait: Duration::from_secs(30),
            max_deliver: None,
            backoff: Vec::new(),
            filter: None,
            replay_original: false,
            sample: None,
            max_ack_pending: Some(1000),
            max_waiting: 512,
            max_batch: None,
            max_expires: None,
            max_bytes: None,
            headers_only: false,
            inactive_threshold: None,
            replicas: 0,
            memory: false,
            push: None,
        }
    }
}

impl ConsumerConfig {
    /// A durable pull consumer of this name with the defaults.
    #[must_use]
    pub fn durable(name: &str) -> Self {
        Self { name: name.to_owned(), durable: true, ..Self::default() }
    }

    /// How long the `deliveries`-th delivery may stay unsettled.
    #[must_use]
    pub fn wait_after(&self, deliveries: u32) -> Duration {
        let step = deliveries.saturating_sub(1) as usize;
        match self.backoff.get(step).or(self.backoff.last()) {
            Some(wait) => *wait,
            None => self.ack_wait,
        }
    }
}
