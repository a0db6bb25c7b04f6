//! The hub: the work around the network, as data and as rules.
//!
//! Owns what a repository, a domain and its goals, a topic, a workstream, a decision and a task
//! consist of, which moves between their states exist, what is derived from them when read, and
//! what their lifecycle events say. Knows nothing of tables and requests.

mod event;
mod state;
mod text;
mod work;

pub use event::{
    DecisionResolved, DomainGoalActivated, MAX_SWEPT_IDS, RepoRegistered, TaskStale,
    TaskSweepCompleted, WorkstreamCompleted,
};
pub use state::{
    DecisionStatus, DecisionType, GoalState, Refusal, STALLED_AFTER, TaskState, WorkstreamSign,
    WorkstreamState, WorkstreamTally,
};
pub use text::{
    Location, MAX_LOCATION_BYTES, MAX_PROSE_BYTES, MAX_TITLE_CHARS, Prose, Slug, TextError, Title,
};
pub use work::{
    Decision, Domain, DomainGoal, ProgressEntry, Repo, Stamps, Task, Topic, Workstream,
};
