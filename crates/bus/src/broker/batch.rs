//! Messages on their way between the I/O thread and in-process clients: many in one arena.
//!
//! Owns the layout. Knows nothing of sockets or subscriptions. A tick of the I/O thread makes one
//! [`Batch`] per local client however many messages it holds, so that a message costs a copy and
//! not an allocation; a large body is not even copied.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;

use crate::proto::is_blank;

/// Bodies above this many bytes are shared between their receivers, not copied to each.
pub const SHARED_ABOVE: usize = 4096;

const ABSENT: u32 = u32::MAX;

/// Who published a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A client on a socket, by its connection id.
    Connection(u64),
    /// An in-process client, by its id.
    Local(u64),
}

/// One message as an in-process client gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The client's own number for the subscription that matched.
    pub subscription: u64,
    /// Any bytes but spaces and line ends; not necessarily UTF-8.
    pub subject: &'a [u8],
    /// Where an answer is wanted.
    pub reply: Option<&'a [u8]>,
    /// The whole header block, `NATS/1.0\r\n…\r\n\r\n`; empty where there is none.
    pub headers: &'a [u8],
    /// What was published.
    pub body: &'a [u8],
    /// Who published it.
    pub from: Origin,
}

/// The messages of one tick for one in-process client, in the order of publication.
#[derive(Debug, Default)]
pub struct Batch {
    arena: Vec<u8>,
    shared: Vec<Bytes>,
    entries: Vec<Entry>,
    lease: Option<Lease>,
}

/// Bytes that a message takes in a [`Batch`] besides its parts.
pub(super) const ENTRY: usize = size_of::<Entry>();

#[derive(Debug, Clone, Copy)]
struct Entry {
    subscription: u64,
    from: Origin,
    at: usize,
    subject: u32,
    reply: u32,
    headers: u32,
    body: u32,
    /// Index into `shared` of headers and body, where they are not in the arena.
    shared: u32,
}

/// Bytes that a receiver has not given back yet; dropping it gives them back.
#[derive(Debug)]
struct Lease {
    outstanding: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.outstanding.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Batch {
    /// The messages, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Message<'_>> {
        self.entries.iter().map(|entry| self.message(entry))
    }

    /// How many messages it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all subjects, replies, headers and bodies, and of the messages' entries: empty
    /// messages take memory, too.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let shared: usize = self.shared.iter().map(Bytes::len).sum();
        self.arena.len() + shared + self.entries.len() * ENTRY
    }

    /// Adds a message, oldest first. `shared` is its headers and body in one, where they are not
    /// to be copied.
    pub(crate) fn push(&mut self, message: &Message<'_>, shared: Option<&Bytes>) {
        let at = self.arena.len();
        self.arena.extend_from_slice(message.subject);
        self.arena.extend_from_slice(message.reply.unwrap_or_default());
        let shared = match shared {
            Some(payload) => {
                self.shared.push(payload.clone());
                length(self.shared.len() - 1)
            }
            None => {
                self.arena.extend_from_slice(message.headers);
                self.arena.extend_from_slice(message.body);
                ABSENT
            }
        };
        self.entries.push(Entry {
            subscription: message.subscription,
            from: message.from,
            at,
            subject: length(message.subject.len()),
            reply: message.reply.map_or(ABSENT, |reply| length(reply.len())),
            headers: length(message.headers.len()),
            body: length(message.body.len()),
            shared,
        });
    }

    /// Counts the batch into `outstanding` until it is dropped.
    pub(crate) fn lend(&mut self, outstanding: &Arc<AtomicUsize>) {
        let bytes = self.bytes();
        outstanding.fetch_add(bytes, Ordering::Relaxed);
        self.lease = Some(Lease { outstanding: Arc::clone(outstanding), bytes });
    }

    fn message(&self, entry: &Entry) -> Message<'_> {
        let (subject, rest) = self.arena[entry.at..].split_at(entry.subject as usize);
        let reply_len = if entry.reply == ABSENT { 0 } else { entry.reply as usize };
        let (reply, rest) = rest.split_at(reply_len);
        let payload = match entry.shared {
            ABSENT => &rest[..(entry.headers + entry.body) as usize],
            index => &self.shared[index as usize][..],
        };
        let (headers, body) = payload.split_at(entry.headers as usize);
        Message {
            subscription: entry.subscription,
            subject,
            reply: (entry.reply != ABSENT).then_some(reply),
            headers,
            body,
            from: entry.from,
        }
    }
}

