//! The thread's cycle: drain, apply, commit, release, deliver, sleep.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use model::Timestamp;
use tokio::sync::oneshot;

use super::{
    super::{
        StreamConfig, UnixNanos,
        catalogue::{Catalogue, Interest, Stream, nanos},
        consumer::PullRequest,
        types::{PubAck, Publish, PublishError, StreamInfo, StreamsError},
    },
    mailbox::{Call, Mail, Mailbox},
    port::{Fetches, fits_the_wire},
    publish::{Arrival, Refusal, store, write_ack, write_refusal},
};
use crate::broker::{Batch, LocalClient, Message, OutgoingBatch};

/// Subscriptions of the engine besides the streams' own, which begin at 1 << 32.
pub(super) const API: u64 = 1;
const ACKS: u64 = 2;
const FLOW: u64 = 3;
/// The API by its domain.
const DOMAIN_API: u64 = 4;

/// How long a consumer's changed state may stay unsaved.
const SAVE_WITHIN: Duration = Duration::from_secs(1);
/// The pause before another look at a stream whose messages over their age did not all go.
const EXPIRE_AGAIN: Duration = Duration::from_millis(20);

/// A consumer by its places: of the stream and within the stream.
pub(super) type Place = (usize, usize);

/// Instead of a consumer's place: the stream itself, for its messages over their age.
const STREAM_ITSELF: usize = usize::MAX;
/// Instead of a consumer's place: the stream's files, which failed or had no room.
const FILES: usize = usize::MAX - 1;

/// A pull request that is served once this cycle's messages are visible.
pub(super) struct Pulled {
    pub(super) place: Place,
    pub(super) inbox: Bytes,
    pub(super) request: Result<PullRequest, String>,
}

/// An acknowledgement whose sender waits until it is saved.
pub(super) struct Confirm {
    pub(super) place: Place,
    pub(super) inbox: Bytes,
}

/// Everything that the thread owns.
pub(crate) struct Engine {
    pub(super) catalogue: Catalogue,
    mailbox: Arc<Mailbox>,
    pub(super) client: Option<LocalClient>,
    pub(super) out: OutgoingBatch,
    pub(super) fetches: Fetches,
    pub(super) scratch: Vec<u8>,
    /// Streams with something to commit or to release.
    dirty: Vec<usize>,
    pub(super) ready: Vec<Place>,
    pub(super) pulled: Vec<Pulled>,
    pub(super) confirm: Vec<Confirm>,
    pub(super) wakes: BTreeSet<(Timestamp, Place)>,
    save_at: Option<Timestamp>,
    pub(super) now: Timestamp,
    pub(super) api_calls: u64,
    pub(super) api_errors: u64,
}

impl Engine {
    pub(crate) fn new(catalogue: Catalogue, mailbox: Arc<Mailbox>) -> Self {
        let now = catalogue.now();
        let mut engine = Self {
            catalogue,
            mailbox,
            client: None,
            out: OutgoingBatch::default(),
            fetches: Fetches::new(),
            scratch: Vec::new(),
            dirty: Vec::new(),
            ready: Vec::new(),
            pulled: Vec::new(),
            confirm: Vec::new(),
            wakes: BTreeSet::new(),
            save_at: None,
            now,
            api_calls: 0,
            api_errors: 0,
        };
        for slot in 0..engine.catalogue.slots() {
            // What opening it took out of it is written in the first cycle.
            engine.touch(slot);
            engine.rouse(slot);
        }
        engine
    }

    pub(super) fn run(mut self) {
        loop {
            let mail = self.mailbox.take(self.patience());
            let closed = mail.closed;
            self.cycle(mail);
            if closed {
                break;
            }
        }
        if let Some(client) = self.client.take() {
            client.close();
        }
        self.catalogue.close();
    }

