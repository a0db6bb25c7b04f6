//! Topologies: create, look, deploy, tear down.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use model::{Decky, DeckyState, Name, Topology, TopologyId, TopologyStatus};
use serde::{Deserialize, Serialize};
use store::{CreateError, DeckyChange, TopologyRecord, TransitionError};
use utoipa::ToSchema;

use crate::{
    auth::Principal,
    extract::{Json, Operator, Path, Query, Viewer},
    page::{Page, PageQuery, cursor_of, limit, place},
    peer::Peer,
    problem::{Problem, ProblemBody},
    resolve,
    state::App,
    views::{TopologySummary, TopologyView},
    words::{Id, TopologyStatusWord},
};

/// What a new topology begins with.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Template {
    /// Nothing.
    #[default]
    Empty,
    /// Three LANs and six deckies that together speak every service over TCP.
    Demo,
}

/// A topology to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateTopology {
    /// A lower-case DNS label that no other topology has.
    #[schema(value_type = String, pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    name: Name,
    /// What it begins with; nothing where absent.
    #[serde(default)]
    template: Template,
}

/// A change of status that has begun.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    #[schema(value_type = Id)]
    topology_id: TopologyId,
    #[schema(value_type = TopologyStatusWord)]
    status: TopologyStatus,
    /// Journal position of the event that announces it.
    position: u64,
}

/// All topologies, newest first.
#[utoipa::path(get, path = "/api/v1/topologies", tag = "topologies", params(PageQuery), responses(
    (status = 200, description = "A page of topologies", body = Page<TopologySummary>),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    _: Viewer,
    Query(query): Query<PageQuery>,
    State(app): State<Arc<App>>,
) -> Result<axum::Json<Page<TopologySummary>>, Problem> {
    let (after, limit) = (place::<TopologyId>(query.cursor.as_deref())?, limit(query.limit)?);
    let all = app.store.topologies().await?;
    let mut rest = all.iter().filter(|record| after.is_none_or(|id| record.topology.id < id));
    let items: Vec<TopologySummary> = rest.by_ref().take(limit).map(Into::into).collect();
    let next = rest.next().and(items.last()).map(|last| cursor_of(&last.topology_id));
    Ok(axum::Json(Page { items, next_cursor: next, total: Some(all.len() as u64) }))
}

/// Creates a topology; nothing is deployed yet.
#[utoipa::path(post, path = "/api/v1/topologies", tag = "topologies", request_body = CreateTopology, responses(
    (status = 201, description = "Created", body = TopologyView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn create(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    Json(wanted): Json<CreateTopology>,
) -> Result<Response, Problem> {
    let topology = match wanted.template {
        Template::Empty => Topology::new(app.ambient.id(), wanted.name),
        Template::Demo => maze::demo(wanted.name, &app.ambient),
    };
    keep(&app, &caller, peer, &topology, "topology.create").await
}

/// Keeps a new topology and shows it.
pub(crate) async fn keep(
    app: &App,
    caller: &Principal,
    peer: Peer,
    topology: &Topology,
    action: &'static str,
) -> Result<Response, Problem> {
    app.store.create_topology(topology, &caller.name).await.map_err(|error| match error {
        CreateError::NameTaken { name } => {
            Problem::name_taken(format!("a topology named `{name}` exists already"))
        }
        CreateError::Store(error) => error.into(),
    })?;
    app.audit_ok(caller, Some(peer), action, object(topology.id)).await;
    let record = app.store.topology(topology.id).await?;
    let record = record.ok_or_else(|| Problem::internal("the topology is gone already"))?;
    let location = format!("/api/v1/topologies/{}", topology.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], shown(app, &record)).into_response())
}

