//! Publish and subscribe: how many messages a second go through.
//!
//! One thread drives every connection with one poll; publishers send blocks of whole frames as
//! long as no more than a window of deliveries is under way. A round ends with a PING behind the
//! last frame and with the last expected delivery, so that a lost message is an error.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::server::Server;
use crate::wire::{Conn, publish};

/// Bytes that one subscriber may be behind.
const WINDOW: usize = 2 * 1024 * 1024;
/// Bytes of one write at most.
const CHUNK: usize = 64 * 1024;
/// How long the last messages may take after the last publish.
const DRAIN: Duration = Duration::from_secs(30);

/// Who publishes and who listens.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) publishers: usize,
    pub(crate) subscribers: usize,
    /// Bytes of a body.
    pub(crate) size: usize,
}

/// Deliveries a second on one subject; publishes a second where nobody listens.
pub(crate) fn one_subject(server: &Server, shape: Shape, time: Duration) -> io::Result<f64> {
    let mut frame = Vec::new();
    publish(&mut frame, b"bench.subject", b"", &vec![b'x'; shape.size]);
    let block = frame.repeat(CHUNK / frame.len() + 1);
    let mut run = Run::new(shape.subscribers, frame.len());
    for _ in 0..shape.subscribers {
        run.subscriber(server, &["bench.subject".to_owned()])?;
    }
    for _ in 0..shape.publishers {
        run.publisher(server, block.clone())?;
    }
    run.rate(time)
}

/// Deliveries a second with 10,000 filters, half of them wildcards, and 50,000 subjects of which
/// each matches exactly one filter, in an order without pattern.
pub(crate) fn many_subjects(server: &Server, time: Duration) -> io::Result<f64> {
    let filters: Vec<_> = (0..10_000).map(filter).collect();
    let mut frames = Vec::new();
    let mut length = 0;
    for index in shuffled(50_000) {
        let before = frames.len();
        publish(&mut frames, subject(index).as_bytes(), b"", &[b'x'; 128]);
        length = frames.len() - before;
    }
    let mut run = Run::new(1, length);
    run.subscriber(server, &filters)?;
    run.publisher(server, frames)?;
    run.rate(time)
}

/// Filters 0 to 4,999 take nine subjects each, the others one.
fn filter(index: usize) -> String {
    if index < 5_000 { format!("bench.{index:05}.*") } else { format!("bench.{index:05}.0") }
}

fn subject(index: usize) -> String {
    let (group, leaf) = if index < 45_000 { (index / 9, index % 9) } else { (index - 40_000, 0) };
    format!("bench.{group:05}.{leaf}")
}

/// The numbers below `count`, in the same random order each time.
fn shuffled(count: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..count).collect();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for last in (1..count).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        numbers.swap(last, (state >> 33) as usize % (last + 1));
    }
    numbers
}

/// A publisher goes round in its block; frames are all of one length.
struct Publisher {
    conn: Conn,
    block: Vec<u8>,
    sent: usize,
}

impl Publisher {
    fn push(&mut self, limit: usize) -> io::Result<usize> {
        let at = self.sent % self.block.len();
        let end = self.block.len().min(at + limit.min(CHUNK));
        let sent = self.conn.try_send(&self.block[at..end])?;
        self.sent += sent;
        Ok(sent)
    }

    /// Ends the frame that is under way, and asks for the answer that comes behind it.
    fn finish(&mut self, frame: usize) -> io::Result<()> {
        let rest = (frame - self.sent % frame) % frame;
        let at = self.sent % self.block.len();
        self.conn.send(&self.block[at..at + rest])?;
        self.sent += rest;
        self.conn.answer()?;
        self.conn.send(b"PING\r\n")
    }
}

/// One case in one round.
pub(crate) struct Run {
    publishers: Vec<Publisher>,
    subscribers: Vec<Conn>,
    /// Deliveries of one publish.
    fan: usize,
    /// Bytes of one published frame.
    frame: usize,
    received: usize,
}

impl Run {
    /// Nobody yet.
    pub(crate) fn new(fan: usize, frame: usize) -> Self {
        Self { publishers: Vec::new(), subscribers: Vec::new(), fan, frame, received: 0 }
    }

