//! Events: what is said on the bus, kept in the journal and shown on the live streams.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    Ambient, AttackerId, CredentialId, DeckyId, DeckyState, EventContext, EventId, IdentityId,
    MutationId, MutationState, Op, Service, SessionId, Subject, SubjectError, Timestamp,
    TopologyId, TopologyStatus, Truncation,
    hub::{
        DecisionResolved, DomainGoalActivated, RepoRegistered, TaskStale, TaskSweepCompleted,
        WorkstreamCompleted,
    },
};

/// Version of the envelope, its `v`.
pub const ENVELOPE_VERSION: u32 = 1;

/// An event that is about to be published, and journalled if its kind is.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its id; the receiver's key for deduplication.
    pub id: EventId,
    /// When it happened.
    pub ts: Timestamp,
    /// Its subject; follows from the payload.
    pub topic: Subject,
    /// What it says.
    pub payload: Payload,
    /// Who caused it, and within what; empty where nobody said.
    pub context: EventContext,
}

impl Event {
    /// An event that happens now.
    ///
    /// # Errors
    /// Where the payload names a worker that cannot stand in a subject.
    pub fn try_new(ambient: &Ambient, payload: Payload) -> Result<Self, SubjectError> {
        let context = EventContext::default();
        Ok(Self { id: ambient.id(), ts: ambient.now(), topic: payload.topic()?, payload, context })
    }

    /// An event that happens now, of a payload whose subject is made of ids alone.
    ///
    /// # Panics
    /// Where the payload is a worker's heartbeat with a name that cannot stand in a subject.
    pub fn new(ambient: &Ambient, payload: Payload) -> Self {
        Self::try_new(ambient, payload).expect("ids and the names of our workers are tokens")
    }

    /// The same, stamped with the time `at` at which it happened.
    pub fn at(ambient: &Ambient, at: Timestamp, payload: Payload) -> Self {
        Self { ts: at, ..Self::new(ambient, payload) }
    }

    /// The same, with who caused it and within what.
    #[must_use]
    pub fn within(self, context: EventContext) -> Self {
        Self { context, ..self }
    }

    /// As it stands on the wire and in the journal; `seq` only where it has one.
    pub fn to_entry(&self, seq: Option<u64>) -> JournalEntry {
        let payload = serde_json::value::to_raw_value(&self.payload)
            .expect("a payload serialises: its keys are strings");
        JournalEntry {
            v: ENVELOPE_VERSION,
            id: self.id,
            seq,
            topic: self.topic.clone(),
            kind: self.payload.kind().into(),
            ts: self.ts,
            payload: payload.into(),
            context: self.context.clone(),
        }
    }
}

/// An event as written: on the wire, in the journal, in a stream's `data:`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Version of the envelope.
    pub v: u32,
    /// The event's id.
    pub id: EventId,
    /// Its place in the journal, dense from 1; absent where it is not journalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Its subject.
    pub topic: Subject,
    /// The kind of payload, such as `topology.mutation.applied`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened.
    pub ts: Timestamp,
    /// The payload, as JSON.
    pub payload: Arc<RawValue>,
    /// Who caused it, and within what.
    #[serde(default, skip_serializing_if = "EventContext::is_empty")]
    pub context: EventContext,
}

macro_rules! payloads {
    ($($variant:ident($body:ty) = $kind:literal, journalled $journalled:literal;)*) => {
        /// What an event says.
        #[derive(Clone, Debug, Serialize)]
        #[serde(untagged)]
        #[allow(missing_docs, reason = "each variant is documented at its body")]
        pub enum Payload { $($variant($body)),* }

        impl Payload {
            /// The envelope's `type`.
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => $kind),* }
            }

            /// Whether events of this kind stand in the journal.
            pub fn is_journalled(&self) -> bool {
                match self { $(Self::$variant(_) => $journalled),* }
            }
        }
    };
}

