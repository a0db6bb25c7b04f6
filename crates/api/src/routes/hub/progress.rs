//! The progress log of workstreams and tasks: what somebody noted, never changed.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use model::hub::{Prose, Task, Workstream};
use serde::Deserialize;
use store::{Made, NewProgress, ProgressFilter};
use utoipa::ToSchema;

use super::{problem, resource::find};
use crate::{
    auth::Principal,
    extract::{Operator, Path, Query, Viewer},
    idempotency::{Keyed, marked},
    page::{Page, PageQuery},
    peer::Peer,
    problem::{Problem, ProblemBody},
    state::App,
    views::hub::ProgressView,
};

/// What to note.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoteProgress {
    /// What happened; at most 16 KiB.
    #[schema(value_type = String, min_length = 1)]
    text: Prose,
}

/// The progress log of a workstream, its tasks included, newest first.
#[utoipa::path(get, path = "/api/v1/workstreams/{id}/progress", tag = "hub",
    params(("id" = String, Path, description = "Id, beginning of an id, or slug"), PageQuery),
    responses(
    (status = 200, description = "A page of entries", body = Page<ProgressView>),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn of_workstream(
    _: Viewer,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<ProgressView>>, Problem> {
    let id = find::<Workstream>(&app, &id).await?.id;
    list(&app, ProgressFilter::Workstream(id), &query).await
}

/// The progress log of a task, newest first.
#[utoipa::path(get, path = "/api/v1/tasks/{id}/progress", tag = "hub",
    params(("id" = String, Path, description = "Id, or beginning of an id"), PageQuery),
    responses(
    (status = 200, description = "A page of entries", body = Page<ProgressView>),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn of_task(
    _: Viewer,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<ProgressView>>, Problem> {
    let id = find::<Task>(&app, &id).await?.id;
    list(&app, ProgressFilter::Task(id), &query).await
}

/// Adds to the progress log of a workstream.
#[utoipa::path(post, path = "/api/v1/workstreams/{id}/progress", tag = "hub",
    request_body = NoteProgress,
    params(
        ("id" = String, Path, description = "Id, beginning of an id, or slug"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body, within a day, get the same thing"),
    ), responses(
    (status = 201, description = "Noted", body = ProgressView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn note_workstream(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(id): Path<String>,
    request: Keyed<NoteProgress>,
) -> Result<Response, Problem> {
    let id = find::<Workstream>(&app, &id).await?.id;
    let about = ProgressFilter::Workstream(id);
    note(&app, &caller, peer, about, format!("workstream/{id}"), request).await
}

/// Adds to the progress log of a task.
#[utoipa::path(post, path = "/api/v1/tasks/{id}/progress", tag = "hub",
    request_body = NoteProgress,
    params(
        ("id" = String, Path, description = "Id, or beginning of an id"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body, within a day, get the same thing"),
    ), responses(
    (status = 201, description = "Noted", body = ProgressView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn note_task(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(id): Path<String>,
    request: Keyed<NoteProgress>,
) -> Result<Response, Problem> {
    let id = find::<Task>(&app, &id).await?.id;
    note(&app, &caller, peer, ProgressFilter::Task(id), format!("task/{id}"), request).await
}

async fn list(
    app: &App,
    about: ProgressFilter,
    query: &PageQuery,
) -> Result<axum::Json<Page<ProgressView>>, Problem> {
    let (after, limit) = query.parse()?;
    let page = app.store.progress(about, after, limit).await?;
    Ok(axum::Json(Page::of(&page, |row| row.into())))
}

async fn note(
    app: &App,
    caller: &Principal,
    peer: Peer,
    about: ProgressFilter,
    object: String,
    request: Keyed<NoteProgress>,
) -> Result<Response, Problem> {
    let (wanted, key) = request.of(caller);
    if wanted.text.as_str().trim().is_empty() {
        return Err(Problem::field("text", "INVALID_VALUE", "must not be empty"));
    }
    let new = NewProgress { about, text: wanted.text, author: caller.name.clone() };
    let Made { row, replayed } = app.store.note_progress(new, key).await.map_err(problem)?;
    if !replayed {
        app.audit_ok(caller, Some(peer), "progress.note", object).await;
    }
    let response = (StatusCode::CREATED, axum::Json(ProgressView::from(&row))).into_response();
    Ok(marked(response, replayed))
}
