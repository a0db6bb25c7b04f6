//! Encoders: what leaves Morgana, in the words of others.
//!
//! Owns the catalogue of lifecycle events (`org.>`), the CloudEvents that they are sent as, the
//! formats that these have in messages, and the JSON Schemas that both sides can check them with.
//! Pure: entries of the journal in, bytes out. It refuses to know the store, the bus, sockets and clocks; nothing here decides whether
//! or where something is sent.
//!
//! The catalogue is the one source: what an event may say, its schema and its page in
//! `docs/events.md` come from the same table, so that they cannot drift apart.

mod catalogue;
mod cloudevent;
mod format;
mod schema;

pub use catalogue::{EventType, Field, Kind, Origin, Producer, TYPES, event_type, type_of};
pub use cloudevent::{CloudEvent, cloudevent};
pub use format::{CLOUDEVENTS_JSON, Encoded, Format, Identity, SEQUENCE};
pub use schema::{
    ENVELOPE, OLDER_ENVELOPE, envelope_schema, older_envelope_schema, schema, schema_id,
};