payloads! {
    MutationEnqueued(MutationEvent) = "topology.mutation.enqueued", journalled true;
    MutationApplying(MutationEvent) = "topology.mutation.applying", journalled true;
    MutationApplied(MutationEvent) = "topology.mutation.applied", journalled true;
    MutationFailed(MutationEvent) = "topology.mutation.failed", journalled true;
    Status(StatusChanged) = "topology.status", journalled true;
    DeckyState(DeckyStateChanged) = "decky.state", journalled true;
    DeckyMutation(DeckyMutation) = "decky.mutation", journalled true;
    DeckyTraffic(DeckyTraffic) = "decky.traffic", journalled false;
    MutateRequest(MutateRequest) = "decky.mutate_request", journalled false;
    Observed(AttackerObserved) = "attacker.observed", journalled true;
    Scored(AttackerScored) = "attacker.scored", journalled true;
    Fingerprinted(Fingerprinted) = "attacker.fingerprinted", journalled true;
    SessionStarted(SessionStarted) = "attacker.session.started", journalled true;
    SessionActivity(ActivityPayload) = "attacker.session.activity", journalled true;
    SessionEnded(SessionEnded) = "attacker.session.ended", journalled true;
    CredentialCaptured(CredentialCaptured) = "credential.captured", journalled true;
    IdentityFormed(IdentityFormed) = "identity.formed", journalled true;
    ObservationLinked(ObservationLinked) = "identity.observation.linked", journalled true;
    RepoRegistered(RepoRegistered) = "statehub.repo.registered", journalled true;
    WorkstreamCompleted(WorkstreamCompleted) = "statehub.workstream.completed", journalled true;
    DecisionResolved(DecisionResolved) = "statehub.decision.resolved", journalled true;
    DomainGoalActivated(DomainGoalActivated) = "statehub.domain.goal.activated", journalled true;
    TaskStale(TaskStale) = "statehub.task.stale", journalled true;
    TaskSweepCompleted(TaskSweepCompleted) = "statehub.task.sweep.completed", journalled true;
    WorkerHealth(WorkerHealth) = "system.health", journalled false;
    WorkerControl(WorkerControl) = "system.control", journalled false;
    SystemLog(SystemLog) = "system.log", journalled false;
}

impl Payload {
    /// The mutation event that announces `body.state`.
    pub fn mutation(body: MutationEvent) -> Self {
        match body.state {
            MutationState::Pending => Self::MutationEnqueued(body),
            MutationState::Applying => Self::MutationApplying(body),
            MutationState::Applied => Self::MutationApplied(body),
            MutationState::Failed => Self::MutationFailed(body),
        }
    }

    fn topic(&self) -> Result<Subject, SubjectError> {
        Ok(match self {
            Self::MutationEnqueued(b)
            | Self::MutationApplying(b)
            | Self::MutationApplied(b)
            | Self::MutationFailed(b) => Subject::topology_mutation(b.topology_id, b.state),
            Self::Status(b) => Subject::topology_status(b.topology_id),
            Self::DeckyState(b) => Subject::decky_state(b.decky_id),
            Self::DeckyMutation(b) => Subject::decky_mutation(b.decky_id),
            Self::DeckyTraffic(b) => Subject::decky_traffic(b.decky_id),
            Self::MutateRequest(b) => Subject::decky_mutate_request(b.decky_id),
            Self::Observed(_) => Subject::attacker_observed(),
            Self::Scored(_) => Subject::attacker_scored(),
            Self::Fingerprinted(_) => Subject::attacker_fingerprinted(),
            Self::SessionStarted(_) => Subject::session_started(),
            Self::SessionActivity(_) => Subject::session_activity(),
            Self::SessionEnded(_) => Subject::session_ended(),
            Self::CredentialCaptured(_) => Subject::credential_captured(),
            Self::IdentityFormed(_) => Subject::identity_formed(),
            Self::ObservationLinked(_) => Subject::identity_observation_linked(),
            Self::RepoRegistered(_) => Subject::repo_registered(),
            Self::WorkstreamCompleted(_) => Subject::workstream_completed(),
            Self::DecisionResolved(_) => Subject::decision_resolved(),
            Self::DomainGoalActivated(_) => Subject::domain_goal_activated(),
            Self::TaskStale(_) => Subject::task_stale(),
            Self::TaskSweepCompleted(_) => Subject::task_sweep_completed(),
            Self::WorkerHealth(b) => Subject::worker_health(&b.worker)?,
            Self::WorkerControl(b) => Subject::worker_control(&b.worker)?,
            Self::SystemLog(_) => Subject::system_log(),
        })
    }
}

