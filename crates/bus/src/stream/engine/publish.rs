//! A published message on its way into a log, and the answer to its publisher.
//!
//! The hot path: nothing here allocates per message, but for publishes that are refused.

use super::super::{
    Append, AppendError, Appended, Expected, Filter, Full, Purge, UnixNanos, catalogue::Stream,
    consumer::write_number,
};
use crate::proto::Headers;

/// What JetStream reads of a message's headers.
#[derive(Debug, Default, Clone, Copy)]
struct Wishes<'a> {
    msg_id: Option<&'a [u8]>,
    expected: Expected<'a>,
    expected_stream: Option<&'a [u8]>,
    rollup: Option<Rollup>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rollup {
    Subject,
    All,
    Unknown,
}

impl<'a> Wishes<'a> {
    fn read(headers: &'a [u8]) -> Self {
        let mut wishes = Self::default();
        if headers.is_empty() {
            return wishes;
        }
        let Ok(parsed) = Headers::parse(headers) else { return wishes };
        for (name, value) in parsed.iter() {
            wishes.take(name, value);
        }
        wishes
    }

    fn take(&mut self, name: &'a [u8], value: &'a [u8]) {
        match name {
            b"Nats-Msg-Id" if !value.is_empty() => self.msg_id = Some(value),
            b"Nats-Expected-Stream" => self.expected_stream = Some(value),
            b"Nats-Expected-Last-Sequence" => self.expected.last_seq = Some(number(value)),
            b"Nats-Expected-Last-Subject-Sequence" => {
                self.expected.last_subject_seq = Some(number(value));
            }
            b"Nats-Expected-Last-Msg-Id" => self.expected.last_msg_id = Some(value),
            b"Nats-Rollup" => {
                self.rollup = Some(match value {
                    b"sub" => Rollup::Subject,
                    b"all" => Rollup::All,
                    _ => Rollup::Unknown,
                });
            }
            _ => {}
        }
    }
}

/// A text that is no number expects what never is.
fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
}

/// Why a message is refused before the log is asked.
#[derive(Debug)]
pub(super) enum Refusal {
    OtherStream,
    Sealed,
    Starved,
    RollupForbidden,
    RollupUnknown,
    Append(AppendError),
}

impl Refusal {
    /// Code, detailed code and text as nats-server gives them.
    pub(super) fn answer(&self) -> (u16, u16, String) {
        match self {
            Self::OtherStream => (400, 10060, "expected stream does not match".into()),
            Self::Sealed => (400, 10109, "invalid operation on sealed stream".into()),
            Self::Starved => (400, 10002, "resource limits exceeded for account".into()),
            Self::RollupForbidden => (500, 10111, "rollup not permitted".into()),
            Self::RollupUnknown => (500, 10111, "rollup value invalid".into()),
            Self::Append(error) => append_answer(error),
        }
    }
}

fn append_answer(error: &AppendError) -> (u16, u16, String) {
    match error {
        AppendError::WrongLastSeq { last } | AppendError::WrongLastSubjectSeq { last } => {
            (400, 10071, format!("wrong last sequence: {last}"))
        }
        AppendError::WrongLastMsgId { last } => {
            (400, 10070, format!("wrong last msg ID: {}", String::from_utf8_lossy(last)))
        }
        AppendError::TooLarge { .. } => (400, 10054, "message size exceeds maximum allowed".into()),
        AppendError::LongField { .. } => (400, 10003, "bad request".into()),
        AppendError::Full(Full::Messages) => (503, 10077, "maximum messages exceeded".into()),
        AppendError::Full(Full::Subject) => {
            (503, 10077, "maximum messages per subject exceeded".into())
        }
        AppendError::Full(Full::Bytes) => (503, 10077, "maximum bytes exceeded".into()),
        AppendError::Log(_) => (503, 10077, "the stream's files failed".into()),
    }
}

/// A message as it arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival<'a> {
    pub(super) subject: &'a [u8],
    pub(super) headers: &'a [u8],
    pub(super) body: &'a [u8],
}

