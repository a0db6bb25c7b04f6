//! What was observed: the rows that intel computes and the store keeps.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{
    ActivityKind, AttackerId, CredentialId, DeckyId, Event, IdentityId, LanId, Service, SessionId,
    Timestamp, TopologyId, Truncation,
};

/// One source address, as seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attacker {
    /// Its id.
    pub id: AttackerId,
    /// The source address; unique.
    pub address: IpAddr,
    /// The actor behind it.
    pub identity_id: IdentityId,
    /// First touch.
    pub first_seen: Timestamp,
    /// Latest touch.
    pub last_seen: Timestamp,
    /// 0 to 100.
    pub score: u8,
    /// What adds up to the score, in words.
    pub reasons: Vec<String>,
    /// Sessions begun.
    pub sessions: u64,
    /// Logins tried.
    pub logins: u64,
    /// Logins that got in.
    pub logins_accepted: u64,
    /// Commands given.
    pub commands: u64,
    /// Commands among them that fetch something from elsewhere.
    #[serde(default)]
    pub downloads: u64,
    /// Requests made.
    pub requests: u64,
    /// Uploads left.
    pub uploads: u64,
    /// Distinct deckies touched, sorted, at most 64 are kept.
    pub deckies: Vec<DeckyId>,
    /// Distinct LANs touched, sorted, at most 64 are kept.
    #[serde(default)]
    pub lans: Vec<LanId>,
    /// Distinct services touched, sorted.
    pub services: Vec<Service>,
    /// Distinct fingerprints, `kind=value`, sorted, at most 64 are kept.
    pub fingerprints: Vec<String>,
}

/// One actor behind attackers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its id.
    pub id: IdentityId,
    /// When it was formed.
    pub formed_at: Timestamp,
    /// Latest touch of any of its attackers.
    pub last_seen: Timestamp,
    /// Its attackers, sorted.
    pub attacker_ids: Vec<AttackerId>,
    /// The highest score among them.
    pub score: u8,
}

/// One connection of a visitor, from first to last byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub attacker_id: AttackerId,
    /// With which decky.
    pub decky_id: DeckyId,
    /// In which maze.
    pub topology_id: TopologyId,
    /// On which LAN.
    pub lan_id: LanId,
    /// By which protocol.
    pub service: Service,
    /// The visitor's address and port.
    pub peer: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` while it lasts.
    pub ended_at: Option<Timestamp>,
    /// Bytes received from the visitor; known at the end.
    pub bytes_in: u64,
    /// Bytes sent to the visitor; known at the end.
    pub bytes_out: u64,
    /// Logins tried.
    pub logins: u32,
    /// Commands given.
    pub commands: u32,
    /// Requests made.
    pub requests: u32,
    /// Uploads left.
    pub uploads: u32,
    /// Set where a limit cut it short or its record is incomplete.
    pub truncated: Option<Truncation>,
    /// Index of the next fact that is expected.
    pub next_index: u32,
}

/// One thing that a visitor did. `(session_id, index)` is unique.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// In which session.
    pub session_id: SessionId,
    /// Position within the session.
    pub index: u32,
    /// When.
    pub at: Timestamp,
    /// What kind of thing.
    pub kind: ActivityKind,
    /// It in words: escaped, capped, secrets masked.
    pub text: String,
}

/// A principal with a secret, as tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Its id; the same for the same principal and secret.
    pub id: CredentialId,
    /// Keyed hash of principal and secret, lower-case hex; unique.
    pub hash: String,
    /// The user name.
    pub principal: String,
    /// The secret as given, escaped. Shown to administrators only.
    pub secret: String,
    /// How it was tried first: `password`, `basic`, ….
    pub kind: String,
    /// First try.
    pub first_seen: Timestamp,
    /// Latest try.
    pub last_seen: Timestamp,
    /// How often it was tried.
    pub tries: u64,
}

/// Everything that one batch of session facts changes: one transaction. Rows are whole and
/// replace those of the same id.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// Attackers that are new or different.
    pub attackers: Vec<Attacker>,
    /// Identities that are new or different.
    pub identities: Vec<Identity>,
    /// Sessions that are new or different.
    pub sessions: Vec<Session>,
    /// Activity to add; what is there already stays as it is.
    pub activity: Vec<Activity>,
    /// Credentials that are new or different.
    pub credentials: Vec<Credential>,
    /// What to journal, in order.
    pub events: Vec<Event>,
}

impl Observation {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.attackers.is_empty()
            && self.identities.is_empty()
            && self.sessions.is_empty()
            && self.activity.is_empty()
            && self.credentials.is_empty()
            && self.events.is_empty()
    }
}
