//! The things that the hub keeps, as they are read.

use serde::{Deserialize, Serialize};

use super::{
    DecisionStatus, DecisionType, GoalState, Location, Prose, Slug, TaskState, Title,
    WorkstreamState, WorkstreamTally,
};
use crate::{
    DecisionId, DomainId, GoalId, ProgressId, RepoId, TaskId, Timestamp, TopicId, WorkstreamId,
};

/// Version and times of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamps {
    /// Counts its changes, from 1.
    pub version: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A field of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Its id.
    pub id: DomainId,
    /// Its short name, unique.
    pub slug: Slug,
    /// It in a few words.
    pub title: Title,
    /// It in more words.
    pub description: Prose,
    /// Version and times.
    pub stamps: Stamps,
}

/// What a domain aims at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainGoal {
    /// Its id.
    pub id: GoalId,
    /// Its domain.
    pub domain_id: DomainId,
    /// The slug of its domain.
    pub domain_slug: Slug,
    /// It in a few words.
    pub title: Title,
    /// It in more words.
    pub description: Prose,
    /// Where it stands.
    pub state: GoalState,
    /// Version and times.
    pub stamps: Stamps,
}

/// A registered repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repo {
    /// Its id.
    pub id: RepoId,
    /// Its short name, unique.
    pub slug: Slug,
    /// Its domain.
    pub domain_id: DomainId,
    /// The slug of its domain.
    pub domain_slug: Slug,
    /// What it is for.
    pub description: Prose,
    /// Where it is fetched from.
    pub remote_url: Option<Location>,
    /// Where it is checked out.
    pub local_path: Option<Location>,
    /// Version and times.
    pub stamps: Stamps,
}

/// A subject of work within a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its id.
    pub id: TopicId,
    /// Its short name, unique.
    pub slug: Slug,
    /// Its domain.
    pub domain_id: DomainId,
    /// The slug of its domain.
    pub domain_slug: Slug,
    /// It in a few words.
    pub title: Title,
    /// It in more words.
    pub description: Prose,
    /// Version and times.
    pub stamps: Stamps,
}

/// A piece of work with an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workstream {
    /// Its id.
    pub id: WorkstreamId,
    /// Its short name, unique.
    pub slug: Slug,
    /// Its topic.
    pub topic_id: TopicId,
    /// The slug of its topic.
    pub topic_slug: Slug,
    /// The repository that it works on.
    pub repo_id: Option<RepoId>,
    /// The goal that it serves.
    pub repo_goal_id: Option<GoalId>,
    /// It in a few words.
    pub title: Title,
    /// It in more words.
    pub description: Prose,
    /// Where it stands.
    pub state: WorkstreamState,
    /// What its signs are derived from.
    pub tally: WorkstreamTally,
    /// Version and times.
    pub stamps: Stamps,
}

/// Something that is, or was, to be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Its id.
    pub id: DecisionId,
    /// What is to be decided.
    pub title: Title,
    /// The question in more words.
    pub description: Prose,
    /// Whether it is still to be made.
    pub kind: DecisionType,
    /// Where it stands.
    pub status: DecisionStatus,
    /// The workstream that it belongs to.
    pub workstream_id: Option<WorkstreamId>,
    /// The topic that it belongs to.
    pub topic_id: Option<TopicId>,
    /// How and why it was decided.
    pub rationale: Option<Prose>,
    /// By whom.
    pub decided_by: Option<Title>,
    /// When.
    pub decided_at: Option<Timestamp>,
    /// The decision that took its place.
    pub superseded_by: Option<DecisionId>,
    /// Version and times.
    pub stamps: Stamps,
}

/// A step of a workstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Its workstream.
    pub workstream_id: WorkstreamId,
    /// The slug of its workstream.
    pub workstream_slug: Slug,
    /// It in a few words.
    pub title: Title,
    /// It in more words.
    pub description: Prose,
    /// Where it stands.
    pub state: TaskState,
    /// Version and times.
    pub stamps: Stamps,
}

/// What somebody noted about a workstream or a task. Never changed, only added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgressEntry {
    /// Its id.
    pub id: ProgressId,
    /// The workstream; of a task, the task's.
    pub workstream_id: WorkstreamId,
    /// The task, where it is about one.
    pub task_id: Option<TaskId>,
    /// What happened.
    pub text: Prose,
    /// Who says so.
    pub author: String,
    /// When.
    pub at: Timestamp,
}
