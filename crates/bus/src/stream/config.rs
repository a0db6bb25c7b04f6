//! What a stream is asked to be: names, limits, retention.
//!
//! Plain values, also the form in which a stream's metadata is kept on disk. The JSON of
//! JetStream is somebody else's; nothing here reads a file or a clock.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// Longest name of a stream or of a consumer, in bytes.
pub const MAX_NAME: usize = 255;

/// Name of a stream: 1 to [`MAX_NAME`] bytes, printable, no white space, none of `.*>/\`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamName(Box<str>);

/// Why a text is no name of a stream or a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamNameError {
    /// Nothing there.
    #[error("a name is empty")]
    Empty,
    /// More than [`MAX_NAME`] bytes.
    #[error("a name has {0} bytes, more than {MAX_NAME}")]
    TooLong(usize),
    /// White space, a control character, or one of `.*>/\`.
    #[error("a name holds {0:?}")]
    Character(char),
}

/// Checks a name of a stream or a consumer.
///
/// # Errors
///
/// Says what is wrong with it.
pub fn check_name(name: &str) -> Result<(), StreamNameError> {
    if name.is_empty() {
        return Err(StreamNameError::Empty);
    }
    if name.len() > MAX_NAME {
        return Err(StreamNameError::TooLong(name.len()));
    }
    let refused =
        |c: &char| c.is_whitespace() || c.is_control() || matches!(c, '.' | '*' | '>' | '/' | '\\');
    name.chars().find(refused).map_or(Ok(()), |found| Err(StreamNameError::Character(found)))
}

impl StreamName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StreamName {
    type Err = StreamNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check_name(text)?;
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for StreamName {
    type Error = StreamNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<StreamName> for String {
    fn from(name: StreamName) -> Self {
        name.0.into()
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What makes a message go away, besides the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retention {
    /// Only the limits.
    #[default]
    Limits,
    /// The acknowledgement of its one consumer.
    WorkQueue,
    /// The acknowledgements of all consumers that were interested.
    Interest,
}

/// What a full stream does with one more message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Discard {
    /// The oldest messages go.
    #[default]
    Old,
    /// The new message is refused.
    New,
}

/// Where messages live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// In segment files; acknowledged after fdatasync.
    #[default]
    File,
    /// In memory; gone with the process, configuration included.
    Memory,
}

/// Everything that can be asked of a stream. `None` means no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamConfig {
    /// The name.
    pub name: StreamName,
    /// The subjects that it captures, NATS filters.
    pub subjects: Vec<String>,
    /// For the operator.
    #[serde(default)]
    pub description: Option<String>,
    /// What makes a message go away.
    #[serde(default)]
    pub retention: Retention,
    /// Most messages.
    #[serde(default)]
    pub max_msgs: Option<u64>,
    /// Most bytes, as [`StreamState::bytes`](super::StreamState::bytes) counts them.
    #[serde(default)]
    pub max_bytes: Option<u64>,
    /// Age at which a message goes.
    #[serde(default)]
    pub max_age: Option<Duration>,
    /// Most bytes of headers and body of one message.
    #[serde(default)]
    pub max_msg_size: Option<u32>,
    /// Most messages with one subject; the oldest of the subject goes, whatever `discard` says.
    #[serde(default)]
    pub max_msgs_per_subject: Option<u64>,
    /// With [`Discard::New`]: one more message of a subject that has its most is refused too.
    #[serde(default)]
    pub discard_new_per_subject: bool,
    /// Most consumers.
    #[serde(default)]
    pub max_consumers: Option<u32>,
    /// What a full stream does.
    #[serde(default)]
    pub discard: Discard,
    /// For how long a message id is remembered; zero: no dedupe.
    pub duplicate_window: Duration,
    /// Whether messages may be read without the API's JSON.
    #[serde(default)]
    pub allow_direct: bool,
    /// Whether a message may replace the earlier ones.
    #[serde(default)]
    pub allow_rollup_hdrs: bool,
    /// Whether deleting a message by request is refused.
    #[serde(default)]
    pub deny_delete: bool,
    /// Whether purging by request is refused.
    #[serde(default)]
    pub deny_purge: bool,
    /// Nothing may change any more: no message comes or goes.
    #[serde(default)]
    pub sealed: bool,
    /// Copies; only 1 is served.
    pub num_replicas: u32,
    /// Where messages live.
    #[serde(default)]
    pub storage: Storage,
}

impl StreamConfig {
    /// The window of nats-server: two minutes.
    pub const DEFAULT_DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

    /// A stream in files without limits.
    #[must_use]
    pub fn new(name: StreamName, subjects: Vec<String>) -> Self {
        Self {
            name,
            subjects,
            description: None,
            retention: Retention::Limits,
            max_msgs: None,
            max_bytes: None,
            max_age: None,
            max_msg_size: None,
            max_msgs_per_subject: None,
            max_consumers: None,
            discard: Discard::Old,
            discard_new_per_subject: false,
            duplicate_window: Self::DEFAULT_DUPLICATE_WINDOW,
            allow_direct: false,
            allow_rollup_hdrs: false,
            deny_delete: false,
            deny_purge: false,
            sealed: false,
            num_replicas: 1,
            storage: Storage::File,
        }
    }
}
