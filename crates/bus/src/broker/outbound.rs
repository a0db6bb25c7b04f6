//! What waits to be written to one socket: chunks, gathered into few writes.
//!
//! Appending never moves what was appended before, so a long queue costs no copies; a large
//! payload is a chunk that it shares with other receivers. An idle connection holds no buffer:
//! full-size chunks go back to the [`Pool`] of the I/O thread. Knows nothing of the protocol.

use std::{collections::VecDeque, io::IoSlice, os::fd::AsFd};

use bytes::Bytes;
use rustix::{
    io::Errno,
    net::{SendAncillaryBuffer, SendFlags},
};

/// Bytes of a full-size chunk: big enough for one write to be worth it, small enough for the
/// second-level cache to hold a few.
const CHUNK: usize = 64 << 10;
/// The first chunk of a connection that says little.
const SMALLEST_CHUNK: usize = 1 << 10;
/// The first chunk behind a shared one: mostly, what comes next is the head of another.
const HEAD_CHUNK: usize = 1 << 7;
/// Above this a chunk is full-size and comes from the pool: memory that goes back to the system
/// and is faulted in again every tick costs more than the copies.
const SMALL: usize = 4 << 10;
/// Chunks that the pool keeps.
const MAX_POOLED: usize = 128;
/// Chunks of one write.
const MAX_GATHERED: usize = 64;

/// Full-size chunks that nobody uses now.
#[derive(Debug, Default)]
pub(super) struct Pool {
    free: Vec<Vec<u8>>,
}

impl Pool {
    fn take(&mut self, bytes: usize) -> Vec<u8> {
        if bytes <= SMALL {
            return Vec::with_capacity(bytes.max(SMALLEST_CHUNK).next_power_of_two());
        }
        let pooled = if bytes <= CHUNK { self.free.pop() } else { None };
        pooled.unwrap_or_else(|| Vec::with_capacity(bytes.max(CHUNK)))
    }

    fn give(&mut self, mut chunk: Vec<u8>) {
        if chunk.capacity() == CHUNK && self.free.len() < MAX_POOLED {
            chunk.clear();
            self.free.push(chunk);
        }
    }
}

#[derive(Debug)]
enum Chunk {
    Own(Vec<u8>),
    Shared(Bytes),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// Nothing waits any more.
    All,
    /// The socket takes no more now; this many bytes went.
    Some(usize),
}

/// The output of one connection.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    full: VecDeque<Chunk>,
    open: Vec<u8>,
    /// Bytes of the oldest chunk that are written already.
    sent: usize,
    pending: usize,
    /// What was appended since the last time that nothing waited: the size of the next chunk.
    recent: usize,
}

impl Outbound {
    /// Bytes that wait.
    #[inline]
    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    /// Appends three slices as one; returns how many bytes wait then.
    #[inline]
    pub(super) fn append(&mut self, parts: [&[u8]; 3], pool: &mut Pool) -> usize {
        let bytes = parts[0].len() + parts[1].len() + parts[2].len();
        if self.open.capacity() - self.open.len() < bytes {
            self.next_chunk(bytes, pool);
        }
        for part in parts {
            self.open.extend_from_slice(part);
        }
        self.pending += bytes;
        self.pending
    }

    /// Appends bytes without copying them.
    pub(super) fn append_shared(&mut self, bytes: Bytes, pool: &mut Pool) -> usize {
        self.pending += bytes.len();
        if self.open.capacity() > SMALL && self.open.len() < self.open.capacity() / 4 {
            // A chunk of full size for a few bytes: what waits would take many times its length.
            let few = self.open.as_slice().to_vec();
            pool.give(std::mem::replace(&mut self.open, few));
        }
        self.close_chunk();
        self.full.push_back(Chunk::Shared(bytes));
        self.pending
    }

    #[cold]
    fn next_chunk(&mut self, bytes: usize, pool: &mut Pool) {
        let behind_shared =
            self.open.is_empty() && matches!(self.full.back(), Some(Chunk::Shared(_)));
        let wanted = self.recent.max(self.pending).min(CHUNK).max(bytes);
        self.close_chunk();
        self.open = if behind_shared && bytes <= SMALL {
            Vec::with_capacity(bytes.max(HEAD_CHUNK).next_power_of_two())
        } else {
            pool.take(wanted)
        };
    }

    fn close_chunk(&mut self) {
        if !self.open.is_empty() {
            self.full.push_back(Chunk::Own(std::mem::take(&mut self.open)));
        }
    }

