//! The queue of changes.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use model::{MutationId, MutationState, Op, TopologyId, Trigger};
use serde::Deserialize;
use serde_json::Value;
use store::{EnqueueError, MutationRecord, NewMutation, TopologyRecord};
use utoipa::IntoParams;

use super::{
    plans::{self, DryRun, PlanView},
    topologies::{check_version, object, wanted_version},
};
use crate::{
    auth::Principal,
    extract::{Json, Operator, Path, Query, Viewer, json_problem},
    idempotency::{key, marked},
    page::{Page, cursor_of, limit, place},
    peer::Peer,
    problem::{Problem, ProblemBody},
    resolve,
    routes::op::MutationRequestBody,
    state::App,
    views::MutationView,
};

/// A change to queue, as read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MutationRequest {
    op: String,
    payload: Value,
    #[serde(default)]
    expected_version: Option<u64>,
}

impl MutationRequest {
    fn op(&self) -> Result<Op, Problem> {
        let whole = serde_json::json!({ "op": self.op, "payload": self.payload });
        let op: Op = serde_path_to_error::deserialize(whole).map_err(|error| {
            let path = error.path().to_string();
            json_problem(&path, error.inner())
        })?;
        if op.is_internal() {
            let message = "only the service makes such an op; ask for an undo";
            return Err(Problem::field("op", "UNKNOWN_VALUE", message));
        }
        Ok(op)
    }
}

