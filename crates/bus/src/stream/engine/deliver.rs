//! The engine's side of consumers: acknowledgements in, deliveries out.

use std::collections::HashSet;

use bytes::Bytes;

use super::{
    super::{
        catalogue::{Consumer, Stream},
        consumer::{Ack, AckSubject, Outlet, PullRequest, Requester, Status},
        types::{Delivered, StreamsError},
    },
    cycle::{Confirm, Engine, Place, Pulled},
    port::{Fetch, Fetches, Port, Reader},
};
use crate::broker::{Message, OutgoingBatch};

/// Bytes that one consumer may deliver per cycle, so that a large one does not hold up others.
const BUDGET: u64 = 1 << 20;

impl Engine {
    /// A message on `$JS.ACK.>`.
    pub(super) fn acknowledged(&mut self, message: &Message<'_>) {
        let Some(subject) = AckSubject::parse(message.subject) else { return };
        let Some(ack) = Ack::parse(message.body) else { return };
        let Some(place) = self.place(subject.stream, subject.consumer) else { return };
        let inbox = message.reply.map(Bytes::copy_from_slice);
        let known = self.apply_ack(place, subject.seq, &ack);
        match (inbox, ack) {
            (Some(inbox), Ack::DoneAndNext(request)) => {
                self.pulled.push(Pulled { place, inbox, request: Ok(request) });
            }
            (Some(inbox), _) if known => {
                self.confirm.push(Confirm { place, inbox });
            }
            (Some(_) | None, _) => {}
        }
        self.stir(place);
    }

    /// False where the consumer is yet to deliver the message.
    fn apply_ack(&mut self, (slot, place): Place, seq: u64, ack: &Ack) -> bool {
        let now = self.now;
        let Some(stream) = self.catalogue.at(slot) else { return false };
        let consumes = stream.consumes();
        let Some(consumer) = stream.consumer_at(place) else { return false };
        let known = consumer.cursor.ack(seq, ack, now);
        let settled = consumer.cursor.take_settled();
        if consumes && !settled.is_empty() {
            stream.consume(&settled);
            self.touch(slot);
        }
        self.save_soon();
        known
    }