/// One message that an in-process client publishes.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    /// Where it goes: the subject that subscriptions are matched with.
    pub route: Bytes,
    /// The subject that receivers see, where it is another than `route`.
    pub subject: Option<Bytes>,
    /// Where an answer is wanted.
    pub reply: Option<Bytes>,
    /// The whole header block, or empty.
    pub headers: Bytes,
    /// The body.
    pub body: Bytes,
    /// Whether [`LocalSink::undeliverable`](super::LocalSink::undeliverable) is told when nobody
    /// got it.
    pub track: bool,
}

/// Many messages to publish, in one arena.
#[derive(Debug, Default)]
pub struct OutgoingBatch {
    arena: Vec<u8>,
    entries: Vec<OutgoingEntry>,
}

#[derive(Debug, Clone, Copy)]
struct OutgoingEntry {
    at: usize,
    route: u32,
    subject: u32,
    reply: u32,
    headers: u32,
    body: u32,
    track: bool,
}

/// A message of an [`OutgoingBatch`] or an [`Outgoing`], borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutgoingRef<'a> {
    pub(crate) route: &'a [u8],
    pub(crate) subject: &'a [u8],
    pub(crate) reply: Option<&'a [u8]>,
    pub(crate) headers: &'a [u8],
    pub(crate) body: &'a [u8],
    pub(crate) track: bool,
}

impl Outgoing {
    /// What it takes while it waits for the broker.
    pub(crate) fn bytes(&self) -> usize {
        let subject = self.subject.as_ref().map_or(0, Bytes::len);
        let reply = self.reply.as_ref().map_or(0, Bytes::len);
        size_of::<Self>()
            + self.route.len()
            + subject
            + reply
            + self.headers.len()
            + self.body.len()
    }

    pub(crate) fn borrowed(&self) -> OutgoingRef<'_> {
        OutgoingRef {
            route: &self.route,
            subject: self.subject.as_ref().unwrap_or(&self.route),
            reply: self.reply.as_deref(),
            headers: &self.headers,
            body: &self.body,
            track: self.track,
        }
    }
}

impl OutgoingRef<'_> {
    /// Whether its subjects can be written on the wire without becoming something else there: no
    /// more than that, as whatever a client could publish must also be delivered.
    pub(crate) fn fits_the_wire(&self) -> bool {
        let fits = |part: &[u8]| !part.is_empty() && !part.iter().any(|byte| is_blank(*byte));
        fits(self.subject) && self.reply.is_none_or(fits)
    }
}

impl OutgoingBatch {
    /// Adds a message; the meaning of each part is that of [`Outgoing`].
    pub fn push(
        &mut self,
        route: &[u8],
        subject: Option<&[u8]>,
        reply: Option<&[u8]>,
        headers: &[u8],
        body: &[u8],
        track: bool,
    ) {
        let at = self.arena.len();
        for part in [route, subject.unwrap_or_default(), reply.unwrap_or_default(), headers, body] {
            self.arena.extend_from_slice(part);
        }
        self.entries.push(OutgoingEntry {
            at,
            route: length(route.len()),
            subject: subject.map_or(ABSENT, |subject| length(subject.len())),
            reply: reply.map_or(ABSENT, |reply| length(reply.len())),
            headers: length(headers.len()),
            body: length(body.len()),
            track,
        });
    }

