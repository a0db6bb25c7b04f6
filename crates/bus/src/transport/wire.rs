//! An event on the wire: the JSON of [`JournalEntry`], under its topic as subject. Pure.

use model::{JournalEntry, Subject};

/// Largest payload that the bus takes, in bytes.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 1 << 20;

/// What an envelope may have around its payload, in bytes.
const MAX_ENVELOPE_BYTES: usize = 8 * 1024;

/// Why what came in is no event.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Rejected {
    #[error("{0} bytes are too many for an event")]
    Size(usize),
    #[error("the subject is none of ours")]
    Subject,
    #[error("not the JSON of an event")]
    Json(#[source] serde_json::Error),
    #[error("its topic is another than the subject that it came under")]
    Topic,
}

impl Rejected {
    /// Tells it. At `debug`: whoever may publish could fill the log otherwise; it is counted.
    pub(crate) fn log(&self, subject: &[u8]) {
        let subject = subject[..subject.len().min(256)].escape_ascii();
        tracing::debug!(%subject, error = self as &dyn std::error::Error, "no event: dropped");
    }
}

/// Whether a subject can carry events at all. What `>` catches beyond (answers to requests, the
/// server's own subjects) is nobody's mistake.
pub(crate) fn may_carry_events(subject: &[u8]) -> bool {
    !subject.starts_with(b"_INBOX.") && !subject.starts_with(b"$")
}

/// The body of a message that carries `entry`; its subject is the entry's topic.
pub(crate) fn encode(entry: &JournalEntry) -> Vec<u8> {
    serde_json::to_vec(entry).expect("an entry serialises: its keys are strings")
}

/// Reads what came in under `subject`.
pub(crate) fn decode(subject: &[u8], body: &[u8]) -> Result<JournalEntry, Rejected> {
    if body.len() > MAX_PAYLOAD_BYTES + MAX_ENVELOPE_BYTES {
        return Err(Rejected::Size(body.len()));
    }
    let subject = std::str::from_utf8(subject).map_err(|_| Rejected::Subject)?;
    let topic: Subject = subject.parse().map_err(|_| Rejected::Subject)?;
    let entry: JournalEntry = serde_json::from_slice(body).map_err(Rejected::Json)?;
    if entry.topic == topic { Ok(entry) } else { Err(Rejected::Topic) }
}

#[cfg(test)]
mod tests {
    use model::{Ambient, Event, Payload, SystemLog, Timestamp};

    use super::*;

    fn entry() -> JournalEntry {
        let ambient = Ambient::seeded(1, Timestamp::from_micros(0));
        let line = SystemLog::new("w", "info", "é\n");
        Event::new(&ambient, Payload::SystemLog(line)).to_entry(Some(7))
    }

    #[test]
    fn what_is_written_is_read() {
        let entry = entry();
        let read = decode(b"system.log", &encode(&entry)).unwrap();
        assert_eq!(encode(&read), encode(&entry));
        assert_eq!((read.id, read.seq), (entry.id, Some(7)));
    }

    #[test]
    fn what_is_no_event_is_rejected() {
        let good = encode(&entry());
        let padded = [good.clone(), vec![b' '; 2 << 20]].concat();
        for (subject, body, expected) in [
            (&b"system.log"[..], &b"hello"[..], "not the JSON of an event"),
            (b"system.log", b"", "not the JSON of an event"),
            (b"system.log", &good[1..], "not the JSON of an event"),
            (b"system.mutator.control", &good, "its topic is another than the subject"),
            (b"system.lo\xff", &good, "the subject is none of ours"),
            (b"system..log", &good, "the subject is none of ours"),
            (b"system.log", &padded, "bytes are too many"),
        ] {
            let error = decode(subject, body).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
