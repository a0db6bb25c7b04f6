//! What domains aim at. A goal is a draft first; activating one while another is active is
//! refused, unless the other shall be retired for it.

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap};
use model::{
    EventContext, GoalId,
    hub::{Domain, DomainGoal, GoalState, Prose, Title},
};
use serde::Deserialize;
use store::{GoalChange, GoalFilter, GoalMove, HubError, Made, NewGoal};
use utoipa::{IntoParams, ToSchema};

use super::{
    Asked, context, present, problem,
    resource::{AtVersion, Resource, done, filtered, find, handlers, listing, reference, stored},
};
use crate::{
    auth::Principal,
    extract::{Operator, OptionalJson, Path},
    peer::Peer,
    problem::{Problem, ProblemBody},
    state::App,
    views::hub::GoalView,
    words::GoalStateWord,
};

/// Which goals.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct GoalQuery {
    /// Those of this domain: id, beginning of an id, or slug.
    domain: Option<String>,
    /// Those in this state.
    #[param(value_type = Option<GoalStateWord>)]
    state: Option<GoalState>,
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most rows, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// A goal to create, as a draft.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateGoal {
    /// Id, beginning of an id, or slug.
    domain: String,
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    title: Title,
    /// At most 16 KiB.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Option<Prose>,
}

/// What to change about the words of a goal; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeGoal {
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
}

/// How to activate a goal.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActivateGoal {
    /// Refuse where it has another version.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = u64)]
    version: Option<u64>,
    /// Whether to retire the goal that is active; without it that one is in the way.
    #[serde(default)]
    replace: bool,
}

listing!(GoalQuery);

impl Resource for DomainGoal {
    type View = GoalView;
    type Query = GoalQuery;
    type Create = CreateGoal;
    type Change = ChangeGoal;
    const NOUN: &'static str = "goal";
    const PATH: &'static str = "/api/v1/domain-goals";
    stored!(GoalId, domain_goal, domain_goals, remove_domain_goal);

    fn view(&self, _app: &App) -> GoalView {
        self.into()
    }

    async fn page(
        app: &App,
        query: GoalQuery,
        after: Option<GoalId>,
        limit: usize,
    ) -> Result<store::Page<Self, GoalId>, Problem> {
        let domain_id = filtered::<Domain>(app, "domain", query.domain.as_deref()).await?;
        let filter = GoalFilter { domain_id, state: query.state };
        Ok(app.store.domain_goals(filter, after, limit).await?)
    }

    async fn create(app: &App, wanted: CreateGoal, asked: Asked) -> Result<Made<Self>, Problem> {
        let domain_id = reference::<Domain>(app, "domain", &wanted.domain).await?;
        let CreateGoal { title, description, .. } = wanted;
        let new = NewGoal { domain_id, title, description: description.unwrap_or_default() };
        app.store.create_domain_goal(new, asked.key).await.map_err(problem)
    }

    async fn change(
        &self,
        app: &App,
        wanted: ChangeGoal,
        _context: EventContext,
    ) -> Result<Self, Problem> {
        let ChangeGoal { version, title, description } = wanted;
        let change = GoalChange { version, title, description };
        app.store.change_domain_goal(self.id, change).await.map_err(problem)
    }
}

handlers! {
    DomainGoal, GoalView, GoalQuery, CreateGoal, ChangeGoal,
    "/api/v1/domain-goals", "/api/v1/domain-goals/{id}", "Id, or beginning of an id",
    list "Goals of domains.",
    create "Creates a goal, as a draft.",
    show "A goal.",
    change "Changes the words of a goal.",
    remove "Removes a goal that nothing refers to."
}

/// Activates a goal; publishes `org.statehub.domain.goal.activated`. A goal that is active
/// already stays so, and nothing is published.
#[utoipa::path(post, path = "/api/v1/domain-goals/{id}/activate", tag = "hub",
    request_body = Option<ActivateGoal>,
    params(("id" = String, Path, description = "Id, or beginning of an id")), responses(
    (status = 200, description = "Active", body = GoalView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn activate(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(id): Path<String>,
    headers: HeaderMap,
    OptionalJson(wanted): OptionalJson<ActivateGoal>,
) -> Result<axum::Json<GoalView>, Problem> {
    let to = Moved {
        to: GoalMove::Activate { replace: wanted.replace },
        verb: "activate",
        version: wanted.version,
    };
    move_to(&app, &caller, peer, &id, to, context(&caller, &headers)).await
}

/// Marks the active goal as achieved.
#[utoipa::path(post, path = "/api/v1/domain-goals/{id}/achieve", tag = "hub",
    request_body = Option<AtVersion>,
    params(("id" = String, Path, description = "Id, or beginning of an id")), responses(
    (status = 200, description = "Achieved", body = GoalView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn achieve(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(id): Path<String>,
    headers: HeaderMap,
    OptionalJson(wanted): OptionalJson<AtVersion>,
) -> Result<axum::Json<GoalView>, Problem> {
    let to = Moved { to: GoalMove::Achieve, verb: "achieve", version: wanted.version };
    move_to(&app, &caller, peer, &id, to, context(&caller, &headers)).await
}

/// Retires a goal; it may be activated again.
#[utoipa::path(post, path = "/api/v1/domain-goals/{id}/retire", tag = "hub",
    request_body = Option<AtVersion>,
    params(("id" = String, Path, description = "Id, or beginning of an id")), responses(
    (status = 200, description = "Retired", body = GoalView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn retire(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(id): Path<String>,
    headers: HeaderMap,
    OptionalJson(wanted): OptionalJson<AtVersion>,
) -> Result<axum::Json<GoalView>, Problem> {
    let to = Moved { to: GoalMove::Retire, verb: "retire", version: wanted.version };
    move_to(&app, &caller, peer, &id, to, context(&caller, &headers)).await
}

struct Moved {
    to: GoalMove,
    verb: &'static str,
    version: Option<u64>,
}

async fn move_to(
    app: &App,
    caller: &Principal,
    peer: Peer,
    id: &str,
    moved: Moved,
    context: EventContext,
) -> Result<axum::Json<GoalView>, Problem> {
    let goal = find::<DomainGoal>(app, id).await?;
    let after = app.store.move_domain_goal(goal.id, moved.to, moved.version, context).await;
    let after = after.map_err(problem)?;
    done(app, caller, peer, moved.verb, &after).await
}
