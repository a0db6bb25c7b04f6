//! Frames as bytes, appended to what is there. Nothing is checked: subjects, sids and queue groups
//! must have no white space, and are none of this module's business otherwise.

use std::{fmt::Display, io::Write as _};

/// Appends `parts`, one after the other, with one growth of `out`.
fn push(out: &mut Vec<u8>, parts: &[&[u8]]) {
    out.reserve(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// A number in decimal, on the stack.
struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    #[inline]
    fn of(mut number: u64) -> Decimal {
        let mut decimal = Decimal { digits: [b'0'; 20], start: 20 };
        loop {
            decimal.start -= 1;
            decimal.digits[decimal.start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return decimal;
            }
        }
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}

/// A reply subject with its blank, or nothing.
fn optional(word: Option<&[u8]>) -> [&[u8]; 2] {
    word.map_or([b"", b""], |word| [word, b" "])
}

/// Everything of a MSG, or of an HMSG where `headers_len` is not 0, before its payload of `size`
/// bytes, headers included. The payload and a CRLF must follow.
#[inline]
pub fn msg_head(
    out: &mut Vec<u8>,
    subject: &[u8],
    sid: &[u8],
    reply: Option<&[u8]>,
    headers_len: usize,
    size: usize,
) {
    let [reply, gap] = optional(reply);
    let total = Decimal::of(size as u64);
    if headers_len == 0 {
        push(out, &[b"MSG ", subject, b" ", sid, b" ", reply, gap, total.bytes(), b"\r\n"]);
        return;
    }
    let headers = Decimal::of(headers_len as u64);
    let sizes = [headers.bytes(), b" ", total.bytes(), b"\r\n"];
    push(out, &[b"HMSG ", subject, b" ", sid, b" ", reply, gap]);
    push(out, &sizes);
}

/// A MSG, or an HMSG where the first `headers_len` bytes of the payload are headers.
#[inline]
pub fn msg(
    out: &mut Vec<u8>,
    subject: &[u8],
    sid: &[u8],
    reply: Option<&[u8]>,
    headers_len: usize,
    payload: &[u8],
) {
    msg_head(out, subject, sid, reply, headers_len, payload.len());
    push(out, &[payload, b"\r\n"]);
}

/// A PUB, or an HPUB where `headers` is not empty.
pub fn pub_(out: &mut Vec<u8>, subject: &[u8], reply: Option<&[u8]>, headers: &[u8], body: &[u8]) {
    let [reply, gap] = optional(reply);
    let total = Decimal::of((headers.len() + body.len()) as u64);
    if headers.is_empty() {
        push(out, &[b"PUB ", subject, b" ", reply, gap, total.bytes(), b"\r\n", body, b"\r\n"]);
        return;
    }
    let length = Decimal::of(headers.len() as u64);
    push(out, &[b"HPUB ", subject, b" ", reply, gap, length.bytes(), b" ", total.bytes(), b"\r\n"]);
    push(out, &[headers, body, b"\r\n"]);
}

/// A SUB.
pub fn sub(out: &mut Vec<u8>, subject: &[u8], queue: Option<&[u8]>, sid: &[u8]) {
    let [queue, gap] = optional(queue);
    push(out, &[b"SUB ", subject, b" ", queue, gap, sid, b"\r\n"]);
}

/// An UNSUB: at once, or after `max` messages in all.
pub fn unsub(out: &mut Vec<u8>, sid: &[u8], max: Option<u64>) {
    match max.map(Decimal::of) {
        None => push(out, &[b"UNSUB ", sid, b"\r\n"]),
        Some(max) => push(out, &[b"UNSUB ", sid, b" ", max.bytes(), b"\r\n"]),
    }
}

/// A `-ERR` with its quotes.
pub fn err(out: &mut Vec<u8>, text: impl Display) {
    // writing to a vector cannot fail
    let _ = write!(out, "-ERR '{text}'\r\n");
}

/// A PING.
pub fn ping(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PING\r\n");
}

/// A PONG.
pub fn pong(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PONG\r\n");
}

/// A `+OK`.
pub fn ok(out: &mut Vec<u8>) {
    out.extend_from_slice(b"+OK\r\n");
}

/// An INFO; `json` on one line.
pub fn info(out: &mut Vec<u8>, json: &[u8]) {
    push(out, &[b"INFO ", json, b"\r\n"]);
}

/// A CONNECT; `json` on one line.
pub fn connect(out: &mut Vec<u8>, json: &[u8]) {
    push(out, &[b"CONNECT ", json, b"\r\n"]);
}