/// Which mutations.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MutationQuery {
    /// States, separated by commas; all where absent.
    state: Option<String>,
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most rows, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Queues a change. It is checked against the topology as it is; the mutator checks it again
/// when its turn comes.
#[utoipa::path(post, path = "/api/v1/topologies/{id}/mutations", tag = "mutations",
    params(
        ("id" = String, Path, description = "Id, beginning of an id, or name"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and op get the same answer"),
        ("If-Match" = Option<String>, Header, description = "Refuse where the topology has another version"),
        DryRun,
    ),
    request_body = MutationRequestBody, responses(
    (status = 200, description = "What it would do (`dry_run`)", body = PlanView),
    (status = 202, description = "Queued; Location names it", body = MutationView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn enqueue(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(id): Path<String>,
    Query(DryRun { dry_run }): Query<DryRun>,
    headers: HeaderMap,
    Json(request): Json<MutationRequest>,
) -> Result<Response, Problem> {
    let op = request.op()?;
    let record = resolve::topology(&app.store, &id).await?;
    let expected = wanted_version(&headers)?.or(request.expected_version);
    if dry_run {
        check_version(expected, &record)?;
        return plans::preview(&app, &record, &op).await;
    }
    queue(&app, &caller, peer, &record, Wanted { op, expected, key: key(&headers)? }).await
}

/// Mutations of a topology, newest first.
#[utoipa::path(get, path = "/api/v1/topologies/{id}/mutations", tag = "mutations",
    params(("id" = String, Path, description = "Id, beginning of an id, or name"), MutationQuery), responses(
    (status = 200, description = "A page of mutations", body = Page<MutationView>),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    _: Viewer,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(query): Query<MutationQuery>,
) -> Result<axum::Json<Page<MutationView>>, Problem> {
    let (after, limit) = (place(query.cursor.as_deref())?, limit(query.limit)?);
    let states = states(query.state.as_deref())?;
    let topology = resolve::topology(&app.store, &id).await?.topology.id;
    let page = page_of(&app, topology, &states, after, limit).await?;
    Ok(axum::Json(page))
}

/// One mutation.
#[utoipa::path(get, path = "/api/v1/topologies/{id}/mutations/{mutation}", tag = "mutations",
    params(
        ("id" = String, Path, description = "Id, beginning of an id, or name"),
        ("mutation" = String, Path, description = "Id of the mutation"),
    ), responses(
    (status = 200, description = "The mutation", body = MutationView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn show(
    _: Viewer,
    State(app): State<Arc<App>>,
    Path((id, mutation)): Path<(String, String)>,
) -> Result<axum::Json<MutationView>, Problem> {
    let missing = || Problem::not_found("there is no such mutation");
    let topology = resolve::topology(&app.store, &id).await?.topology.id;
    let mutation: MutationId = mutation.parse().map_err(|_| missing())?;
    let found = app.store.mutation(mutation).await?.filter(|m| m.topology_id == topology);
    found.as_ref().map(|m| axum::Json(m.into())).ok_or_else(missing)
}

/// What somebody wants changed.
pub(crate) struct Wanted {
    pub(crate) op: Op,
    pub(crate) expected: Option<u64>,
    pub(crate) key: Option<String>,
}

/// Checks and queues a change, and answers where to watch it.
pub(crate) async fn queue(
    app: &App,
    caller: &Principal,
    peer: Peer,
    record: &TopologyRecord,
    wanted: Wanted,
) -> Result<Response, Problem> {
    let topology_id = record.topology.id;
    // A repeated request is answered as the first was, whatever has become of the topology.
    if wanted.key.is_none() {
        check(app, record, &wanted.op).await?;
    } else if let Err(problem) = check(app, record, &wanted.op).await {
        return replay(app, caller, topology_id, wanted, problem).await;
    }
    let word = wanted.op.word();
    let queued = app.store.enqueue(new_mutation(topology_id, caller, wanted)).await;
    let queued = queued.map_err(enqueue_problem)?;
    app.mutator.look_at_queue();
    if !queued.replayed {
        let action = format!("mutation.{word}");
        app.audit_ok(caller, Some(peer), &action, object(topology_id)).await;
    }
    Ok(accepted(&queued.mutation, queued.replayed))
}

/// The answer to a request whose op does not fit (any more): the first one's, where the key was
/// used before, else the refusal. Asked with a version that no topology reaches, the store
/// answers known keys, which come before all other checks, and queues nothing.
async fn replay(
    app: &App,
    caller: &Principal,
    topology: TopologyId,
    wanted: Wanted,
    refusal: Problem,
) -> Result<Response, Problem> {
    let probe = Wanted { expected: Some(u64::MAX), ..wanted };
    match app.store.enqueue(new_mutation(topology, caller, probe)).await {
        Ok(first) => Ok(accepted(&first.mutation, true)),
        Err(error @ EnqueueError::KeyReusedDifferently) => Err(enqueue_problem(error)),
        Err(EnqueueError::Store(error)) => Err(error.into()),
        Err(_) => Err(refusal),
    }
}

fn new_mutation(topology_id: TopologyId, caller: &Principal, wanted: Wanted) -> NewMutation {
    NewMutation {
        topology_id,
        op: wanted.op,
        expected_version: wanted.expected,
        idempotency_key: wanted.key,
        requested_by: caller.name.clone(),
        trigger: Trigger::Operator,
        dedupe_event: None,
    }
}

/// The answer to who asked for this change.
pub(super) fn accepted(mutation: &MutationRecord, replayed: bool) -> Response {
    let location = format!("/api/v1/topologies/{}/mutations/{}", mutation.topology_id, mutation.id);
    let body = axum::Json(MutationView::from(mutation));
    let response = (StatusCode::ACCEPTED, [(header::LOCATION, location)], body).into_response();
    marked(response, replayed)
}

/// Refuses an op that breaks a rule, both on the topology as it is and as it will be once what
/// is queued before has been applied.
async fn check(app: &App, record: &TopologyRecord, op: &Op) -> Result<(), Problem> {
    let apply = |topology| maze::apply_on(plans::stage(record), topology, op, &app.ambient);
    let Err(violations) = apply(&record.topology) else { return Ok(()) };
    match plans::ahead(app, record).await? {
        Some(ahead) if apply(&ahead).is_ok() => Ok(()),
        _ => Err(Problem::violations(violations)),
    }
}

pub(super) fn enqueue_problem(error: EnqueueError) -> Problem {
    match error {
        EnqueueError::UnknownTopology { .. } => Problem::not_found("there is no such topology"),
        EnqueueError::VersionConflict { .. } => Problem::stale(error.to_string()),
        EnqueueError::KeyReusedDifferently => Problem::key_reused(error.to_string()),
        EnqueueError::NotMutable { .. } => Problem::conflict(error.to_string()),
        EnqueueError::QueueFull => Problem::queue_full(error.to_string()).retry_after(5),
        EnqueueError::Store(error) => error.into(),
    }
}

fn states(wanted: Option<&str>) -> Result<Vec<Option<MutationState>>, Problem> {
    let Some(wanted) = wanted else { return Ok(vec![None]) };
    let mut states = Vec::new();
    for word in wanted.split(',') {
        let state: MutationState = word
            .trim()
            .parse()
            .map_err(|error| Problem::field("state", "UNKNOWN_VALUE", format!("{error}")))?;
        if !states.contains(&Some(state)) {
            states.push(Some(state));
        }
    }
    Ok(states)
}

async fn page_of(
    app: &App,
    topology: TopologyId,
    states: &[Option<MutationState>],
    after: Option<MutationId>,
    limit: usize,
) -> Result<Page<MutationView>, Problem> {
    let (mut rows, mut more) = (Vec::new(), false);
    for state in states {
        let page = app.store.mutations(topology, *state, after, limit).await?;
        more |= page.next.is_some();
        rows.extend(page.items);
    }
    rows.sort_by_key(|mutation| std::cmp::Reverse(mutation.id));
    more |= rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|last| cursor_of(&last.id));
    Ok(Page { items: rows.iter().map(Into::into).collect(), next_cursor: next, total: None })
}
