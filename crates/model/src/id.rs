//! Ids: one type per kind of thing, all UUIDv7 (RFC 9562), so that they sort by creation.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;

/// A text that is no id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not a {kind} id")]
pub struct IdError {
    /// What kind of id was wanted.
    pub kind: &'static str,
    /// The offending text, cut to 64 characters.
    pub text: String,
}

/// What all ids have in common.
pub trait TypedId: Copy {
    /// Builds an id from its creation time and ten random bytes.
    fn from_parts(at: Timestamp, random: [u8; 10]) -> Self;
    /// When the thing was created, to the millisecond, read from the id itself.
    fn created_at(self) -> Timestamp;
    /// The id as a plain UUID.
    fn uuid(self) -> Uuid;
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $kind:literal),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that was stored or received as an id of this kind.
            pub const fn from_uuid(uuid: Uuid) -> Self { Self(uuid) }
        }

        impl TypedId for $name {
            fn from_parts(at: Timestamp, random: [u8; 10]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(at.as_millis(), &random).into_uuid())
            }
            fn created_at(self) -> Timestamp {
                let millis = self.0.as_u128() >> 80;
                Timestamp::from_micros(i64::try_from(millis * 1000).unwrap_or(i64::MAX))
            }
            fn uuid(self) -> Uuid { self.0 }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.hyphenated().fmt(f) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.hyphenated().fmt(f) }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Uuid::try_parse(text)
                    .map(Self)
                    .map_err(|_| IdError { kind: $kind, text: text.chars().take(64).collect() })
            }
        }
    )*};
}

ids! {
    /// A topology.
    TopologyId = "topology",
    /// A LAN of a topology.
    LanId = "LAN",
    /// A decky.
    DeckyId = "decky",
    /// A queued change.
    MutationId = "mutation",
    /// One connection or login of a visitor.
    SessionId = "session",
    /// One source address, as seen.
    AttackerId = "attacker",
    /// One actor behind attackers.
    IdentityId = "identity",
    /// A captured credential.
    CredentialId = "credential",
    /// An event; the receiver's key for deduplication.
    EventId = "event",
    /// A user of the control surface.
    UserId = "user",
    /// An API token.
    TokenId = "token",
    /// A domain of the hub.
    DomainId = "domain",
    /// A goal of a domain.
    GoalId = "goal",
    /// A registered repository.
    RepoId = "repo",
    /// A topic of a domain.
    TopicId = "topic",
    /// A workstream.
    WorkstreamId = "workstream",
    /// A decision.
    DecisionId = "decision",
    /// A task.
    TaskId = "task",
    /// An entry of a progress log.
    ProgressId = "progress entry",
}
