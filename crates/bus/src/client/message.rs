//! A message as it came in.

use std::borrow::Cow;

use bytes::Bytes;

use crate::proto::Headers;

/// A message that a subscription got. Its parts share one buffer of their own size: keeping a
/// message keeps nothing else in memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Where it was published to. Bytes: a server passes on what is no UTF-8.
    pub subject: Bytes,
    /// Where an answer is wanted.
    pub reply: Option<Bytes>,
    /// The whole header block, or empty.
    pub headers: Bytes,
    /// The body.
    pub body: Bytes,
    pub(crate) subscription: u64,
}

impl Message {
    /// A message from the parts of a frame.
    pub(super) fn new(
        subscription: u64,
        subject: &[u8],
        reply: Option<&[u8]>,
        headers_len: usize,
        payload: &[u8],
    ) -> Self {
        let reply_len = reply.map_or(0, <[u8]>::len);
        let mut bytes = Vec::with_capacity(subject.len() + reply_len + payload.len());
        for part in [subject, reply.unwrap_or_default(), payload] {
            bytes.extend_from_slice(part);
        }
        let mut rest = Bytes::from(bytes);
        let subject = rest.split_to(subject.len());
        let shown = rest.split_to(reply_len);
        let headers = rest.split_to(headers_len.min(payload.len()));
        Self { subject, reply: reply.map(|_| shown), headers, body: rest, subscription }
    }

    /// The subject as text, with marks in place of what is no UTF-8.
    pub fn subject_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.subject)
    }

    /// The headers, where there are any and they can be read.
    pub fn header_lines(&self) -> Option<Headers<'_>> {
        Headers::parse(&self.headers).ok()
    }

    /// The first value of a header, where it is UTF-8.
    pub fn header(&self, key: &str) -> Option<&str> {
        let value = self.header_lines()?.get(key.as_bytes())?;
        std::str::from_utf8(value).ok()
    }

    /// The status in the header block: 503 where nobody hears a request, 404, 408, … of JetStream.
    pub fn status(&self) -> Option<u16> {
        self.header_lines()?.status()
    }

    /// Bytes of all parts together.
    pub fn bytes(&self) -> usize {
        let reply = self.reply.as_ref().map_or(0, Bytes::len);
        self.subject.len() + reply + self.headers.len() + self.body.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_parts_of_its_frame() {
        let block = b"NATS/1.0 503\r\n\r\n";
        let payload = [&block[..], b"body"].concat();
        let message = Message::new(7, b"a.b", Some(b"r"), block.len(), &payload);
        assert_eq!(message.subject, "a.b");
        assert_eq!(message.reply.as_deref(), Some(&b"r"[..]));
        assert_eq!((message.status(), &message.body[..]), (Some(503), &b"body"[..]));
        assert_eq!(message.bytes(), 3 + 1 + payload.len());
        let bare = Message::new(7, b"\xff", None, 0, b"");
        assert_eq!((bare.reply.clone(), bare.status(), bare.bytes()), (None, None, 1));
        assert_eq!(bare.subject_text(), "\u{fffd}");
    }
}
