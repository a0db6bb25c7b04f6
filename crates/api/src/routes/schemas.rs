//! The schemas of lifecycle events, for whoever checks what a stream gave.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use exports::{
    ENVELOPE, EventType, OLDER_ENVELOPE, TYPES, envelope_schema, event_type, older_envelope_schema,
    schema, schema_id,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    extract::Path,
    problem::{Problem, ProblemBody},
};

/// A type of lifecycle event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventType)]
pub(crate) struct EventTypeView {
    /// Its name, which is its NATS subject.
    #[serde(rename = "type")]
    event_type: &'static str,
    /// Who sends it: the second token of the name.
    producer: &'static str,
    /// When it is sent.
    meaning: &'static str,
    /// The value of `dataschema`.
    schema_id: String,
    /// Where the schema of its `data` is.
    schema: String,
}

impl From<&EventType> for EventTypeView {
    fn from(event: &EventType) -> Self {
        Self {
            event_type: event.name,
            producer: event.producer.token(),
            meaning: event.meaning,
            schema_id: schema_id(event.name),
            schema: format!("/api/v1/schemas/{}", event.name),
        }
    }
}

/// All types of lifecycle events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventTypes)]
pub(crate) struct EventTypesBody {
    /// Where the schema of the envelope around all of them is.
    envelope: String,
    items: Vec<EventTypeView>,
}

/// What is sent on the stream of lifecycle events.
#[utoipa::path(get, path = "/api/v1/schemas", tag = "service", security(()), responses(
    (status = 200, description = "Every type of event", body = EventTypesBody),
))]
pub(crate) async fn list() -> axum::Json<EventTypesBody> {
    let items = TYPES.iter().copied().flatten().map(Into::into).collect();
    axum::Json(EventTypesBody { envelope: format!("/api/v1/schemas/{ENVELOPE}"), items })
}

/// The JSON Schema of a type's `data`; of the whole event for `envelope` and `older-envelope`.
#[utoipa::path(get, path = "/api/v1/schemas/{type}", tag = "service", security(()),
    params(("type" = String, Path, description = "Name of the type, `envelope` or `older-envelope`")), responses(
    (status = 200, description = "JSON Schema 2020-12", body = serde_json::Value, content_type = "application/schema+json"),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn show(Path(name): Path<String>) -> Result<Response, Problem> {
    let found = match name.as_str() {
        ENVELOPE => Some(envelope_schema()),
        OLDER_ENVELOPE => Some(older_envelope_schema()),
        name => event_type(name).map(schema),
    };
    let found = found.ok_or_else(|| Problem::not_found("there is no such type of event"))?;
    let body = found.to_string();
    Ok(([(header::CONTENT_TYPE, "application/schema+json")], body).into_response())
}
