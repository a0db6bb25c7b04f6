//! Pull requests: what one asks for, and the queue of those that wait.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use model::Timestamp;
use serde::Deserialize;

/// What a pull request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Messages at most.
    pub batch: u32,
    /// How long it waits for them; `None` waits until they come.
    pub expires: Option<Duration>,
    /// Ends with what is there. Together with `expires`: waits for the first message only.
    pub no_wait: bool,
    /// Bytes at most; zero is no limit.
    pub max_bytes: u64,
    /// A sign of life after this much silence.
    pub heartbeat: Option<Duration>,
}

impl Default for PullRequest {
    fn default() -> Self {
        Self { batch: 1, expires: None, no_wait: false, max_bytes: 0, heartbeat: None }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wire {
    batch: i64,
    expires: i64,
    no_wait: bool,
    max_bytes: i64,
    idle_heartbeat: i64,
}

impl PullRequest {
    /// Reads a request's body: empty, a number, or a JSON object.
    ///
    /// # Errors
    /// What is wrong with it, as nats-server says it behind `400 Bad Request - `.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let text = body.trim_ascii();
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text[0] == b'{' {
            let wire = serde_json::from_slice(text).map_err(|error| error.to_string())?;
            return Self::from_wire(&wire);
        }
        let batch = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
        match batch {
            Some(batch) => Self::from_wire(&Wire { batch, ..Wire::default() }),
            None => Err("invalid batch size".to_owned()),
        }
    }

    fn from_wire(wire: &Wire) -> Result<Self, String> {
        let span =
            |nanos: i64| u64::try_from(nanos).ok().filter(|n| *n > 0).map(Duration::from_nanos);
        let request = Self {
            batch: u32::try_from(wire.batch.max(1)).unwrap_or(u32::MAX),
            expires: span(wire.expires),
            no_wait: wire.no_wait,
            max_bytes: u64::try_from(wire.max_bytes).unwrap_or(0),
            heartbeat: span(wire.idle_heartbeat),
        };
        match (request.heartbeat, request.expires) {
            (Some(beat), Some(expires)) if beat * 2 > expires => {
                Err("heartbeat value too large".to_owned())
            }
            (Some(_), None) => Err("heartbeat value too large".to_owned()),
            _ => Ok(request),
        }
    }
}

/// Who asked, and therefore where the messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requester {
    /// A client of the broker, by its inbox.
    Inbox(Bytes),
    /// A call of the in-process API, by its number.
    Call(u64),
}

impl Requester {
    /// Whether what it gets goes over the wire.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        matches!(self, Self::Inbox(_))
    }

    pub(super) fn is(&self, other: &Bytes) -> bool {
        matches!(self, Self::Inbox(inbox) if inbox == other)
    }
}

/// A request on its way to be served.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) to: Requester,
    pub(crate) left: u32,
    pub(crate) bytes_left: Option<u64>,
    pub(crate) got: u32,
    pub(crate) no_wait: bool,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) beat_at: Option<Timestamp>,
}

impl Waiting {
    pub(crate) fn new(to: Requester, request: &PullRequest, now: Timestamp) -> Self {
        Self {
            to,
            left: request.batch,
            bytes_left: (request.max_bytes > 0).then_some(request.max_bytes),
            got: 0,
            no_wait: request.no_wait,
            expires: request.expires.map(|span| now.plus(span)),
            heartbeat: request.heartbeat,
            beat_at: request.heartbeat.map(|span| now.plus(span)),
        }
    }

    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    /// Its sign of life is due.
    pub(crate) fn is_silent(&self, now: Timestamp) -> bool {
        self.beat_at.is_some_and(|at| at <= now)
    }

    fn deadline(&self) -> Option<Timestamp> {
        [self.expires, self.beat_at].into_iter().flatten().min()
    }
}

/// The requests of one consumer, served in turn: one message each, then the next.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: VecDeque<Waiting>,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn push(&mut self, waiting: Waiting) {
        self.waiting.push_back(waiting);
    }

    pub(crate) fn front(&self) -> Option<&Waiting> {
        self.waiting.front()
    }

    pub(crate) fn pop(&mut self) -> Option<Waiting> {
        self.waiting.pop_front()
    }

    /// The first request is given a message of this size; it returns to the end of the queue
    /// unless that was its last.
    pub(crate) fn serve(&mut self, bytes: u64, now: Timestamp) -> Option<Requester> {
        let mut waiting = self.waiting.pop_front()?;
        waiting.left -= 1;
        waiting.got += 1;
        waiting.bytes_left = waiting.bytes_left.map(|left| left.saturating_sub(bytes));
        waiting.beat_at = waiting.heartbeat.map(|span| now.plus(span));
        let to = waiting.to.clone();
        if waiting.left > 0 {
            self.waiting.push_back(waiting);
        }
        Some(to)
    }

    /// Takes out all requests that `done` says are.
    pub(crate) fn take(&mut self, mut done: impl FnMut(&Waiting) -> bool) -> Vec<Waiting> {
        if !self.waiting.iter().any(&mut done) {
            return Vec::new();
        }
        let (gone, kept) = self.waiting.drain(..).partition(|waiting| done(waiting));
        self.waiting = kept;
        Vec::from_iter::<VecDeque<Waiting>>(gone)
    }

    /// Requests whose sign of life is due; their next one is set.
    pub(crate) fn beats(&mut self, now: Timestamp) -> impl Iterator<Item = Requester> + '_ {
        self.waiting.iter_mut().filter_map(move |waiting| {
            waiting.beat_at.filter(|at| *at <= now)?;
            waiting.beat_at = waiting.heartbeat.map(|span| now.plus(span));
            Some(waiting.to.clone())
        })
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.waiting.iter().filter_map(Waiting::deadline).min()
    }

    /// Messages that all waiting requests together still take.
    pub(crate) fn wanted(&self) -> u64 {
        self.waiting.iter().map(|waiting| u64::from(waiting.left)).sum()
    }
}
