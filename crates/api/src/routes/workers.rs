//! The workers: who is alive, and how one is stopped.

use std::{collections::BTreeMap, sync::Arc};

use axum::{extract::State, http::StatusCode};
use bus::BusState;
use model::{ControlAction, Event, Payload, Timestamp, WorkerControl};
use serde::Serialize;
use utoipa::ToSchema;

use super::service::Nothing;
use crate::{
    WorkerState, WorkerStatus,
    extract::{Admin, OptionalJson, Path, Viewer},
    peer::Peer,
    problem::{Problem, ProblemBody},
    state::App,
    words::Moment,
};

/// Whether a worker is alive.
#[derive(ToSchema)]
#[schema(as = WorkerState)]
#[allow(dead_code, reason = "for the OpenAPI document only")]
#[serde(rename_all = "snake_case")]
pub(crate) enum WorkerStateWord {
    /// Heard lately.
    Ok,
    /// Not heard for 90 s.
    Stale,
    /// Never heard, as with a bus that is off.
    Unknown,
    /// Stopped by somebody; starts with the process.
    Stopped,
}

/// A worker.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Worker)]
pub(crate) struct WorkerView {
    worker: String,
    #[schema(value_type = WorkerStateWord)]
    state: WorkerState,
    /// When it was heard last.
    #[schema(value_type = Moment, nullable, required)]
    heard_at: Option<Timestamp>,
    /// Who had it stopped.
    #[schema(required)]
    stopped_by: Option<String>,
    can_stop: bool,
    /// Its own counts, by name.
    figures: BTreeMap<String, u64>,
}

impl From<WorkerStatus> for WorkerView {
    fn from(status: WorkerStatus) -> Self {
        let WorkerStatus { worker, state, heard_at, stopped_by, can_stop, figures } = status;
        Self { worker, state, heard_at, stopped_by, can_stop, figures }
    }
}

/// All workers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Workers)]
pub(crate) struct WorkersBody {
    items: Vec<WorkerView>,
}

/// An order that is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ordered {
    worker: String,
    #[schema(value_type = String)]
    action: ControlAction,
}

/// Who is alive, as heard on the bus.
#[utoipa::path(get, path = "/api/v1/workers", tag = "service", responses(
    (status = 200, description = "All workers, by name", body = WorkersBody),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn list(_: Viewer, State(app): State<Arc<App>>) -> axum::Json<WorkersBody> {
    let items = app.workers.workers().into_iter().map(Into::into).collect();
    axum::Json(WorkersBody { items })
}

/// Has a worker finish what it has begun and end. It starts again with its process.
#[utoipa::path(post, path = "/api/v1/workers/{name}/stop", tag = "service",
    params(("name" = String, Path, description = "Name of the worker")), responses(
    (status = 202, description = "It is told", body = Ordered),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn stop(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(name): Path<String>,
    OptionalJson(Nothing {}): OptionalJson<Nothing>,
) -> Result<(StatusCode, axum::Json<Ordered>), Problem> {
    let known = app.workers.workers().into_iter().find(|status| status.worker == name);
    let status = known.ok_or_else(|| Problem::not_found("there is no such worker"))?;
    if status.state == WorkerState::Stopped {
        return Err(Problem::conflict("the worker is stopped already"));
    }
    if !status.can_stop {
        return Err(Problem::conflict("this worker ends with the process only"));
    }
    if matches!(app.bus.health().state, BusState::Off | BusState::Closed) {
        return Err(Problem::conflict("orders go over the bus, and the bus is off"));
    }
    let action = ControlAction::Stop;
    let order = WorkerControl { worker: name.clone(), action, requested_by: caller.name.clone() };
    let event = Event::try_new(&app.ambient, Payload::WorkerControl(order));
    app.bus.publish(&event.map_err(|_| Problem::not_found("there is no such worker"))?);
    app.audit_ok(&caller, Some(peer), "worker.stop", format!("worker/{name}")).await;
    Ok((StatusCode::ACCEPTED, axum::Json(Ordered { worker: name, action })))
}
