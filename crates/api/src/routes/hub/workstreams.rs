//! Workstreams: pieces of work with an end.

use model::{
    EventContext, WorkstreamId,
    hub::{DomainGoal, Prose, Repo, Slug, Title, Topic, Workstream, WorkstreamState},
};
use serde::Deserialize;
use store::{HubError, Made, NewWorkstream, WorkstreamChange, WorkstreamFilter};
use utoipa::{IntoParams, ToSchema};

use super::{
    Asked, nullable, present, problem,
    resource::{
        AtVersion, Resource, filtered, handlers, listing, reference, references, rereferences,
        stored,
    },
};
use crate::{problem::Problem, state::App, views::hub::WorkstreamView, words::WorkstreamStateWord};

/// Which workstreams.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WorkstreamQuery {
    /// Those of this topic: id, beginning of an id, or slug.
    topic: Option<String>,
    /// Those that work on this repository: id, beginning of an id, or slug.
    repo: Option<String>,
    /// Those that serve this goal: id, or beginning of an id.
    repo_goal: Option<String>,
    /// Those in this state.
    #[param(value_type = Option<WorkstreamStateWord>)]
    state: Option<WorkstreamState>,
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most rows, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// A workstream to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateWorkstream {
    /// A short name that no other workstream has.
    #[schema(value_type = String, max_length = 64, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$")]
    slug: Slug,
    /// Id, beginning of an id, or slug.
    topic: String,
    /// The repository that it works on: id, beginning of an id, or slug.
    #[serde(default)]
    repo: Option<String>,
    /// The goal that it serves: id, or beginning of an id.
    #[serde(default)]
    repo_goal: Option<String>,
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    title: Title,
    /// At most 16 KiB.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Option<Prose>,
    /// `backlog` where absent; `proposed`, `ready` and `active` are possible too.
    #[serde(default)]
    #[schema(value_type = Option<WorkstreamStateWord>)]
    state: Option<WorkstreamState>,
}

/// What to change about a workstream; what is absent stays, `null` takes away.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeWorkstream {
    /// Refuse where it has another version.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = u64)]
    version: Option<u64>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, max_length = 64, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$")]
    slug: Option<Slug>,
    /// Id, beginning of an id, or slug.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String)]
    topic: Option<String>,
    /// Id, beginning of an id, or slug.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    repo: Option<Option<String>>,
    /// Id, or beginning of an id.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    repo_goal: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    title: Option<Title>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String)]
    description: Option<Prose>,
    /// The state to move to.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = WorkstreamStateWord)]
    state: Option<WorkstreamState>,
}

listing!(WorkstreamQuery);

impl Resource for Workstream {
    type View = WorkstreamView;
    type Query = WorkstreamQuery;
    type Create = CreateWorkstream;
    type Change = ChangeWorkstream;
    const NOUN: &'static str = "workstream";
    const PATH: &'static str = "/api/v1/workstreams";
    stored!(WorkstreamId, workstream, workstreams, remove_workstream, workstream_named);

    fn view(&self, app: &App) -> WorkstreamView {
        WorkstreamView::new(self, app.ambient.now())
    }

    async fn page(
        app: &App,
        query: WorkstreamQuery,
        after: Option<WorkstreamId>,
        limit: usize,
    ) -> Result<store::Page<Self, WorkstreamId>, Problem> {
        let filter = WorkstreamFilter {
            topic_id: filtered::<Topic>(app, "topic", query.topic.as_deref()).await?,
            repo_id: filtered::<Repo>(app, "repo", query.repo.as_deref()).await?,
            repo_goal_id: filtered::<DomainGoal>(app, "repo_goal", query.repo_goal.as_deref())
                .await?,
            state: query.state,
        };
        Ok(app.store.workstreams(filter, after, limit).await?)
    }

    async fn create(
        app: &App,
        wanted: CreateWorkstream,
        asked: Asked,
    ) -> Result<Made<Self>, Problem> {
        let goal = wanted.repo_goal.as_deref();
        let new = NewWorkstream {
            slug: wanted.slug,
            topic_id: reference::<Topic>(app, "topic", &wanted.topic).await?,
            repo_id: references::<Repo>(app, "repo", wanted.repo.as_deref()).await?,
            repo_goal_id: references::<DomainGoal>(app, "repo_goal", goal).await?,
            title: wanted.title,
            description: wanted.description.unwrap_or_default(),
            state: wanted.state.unwrap_or(WorkstreamState::Backlog),
        };
        app.store.create_workstream(new, asked.key).await.map_err(problem)
    }

    async fn change(
        &self,
        app: &App,
        wanted: ChangeWorkstream,
        context: EventContext,
    ) -> Result<Self, Problem> {
        let change = WorkstreamChange {
            version: wanted.version,
            slug: wanted.slug,
            topic_id: references::<Topic>(app, "topic", wanted.topic.as_deref()).await?,
            repo_id: rereferences::<Repo>(app, "repo", wanted.repo).await?,
            repo_goal_id: rereferences::<DomainGoal>(app, "repo_goal", wanted.repo_goal).await?,
            title: wanted.title,
            description: wanted.description,
            state: wanted.state,
        };
        app.store.change_workstream(self.id, change, context).await.map_err(problem)
    }
}

handlers! {
    Workstream, WorkstreamView, WorkstreamQuery, CreateWorkstream, ChangeWorkstream,
    "/api/v1/workstreams", "/api/v1/workstreams/{id}", "Id, beginning of an id, or slug",
    list "Workstreams.",
    create "Creates a workstream.",
    show "A workstream, with what is derived from its tasks and progress.",
    change "Changes a workstream; its move to `finished` publishes `org.statehub.workstream.completed`.",
    remove "Removes a workstream that nothing refers to, with its progress log."
}