/// A mutation entered a state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MutationEvent {
    /// The maze.
    pub topology_id: TopologyId,
    /// The mutation.
    pub mutation_id: MutationId,
    /// The state that it entered; also the last token of the subject.
    pub state: MutationState,
    /// What it does: `op` and `payload`.
    #[serde(flatten)]
    pub op: Op,
    /// The topology's version: current where queued, claimed or failed, the new one where applied.
    pub version: u64,
    /// Who asked: a user name, `schedule`, `local`, ….
    pub requested_by: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A topology changed its status.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatusChanged {
    /// The maze.
    pub topology_id: TopologyId,
    /// The status before.
    pub from: TopologyStatus,
    /// The status now.
    pub status: TopologyStatus,
    /// The topology's version.
    pub version: u64,
    /// Why, where there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A decky changed its state or its services.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeckyStateChanged {
    /// The decky.
    pub decky_id: DeckyId,
    /// Its maze.
    pub topology_id: TopologyId,
    /// Its name.
    pub name: String,
    /// The state before.
    pub from: DeckyState,
    /// The state now.
    pub state: DeckyState,
    /// Its services now.
    pub services: Vec<Service>,
    /// Why, where there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

crate::catalogue::words! {
    /// Why a decky changed.
    Trigger, "trigger" {
        /// It was added.
        Creation = "creation",
        /// Its interval was over.
        Scheduled = "scheduled",
        /// A person asked.
        Operator = "operator",
        /// An activity asked.
        Activity = "activity",
        /// A visitor's behaviour asked for it.
        Behavioural = "behavioural",
        /// It was removed.
        Retirement = "retirement",
    }
}

use std::{fmt, str::FromStr};

use crate::UnknownWord;

/// A decky's services changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeckyMutation {
    /// The decky.
    pub decky_id: DeckyId,
    /// Its maze.
    pub topology_id: TopologyId,
    /// Its name.
    pub name: String,
    /// The services before.
    pub old_services: Vec<Service>,
    /// The services now.
    pub new_services: Vec<Service>,
    /// Why.
    pub trigger: Trigger,
    /// The mutation that did it; absent where a deploy or teardown did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutation_id: Option<MutationId>,
}

/// Somebody touches a decky right now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeckyTraffic {
    /// The decky.
    pub decky_id: DeckyId,
    /// Its maze.
    pub topology_id: TopologyId,
    /// The session.
    pub session_id: SessionId,
    /// The attacker, where already known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attacker_id: Option<AttackerId>,
    /// The decoy protocol.
    pub service: Service,
    /// The visitor's address and port.
    pub peer: String,
    /// The kind of fact: `started`, `login`, `command`, ….
    pub kind: String,
    /// It in a few escaped words; secrets masked.
    pub summary: String,
}

/// A wake-up: somebody wants this decky rotated.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MutateRequest {
    /// The decky.
    pub decky_id: DeckyId,
    /// Who asks.
    pub requested_by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An address was seen for the first time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AttackerObserved {
    /// The attacker.
    pub attacker_id: AttackerId,
    /// Its identity, where already formed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_id: Option<IdentityId>,
    /// The source address.
    pub address: String,
    /// The first decky that it touched.
    pub decky_id: DeckyId,
    /// By which protocol.
    pub service: Service,
    /// When.
    pub first_seen: Timestamp,
}

crate::catalogue::words! {
    /// How dangerous an attacker looks.
    ScoreLevel, "level" {
        /// Below 20.
        Low = "low",
        /// 20 to 49.
        Medium = "medium",
        /// 50 to 79.
        High = "high",
        /// 80 and above.
        Critical = "critical",
    }
}

impl ScoreLevel {
    /// The level of a score from 0 to 100.
    pub const fn of(score: u8) -> Self {
        match score {
            0..=19 => Self::Low,
            20..=49 => Self::Medium,
            50..=79 => Self::High,
            80.. => Self::Critical,
        }
    }
}

/// An attacker's score crossed into another level.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AttackerScored {
    /// The attacker.
    pub attacker_id: AttackerId,
    /// The score now, 0 to 100.
    pub score: u8,
    /// The score before.
    pub previous: u8,
    /// The level now.
    pub level: ScoreLevel,
    /// What adds up to it, in words.
    pub reasons: Vec<String>,
}

