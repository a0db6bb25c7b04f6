//! The mutation queue: what may be asked of it and what it answers. How claims and endings work
//! is in `mutation_moves.rs`, the rows are in `mutation_rows.rs`.

use std::time::Duration;

use model::{
    DeckyId, DeckyState, EventId, MutationId, MutationState, Op, Service, Timestamp, Topology,
    TopologyId, TopologyStatus, Trigger,
};

use crate::{Page, Store, StoreError, TopologyRecord, mutation_moves as moves, mutation_rows};

/// Most mutations of one topology that may be pending; further ones are refused.
pub const MAX_PENDING: u64 = 1000;

/// A change to queue.
#[derive(Clone, Debug)]
pub struct NewMutation {
    /// The maze.
    pub topology_id: TopologyId,
    /// What to do.
    pub op: Op,
    /// Refuse where the topology has another version.
    pub expected_version: Option<u64>,
    /// A second request of the same requester with the same key gets the first one's answer.
    pub idempotency_key: Option<String>,
    /// Who asks.
    pub requested_by: String,
    /// Why.
    pub trigger: Trigger,
    /// The event that asks, where one does; an event queues at most one mutation.
    pub dedupe_event: Option<EventId>,
}

/// A queued change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MutationRecord {
    /// Its id.
    pub id: MutationId,
    /// The maze.
    pub topology_id: TopologyId,
    /// What to do.
    pub op: Op,
    /// Its state.
    pub state: MutationState,
    /// The topology's version when it was queued; once applied, the one that it made.
    pub version: u64,
    /// The version that the requester insisted on, where one did.
    pub expected_version: Option<u64>,
    /// Journal position of its `enqueued` event; the order of the queue.
    pub position: u64,
    /// Who asked.
    pub requested_by: String,
    /// Why.
    pub trigger: Trigger,
    /// When it was queued.
    pub requested_at: Timestamp,
    /// When it was applied or failed.
    pub ended_at: Option<Timestamp>,
    /// Why it failed.
    pub reason: Option<String>,
    /// How often it was claimed; who finishes it must name the current number.
    pub attempt: u32,
    /// Who claimed it last.
    pub worker: Option<String>,
    /// Until when that claim holds.
    pub lease_until: Option<Timestamp>,
    /// What would undo it; known once applied.
    pub inverse: Vec<Op>,
    /// The undo that took it back, where one did.
    pub undone_by: Option<MutationId>,
}

/// The answer to [`Store::enqueue`].
#[derive(Clone, Debug)]
pub struct Enqueued {
    /// The mutation, as it is now.
    pub mutation: MutationRecord,
    /// Journal position of its `enqueued` event.
    pub seq: u64,
    /// Whether an earlier request had queued it already.
    pub replayed: bool,
}

/// Why a mutation was not queued.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// There is no such topology.
    #[error("there is no topology {id}")]
    UnknownTopology {
        /// Its id.
        id: TopologyId,
    },
    /// The topology has another version than expected.
    #[error("the topology has version {current}, not {expected}")]
    VersionConflict {
        /// The version expected.
        expected: u64,
        /// The version it has.
        current: u64,
    },
    /// The idempotency key, or the event, stands for another operation already.
    #[error("the idempotency key was used for another operation")]
    KeyReusedDifferently,
    /// A topology of this status takes no changes.
    #[error("a topology that is {status} cannot be changed")]
    NotMutable {
        /// Its status.
        status: TopologyStatus,
    },
    /// As many mutations as may be are pending ([`MAX_PENDING`]).
    #[error("{MAX_PENDING} mutations of the topology are pending already")]
    QueueFull,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A mutation that the caller may apply, until its lease ends.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The mutation; its `attempt` is the caller's proof.
    pub mutation: MutationRecord,
    /// The topology as it is.
    pub topology: TopologyRecord,
}

/// Another claim has taken over, or the mutation has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("attempt {attempt} of mutation {id} is over")]
pub struct Fenced {
    /// The mutation.
    pub id: MutationId,
    /// The attempt that the caller named.
    pub attempt: u32,
}

