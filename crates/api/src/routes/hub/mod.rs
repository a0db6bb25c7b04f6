//! The hub: the work around the network. One file per kind of thing; what they have in common is
//! in `resource.rs`.
//!
//! Nothing here waits for the bus: a change and its event are one transaction of the store.

pub(crate) mod decisions;
pub(crate) mod domains;
pub(crate) mod goals;
pub(crate) mod progress;
pub(crate) mod repos;
mod resource;
pub(crate) mod sweep;
pub(crate) mod tasks;
pub(crate) mod topics;
pub(crate) mod workstreams;

use std::sync::Arc;

use axum::{
    Router,
    http::HeaderMap,
    routing::{MethodRouter, get, post},
};
use model::EventContext;
use serde::{Deserialize, Deserializer};
use store::{HubError, RequestKey};

use crate::{auth::Principal, problem::Problem, state::App};

/// The routes of the hub, below `/api/v1`.
pub(crate) fn router() -> Router<Arc<App>> {
    let mut router = Router::new();
    for (path, methods) in collections() {
        router = router.route(&format!("{path}/"), methods.clone()).route(path, methods);
    }
    macro_rules! one {
        ($module:ident) => {
            get($module::show).patch($module::change).delete($module::remove)
        };
    }
    router
        .route("/domains/{id}", one!(domains))
        .route("/domain-goals/{id}", one!(goals))
        .route("/domain-goals/{id}/activate", post(goals::activate))
        .route("/domain-goals/{id}/achieve", post(goals::achieve))
        .route("/domain-goals/{id}/retire", post(goals::retire))
        .route("/repos/{id}", one!(repos))
        .route("/topics/{id}", one!(topics))
        .route("/workstreams/{id}", one!(workstreams))
        .route("/decisions/{id}", one!(decisions))
        .route("/decisions/{id}/resolve", post(decisions::resolve))
        .route("/decisions/{id}/escalate", post(decisions::escalate))
        .route("/decisions/{id}/supersede", post(decisions::supersede))
        .route("/tasks/{id}", one!(tasks))
        .route("/tasks/sweep-stale", post(sweep::sweep_stale))
}

/// What answers with a slash at its end as it does without.
fn collections() -> [(&'static str, MethodRouter<Arc<App>>); 9] {
    [
        ("/domains", get(domains::list).post(domains::create)),
        ("/domain-goals", get(goals::list).post(goals::create)),
        ("/repos", get(repos::list).post(repos::create)),
        ("/topics", get(topics::list).post(topics::create)),
        ("/workstreams", get(workstreams::list).post(workstreams::create)),
        ("/decisions", get(decisions::list).post(decisions::create)),
        ("/tasks", get(tasks::list).post(tasks::create)),
        (
            "/workstreams/{id}/progress",
            get(progress::of_workstream).post(progress::note_workstream),
        ),
        ("/tasks/{id}/progress", get(progress::of_task).post(progress::note_task)),
    ]
}

/// Who asks for something to be made, and by which request.
pub(crate) struct Asked {
    context: EventContext,
    key: Option<RequestKey>,
}

/// Who causes an event, and within which trace.
fn context(caller: &Principal, headers: &HeaderMap) -> EventContext {
    let trace = headers.get("traceparent").and_then(|value| value.to_str().ok());
    EventContext::of(&caller.name).traced(trace)
}

/// A refusal of the store as a problem; the codes of fields are words of the model.
fn problem(error: HubError) -> Problem {
    let detail = error.to_string();
    match error {
        HubError::Unknown { .. } => Problem::not_found(detail),
        HubError::NoSuch { field, .. } => Problem::field(field, "UNKNOWN_REFERENCE", detail),
        HubError::SlugTaken { .. } => Problem::slug_taken(detail).about("slug", "SLUG_TAKEN"),
        HubError::VersionConflict { .. } => {
            Problem::version_conflict(detail).about("version", "VERSION_CONFLICT")
        }
        HubError::Move { noun, why, .. } => {
            let field = if noun == "decision" { "status" } else { "state" };
            Problem::illegal_move(detail).about(field, why.as_str().to_uppercase())
        }
        HubError::WorkstreamClosed { .. } => {
            Problem::workstream_closed(detail).about("workstream", "WORKSTREAM_CLOSED")
        }
        HubError::GoalAlreadyActive { .. } => {
            Problem::goal_already_active(detail).about("replace", "GOAL_ALREADY_ACTIVE")
        }
        HubError::KeyReused => Problem::key_reused(detail),
        HubError::InUse { by, .. } => Problem::in_use(detail).about(by, "IN_USE"),
        HubError::Store(error) => error.into(),
    }
}

/// A field that may be absent but not `null`, which would mean nothing.
fn present<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Tells a field that is `null` from one that is absent: `Some(None)` from `None`.
fn nullable<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}
