//! What programs in this process hand to the streams and get back.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use model::Timestamp;

use super::{
    AppendError, LogError, RegistryError, StreamConfig, StreamState, UnixNanos,
    consumer::{ConsumerConfig, CursorState},
};

/// Sizes of the whole engine.
#[derive(Debug, Clone)]
pub struct StreamsConfig {
    /// Calls of the in-process API that may wait at once; more of them wait for a place.
    pub max_calls: usize,
    /// Streams at most.
    pub max_streams: usize,
    /// Consumers of one stream at most, where its configuration allows more.
    pub max_consumers: usize,
    /// Sizes of the streams' files.
    pub log: super::LogOptions,
    /// What all streams together may take.
    pub account: AccountLimits,
    /// JetStream's API is served on `$JS.<domain>.API.>` too.
    pub domain: Option<String>,
}

/// What all streams together may take; `None` is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountLimits {
    /// Bytes in memory.
    pub max_memory: Option<u64>,
    /// Bytes in files.
    pub max_storage: Option<u64>,
    /// Streams.
    pub max_streams: Option<usize>,
    /// Consumers.
    pub max_consumers: Option<usize>,
    /// What a consumer may have in flight.
    pub max_ack_pending: Option<u32>,
    /// `max_bytes` of a stream in memory.
    pub memory_max_stream_bytes: Option<u64>,
    /// `max_bytes` of a stream in files.
    pub storage_max_stream_bytes: Option<u64>,
    /// A stream must have `max_bytes`.
    pub max_bytes_required: bool,
}

/// Why a stream would take more than all together may; texts as nats-server words them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the texts say it
pub enum OverAccount {
    #[error("account requires a stream config to have max bytes set")]
    MaxBytesRequired,
    #[error("stream max bytes exceeds account limit max stream bytes")]
    StreamBytes,
    #[error("insufficient memory resources available")]
    Memory,
    #[error("insufficient storage resources available")]
    Storage,
}

impl Default for StreamsConfig {
    fn default() -> Self {
        Self {
            max_calls: 4096,
            max_streams: 1024,
            max_consumers: 10_000,
            log: super::LogOptions::default(),
            account: AccountLimits::default(),
            domain: None,
        }
    }
}

