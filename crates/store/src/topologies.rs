//! Topologies: desired state, status and the states of deckies.

use std::collections::BTreeMap;

use model::{DeckyId, DeckyState, Name, Timestamp, Topology, TopologyId, TopologyStatus};

use crate::{MutationRecord, Store, StoreError};

/// A topology with what the installation knows about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologyRecord {
    /// What is wanted.
    pub topology: Topology,
    /// Its status.
    pub status: TopologyStatus,
    /// When it was created.
    pub created_at: Timestamp,
    /// Who created it.
    pub created_by: String,
    /// When its status last changed.
    pub status_changed_at: Timestamp,
    /// Why it has this status, where there is something to say.
    pub reason: Option<String>,
    /// State of each of its deckies.
    pub decky_states: BTreeMap<DeckyId, DeckyState>,
}

/// A topology, its unfinished mutations and the journal position at which both were true: from
/// one read transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologySnapshot {
    /// The journal's head.
    pub head: u64,
    /// The topology.
    pub record: TopologyRecord,
    /// Its pending and applying mutations, oldest first.
    pub in_flight: Vec<MutationRecord>,
}

/// A decky's new state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeckyChange {
    /// Which.
    pub decky_id: DeckyId,
    /// Its state now.
    pub state: DeckyState,
    /// Why, where there is something to say.
    pub reason: Option<String>,
}

/// Why a topology was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Another topology that is not torn down has this name.
    #[error("a topology named `{name}` exists already")]
    NameTaken {
        /// The name.
        name: Name,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a status was not changed.
#[derive(Debug, thiserror::Error)]
pub enum TransitionError {
    /// There is no such topology.
    #[error("there is no topology {id}")]
    Unknown {
        /// Its id.
        id: TopologyId,
    },
    /// It has another status than the caller thinks.
    #[error("the topology is {actual}, not {expected}")]
    Conflict {
        /// What the caller thinks.
        expected: TopologyStatus,
        /// What it is.
        actual: TopologyStatus,
    },
    /// No topology can make this move.
    #[error("a topology cannot go from {from} to {to}")]
    Illegal {
        /// The status now.
        from: TopologyStatus,
        /// The status wanted.
        to: TopologyStatus,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Keeps a new topology as `pending`, its deckies as `planned`; journals `topology.status`
    /// (from `pending` to `pending`) and answers its position. The name of a topology that is
    /// torn down is free again.
    ///
    /// # Errors
    /// Where the name is taken or the database fails.
    pub async fn create_topology(
        &self,
        topology: &Topology,
        requested_by: &str,
    ) -> Result<u64, CreateError> {
        unimplemented!("{topology:?} {requested_by}")
    }

    /// All topologies, newest first, those torn down included.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn topologies(&self) -> Result<Vec<TopologyRecord>, StoreError> {
        unimplemented!()
    }

    /// The topology of this id.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn topology(&self, id: TopologyId) -> Result<Option<TopologyRecord>, StoreError> {
        unimplemented!("{id}")
    }

    /// The topology of this name that is not torn down.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn topology_named(&self, name: &Name) -> Result<Option<TopologyRecord>, StoreError> {
        unimplemented!("{name}")
    }

    /// The topology, its unfinished mutations and the journal's head, from one read transaction.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn topology_snapshot(
        &self,
        id: TopologyId,
    ) -> Result<Option<TopologySnapshot>, StoreError> {
        unimplemented!("{id}")
    }

    /// Moves a topology from one status to another, and its deckies to new states, in one
    /// transaction; answers the position of the last event, or the head where nothing changed.
    ///
    /// Journals `topology.status`; `decky.state` for each decky whose state differs;
    /// `decky.mutation` where a planned or starting decky becomes running or degraded (trigger
    /// `creation`) and where one is retired (trigger `retirement`). `from == to` records deckies
    /// only. Deckies that the topology does not have are ignored.
    ///
    /// At `tearing_down` its pending mutations end as failed, at `torn_down` all unfinished ones.
    ///
    /// # Errors
    /// Where the topology is unknown, has another status, the move is illegal, or the database
    /// fails.
    pub async fn set_status(
        &self,
        id: TopologyId,
        from: TopologyStatus,
        to: TopologyStatus,
        reason: Option<String>,
        deckies: Vec<DeckyChange>,
    ) -> Result<u64, TransitionError> {
        unimplemented!("{id} {from} {to} {reason:?} {deckies:?}")
    }
}
