//! What was observed, as answers show it.

use model::{
    Activity, ActivityKind, Attacker, AttackerId, Credential, CredentialId, DeckyId, Identity,
    IdentityId, LanId, Role, ScoreLevel, Service, Session, SessionId, Timestamp, TopologyId,
    Truncation,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::words::{ActivityKindWord, Id, Moment, ScoreLevelWord, ServiceWord, TruncationWord};

/// One source address, as seen.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Attacker)]
pub(crate) struct AttackerView {
    #[schema(value_type = Id)]
    pub(crate) attacker_id: AttackerId,
    address: String,
    #[schema(value_type = Id)]
    identity_id: IdentityId,
    #[schema(value_type = Moment)]
    first_seen: Timestamp,
    #[schema(value_type = Moment)]
    last_seen: Timestamp,
    /// 0 to 100.
    score: u8,
    #[schema(value_type = ScoreLevelWord)]
    level: ScoreLevel,
    /// What adds up to the score.
    reasons: Vec<String>,
    sessions: u64,
    logins: u64,
    logins_accepted: u64,
    commands: u64,
    downloads: u64,
    requests: u64,
    uploads: u64,
    #[schema(value_type = Vec<Id>)]
    deckies: Vec<DeckyId>,
    #[schema(value_type = Vec<Id>)]
    lans: Vec<LanId>,
    #[schema(value_type = Vec<ServiceWord>)]
    services: Vec<Service>,
    /// `kind=value`.
    fingerprints: Vec<String>,
}

impl From<&Attacker> for AttackerView {
    fn from(attacker: &Attacker) -> Self {
        Self {
            attacker_id: attacker.id,
            address: attacker.address.to_string(),
            identity_id: attacker.identity_id,
            first_seen: attacker.first_seen,
            last_seen: attacker.last_seen,
            score: attacker.score,
            level: ScoreLevel::of(attacker.score),
            reasons: attacker.reasons.clone(),
            sessions: attacker.sessions,
            logins: attacker.logins,
            logins_accepted: attacker.logins_accepted,
            commands: attacker.commands,
            downloads: attacker.downloads,
            requests: attacker.requests,
            uploads: attacker.uploads,
            deckies: attacker.deckies.clone(),
            lans: attacker.lans.clone(),
            services: attacker.services.clone(),
            fingerprints: attacker.fingerprints.clone(),
        }
    }
}

/// One actor behind attackers.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Identity)]
pub(crate) struct IdentityView {
    #[schema(value_type = Id)]
    pub(crate) identity_id: IdentityId,
    #[schema(value_type = Moment)]
    formed_at: Timestamp,
    #[schema(value_type = Moment)]
    last_seen: Timestamp,
    #[schema(value_type = Vec<Id>)]
    attacker_ids: Vec<AttackerId>,
    /// The highest score among its attackers.
    score: u8,
    #[schema(value_type = ScoreLevelWord)]
    level: ScoreLevel,
}

impl From<&Identity> for IdentityView {
    fn from(identity: &Identity) -> Self {
        Self {
            identity_id: identity.id,
            formed_at: identity.formed_at,
            last_seen: identity.last_seen,
            attacker_ids: identity.attacker_ids.clone(),
            score: identity.score,
            level: ScoreLevel::of(identity.score),
        }
    }
}

/// One connection of a visitor.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct SessionView {
    #[schema(value_type = Id)]
    pub(crate) session_id: SessionId,
    #[schema(value_type = Id)]
    attacker_id: AttackerId,
    #[schema(value_type = Id)]
    decky_id: DeckyId,
    #[schema(value_type = Id)]
    topology_id: TopologyId,
    #[schema(value_type = Id)]
    lan_id: LanId,
    #[schema(value_type = ServiceWord)]
    service: Service,
    /// The visitor's address and port.
    peer: String,
    #[schema(value_type = Moment)]
    started_at: Timestamp,
    /// Absent while it lasts.
    #[schema(value_type = Moment, nullable, required)]
    ended_at: Option<Timestamp>,
    bytes_in: u64,
    bytes_out: u64,
    logins: u32,
    commands: u32,
    requests: u32,
    uploads: u32,
    #[schema(value_type = TruncationWord, nullable, required)]
    truncated: Option<Truncation>,
}

impl From<&Session> for SessionView {
    fn from(session: &Session) -> Self {
        Self {
            session_id: session.id,
            attacker_id: session.attacker_id,
            decky_id: session.decky_id,
            topology_id: session.topology_id,
            lan_id: session.lan_id,
            service: session.service,
            peer: session.peer.clone(),
            started_at: session.started_at,
            ended_at: session.ended_at,
            bytes_in: session.bytes_in,
            bytes_out: session.bytes_out,
            logins: session.logins,
            commands: session.commands,
            requests: session.requests,
            uploads: session.uploads,
            truncated: session.truncated,
        }
    }
}

/// One thing that a visitor did.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Activity)]
pub(crate) struct ActivityView {
    index: u32,
    #[schema(value_type = Moment)]
    at: Timestamp,
    #[schema(value_type = ActivityKindWord)]
    kind: ActivityKind,
    /// Escaped and capped; secrets masked. Show it as text only.
    text: String,
}

impl From<&Activity> for ActivityView {
    fn from(activity: &Activity) -> Self {
        Self {
            index: activity.index,
            at: activity.at,
            kind: activity.kind,
            text: activity.text.clone(),
        }
    }
}

/// A session with what happened in it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SessionDetail {
    #[serde(flatten)]
    pub(crate) session: SessionView,
    pub(crate) activity: Vec<ActivityView>,
}

/// A principal with a secret, as tried.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Credential)]
pub(crate) struct CredentialView {
    #[schema(value_type = Id)]
    credential_id: CredentialId,
    kind: String,
    /// The user name, escaped. Show it as text only.
    principal: String,
    /// Escaped; absent for everyone but administrators.
    #[schema(required)]
    secret: Option<String>,
    /// Keyed hash of principal and secret.
    hash: String,
    #[schema(value_type = Moment)]
    first_seen: Timestamp,
    #[schema(value_type = Moment)]
    last_seen: Timestamp,
    tries: u64,
}

impl CredentialView {
    /// Shows the secret to administrators only.
    pub(crate) fn new(credential: &Credential, reader: Role) -> Self {
        let secret = match reader {
            Role::Admin => Some(credential.secret.clone()),
            Role::Viewer | Role::Operator | Role::Auditor => None,
        };
        Self {
            credential_id: credential.id,
            kind: credential.kind.clone(),
            principal: credential.principal.clone(),
            secret,
            hash: credential.hash.clone(),
            first_seen: credential.first_seen,
            last_seen: credential.last_seen,
            tries: credential.tries,
        }
    }
}
