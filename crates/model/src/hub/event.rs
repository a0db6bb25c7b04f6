//! The lifecycle events of the hub, `org.statehub.*`.

use serde::{Deserialize, Serialize};

use super::{Location, Slug, TaskState, Title};
use crate::{DecisionId, DomainId, GoalId, RepoId, TaskId, Timestamp, TopicId, WorkstreamId};

/// Most ids that a [`TaskSweepCompleted`] lists.
pub const MAX_SWEPT_IDS: usize = 1000;

/// A repository was registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoRegistered {
    /// The repository.
    pub repo_id: RepoId,
    /// Its slug.
    pub repo_slug: Slug,
    /// The slug of its domain.
    pub domain_slug: Slug,
    /// Where it is fetched from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_url: Option<Location>,
    /// Where it is checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_path: Option<Location>,
}

/// A workstream became `finished`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkstreamCompleted {
    /// The workstream.
    pub workstream_id: WorkstreamId,
    /// Its slug.
    pub slug: Slug,
    /// Its title.
    pub title: Title,
    /// Its topic.
    pub topic_id: TopicId,
    /// The repository that it works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo_id: Option<RepoId>,
    /// The goal that it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo_goal_id: Option<GoalId>,
}

/// A decision was resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionResolved {
    /// The decision.
    pub decision_id: DecisionId,
    /// What was to be decided.
    pub title: Title,
    /// How and why it was decided.
    pub rationale: String,
    /// By whom.
    pub decided_by: String,
    /// The workstream that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workstream_id: Option<WorkstreamId>,
    /// The topic that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<TopicId>,
}

/// A domain has another active goal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainGoalActivated {
    /// The goal.
    pub goal_id: GoalId,
    /// Its domain.
    pub domain_id: DomainId,
    /// The slug of its domain.
    pub domain_slug: Slug,
    /// The goal in words.
    pub title: Title,
    /// The goal that was retired for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_goal_id: Option<GoalId>,
}

/// A sweep cancelled an open task in a workstream that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStale {
    /// The task.
    pub task_id: TaskId,
    /// Its title.
    pub title: Title,
    /// Its workstream.
    pub workstream_id: WorkstreamId,
    /// The slug of its workstream.
    pub workstream_slug: Slug,
    /// The state that it was in.
    pub previous_state: TaskState,
}

/// A sweep for stale tasks has ended, with or without finding any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSweepCompleted {
    /// Tasks cancelled.
    pub cancelled: u64,
    /// Which, the newest first; the first [`MAX_SWEPT_IDS`] only.
    pub task_ids: Vec<TaskId>,
    /// Whether there were more than `task_ids` lists.
    pub truncated: bool,
    /// When it ended.
    pub swept_at: Timestamp,
}
