//! Request bodies: counted, hashed, and their beginning kept for forms.

use sha2::{Digest, Sha256};

use super::parse::BodyLength;

/// How much of a body is kept.
const MAX_KEPT_BYTES: usize = 64 << 10;

/// Longest line that frames a chunk.
const MAX_CHUNK_LINE_BYTES: usize = 4096;

/// A body on its way in.
#[derive(Debug)]
pub(super) struct Body {
    state: State,
    hash: Sha256,
    /// Its first bytes.
    pub(super) kept: Vec<u8>,
    /// Its size so far.
    pub(super) bytes: u64,
}

#[derive(Debug)]
enum State {
    Counted(u64),
    ChunkLine,
    Chunk(u64),
    ChunkEnd,
    Trailer,
    Done,
}

/// The bytes are no body.
#[derive(Debug)]
pub(super) struct BadChunk;

impl Body {
    pub(super) fn new(length: BodyLength) -> Self {
        let state = match length {
            BodyLength::Exactly(0) => State::Done,
            BodyLength::Exactly(bytes) => State::Counted(bytes),
            BodyLength::Chunked => State::ChunkLine,
        };
        Self { state, hash: Sha256::new(), kept: Vec::new(), bytes: 0 }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// SHA-256 of the bytes so far, in lower-case hex.
    pub(super) fn sha256(&self) -> String {
        hex(&self.hash.clone().finalize())
    }

    /// Takes what belongs to the body from the start of `bytes`; tells how much that was.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<usize, BadChunk> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            match self.state {
                State::Done => return Ok(at),
                State::Counted(left) | State::Chunk(left) => {
                    if rest.is_empty() {
                        return Ok(at);
                    }
                    let take = usize::try_from(left).map_or(rest.len(), |n| n.min(rest.len()));
                    self.keep(&rest[..take]);
                    at += take;
                    let left = left - take as u64;
                    self.state = match (&self.state, left) {
                        (State::Counted(_), 0) => State::Done,
                        (State::Counted(_), left) => State::Counted(left),
                        (_, 0) => State::ChunkEnd,
                        (_, left) => State::Chunk(left),
                    };
                }
                State::ChunkLine | State::ChunkEnd | State::Trailer => {
                    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                        let too_long = rest.len() > MAX_CHUNK_LINE_BYTES;
                        return if too_long { Err(BadChunk) } else { Ok(at) };
                    };
                    if end > MAX_CHUNK_LINE_BYTES {
                        return Err(BadChunk);
                    }
                    let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
                    self.state = self.after_line(line)?;
                    at += end + 1;
                }
            }
        }
    }

    fn after_line(&self, line: &[u8]) -> Result<State, BadChunk> {
        match self.state {
            State::ChunkEnd if line.is_empty() => Ok(State::ChunkLine),
            State::ChunkEnd => Err(BadChunk),
            State::Trailer if line.is_empty() => Ok(State::Done),
            State::Trailer => Ok(State::Trailer),
            _ => {
                let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
                let size = std::str::from_utf8(size.trim_ascii()).map_err(|_| BadChunk)?;
                if size.starts_with('+') {
                    return Err(BadChunk);
                }
                match u32::from_str_radix(size, 16).map_err(|_| BadChunk)? {
                    0 => Ok(State::Trailer),
                    size => Ok(State::Chunk(u64::from(size))),
                }
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        let room = MAX_KEPT_BYTES - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// Bytes in lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