    /// How long the thread may sleep; forever where nothing is planned.
    fn patience(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let planned = self.wakes.first().map(|(at, _)| *at);
        let next = [planned, self.save_at].into_iter().flatten().min()?;
        Some(next.since(self.catalogue.now()))
    }

    fn cycle(&mut self, mail: Mail) {
        self.now = self.catalogue.now();
        self.catalogue.watch_account();
        for call in mail.calls {
            self.call(call);
        }
        self.unheard(mail.unheard);
        for batch in mail.batches {
            self.absorb(&batch);
        }
        self.settle();
        self.wake();
        self.serve();
        // What was consumed in this cycle leaves the streams before anybody is told more.
        self.settle();
        self.save_now_and_then();
        self.release();
    }

    fn call(&mut self, call: Call) {
        match call {
            Call::Publish(message, done) => self.publish(&message, done),
            Call::Run(job) => job(self),
            Call::Attach(client) => self.attach(client),
        }
    }

    fn attach(&mut self, client: LocalClient) {
        if let Some(old) = self.client.take() {
            old.close();
        }
        for (sid, filter) in [(API, "$JS.API.>"), (ACKS, "$JS.ACK.>"), (FLOW, "$JS.FC.>")] {
            client.subscribe(sid, filter.as_bytes(), None);
        }
        if let Some(domain) = self.catalogue.domain() {
            client.subscribe(DOMAIN_API, format!("$JS.{domain}.API.>").as_bytes(), None);
        }
        self.client = Some(client);
        self.catalogue.renew_interest();
        self.follow_interest();
    }

    /// Tells the broker which subjects the streams capture now.
    pub(super) fn follow_interest(&mut self) {
        let changes = self.catalogue.take_interest();
        let Some(client) = &self.client else { return };
        for change in changes {
            match change {
                Interest::Begin { sid, filter } => client.subscribe(sid, &filter, None),
                Interest::End { sid } => client.unsubscribe(sid, None),
            }
        }
    }

    fn absorb(&mut self, batch: &Batch) {
        let stamp = nanos(self.now);
        for message in batch.iter() {
            match message.subscription {
                API => self.api(&message),
                DOMAIN_API => self.domain_api(&message),
                ACKS => self.acknowledged(&message),
                FLOW => self.flow_confirmed(message.subject),
                sid => self.arrived(sid, &message, stamp),
            }
        }
    }

    /// A message for a stream. What it wants to hear waits in the stream for the commit.
    fn arrived(&mut self, sid: u64, message: &Message<'_>, now: UnixNanos) {
        let Some((slot, stream)) = self.catalogue.by_sid(sid) else { return };
        let arrival =
            Arrival { subject: message.subject, headers: message.headers, body: message.body };
        let stored = store(stream, &arrival, None, now);
        if let Some(reply) = message.reply {
            match stored {
                Ok(appended) => write_ack(&mut self.scratch, &stream.ack_prefix, appended),
                Err(refusal) => write_refusal(&mut self.scratch, stream.name(), &refusal.answer()),
            }
            stream.acks.push(reply, None, None, b"", &self.scratch, false);
        }
        if !std::mem::replace(&mut stream.touched, true) {
            self.dirty.push(slot);
        }
    }

    /// A message of the in-process API.
    pub(super) fn publish(
        &mut self,
        message: &Publish,
        done: oneshot::Sender<Result<PubAck, PublishError>>,
    ) {
        if !fits_the_wire(&message.subject) {
            // Where the caller has gone nobody is left to tell.
            let _ = done.send(Err(PublishError::Subject));
            return;
        }
        let slot = self.catalogue.capturing(&message.subject);
        let Some((slot, stream)) = slot.and_then(|slot| Some((slot, self.catalogue.at(slot)?)))
        else {
            // Where the caller has gone nobody is left to tell.
            let _ = done.send(Err(PublishError::NoStream));
            return;
        };
        let arrival =
            Arrival { subject: &message.subject, headers: &message.headers, body: &message.body };
        match store(stream, &arrival, message.msg_id.as_deref(), nanos(self.now)) {
            Ok(appended) => {
                let ack = PubAck {
                    stream: stream.shared_name(),
                    seq: appended.seq,
                    duplicate: appended.duplicate,
                };
                stream.waiters.push((done, ack));
            }
            Err(refusal) => {
                let _ = done.send(Err(refused(refusal)));
            }
        }
        self.touch(slot);
    }