/// Why the streams could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be had.
    #[error("cannot open the streams")]
    Registry(#[from] RegistryError),
    /// The thread that owns them did not start.
    #[error("cannot start the streams' thread")]
    Thread(#[source] std::io::Error),
}

/// Why the streams did not do what they were asked.
#[derive(Debug, thiserror::Error)]
pub enum StreamsError {
    /// They are closed.
    #[error("the streams are closed")]
    Closed,
    /// No stream has this name.
    #[error("no stream `{0}`")]
    NoStream(String),
    /// The stream has no consumer of this name.
    #[error("no consumer `{0}`")]
    NoConsumer(String),
    /// A stream of this name exists, and its configuration is another one.
    #[error("stream `{0}` exists with another configuration")]
    Different(String),
    /// Another stream captures one of the subjects.
    #[error("the subjects overlap with those of stream `{0}`")]
    Overlap(String),
    /// The configuration of a stream cannot be accepted.
    #[error("{0}")]
    StreamConfig(String),
    /// The configuration of a consumer cannot be accepted.
    #[error("{0}")]
    ConsumerConfig(ConsumerFault),
    /// A consumer's setting cannot change.
    #[error("{0} can not be updated")]
    FixedConsumer(&'static str),
    /// As many streams or consumers as allowed.
    #[error("maximum number of {0} reached")]
    TooMany(&'static str),
    /// The consumer takes no such request now: which of its limits says so.
    #[error("the consumer refuses the request: {0}")]
    FetchRefused(String),
    /// The stream's configuration forbids it.
    #[error("{0} not permitted")]
    Forbidden(&'static str),
    /// All streams together would take more than they may.
    #[error("{0}")]
    OverAccount(OverAccount),
    /// The stream is sealed.
    #[error("invalid operation on sealed stream")]
    Sealed,
    /// Its files failed.
    #[error("the stream's files failed")]
    Log(#[from] LogError),
}

/// What is wrong with a consumer's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the texts say it, word for word as nats-server does
pub enum ConsumerFault {
    #[error("consumer deliver subject has wildcards")]
    DeliverToWildcards,
    #[error("consumer deliver subject forms a cycle")]
    DeliverCycle,
    #[error("consumer in push mode can not set max waiting")]
    PushMaxWaiting,
    #[error("consumer idle heartbeat needs to be >= 100ms")]
    SmallHeartbeat,
    #[error("consumer idle heartbeat requires a push based consumer")]
    HeartbeatNeedsPush,
    #[error("consumer flow control requires a push based consumer")]
    FlowControlNeedsPush,
    #[error("consumer with flow control also needs heartbeats")]
    FlowControlNeedsHeartbeat,
    #[error("consumer in pull mode can not have rate limit set")]
    PullRateLimit,
    #[error("consumer in pull mode requires ack policy")]
    PullRequiresAck,
    #[error("consumer filter subject is not a valid subset of the interest subjects")]
    FilterNotSubset,
    #[error("max deliver is required to be > length of backoff values")]
    MaxDeliverBackoff,
    #[error("multiple non-filtered consumers not allowed on workqueue stream")]
    WorkQueueNotUnique,
    #[error("filtered consumer not unique on workqueue stream")]
    WorkQueueFilterNotUnique,
    #[error("consumer must be deliver all on workqueue stream")]
    WorkQueueDeliverAll,
    #[error("workqueue stream requires explicit ack")]
    WorkQueueExplicitAck,
    #[error("consumer name is invalid")]
    Name,
    #[error(
        "consumer delivery policy is deliver last per subject, but optional filter subject is not set"
    )]
    LastPerSubjectNeedsFilter,
    #[error("consumer already exists and is still active")]
    StillActive,
}

/// One message to publish in process.
#[derive(Debug, Clone, Default)]
pub struct Publish {
    /// Its subject; a stream must capture it.
    pub subject: Bytes,
    /// Its header block, empty without headers.
    pub headers: Bytes,
    /// Its body.
    pub body: Bytes,
    /// Its id: a second message with the same id within the window is a duplicate.
    pub msg_id: Option<Bytes>,
}

/// A message is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PubAck {
    /// The stream that has it.
    pub stream: Arc<str>,
    /// Its number there.
    pub seq: u64,
    /// The stream had it already.
    pub duplicate: bool,
}

/// Why a message was not stored.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The streams are closed.
    #[error("the streams are closed")]
    Closed,
    /// No stream captures the subject.
    #[error("no stream captures the subject")]
    NoStream,
    /// No client of NATS could get a message with this subject.
    #[error("the subject is empty or has blanks in it")]
    Subject,
    /// The stream refused it.
    #[error("the stream refused the message")]
    Refused(#[from] AppendError),
    /// What its headers ask for is not so, or not allowed.
    #[error("{0}")]
    Headers(String),
    /// It was not written: whether it is on disk is not known.
    #[error("the message could not be written")]
    NotWritten,
}

/// What a stream tells about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its configuration.
    pub config: StreamConfig,
    /// When it was made.
    pub created: UnixNanos,
    /// Its figures.
    pub state: StreamState,
    /// How many consumers it has.
    pub consumers: usize,
}

/// What a consumer tells about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerInfo {
    /// Its stream.
    pub stream: String,
    /// Its configuration, the name included.
    pub config: ConsumerConfig,
    /// When it was made.
    pub created: Timestamp,
    /// Its figures.
    pub state: CursorState,
}

/// A message that a consumer handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Its number in the stream: what to acknowledge.
    pub seq: u64,
    /// Its subject.
    pub subject: Bytes,
    /// Its header block, empty without headers.
    pub headers: Bytes,
    /// Its body.
    pub body: Bytes,
    /// Which delivery this is, from 1.
    pub deliveries: u32,
    /// When it was stored.
    pub at: UnixNanos,
    /// Messages that wait behind it.
    pub pending: u64,
}

pub(crate) const NO_WAIT: Duration = Duration::ZERO;
