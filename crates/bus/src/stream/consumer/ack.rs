//! The words of an acknowledgement and the subject it goes to. Pure text, both ways.

use std::time::Duration;

use serde::Deserialize;

use super::request::PullRequest;

/// What a subscriber says about a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ack {
    /// Done.
    Done,
    /// Deliver it again, after this pause.
    Again(Option<Duration>),
    /// Still at work: the wait begins anew.
    Working,
    /// Never deliver it again.
    Never,
    /// Done, and the next one please.
    DoneAndNext(PullRequest),
}

#[derive(Deserialize)]
struct NakOptions {
    delay: Option<u64>,
}

impl Ack {
    /// Reads the body of an acknowledgement; `None` where it is none of the known words.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        match body {
            b"" | b"+ACK" | b"+OK" => Some(Self::Done),
            b"+WPI" => Some(Self::Working),
            _ if body.starts_with(b"+TERM") => Some(Self::Never),
            _ if body.starts_with(b"-NAK") => Some(Self::Again(delay(&body[4..]))),
            _ if body.starts_with(b"+NXT") => {
                let request = PullRequest::parse(body[4..].trim_ascii()).ok()?;
                Some(Self::DoneAndNext(request))
            }
            _ => None,
        }
    }
}

/// `{"delay": nanoseconds}`; anything else is no delay.
fn delay(options: &[u8]) -> Option<Duration> {
    let options: NakOptions = serde_json::from_slice(options.trim_ascii()).ok()?;
    options.delay.filter(|nanos| *nanos > 0).map(Duration::from_nanos)
}

/// The numbers that an acknowledgement's subject carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AckSubject<'a> {
    /// The stream's name.
    pub stream: &'a [u8],
    /// The consumer's name.
    pub consumer: &'a [u8],
    /// Which delivery of the message this was, from 1.
    pub deliveries: u64,
    /// The message's sequence in the stream.
    pub seq: u64,
    /// The delivery's number at its consumer.
    pub cseq: u64,
    /// When the message was stored, nanoseconds since the Unix epoch.
    pub nanos: i64,
    /// Messages that the consumer has yet to deliver for the first time.
    pub pending: u64,
}

const PREFIX: &[u8] = b"$JS.ACK.";

impl<'a> AckSubject<'a> {
    /// Reads `$JS.ACK.stream.consumer.deliveries.seq.cseq.nanos.pending`.
    #[must_use]
    pub fn parse(subject: &'a [u8]) -> Option<Self> {
        let mut tokens = subject.strip_prefix(PREFIX)?.split(|byte| *byte == b'.');
        let parsed = Self {
            stream: tokens.next()?,
            consumer: tokens.next()?,
            deliveries: number(tokens.next()?)?,
            seq: number(tokens.next()?)?,
            cseq: number(tokens.next()?)?,
            nanos: i64::try_from(number(tokens.next()?)?).ok()?,
            pending: number(tokens.next()?)?,
        };
        tokens.next().is_none().then_some(parsed)
    }

    /// Appends the subject's text.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(PREFIX);
        out.extend_from_slice(self.stream);
        out.push(b'.');
        out.extend_from_slice(self.consumer);
        let nanos = u64::try_from(self.nanos).unwrap_or(0);
        for field in [self.deliveries, self.seq, self.cseq, nanos, self.pending] {
            out.push(b'.');
            write_number(out, field);
        }
    }
}

fn number(token: &[u8]) -> Option<u64> {
    if token.is_empty() || token.len() > 20 {
        return None;
    }
    token.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// Appends a number in decimal.
pub(crate) fn write_number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read() {
        let pull = |batch| Some(Ack::DoneAndNext(PullRequest { batch, ..PullRequest::default() }));
        let second = Some(Duration::from_secs(1));
        for (body, expected) in [
            ("", Some(Ack::Done)),
            ("+ACK", Some(Ack::Done)),
            ("+WPI", Some(Ack::Working)),
            ("+TERM", Some(Ack::Never)),
            ("-NAK", Some(Ack::Again(None))),
            ("-NAK {\"delay\": 1000000000}", Some(Ack::Again(second))),
            ("-NAK nonsense", Some(Ack::Again(None))),
            ("+NXT", pull(1)),
            ("+NXT 5", pull(5)),
            ("+NXT {\"batch\": 7}", pull(7)),
            ("hello", None),
        ] {
            assert_eq!(Ack::parse(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn subject_is_read_as_written() {
        let subject = AckSubject {
            stream: b"S",
            consumer: b"c-1",
            deliveries: 1,
            seq: u64::MAX,
            cseq: 0,
            nanos: 1_700_000_000_000_000_000,
            pending: 10,
        };
        let mut text = Vec::new();
        subject.write(&mut text);
        assert_eq!(AckSubject::parse(&text), Some(subject));
        for wrong in ["$JS.ACK.S.c.1.2.3.4", "$JS.ACK.S.c.1.2.3.4.5.6", "$JS.ACK.S.c.1.x.3.4.5"] {
            assert_eq!(AckSubject::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
