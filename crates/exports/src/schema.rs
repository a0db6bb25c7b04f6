//! JSON Schemas (2020-12) of what is sent: one for the `data` of each type, one for each envelope
//! around all of them. Made from the catalogue.
//!
//! They are open: a member that they do not name may be there, since a later Morgana may say more
//! and whoever passes an event on may add attributes to it.

use serde_json::{Map, Value, json};

use crate::catalogue::{EventType, Field, Kind};

/// The dialect.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// The name of the envelope's schema.
pub const ENVELOPE: &str = "envelope";
/// The name of the older envelope's schema.
pub const OLDER_ENVELOPE: &str = "older-envelope";
/// Most texts' length within a list, in characters.
const LISTED: u32 = 4096;

/// The URI that names the schema of a type; the value of `dataschema`. A name, not a place: each
/// Morgana serves it at `/api/v1/schemas/{type}`.
pub fn schema_id(name: &str) -> String {
    format!("urn:morgana:schema:{name}")
}

/// The schema of a type's `data`.
pub fn schema(event: &EventType) -> Value {
    let properties: Map<String, Value> =
        event.fields.iter().map(|field| (field.name.to_owned(), property(field))).collect();
    let required: Vec<&str> =
        event.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    json!({
        "$schema": DIALECT,
        "$id": schema_id(event.name),
        "title": event.name,
        "description": event.meaning,
        "type": "object",
        "properties": properties,
        "required": required,
    })
}

fn property(field: &Field) -> Value {
    let mut property = shape(field.kind);
    property["description"] = field.meaning.into();
    property
}

fn shape(kind: Kind) -> Value {
    match kind {
        Kind::Id => json!({"type": "string", "format": "uuid", "minLength": 36, "maxLength": 36}),
        Kind::Ids(most) => json!({"type": "array", "items": shape(Kind::Id), "maxItems": most}),
        Kind::Slug => {
            json!({"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "maxLength": 64})
        }
        Kind::Text(most) => json!({"type": "string", "maxLength": most}),
        Kind::Texts(most) => {
            json!({"type": "array", "items": shape(Kind::Text(LISTED)), "maxItems": most})
        }
        Kind::OneOf(words) => json!({"type": "string", "enum": words}),
        Kind::Address => json!({"type": "string", "minLength": 2, "maxLength": 45}),
        Kind::Moment => json!({"type": "string", "format": "date-time"}),
        Kind::Count(u64::MAX) => json!({"type": "integer", "minimum": 0}),
        Kind::Count(most) => json!({"type": "integer", "minimum": 0, "maximum": most}),
        Kind::Flag => json!({"type": "boolean"}),
    }
}

fn text(meaning: &str) -> Value {
    json!({"type": "string", "minLength": 1, "description": meaning})
}

fn type_name() -> Value {
    json!({
        "type": "string",
        "pattern": "^org(\\.[a-z0-9_]+){3,}$",
        "description": "the name of its type, which is its NATS subject",
    })
}

fn time() -> Value {
    let mut time = shape(Kind::Moment);
    time["description"] = "when it happened".into();
    time
}

/// The schema of the whole event, whatever its type: CloudEvents 1.0 with our extensions.
pub fn envelope_schema() -> Value {
    json!({
        "$schema": DIALECT,
        "$id": schema_id(ENVELOPE),
        "title": "a lifecycle event",
        "description": "CloudEvents 1.0, JSON format, with the extensions that Morgana uses.",
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": text("the event's id; seen once, seen for good"),
            "source": text("the installation that sends: `urn:morgana:<epoch>`"),
            "type": type_name(),
            "subject": text("what it is about: a noun, a slash, an id"),
            "time": time(),
            "datacontenttype": {"const": "application/json"},
            "dataschema": text("the name of the schema of `data`"),
            "actor": text("who did it"),
            "correlationid": text("what it belongs to"),
            "causationid": text("what caused it"),
            "traceparent": {
                "type": "string",
                "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
                "description": "the trace that it is part of, as W3C writes it",
            },
            "sequence": {
                "type": "string",
                "pattern": "^[0-9]{20}$",
                "description": "its place among the events of its source",
            },
            "data": {"type": "object", "description": "what it says: the schema of its type"},
        },
        "propertyNames": {"pattern": "^[a-z0-9]+$"},
        "additionalProperties": {
            "type": ["string", "integer", "boolean"],
            "description": "an attribute that somebody on the way has added",
        },
        "required": [
            "specversion", "id", "source", "type", "time", "datacontenttype", "dataschema",
            "sequence", "data",
        ],
    })
}

/// The schema of the older envelope, whatever the type of what it carries.
pub fn older_envelope_schema() -> Value {
    json!({
        "$schema": DIALECT,
        "$id": schema_id(OLDER_ENVELOPE),
        "title": "a lifecycle event in the older envelope",
        "description": "For readers from before CloudEvents, where `events.format` says so.",
        "type": "object",
        "properties": {
            "event_id": text("the event's id; seen once, seen for good"),
            "type": type_name(),
            "source": text("the installation that sends: `urn:morgana:<epoch>`"),
            "occurred_at": time(),
            "subject": {
                "type": ["string", "null"],
                "minLength": 1,
                "description": "what it is about: a noun, a slash, an id",
            },
            "trace_id": {
                "type": ["string", "null"],
                "pattern": "^[0-9a-f]{32}$",
                "description": "the trace that it is part of",
            },
            "schema_version": {"const": "1.0"},
            "payload": {"type": "object", "description": "what it says: the schema of its type"},
        },
        "required": [
            "event_id", "type", "source", "occurred_at", "subject", "trace_id", "schema_version",
            "payload",
        ],
    })
}
