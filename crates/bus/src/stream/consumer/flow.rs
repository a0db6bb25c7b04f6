//! How far a push consumer may run ahead of its subscriber. Owns the window of flow control, the
//! sign of life and whether anybody listens; knows no messages.

use std::time::Duration;

use model::Timestamp;

use super::config::Push;

/// The window begins here and doubles with every answer.
const FIRST_WINDOW: u64 = 2 << 20;
/// The window never grows beyond this many bytes.
const MAX_WINDOW: u64 = 32 << 20;
/// How long nothing is pushed after a delivery that found no subscriber.
const RETRY: Duration = Duration::from_millis(200);

/// Bytes sent and not confirmed, signs of life, and the pause while nobody listens.
#[derive(Debug)]
pub(crate) struct Flow {
    window: u64,
    sent: u64,
    /// The unanswered request: its number and the bytes that its answer confirms.
    asked: Option<(u64, u64)>,
    requests: u64,
    beat_at: Option<Timestamp>,
    retry_at: Option<Timestamp>,
}

impl Flow {
    pub(crate) fn new(push: &Push, now: Timestamp) -> Self {
        let beat_at = push.heartbeat.map(|span| now.plus(span));
        Self { window: FIRST_WINDOW, sent: 0, asked: None, requests: 0, beat_at, retry_at: None }
    }

    /// Whether the last delivery found a subscriber.
    pub(crate) fn heard(&self) -> bool {
        self.retry_at.is_none()
    }

    /// Whether a delivery may go out now.
    pub(crate) fn open(&mut self, push: &Push, now: Timestamp) -> bool {
        self.retry_at.take_if(|at| *at <= now);
        self.heard() && (!push.flow_control || self.sent < self.window)
    }

    /// Number of the unanswered flow control request.
    pub(crate) fn stalled(&self) -> Option<u64> {
        self.asked.map(|(number, _)| number)
    }

    /// A message went out; says the number of the flow control request that follows it, if any.
    pub(crate) fn delivered(&mut self, push: &Push, bytes: u64, now: Timestamp) -> Option<u64> {
        self.beat_at = push.heartbeat.map(|span| now.plus(span));
        if !push.flow_control {
            return None;
        }
        self.sent += bytes;
        if self.asked.is_some() || self.sent <= self.window / 2 {
            return None;
        }
        self.requests += 1;
        self.asked = Some((self.requests, self.sent));
        Some(self.requests)
    }

    /// The subscriber has handled all before request `number`.
    pub(crate) fn confirmed(&mut self, number: u64) {
        if let Some((_, bytes)) = self.asked.take_if(|(asked, _)| *asked == number) {
            self.sent = self.sent.saturating_sub(bytes);
            self.window = (self.window * 2).min(MAX_WINDOW);
        }
    }

    /// A delivery found nobody: what was sent before is moot.
    pub(crate) fn unheard(&mut self, now: Timestamp) {
        (self.sent, self.asked) = (0, None);
        self.retry_at = Some(now.plus(RETRY));
    }

    /// Somebody listens: deliveries go on at once.
    pub(crate) fn listened(&mut self) {
        self.retry_at = None;
    }

    /// Whether a sign of life is due; the next one is set.
    pub(crate) fn beat(&mut self, push: &Push, now: Timestamp) -> bool {
        let due = self.beat_at.is_some_and(|at| at <= now);
        if due {
            self.beat_at = push.heartbeat.map(|span| now.plus(span));
        }
        due && self.heard()
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        [self.beat_at, self.retry_at].into_iter().flatten().min()
    }
}
