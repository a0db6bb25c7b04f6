//! How an event stands in a message, headers and body, in one of three formats; and which event a
//! message says it is, in any of them.
//!
//! Sources: the NATS protocol binding of CloudEvents (structured mode as in 1.0.2; binary mode as
//! in 1.0.3-wip, the first that has it), and the envelope of the hub and the engine before
//! CloudEvents. Whether a message says the truth is for others to know.

use model::{EventId, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{catalogue::event_type, cloudevent::CloudEvent};

/// The header that says what the body is.
const CONTENT_TYPE: &str = "content-type";
/// The media type of an event in structured mode.
pub const CLOUDEVENTS_JSON: &str = "application/cloudevents+json";
/// The header with `sequence` beside the older envelope, which has no place for it.
pub const SEQUENCE: &str = "Morgana-Sequence";
/// That of JSON without CloudEvents around it.
const JSON: &str = "application/json";
/// Most bytes of a `source` that is read: many such are kept, and ours has 48.
const MAX_SOURCE: usize = 256;
/// How the headers of attributes begin.
const ATTRIBUTE: &str = "ce-";
/// The version of the older envelope, and of what it carries.
const OLDER_VERSION: &str = "1.0";

/// How events stand in messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The whole CloudEvent is the body, as JSON.
    #[default]
    Structured,
    /// The attributes are headers, `data` is the body.
    Binary,
    /// The body is the envelope from before CloudEvents.
    OlderEnvelope,
}

/// A message: what is published of an event, but for subject and id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Names and values, printable ASCII.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Which event a message says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The event's id.
    pub id: EventId,
    /// The name of its type, which is one of ours.
    pub event_type: &'static str,
    /// Who says so.
    pub source: String,
    /// Its place in the journal of its source.
    pub sequence: u64,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Structured, Self::Binary, Self::OlderEnvelope];

    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Structured => "structured",
            Self::Binary => "binary",
            Self::OlderEnvelope => "older-envelope",
        }
    }
}

impl CloudEvent {
    /// As it is sent in this format.
    pub fn encode(&self, format: Format) -> Encoded {
        match format {
            Format::Structured => Encoded {
                headers: vec![line(CONTENT_TYPE, CLOUDEVENTS_JSON)],
                body: self.to_json(),
            },
            Format::Binary => self.binary(),
            Format::OlderEnvelope => self.older_envelope(),
        }
    }

    /// "All CloudEvents attributes, including extensions, MUST be individually mapped" to headers,
    /// `datacontenttype` too; readers that know HTTP's binding look for that in `content-type`.
    fn binary(&self) -> Encoded {
        let event = serde_json::to_value(self).expect("it serialises: its keys are strings");
        let attribute = |(name, value): (&String, &Value)| {
            // All but `data` are texts.
            Some((format!("{ATTRIBUTE}{name}"), percent_encoded(value.as_str()?)))
        };
        let attributes = event.as_object().into_iter().flatten().filter_map(attribute);
        let headers = [line(CONTENT_TYPE, JSON)].into_iter().chain(attributes).collect();
        Encoded { headers, body: json(&self.data) }
    }

    fn older_envelope(&self) -> Encoded {
        let trace_id = self.traceparent.as_deref().and_then(|trace| trace.split('-').nth(1));
        let envelope = OlderEnvelope {
            event_id: self.id,
            event_type: self.event_type,
            source: &self.source,
            occurred_at: self.time,
            subject: self.subject.as_deref(),
            trace_id,
            schema_version: OLDER_VERSION,
            payload: &self.data,
        };
        let sequence = self.sequence.iter().map(|sequence| line(SEQUENCE, sequence));
        let headers = [line(CONTENT_TYPE, JSON)].into_iter().chain(sequence).collect();
        Encoded { headers, body: json(&envelope) }
    }
}

/// The members of the older envelope: all of them, and in every event.
#[derive(Serialize)]
struct OlderEnvelope<'a> {
    event_id: EventId,
    #[serde(rename = "type")]
    event_type: &'a str,
    source: &'a str,
    occurred_at: Timestamp,
    subject: Option<&'a str>,
    trace_id: Option<&'a str>,
    schema_version: &'a str,
    payload: &'a Map<String, Value>,
}

fn line(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("it serialises: its keys are strings")
}

/// A header's value: all but the printable ASCII characters, and of those the space, `"` and `%`,
/// are written as `%XX` for each byte ("NATS Header Values", 3.1.3.2).
fn percent_encoded(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'"' | b'%' => percent(&mut encoded, byte),
            0x21..=0x7e => encoded.push(char::from(byte)),
            _ => percent(&mut encoded, byte),
        }
    }
    encoded
}

fn percent(encoded: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 0xf)]);
    encoded.extend(['%', digit(byte >> 4), digit(byte)]);
}

impl Identity {
    /// Which event a message with these headers and this body says it is, whatever format it has;
    /// none where it is no event that we know.
    pub fn read<'a>(header: impl Fn(&str) -> Option<&'a str>, body: &[u8]) -> Option<Self> {
        let text = |name: &str| header(name).map(str::to_owned);
        if header("ce-id").is_some() {
            return Self::of(|name| text(&format!("{ATTRIBUTE}{name}")));
        }
        let body: Value = serde_json::from_slice(body).ok()?;
        let member = |name: &str| body[name].as_str().map(str::to_owned);
        if body.get("event_id").is_some() {
            return Self::of(|name| match name {
                "id" => member("event_id"),
                "sequence" => text(SEQUENCE),
                other => member(other),
            });
        }
        Self::of(member)
    }

    /// What we write into these attributes needs no decoding.
    fn of(attribute: impl Fn(&str) -> Option<String>) -> Option<Self> {
        Some(Self {
            id: attribute("id")?.parse().ok()?,
            event_type: event_type(&attribute("type")?)?.name,
            source: attribute("source").filter(|source| source.len() <= MAX_SOURCE)?,
            sequence: attribute("sequence")?.parse().ok()?,
        })
    }
}
