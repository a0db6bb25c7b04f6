//! The states of workstreams, tasks, decisions and goals: pure tables of the moves between them,
//! a word for each refusal, and what is derived from a workstream when it is read.
//!
//! A move to the state that a thing is in already is no move: callers let it pass and say
//! nothing.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    Timestamp,
    catalogue::{UnknownWord, words},
};

words! {
    /// Why a move between states is refused.
    Refusal, "refusal" {
        /// Nothing leaves this state.
        Final = "final_state",
        /// It has not begun, so it cannot be over.
        NotStarted = "not_started",
        /// It waits for something, which must be out of the way first.
        Waiting = "waiting",
        /// There is no such move.
        NoSuchMove = "no_such_move",
    }
}

words! {
    /// State of a workstream.
    WorkstreamState, "workstream state" {
        /// An idea.
        Backlog = "backlog",
        /// Somebody wants it.
        Proposed = "proposed",
        /// May begin.
        Ready = "ready",
        /// Under way.
        Active = "active",
        /// Completed; may be taken up again.
        Finished = "finished",
        /// Put away; final.
        Archived = "archived",
        /// Cannot go on.
        Blocked = "blocked",
    }
}

impl WorkstreamState {
    /// Whether a workstream can make this move.
    ///
    /// # Errors
    /// Why not.
    pub fn check(self, next: Self) -> Result<(), Refusal> {
        use WorkstreamState as S;
        match (self, next) {
            (S::Archived, _) => Err(Refusal::Final),
            (S::Backlog | S::Proposed | S::Ready, S::Finished) => Err(Refusal::NotStarted),
            (S::Blocked, S::Finished) => Err(Refusal::Waiting),
            (S::Backlog, S::Proposed | S::Ready | S::Active | S::Archived)
            | (S::Proposed, S::Backlog | S::Ready | S::Active | S::Archived)
            | (S::Ready, S::Backlog | S::Proposed | S::Active | S::Blocked | S::Archived)
            | (S::Active, S::Ready | S::Blocked | S::Finished | S::Archived)
            | (S::Blocked, S::Backlog | S::Ready | S::Active | S::Archived)
            | (S::Finished, S::Active | S::Archived) => Ok(()),
            (S::Backlog | S::Proposed, S::Backlog | S::Proposed | S::Blocked)
            | (S::Ready, S::Ready)
            | (S::Active, S::Backlog | S::Proposed | S::Active)
            | (S::Blocked, S::Proposed | S::Blocked)
            | (S::Finished, S::Backlog | S::Proposed | S::Ready | S::Finished | S::Blocked) => {
                Err(Refusal::NoSuchMove)
            }
        }
    }

    /// Whether a workstream can make this move.
    pub fn may_become(self, next: Self) -> bool {
        self.check(next).is_ok()
    }

    /// Whether a workstream can be in this state from the beginning.
    pub fn may_begin(self) -> bool {
        match self {
            Self::Backlog | Self::Proposed | Self::Ready | Self::Active => true,
            Self::Finished | Self::Archived | Self::Blocked => false,
        }
    }

    /// Whether its work is over, so that an open task in it is stale.
    pub fn is_closed(self) -> bool {
        match self {
            Self::Finished | Self::Archived => true,
            Self::Backlog | Self::Proposed | Self::Ready | Self::Active | Self::Blocked => false,
        }
    }
}

words! {
    /// State of a task.
    TaskState, "task state" {
        /// Waits for something else.
        Wait = "wait",
        /// May begin.
        Todo = "todo",
        /// Under way.
        Progress = "progress",
        /// Done; final.
        Done = "done",
        /// Given up, or swept; final.
        Cancel = "cancel",
    }
}

impl TaskState {
    /// Whether a task can make this move.
    ///
    /// # Errors
    /// Why not.
    pub fn check(self, next: Self) -> Result<(), Refusal> {
        use TaskState as S;
        match (self, next) {
            (S::Done | S::Cancel, _) => Err(Refusal::Final),
            (S::Wait, S::Done) => Err(Refusal::Waiting),
            (S::Wait, S::Todo | S::Progress | S::Cancel)
            | (S::Todo, S::Wait | S::Progress | S::Done | S::Cancel)
            | (S::Progress, S::Wait | S::Todo | S::Done | S::Cancel) => Ok(()),
            (S::Wait, S::Wait) | (S::Todo, S::Todo) | (S::Progress, S::Progress) => {
                Err(Refusal::NoSuchMove)
            }
        }
    }

    /// Whether a task can make this move.
    pub fn may_become(self, next: Self) -> bool {
        self.check(next).is_ok()
    }

