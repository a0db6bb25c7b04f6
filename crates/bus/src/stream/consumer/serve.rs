//! Delivery: which message is next, who gets it, and who is told that there is none.

use model::Timestamp;

use super::{
    AckPolicy, Cursor, Head, Outbound, Outlet, PullRequest, Push, Requester, Source, Status,
    pending::InFlight, request::Waiting,
};

/// Deliveries of which a consumer remembers where they went.
const MAX_SENT: usize = 256;

/// What could be delivered now.
enum Next {
    Message {
        head: Head,
        again: bool,
    },
    /// The stream holds nothing more for this consumer.
    End,
    /// Too much is in flight.
    Held,
}

impl Cursor {
    /// A pull request arrived.
    pub fn request(
        &mut self,
        to: Requester,
        request: &PullRequest,
        out: &mut impl Outlet,
        now: Timestamp,
    ) {
        self.last_active = now;
        match self.refuse(request, out, now) {
            Some(status) => out.status(&to, status),
            None => self.queue.push(Waiting::new(to, request, now)),
        }
    }

    fn refuse(
        &mut self,
        request: &PullRequest,
        out: &mut impl Outlet,
        now: Timestamp,
    ) -> Option<Status> {
        if self.config.push.is_some() {
            return Some(Status::Conflict("Consumer is push based".to_owned()));
        }
        if let Some(why) = self.exceeds(request) {
            return Some(Status::Conflict(why));
        }
        if self.queue.len() >= self.config.max_waiting as usize {
            self.expire_requests(out, now);
            if self.queue.len() >= self.config.max_waiting as usize {
                return Some(Status::Conflict("Exceeded MaxWaiting".to_owned()));
            }
        }
        let impatient = request.no_wait && request.expires.is_none();
        (impatient && !self.has_more_than(self.queue.wanted(), out)).then_some(Status::NoMessages)
    }

    fn exceeds(&self, request: &PullRequest) -> Option<String> {
        let config = &self.config;
        if let Some(max) = config.max_batch.filter(|max| request.batch > *max) {
            return Some(format!("Exceeded MaxRequestBatch of {max}"));
        }
        if let Some(max) =
            config.max_expires.filter(|max| request.expires.is_some_and(|e| e > *max))
        {
            return Some(format!("Exceeded MaxRequestExpires of {max:?}"));
        }
        let max = config.max_bytes.filter(|max| request.max_bytes > *max)?;
        Some(format!("Exceeded MaxRequestMaxBytes of {max}"))
    }

    fn has_more_than(&mut self, wanted: u64, out: &mut impl Outlet) -> bool {
        self.num_pending(out.source()) + self.pending.waiting() as u64 > wanted
    }

    /// Delivers what may be delivered. `budget` is in bytes; true when it ended before the work.
    pub fn pump(&mut self, out: &mut impl Outlet, now: Timestamp, budget: &mut u64) -> bool {
        self.pending.fall_due(now);
        match self.config.push.clone() {
            Some(push) => self.pump_push(&push, out, now, budget),
            None => self.pump_pull(out, now, budget),
        }
    }

    fn pump_pull(&mut self, out: &mut impl Outlet, now: Timestamp, budget: &mut u64) -> bool {
        self.expire_requests(out, now);
        while self.queue.len() > 0 {
            if *budget == 0 {
                return true;
            }
            let (head, again) = match self.next(out) {
                Next::Message { head, again } => (head, again),
                Next::Held => break,
                Next::End => {
                    self.end_impatient(out);
                    break;
                }
            };
            let bytes = head.bytes;
            if !head.on_the_wire && self.queue.front().is_some_and(|first| first.to.is_remote()) {
                self.give_up(&head, again, out, now);
                continue;
            }
            if self.refuse_size(bytes, out) {
                continue;
            }
            let Some(to) = self.queue.serve(bytes, now) else { break };
            self.last_active = now;
            self.hand_out(&to, head, again, out, now);
            *budget = budget.saturating_sub(bytes);
        }
        self.beat_requests(out, now);
        false
    }

