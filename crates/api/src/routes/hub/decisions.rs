//! Decisions: what is, or was, to be decided.

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap};
use model::{
    DecisionId, EventContext,
    hub::{Decision, DecisionStatus, DecisionType, Prose, Title, Topic, Workstream},
};
use serde::Deserialize;
use store::{DecisionChange, DecisionFilter, HubError, Made, NewDecision, Resolution};
use utoipa::{IntoParams, ToSchema};

use super::{
    Asked, context, nullable, present, problem,
    resource::{
        AtVersion, Resource, done, filtered, find, handlers, listing, references, rereferences,
        stored,
    },
};
use crate::{
    extract::{Json, Operator, OptionalJson, Path},
    peer::Peer,
    problem::{Problem, ProblemBody},
    state::App,
    views::hub::DecisionView,
    words::{DecisionStatusWord, DecisionTypeWord},
};

/// Which decisions.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DecisionQuery {
    /// Those of this workstream: id, beginning of an id, or slug.
    workstream: Option<String>,
    /// Those of this topic: id, beginning of an id, or slug.
    topic: Option<String>,
    /// Those of this type.
    #[serde(rename = "type")]
    #[param(value_type = Option<DecisionTypeWord>)]
    kind: Option<DecisionType>,
    /// Those of this status.
    #[param(value_type = Option<DecisionStatusWord>)]
    status: Option<DecisionStatus>,
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most rows, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// A decision to create. `pending` ones are open; `made` ones are resolved from the start, need
/// `rationale` and `decided_by`, and publish nothing, since nothing happens now.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateDecision {
    /// What is to be decided.
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    title: Title,
    /// At most 16 KiB.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Option<Prose>,
    /// `pending` where absent.
    #[serde(rename = "type", default)]
    #[schema(value_type = Option<DecisionTypeWord>)]
    kind: Option<DecisionType>,
    /// Id, beginning of an id, or slug.
    #[serde(default)]
    workstream: Option<String>,
    /// Id, beginning of an id, or slug.
    #[serde(default)]
    topic: Option<String>,
    /// How and why it was decided; of `made` ones.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    rationale: Option<Prose>,
    /// By whom; of `made` ones.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 200)]
    decided_by: Option<Title>,
}

/// What to change about the words and the place of a decision; what is absent stays, `null`
/// takes away.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeDecision {
    /// Refuse where it has another version.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = u64)]
    version: Option<u64>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    title: Option<Title>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String)]
    description: Option<Prose>,
    /// Id, beginning of an id, or slug.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    workstream: Option<Option<String>>,
    /// Id, beginning of an id, or slug.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    topic: Option<Option<String>>,
}

/// How a decision is resolved.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResolveDecision {
    /// Refuse where it has another version.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = u64)]
    version: Option<u64>,
    /// How and why it was decided; at most 16 KiB.
    #[schema(value_type = String, min_length = 1)]
    rationale: Prose,
    /// By whom; the caller where absent.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, max_length = 200)]
    decided_by: Option<Title>,
}

/// How a decision is superseded.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SupersedeDecision {
    /// Refuse where it has another version.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = u64)]
    version: Option<u64>,
    /// The decision that takes its place: id, or beginning of an id.
    #[serde(default)]
    by: Option<String>,
}

impl CreateDecision {
    /// How it was decided, of one that was made already.
    fn resolution(&mut self) -> Result<Option<Resolution>, Problem> {
        let (rationale, decided_by) = (self.rationale.take(), self.decided_by.take());
        let field = if rationale.is_some() { "rationale" } else { "decided_by" };
        match self.kind.unwrap_or(DecisionType::Pending) {
            DecisionType::Pending if rationale.is_none() && decided_by.is_none() => Ok(None),
            DecisionType::Pending => Err(Problem::field(
                field,
                "UNEXPECTED_FIELD",
                "only a decision that is made has it",
            )),
            DecisionType::Made => {
                let missing = |field| {
                    Problem::field(field, "MISSING_FIELD", "a decision that is made has it")
                };
                let rationale = told(rationale.ok_or_else(|| missing("rationale"))?)?;
                let decided_by = decided_by.ok_or_else(|| missing("decided_by"))?;
                Ok(Some(Resolution { rationale, decided_by }))
            }
        }
    }
}

/// A rationale that says something.
fn told(rationale: Prose) -> Result<Prose, Problem> {
    if rationale.as_str().trim().is_empty() {
        return Err(Problem::field("rationale", "INVALID_VALUE", "must not be empty"));
    }
    Ok(rationale)
}

listing!(DecisionQuery);

impl Resource for Decision {
    type View = DecisionView;
    type Query = DecisionQuery;
    type Create = CreateDecision;
    type Change = ChangeDecision;
    const NOUN: &'static str = "decision";
    const PATH: &'static str = "/api/v1/decisions";
    stored!(DecisionId, decision, decisions, remove_decision);

