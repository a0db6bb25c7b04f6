//! The only SQL: the journal, topologies, the mutation queue, what was observed, the hub.
//!
//! One [`Store`] per data directory and process. A single thread owns the connection that
//! writes: it takes what is queued, runs it as one transaction, commits, and only then answers,
//! so that what was acknowledged is on disk. A few read-only connections serve queries, each in
//! one read transaction. Events are journalled in the transaction of the state they tell of, and
//! their `seq` is dense in commit order.
//!
//! Owns files and tables. Knows nothing of the bus, the fleet, HTTP, or the rules of topologies;
//! secrets arrive hashed.

mod audit;
mod error;
mod hub;
mod installation;
mod journal;
mod lock;
mod mutation_moves;
mod mutation_rows;
mod mutations;
mod observed;
mod observed_rows;
mod open;
mod readers;
mod rows;
mod schema;
mod sinks;
mod standing;
mod stream_positions;
mod topologies;
mod topology_rows;
mod user_rows;
mod users;
mod writer;

pub use audit::{AuditEntry, AuditError, AuditRecord};
pub use error::{OpenError, StoreError};
pub use hub::{
    DecisionChange, DecisionFilter, DomainChange, DomainFilter, GoalChange, GoalFilter, GoalMove,
    HubError, Made, NewDecision, NewDomain, NewGoal, NewProgress, NewRepo, NewTask, NewTopic,
    NewWorkstream, ProgressFilter, RepoChange, RepoFilter, RequestKey, Resolution, Sweep,
    SweepPreview, TaskChange, TaskFilter, TopicChange, TopicFilter, WorkstreamChange,
    WorkstreamFilter,
};
pub use journal::MAX_ENTRIES;
pub use lock::{Holder, holder};
pub use mutations::{
    Claim, DeckyOutcome, EnqueueError, Enqueued, Fenced, FinishError, LeaseRecord, MAX_PENDING,
    MutationRecord, NewMutation, RenewError,
};
pub use observed::{Known, SessionFilter};
pub use open::{Health, Installation, Store, StoreLimits};
pub use rows::{MAX_PAGE, Page, Snapshot};
pub use sinks::{BuryError, DeadLetter, MAX_DEAD_LETTERS, NewDeadLetter, SinkProgress};
pub use stream_positions::StreamPosition;
pub use topologies::{
    CreateError, DeckyChange, SwitchedOff, TopologyRecord, TopologySnapshot, TransitionError,
};
pub use users::{
    ApiTokenRecord, NewApiToken, NewUser, NewWebSession, SetupError, SetupState, TokenHash,
    UserError, UserRecord, WebSessionRecord,
};