/// New evidence about an attacker's client software.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fingerprinted {
    /// The attacker.
    pub attacker_id: AttackerId,
    /// `hassh`, `ssh.banner`, ….
    pub kind: String,
    /// Its value.
    pub value: String,
    /// Where it was seen.
    pub session_id: SessionId,
}

/// A session began.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionStarted {
    /// The session.
    pub session_id: SessionId,
    /// Whose.
    pub attacker_id: AttackerId,
    /// With which decky.
    pub decky_id: DeckyId,
    /// In which maze.
    pub topology_id: TopologyId,
    /// By which protocol.
    pub service: Service,
    /// The visitor's address and port.
    pub peer: String,
    /// When.
    pub started_at: Timestamp,
}

crate::catalogue::words! {
    /// What a visitor did within a session.
    ActivityKind, "activity kind" {
        /// Tried to log in.
        Login = "login",
        /// Gave a command.
        Command = "command",
        /// Made a request.
        Request = "request",
        /// Left bytes behind.
        Upload = "upload",
    }
}

/// Something happened within a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ActivityPayload {
    /// The session.
    pub session_id: SessionId,
    /// Whose.
    pub attacker_id: AttackerId,
    /// With which decky.
    pub decky_id: DeckyId,
    /// In which maze.
    pub topology_id: TopologyId,
    /// Position within the session.
    pub index: u32,
    /// What kind of thing.
    pub kind: ActivityKind,
    /// It in words: escaped, capped, secrets masked.
    pub text: String,
}

/// A session is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionEnded {
    /// The session.
    pub session_id: SessionId,
    /// Whose.
    pub attacker_id: AttackerId,
    /// With which decky.
    pub decky_id: DeckyId,
    /// In which maze.
    pub topology_id: TopologyId,
    /// By which protocol.
    pub service: Service,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Bytes received from the visitor.
    pub bytes_in: u64,
    /// Bytes sent to the visitor.
    pub bytes_out: u64,
    /// Logins tried.
    pub logins: u32,
    /// Commands given.
    pub commands: u32,
    /// Requests made.
    pub requests: u32,
    /// Set where a limit cut it short or its record is incomplete.
    pub truncated: Option<Truncation>,
}

/// A credential was tried. Never holds the secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CredentialCaptured {
    /// The credential; the same for the same principal and secret.
    pub credential_id: CredentialId,
    /// Who tried it.
    pub attacker_id: AttackerId,
    /// Where.
    pub session_id: SessionId,
    /// On which decky.
    pub decky_id: DeckyId,
    /// How: `password`, `basic`, ….
    pub kind: String,
    /// Keyed hash of principal and secret, lower-case hex.
    pub hash: String,
    /// The user name.
    pub principal: String,
}

/// An identity came to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IdentityFormed {
    /// The identity.
    pub identity_id: IdentityId,
    /// Who is behind it so far.
    pub attacker_ids: Vec<AttackerId>,
}

/// An attacker was linked to an identity.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObservationLinked {
    /// The identity.
    pub identity_id: IdentityId,
    /// The attacker.
    pub attacker_id: AttackerId,
    /// On what evidence.
    pub reasons: Vec<String>,
}

/// A worker's heartbeat.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkerHealth {
    /// Its name.
    pub worker: String,
    /// When.
    pub ts: Timestamp,
    /// Its figures, by name.
    pub figures: std::collections::BTreeMap<String, u64>,
}

crate::catalogue::words! {
    /// What a worker is told to do.
    ControlAction, "action" {
        /// End cleanly: finish what has begun, begin nothing more.
        Stop = "stop",
    }
}

/// A worker is told to do something.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkerControl {
    /// Its name; also a token of the subject, which is what counts.
    pub worker: String,
    /// What it shall do.
    pub action: ControlAction,
    /// Who asked.
    pub requested_by: String,
}

/// A line of the log that other hosts may want to see.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SystemLog {
    /// Who says it.
    pub worker: String,
    /// `info`, `warn` or `error`.
    pub level: String,
    /// What: the same words for the same kind of thing.
    pub message: String,
    /// To what, and why, by name.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub fields: std::collections::BTreeMap<String, String>,
}

impl SystemLog {
    /// A line without fields.
    pub fn new(worker: &str, level: &str, message: &str) -> Self {
        let fields = std::collections::BTreeMap::new();
        Self { worker: worker.into(), level: level.into(), message: message.into(), fields }
    }
}
