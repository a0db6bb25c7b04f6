//! What the hub looks like.

use model::{
    DecisionId, DomainId, GoalId, ProgressId, RepoId, TaskId, Timestamp, TopicId, WorkstreamId,
    hub::{
        Decision, DecisionStatus, DecisionType, Domain, DomainGoal, GoalState, ProgressEntry, Repo,
        Stamps, Task, TaskState, Topic, Workstream, WorkstreamSign, WorkstreamState,
    },
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::words::{
    DecisionStatusWord, DecisionTypeWord, GoalStateWord, Id, Moment, TaskStateWord,
    WorkstreamSignWord, WorkstreamStateWord,
};

/// Version and times of a thing of the hub.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stamps)]
pub(crate) struct StampsView {
    /// Counts its changes, from 1; a change may insist on it.
    version: u64,
    #[schema(value_type = Moment)]
    created_at: Timestamp,
    #[schema(value_type = Moment)]
    updated_at: Timestamp,
}

impl From<Stamps> for StampsView {
    fn from(stamps: Stamps) -> Self {
        let Stamps { version, created_at, updated_at } = stamps;
        Self { version, created_at, updated_at }
    }
}

/// A field of work.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Domain)]
pub(crate) struct DomainView {
    #[schema(value_type = Id)]
    domain_id: DomainId,
    slug: String,
    title: String,
    description: String,
    #[serde(flatten)]
    stamps: StampsView,
}

impl From<&Domain> for DomainView {
    fn from(domain: &Domain) -> Self {
        Self {
            domain_id: domain.id,
            slug: domain.slug.to_string(),
            title: domain.title.to_string(),
            description: domain.description.to_string(),
            stamps: domain.stamps.into(),
        }
    }
}

/// What a domain aims at.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DomainGoal)]
pub(crate) struct GoalView {
    #[schema(value_type = Id)]
    goal_id: GoalId,
    #[schema(value_type = Id)]
    domain_id: DomainId,
    domain_slug: String,
    title: String,
    description: String,
    #[schema(value_type = GoalStateWord)]
    state: GoalState,
    #[serde(flatten)]
    stamps: StampsView,
}

impl From<&DomainGoal> for GoalView {
    fn from(goal: &DomainGoal) -> Self {
        Self {
            goal_id: goal.id,
            domain_id: goal.domain_id,
            domain_slug: goal.domain_slug.to_string(),
            title: goal.title.to_string(),
            description: goal.description.to_string(),
            state: goal.state,
            stamps: goal.stamps.into(),
        }
    }
}

/// A registered repository.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Repo)]
pub(crate) struct RepoView {
    #[schema(value_type = Id)]
    repo_id: RepoId,
    slug: String,
    #[schema(value_type = Id)]
    domain_id: DomainId,
    domain_slug: String,
    description: String,
    #[schema(required)]
    remote_url: Option<String>,
    #[schema(required)]
    local_path: Option<String>,
    #[serde(flatten)]
    stamps: StampsView,
}

impl From<&Repo> for RepoView {
    fn from(repo: &Repo) -> Self {
        Self {
            repo_id: repo.id,
            slug: repo.slug.to_string(),
            domain_id: repo.domain_id,
            domain_slug: repo.domain_slug.to_string(),
            description: repo.description.to_string(),
            remote_url: repo.remote_url.as_ref().map(ToString::to_string),
            local_path: repo.local_path.as_ref().map(ToString::to_string),
            stamps: repo.stamps.into(),
        }
    }
}

/// A subject of work within a domain.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Topic)]
pub(crate) struct TopicView {
    #[schema(value_type = Id)]
    topic_id: TopicId,
    slug: String,
    #[schema(value_type = Id)]
    domain_id: DomainId,
    domain_slug: String,
    title: String,
    description: String,
    #[serde(flatten)]
    stamps: StampsView,
}

impl From<&Topic> for TopicView {
    fn from(topic: &Topic) -> Self {
        Self {
            topic_id: topic.id,
            slug: topic.slug.to_string(),
            domain_id: topic.domain_id,
            domain_slug: topic.domain_slug.to_string(),
            title: topic.title.to_string(),
            description: topic.description.to_string(),
            stamps: topic.stamps.into(),
        }
    }
}

/// A piece of work with an end.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Workstream)]
pub(crate) struct WorkstreamView {
    #[schema(value_type = Id)]
    workstream_id: WorkstreamId,
    slug: String,
    #[schema(value_type = Id)]
    topic_id: TopicId,
    topic_slug: String,
    #[schema(value_type = Id, nullable, required)]
    repo_id: Option<RepoId>,
    /// The goal that it serves.
    #[schema(value_type = Id, nullable, required)]
    repo_goal_id: Option<GoalId>,
    title: String,
    description: String,
    #[schema(value_type = WorkstreamStateWord)]
    state: WorkstreamState,
    /// Derived when read, never stored: `needs_review` where it is active and all of its tasks
    /// (at least one) are done or cancelled; else `stalled` where it is active or blocked and
    /// nothing of it, its tasks or its progress has changed for 14 days.
    #[schema(value_type = WorkstreamSignWord, nullable, required)]
    sign: Option<WorkstreamSign>,
    /// Tasks that are open.
    tasks_open: u64,
    /// All of its tasks.
    tasks: u64,
    /// When it, one of its tasks or its progress last changed.
    #[schema(value_type = Moment)]
    last_activity_at: Timestamp,
    #[serde(flatten)]
    stamps: StampsView,
}

impl WorkstreamView {
    /// As it looks at `now`.
    pub(crate) fn new(workstream: &Workstream, now: Timestamp) -> Self {
        Self {
            workstream_id: workstream.id,
            slug: workstream.slug.to_string(),
            topic_id: workstream.topic_id,
            topic_slug: workstream.topic_slug.to_string(),
            repo_id: workstream.repo_id,
            repo_goal_id: workstream.repo_goal_id,
            title: workstream.title.to_string(),
            description: workstream.description.to_string(),
            state: workstream.state,
            sign: workstream.tally.sign(workstream.state, now),
            tasks_open: workstream.tally.tasks_open,
            tasks: workstream.tally.tasks,
            last_activity_at: workstream.tally.last_activity_at,
            stamps: workstream.stamps.into(),
        }
    }
}

/// Something that is, or was, to be decided.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Decision)]
pub(crate) struct DecisionView {
    #[schema(value_type = Id)]
    decision_id: DecisionId,
    title: String,
    description: String,
    #[serde(rename = "type")]
    #[schema(value_type = DecisionTypeWord)]
    kind: DecisionType,
    #[schema(value_type = DecisionStatusWord)]
    status: DecisionStatus,
    #[schema(value_type = Id, nullable, required)]
    workstream_id: Option<WorkstreamId>,
    #[schema(value_type = Id, nullable, required)]
    topic_id: Option<TopicId>,
    #[schema(required)]
    rationale: Option<String>,
    #[schema(required)]
    decided_by: Option<String>,
    #[schema(value_type = Moment, nullable, required)]
    decided_at: Option<Timestamp>,
    #[schema(value_type = Id, nullable, required)]
    superseded_by: Option<DecisionId>,
    #[serde(flatten)]
    stamps: StampsView,
}

impl From<&Decision> for DecisionView {
    fn from(decision: &Decision) -> Self {
        Self {
            decision_id: decision.id,
            title: decision.title.to_string(),
            description: decision.description.to_string(),
            kind: decision.kind,
            status: decision.status,
            workstream_id: decision.workstream_id,
            topic_id: decision.topic_id,
            rationale: decision.rationale.as_ref().map(ToString::to_string),
            decided_by: decision.decided_by.as_ref().map(ToString::to_string),
            decided_at: decision.decided_at,
            superseded_by: decision.superseded_by,
            stamps: decision.stamps.into(),
        }
    }
}

/// A step of a workstream.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Task)]
pub(crate) struct TaskView {
    #[schema(value_type = Id)]
    task_id: TaskId,
    #[schema(value_type = Id)]
    workstream_id: WorkstreamId,
    workstream_slug: String,
    title: String,
    description: String,
    #[schema(value_type = TaskStateWord)]
    state: TaskState,
    #[serde(flatten)]
    stamps: StampsView,
}

impl From<&Task> for TaskView {
    fn from(task: &Task) -> Self {
        Self {
            task_id: task.id,
            workstream_id: task.workstream_id,
            workstream_slug: task.workstream_slug.to_string(),
            title: task.title.to_string(),
            description: task.description.to_string(),
            state: task.state,
            stamps: task.stamps.into(),
        }
    }
}

/// What somebody noted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProgressEntry)]
pub(crate) struct ProgressView {
    #[schema(value_type = Id)]
    progress_id: ProgressId,
    #[schema(value_type = Id)]
    workstream_id: WorkstreamId,
    #[schema(value_type = Id, nullable, required)]
    task_id: Option<TaskId>,
    text: String,
    author: String,
    #[schema(value_type = Moment)]
    at: Timestamp,
}

impl From<&ProgressEntry> for ProgressView {
    fn from(entry: &ProgressEntry) -> Self {
        Self {
            progress_id: entry.id,
            workstream_id: entry.workstream_id,
            task_id: entry.task_id,
            text: entry.text.to_string(),
            author: entry.author.clone(),
            at: entry.at,
        }
    }
}
