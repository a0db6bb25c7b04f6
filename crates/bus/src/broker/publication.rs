//! A message between publisher and receivers, in the forms that receivers read.
//!
//! On the wire a receiver reads `[H]MSG subject sid [reply] [headers] bytes CRLF payload CRLF`;
//! only the sid differs between receivers. So the part before it (`head`) and the part behind it
//! (`tail`) are made once, and mostly not even made: what a publisher sent behind its subject is
//! the tail, byte for byte.

use bytes::Bytes;

use super::batch::{Message, Origin, SHARED_ABOVE};

/// One message on its way.
#[derive(Debug)]
pub(super) struct Publication<'a> {
    /// What subscriptions are matched with.
    pub(super) route: &'a [u8],
    /// What receivers see.
    pub(super) subject: &'a [u8],
    pub(super) reply: Option<&'a [u8]>,
    pub(super) headers: &'a [u8],
    pub(super) body: &'a [u8],
    pub(super) from: Origin,
    /// `HMSG subject `.
    pub(super) head: &'a [u8],
    pub(super) tail: &'a [u8],
    /// The tail for receivers that know no headers, once one of them came.
    stripped: Option<Vec<u8>>,
    shared: Option<Bytes>,
}

/// The parts of a publication that its tail is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) reply: Option<&'a [u8]>,
    pub(super) headers: &'a [u8],
    pub(super) body: &'a [u8],
}

impl<'a> Publication<'a> {
    pub(super) fn new(
        (route, subject): (&'a [u8], &'a [u8]),
        parts: Parts<'a>,
        from: Origin,
        (head, tail): (&'a [u8], &'a [u8]),
    ) -> Self {
        let Parts { reply, headers, body } = parts;
        let (stripped, shared) = (None, None);
        Self { route, subject, reply, headers, body, from, head, tail, stripped, shared }
    }

    /// Bytes of headers and body.
    #[inline]
    pub(super) fn size(&self) -> usize {
        self.headers.len() + self.body.len()
    }

    /// Whether receivers share the tail instead of each getting a copy.
    #[inline]
    pub(super) fn is_large(&self) -> bool {
        self.size() > SHARED_ABOVE
    }

    /// Head and tail for a receiver that knows headers, or not.
    #[inline]
    pub(super) fn wire(&mut self, headers: bool) -> (&[u8], &[u8]) {
        if self.headers.is_empty() {
            (&self.head[1..], self.tail)
        } else if headers {
            (self.head, self.tail)
        } else {
            (&self.head[1..], self.without_headers())
        }
    }

    /// The tail in a form that many may hold.
    pub(super) fn shared_tail(&mut self) -> Bytes {
        let tail = self.tail;
        self.shared.get_or_insert_with(|| Bytes::copy_from_slice(tail)).clone()
    }

    /// As an in-process client gets it, with headers and body in a form that many may hold where
    /// that is worth it.
    pub(super) fn message(&mut self, subscription: u64) -> (Message<'a>, Option<Bytes>) {
        let message = Message {
            subscription,
            subject: self.subject,
            reply: self.reply,
            headers: self.headers,
            body: self.body,
            from: self.from,
        };
        if !self.is_large() {
            return (message, None);
        }
        let tail = self.shared_tail();
        let end = tail.len() - 2;
        (message, Some(tail.slice(end - self.size()..end)))
    }

    fn without_headers(&mut self) -> &[u8] {
        let parts = Parts { reply: self.reply, headers: b"", body: self.body };
        self.stripped.get_or_insert_with(|| {
            let mut tail = Vec::new();
            write_tail(&mut tail, parts);
            tail
        })
    }
}

/// Writes `HMSG subject ` in place of what `out` held.
pub(super) fn write_head(out: &mut Vec<u8>, subject: &[u8]) {
    out.clear();
    out.extend_from_slice(b"HMSG ");
    out.extend_from_slice(subject);
    out.push(b' ');
}

