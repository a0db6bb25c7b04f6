//! Control lines: a verb, blanks, arguments, a line feed. What both directions share.

use memchr::memchr;

use super::{Parsed, ProtoError, ProtoLimits};

/// The longest size that counts as a number: 999,999,999 bytes.
const MAX_DIGITS: usize = 9;

/// Whether `byte` separates arguments. A carriage return inside a line does so too.
pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Whether `buf` begins with `verb`, which is in capitals, whatever its case; `None` where it may
/// still become so.
fn begins(buf: &[u8], verb: &[u8]) -> Option<bool> {
    let seen = buf.len().min(verb.len());
    match buf[..seen].eq_ignore_ascii_case(&verb[..seen]) {
        false => Some(false),
        true if seen == verb.len() => Some(true),
        true => None,
    }
}

#[inline]
pub(super) fn whole<F>(frame: F, used: usize) -> Parsed<F> {
    Parsed::Frame { frame, used }
}

/// The frame's end is not known yet.
#[inline]
pub(super) fn more<F>(buf: &[u8]) -> Parsed<F> {
    Parsed::Incomplete { need: buf.len() + 1 }
}

/// Reads on where `buf` begins with `verb`.
#[inline]
pub(super) fn verb<'a, F>(
    buf: &'a [u8],
    verb: &[u8],
    read: impl FnOnce(&'a [u8]) -> Result<Parsed<F>, ProtoError>,
) -> Result<Parsed<F>, ProtoError> {
    match begins(buf, verb) {
        Some(true) => read(buf),
        Some(false) => Err(ProtoError::UnknownOperation),
        None => Ok(more(buf)),
    }
}

/// The arguments after a verb of `verb` bytes, and where the line ends; `None` where it does not
/// end yet. At least one blank must follow the verb.
#[inline]
pub(super) fn arguments<'a>(
    buf: &'a [u8],
    verb: usize,
    limits: &ProtoLimits,
) -> Result<Option<(&'a [u8], usize)>, ProtoError> {
    match buf.get(verb) {
        None => Ok(None),
        Some(b' ' | b'\t') => text(buf, verb, limits),
        Some(_) => Err(ProtoError::UnknownOperation),
    }
}

/// As [`arguments`], but the blank may be missing. The first byte after the blanks belongs to the
/// text even where it is a line feed: so reads nats-server.
#[inline]
pub(super) fn text<'a>(
    buf: &'a [u8],
    verb: usize,
    limits: &ProtoLimits,
) -> Result<Option<(&'a [u8], usize)>, ProtoError> {
    let blanks = buf[verb..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    let start = verb + blanks;
    let found = buf.get(start + 1..).and_then(|rest| memchr(b'\n', rest));
    let end = found.map_or(buf.len(), |at| start + 1 + at);
    // one more than allowed may be the carriage return
    let line = buf.get(start..end).unwrap_or_default();
    let line = match line {
        [_, .., b'\r'] => &line[..line.len() - 1],
        _ => line,
    };
    if blanks.max(line.len()) > limits.max_control_line {
        return Err(ProtoError::ControlLine);
    }
    Ok(found.map(|_| (line, end + 1)))
}

/// Where the line that has no arguments ends. What stands between the verb and the line feed is
/// skipped: so does nats-server.
pub(super) fn bare(
    buf: &[u8],
    verb: usize,
    limits: &ProtoLimits,
) -> Result<Option<usize>, ProtoError> {
    let found = memchr(b'\n', &buf[verb..]);
    if found.unwrap_or(buf.len() - verb) > limits.max_control_line {
        return Err(ProtoError::ControlLine);
    }
    Ok(found.map(|at| verb + at + 1))
}

/// The arguments of a line, up to `N` of them; `None` where there are more.
#[inline]
pub(super) fn split<const N: usize>(line: &[u8]) -> Option<([&[u8]; N], usize)> {
    let mut arguments = [&line[..0]; N];
    let mut count = 0;
    let mut start = 0;
    while start < line.len() {
        let rest = &line[start..];
        let length = rest.iter().position(|b| is_blank(*b)).unwrap_or(rest.len());
        if length > 0 {
            *arguments.get_mut(count)? = &rest[..length];
            count += 1;
        }
        start += length + 1;
    }
    Some((arguments, count))
}

/// A number of bytes or messages: one to nine digits.
#[inline]
pub(super) fn number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > MAX_DIGITS {
        return None;
    }
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + usize::from(digit - b'0'))
    })
}

/// Where the payload of `size` bytes that begins at `start` ends, and its frame; `None` where it
/// is not all there. The bytes that end it are looked at as soon as they come.
#[inline]
pub(super) fn payload(
    buf: &[u8],
    start: usize,
    size: usize,
) -> Result<Option<(&[u8], usize)>, ProtoError> {
    let end = start + size;
    match buf.get(end..).unwrap_or_default() {
        [b'\r', b'\n', ..] => Ok(Some((&buf[start..end], end + 2))),
        [] | [b'\r'] => Ok(None),
        _ => Err(ProtoError::PayloadEnd),
    }
}