/// A topology with its LANs and deckies.
#[utoipa::path(get, path = "/api/v1/topologies/{id}", tag = "topologies",
    params(("id" = String, Path, description = "Id, beginning of an id, or name")), responses(
    (status = 200, description = "The topology; its version is the ETag", body = TopologyView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn show(
    _: Viewer,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let record = resolve::topology(&app.store, &id).await?;
    Ok(shown(&app, &record))
}

/// Deploys a topology that is pending.
#[utoipa::path(post, path = "/api/v1/topologies/{id}/deploy", tag = "topologies",
    params(("id" = String, Path, description = "Id, beginning of an id, or name")), responses(
    (status = 202, description = "Being deployed", body = Accepted),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn deploy(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let record = resolve::topology(&app.store, &id).await?;
    check_version(wanted_version(&headers)?, &record)?;
    let violations = maze::deployable(&record.topology);
    if !violations.is_empty() && record.status == TopologyStatus::Pending {
        return Err(Problem::violations(violations));
    }
    let starting = |decky: &Arc<Decky>| DeckyChange {
        decky_id: decky.id,
        state: DeckyState::Starting,
        reason: None,
    };
    let running = record.topology.deckies.values().filter(|decky| !decky.is_stopped);
    let deckies = running.map(starting).collect();
    let change = Change { action: "topology.deploy", to: TopologyStatus::Deploying, deckies };
    begin(&app, &caller, peer, &record, change).await
}

/// Takes a topology down; it stays readable by its id.
#[utoipa::path(post, path = "/api/v1/topologies/{id}/teardown", tag = "topologies",
    params(("id" = String, Path, description = "Id, beginning of an id, or name")), responses(
    (status = 202, description = "Being taken down", body = Accepted),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn tear_down(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    take_down(&app, &caller, peer, &id, &headers).await
}

/// Takes a topology down; the same as `teardown`.
#[utoipa::path(delete, path = "/api/v1/topologies/{id}", tag = "topologies",
    params(("id" = String, Path, description = "Id, beginning of an id, or name")), responses(
    (status = 202, description = "Being taken down", body = Accepted),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn remove(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    take_down(&app, &caller, peer, &id, &headers).await
}

async fn take_down(
    app: &App,
    caller: &Principal,
    peer: Peer,
    id: &str,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let record = resolve::topology(&app.store, id).await?;
    check_version(wanted_version(headers)?, &record)?;
    let to = TopologyStatus::TearingDown;
    let change = Change { action: "topology.teardown", to, deckies: Vec::new() };
    begin(app, caller, peer, &record, change).await
}

struct Change {
    action: &'static str,
    to: TopologyStatus,
    deckies: Vec<DeckyChange>,
}

/// Changes the status, for the mutator to act on.
async fn begin(
    app: &App,
    caller: &Principal,
    peer: Peer,
    record: &TopologyRecord,
    change: Change,
) -> Result<Response, Problem> {
    let (id, to) = (record.topology.id, change.to);
    if record.status == to {
        return Err(Problem::conflict(format!("the topology is {to} already")));
    }
    let (version, step) = (record.topology.version, (record.status, to));
    let changed = app.store.set_status_at(id, version, step, change.deckies).await;
    let position = changed.map_err(|error| match error {
        TransitionError::Unknown { .. } => Problem::not_found("there is no such topology"),
        TransitionError::Conflict { actual, .. } => {
            Problem::conflict(format!("the topology has become {actual} meanwhile"))
        }
        TransitionError::Stale { .. } => Problem::stale(error.to_string()),
        TransitionError::Illegal { from, to } => {
            Problem::conflict(format!("a topology that is {from} cannot become {to}"))
        }
        TransitionError::Store(error) => error.into(),
    })?;
    app.mutator.look_at_everything();
    app.audit_ok(caller, Some(peer), change.action, object(id)).await;
    let body = axum::Json(Accepted { topology_id: id, status: to, position });
    Ok((StatusCode::ACCEPTED, body).into_response())
}

/// How topologies stand in the audit log.
pub(crate) fn object(id: TopologyId) -> String {
    format!("topology/{id}")
}

fn shown(app: &App, record: &TopologyRecord) -> Response {
    let etag = etag(record.topology.version);
    let view = axum::Json(TopologyView::new(record, &*app.network));
    ([(header::ETAG, etag)], view).into_response()
}

/// A version as an entity tag.
pub(crate) fn etag(version: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).expect("digits and quotes fit a header")
}

/// The version that `If-Match` insists on; `None` where it does not.
///
/// # Errors
/// Where it is no version of a topology.
pub(crate) fn wanted_version(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    match value.to_str().unwrap_or_default().trim() {
        "*" => Ok(None),
        text => {
            let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            let version = digits.unwrap_or(text).parse();
            version.map(Some).map_err(|_| Problem::stale("If-Match holds no version"))
        }
    }
}

/// Refuses where the topology has another version than the one wanted.
pub(crate) fn check_version(wanted: Option<u64>, record: &TopologyRecord) -> Result<(), Problem> {
    let current = record.topology.version;
    match wanted {
        Some(wanted) if wanted != current => {
            Err(Problem::stale(format!("the topology has version {current}, not {wanted}")))
        }
        _ => Ok(()),
    }
}
