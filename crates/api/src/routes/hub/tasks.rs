//! Tasks: steps of workstreams.

use model::{
    EventContext, TaskId,
    hub::{Prose, Task, TaskState, Title, Workstream},
};
use serde::Deserialize;
use store::{HubError, Made, NewTask, TaskChange, TaskFilter};
use utoipa::{IntoParams, ToSchema};

use super::{
    Asked, present, problem,
    resource::{AtVersion, Resource, filtered, handlers, listing, reference, stored},
};
use crate::{problem::Problem, state::App, views::hub::TaskView, words::TaskStateWord};

/// Which tasks.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TaskQuery {
    /// Those of this workstream: id, beginning of an id, or slug.
    workstream: Option<String>,
    /// Those in this state.
    #[param(value_type = Option<TaskStateWord>)]
    state: Option<TaskState>,
    /// Those that are open in a workstream that is over (`true`), or all others (`false`).
    stale: Option<bool>,
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most rows, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// A task to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateTask {
    /// Id, beginning of an id, or slug; not one that is finished or archived.
    workstream: String,
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    title: Title,
    /// At most 16 KiB.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Option<Prose>,
    /// `todo` where absent; `wait` and `progress` are possible too.
    #[serde(default)]
    #[schema(value_type = Option<TaskStateWord>)]
    state: Option<TaskState>,
}

/// What to change about a task; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeTask {
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
    /// The state to move to.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = TaskStateWord)]
    state: Option<TaskState>,
}

listing!(TaskQuery);

impl Resource for Task {
    type View = TaskView;
    type Query = TaskQuery;
    type Create = CreateTask;
    type Change = ChangeTask;
    const NOUN: &'static str = "task";
    const PATH: &'static str = "/api/v1/tasks";
    stored!(TaskId, task, tasks, remove_task);

    fn view(&self, _app: &App) -> TaskView {
        self.into()
    }

    async fn page(
        app: &App,
        query: TaskQuery,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<store::Page<Self, TaskId>, Problem> {
        let filter = TaskFilter {
            workstream_id: filtered::<Workstream>(app, "workstream", query.workstream.as_deref())
                .await?,
            state: query.state,
            stale: query.stale,
        };
        Ok(app.store.tasks(filter, after, limit).await?)
    }

    async fn create(app: &App, wanted: CreateTask, asked: Asked) -> Result<Made<Self>, Problem> {
        let new = NewTask {
            workstream_id: reference::<Workstream>(app, "workstream", &wanted.workstream).await?,
            title: wanted.title,
            description: wanted.description.unwrap_or_default(),
            state: wanted.state.unwrap_or(TaskState::Todo),
        };
        app.store.create_task(new, asked.key).await.map_err(problem)
    }

    async fn change(
        &self,
        app: &App,
        wanted: ChangeTask,
        _context: EventContext,
    ) -> Result<Self, Problem> {
        let ChangeTask { version, title, description, state } = wanted;
        let change = TaskChange { version, title, description, state };
        app.store.change_task(self.id, change).await.map_err(problem)
    }
}

handlers! {
    Task, TaskView, TaskQuery, CreateTask, ChangeTask,
    "/api/v1/tasks", "/api/v1/tasks/{id}", "Id, or beginning of an id",
    list "Tasks.",
    create "Creates a task.",
    show "A task.",
    change "Changes a task.",
    remove "Removes a task, with its progress log."
}
