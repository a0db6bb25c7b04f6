//! One stream's place in the ring, as a state machine: journal rows, ticks and room in the
//! socket in; frames and needs out.
//!
//! States: opening → (snapshot | rows of the journal) → live → … → ended. Whoever drives it
//! calls [`Client::poll`] and does what the returned [`Need`] says. The client remembers the
//! journal position that its peer has (`seen`) and never sends what does not follow it.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use model::{ENVELOPE_VERSION, JournalEntry};
use serde_json::value::RawValue;

use super::{
    frame::{DegradedData, FaultData, Frame, Outbox, Position, ResetData},
    ring::Ring,
    scope::{Scope, visible},
};
use crate::auth::Role;

/// Time between two keep-alive comments.
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(15);
/// Farthest that a resume reads back in the journal before it gets a snapshot instead.
pub(crate) const MAX_CATCH_UP: u64 = 10_000;

/// What must happen before the next poll brings more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Read the state with its position and hand it to [`Client::snapshot`].
    Snapshot,
    /// Read the journal after this position and hand it to [`Client::rows`].
    Rows { after: u64 },
    /// Flush the outbox.
    Room,
    /// Wait for the ring, or until then.
    Wait { until: Duration },
    /// Nothing: the stream is over once the outbox is flushed.
    End,
}

/// A state and its position, of one read transaction.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) head: u64,
    /// Holds `v` and `seq` among its fields.
    pub(crate) data: Box<RawValue>,
}

/// A part of the journal.
#[derive(Debug)]
pub(crate) struct Page {
    /// In order, directly after the wanted position.
    pub(crate) entries: Vec<JournalEntry>,
    /// The oldest position that the journal still has, or will have.
    pub(crate) oldest: u64,
    /// The newest.
    pub(crate) head: u64,
}

/// Why a stream ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamFault {
    pub(crate) code: &'static str,
    pub(crate) message: &'static str,
    /// Whether connecting again may help.
    pub(crate) retryable: bool,
}

/// What could not be read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unread {
    Journal,
    State,
}

impl StreamFault {
    /// The store did not answer.
    pub(crate) fn unread(what: Unread) -> Self {
        let message = match what {
            Unread::Journal => "the journal cannot be read now; connect again",
            Unread::State => "the state cannot be read now; connect again",
        };
        Self { code: "STORE_UNAVAILABLE", message, retryable: true }
    }
}

/// Whether the bus tells what is not journalled; `Err` says why not.
pub(crate) type Health = Result<(), &'static str>;

#[derive(Debug)]
enum Phase {
    Opening {
        resume: Option<Result<Position, super::frame::ForeignPosition>>,
    },
    Beginning {
        reset: Option<&'static str>,
    },
    AwaitingSnapshot,
    /// `checked` once the journal has confirmed that it holds what follows.
    CatchingUp {
        backlog: VecDeque<JournalEntry>,
        checked: bool,
    },
    Live,
    Ended,
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Client {
    scope: Scope,
    role: Role,
    epoch: Arc<str>,
    phase: Phase,
    /// Index of the next event of the ring.
    cursor: u64,
    /// The journal position that the peer has.
    seen: u64,
    keepalive_due: Duration,
    retry_millis: u64,
    told: Health,
}

impl Client {
    /// A stream that begins, or goes on after `last_event_id`. `jitter` spreads reconnects.
    pub(crate) fn new(
        scope: Scope,
        role: Role,
        epoch: Arc<str>,
        last_event_id: Option<&str>,
        jitter: u16,
    ) -> Self {
        let resume = last_event_id.map(str::parse);
        Self {
            scope,
            role,
            epoch,
            phase: Phase::Opening { resume },
            cursor: 0,
            seen: 0,
            keepalive_due: Duration::ZERO,
            retry_millis: 1000 + u64::from(jitter) % 4000,
            told: Ok(()),
        }
    }

    /// Writes what can be written at `now`.
    pub(crate) fn poll(
        &mut self,
        now: Duration,
        ring: &Ring,
        health: Health,
        out: &mut Outbox,
    ) -> Need {
        loop {
            if !out.has_room() {
                return Need::Room;
            }
            match &mut self.phase {
                Phase::Opening { resume } => {
                    let resume = resume.take();
                    self.open(now, ring, resume, out);
                }
                Phase::Beginning { reset } => {
                    if let Some(reason) = reset.take() {
                        out.reset(&ResetData::new(ring.head(), reason));
                    }
                    self.cursor = ring.end(); // subscribed: before the state is read
                    self.phase = Phase::AwaitingSnapshot;
                }
                Phase::AwaitingSnapshot => return self.idle(now, ring, out, Need::Snapshot),
                Phase::CatchingUp { backlog, checked } => {
                    if let Some(entry) = backlog.pop_front() {
                        self.deliver_row(&entry, out);
                    } else if let Some(index) = ring.index_after(self.seen).filter(|_| *checked) {
                        self.cursor = index;
                        self.phase = Phase::Live;
                    } else {
                        let rows = Need::Rows { after: self.seen };
                        return self.idle(now, ring, out, rows);
                    }
                }
                Phase::Live => {
                    if let Some(need) = self.follow(now, ring, health, out) {
                        return need;
                    }
                }
                Phase::Ended => return Need::End,
            }
        }
    }

