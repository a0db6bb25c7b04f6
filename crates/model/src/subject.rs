//! Subjects: dot-separated tokens that name what an event is about.
//!
//! [`Subject`] is concrete, [`SubjectFilter`] may hold `*` (one token) and a final `>` (one or
//! more); two types, so that publishing to a wildcard does not compile. Both refuse what would
//! corrupt the hierarchy: empty tokens, white space, control characters. One builder per subject
//! of the catalogue; names are stable, renaming one is a breaking change.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{DeckyId, MutationState, TopologyId};

/// Longest subject, in bytes.
const MAX_BYTES: usize = 255;

/// A concrete subject, such as `topology.0192….status`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Arc<str>);

/// A pattern over subjects.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectFilter(Arc<str>);

/// Why a text is no subject or no filter.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum SubjectError {
    /// Nothing there, or two dots with nothing between them.
    #[error("a subject has no empty tokens")]
    EmptyToken,
    /// More than 255 bytes.
    #[error("a subject has at most {MAX_BYTES} bytes")]
    TooLong,
    /// White space or a control character.
    #[error("a subject has no white space and no control characters, not {0:?}")]
    Character(char),
    /// `*` or `>` in a subject, or within a token of a filter.
    #[error("`{0}` is not allowed here")]
    Wildcard(char),
    /// A token after `>`.
    #[error("`>` is only allowed as the last token")]
    AfterTail,
    /// A dot within what must be one token.
    #[error("a token has no dots")]
    Dot,
}

fn check_characters(text: &str) -> Result<(), SubjectError> {
    if text.len() > MAX_BYTES {
        return Err(SubjectError::TooLong);
    }
    match text.chars().find(|c| c.is_whitespace() || c.is_control()) {
        Some(bad) => Err(SubjectError::Character(bad)),
        None => Ok(()),
    }
}

fn check_token(token: &str) -> Result<(), SubjectError> {
    if token.is_empty() {
        return Err(SubjectError::EmptyToken);
    }
    match token.chars().find(|c| matches!(c, '*' | '>')) {
        Some(bad) => Err(SubjectError::Wildcard(bad)),
        None => Ok(()),
    }
}

/// Refuses what cannot stand as one token of a subject.
fn single_token(token: &str) -> Result<(), SubjectError> {
    check_characters(token)?;
    check_token(token)?;
    if token.contains('.') { Err(SubjectError::Dot) } else { Ok(()) }
}