    /// Notes that a stream has something to commit or to release.
    pub(super) fn touch(&mut self, slot: usize) {
        if let Some(stream) = self.catalogue.at(slot)
            && !std::mem::replace(&mut stream.touched, true)
        {
            self.dirty.push(slot);
        }
    }

    /// Commits what was applied, releases its acknowledgements, and makes it visible.
    pub(super) fn settle(&mut self) {
        for slot in std::mem::take(&mut self.dirty) {
            if let Some(stream) = self.catalogue.at(slot) {
                stream.touched = false;
                let acks = settle_stream(stream);
                self.catalogue.note_unwritten(slot);
                self.send(acks);
                self.rouse(slot);
            }
        }
        self.watch_files();
        self.confirm_saved();
    }

    /// Streams whose files failed or had no room are looked at again, later and later.
    fn watch_files(&mut self) {
        for slot in self.catalogue.take_unwritten() {
            let Some(due) = self.catalogue.at(slot).and_then(|stream| stream.mend_at(self.now))
            else {
                continue;
            };
            self.wakes.insert((due, (slot, FILES)));
        }
    }

    fn mend(&mut self, slot: usize) {
        if self.catalogue.mend(slot) {
            self.touch(slot);
        }
    }

    fn send(&mut self, batch: OutgoingBatch) {
        let Some(client) = self.client.as_ref().filter(|_| !batch.is_empty()) else { return };
        if !client.publish_batch(batch) {
            tracing::warn!("the broker's queue is full: answers of the streams are lost");
        }
    }

    /// Hands out what has gathered for clients of the broker.
    pub(super) fn release(&mut self) {
        let out = std::mem::take(&mut self.out);
        self.send(out);
    }

    /// All consumers of a stream look at it again, and its messages' age is watched.
    pub(super) fn rouse(&mut self, slot: usize) {
        let Some(stream) = self.catalogue.at(slot) else { return };
        for place in 0..stream.consumer_slots() {
            if let Some(consumer) = stream.consumer_at(place)
                && !std::mem::replace(&mut consumer.touched, true)
            {
                self.ready.push((slot, place));
            }
        }
        self.watch_age(slot);
    }

    fn watch_age(&mut self, slot: usize) {
        let Some(stream) = self.catalogue.at(slot) else { return };
        let Some(due) = stream.log.next_expiry() else { return };
        let due = Timestamp::from_micros(i64::try_from(due.0 / 1000).unwrap_or(i64::MAX) + 1);
        if stream.expires_at.is_none_or(|noted| due < noted) {
            if let Some(noted) = stream.expires_at.replace(due) {
                self.wakes.remove(&(noted, (slot, STREAM_ITSELF)));
            }
            self.wakes.insert((due, (slot, STREAM_ITSELF)));
        }
    }

    fn wake(&mut self) {
        while let Some((at, place)) = self.wakes.first().copied().filter(|(at, _)| *at <= self.now)
        {
            self.wakes.remove(&(at, place));
            match place {
                (slot, STREAM_ITSELF) => self.expire(slot),
                (slot, FILES) => self.mend(slot),
                place => self.woken(place),
            }
        }
    }

    fn woken(&mut self, (slot, place): Place) {
        let consumer = self.catalogue.at(slot).and_then(|stream| stream.consumer_at(place));
        let Some(consumer) = consumer else { return };
        consumer.wakes_at = None;
        if !std::mem::replace(&mut consumer.touched, true) {
            self.ready.push((slot, place));
        }
    }

