//! The state of one consumer: where it stands in the stream.

use std::collections::VecDeque;

use bytes::Bytes;
use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::log::{Filter, ranges::Ranges};
use super::{
    ConsumerConfig, Deliver, Requester, Source, flow::Flow, pending::Pending, request::Queue,
};

/// A position by both numberings: the consumer's deliveries and the stream's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Point {
    /// Number of a delivery at this consumer, from 1; zero is none yet.
    pub cseq: u64,
    /// Sequence in the stream.
    pub seq: u64,
    /// When it last moved.
    pub at: Option<Timestamp>,
}

/// What a consumer tells about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorState {
    /// The last delivery.
    pub delivered: Point,
    /// All up to here is settled.
    pub ack_floor: Point,
    /// Delivered and not settled.
    pub ack_pending: usize,
    /// Of these, delivered more than once.
    pub redelivered: usize,
    /// Pull requests that wait.
    pub waiting: usize,
    /// Matching messages yet to be delivered for the first time.
    pub pending: u64,
    /// Whether a push consumer's last delivery found a subscriber.
    pub bound: bool,
}

/// A consumer: pure state over a [`Source`].
#[derive(Debug)]
pub struct Cursor {
    pub(super) config: ConsumerConfig,
    pub(super) filter: Filter,
    pub(super) created: Timestamp,
    /// Every message before this one was delivered, skipped or is in the backlog.
    pub(super) next_seq: u64,
    /// Those from `next_seq` on that are done with all the same.
    pub(super) passed: Ranges,
    pub(super) delivered: Point,
    pub(super) floor: Point,
    pub(super) pending: Pending,
    pub(super) queue: Queue,
    /// Last messages per subject that are delivered before anything else.
    pub(super) backlog: VecDeque<u64>,
    /// Those of them that went out, ascending: they return where nobody got them.
    pub(super) handed: Vec<u64>,
    /// Where `next_seq` stands while there is a backlog.
    pub(super) after_backlog: u64,
    pub(super) count: Count,
    pub(super) last_active: Timestamp,
    pub(super) flow: Option<Flow>,
    pub(super) settled: Vec<u64>,
    /// Where the last deliveries went that were asked for, by their numbers at the consumer.
    pub(super) sent: VecDeque<(u64, Bytes)>,
    pub(super) dirty: bool,
}

/// How many matching messages lie between `next_seq` and `until`, both included; kept up as
/// the stream grows, so that telling it costs only what is new.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Count {
    pub(super) until: u64,
    pub(super) messages: u64,
}

impl Cursor {
    /// A new consumer, placed where its delivery policy says.
    pub fn new(config: ConsumerConfig, source: &mut impl Source, now: Timestamp) -> Self {
        let mut cursor = Self::blank(config, now);
        cursor.place(source);
        cursor
    }

    pub(super) fn blank(config: ConsumerConfig, now: Timestamp) -> Self {
        let flow = config.push.as_ref().map(|push| Flow::new(push, now));
        Self {
            filter: filter(&config),
            config,
            created: now,
            next_seq: 1,
            passed: Ranges::default(),
            delivered: Point::default(),
            floor: Point::default(),
            pending: Pending::default(),
            queue: Queue::default(),
            backlog: VecDeque::new(),
            handed: Vec::new(),
            after_backlog: 0,
            count: Count::default(),
            last_active: now,
            flow,
            settled: Vec::new(),
            sent: VecDeque::new(),
            dirty: true,
        }
    }

    fn place(&mut self, source: &mut impl Source) {
        let (first, end) = (source.first(), source.last() + 1);
        let filter = &self.filter;
        let start = match self.config.deliver {
            Deliver::All => first,
            Deliver::New => end,
            Deliver::Last => source.last_matching(filter).unwrap_or(end),
            Deliver::From(seq) => seq,
            Deliver::Since(at) => source.since(at),
            Deliver::LastPerSubject => {
                self.backlog = source.last_per_subject(filter).into();
                end
            }
        };
        self.next_seq = start.clamp(first.min(end), end);
        self.after_backlog = self.next_seq;
        let before = self.backlog.front().map_or(self.next_seq, |seq| *seq) - 1;
        (self.delivered.seq, self.floor.seq) = (before, before);
        self.recount();
    }

