//! The header block of a message: `NATS/1.0`, a status or none, and lines of `Key: value`.

use memchr::{memchr, memmem};

/// How every block begins.
const VERSION: &[u8] = b"NATS/1.0";
const CRLF: &[u8] = b"\r\n";

/// Why bytes are no header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It does not begin with `NATS/1.0`.
    #[error("not a header block of version 1.0")]
    Version,
    /// The empty line that ends it is missing, or something follows it.
    #[error("header block without an end")]
    Unterminated,
    /// A line without a key and a colon.
    #[error("header line without a key")]
    Line,
}

/// A header block that was read. Keys are compared with their case, as nats-server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers<'a> {
    first: &'a [u8],
    lines: &'a [u8],
}

impl<'a> Headers<'a> {
    /// Reads a whole block, from `NATS/1.0` to the empty line.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(block: &'a [u8]) -> Result<Headers<'a>, HeaderError> {
        let rest = block.strip_prefix(VERSION).ok_or(HeaderError::Version)?;
        let (first, lines) = split_line(rest).ok_or(HeaderError::Unterminated)?;
        if !matches!(first, [] | [b' ' | b'\t', ..]) {
            return Err(HeaderError::Version);
        }
        check(lines)?;
        Ok(Headers { first: first.trim_ascii(), lines })
    }

    /// The first value of `key`.
    pub fn get(&self, key: &[u8]) -> Option<&'a [u8]> {
        self.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// Every key with its value, in their order. White space around values is taken off.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.lines;
        std::iter::from_fn(move || {
            let (line, after) = split_line(rest)?;
            rest = after;
            entry(line)
        })
    }

    /// The status, such as 503 where nobody heard a request.
    pub fn status(&self) -> Option<u16> {
        let code = self.first.get(..3)?;
        let code = code.iter().all(u8::is_ascii_digit).then_some(code)?;
        Some(code.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
    }

    /// The words after the status.
    pub fn description(&self) -> Option<&'a [u8]> {
        self.status()?;
        Some(self.first[3..].trim_ascii()).filter(|words| !words.is_empty())
    }
}

/// The first line without its end, and the rest.
fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memmem::find(text, CRLF)?;
    Some((&text[..end], &text[end + CRLF.len()..]))
}

fn entry(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr(b':', line).filter(|at| *at > 0)?;
    Some((&line[..colon], line[colon + 1..].trim_ascii()))
}

/// Whether `lines` are entries up to the empty line, which ends them.
fn check(lines: &[u8]) -> Result<(), HeaderError> {
    let mut rest = lines;
    loop {
        let (line, after) = split_line(rest).ok_or(HeaderError::Unterminated)?;
        match (line.is_empty(), after.is_empty()) {
            (true, true) => return Ok(()),
            (true, false) => return Err(HeaderError::Unterminated),
            (false, _) => entry(line).map(drop).ok_or(HeaderError::Line)?,
        }
        rest = after;
    }
}

/// Writes a header block.
#[derive(Clone, Debug, Default)]
pub struct HeaderBuilder {
    status: Vec<u8>,
    lines: Vec<u8>,
}

impl HeaderBuilder {
    /// A block without anything.
    pub fn new() -> HeaderBuilder {
        HeaderBuilder::default()
    }

    /// Gives it a status, such as 503, and words for it.
    #[must_use]
    pub fn status(mut self, code: u16, description: Option<&str>) -> HeaderBuilder {
        self.status = format!(" {code:03}").into_bytes();
        if let Some(words) = description {
            self.status.push(b' ');
            clean(&mut self.status, words.as_bytes(), |b| b == b'\r' || b == b'\n', b' ');
        }
        self
    }

    /// Adds a line. A line break in `value` becomes a blank; what cannot be in a key becomes `_`,
    /// an empty one too: nothing that is added can end the block.
    #[must_use]
    pub fn add(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> HeaderBuilder {
        let key = Some(key.as_ref()).filter(|key| !key.is_empty()).unwrap_or(b"_");
        clean(&mut self.lines, key, |b| b == b':' || b.is_ascii_control(), b'_');
        self.lines.extend_from_slice(b": ");
        clean(&mut self.lines, value.as_ref(), |b| b == b'\r' || b == b'\n', b' ');
        self.lines.extend_from_slice(CRLF);
        self
    }

    /// The block.
    pub fn finish(self) -> Vec<u8> {
        [VERSION, &self.status, CRLF, &self.lines, CRLF].concat()
    }
}

/// Appends `text` with `instead` for what is `bad`.
fn clean(out: &mut Vec<u8>, text: &[u8], bad: fn(u8) -> bool, instead: u8) {
    out.extend(text.iter().map(|byte| if bad(*byte) { instead } else { *byte }));
}
