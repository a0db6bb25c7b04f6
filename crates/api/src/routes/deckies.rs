//! Deckies across topologies.

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap, response::Response};
use model::{DeckyId, Name, Op, Service, TopologyStatus};
use serde::Deserialize;
use store::MutationRecord;
use utoipa::{IntoParams, ToSchema};

use super::mutations::{Wanted, accepted, queue};
use crate::{
    auth::Principal,
    extract::{Operator, OptionalJson, Path, Query, Viewer},
    idempotency::key,
    page::{Page, cursor_of, limit, place},
    peer::Peer,
    problem::{Problem, ProblemBody},
    resolve,
    state::App,
    views::{DeckyView, MutationView},
    words::ServiceWord,
};

/// Which deckies.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeckyQuery {
    /// Those of this topology: id, beginning of an id, or name.
    topology: Option<String>,
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most rows, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// How to rotate.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotation {
    /// The services it shall have; picked where absent.
    #[serde(default)]
    #[schema(value_type = Option<Vec<ServiceWord>>)]
    services: Option<Vec<Service>>,
}

/// Deckies, newest first, without those of topologies that were taken down.
#[utoipa::path(get, path = "/api/v1/deckies", tag = "deckies", params(DeckyQuery), responses(
    (status = 200, description = "A page of deckies", body = Page<DeckyView>),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    _: Viewer,
    State(app): State<Arc<App>>,
    Query(query): Query<DeckyQuery>,
) -> Result<axum::Json<Page<DeckyView>>, Problem> {
    let (after, limit) = (place::<DeckyId>(query.cursor.as_deref())?, limit(query.limit)?);
    let records = match &query.topology {
        Some(text) => vec![resolve::topology(&app.store, text).await?],
        None => app.store.topologies().await?,
    };
    let standing = records.iter().filter(|record| record.status != TopologyStatus::TornDown);
    let mut found: Vec<_> = standing
        .flat_map(|record| record.topology.deckies.values().map(move |decky| (record, decky)))
        .filter(|(_, decky)| after.is_none_or(|id| decky.id < id))
        .collect();
    found.sort_by_key(|(_, decky)| std::cmp::Reverse(decky.id));
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|(_, last)| cursor_of(&last.id));
    let items =
        found.iter().map(|(record, decky)| DeckyView::new(record, decky, &*app.network)).collect();
    Ok(axum::Json(Page { items, next_cursor: next, total: None }))
}

/// One decky, with where it really answers.
#[utoipa::path(get, path = "/api/v1/deckies/{id}", tag = "deckies",
    params(("id" = String, Path, description = "Id, beginning of an id, name, or `topology/name` (write the slash as %2F)")), responses(
    (status = 200, description = "The decky", body = DeckyView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn show(
    _: Viewer,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<axum::Json<DeckyView>, Problem> {
    let (record, decky) = resolve::decky(&app.store, &id).await?;
    Ok(axum::Json(DeckyView::new(&record, &decky, &*app.network)))
}

/// Gives a decky other services: queues `rotate_decky`.
#[utoipa::path(post, path = "/api/v1/deckies/{id}/rotate", tag = "deckies",
    params(
        ("id" = String, Path, description = "Id, beginning of an id, name, or `topology/name` (write the slash as %2F)"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and op get the same answer"),
    ),
    request_body = Rotation, responses(
    (status = 202, description = "Queued; Location names it", body = MutationView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn rotate(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(id): Path<String>,
    headers: HeaderMap,
    OptionalJson(rotation): OptionalJson<Rotation>,
) -> Result<Response, Problem> {
    let op = |decky| Op::RotateDecky { decky, services: rotation.services };
    queue_on(&app, &caller, peer, &id, &headers, op).await
}

/// Brings a stopped decky back: queues `start_decky`.
#[utoipa::path(post, path = "/api/v1/deckies/{id}/start", tag = "deckies",
    params(
        ("id" = String, Path, description = "Id, beginning of an id, name, or `topology/name` (write the slash as %2F)"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and op get the same answer"),
    ), responses(
    (status = 202, description = "Queued; Location names it", body = MutationView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn start(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    queue_on(&app, &caller, peer, &id, &headers, |decky| Op::StartDecky { decky }).await
}

/// Takes a decky off the network and keeps it in its topology: queues `stop_decky`.
#[utoipa::path(post, path = "/api/v1/deckies/{id}/stop", tag = "deckies",
    params(
        ("id" = String, Path, description = "Id, beginning of an id, name, or `topology/name` (write the slash as %2F)"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and op get the same answer"),
    ), responses(
    (status = 202, description = "Queued; Location names it", body = MutationView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn stop(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    queue_on(&app, &caller, peer, &id, &headers, |decky| Op::StopDecky { decky }).await
}

/// Removes a decky from its topology: queues `remove_decky`.
#[utoipa::path(post, path = "/api/v1/deckies/{id}/retire", tag = "deckies",
    params(
        ("id" = String, Path, description = "Id, beginning of an id, name, or `topology/name` (write the slash as %2F)"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and op get the same answer"),
    ), responses(
    (status = 202, description = "Queued; Location names it", body = MutationView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn retire(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    queue_on(&app, &caller, peer, &id, &headers, |decky| Op::RemoveDecky { decky }).await
}

/// Queues what `op` makes of the decky that `id` names.
async fn queue_on(
    app: &App,
    caller: &Principal,
    peer: Peer,
    id: &str,
    headers: &HeaderMap,
    op: impl FnOnce(Name) -> Op,
) -> Result<Response, Problem> {
    let key = key(headers)?;
    let (record, decky) = match resolve::decky(&app.store, id).await {
        Ok(found) => found,
        Err(missing) => {
            return match retired(app, caller, id, key.as_deref()).await? {
                Some(first) => Ok(accepted(&first, true)),
                None => Err(missing),
            };
        }
    };
    let op = op(decky.name.clone());
    queue(app, caller, peer, &record, Wanted { op, expected: None, key }).await
}

/// What a repeated request, by `topology/name`, has removed the first time.
async fn retired(
    app: &App,
    caller: &Principal,
    id: &str,
    key: Option<&str>,
) -> Result<Option<MutationRecord>, Problem> {
    let (Some(key), Some((maze, name))) = (key, id.split_once('/')) else { return Ok(None) };
    let Ok(record) = resolve::topology(&app.store, maze).await else { return Ok(None) };
    let known = app.store.mutation_of_key(record.topology.id, &caller.name, key).await?;
    let is_its = |op: &Op| matches!(op, Op::RemoveDecky { decky } if decky.as_str() == name);
    Ok(known.filter(|mutation| is_its(&mutation.op)))
}
