//! CloudEvents 1.0 in the JSON format: one entry of the journal, one event.
//!
//! Sources: the CloudEvents specification 1.0.2, its JSON format, and the documented extensions
//! `sequence`, distributed tracing (`traceparent`) and correlation.

use model::{EventId, JournalEntry, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    catalogue::{EventType, payload, type_of},
    schema::schema_id,
};

/// An event.
#[derive(Clone, Debug, Serialize)]
pub struct CloudEvent {
    specversion: &'static str,
    /// The event's id, also its `Nats-Msg-Id`: who has seen it has seen the event.
    pub id: EventId,
    /// Which installation sends; another one after a restore, since positions begin anew.
    pub source: String,
    /// The name of its type, which is its NATS subject.
    #[serde(rename = "type")]
    pub event_type: &'static str,
    /// What it is about: `workstream/0192…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it happened.
    pub time: Timestamp,
    datacontenttype: &'static str,
    dataschema: String,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// What it belongs to.
    #[serde(rename = "correlationid", skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// What caused it.
    #[serde(rename = "causationid", skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// The trace that it is part of, as W3C writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Its place in the journal: 20 digits, so that texts sort like numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<String>,
    /// What it says.
    pub data: Map<String, Value>,
}

impl CloudEvent {
    /// The whole event, as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an event serialises: its keys are strings")
    }
}

/// The event that an entry of the installation `source` is sent as; none where it stays inside.
pub fn cloudevent(entry: &JournalEntry, source: &str) -> Option<CloudEvent> {
    let event_type = type_of(entry)?;
    Some(encode(event_type, entry, source, &payload(entry)?))
}

fn encode(
    event_type: &'static EventType,
    entry: &JournalEntry,
    source: &str,
    payload: &Map<String, Value>,
) -> CloudEvent {
    let data = event_type.data(payload);
    CloudEvent {
        specversion: "1.0",
        id: entry.id,
        source: source.into(),
        event_type: event_type.name,
        subject: event_type.entity(&data),
        time: entry.ts,
        datacontenttype: "application/json",
        dataschema: schema_id(event_type.name),
        actor: said(&entry.context.actor),
        correlation_id: said(&entry.context.correlation_id),
        causation_id: said(&entry.context.causation_id),
        traceparent: said(&entry.context.traceparent),
        sequence: entry.seq.map(|seq| format!("{seq:020}")),
        data,
    }
}

/// An attribute's value: it holds neither control characters nor what Unicode says is no character
/// ("Type system" of the specification), nor is it empty.
fn said(attribute: &Option<String>) -> Option<String> {
    let mut value = attribute.clone()?;
    value.retain(|c| !c.is_control() && !is_noncharacter(c));
    Some(value).filter(|value| !value.is_empty())
}

/// The last two code points of each plane, and U+FDD0 to U+FDEF.
fn is_noncharacter(c: char) -> bool {
    let code = u32::from(c);
    code & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&code)
}