    /// Adds a connection that subscribes to all filters.
    pub(crate) fn subscriber(&mut self, server: &Server, filters: &[String]) -> io::Result<()> {
        let mut conn = server.connect()?;
        for (sid, filter) in filters.iter().enumerate() {
            conn.subscribe(filter, sid + 1)?;
        }
        conn.flush()?;
        self.subscribers.push(conn);
        Ok(())
    }

    /// Adds a connection that publishes `block` again and again.
    pub(crate) fn publisher(&mut self, server: &Server, block: Vec<u8>) -> io::Result<()> {
        self.publishers.push(Publisher { conn: server.connect()?, block, sent: 0 });
        Ok(())
    }

    /// A fifth of the time to warm up, then the rate: deliveries a second, or publishes.
    pub(crate) fn rate(&mut self, time: Duration) -> io::Result<f64> {
        self.stretch(time / 5, usize::MAX)?;
        let (published, received) = (self.published(), self.received);
        let begin = Instant::now();
        self.stretch(time, usize::MAX)?;
        let seconds = begin.elapsed().as_secs_f64();
        let published = self.published() - published;
        let done = if self.fan == 0 { published } else { self.received - received };
        Ok(done as f64 / seconds)
    }

    /// Publishes for `time` or up to `bytes` in all, then waits for all that must come.
    pub(crate) fn stretch(&mut self, time: Duration, bytes: usize) -> io::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end && self.bytes() < bytes {
            self.turn(self.may_publish())?;
        }
        let pongs: u32 = self.pongs() + self.publishers.len() as u32;
        for publisher in &mut self.publishers {
            publisher.finish(self.frame)?;
        }
        let expected = self.published() * self.fan;
        let end = Instant::now() + DRAIN;
        while self.received < expected || self.pongs() < pongs {
            if Instant::now() > end {
                let lost = expected.saturating_sub(self.received);
                return Err(io::Error::other(format!("{lost} of {expected} did not arrive")));
            }
            self.turn(0)?;
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.publishers.iter().map(|publisher| publisher.sent).sum()
    }

    fn published(&self) -> usize {
        self.publishers.iter().map(|publisher| publisher.sent / self.frame).sum()
    }

    fn pongs(&self) -> u32 {
        self.publishers.iter().map(|publisher| publisher.conn.pongs()).sum()
    }

    /// Bytes that the publishers may send now.
    fn may_publish(&self) -> usize {
        if self.fan == 0 {
            return usize::MAX;
        }
        let behind = self.bytes().saturating_sub(self.received / self.fan * self.frame);
        WINDOW.saturating_sub(behind)
    }

    /// Waits for the sockets and does what they allow.
    fn turn(&mut self, mut allowance: usize) -> io::Result<()> {
        let ready = self.ready(allowance >= self.frame)?;
        for (publisher, events) in self.publishers.iter_mut().zip(&ready) {
            if events.contains(PollFlags::IN) {
                publisher.conn.try_receive(|_| {})?;
            }
            if events.contains(PollFlags::OUT) {
                allowance -= publisher.push(allowance)?;
            }
        }
        let received = &mut self.received;
        for (conn, events) in self.subscribers.iter_mut().zip(&ready[self.publishers.len()..]) {
            if !events.is_empty() {
                conn.try_receive(|_| *received += 1)?;
                conn.answer()?;
            }
        }
        Ok(())
    }

    fn ready(&self, publishing: bool) -> io::Result<Vec<PollFlags>> {
        let mine = if publishing { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let publishers = self.publishers.iter().map(|publisher| (&publisher.conn, mine));
        let subscribers = self.subscribers.iter().map(|conn| (conn, PollFlags::IN));
        let mut polled: Vec<_> = publishers
            .chain(subscribers)
            .map(|(conn, flags)| PollFd::from_borrowed_fd(conn.stream().as_fd(), flags))
            .collect();
        poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 10_000_000 }))?;
        Ok(polled.iter().map(PollFd::revents).collect())
    }
}