impl Subject {
    /// The subject as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its tokens, in order; at least one.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    fn built(text: String) -> Self {
        debug_assert!(text.parse::<Subject>().is_ok(), "builders make valid subjects: {text}");
        Self(text.into())
    }

    fn fixed(text: &'static str) -> Self {
        Self(text.into())
    }

    /// `topology.{id}.mutation.{enqueued,applying,applied,failed}`.
    pub fn topology_mutation(id: TopologyId, state: MutationState) -> Self {
        let leaf = match state {
            MutationState::Pending => "enqueued",
            MutationState::Applying => "applying",
            MutationState::Applied => "applied",
            MutationState::Failed => "failed",
        };
        Self::built(format!("topology.{id}.mutation.{leaf}"))
    }

    /// `topology.{id}.status`.
    pub fn topology_status(id: TopologyId) -> Self {
        Self::built(format!("topology.{id}.status"))
    }

    /// `decky.{id}.state`.
    pub fn decky_state(id: DeckyId) -> Self {
        Self::built(format!("decky.{id}.state"))
    }

    /// `decky.{id}.mutation`.
    pub fn decky_mutation(id: DeckyId) -> Self {
        Self::built(format!("decky.{id}.mutation"))
    }

    /// `decky.{id}.traffic`.
    pub fn decky_traffic(id: DeckyId) -> Self {
        Self::built(format!("decky.{id}.traffic"))
    }

    /// `decky.{id}.mutate_request`.
    pub fn decky_mutate_request(id: DeckyId) -> Self {
        Self::built(format!("decky.{id}.mutate_request"))
    }

    /// `attacker.observed`.
    pub fn attacker_observed() -> Self {
        Self::fixed("attacker.observed")
    }

    /// `attacker.scored`.
    pub fn attacker_scored() -> Self {
        Self::fixed("attacker.scored")
    }

    /// `attacker.fingerprinted`.
    pub fn attacker_fingerprinted() -> Self {
        Self::fixed("attacker.fingerprinted")
    }

    /// `attacker.session.started`.
    pub fn session_started() -> Self {
        Self::fixed("attacker.session.started")
    }

    /// `attacker.session.activity`.
    pub fn session_activity() -> Self {
        Self::fixed("attacker.session.activity")
    }

    /// `attacker.session.ended`.
    pub fn session_ended() -> Self {
        Self::fixed("attacker.session.ended")
    }

    /// `ingest.session.{decky_id}`: never shown to viewers.
    pub fn ingest_session(id: DeckyId) -> Self {
        Self::built(format!("ingest.session.{id}"))
    }

    /// `credential.captured`.
    pub fn credential_captured() -> Self {
        Self::fixed("credential.captured")
    }

    /// `credential.reuse.detected`.
    pub fn credential_reuse_detected() -> Self {
        Self::fixed("credential.reuse.detected")
    }

    /// `identity.formed`.
    pub fn identity_formed() -> Self {
        Self::fixed("identity.formed")
    }

    /// `identity.observation.linked`.
    pub fn identity_observation_linked() -> Self {
        Self::fixed("identity.observation.linked")
    }

    /// `identity.merged`.
    pub fn identity_merged() -> Self {
        Self::fixed("identity.merged")
    }

    /// `identity.unmerged`.
    pub fn identity_unmerged() -> Self {
        Self::fixed("identity.unmerged")
    }

    /// `system.log`.
    pub fn system_log() -> Self {
        Self::fixed("system.log")
    }

    /// `system.bus.health`.
    pub fn bus_health() -> Self {
        Self::fixed("system.bus.health")
    }

    /// `system.{worker}.health`.
    ///
    /// # Errors
    /// Where `worker` cannot stand as one token, or makes the subject too long.
    pub fn worker_health(worker: &str) -> Result<Self, SubjectError> {
        single_token(worker)?;
        format!("system.{worker}.health").parse()
    }

    /// `system.{worker}.control`.
    ///
    /// # Errors
    /// Where `worker` cannot stand as one token, or makes the subject too long.
    pub fn worker_control(worker: &str) -> Result<Self, SubjectError> {
        single_token(worker)?;
        format!("system.{worker}.control").parse()
    }

    /// `org.statehub.repo.registered`.
    pub fn repo_registered() -> Self {
        Self::fixed("org.statehub.repo.registered")
    }

    /// `org.statehub.workstream.completed`.
    pub fn workstream_completed() -> Self {
        Self::fixed("org.statehub.workstream.completed")
    }

    /// `org.statehub.decision.resolved`.
    pub fn decision_resolved() -> Self {
        Self::fixed("org.statehub.decision.resolved")
    }

    /// `org.statehub.domain.goal.activated`.
    pub fn domain_goal_activated() -> Self {
        Self::fixed("org.statehub.domain.goal.activated")
    }

    /// `org.statehub.task.stale`.
    pub fn task_stale() -> Self {
        Self::fixed("org.statehub.task.stale")
    }

    /// `org.statehub.task.sweep.completed`.
    pub fn task_sweep_completed() -> Self {
        Self::fixed("org.statehub.task.sweep.completed")
    }

    /// `org.{producer}.{noun}.{verb}`, with any further qualifiers as tokens of their own.
    ///
    /// # Errors
    /// Where a part cannot stand as one token.
    pub fn lifecycle(producer: &str, parts: &[&str]) -> Result<Self, SubjectError> {
        let mut text = String::from("org");
        for part in std::iter::once(&producer).chain(parts) {
            single_token(part)?;
            text.push('.');
            text.push_str(part);
        }
        text.parse()
    }
}

impl SubjectFilter {
    /// The filter as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Everything: `>`.
    pub fn all() -> Self {
        Self(">".into())
    }

    /// `{prefix}.>`, for the family below a concrete prefix.
    ///
    /// # Errors
    /// Where `prefix` is no subject.
    pub fn below(prefix: &str) -> Result<Self, SubjectError> {
        prefix.parse::<Subject>()?;
        format!("{prefix}.>").parse()
    }

    /// Whether `subject` falls under this filter. Naive: token by token.
    pub fn matches(&self, subject: &Subject) -> bool {
        let mut tokens = subject.tokens();
        for wanted in self.0.split('.') {
            match (wanted, tokens.next()) {
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (literal, Some(token)) if literal == token => {}
                _ => return false,
            }
        }
        tokens.next().is_none()
    }
}

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        check_characters(text)?;
        text.split('.').try_for_each(check_token)?;
        Ok(Self(text.into()))
    }
}

impl FromStr for SubjectFilter {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        check_characters(text)?;
        let mut ended = false;
        for token in text.split('.') {
            if ended {
                return Err(SubjectError::AfterTail);
            }
            match token {
                ">" => ended = true,
                "*" => {}
                other => check_token(other)?,
            }
        }
        Ok(Self(text.into()))
    }
}

impl From<Subject> for SubjectFilter {
    fn from(subject: Subject) -> Self {
        Self(subject.0)
    }
}

impl Borrow<str> for Subject {
    fn borrow(&self) -> &str {
        &self.0
    }
}

macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(&self.0) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Debug::fmt(&*self.0, f) }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
as_text!(Subject, SubjectFilter);