/// Why a lease was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// Another claim has taken over, or the mutation has ended.
    #[error(transparent)]
    Fenced(#[from] Fenced),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a mutation was not ended.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// Another claim has taken over, or the mutation has ended.
    #[error(transparent)]
    Fenced(#[from] Fenced),
    /// The topology has moved on: the new version is not the one after the current one.
    #[error("the topology has version {current}, so that it cannot become {wanted}")]
    Conflict {
        /// The version it has.
        current: u64,
        /// The version given.
        wanted: u64,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a mutation did to a decky.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeckyOutcome {
    /// Which.
    pub decky_id: DeckyId,
    /// Its name.
    pub name: String,
    /// The state before.
    pub from: DeckyState,
    /// The state now.
    pub to: DeckyState,
    /// The services before.
    pub old_services: Vec<Service>,
    /// The services now.
    pub new_services: Vec<Service>,
    /// Why.
    pub trigger: Trigger,
}

/// A claim that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRecord {
    /// The mutation.
    pub mutation_id: MutationId,
    /// The maze.
    pub topology_id: TopologyId,
    /// Which claim of it this is.
    pub attempt: u32,
    /// Who claimed it.
    pub worker: String,
    /// When it was first claimed.
    pub claimed_at: Timestamp,
    /// Until when the claim holds.
    pub lease_until: Timestamp,
}

impl Store {
    /// Queues a change and journals `mutation.enqueued`.
    ///
    /// A known idempotency key or event is answered first, before all other checks, with the
    /// mutation as it is now. The version is compared with that of the topology within the
    /// transaction. Topologies that are `pending`, `deploying`, `active` or `degraded` take
    /// changes.
    ///
    /// # Errors
    /// Where the change is refused or the database fails.
    pub async fn enqueue(&self, mutation: NewMutation) -> Result<Enqueued, EnqueueError> {
        self.write("enqueue a mutation", move |tx| moves::enqueue(tx, mutation)).await
    }

    /// Claims the oldest mutation that may run: pending, or applying under a lease that is over
    /// (`lease_until <= now`), of a topology that is `pending`, `active` or `degraded` and of
    /// which nothing else runs. Journals `mutation.applying` at the first claim; a later one
    /// changes no state, so it says nothing.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn claim(&self, worker: &str, lease: Duration) -> Result<Option<Claim>, StoreError> {
        let worker = worker.to_owned();
        self.write("claim a mutation", move |tx| moves::claim(tx, &worker, lease)).await
    }

    /// Makes a claim last until `lease` from now. One whose lease is over, but which nobody has
    /// taken over, can be renewed.
    ///
    /// # Errors
    /// Where the claim is no longer the caller's or the database fails.
    pub async fn renew(
        &self,
        id: MutationId,
        attempt: u32,
        lease: Duration,
    ) -> Result<Timestamp, RenewError> {
        self.write("renew a lease", move |tx| moves::renew(tx, Fenced { id, attempt }, lease)).await
    }

    /// Ends the leases of a worker that begins anew, so that what its earlier life had claimed can
    /// be claimed at once; answers how many there were. Only for a worker of whom there is one.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn release_leases(&self, worker: &str) -> Result<u64, StoreError> {
        let worker = worker.to_owned();
        self.write("release leases", move |tx| moves::release(tx, &worker)).await
    }

    /// Ends a mutation as applied: the topology becomes `after`, its deckies get the states of
    /// `deckies` (new ones without an outcome are `planned`). Journals `mutation.applied`, then
    /// for each outcome `decky.state` where state or services differ and `decky.mutation` where
    /// services differ; answers the position of `mutation.applied`.
    ///
    /// # Errors
    /// Where the claim is no longer the caller's, the topology has moved on, or the database
    /// fails.
    pub async fn finish_applied(
        &self,
        id: MutationId,
        attempt: u32,
        after: &Topology,
        inverse: &[Op],
        deckies: Vec<DeckyOutcome>,
    ) -> Result<u64, FinishError> {
        let (after, inverse) = (after.clone(), inverse.to_vec());
        self.write("end a mutation as applied", move |tx| {
            moves::apply(tx, Fenced { id, attempt }, after, &inverse, deckies)
        })
        .await
    }

    /// Ends a mutation as failed, the topology as it was; journals `mutation.failed` and answers
    /// its position.
    ///
    /// # Errors
    /// Where the claim is no longer the caller's or the database fails.
    pub async fn finish_failed(
        &self,
        id: MutationId,
        attempt: u32,
        reason: &str,
    ) -> Result<u64, FinishError> {
        let reason = reason.to_owned();
        self.write("end a mutation as failed", move |tx| {
            moves::fail(tx, Fenced { id, attempt }, reason)
        })
        .await
    }

    /// The mutation of this id.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn mutation(&self, id: MutationId) -> Result<Option<MutationRecord>, StoreError> {
        self.read("read a mutation", move |connection| mutation_rows::load(connection, id)).await
    }

    /// The mutation that the requester queued under this idempotency key.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn mutation_of_key(
        &self,
        topology: TopologyId,
        requested_by: &str,
        key: &str,
    ) -> Result<Option<MutationRecord>, StoreError> {
        let (requested_by, key) = (requested_by.to_owned(), key.to_owned());
        self.read("read a mutation", move |connection| {
            mutation_rows::load_by_key(connection, topology, &requested_by, &key)
        })
        .await
    }

    /// Mutations of a topology, newest first, of one state where given.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn mutations(
        &self,
        topology: TopologyId,
        state: Option<MutationState>,
        cursor: Option<MutationId>,
        limit: usize,
    ) -> Result<Page<MutationRecord, MutationId>, StoreError> {
        self.read("list mutations", move |connection| {
            mutation_rows::page(connection, topology, state, cursor, limit)
        })
        .await
    }

    /// Applied mutations of a topology, the last applied first; at most `limit`.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn applied_mutations(
        &self,
        topology: TopologyId,
        limit: usize,
    ) -> Result<Vec<MutationRecord>, StoreError> {
        self.read("list applied mutations", move |connection| {
            mutation_rows::applied(connection, topology, limit)
        })
        .await
    }

    /// The claim that began first, of those not ended: its age is what to alert on.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn oldest_lease(&self) -> Result<Option<LeaseRecord>, StoreError> {
        self.read("read the oldest lease", mutation_rows::oldest_lease).await
    }
}
