//! How a consumer's plain state reaches the log and the outside. Owns nothing: it is built for
//! one call and borrows all.

use std::collections::HashMap;

use bytes::Bytes;
use model::Timestamp;
use tokio::sync::oneshot;

use super::super::{
    Filter, LogError, StreamLog,
    catalogue::nanos,
    consumer::{
        AckSubject, Head, Outbound, Outlet, Requester, Source, Status, flow_subject, write_number,
    },
    types::{Delivered, StreamsError},
};
use crate::{broker::OutgoingBatch, proto::is_blank};

/// Bytes of an acknowledgement's subject besides the names in it.
const ACK_SUBJECT_BYTES: u64 = 40;

/// The committed part of a log.
pub(crate) struct Reader<'a> {
    log: &'a mut StreamLog,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(log: &'a mut StreamLog) -> Self {
        Self { log }
    }
}

fn logged<T>(result: Result<Option<T>, LogError>) -> Option<T> {
    result.unwrap_or_else(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "message not read");
        None
    })
}

impl Source for Reader<'_> {
    fn first(&self) -> u64 {
        self.log.state().first_seq
    }

    fn last(&self) -> u64 {
        self.log.committed()
    }

    fn next(&mut self, mut from: u64, filter: &Filter) -> Option<Head> {
        loop {
            let seq = self.log.next_matching(from, filter)?;
            match self.head(seq) {
                Some(head) => return Some(head),
                None => from = seq + 1,
            }
        }
    }

    fn head(&mut self, seq: u64) -> Option<Head> {
        let overhead = self.log.config().name.as_str().len() as u64 + ACK_SUBJECT_BYTES;
        let message = logged(self.log.peek(seq))?;
        let bytes = message.subject.len() + message.headers.len() + message.body.len();
        let on_the_wire = fits_the_wire(message.subject);
        Some(Head { seq, bytes: bytes as u64 + overhead, at: message.at, on_the_wire })
    }

    fn count(&mut self, from: u64, filter: &Filter) -> u64 {
        self.log.count_matching(from, filter)
    }

    fn last_matching(&mut self, filter: &Filter) -> Option<u64> {
        self.log.last_matching(filter)
    }

    fn since(&mut self, at: Timestamp) -> u64 {
        logged(self.log.first_since(nanos(at))).unwrap_or(self.log.committed() + 1)
    }

    fn last_per_subject(&mut self, filter: &Filter) -> Vec<u64> {
        let subjects = self.log.subjects(filter, usize::MAX);
        let last = |(subject, _): (Bytes, u64)| self.log.last_by_subject(&subject);
        let mut found: Vec<u64> = subjects.into_iter().filter_map(last).collect();
        found.sort_unstable();
        found
    }
}

/// Whether a subject can be written on the wire without becoming something else there.
pub(super) fn fits_the_wire(subject: &[u8]) -> bool {
    !subject.is_empty() && !subject.iter().any(|byte| is_blank(*byte))
}

/// A fetch of the in-process API that is under way.
pub(super) struct Fetch {
    pub(super) got: Vec<Delivered>,
    pub(super) want: usize,
    /// None once it was sent, to nobody.
    pub(super) done: Option<oneshot::Sender<Result<Vec<Delivered>, StreamsError>>>,
}

/// The fetches that wait, by number.
pub(super) type Fetches = HashMap<u64, Fetch>;

/// Where one consumer's deliveries leave.
pub(super) struct Port<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) out: &'a mut OutgoingBatch,
    pub(super) fetches: &'a mut Fetches,
    pub(super) scratch: &'a mut Vec<u8>,
    pub(super) stream: &'a str,
    pub(super) consumer: &'a str,
    pub(super) headers_only: bool,
}

impl<'a> Outlet for Port<'a> {
    type Source = Reader<'a>;

