//! The way to the stream: the streams of this process, or a NATS server.

use bus::stream::Streams;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Message, Unreachable, embedded::EmbeddedLink, nats::NatsLink};

/// The id by which the stream knows a repetition.
pub(super) const MESSAGE_ID: &str = "Nats-Msg-Id";
/// Only this stream may take the message.
pub(super) const EXPECTED_STREAM: &str = "Nats-Expected-Stream";
/// Only right behind the message with this id.
pub(super) const EXPECTED_LAST: &str = "Nats-Expected-Last-Msg-Id";
/// What the headers of a message take at most besides the event's own, in bytes.
const HEADER_BYTES: usize = 512;
/// Messages of the stream that are asked for at once: over a long line, one after the other would
/// take longer than a delivery may; more would hold that many bodies.
const LOOKED_UP_AT_ONCE: usize = 32;

/// A connection to the stream, which is there.
pub(super) enum Link {
    Embedded(EmbeddedLink),
    Nats(Box<NatsLink>),
}

/// Where events go, where that is not in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The server's URL, without what lets us in.
    pub(super) server: String,
    pub(super) stream: String,
}

/// A message of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// Its header block as published, empty without headers.
    pub(super) headers: Bytes,
    pub(super) body: Bytes,
}

/// What the stream says to one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It has it.
    Stored { stream: String, seq: u64, duplicate: bool },
    /// It never takes it.
    TooLarge(String),
    /// It is not behind the message that it was to be behind.
    OtherLast,
    /// It does not take it now.
    Failed(String),
    /// It is gone, or another one has its subjects.
    Elsewhere(String),
}

impl Link {
    /// Finds the stream, or makes it.
    pub(super) async fn open(server: Option<&str>, streams: &Streams) -> Result<Self, Unreachable> {
        match server {
            Some(url) => Ok(Self::Nats(Box::new(NatsLink::open(url).await?))),
            None => Ok(Self::Embedded(EmbeddedLink::open(streams.clone()).await?)),
        }
    }

    /// Whether the connection was lost.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Embedded(_) => false,
            Self::Nats(link) => link.is_gone(),
        }
    }

    /// Where it goes to, where that is not in this process.
    pub(super) fn place(&self) -> Option<&Place> {
        match self {
            Self::Embedded(_) => None,
            Self::Nats(link) => Some(link.place()),
        }
    }

    /// Why the stream did not take this message when the connection was made.
    pub(super) fn too_large(&self, message: &Message) -> Option<String> {
        let limit = match self {
            Self::Embedded(link) => link.limit(),
            Self::Nats(link) => link.limit(),
        };
        let size = message.size() + HEADER_BYTES;
        (size > limit).then(|| format!("it takes {size} bytes, and {limit} are allowed"))
    }

    /// The newest message of a subject.
    pub(super) async fn last(&self, subject: &str) -> Result<Option<Kept>, Unreachable> {
        match self {
            Self::Embedded(link) => link.last(subject).await,
            Self::Nats(link) => link.last(subject).await,
        }
    }

    /// What `read` makes of the newest `most` messages, newest first.
    pub(super) async fn tail<T>(
        &self,
        most: u64,
        read: impl Fn(&Kept) -> Option<T>,
    ) -> Result<Vec<T>, Unreachable> {
        let (first, last) = match self {
            Self::Embedded(link) => link.range().await?,
            Self::Nats(link) => link.range().await?,
        };
        // Messages are counted from 1; in an empty stream first and last may be 0.
        let oldest = first.max((last + 1).saturating_sub(most)).max(1);
        stream::iter((oldest..=last).rev())
            .map(|seq| self.get(seq))
            .buffered(LOOKED_UP_AT_ONCE)
            .try_filter_map(async |kept| Ok(kept.and_then(|kept| read(&kept))))
            .try_collect()
            .await
    }

    async fn get(&self, seq: u64) -> Result<Option<Kept>, Unreachable> {
        match self {
            Self::Embedded(link) => link.get(seq).await,
            Self::Nats(link) => link.get(seq).await,
        }
    }

    /// Publishes in this order and waits for every answer; chained: each only right behind the
    /// one before it.
    pub(super) async fn publish(
        &mut self,
        messages: &[Message],
        chained: bool,
    ) -> Result<Vec<Answer>, Unreachable> {
        match self {
            Self::Embedded(link) => link.publish(messages, chained).await,
            Self::Nats(link) => link.publish(messages, chained).await,
        }
    }

    /// Ends it; what was sent has arrived or is lost.
    pub(super) async fn close(self) {
        match self {
            Self::Embedded(_) => {}
            Self::Nats(link) => link.close().await,
        }
    }
}

/// The headers of each message.
pub(super) fn headers<'a>(
    stream: &'a str,
    messages: &'a [Message],
    chained: bool,
) -> impl Iterator<Item = Vec<(&'a str, &'a str)>> {
    messages.iter().enumerate().map(move |(place, message)| {
        let before = place.checked_sub(1).filter(|_| chained);
        let mut lines = vec![(MESSAGE_ID, message.id.as_str()), (EXPECTED_STREAM, stream)];
        lines.extend(message.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        lines.extend(before.map(|place| (EXPECTED_LAST, messages[place].id.as_str())));
        lines
    })
}
