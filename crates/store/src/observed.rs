//! What was observed: attackers, identities, sessions, activity, credentials.

use std::net::IpAddr;

use model::{
    Activity, Attacker, AttackerId, Credential, CredentialId, DeckyId, Identity, IdentityId,
    Observation, Session, SessionId,
};

use crate::{Page, Snapshot, Store, StoreError};

/// Which sessions to list; what is absent does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// Those of this attacker.
    pub attacker: Option<AttackerId>,
    /// Those with this decky.
    pub decky: Option<DeckyId>,
    /// Those that last (`true`) or are over (`false`).
    pub live: Option<bool>,
}

/// What is known already about a batch of facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The attackers at the addresses and of the sessions asked for.
    pub attackers: Vec<Attacker>,
    /// The identities of those attackers.
    pub identities: Vec<Identity>,
    /// The credentials of the hashes asked for.
    pub credentials: Vec<Credential>,
    /// The sessions asked for.
    pub sessions: Vec<Session>,
}

impl Store {
    /// Keeps what a batch of session facts changed, with its events, in one transaction; answers
    /// the journal's head after it.
    ///
    /// Repeating an observation changes nothing: where all of its sessions are kept as they are
    /// there, or further on, it is taken as known. Activity is unique by session and index, and
    /// a session's row is never replaced by one of a lower `next_index`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn observe(&self, observation: Observation) -> Result<u64, StoreError> {
        unimplemented!("{observation:?}")
    }

    /// All that the store knows about a batch, from one read transaction.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn known(
        &self,
        addresses: Vec<IpAddr>,
        credential_hashes: Vec<String>,
        sessions: Vec<SessionId>,
    ) -> Result<Known, StoreError> {
        unimplemented!("{addresses:?} {credential_hashes:?} {sessions:?}")
    }

    /// The attacker of this id.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn attacker(&self, id: AttackerId) -> Result<Option<Attacker>, StoreError> {
        unimplemented!("{id}")
    }

    /// The attacker at this address.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn attacker_by_address(
        &self,
        address: IpAddr,
    ) -> Result<Option<Attacker>, StoreError> {
        unimplemented!("{address}")
    }

    /// The credential of this keyed hash.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn credential_by_hash(&self, hash: &str) -> Result<Option<Credential>, StoreError> {
        unimplemented!("{hash}")
    }

    /// The identity of this id.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn identity(&self, id: IdentityId) -> Result<Option<Identity>, StoreError> {
        unimplemented!("{id}")
    }

    /// The session of this id.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        unimplemented!("{id}")
    }

    /// All sessions that have no end: the live ones, or after a crash the orphans.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn open_sessions(&self) -> Result<Vec<Session>, StoreError> {
        unimplemented!()
    }

    /// Attackers, newest first; counted.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn attackers(
        &self,
        cursor: Option<AttackerId>,
        limit: usize,
    ) -> Result<Page<Attacker, AttackerId>, StoreError> {
        unimplemented!("{cursor:?} {limit}")
    }

    /// The first 50 attackers and the journal's head, from one read transaction.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn attackers_snapshot(&self) -> Result<Snapshot<Attacker, AttackerId>, StoreError> {
        unimplemented!()
    }

    /// Identities, newest first; counted.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn identities(
        &self,
        cursor: Option<IdentityId>,
        limit: usize,
    ) -> Result<Page<Identity, IdentityId>, StoreError> {
        unimplemented!("{cursor:?} {limit}")
    }

    /// The first 50 identities and the journal's head, from one read transaction.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn identities_snapshot(&self) -> Result<Snapshot<Identity, IdentityId>, StoreError> {
        unimplemented!()
    }

    /// Sessions, newest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn sessions(
        &self,
        filter: SessionFilter,
        cursor: Option<SessionId>,
        limit: usize,
    ) -> Result<Page<Session, SessionId>, StoreError> {
        unimplemented!("{filter:?} {cursor:?} {limit}")
    }

    /// What happened in a session, in order.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn activity(&self, session: SessionId) -> Result<Vec<Activity>, StoreError> {
        unimplemented!("{session}")
    }

    /// Captured credentials, newest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn credentials(
        &self,
        cursor: Option<CredentialId>,
        limit: usize,
    ) -> Result<Page<Credential, CredentialId>, StoreError> {
        unimplemented!("{cursor:?} {limit}")
    }
}