    fn source(&mut self) -> &mut Reader<'a> {
        &mut self.reader
    }

    fn deliver(&mut self, to: &Requester, delivery: Outbound) {
        match to {
            Requester::Inbox(inbox) => self.send(inbox, delivery),
            Requester::Call(number) => self.hand_over(*number, delivery),
        }
    }

    fn status(&mut self, to: &Requester, status: Status) {
        match to {
            Requester::Inbox(inbox) => {
                self.scratch.clear();
                status.write(self.scratch, self.stream, self.consumer);
                let track = matches!(status, Status::Heartbeat { .. });
                self.out.push(inbox, None, None, self.scratch, b"", track);
            }
            Requester::Call(number) => self.conclude(*number, &status),
        }
    }

    fn flow_control(&mut self, to: &Requester, number: u64) {
        let Requester::Inbox(inbox) = to else { return };
        let mut reply = Vec::new();
        flow_subject(&mut reply, self.stream, self.consumer, number);
        self.scratch.clear();
        Status::FlowControl.write(self.scratch, self.stream, self.consumer);
        self.out.push(inbox, None, Some(&reply), self.scratch, b"", false);
    }
}

impl Port<'_> {
    fn send(&mut self, inbox: &[u8], delivery: Outbound) {
        let Some(message) = logged(self.reader.log.peek(delivery.head.seq)) else { return };
        self.scratch.clear();
        let subject = AckSubject {
            stream: self.stream.as_bytes(),
            consumer: self.consumer.as_bytes(),
            deliveries: u64::from(delivery.deliveries),
            seq: delivery.head.seq,
            cseq: delivery.cseq,
            nanos: i64::try_from(delivery.head.at.0).unwrap_or(i64::MAX),
            pending: delivery.pending,
        };
        subject.write(self.scratch);
        if self.headers_only {
            let headers = with_size(message.headers, message.body.len());
            self.out.push(inbox, Some(message.subject), Some(self.scratch), &headers, b"", true);
        } else {
            let (headers, body) = (message.headers, message.body);
            self.out.push(inbox, Some(message.subject), Some(self.scratch), headers, body, true);
        }
    }

    fn hand_over(&mut self, number: u64, delivery: Outbound) {
        let Some(stored) = logged(self.reader.log.get(delivery.head.seq)) else { return };
        let Some(fetch) = self.fetches.get_mut(&number) else { return };
        fetch.got.push(Delivered {
            seq: stored.seq,
            subject: stored.subject,
            headers: stored.headers,
            body: stored.body,
            deliveries: delivery.deliveries,
            at: stored.at,
            pending: delivery.pending,
        });
        if fetch.got.len() >= fetch.want {
            finish(self.fetches, number);
        }
    }

    fn conclude(&mut self, number: u64, status: &Status) {
        match status {
            Status::Heartbeat { .. } | Status::FlowControl => {}
            Status::BadRequest(_)
            | Status::NoMessages
            | Status::Timeout { .. }
            | Status::TooLarge { .. } => {
                finish(self.fetches, number);
            }
            Status::Conflict(_) | Status::ConsumerDeleted => {
                let Some(fetch) = self.fetches.get_mut(&number) else { return };
                if !fetch.got.is_empty() {
                    return finish(self.fetches, number);
                }
                let error = match status {
                    Status::Conflict(why) => StreamsError::FetchRefused(why.clone()),
                    _ => StreamsError::NoConsumer(self.consumer.to_owned()),
                };
                if let Some(done) = self.fetches.remove(&number).and_then(|fetch| fetch.done) {
                    // The caller may have gone; nobody is left to tell.
                    let _ = done.send(Err(error));
                }
            }
        }
    }
}

/// Hands over what a fetch got. Where its caller has gone it stays until the caller's call to
/// withdraw it, which is on its way, gives that back.
fn finish(fetches: &mut Fetches, number: u64) {
    let Some(fetch) = fetches.get_mut(&number) else { return };
    let Some(done) = fetch.done.take() else { return };
    match done.send(Ok(std::mem::take(&mut fetch.got))) {
        Ok(()) => {
            fetches.remove(&number);
        }
        Err(got) => fetch.got = got.unwrap_or_default(),
    }
}

/// The header block with the size of a body that is left out.
fn with_size(headers: &[u8], size: usize) -> Vec<u8> {
    let mut block = match headers.strip_suffix(b"\r\n") {
        Some(open) => open.to_vec(),
        None => b"NATS/1.0\r\n".to_vec(),
    };
    block.extend_from_slice(b"Nats-Msg-Size: ");
    write_number(&mut block, size as u64);
    block.extend_from_slice(b"\r\n\r\n");
    block
}
