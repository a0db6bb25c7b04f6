//! The bytes of one record. Pure.
//!
//! Little endian, padded with zeros to a multiple of [`ALIGN`]:
//!
//! | Offset | Bytes | |
//! |---|---|---|
//! | 0 | 4 | length without padding |
//! | 4 | 4 | CRC-32 of the length and of everything from offset 8 on, seeded with the stream's salt |
//! | 8 | 1 | [`Kind`] |
//! | 9 | 1 | zero |
//! | 10 | 2 | bytes of the subject |
//! | 12 | 4 | offset up to which this segment was durable when the record was made |
//! | 16 | 8 | sequence |
//! | 24 | 8 | nanoseconds since 1970 |
//! | 32 | 4 | bytes of the headers |
//! | 36 | 2 | bytes of the message id |
//! | 38 | 2 | zero |
//! | 40 | | subject, message id, headers, body |
//!
//! The salt is random per stream and never leaves the machine. After damage the search for the
//! next record also passes over bodies, which strangers wrote: without the salt they could place
//! records in them.

use super::super::state::UnixNanos;

/// Bytes before the subject.
pub(crate) const HEAD: usize = 40;
/// Records begin at multiples of this.
pub(crate) const ALIGN: usize = 8;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A message.
    Message,
    /// Messages are gone: all before `seq`, and those in the body, which holds the last number
    /// given out and then pairs of first and last number.
    Remove,
    /// Nothing but that everything before it, up to message `seq`, was durable: the end of a
    /// closed log.
    Durable,
    /// The first record of a segment: `seq` is the first message that can be in it, the body the
    /// first message that was there when it was begun.
    Segment,
    /// What is left of a message whose bytes were overwritten.
    Erased,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Message => 1,
            Self::Remove => 2,
            Self::Durable => 3,
            Self::Segment => 4,
            Self::Erased => 5,
        }
    }

    fn of(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Message,
            2 => Self::Remove,
            3 => Self::Durable,
            4 => Self::Segment,
            5 => Self::Erased,
            _ => return None,
        })
    }
}

/// A record, borrowed from where its bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) kind: Kind,
    pub(crate) durable: u32,
    pub(crate) seq: u64,
    pub(crate) at: UnixNanos,
    pub(crate) subject: &'a [u8],
    pub(crate) msg_id: &'a [u8],
    pub(crate) headers: &'a [u8],
    pub(crate) body: &'a [u8],
}

impl<'a> Record<'a> {
    /// A record that is no message.
    pub(crate) fn control(kind: Kind, durable: u32, seq: u64, at: UnixNanos) -> Self {
        Self { kind, durable, seq, at, subject: &[], msg_id: &[], headers: &[], body: &[] }
    }

    /// Bytes without padding.
    pub(crate) fn len(&self) -> usize {
        HEAD + self.subject.len() + self.msg_id.len() + self.headers.len() + self.body.len()
    }

    /// Appends the record and its padding. The caller has checked that every part fits its
    /// length field.
    pub(crate) fn encode(&self, salt: u32, out: &mut Vec<u8>) {
        let start = out.len();
        let len = self.len() as u32;
        out.reserve(padded(self.len()));
        out.extend_from_slice(&self.head(len));
        for part in [self.subject, self.msg_id, self.headers, self.body] {
            out.extend_from_slice(part);
        }
        let crc = checksum(len, &out[start + 8..], salt);
        out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
        out.resize(start + padded(self.len()), 0);
    }

    fn head(&self, len: u32) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&len.to_le_bytes());
        head[8] = self.kind.code();
        head[10..12].copy_from_slice(&(self.subject.len() as u16).to_le_bytes());
        head[12..16].copy_from_slice(&self.durable.to_le_bytes());
        head[16..24].copy_from_slice(&self.seq.to_le_bytes());
        head[24..32].copy_from_slice(&self.at.0.to_le_bytes());
        head[32..36].copy_from_slice(&(self.headers.len() as u32).to_le_bytes());
        head[36..38].copy_from_slice(&(self.msg_id.len() as u16).to_le_bytes());
        head
    }

    /// The record at the start of `bytes`, if its checksum is right.
    pub(crate) fn verified(bytes: &'a [u8], salt: u32) -> Option<Self> {
        let record = Self::parse(bytes)?;
        let len = record.len();
        let stored = u32_at(bytes, 4)?;
        (checksum(len as u32, &bytes[8..len], salt) == stored).then_some(record)
    }

    /// The record at the start of `bytes` by its shape alone: for bytes that were verified.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (head, _) = bytes.split_at_checked(HEAD)?;
        let len = u32_at(head, 0)? as usize;
        let (subject, headers, id) =
            (u16_at(head, 10)? as usize, u32_at(head, 32)? as usize, u16_at(head, 36)? as usize);
        let rest = bytes.get(HEAD..len)?;
        let (subject, rest) = rest.split_at_checked(subject)?;
        let (msg_id, rest) = rest.split_at_checked(id)?;
        let (headers, body) = rest.split_at_checked(headers)?;
        Some(Self {
            kind: Kind::of(head[8])?,
            durable: u32_at(head, 12)?,
            seq: u64_at(head, 16)?,
            at: UnixNanos(u64_at(head, 24)?),
            subject,
            msg_id,
            headers,
            body,
        })
    }

    /// The ranges of a [`Kind::Remove`], first and last.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + 'a {
        let pairs = self.body.get(8..).unwrap_or_default();
        pairs.chunks_exact(16).filter_map(|pair| Some((u64_at(pair, 0)?, u64_at(pair, 8)?)))
    }

    /// The number that the body begins with, in a [`Kind::Segment`] or a [`Kind::Remove`].
    pub(crate) fn number(&self) -> u64 {
        u64_at(self.body, 0).unwrap_or(0)
    }
}

/// What a message of so many bytes without padding counts in a stream's figures and limits:
/// as in nats-server 30 bytes beside subject and content, whatever it takes on the disk.
pub(crate) fn counted(len: usize) -> u64 {
    (len.saturating_sub(HEAD) + 30) as u64
}

/// Bytes of a record of `len` bytes with its padding.
pub(crate) fn padded(len: usize) -> usize {
    len.next_multiple_of(ALIGN)
}

/// The length that the record at the start of `bytes` claims.
pub(crate) fn claimed_len(bytes: &[u8]) -> usize {
    u32_at(bytes, 0).unwrap_or(0) as usize
}

/// When the record was made, from its first [`HEAD`] bytes, unverified.
pub(crate) fn claimed_at(head: &[u8]) -> UnixNanos {
    UnixNanos(u64_at(head, 24).unwrap_or(0))
}

fn checksum(len: u32, rest: &[u8], salt: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt ^ len);
    hasher.update(rest);
    hasher.finalize()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