    /// The settings it runs by.
    #[must_use]
    pub fn config(&self) -> &ConsumerConfig {
        &self.config
    }

    /// Which messages it delivers.
    #[must_use]
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// When it was made.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// Takes over settings that may change while it runs; its position stays.
    pub fn update(&mut self, config: ConsumerConfig, now: Timestamp) {
        self.flow = config.push.as_ref().map(|push| Flow::new(push, now));
        self.filter = filter(&config);
        self.config = config;
        self.recount();
        self.dirty = true;
    }

    /// Its figures.
    pub fn state(&mut self, source: &mut impl Source) -> CursorState {
        CursorState {
            delivered: self.delivered,
            ack_floor: self.floor,
            ack_pending: self.pending.len(),
            redelivered: self.pending.redelivered(),
            waiting: self.queue.len(),
            pending: self.num_pending(source),
            bound: self.flow.as_ref().is_some_and(Flow::heard),
        }
    }

    /// Whether it has still to deliver `seq` or to hear that it is done with. Says nothing about
    /// the filter.
    #[must_use]
    pub fn needs(&self, seq: u64) -> bool {
        let to_come = seq >= self.next_seq && !self.passed.contains(seq);
        to_come || self.pending.contains(seq) || self.backlog.binary_search(&seq).is_ok()
    }

    /// Sequences settled since the last call: with work-queue retention they leave the stream.
    pub fn take_settled(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.settled)
    }

    /// Whether its state changed since it was last saved.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// The stream lost everything before `first`.
    pub fn trimmed(&mut self, first: u64) {
        while let Some((seq, _)) = self.pending.first().filter(|(seq, _)| *seq < first) {
            self.forget(seq);
        }
        self.backlog.retain(|seq| *seq >= first);
        self.passed.subtract(0, first.saturating_sub(1));
        self.handed.retain(|seq| *seq >= first);
        if first > self.next_seq {
            self.next_seq = first;
            self.delivered.seq = first - 1;
            self.dirty = true;
            self.recount();
            self.raise_floor();
        }
    }

    /// Messages were taken out of the stream's middle.
    pub fn recount(&mut self) {
        self.count = Count { until: self.next_seq.saturating_sub(1), messages: 0 };
    }

    pub(super) fn num_pending(&mut self, source: &mut impl Source) -> u64 {
        let last = source.last();
        if last > self.count.until {
            let from = self.next_seq.max(self.count.until + 1);
            self.count.messages += source.count(from, &self.filter);
            self.count.until = last;
        }
        self.count.messages + self.backlog.len() as u64
    }

    /// The moment at which [`Cursor::pump`] has something to do even if nothing happens.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let flow = self.flow.as_ref().and_then(Flow::deadline);
        [self.pending.deadline(), self.queue.deadline(), flow, self.inactive_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// When nobody will have used it for its inactivity threshold.
    #[must_use]
    pub fn inactive_at(&self) -> Option<Timestamp> {
        let threshold = self.config.inactive_threshold?;
        match &self.flow {
            Some(flow) => flow.silent_for(threshold),
            None => (self.queue.len() == 0).then(|| self.last_active.plus(threshold)),
        }
    }

    /// Where pushed messages go.
    pub(super) fn push_target(&self) -> Option<Requester> {
        let push = self.config.push.as_ref()?;
        Some(Requester::Inbox(Bytes::copy_from_slice(push.subject.as_bytes())))
    }

    pub(super) fn is_full(&self) -> bool {
        self.config.max_ack_pending.is_some_and(|max| self.pending.len() >= max as usize)
    }
}

fn filter(config: &ConsumerConfig) -> Filter {
    config.filter.as_ref().map_or_else(Filter::all, |filter| Filter::one(filter.as_bytes()))
}