    /// A message on `$JS.FC.>`: the answer to a flow control request.
    pub(super) fn flow_confirmed(&mut self, subject: &[u8]) {
        let mut tokens = subject.split(|byte| *byte == b'.').skip(2);
        let (Some(stream), Some(consumer), Some(number)) =
            (tokens.next(), tokens.next(), tokens.next())
        else {
            return;
        };
        let number = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok());
        let (Some(place), Some(number)) = (self.place(stream, consumer), number) else { return };
        if let Some(consumer) = self.consumer(place) {
            consumer.cursor.confirm_flow(number);
        }
        self.stir(place);
    }

    /// Deliveries, by their reply subjects, and signs of life, by their inboxes, found nobody.
    pub(super) fn unheard(&mut self, subjects: Vec<Box<[u8]>>) {
        let mut inboxes = HashSet::new();
        for subject in subjects {
            match AckSubject::parse(&subject) {
                Some(delivery) => self.undelivered(&delivery),
                None => {
                    inboxes.insert(Bytes::from(subject));
                }
            }
        }
        let slots = if inboxes.is_empty() { 0 } else { self.catalogue.slots() };
        for slot in 0..slots {
            self.unheard_of(slot, &inboxes);
        }
    }

    fn unheard_of(&mut self, slot: usize, inboxes: &HashSet<Bytes>) {
        let now = self.now;
        let places = self.catalogue.at(slot).map_or(0, |stream| stream.consumer_slots());
        for place in (0..places).map(|place| (slot, place)) {
            if self.consumer(place).is_some_and(|one| one.cursor.unheard(inboxes, now)) {
                self.stir(place);
            }
        }
    }

    /// A delivery did not take place.
    fn undelivered(&mut self, subject: &AckSubject<'_>) {
        let Some(place) = self.place(subject.stream, subject.consumer) else { return };
        let now = self.now;
        if let Some(consumer) = self.consumer(place) {
            let deliveries = u32::try_from(subject.deliveries).unwrap_or(u32::MAX);
            consumer.cursor.undelivered(subject.seq, subject.cseq, deliveries, now);
        }
        self.stir(place);
    }

    /// A pull request; served after the commit, so that it sees what was published before it.
    pub(super) fn pull(&mut self, stream: &[u8], consumer: &[u8], message: &Message<'_>) {
        let (Some(place), Some(inbox)) = (self.place(stream, consumer), message.reply) else {
            return;
        };
        let request = PullRequest::parse(message.body);
        self.pulled.push(Pulled { place, inbox: Bytes::copy_from_slice(inbox), request });
    }

    pub(super) fn place(&self, stream: &[u8], consumer: &[u8]) -> Option<Place> {
        let slot = self.catalogue.slot(std::str::from_utf8(stream).ok()?)?;
        let place =
            self.catalogue.look(slot)?.consumer_slot(std::str::from_utf8(consumer).ok()?)?;
        Some((slot, place))
    }

    fn place_or_error(&self, stream: &str, consumer: &str) -> Result<Place, StreamsError> {
        if self.catalogue.slot(stream).is_none() {
            return Err(StreamsError::NoStream(stream.to_owned()));
        }
        let place = self.place(stream.as_bytes(), consumer.as_bytes());
        place.ok_or_else(|| StreamsError::NoConsumer(consumer.to_owned()))
    }

    fn consumer(&mut self, (slot, place): Place) -> Option<&mut Consumer> {
        self.catalogue.at(slot)?.consumer_at(place)
    }

    /// A consumer is served in this cycle.
    pub(super) fn stir(&mut self, place: Place) {
        if let Some(consumer) = self.consumer(place)
            && !std::mem::replace(&mut consumer.touched, true)
        {
            self.ready.push(place);
        }
    }

    /// A new or changed consumer is served in this cycle.
    pub(crate) fn stir_consumer(&mut self, stream: &str, name: &str) {
        if let Some(place) = self.place(stream.as_bytes(), name.as_bytes()) {
            self.stir(place);
        }
    }

    /// Takes in the pull requests of this cycle and lets every consumer that may have work do it.
    pub(super) fn serve(&mut self) {
        for pulled in std::mem::take(&mut self.pulled) {
            self.accept(&pulled);
        }
        for place in std::mem::take(&mut self.ready) {
            self.serve_one(place);
        }
    }

    fn accept(&mut self, pulled: &Pulled) {
        let now = self.now;
        let to = Requester::Inbox(pulled.inbox.clone());
        self.with_port(pulled.place, |consumer, port| match &pulled.request {
            Ok(request) => consumer.cursor.request(to, request, port, now),
            Err(why) => {
                port.status(&to, Status::BadRequest(why.clone()));
            }
        });
        self.stir(pulled.place);
    }

    fn serve_one(&mut self, place: Place) {
        let now = self.now;
        let pumped = self.with_port(place, |consumer, port| {
            consumer.touched = false;
            let mut budget = BUDGET;
            let more = consumer.cursor.pump(port, now, &mut budget);
            (more, consumer.cursor.is_dirty(), consumer.cursor.take_settled())
        });
        let Some((more, dirty, settled)) = pumped else { return };
        if dirty {
            self.save_soon();
        }
        self.consume(place.0, &settled);
        if more {
            self.stir(place);
        }
        self.plan(place);
        if self.out.bytes() as u64 >= BUDGET {
            self.release();
        }
    }

    fn consume(&mut self, slot: usize, settled: &[u64]) {
        if let Some(stream) = self.catalogue.at(slot).filter(|stream| stream.consumes())
            && !settled.is_empty()
        {
            stream.consume(settled);
            self.touch(slot);
        }
    }

    /// Notes when a consumer has to be looked at again, or removes it where that time has come
    /// without anybody using it.
    fn plan(&mut self, place: Place) {
        let now = self.now;
        let Some(consumer) = self.consumer(place) else { return };
        if consumer.cursor.inactive_at().is_some_and(|at| at <= now) {
            return self.retire(place);
        }
        let Some(due) = consumer.cursor.deadline() else { return };
        if consumer.wakes_at.is_none_or(|noted| due < noted) {
            if let Some(noted) = consumer.wakes_at.replace(due) {
                self.wakes.remove(&(noted, place));
            }
            self.wakes.insert((due, place));
        }
    }

    fn retire(&mut self, place: Place) {
        let names = self.catalogue.at(place.0).and_then(|stream| {
            let consumer = stream.consumer_at(place.1)?.name.to_string();
            Some((stream.name().to_owned(), consumer))
        });
        let Some((stream, consumer)) = names else { return };
        tracing::debug!(stream.name = stream, consumer.name = consumer, "unused consumer removed");
        if let Err(error) = self.remove_consumer(&stream, &consumer) {
            tracing::warn!(error = &error as &dyn std::error::Error, "unused consumer not removed");
        }
    }

    fn with_port<T>(
        &mut self,
        (slot, place): Place,
        act: impl FnOnce(&mut Consumer, &mut Port<'_>) -> T,
    ) -> Option<T> {
        let stream = self.catalogue.at(slot)?;
        with_port(stream, place, &mut self.out, &mut self.fetches, &mut self.scratch, act)
    }

    /// Removes a consumer; who waits for its messages is told.
    pub(crate) fn remove_consumer(&mut self, stream: &str, name: &str) -> Result<(), StreamsError> {
        let place = self.place_or_error(stream, name)?;
        self.with_port(place, |consumer, port| consumer.cursor.dismiss(port));
        let consumer = self.catalogue.remove_consumer(stream, name)?;
        if let Some(noted) = consumer.wakes_at {
            self.wakes.remove(&(noted, place));
        }
        Ok(())
    }

    /// Removes a stream with everything in it.
    pub(crate) fn remove_stream(&mut self, name: &str) -> Result<(), StreamsError> {
        self.settle();
        let slot = self.catalogue.slot(name);
        let slot = slot.ok_or_else(|| StreamsError::NoStream(name.to_owned()))?;
        self.catalogue.get(name)?.log.end()?;
        let places = self.catalogue.at(slot).map_or(0, |stream| stream.consumer_slots());
        for place in 0..places {
            self.with_port((slot, place), |consumer, port| {
                consumer.cursor.dismiss(port);
            });
        }
        let stream = self.catalogue.remove(name)?;
        self.wakes.retain(|(_, (of, _))| *of != slot);
        self.follow_interest();
        if let Err(error) = stream.log.destroy() {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(stream.name = name, error, "files of a removed stream stay for now");
        }
        Ok(())
    }

    /// A fetch of the in-process API.
    pub(super) fn fetch(
        &mut self,
        stream: &str,
        consumer: &str,
        number: u64,
        request: &PullRequest,
        fetch: Fetch,
    ) {
        let place = match self.place_or_error(stream, consumer) {
            Ok(place) => place,
            Err(error) => {
                if let Some(done) = fetch.done {
                    // Where the caller has gone nobody is left to tell.
                    let _ = done.send(Err(error));
                }
                return;
            }
        };
        self.settle();
        self.fetches.insert(number, fetch);
        let now = self.now;
        self.with_port(place, |consumer, port| {
            consumer.cursor.request(Requester::Call(number), request, port, now);
        });
        self.stir(place);
    }

    /// The caller of a fetch went away: what it got goes to somebody else, `on_the_way` included.
    pub(super) fn withdraw(
        &mut self,
        stream: &str,
        consumer: &str,
        number: u64,
        on_the_way: Vec<Delivered>,
    ) {
        let got = self.fetches.remove(&number).map(|fetch| fetch.got).unwrap_or_default();
        let Some(place) = self.place(stream.as_bytes(), consumer.as_bytes()) else { return };
        let now = self.now;
        let Some(consumer) = self.consumer(place) else { return };
        consumer.cursor.withdraw(&Requester::Call(number));
        for delivered in got.into_iter().chain(on_the_way) {
            consumer.cursor.ack(delivered.seq, &Ack::Again(None), now);
        }
        self.stir(place);
    }

    /// Acknowledgements of the in-process API; with `sync` they are on disk on return.
    pub(super) fn settle_all(
        &mut self,
        stream: &str,
        consumer: &str,
        seqs: &[u64],
        ack: &Ack,
        sync: bool,
    ) -> Result<(), StreamsError> {
        let place = self.place_or_error(stream, consumer)?;
        for seq in seqs {
            self.apply_ack(place, *seq, ack);
        }
        if sync {
            self.settle();
        }
        self.stir(place);
        match self.catalogue.at(place.0).filter(|_| sync) {
            Some(stream) => Ok(stream.save_consumer(place.1)?),
            None => Ok(()),
        }
    }
}

fn with_port<T>(
    stream: &mut Stream,
    place: usize,
    out: &mut OutgoingBatch,
    fetches: &mut Fetches,
    scratch: &mut Vec<u8>,
    act: impl FnOnce(&mut Consumer, &mut Port<'_>) -> T,
) -> Option<T> {
    let name = stream.shared_name();
    let (consumer, log) = stream.consumer_and_log(place)?;
    let of = std::sync::Arc::clone(&consumer.name);
    let mut port = Port {
        reader: Reader::new(log),
        out,
        fetches,
        scratch,
        stream: &name,
        consumer: &of,
        headers_only: consumer.cursor.config().headers_only,
    };
    Some(act(consumer, &mut port))
}