    fn pump_push(
        &mut self,
        push: &Push,
        out: &mut impl Outlet,
        now: Timestamp,
        budget: &mut u64,
    ) -> bool {
        let Some(to) = self.push_target() else { return false };
        while self.flow.as_mut().is_some_and(|flow| flow.open(push, now)) {
            if *budget == 0 {
                return true;
            }
            let Next::Message { head, again } = self.next(out) else { break };
            let bytes = head.bytes;
            if !head.on_the_wire {
                self.give_up(&head, again, out, now);
                continue;
            }
            self.last_active = now;
            self.hand_out(&to, head, again, out, now);
            *budget = budget.saturating_sub(bytes);
            let asked = self.flow.as_mut().and_then(|flow| flow.delivered(push, bytes, now));
            if let Some(number) = asked {
                out.flow_control(&to, number);
            }
        }
        self.beat_subscriber(&to, push, out, now);
        false
    }

    fn next(&mut self, out: &mut impl Outlet) -> Next {
        if let Some(head) = self.next_again(out) {
            return Next::Message { head, again: true };
        }
        if self.is_full() {
            return Next::Held;
        }
        while let Some(seq) = self.backlog.front().copied() {
            match out.source().head(seq) {
                Some(head) => return Next::Message { head, again: false },
                None => self.backlog.pop_front(),
            };
        }
        while let Some(head) = out.source().next(self.next_seq, &self.filter) {
            if !self.passed.contains(head.seq) {
                return Next::Message { head, again: false };
            }
            self.pass(head.seq, out);
        }
        self.skip_to_end(out.source().last());
        Next::End
    }

    /// Goes on behind a message that is done with.
    fn pass(&mut self, seq: u64, out: &mut impl Outlet) {
        self.num_pending(out.source());
        self.count.messages = self.count.messages.saturating_sub(1);
        self.next_seq = seq + 1;
        self.passed.subtract(0, seq);
        self.delivered.seq = seq;
        self.dirty = true;
        self.raise_floor();
    }

    /// The first message to deliver again; those that are gone or were delivered often enough
    /// are given up.
    fn next_again(&mut self, out: &mut impl Outlet) -> Option<Head> {
        while let Some(seq) = self.pending.first_again() {
            let deliveries = self.pending.get(seq).map_or(0, |entry| entry.deliveries);
            let spent = self.config.max_deliver.is_some_and(|max| deliveries >= max);
            match out.source().head(seq).filter(|_| !spent) {
                Some(head) => return Some(head),
                None => self.forget(seq),
            }
        }
        None
    }

    fn skip_to_end(&mut self, last: u64) {
        if last >= self.next_seq {
            self.next_seq = last + 1;
            self.delivered.seq = last;
            self.passed.clear();
            self.recount();
            self.raise_floor();
        }
    }

    fn hand_out(
        &mut self,
        to: &Requester,
        head: Head,
        again: bool,
        out: &mut impl Outlet,
        now: Timestamp,
    ) {
        self.delivered.cseq += 1;
        self.delivered.at = Some(now);
        self.dirty = true;
        let deliveries = if again {
            let config = &self.config;
            self.pending.deliver_again(head.seq, |n| config.wait_after(n), now)
        } else {
            self.first_delivery(head.seq, out, now);
            1
        };
        if self.flow.is_none() {
            self.note_sent(to);
        }
        let pending = self.num_pending(out.source());
        out.deliver(to, Outbound { head, deliveries, cseq: self.delivered.cseq, pending });
    }

    fn note_sent(&mut self, to: &Requester) {
        let Requester::Inbox(inbox) = to else { return };
        if self.sent.len() == MAX_SENT {
            self.sent.pop_front();
        }
        self.sent.push_back((self.delivered.cseq, inbox.clone()));
    }

    /// The inbox of a delivery has nobody: no request of it is served any more. Of deliveries long
    /// ago this is not known; the next one tells.
    pub(super) fn drop_requests_of(&mut self, cseq: u64) {
        let Some((_, inbox)) = self.sent.iter().rfind(|(sent, _)| *sent == cseq) else { return };
        let gone = Requester::Inbox(inbox.clone());
        self.sent.retain(|(_, inbox)| !gone.is(inbox));
        self.withdraw(&gone);
    }

