//! Taking applied mutations back.
//!
//! An undo is a mutation like any other: queued at the version that was looked at, checked again
//! when its turn comes, and final. It takes back what people asked for, the last first; what the
//! schedule did in between stays, and where it touched the same thing, the undo is refused.

use std::{collections::BTreeSet, sync::Arc};

use axum::{extract::State, http::HeaderMap, response::Response};
use maze::{Step, StepKind};
use model::{MutationId, Name, Op, Trigger};
use serde::Deserialize;
use store::{EnqueueError, MutationRecord, SessionFilter, TopologyRecord};
use utoipa::ToSchema;

use super::{
    mutations::{Wanted, accepted, enqueue_problem, queue},
    plans::{self, DryRun, PlanView, stage},
    topologies::{check_version, wanted_version},
};
use crate::{
    extract::{Operator, OptionalJson, Path, Query},
    idempotency::key,
    peer::Peer,
    problem::{Problem, ProblemBody},
    resolve,
    state::App,
    views::MutationView,
};

/// How far back an undo looks.
const HISTORY: usize = 500;
/// The most mutations that one undo takes back.
const MAX_COUNT: usize = 100;

/// What to take back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UndoRequest {
    /// How many mutations, the last applied first: 1 to 100.
    #[schema(minimum = 1, maximum = 100)]
    count: usize,
    /// Also where a rotation has changed the same thing since, or where a visitor would notice.
    force: bool,
    /// Refuse where the topology has another version; the same as `If-Match`.
    expected_version: Option<u64>,
}

impl Default for UndoRequest {
    fn default() -> Self {
        Self { count: 1, force: false, expected_version: None }
    }
}

/// Takes back the last mutations that people asked for, all of them or none.
#[utoipa::path(post, path = "/api/v1/topologies/{id}/undo", tag = "mutations",
    params(
        ("id" = String, Path, description = "Id, beginning of an id, or name"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and op get the same answer"),
        ("If-Match" = Option<String>, Header, description = "Refuse where the topology has another version"),
        DryRun,
    ),
    request_body = UndoRequest, responses(
    (status = 200, description = "What it would do (`dry_run`)", body = PlanView),
    (status = 202, description = "Queued; Location names it", body = MutationView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn undo(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(id): Path<String>,
    Query(DryRun { dry_run }): Query<DryRun>,
    headers: HeaderMap,
    OptionalJson(request): OptionalJson<UndoRequest>,
) -> Result<Response, Problem> {
    let record = resolve::topology(&app.store, &id).await?;
    let key = key(&headers)?;
    if let Some(key) = key.as_deref().filter(|_| !dry_run)
        && let Some(first) =
            app.store.mutation_of_key(record.topology.id, &caller.name, key).await?
    {
        return replay(&first, &request);
    }
    check_version(wanted_version(&headers)?.or(request.expected_version), &record)?;
    if !(1..=MAX_COUNT).contains(&request.count) {
        let message = format!("from 1 to {MAX_COUNT}");
        return Err(Problem::field("count", "OUT_OF_RANGE", message));
    }
    if plans::ahead(&app, &record).await?.is_some() {
        return Err(Problem::undo("changes are in the queue still; wait until they have ended"));
    }
    let applied = app.store.applied_mutations(record.topology.id, HISTORY).await?;
    let op = inverse_of(&applied, &request)?;
    if !request.force {
        check_unvisited(&app, &record, &op).await?;
    }
    if dry_run {
        return plans::preview(&app, &record, &op).await;
    }
    let expected = Some(record.topology.version);
    queue(&app, &caller, peer, &record, Wanted { op, expected, key }).await
}

/// The answer to a request whose key was used before: the first one's, where that asked for the
/// same. What an undo takes back depends on when it is asked for, so this comes before a look at it.
fn replay(first: &MutationRecord, request: &UndoRequest) -> Result<Response, Problem> {
    match &first.op {
        Op::Undo { mutations, .. } if mutations.len() == request.count => Ok(accepted(first, true)),
        _ => Err(enqueue_problem(EnqueueError::KeyReusedDifferently)),
    }
}

/// The op that takes back the last `count` mutations that people asked for.
fn inverse_of(applied: &[MutationRecord], request: &UndoRequest) -> Result<Op, Problem> {
    let mut mutations: Vec<MutationId> = Vec::new();
    let mut ops = Vec::new();
    let mut since: Vec<&MutationRecord> = Vec::new();
    for mutation in applied {
        let is_undo = matches!(mutation.op, Op::Undo { .. });
        if is_undo || mutation.undone_by.is_some() {
            continue;
        }
        if mutations.len() == request.count {
            break;
        }
        if by_itself(mutation.trigger) {
            since.push(mutation);
            continue;
        }
        if !request.force {
            check_untouched(mutation, &since)?;
        }
        mutations.push(mutation.id);
        ops.extend(mutation.inverse.iter().cloned());
    }
    if mutations.len() < request.count {
        let detail = match mutations.len() {
            0 => "there is nothing to take back".to_owned(),
            some => format!("only {some} mutations can be taken back"),
        };
        return Err(Problem::undo(detail));
    }
    Ok(Op::Undo { mutations, ops })
}

/// Whether nobody asked for it.
fn by_itself(trigger: Trigger) -> bool {
    match trigger {
        Trigger::Scheduled | Trigger::Behavioural => true,
        Trigger::Operator | Trigger::Activity | Trigger::Creation | Trigger::Retirement => false,
    }
}

fn check_untouched(mutation: &MutationRecord, since: &[&MutationRecord]) -> Result<(), Problem> {
    let own: BTreeSet<&Name> = mutation.op.subjects().into_iter().collect();
    for later in since {
        if let Some(name) = later.op.subjects().into_iter().find(|name| own.contains(name)) {
            return Err(Problem::undo(format!(
                "{name} was changed since by {} ({}, mutation {}); say `force` to take {} back all \
                 the same",
                later.op.word(),
                later.trigger,
                later.id,
                mutation.op.word()
            )));
        }
    }
    Ok(())
}

/// Refuses where a machine with a visitor would go.
async fn check_unvisited(app: &App, record: &TopologyRecord, op: &Op) -> Result<(), Problem> {
    let preview = maze::preview(stage(record), &record.topology, op, &app.ambient);
    let preview = preview.map_err(Problem::violations)?;
    let going = preview.steps.iter().filter(|step| step.kind() == StepKind::RemoveDecky);
    for decky in going.filter_map(Step::decky) {
        let live = SessionFilter { decky: Some(decky), live: Some(true), ..Default::default() };
        if !app.store.sessions(live, None, 1).await?.items.is_empty() {
            let name = record.topology.deckies.get(&decky).map(|decky| decky.name.to_string());
            let name = name.unwrap_or_default();
            return Err(Problem::undo(format!(
                "decky {name} has a visitor, whose session would end; say `force`"
            )));
        }
    }
    Ok(())
}
