//! How far a push consumer may run ahead of its subscriber. Owns the window of flow control, the
//! sign of life and whether anybody listens; knows no messages.

use std::time::Duration;

use model::Timestamp;

use super::config::Push;

/// The window begins here and doubles with every answer.
const FIRST_WINDOW: u64 = 2 << 20;
/// The window never grows beyond this many bytes.
const MAX_WINDOW: u64 = 32 << 20;
/// How long nothing is pushed after a delivery that found no subscriber. It doubles while that
/// goes on: clients make a consumer first and subscribe right after.
const FIRST_RETRY: Duration = Duration::from_millis(5);
const LAST_RETRY: Duration = Duration::from_millis(200);
/// Without such a delivery for this long, the pause is short again.
const FORGIVE: Duration = Duration::from_secs(1);
/// Something sent after a delivery that found no subscriber counts as heard after this long.
const NEWS: Duration = Duration::from_millis(200);
/// The next sign of life after one that found no subscriber comes within this time.
const PROBE: Duration = Duration::from_secs(1);

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
    /// The pause now, and when it began.
    retry: (Duration, Timestamp),
    silence: Option<Silence>,
}

/// Nobody listened when something was sent last.
#[derive(Debug, Clone, Copy)]
struct Silence {
    since: Timestamp,
    /// When something was sent of which nothing was heard yet.
    tried: Option<Timestamp>,
}

impl Flow {
    pub(crate) fn new(push: &Push, now: Timestamp) -> Self {
        let beat_at = push.heartbeat.map(|span| now.plus(span));
        Self {
            window: FIRST_WINDOW,
            sent: 0,
            asked: None,
            requests: 0,
            beat_at,
            retry_at: None,
            retry: (Duration::ZERO, now),
            silence: None,
        }
    }

    /// Whether what was sent last found a subscriber.
    pub(crate) fn heard(&self) -> bool {
        self.silence.is_none()
    }

    /// When nobody will have listened for so long, unless what was sent last is heard.
    pub(crate) fn silent_for(&self, span: Duration) -> Option<Timestamp> {
        let silence = self.silence?;
        let told = silence.tried.map(|tried| tried.plus(NEWS));
        [Some(silence.since.plus(span)), told].into_iter().flatten().max()
    }

    /// Whether a delivery may go out now.
    pub(crate) fn open(&mut self, push: &Push, now: Timestamp) -> bool {
        self.retry_at.take_if(|at| *at <= now);
        let heard = |silence: &mut Silence| silence.tried.is_some_and(|at| at.plus(NEWS) <= now);
        self.silence.take_if(heard);
        self.retry_at.is_none() && (!push.flow_control || self.sent < self.window)
    }

    /// Number of the unanswered flow control request.
    pub(crate) fn stalled(&self) -> Option<u64> {
        self.asked.map(|(number, _)| number)
    }

    /// A message went out; says the number of the flow control request that follows it, if any.
    pub(crate) fn delivered(&mut self, push: &Push, bytes: u64, now: Timestamp) -> Option<u64> {
        self.beat_at = push.heartbeat.map(|span| now.plus(span));
        self.tried(now);
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
        self.beat_at = self.beat_at.map(|at| at.min(now.plus(PROBE)));
        let since = self.silence.map_or(now, |silence| silence.since);
        self.silence = Some(Silence { since, tried: None });
        self.pause(now);
    }

    fn pause(&mut self, now: Timestamp) {
        if self.retry_at.is_some() {
            return;
        }
        let (pause, began) = self.retry;
        let again = now.since(began) < FORGIVE + pause;
        let pause = if again { (pause * 2).clamp(FIRST_RETRY, LAST_RETRY) } else { FIRST_RETRY };
        self.retry = (pause, now);
        self.retry_at = Some(now.plus(pause));
    }

    fn tried(&mut self, now: Timestamp) {
        if let Some(silence) = &mut self.silence {
            silence.tried.get_or_insert(now);
        }
    }

    /// Somebody listens: deliveries go on at once.
    pub(crate) fn listened(&mut self) {
        (self.retry_at, self.silence) = (None, None);
    }

    /// Whether a sign of life is due; the next one is set.
    pub(crate) fn beat(&mut self, push: &Push, now: Timestamp) -> bool {
        let due = self.beat_at.is_some_and(|at| at <= now);
        if due {
            self.beat_at = push.heartbeat.map(|span| now.plus(span));
        }
        let beat = due && self.retry_at.is_none();
        if beat {
            self.tried(now);
        }
        beat
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        [self.beat_at, self.retry_at].into_iter().flatten().min()
    }
}