/// Appends a message with all that its headers ask for.
pub(super) fn store(
    stream: &mut Stream,
    arrival: &Arrival<'_>,
    msg_id: Option<&[u8]>,
    now: UnixNanos,
) -> Result<Appended, Refusal> {
    let wishes = Wishes::read(arrival.headers);
    if wishes.expected_stream.is_some_and(|name| name != stream.name().as_bytes()) {
        return Err(Refusal::OtherStream);
    }
    if stream.log.config().sealed {
        return Err(Refusal::Sealed);
    }
    if stream.starved {
        return Err(Refusal::Starved);
    }
    if wishes.rollup.is_some() && !stream.log.config().allow_rollup_hdrs {
        return Err(Refusal::RollupForbidden);
    }
    if wishes.rollup == Some(Rollup::Unknown) {
        return Err(Refusal::RollupUnknown);
    }
    let append = Append {
        subject: arrival.subject,
        headers: arrival.headers,
        body: arrival.body,
        msg_id: msg_id.or(wishes.msg_id),
        expected: wishes.expected,
    };
    let appended = stream.log.append(&append, now).map_err(Refusal::Append)?;
    if let Some(rollup) = wishes.rollup.filter(|_| !appended.duplicate) {
        roll_up(stream, rollup, arrival.subject, appended.seq)?;
    }
    Ok(appended)
}

fn roll_up(stream: &mut Stream, rollup: Rollup, subject: &[u8], seq: u64) -> Result<(), Refusal> {
    let filter = (rollup == Rollup::Subject).then(|| Filter::one(subject));
    let purge = Purge { filter, before: Some(seq), keep: None };
    let purged =
        stream.log.purge(&purge).map_err(|error| Refusal::Append(AppendError::Log(error)))?;
    stream.rolled_up |= purged > 0;
    Ok(())
}

/// Writes the acknowledgement of a stored message.
pub(super) fn write_ack(out: &mut Vec<u8>, prefix: &[u8], appended: Appended) {
    out.clear();
    out.extend_from_slice(prefix);
    write_number(out, appended.seq);
    if appended.duplicate {
        out.extend_from_slice(b",\"duplicate\": true");
    }
    out.push(b'}');
}

/// Writes the answer to a message that was not stored.
pub(super) fn write_refusal(
    out: &mut Vec<u8>,
    stream: &str,
    (code, err_code, why): &(u16, u16, String),
) {
    out.clear();
    let why = serde_json::Value::from(why.as_str());
    let text = format!(
        "{{\"error\":{{\"code\":{code},\"err_code\":{err_code},\"description\":{why}}},\"stream\":\"{stream}\",\"seq\":0}}"
    );
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_where_they_matter() {
        let block = b"NATS/1.0\r\nX: y\r\nNats-Msg-Id: a\r\nNats-Expected-Last-Sequence: 7\r\nNats-Rollup: sub\r\n\r\n";
        let wishes = Wishes::read(block);
        assert_eq!(wishes.msg_id, Some(&b"a"[..]));
        assert_eq!(wishes.expected.last_seq, Some(7));
        assert_eq!(wishes.rollup, Some(Rollup::Subject));
        assert!(Wishes::read(b"").msg_id.is_none());
    }

    #[test]
    fn acknowledgements_are_as_nats_server_writes_them() {
        let mut out = Vec::new();
        let prefix = b"{\"stream\":\"X\", \"seq\":";
        write_ack(&mut out, prefix, Appended { seq: 12, duplicate: false });
        assert_eq!(out, b"{\"stream\":\"X\", \"seq\":12}");
        write_ack(&mut out, prefix, Appended { seq: 3, duplicate: true });
        assert_eq!(out, b"{\"stream\":\"X\", \"seq\":3,\"duplicate\": true}");
        write_refusal(&mut out, "X", &Refusal::OtherStream.answer());
        let refused = b"{\"error\":{\"code\":400,\"err_code\":10060,\"description\":\"expected stream does not match\"},\"stream\":\"X\",\"seq\":0}";
        assert_eq!(out, refused);
    }
}
