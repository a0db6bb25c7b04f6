//! Server-sent events as bytes (WHATWG HTML, section 9.2).

use std::{fmt, str::FromStr};

use bytes::Bytes;
use model::{ENVELOPE_VERSION, EventId, JournalEntry, Subject, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;

use super::scope::event_name;

/// Bytes after which an outbox asks to be flushed; one frame may go beyond.
const FLUSH_BYTES: usize = 32 * 1024;

/// A place in the journal of one installation: `<epoch>:<seq>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) epoch: String,
    pub(crate) seq: u64,
}

/// A `Last-Event-ID` that this server never wrote.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ForeignPosition;

impl FromStr for Position {
    type Err = ForeignPosition;

    fn from_str(text: &str) -> Result<Self, ForeignPosition> {
        let (epoch, seq) = text.rsplit_once(':').ok_or(ForeignPosition)?;
        let seq = seq.parse().map_err(|_| ForeignPosition)?;
        Ok(Self { epoch: epoch.into(), seq })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.seq)
    }
}

/// What stands in `data:` of a live frame.
#[derive(Serialize)]
struct LiveData<'a> {
    v: u32,
    seq: Option<u64>,
    id: EventId,
    topic: &'a Subject,
    #[serde(rename = "type")]
    kind: &'a str,
    ts: Timestamp,
    payload: &'a RawValue,
}

/// An event, encoded once for all streams.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Its place in the journal, where it has one.
    pub(crate) seq: Option<u64>,
    pub(crate) subject: Subject,
    pub(crate) bytes: Bytes,
}

impl Frame {
    /// Encodes an event; journalled ones get an `id:`.
    pub(crate) fn new(epoch: &str, entry: &JournalEntry) -> Self {
        let data = LiveData {
            v: entry.v,
            seq: entry.seq,
            id: entry.id,
            topic: &entry.topic,
            kind: &entry.kind,
            ts: entry.ts,
            payload: &entry.payload,
        };
        let name = event_name(&entry.topic);
        let text = encode(name, entry.seq.map(|seq| (epoch, seq)), &to_line(&data));
        Self { seq: entry.seq, subject: entry.topic.clone(), bytes: text.into() }
    }
}

/// JSON on one line. Raw payloads may have been written with line breaks, which mean nothing
/// between JSON tokens and cannot stand within them.
fn to_line(data: &impl Serialize) -> String {
    let text = serde_json::to_string(data).expect("frames serialise: their keys are strings");
    if text.contains(['\n', '\r']) { text.replace(['\n', '\r'], " ") } else { text }
}

fn encode(name: &str, id: Option<(&str, u64)>, data: &str) -> String {
    let id = id.map(|(epoch, seq)| format!("id: {epoch}:{seq}\n")).unwrap_or_default();
    format!("event: {name}\n{id}data: {data}\n\n")
}

/// What one client is about to be sent.
#[derive(Debug)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    room: usize,
}

impl Default for Outbox {
    fn default() -> Self {
        Self::with_room(FLUSH_BYTES)
    }
}

impl Outbox {
    /// Asks to be flushed after so many bytes.
    pub(crate) fn with_room(room: usize) -> Self {
        Self { bytes: Vec::new(), room }
    }

    /// Whether more may be written before a flush.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes.len() < self.room
    }

    /// Whether there is nothing to flush.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes what was written.
    pub(crate) fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.bytes).into()
    }

    pub(super) fn frame(&mut self, frame: &Frame) {
        self.bytes.extend_from_slice(&frame.bytes);
    }

    pub(super) fn retry(&mut self, millis: u64) {
        self.bytes.extend_from_slice(format!("retry: {millis}\n\n").as_bytes());
    }

    pub(super) fn keepalive(&mut self, epoch: &str, head: u64) {
        self.bytes.extend_from_slice(format!(": keepalive {epoch}:{head}\n\n").as_bytes());
    }

    /// A frame of the stream itself.
    pub(super) fn named(&mut self, name: &str, id: Option<(&str, u64)>, data: &impl Serialize) {
        self.bytes.extend_from_slice(encode(name, id, &to_line(data)).as_bytes());
    }

    /// Says that what the client knows is void. The empty `id:` makes a browser forget its last
    /// position: a connection that breaks before the snapshot comes must not resume from there.
    pub(super) fn reset(&mut self, data: &ResetData<'_>) {
        let text = format!("event: reset\nid:\ndata: {}\n\n", to_line(data));
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// A frame whose data is JSON already.
    pub(super) fn raw(&mut self, name: &str, id: Option<(&str, u64)>, data: &RawValue) {
        self.named(name, id, &data);
    }
}

/// Said before a stream begins anew.
#[derive(Serialize)]
pub(super) struct ResetData<'a> {
    pub(super) v: u32,
    pub(super) seq: u64,
    pub(super) reason: &'a str,
}

impl<'a> ResetData<'a> {
    pub(super) fn new(seq: u64, reason: &'a str) -> Self {
        Self { v: ENVELOPE_VERSION, seq, reason }
    }
}

/// Said where the bus stopped or resumed telling what is not journalled.
#[derive(Serialize)]
pub(super) struct DegradedData {
    pub(super) v: u32,
    pub(super) seq: u64,
    pub(super) degraded: bool,
    pub(super) reason: &'static str,
}

/// Said last on a stream that cannot go on.
#[derive(Serialize)]
pub(super) struct FaultData<'a> {
    pub(super) v: u32,
    pub(super) seq: u64,
    pub(super) code: &'a str,
    pub(super) message: &'a str,
    pub(super) retryable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_as_they_are_written() {
        let position = Position { epoch: "e1:x".into(), seq: 7 };
        assert_eq!(position.to_string().parse(), Ok(position));
        for foreign in ["", "7", "e:", "e:-1", "e:7 "] {
            assert_eq!(foreign.parse::<Position>(), Err(ForeignPosition), "{foreign}");
        }
    }

    #[test]
    fn a_frame_is_one_line_of_json_whatever_the_payload() {
        let payload = RawValue::from_string("{\n\"a\":\r\n\"x\\ny\"}".into()).unwrap();
        let entry = JournalEntry {
            v: 1,
            id: "0192f0c1-0000-7000-8000-000000000001".parse().unwrap(),
            seq: Some(9),
            topic: "topology.t1.status".parse().unwrap(),
            kind: "topology.status".into(),
            ts: Timestamp::from_micros(0),
            payload: payload.into(),
            context: model::EventContext::default(),
        };
        let frame = Frame::new("e", &entry);
        let text = std::str::from_utf8(&frame.bytes).unwrap();
        let lines: Vec<&str> = text.split('\n').collect();
        assert_eq!(lines[..2], ["event: status", "id: e:9"]);
        assert!(lines[2].starts_with("data: {\"v\":1,\"seq\":9,"), "{text}");
        assert_eq!(lines[3..], ["", ""]);
        assert!(lines[2].contains(r#""x\ny""#));
    }
}
