//! What subscribers say about deliveries, and what that settles.

use std::collections::HashSet;

use bytes::Bytes;
use model::Timestamp;

use super::{Ack, AckPolicy, Cursor, Point, Requester};

impl Cursor {
    /// An acknowledgement of the message at `seq`; where it asks for the next one, that request is
    /// the caller's to make. False, and nothing changes, where the message is yet to be delivered:
    /// a life of the server delivered it that did not come to save that. Then nobody may be told
    /// that it is done with, as it comes again.
    pub fn ack(&mut self, seq: u64, ack: &Ack, now: Timestamp) -> bool {
        if self.needs(seq) && !self.pending.contains(seq) {
            return false;
        }
        self.last_active = now;
        self.listened();
        // Whoever answers was there to get it.
        self.handed.clear();
        match ack {
            Ack::Done | Ack::DoneAndNext(_) => self.done(seq, now),
            Ack::Never => self.settle(seq, now),
            Ack::Again(None) => self.pending.again(seq),
            Ack::Again(Some(delay)) => self.pending.postpone(seq, now.plus(*delay)),
            Ack::Working => self.working(seq, now),
        }
        true
    }

    /// The subscriber has what was sent before flow control request `number`.
    pub fn confirm_flow(&mut self, number: u64) {
        self.listened();
        self.handed.clear();
        if let Some(flow) = &mut self.flow {
            flow.confirmed(number);
        }
    }

    /// Signs of life to these inboxes found nobody; whether that is about this consumer.
    pub fn unheard(&mut self, inboxes: &HashSet<Bytes>, now: Timestamp) -> bool {
        match (&mut self.flow, &self.config.push) {
            (Some(flow), Some(push)) if inboxes.contains(push.subject.as_bytes()) => {
                flow.unheard(now);
                true
            }
            (Some(_), _) => false,
            (None, _) => {
                let gone =
                    |to: &Requester| matches!(to, Requester::Inbox(to) if inboxes.contains(to));
                !self.queue.take(|waiting| gone(&waiting.to)).is_empty()
            }
        }
    }

    /// Whoever says anything about deliveries listens to them.
    fn listened(&mut self) {
        if let Some(flow) = &mut self.flow {
            flow.listened();
        }
    }

    /// A delivery found no subscriber: it did not take place. First deliveries return to where
    /// they came from with all that followed them and is not settled, so that nobody sees a gap.
    /// Pull requests of the same inbox end.
    pub fn undelivered(&mut self, seq: u64, cseq: u64, deliveries: u32, now: Timestamp) {
        if let Some(flow) = &mut self.flow {
            flow.unheard(now);
        }
        self.drop_requests_of(cseq);
        let unacknowledged = self.config.ack == AckPolicy::None;
        let open = self.pending.get(seq).is_some_and(|entry| entry.deliveries == deliveries);
        if !open && !unacknowledged {
            return;
        }
        let latest = cseq == self.delivered.cseq && self.backlog.is_empty();
        let in_order = latest || self.flow.is_some() || unacknowledged;
        if in_order && deliveries == 1 && cseq <= self.delivered.cseq && seq < self.next_seq {
            self.rewind(seq, cseq);
        } else {
            self.pending.undeliver(seq);
        }
        self.dirty = true;
    }

    fn rewind(&mut self, seq: u64, cseq: u64) {
        if self.config.ack != AckPolicy::None {
            self.passed.add(seq, self.next_seq - 1);
        }
        for later in self.pending.starting_at(seq) {
            self.pending.remove(later);
            self.passed.subtract(later, later);
        }
        let kept = self.handed.partition_point(|handed| *handed < seq);
        if kept < self.handed.len() {
            for back in self.handed.split_off(kept).into_iter().rev() {
                self.backlog.push_front(back);
            }
            self.next_seq = self.after_backlog;
        } else {
            self.next_seq = seq;
        }
        self.delivered = Point { cseq: cseq - 1, seq: seq - 1, at: self.delivered.at };
        if self.config.ack == AckPolicy::None {
            self.floor = self.delivered;
        }
        self.recount();
    }

    fn working(&mut self, seq: u64, now: Timestamp) {
        if let Some(entry) = self.pending.get(seq) {
            let until = now.plus(self.config.wait_after(entry.deliveries));
            self.pending.postpone(seq, until);
        }
    }

    fn done(&mut self, seq: u64, now: Timestamp) {
        match self.config.ack {
            AckPolicy::Explicit => self.settle(seq, now),
            AckPolicy::All => {
                for seq in self.pending.up_to(seq) {
                    self.settle(seq, now);
                }
            }
            AckPolicy::None => {}
        }
    }

    pub(super) fn settle(&mut self, seq: u64, now: Timestamp) {
        if self.pending.remove(seq).is_some() {
            self.settled.push(seq);
            self.floor.at = Some(now);
            self.raise_floor();
            self.dirty = true;
        }
    }

    /// Gives a delivery up that is neither settled nor will be repeated.
    pub(super) fn forget(&mut self, seq: u64) {
        if self.pending.remove(seq).is_some() {
            self.raise_floor();
            self.dirty = true;
        }
    }

    /// The floor stands right before the first unsettled delivery.
    pub(super) fn raise_floor(&mut self) {
        let (cseq, seq) = match self.pending.first() {
            Some((seq, entry)) => (entry.cseq - 1, seq - 1),
            None => (self.delivered.cseq, self.delivered.seq),
        };
        self.floor.cseq = self.floor.cseq.max(cseq);
        self.floor.seq = self.floor.seq.max(seq);
    }
}