    /// Whether something is left to do.
    pub fn is_open(self) -> bool {
        match self {
            Self::Wait | Self::Todo | Self::Progress => true,
            Self::Done | Self::Cancel => false,
        }
    }
}

words! {
    /// Whether a decision is still to be made.
    DecisionType, "decision type" {
        /// It is to be made.
        Pending = "pending",
        /// It was made.
        Made = "made",
    }
}

words! {
    /// Status of a decision.
    DecisionStatus, "decision status" {
        /// Somebody has to decide.
        Open = "open",
        /// Somebody higher has to decide.
        Escalated = "escalated",
        /// Decided.
        Resolved = "resolved",
        /// Another one took its place; final.
        Superseded = "superseded",
    }
}

impl DecisionStatus {
    /// Whether a decision can make this move.
    ///
    /// # Errors
    /// Why not.
    pub fn check(self, next: Self) -> Result<(), Refusal> {
        use DecisionStatus as S;
        match (self, next) {
            (S::Superseded, _) => Err(Refusal::Final),
            (S::Open, S::Escalated | S::Resolved | S::Superseded)
            | (S::Escalated, S::Resolved | S::Superseded)
            | (S::Resolved, S::Superseded) => Ok(()),
            (S::Open, S::Open)
            | (S::Escalated, S::Open | S::Escalated)
            | (S::Resolved, S::Open | S::Escalated | S::Resolved) => Err(Refusal::NoSuchMove),
        }
    }

    /// Whether a decision can make this move.
    pub fn may_become(self, next: Self) -> bool {
        self.check(next).is_ok()
    }
}

words! {
    /// State of a domain's goal.
    GoalState, "goal state" {
        /// Not yet aimed at.
        Draft = "draft",
        /// What the domain aims at; at most one per domain.
        Active = "active",
        /// Reached; final.
        Achieved = "achieved",
        /// No longer aimed at; may be activated again.
        Retired = "retired",
    }
}

impl GoalState {
    /// Whether a goal can make this move.
    ///
    /// # Errors
    /// Why not.
    pub fn check(self, next: Self) -> Result<(), Refusal> {
        use GoalState as S;
        match (self, next) {
            (S::Achieved, _) => Err(Refusal::Final),
            (S::Draft | S::Retired, S::Achieved) => Err(Refusal::NotStarted),
            (S::Draft, S::Active | S::Retired)
            | (S::Active, S::Achieved | S::Retired)
            | (S::Retired, S::Active) => Ok(()),
            (S::Draft, S::Draft)
            | (S::Active, S::Draft | S::Active)
            | (S::Retired, S::Draft | S::Retired) => Err(Refusal::NoSuchMove),
        }
    }

    /// Whether a goal can make this move.
    pub fn may_become(self, next: Self) -> bool {
        self.check(next).is_ok()
    }
}

words! {
    /// What is derived from a workstream when it is read, and never stored.
    WorkstreamSign, "workstream sign" {
        /// Active, and every one of its tasks (at least one) is done or cancelled: somebody has
        /// to say whether it is finished.
        NeedsReview = "needs_review",
        /// Active or blocked, not in need of a review, and nothing of it, its tasks or its
        /// progress has changed for [`STALLED_AFTER`].
        Stalled = "stalled",
    }
}

/// How long nothing happens in a workstream that is called stalled.
pub const STALLED_AFTER: Duration = Duration::from_secs(14 * 24 * 3600);

/// What [`WorkstreamSign`]s are derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkstreamTally {
    /// Tasks that are open.
    pub tasks_open: u64,
    /// All of its tasks.
    pub tasks: u64,
    /// When it, one of its tasks or its progress last changed.
    pub last_activity_at: Timestamp,
}

impl WorkstreamTally {
    /// What a workstream in `state` shows at `now`; at most one sign.
    pub fn sign(&self, state: WorkstreamState, now: Timestamp) -> Option<WorkstreamSign> {
        let all_closed = self.tasks > 0 && self.tasks_open == 0;
        let quiet = now.since(self.last_activity_at) >= STALLED_AFTER;
        match state {
            WorkstreamState::Active if all_closed => Some(WorkstreamSign::NeedsReview),
            WorkstreamState::Active | WorkstreamState::Blocked if quiet => {
                Some(WorkstreamSign::Stalled)
            }
            WorkstreamState::Active
            | WorkstreamState::Blocked
            | WorkstreamState::Backlog
            | WorkstreamState::Proposed
            | WorkstreamState::Ready
            | WorkstreamState::Finished
            | WorkstreamState::Archived => None,
        }
    }
}