    fn expire(&mut self, slot: usize) {
        let stamp = nanos(self.now);
        let Some(stream) = self.catalogue.at(slot) else { return };
        stream.expires_at = None;
        let expired = stream.log.expire(stamp).unwrap_or_else(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "messages over their age stay"
            );
            0
        });
        if expired > 0 {
            // They all went from the front.
            stream.follow_removals();
            self.touch(slot);
        } else if stream.log.next_expiry().is_some_and(|due| due <= stamp) {
            let again = self.now.plus(EXPIRE_AGAIN);
            stream.expires_at = Some(again);
            self.wakes.insert((again, (slot, STREAM_ITSELF)));
        } else {
            self.watch_age(slot);
        }
    }

    /// A consumer's state changed: it is saved within [`SAVE_WITHIN`].
    pub(super) fn save_soon(&mut self) {
        self.save_at.get_or_insert(self.now.plus(SAVE_WITHIN));
    }

    fn save_now_and_then(&mut self) {
        if self.save_at.take_if(|at| *at <= self.now).is_some() {
            for slot in 0..self.catalogue.slots() {
                if let Some(stream) = self.catalogue.at(slot)
                    && !stream.save_consumers()
                {
                    self.save_soon();
                }
            }
        }
    }

    fn confirm_saved(&mut self) {
        let confirm = std::mem::take(&mut self.confirm);
        for Confirm { place: (slot, place), inbox } in confirm {
            let stream = self.catalogue.at(slot);
            // Who is not told acknowledges the next delivery again.
            if stream.is_some_and(|stream| stream.save_consumer(place).is_ok()) {
                self.out.push(&inbox, None, None, b"", b"", false);
            }
        }
    }

    pub(crate) fn catalogue(&mut self) -> &mut Catalogue {
        &mut self.catalogue
    }

    pub(super) fn client(&self) -> Option<&LocalClient> {
        self.client.as_ref()
    }

    pub(super) fn ensure(&mut self, config: StreamConfig) -> Result<StreamInfo, StreamsError> {
        self.settle();
        let name = config.name.as_str().to_owned();
        match self.catalogue.create(config.clone()) {
            Err(StreamsError::Different(_)) => self.catalogue.update(config)?,
            other => other.map(|_| ())?,
        }
        self.follow_interest();
        self.catalogue.info(&name)
    }
}

fn refused(refusal: Refusal) -> PublishError {
    match refusal {
        Refusal::Append(error) => PublishError::Refused(error),
        Refusal::OtherStream
        | Refusal::Sealed
        | Refusal::Starved
        | Refusal::RollupForbidden
        | Refusal::RollupUnknown => PublishError::Headers(refusal.answer().2),
    }
}

/// Commits one stream; returns the acknowledgements that may leave now.
fn settle_stream(stream: &mut Stream) -> OutgoingBatch {
    // Where it failed for lack of room, the messages are durable all the same.
    if stream.commit().is_err() && stream.log.is_poisoned() {
        return give_up(stream);
    }
    if std::mem::take(&mut stream.rolled_up) {
        stream.forget_removed();
    } else {
        stream.follow_removals();
    }
    for (done, ack) in stream.waiters.drain(..) {
        // Where the caller has gone nobody is left to tell.
        let _ = done.send(Ok(ack));
    }
    std::mem::take(&mut stream.acks)
}

/// The commit failed: nobody is told that a message is stored, all are told that it may not be.
fn give_up(stream: &mut Stream) -> OutgoingBatch {
    for (done, _) in stream.waiters.drain(..) {
        let _ = done.send(Err(PublishError::NotWritten));
    }
    let mut text = Vec::new();
    let answer = (503, 10077, "the stream's files failed".to_owned());
    write_refusal(&mut text, stream.name(), &answer);
    let mut errors = OutgoingBatch::default();
    for ack in std::mem::take(&mut stream.acks).iter() {
        errors.push(ack.route, None, None, b"", &text, false);
    }
    errors
}
