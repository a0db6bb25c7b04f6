//! The vocabulary of Morgana: what every crate says in the same words.
//!
//! Owns ids, subjects, events and their payloads, states, the catalogue of services and
//! archetypes, topologies as data, the hub's work, and the derivation of personas. It refuses to know
//! sockets, databases, clocks and async: time and randomness come in through [`Ambient`].

mod ambient;
mod catalogue;
mod context;
mod event;
pub mod hub;
mod id;
mod name;
mod observed;
mod op;
mod persona;
mod role;
mod session;
mod shared;
mod state;
mod subject;
mod topology;

pub use ambient::{Ambient, Timestamp, TimestampError};
pub use catalogue::{Archetype, Service, Transport, UnknownWord};
pub use context::{EventContext, MAX_CONTEXT_BYTES, traceparent};
pub use event::{
    ActivityKind, ActivityPayload, AttackerObserved, AttackerScored, ControlAction,
    CredentialCaptured, DeckyMutation, DeckyStateChanged, DeckyTraffic, ENVELOPE_VERSION, Event,
    Fingerprinted, IdentityFormed, JournalEntry, MutateRequest, MutationEvent, ObservationLinked,
    Payload, ScoreLevel, SessionEnded, SessionStarted, StatusChanged, SystemLog, Trigger,
    WorkerControl, WorkerHealth,
};
pub use id::{
    AttackerId, CredentialId, DecisionId, DeckyId, DomainId, EventId, GoalId, IdError, IdentityId,
    LanId, MutationId, ProgressId, RepoId, SessionId, TaskId, TokenId, TopicId, TopologyId,
    TypedId, UserId, WorkstreamId,
};
pub use name::{Name, NameError};
pub use observed::{Activity, Attacker, Credential, Identity, Observation, Session};
pub use op::{DeckyPatch, LanPatch, Op, Position};
pub use persona::{InstallationSecret, OsRelease, Persona, PersonaAccount};
pub use role::Role;
pub use session::{MAX_TEXT_BYTES, SessionEvent, SessionFact, Truncation, escape_text};
pub use shared::Shared;
pub use state::{DeckyState, MutationState, TopologyStatus};
pub use subject::{Subject, SubjectError, SubjectFilter};
pub use topology::{Decky, Edge, Lan, ServiceConfig, Topology, TopologyDelta};