    /// Settles a message that no client can get: otherwise it would be the next one for ever.
    fn give_up(&mut self, head: &Head, again: bool, out: &mut impl Outlet, now: Timestamp) {
        let consumer = self.config.name.as_str();
        tracing::warn!(
            consumer.name = consumer,
            message.seq = head.seq,
            "message given up: its subject has blanks"
        );
        if !again {
            self.first_delivery(head.seq, out, now);
        }
        self.settle(head.seq, now);
        self.dirty = true;
    }

    fn first_delivery(&mut self, seq: u64, out: &mut impl Outlet, now: Timestamp) {
        self.num_pending(out.source());
        self.delivered.seq = seq;
        if self.backlog.front() == Some(&seq) {
            self.backlog.pop_front();
            self.handed.push(seq);
            if self.backlog.is_empty() {
                self.delivered.seq = self.next_seq - 1;
            }
        } else {
            self.count.messages = self.count.messages.saturating_sub(1);
            self.next_seq = seq + 1;
            self.passed.subtract(0, seq);
        }
        if self.config.ack == AckPolicy::None {
            self.floor = self.delivered;
            self.settled.push(seq);
        } else {
            let due = now.plus(self.config.wait_after(1));
            self.pending.insert(seq, InFlight { cseq: self.delivered.cseq, deliveries: 1, due });
        }
    }

    /// Ends the first request where the next message does not fit into what it still takes.
    fn refuse_size(&mut self, bytes: u64, out: &mut impl Outlet) -> bool {
        let fits = |waiting: &Waiting| waiting.bytes_left.is_none_or(|left| bytes <= left);
        if self.queue.front().is_none_or(fits) {
            return false;
        }
        if let Some(waiting) = self.queue.pop() {
            let (messages, bytes) = left(&waiting);
            out.status(&waiting.to, Status::TooLarge { messages, bytes });
        }
        true
    }

    /// Requests that do not wait end with the stream: those that got something, and those that
    /// never wanted to wait at all.
    fn end_impatient(&mut self, out: &mut impl Outlet) {
        let over =
            |waiting: &Waiting| waiting.no_wait && (waiting.got > 0 || waiting.expires.is_none());
        for waiting in self.queue.take(over) {
            time_out(&waiting, out);
        }
    }

    fn expire_requests(&mut self, out: &mut impl Outlet, now: Timestamp) {
        let over = self.queue.take(|waiting| waiting.is_over(now));
        if !over.is_empty() {
            self.last_active = now;
        }
        for waiting in over {
            time_out(&waiting, out);
        }
    }

    /// Signs of life for those who wait. Who does not want to wait and got something ends at its
    /// first silence instead, as with nats-server: held up by what is in flight, it would else
    /// stay, and take what a later request asks for.
    fn beat_requests(&mut self, out: &mut impl Outlet, now: Timestamp) {
        let over = |waiting: &Waiting| waiting.no_wait && waiting.got > 0 && waiting.is_silent(now);
        for waiting in self.queue.take(over) {
            time_out(&waiting, out);
        }
        let beat = self.heartbeat();
        for to in self.queue.beats(now) {
            out.status(&to, beat.clone());
        }
    }

    fn beat_subscriber(
        &mut self,
        to: &Requester,
        push: &Push,
        out: &mut impl Outlet,
        now: Timestamp,
    ) {
        if self.flow.as_mut().is_some_and(|flow| flow.beat(push, now)) {
            out.status(to, self.heartbeat());
        }
    }

    fn heartbeat(&self) -> Status {
        let stalled = self.flow.as_ref().and_then(super::flow::Flow::stalled);
        Status::Heartbeat { cseq: self.delivered.cseq, seq: self.delivered.seq, stalled }
    }

    /// The consumer goes away: everybody who waits is told.
    pub fn dismiss(&mut self, out: &mut impl Outlet) {
        for waiting in self.queue.take(|_| true) {
            out.status(&waiting.to, Status::ConsumerDeleted);
        }
    }

    /// A call of the in-process API ended before its request did.
    pub fn withdraw(&mut self, to: &Requester) {
        self.queue.take(|waiting| waiting.to == *to);
    }
}

fn left(waiting: &Waiting) -> (u64, u64) {
    (u64::from(waiting.left), waiting.bytes_left.unwrap_or(0))
}

fn time_out(waiting: &Waiting, out: &mut impl Outlet) {
    let (messages, bytes) = left(waiting);
    out.status(&waiting.to, Status::Timeout { messages, bytes });
}