    /// The state that [`Need::Snapshot`] asked for.
    pub(crate) fn snapshot(&mut self, ring: &Ring, snapshot: &Snapshot, out: &mut Outbox) {
        if !matches!(self.phase, Phase::AwaitingSnapshot) {
            return;
        }
        out.raw("snapshot", Some((&self.epoch, snapshot.head)), &snapshot.data);
        self.seen = snapshot.head;
        if ring.covers(snapshot.head) {
            self.cursor = self.cursor.max(ring.start());
        }
        self.phase = Phase::Live;
    }

    /// The part of the journal that [`Need::Rows`] asked for.
    pub(crate) fn rows(&mut self, page: Page) {
        let Phase::CatchingUp { backlog, checked } = &mut self.phase else { return };
        let expired = self.seen + 1 < page.oldest || page.head < self.seen;
        if expired || page.head - self.seen > MAX_CATCH_UP {
            self.phase = Phase::Beginning { reset: Some("position_expired") };
        } else {
            *checked = true;
            backlog.extend(page.entries);
        }
    }

    /// Ends the stream with a reason.
    pub(crate) fn fail(&mut self, ring: &Ring, fault: StreamFault, out: &mut Outbox) {
        self.end_with("stream-error", ring, fault, out);
    }

    /// Ends the stream because its owner may no longer see it.
    pub(crate) fn revoke(&mut self, ring: &Ring, out: &mut Outbox) {
        let fault = StreamFault {
            code: "AUTH_REVOKED",
            message: "the login behind this stream has ended",
            retryable: false,
        };
        self.end_with("auth-revoked", ring, fault, out);
    }

    fn end_with(&mut self, name: &str, ring: &Ring, fault: StreamFault, out: &mut Outbox) {
        if matches!(self.phase, Phase::Ended) {
            return;
        }
        let data = FaultData {
            v: ENVELOPE_VERSION,
            seq: ring.head(),
            code: fault.code,
            message: fault.message,
            retryable: fault.retryable,
        };
        out.named(name, None, &data);
        self.phase = Phase::Ended;
    }

    fn open(
        &mut self,
        now: Duration,
        ring: &Ring,
        resume: Option<Result<Position, super::frame::ForeignPosition>>,
        out: &mut Outbox,
    ) {
        out.keepalive(&self.epoch, ring.head());
        out.retry(self.retry_millis);
        self.keepalive_due = now + KEEPALIVE;
        self.phase = match resume {
            None => Phase::Beginning { reset: None },
            Some(Ok(position)) if position.epoch == *self.epoch => {
                self.seen = position.seq;
                match ring.index_after(position.seq).filter(|_| position.seq <= ring.head()) {
                    Some(index) => {
                        self.cursor = index;
                        Phase::Live
                    }
                    None => Phase::CatchingUp { backlog: VecDeque::new(), checked: false },
                }
            }
            Some(_) => Phase::Beginning { reset: Some("epoch_unknown") },
        };
    }

    /// Sends from the ring until something is needed; `None` where the phase has changed.
    fn follow(
        &mut self,
        now: Duration,
        ring: &Ring,
        health: Health,
        out: &mut Outbox,
    ) -> Option<Need> {
        if self.cursor < ring.start() {
            self.phase = Phase::Beginning { reset: Some("lagged") };
            return None;
        }
        while let Some(frame) = ring.get(self.cursor) {
            if !out.has_room() {
                return Some(Need::Room);
            }
            if !self.advance(frame, out) {
                self.phase = Phase::Beginning { reset: Some("lagged") };
                return None;
            }
        }
        if self.told != health {
            self.tell_health(ring, health, out);
        }
        let until = self.keepalive_due;
        Some(self.idle(now, ring, out, Need::Wait { until }))
    }

    /// Moves past one event of the ring; false where something before it is missing.
    fn advance(&mut self, frame: &Frame, out: &mut Outbox) -> bool {
        self.cursor += 1;
        if let Some(seq) = frame.seq {
            if seq <= self.seen {
                return true;
            }
            if seq != self.seen + 1 {
                return false;
            }
            self.seen = seq;
        }
        if self.scope.matches(&frame.subject) && visible(self.role, &frame.subject) {
            out.frame(frame);
        }
        true
    }

    fn deliver_row(&mut self, entry: &JournalEntry, out: &mut Outbox) {
        let Some(seq) = entry.seq.filter(|seq| *seq > self.seen) else { return };
        if seq != self.seen + 1 {
            self.phase = Phase::Beginning { reset: Some("position_expired") };
            return;
        }
        self.seen = seq;
        if self.scope.matches(&entry.topic) && visible(self.role, &entry.topic) {
            out.frame(&Frame::new(&self.epoch, entry));
        }
    }

    fn tell_health(&mut self, ring: &Ring, health: Health, out: &mut Outbox) {
        self.told = health;
        let data = DegradedData {
            v: ENVELOPE_VERSION,
            seq: ring.head(),
            degraded: health.is_err(),
            reason: health.err().unwrap_or("the bus is back"),
        };
        out.named("degraded", None, &data);
    }

    /// Returns `need` after a keep-alive where one is due.
    fn idle(&mut self, now: Duration, ring: &Ring, out: &mut Outbox, need: Need) -> Need {
        if now >= self.keepalive_due {
            out.keepalive(&self.epoch, ring.head());
            self.keepalive_due = now + KEEPALIVE;
        }
        match need {
            Need::Wait { .. } => Need::Wait { until: self.keepalive_due },
            other => other,
        }
    }
}