    fn view(&self, _app: &App) -> DecisionView {
        self.into()
    }

    async fn page(
        app: &App,
        query: DecisionQuery,
        after: Option<DecisionId>,
        limit: usize,
    ) -> Result<store::Page<Self, DecisionId>, Problem> {
        let filter = DecisionFilter {
            workstream_id: filtered::<Workstream>(app, "workstream", query.workstream.as_deref())
                .await?,
            topic_id: filtered::<Topic>(app, "topic", query.topic.as_deref()).await?,
            kind: query.kind,
            status: query.status,
        };
        Ok(app.store.decisions(filter, after, limit).await?)
    }

    async fn create(
        app: &App,
        mut wanted: CreateDecision,
        asked: Asked,
    ) -> Result<Made<Self>, Problem> {
        let made = wanted.resolution()?;
        let workstream = wanted.workstream.as_deref();
        let new = NewDecision {
            workstream_id: references::<Workstream>(app, "workstream", workstream).await?,
            topic_id: references::<Topic>(app, "topic", wanted.topic.as_deref()).await?,
            title: wanted.title,
            description: wanted.description.unwrap_or_default(),
            made,
        };
        app.store.create_decision(new, asked.key).await.map_err(problem)
    }

    async fn change(
        &self,
        app: &App,
        wanted: ChangeDecision,
        _context: EventContext,
    ) -> Result<Self, Problem> {
        let workstream = wanted.workstream;
        let change = DecisionChange {
            version: wanted.version,
            title: wanted.title,
            description: wanted.description,
            workstream_id: rereferences::<Workstream>(app, "workstream", workstream).await?,
            topic_id: rereferences::<Topic>(app, "topic", wanted.topic).await?,
        };
        app.store.change_decision(self.id, change).await.map_err(problem)
    }
}

handlers! {
    Decision, DecisionView, DecisionQuery, CreateDecision, ChangeDecision,
    "/api/v1/decisions", "/api/v1/decisions/{id}", "Id, or beginning of an id",
    list "Decisions.",
    create "Creates a decision.",
    show "A decision.",
    change "Changes the words and the place of a decision.",
    remove "Removes a decision that nothing refers to."
}

/// Resolves a decision; publishes `org.statehub.decision.resolved`.
#[utoipa::path(post, path = "/api/v1/decisions/{id}/resolve", tag = "hub",
    request_body = ResolveDecision,
    params(("id" = String, Path, description = "Id, or beginning of an id")), responses(
    (status = 200, description = "Resolved", body = DecisionView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn resolve(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(wanted): Json<ResolveDecision>,
) -> Result<axum::Json<DecisionView>, Problem> {
    let decision = find::<Decision>(&app, &id).await?;
    let by_caller = || {
        caller.name.parse().map_err(|_| Problem::field("decided_by", "MISSING_FIELD", "say who"))
    };
    let decided_by = wanted.decided_by.map_or_else(by_caller, Ok)?;
    let resolution = Resolution { rationale: told(wanted.rationale)?, decided_by };
    let context = context(&caller, &headers);
    let resolved = app.store.resolve_decision(decision.id, resolution, wanted.version, context);
    let resolved = resolved.await.map_err(problem)?;
    done(&app, &caller, peer, "resolve", &resolved).await
}

/// Hands a decision to somebody higher.
#[utoipa::path(post, path = "/api/v1/decisions/{id}/escalate", tag = "hub",
    request_body = Option<AtVersion>,
    params(("id" = String, Path, description = "Id, or beginning of an id")), responses(
    (status = 200, description = "Escalated", body = DecisionView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn escalate(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(id): Path<String>,
    OptionalJson(wanted): OptionalJson<AtVersion>,
) -> Result<axum::Json<DecisionView>, Problem> {
    let decision = find::<Decision>(&app, &id).await?;
    let escalated = app.store.escalate_decision(decision.id, wanted.version).await;
    let escalated = escalated.map_err(problem)?;
    done(&app, &caller, peer, "escalate", &escalated).await
}

/// Marks a decision as superseded.
#[utoipa::path(post, path = "/api/v1/decisions/{id}/supersede", tag = "hub",
    request_body = Option<SupersedeDecision>,
    params(("id" = String, Path, description = "Id, or beginning of an id")), responses(
    (status = 200, description = "Superseded", body = DecisionView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn supersede(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(id): Path<String>,
    OptionalJson(wanted): OptionalJson<SupersedeDecision>,
) -> Result<axum::Json<DecisionView>, Problem> {
    let decision = find::<Decision>(&app, &id).await?;
    let by = references::<Decision>(&app, "by", wanted.by.as_deref()).await?;
    let superseded = app.store.supersede_decision(decision.id, by, wanted.version).await;
    let superseded = superseded.map_err(problem)?;
    done(&app, &caller, peer, "supersede", &superseded).await
}
