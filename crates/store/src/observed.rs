//! What was observed: attackers, identities, sessions, activity, credentials. The rows are in
//! `observed_rows.rs`.

use std::{collections::HashMap, net::IpAddr};

use model::{
    Activity, Attacker, AttackerId, Credential, CredentialId, DeckyId, Identity, IdentityId,
    JournalEntry, Observation, Session, SessionId,
};
use rusqlite::Connection;

use crate::{
    Page, Snapshot, Store, StoreError, StreamPosition, journal, observed_rows as table, rows,
    stream_positions,
    writer::{Fault, Tx},
};

/// Rows that a snapshot of a list holds.
const SNAPSHOT: usize = 50;

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
        self.keep_observation(observation, None).await
    }

    /// As [`Store::observe`], with the position of the last message of a durable stream that the
    /// batch came from in the same transaction. Where that message is understood already, nothing
    /// changes.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn observe_from(
        &self,
        observation: Observation,
        upto: StreamPosition,
    ) -> Result<u64, StoreError> {
        self.keep_observation(observation, Some(upto)).await
    }

    async fn keep_observation(
        &self,
        observation: Observation,
        upto: Option<StreamPosition>,
    ) -> Result<u64, StoreError> {
        let Observation { events, .. } = &observation;
        // Encoded here, so that the writer has less to do.
        let entries = events
            .iter()
            .filter(|event| event.payload.is_journalled())
            .map(|event| event.to_entry(None))
            .collect();
        self.write("keep an observation", move |tx| {
            match &upto {
                Some(upto) if is_understood(tx.connection, upto)? => return Ok(tx.head()),
                Some(upto) => stream_positions::put(tx.connection, upto)?,
                None => {}
            }
            keep(tx, &observation, entries)
        })
        .await
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
        let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        self.read("read what is known about a batch", move |connection| {
            known(connection, &addresses, &credential_hashes, &sessions)
        })
        .await
    }

    /// The attacker of this id.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn attacker(&self, id: AttackerId) -> Result<Option<Attacker>, StoreError> {
        self.read("read an attacker", move |connection| {
            table::attacker(connection, "id", id.to_string())
        })
        .await
    }

    /// The attacker at this address.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn attacker_by_address(
        &self,
        address: IpAddr,
    ) -> Result<Option<Attacker>, StoreError> {
        self.read("read an attacker", move |connection| {
            table::attacker(connection, "address", address.to_string())
        })
        .await
    }

    /// The credential of this keyed hash.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn credential_by_hash(&self, hash: &str) -> Result<Option<Credential>, StoreError> {
        let hash = hash.to_owned();
        self.read("read a credential", move |connection| table::credential(connection, hash)).await
    }

    /// The identity of this id.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn identity(&self, id: IdentityId) -> Result<Option<Identity>, StoreError> {
        self.read("read an identity", move |connection| table::identity(connection, id)).await
    }

    /// The session of this id.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.read("read a session", move |connection| table::session(connection, id)).await
    }

    /// All sessions that have no end: the live ones, or after a crash the orphans.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn open_sessions(&self) -> Result<Vec<Session>, StoreError> {
        self.read("read the open sessions", table::open_sessions).await
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
        self.read("list attackers", move |connection| table::attackers(connection, cursor, limit))
            .await
    }

    /// The first 50 attackers and the journal's head, from one read transaction.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn attackers_snapshot(&self) -> Result<Snapshot<Attacker, AttackerId>, StoreError> {
        self.read("list attackers", |connection| {
            let page = table::attackers(connection, None, SNAPSHOT)?;
            Ok(Snapshot { head: journal::head(connection)?, page })
        })
        .await
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
        self.read("list identities", move |connection| table::identities(connection, cursor, limit))
            .await
    }

    /// The first 50 identities and the journal's head, from one read transaction.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn identities_snapshot(&self) -> Result<Snapshot<Identity, IdentityId>, StoreError> {
        self.read("list identities", |connection| {
            let page = table::identities(connection, None, SNAPSHOT)?;
            Ok(Snapshot { head: journal::head(connection)?, page })
        })
        .await
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
        self.read("list sessions", move |connection| {
            table::sessions(connection, filter, cursor, limit)
        })
        .await
    }

    /// What happened in a session, in order.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn activity(&self, session: SessionId) -> Result<Vec<Activity>, StoreError> {
        self.read("read the activity of a session", move |connection| {
            table::activity(connection, session)
        })
        .await
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
        self.read("list credentials", move |connection| {
            table::credentials(connection, cursor, limit)
        })
        .await
    }
}

fn keep(
    tx: &mut Tx<'_>,
    observation: &Observation,
    entries: Vec<JournalEntry>,
) -> Result<u64, Fault<StoreError>> {
    if is_known(tx.connection, &observation.sessions)? {
        return Ok(tx.head());
    }
    table::put_identities(tx.connection, &observation.identities)?;
    table::put_attackers(tx.connection, &observation.attackers)?;
    table::put_sessions(tx.connection, &observation.sessions)?;
    table::put_activity(tx.connection, &observation.activity)?;
    table::put_credentials(tx.connection, &observation.credentials)?;
    for entry in entries {
        tx.journal(entry);
    }
    Ok(tx.head())
}

fn is_understood(connection: &Connection, upto: &StreamPosition) -> rusqlite::Result<bool> {
    let kept = stream_positions::position(connection, &upto.stream, &upto.incarnation)?;
    Ok(kept >= upto.seq)
}

/// Whether all of the sessions, at least one, are kept as they are here or further on.
fn is_known(connection: &Connection, sessions: &[Session]) -> rusqlite::Result<bool> {
    let ids: Vec<String> = sessions.iter().map(|session| session.id.to_string()).collect();
    let kept = table::sessions_in(connection, &ids)?;
    let kept: HashMap<SessionId, &Session> = kept.iter().map(|row| (row.id, row)).collect();
    let is_kept = |session: &Session| {
        kept.get(&session.id)
            .is_some_and(|row| row.next_index > session.next_index || *row == session)
    };
    Ok(!sessions.is_empty() && sessions.iter().all(is_kept))
}

fn known(
    connection: &Connection,
    addresses: &[String],
    credential_hashes: &[String],
    sessions: &[SessionId],
) -> rusqlite::Result<Known> {
    let ids: Vec<String> = sessions.iter().map(SessionId::to_string).collect();
    let sessions = table::sessions_in(connection, &ids)?;
    let mut attackers = table::attackers_in(connection, "address", addresses)?;
    let others: Vec<String> = sessions
        .iter()
        .filter(|session| !attackers.iter().any(|attacker| attacker.id == session.attacker_id))
        .map(|session| session.attacker_id.to_string())
        .collect();
    attackers.extend(table::attackers_in(connection, "id", &rows::distinct(others))?);
    let identities = attackers.iter().map(|attacker| attacker.identity_id.to_string()).collect();
    Ok(Known {
        identities: table::identities_in(connection, &rows::distinct(identities))?,
        credentials: table::credentials_in(connection, credential_hashes)?,
        attackers,
        sessions,
    })
}