/// Writes the tail of a message in place of what `out` held.
pub(super) fn write_tail(out: &mut Vec<u8>, parts: Parts<'_>) {
    out.clear();
    if let Some(reply) = parts.reply {
        out.extend_from_slice(reply);
        out.push(b' ');
    }
    if !parts.headers.is_empty() {
        write_number(out, parts.headers.len());
        out.push(b' ');
    }
    write_number(out, parts.headers.len() + parts.body.len());
    for part in [b"\r\n", parts.headers, parts.body, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// The end of `frame`, a whole PUB or HPUB, where it is the tail of the message as [`write_tail`]
/// would write it: single spaces, no leading zeros, CR LF. The parser takes a carriage return
/// inside of the line for a blank; stock clients do not.
#[inline]
pub(super) fn tail_of<'a>(frame: &'a [u8], subject: &[u8], parts: Parts<'_>) -> Option<&'a [u8]> {
    let verb = if parts.headers.is_empty() { b"PUB ".len() } else { b"HPUB ".len() };
    let reply = parts.reply.map_or(0, |reply| reply.len() + 1);
    let headers = parts.headers.len();
    let header_digits = if headers == 0 { 0 } else { digits(headers) + 1 };
    let size = headers + parts.body.len();
    let line = reply + header_digits + digits(size);
    let start = verb + subject.len() + 1;
    if frame.len() != start + line + 2 + size + 2 {
        return None;
    }
    let tail = &frame[start..];
    let plain = frame[verb - 1] == b' '
        && frame[start - 1] == b' '
        && tail[line..].starts_with(b"\r\n")
        && tail.ends_with(b"\r\n")
        && !tail[..line].iter().any(|byte| matches!(byte, b'\t' | b'\r'));
    plain.then_some(tail)
}

#[inline]
fn digits(number: usize) -> usize {
    match number {
        0..10 => 1,
        10..100 => 2,
        100..1000 => 3,
        1000..10_000 => 4,
        _ => number.ilog10() as usize + 1,
    }
}

fn write_number(out: &mut Vec<u8>, number: usize) {
    let start = out.len();
    let mut rest = number;
    loop {
        out.push(b'0' + u8::try_from(rest % 10).unwrap_or_default());
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out[start..].reverse();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a publisher sent is taken as it is, or not.
    fn check(frame: &[u8], parts: Parts<'_>, taken: bool) {
        let mut written = Vec::new();
        write_tail(&mut written, parts);
        let tail = tail_of(frame, b"a.b", parts);
        assert_eq!(tail.is_some(), taken, "{:?}", String::from_utf8_lossy(frame));
        assert!(tail.is_none_or(|tail| tail == written), "{:?}", String::from_utf8_lossy(frame));
    }

    #[test]
    fn the_tail_of_a_plain_frame_is_used_as_it_is() {
        let parts = |reply, headers, body| Parts { reply, headers, body };
        let plain = parts(None, b"", b"hello");
        check(b"PUB a.b 5\r\nhello\r\n", plain, true);
        check(b"pub a.b 5\r\nhello\r\n", plain, true);
        check(b"PUB a.b  5\r\nhello\r\n", plain, false);
        check(b"PUB a.b\t5\r\nhello\r\n", plain, false);
        check(b"PUB\ta.b 5\r\nhello\r\n", plain, false);
        check(b"PUB a.b 05\r\nhello\r\n", plain, false);
        check(b"PUB a.b 5 \nhello\r\n", plain, false);
        check(b"PUB a.b 5\nhello\r\n", plain, false);
        let answered = parts(Some(b"r".as_slice()), b"", b"0123456789");
        check(b"PUB a.b r 10\r\n0123456789\r\n", answered, true);
        check(b"PUB a.b r\t10\r\n0123456789\r\n", answered, false);
        check(b"PUB a.b r\r10\r\n0123456789\r\n", answered, false);
        check(b"PUB a.b\rr 10\r\n0123456789\r\n", answered, false);
        let headers_only = parts(None, b"NATS/1.0\r\n\r\n", b"");
        check(b"HPUB a.b 12\r12\r\nNATS/1.0\r\n\r\n\r\n", headers_only, false);
        let headed = parts(Some(b"r".as_slice()), b"NATS/1.0\r\n\r\n", b"");
        check(b"HPUB a.b r 12 12\r\nNATS/1.0\r\n\r\n\r\n", headed, true);
        check(b"HPUB a.b r 12  12\r\nNATS/1.0\r\n\r\n\r\n", headed, false);
    }

    #[test]
    fn digits_are_those_of_the_number() {
        for number in [0, 1, 9, 10, 99, 100, 999, 1000, 9999, 10_000, 99_999, 100_000, 1_048_576] {
            let mut written = Vec::new();
            write_number(&mut written, number);
            assert_eq!(written, number.to_string().as_bytes());
            assert_eq!(digits(number), written.len());
        }
    }
}
