//! The sweep for stale tasks, by request.

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap};
use model::{TaskId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{context, problem};
use crate::{
    extract::{Operator, OptionalJson},
    peer::Peer,
    problem::{Problem, ProblemBody},
    state::App,
    words::{Id, Moment},
};

/// How to sweep.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SweepStale {
    /// Only say what would be cancelled.
    #[serde(default)]
    dry_run: bool,
}

/// What a sweep did, or would do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sweep)]
pub(crate) struct SweepView {
    dry_run: bool,
    /// Tasks that were stale.
    stale: u64,
    /// Tasks that were cancelled: all of them, or none where it was only looked.
    cancelled: u64,
    /// Which, the newest first; 1,000 at most.
    #[schema(value_type = Vec<Id>)]
    task_ids: Vec<TaskId>,
    /// Whether there were more than `task_ids` lists.
    truncated: bool,
    #[schema(value_type = Moment, nullable, required)]
    swept_at: Option<Timestamp>,
    /// Journal position of the event that sums it up.
    #[schema(required)]
    position: Option<u64>,
}

/// Cancels open tasks in workstreams that are finished or archived; publishes
/// `org.statehub.task.stale` for each and `org.statehub.task.sweep.completed` once, with 0 too.
#[utoipa::path(post, path = "/api/v1/tasks/sweep-stale", tag = "hub",
    request_body = Option<SweepStale>, responses(
    (status = 200, description = "Swept, or looked", body = SweepView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn sweep_stale(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    headers: HeaderMap,
    OptionalJson(wanted): OptionalJson<SweepStale>,
) -> Result<axum::Json<SweepView>, Problem> {
    if wanted.dry_run {
        return look(&app).await;
    }
    let context = context(&caller, &headers);
    let swept = app.store.sweep_stale_tasks(context, peer.address(), || app.stop.is_cancelled());
    let swept = swept.await.map_err(problem)?;
    Ok(axum::Json(SweepView {
        dry_run: false,
        stale: swept.cancelled,
        cancelled: swept.cancelled,
        truncated: swept.cancelled > swept.task_ids.len() as u64,
        task_ids: swept.task_ids,
        swept_at: Some(swept.swept_at),
        position: Some(swept.position),
    }))
}

async fn look(app: &App) -> Result<axum::Json<SweepView>, Problem> {
    let found = app.store.stale_tasks().await?;
    Ok(axum::Json(SweepView {
        dry_run: true,
        stale: found.stale,
        cancelled: 0,
        truncated: found.stale > found.task_ids.len() as u64,
        task_ids: found.task_ids,
        swept_at: None,
        position: None,
    }))
}