    /// Writes until nothing waits or the socket takes no more.
    pub(super) fn write(&mut self, socket: impl AsFd, pool: &mut Pool) -> Result<Written, Errno> {
        self.recent = self.pending;
        let mut total = 0;
        while self.pending > 0 {
            let written = match self.write_once(&socket) {
                Err(Errno::AGAIN) => return Ok(Written::Some(total)),
                Err(Errno::INTR) => continue,
                written => written?,
            };
            let asked = self.pending.min(self.gathered());
            self.advance(written, pool);
            total += written;
            if written < asked {
                return Ok(Written::Some(total));
            }
        }
        pool.give(std::mem::take(&mut self.open));
        Ok(Written::All)
    }

    fn write_once(&self, socket: impl AsFd) -> Result<usize, Errno> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        if self.full.is_empty() {
            return rustix::net::send(socket, &self.open[self.sent..], flags);
        }
        let slices: Vec<IoSlice<'_>> = self.slices().map(IoSlice::new).collect();
        rustix::net::sendmsg(socket, &slices, &mut SendAncillaryBuffer::default(), flags)
    }

    /// What one write tries to write.
    fn gathered(&self) -> usize {
        if self.full.len() < MAX_GATHERED {
            return self.pending;
        }
        self.slices().map(<[u8]>::len).sum()
    }

    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let chunks = self.full.iter().map(Chunk::bytes).chain([&self.open[..]]).take(MAX_GATHERED);
        chunks
            .enumerate()
            .map(|(index, bytes)| if index == 0 { &bytes[self.sent..] } else { bytes })
    }

    fn advance(&mut self, mut written: usize, pool: &mut Pool) {
        self.pending -= written;
        while let Some(oldest) = self.full.front() {
            let rest = oldest.bytes().len() - self.sent;
            if written < rest {
                break;
            }
            written -= rest;
            self.sent = 0;
            if let Some(Chunk::Own(chunk)) = self.full.pop_front() {
                pool.give(chunk);
            }
        }
        self.sent += written;
        if self.pending == 0 {
            self.sent = 0;
            self.open.clear();
            self.full.shrink_to(MAX_GATHERED);
        }
    }

    /// Forgets all that waits.
    pub(super) fn discard(&mut self, pool: &mut Pool) {
        for chunk in std::mem::take(&mut self.full) {
            if let Chunk::Own(chunk) = chunk {
                pool.give(chunk);
            }
        }
        pool.give(std::mem::take(&mut self.open));
        (self.sent, self.pending) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::unix::net::UnixStream};

    use super::*;

    /// Appends lines of growing length, some shared, while the reader is `eager` or only reads in
    /// the end; all must arrive in order.
    fn check(lines: usize, eager: bool) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let (mut out, mut pool) = (Outbound::default(), Pool::default());
        let (mut expected, mut got) = (Vec::new(), Vec::new());
        for number in 0..lines {
            let body = vec![b'a' + u8::try_from(number % 26).unwrap(); number % 9000];
            expected.extend_from_slice(b"> ");
            expected.extend_from_slice(&body);
            out.append([b">", b" ", if number % 7 == 0 { b"" } else { &body }], &mut pool);
            if number % 7 == 0 {
                out.append_shared(Bytes::from(body), &mut pool);
            }
            if eager {
                out.write(&ours, &mut pool).unwrap();
                let _ = theirs.read_to_end(&mut got);
            }
        }
        while out.write(&ours, &mut pool).unwrap() != Written::All {
            let _ = theirs.read_to_end(&mut got);
        }
        let _ = theirs.read_to_end(&mut got);
        assert!(got == expected, "{} bytes of {}", got.len(), expected.len());
        assert_eq!(out.open.capacity(), 0, "an idle connection holds no buffer");
    }

    #[test]
    fn what_waits_takes_little_more_than_its_length() {
        // heads between shared bodies; and heads, something short, bodies
        for shorts in [0, 1, 3] {
            let (mut out, mut pool) = (Outbound::default(), Pool::default());
            let body = Bytes::from(vec![b'x'; 4200]);
            for _ in 0..1000 {
                out.append([b"MSG some.subject 1 4200", b"\r\n", b""], &mut pool);
                out.append_shared(body.clone(), &mut pool);
                for _ in 0..shorts {
                    out.append([&[b'y'; 100], b"", b""], &mut pool);
                }
            }
            let own = out.full.iter().map(|chunk| match chunk {
                Chunk::Own(bytes) => bytes.capacity(),
                Chunk::Shared(_) => 0,
            });
            let taken = own.sum::<usize>() + 1000 * body.len();
            assert!(taken < out.pending() * 5 / 4, "{taken} bytes for {}", out.pending());
        }
    }

    #[test]
    fn what_is_appended_arrives_in_order() {
        for (lines, eager) in [(1, true), (3, false), (2000, true), (2000, false)] {
            check(lines, eager);
        }
    }
}