    /// How many messages it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all parts of all messages, and of the messages' entries.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.arena.len() + self.entries.len() * size_of::<OutgoingEntry>()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = OutgoingRef<'_>> {
        self.entries.iter().map(|entry| self.message(entry))
    }

    fn message(&self, entry: &OutgoingEntry) -> OutgoingRef<'_> {
        let present = |length: u32| if length == ABSENT { 0 } else { length as usize };
        let (route, rest) = self.arena[entry.at..].split_at(entry.route as usize);
        let (subject, rest) = rest.split_at(present(entry.subject));
        let (reply, rest) = rest.split_at(present(entry.reply));
        let (headers, rest) = rest.split_at(entry.headers as usize);
        OutgoingRef {
            route,
            subject: if entry.subject == ABSENT { route } else { subject },
            reply: (entry.reply != ABSENT).then_some(reply),
            headers,
            body: &rest[..entry.body as usize],
            track: entry.track,
        }
    }
}

/// No part of a message comes near 4 GiB: the limits of the broker are far below.
fn length(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(ABSENT - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<'a>(subject: &'a [u8], reply: Option<&'a [u8]>, body: &'a [u8]) -> Message<'a> {
        let from = Origin::Connection(7);
        Message { subscription: 3, subject, reply, headers: b"NATS/1.0\r\n\r\n", body, from }
    }

    #[test]
    fn what_goes_into_a_batch_comes_out() {
        let large = Bytes::from(b"NATS/1.0\r\n\r\nlarge".to_vec());
        let sent = [
            message(b"a", None, b"one"),
            message(b"a.b", Some(b""), b""),
            message(b"a.b", Some(b"r"), b"large"),
            message(b"\xff", Some(b"reply"), b"last"),
        ];
        let mut batch = Batch::default();
        for (index, message) in sent.iter().enumerate() {
            batch.push(message, (index == 2).then_some(&large));
        }
        assert_eq!(batch.iter().collect::<Vec<_>>(), sent);
    }

    #[test]
    fn a_batch_is_outstanding_until_it_is_dropped() {
        let outstanding = Arc::new(AtomicUsize::new(0));
        let mut batch = Batch::default();
        batch.push(&message(b"a", None, b"one"), None);
        batch.lend(&outstanding);
        assert_eq!(outstanding.load(Ordering::Relaxed), batch.bytes());
        assert_eq!(batch.bytes(), 1 + 12 + 3 + ENTRY);
        drop(batch);
        assert_eq!(outstanding.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn subjects_that_would_break_the_wire_are_found() {
        let fits = |subject: &'static str, reply: Option<&'static str>| {
            let [route, body] = [Bytes::from(subject), Bytes::new()];
            let reply = reply.map(Bytes::from);
            Outgoing { route, reply, body, ..Outgoing::default() }.borrowed().fits_the_wire()
        };
        assert!(fits("a.b", None) && fits("a.b", Some("c")));
        assert!(!fits("", None) && !fits("a b", None) && !fits("a\r\nPING", None));
        assert!(!fits("a", Some("")) && !fits("a", Some("b\n")));
        assert!(!fits("a\tb", None) && !fits("a\rb", None));
        assert!(fits("a.\x0c", None) && fits("a.\x0b", None), "no blanks to a client's parser");
    }

    #[test]
    fn an_outgoing_batch_shows_the_route_where_no_subject_is_given() {
        let mut batch = OutgoingBatch::default();
        batch.push(b"inbox", Some(b"orders"), Some(b"ack"), b"h", b"body", true);
        batch.push(b"inbox", None, None, b"", b"", false);
        let seen: Vec<_> = batch.iter().map(|m| (m.route, m.subject, m.reply, m.body)).collect();
        assert_eq!(seen[0], (&b"inbox"[..], &b"orders"[..], Some(&b"ack"[..]), &b"body"[..]));
        assert_eq!(seen[1], (&b"inbox"[..], &b"inbox"[..], None, &b""[..]));
    }
}
