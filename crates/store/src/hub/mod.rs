//! The hub: the work around the network. What may be asked, and the rules that need to see more
//! than one row; moves between states are decided by the model.
//!
//! One file per kind of thing. Each change and its lifecycle event are one transaction. Lists are
//! newest first by id.

mod decisions;
mod domains;
mod goals;
mod progress;
mod repos;
mod requests;
mod sweep;
mod table;
mod tasks;
mod topics;
mod workstreams;

pub use decisions::{DecisionChange, DecisionFilter, NewDecision, Resolution};
pub use domains::{DomainChange, DomainFilter, NewDomain};
pub use goals::{GoalChange, GoalFilter, GoalMove, NewGoal};
pub use progress::{NewProgress, ProgressFilter};
pub use repos::{NewRepo, RepoChange, RepoFilter};
pub use requests::{Made, RequestKey};
pub use sweep::{Sweep, SweepPreview};
pub use tasks::{NewTask, TaskChange, TaskFilter};
pub use topics::{NewTopic, TopicChange, TopicFilter};
pub use workstreams::{NewWorkstream, WorkstreamChange, WorkstreamFilter};

use model::{
    DecisionId, DomainId, GoalId, RepoId, TaskId, TopicId, WorkstreamId,
    hub::{
        Decision, Domain, DomainGoal, Refusal, Repo, Slug, Task, Topic, Workstream, WorkstreamState,
    },
};
use table::{Named, Table};

use crate::{Page, Store, StoreError};

/// Why a change of the hub was refused.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// What was to be changed is not there.
    #[error("there is no such {noun}")]
    Unknown {
        /// What kind of thing.
        noun: &'static str,
    },
    /// A field refers to something that is not there.
    #[error("there is no {noun} {id}")]
    NoSuch {
        /// Which field of the request.
        field: &'static str,
        /// What kind of thing.
        noun: &'static str,
        /// The id that names nothing.
        id: String,
    },
    /// Another thing of this kind has the slug.
    #[error("a {noun} `{slug}` exists already")]
    SlugTaken {
        /// What kind of thing.
        noun: &'static str,
        /// The slug.
        slug: Slug,
    },
    /// It has changed since it was read.
    #[error("the {noun} has version {current}, not {wanted}")]
    VersionConflict {
        /// What kind of thing.
        noun: &'static str,
        /// The version that it has.
        current: u64,
        /// The version that was insisted on.
        wanted: u64,
    },
    /// There is no such move between states.
    #[error("a {noun} that is {from} cannot become {to}")]
    Move {
        /// What kind of thing.
        noun: &'static str,
        /// The state that it has.
        from: &'static str,
        /// The state that was wanted.
        to: &'static str,
        /// Why not.
        why: Refusal,
    },
    /// The workstream is over: nothing is begun in it.
    #[error("the workstream is {state}, so no task in it can be open")]
    WorkstreamClosed {
        /// Its state.
        state: WorkstreamState,
    },
    /// The domain aims at something else.
    #[error("the domain's active goal is {goal_id}; it can be replaced")]
    GoalAlreadyActive {
        /// At what.
        goal_id: GoalId,
    },
    /// Others refer to what was to be removed.
    #[error("the {noun} is in use by {count} {by}")]
    InUse {
        /// What kind of thing.
        noun: &'static str,
        /// Who refers to it, such as `workstreams`.
        by: &'static str,
        /// How many of them.
        count: u64,
    },
    /// The key of the request stands for another one.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The ways to look at each kind of thing, and to remove one.
macro_rules! reading {
    ($($row:ty: $id:ty, $filter:ty, $one:ident, $many:ident, $remove:ident;)*) => {
        impl Store {$(
            /// The one of this id.
            ///
            /// # Errors
            /// Where the database cannot be read.
            pub async fn $one(&self, id: $id) -> Result<Option<$row>, StoreError> {
                self.read("read the hub", move |connection| table::load(connection, id)).await
            }

            /// Those that pass the filter, newest first, after the place of a cursor.
            ///
            /// # Errors
            /// Where the database cannot be read.
            pub async fn $many(
                &self,
                filter: $filter,
                after: Option<$id>,
                limit: usize,
            ) -> Result<Page<$row, $id>, StoreError> {
                self.read("list things of the hub", move |connection| {
                    table::page(connection, filter.conditions(), after, limit)
                })
                .await
            }

            /// Removes it, unless something refers to it or it has another version.
            ///
            /// # Errors
            /// Where it is not there, in use or of another version, or the database fails.
            pub async fn $remove(&self, id: $id, version: Option<u64>) -> Result<(), HubError> {
                self.write("remove a thing of the hub", move |tx| {
                    table::remove::<$row>(tx, id, version)
                })
                .await
            }
        )*}
    };
}

reading! {
    Domain: DomainId, DomainFilter, domain, domains, remove_domain;
    DomainGoal: GoalId, GoalFilter, domain_goal, domain_goals, remove_domain_goal;
    Repo: RepoId, RepoFilter, repo, repos, remove_repo;
    Topic: TopicId, TopicFilter, topic, topics, remove_topic;
    Workstream: WorkstreamId, WorkstreamFilter, workstream, workstreams, remove_workstream;
    Decision: DecisionId, DecisionFilter, decision, decisions, remove_decision;
    Task: TaskId, TaskFilter, task, tasks, remove_task;
}

/// The ways to find those that have slugs.
macro_rules! naming {
    ($($row:ty, $named:ident;)*) => {
        impl Store {$(
            /// The one of this slug.
            ///
            /// # Errors
            /// Where the database cannot be read.
            pub async fn $named(&self, slug: &Slug) -> Result<Option<$row>, StoreError> {
                let slug = slug.clone();
                self.read("read the hub", move |connection| {
                    table::named::<$row>(connection, &slug)
                })
                .await
            }
        )*}
    };
}

naming! {
    Domain, domain_named;
    Repo, repo_named;
    Topic, topic_named;
    Workstream, workstream_named;
}
