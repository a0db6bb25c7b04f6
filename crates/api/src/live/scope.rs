//! Which events a stream carries, who may see them, and what they are called on it.

use model::{Subject, SubjectFilter, TopologyId};

use crate::auth::Role;

/// Most filters of one stream.
pub(crate) const MAX_FILTERS: usize = 16;

/// What one stream is about.
#[derive(Clone, Debug)]
pub(crate) enum Scope {
    /// `topology.{id}.>`; holds the prefix up to the last dot.
    Topology(String),
    /// `identity.>`.
    Identities,
    /// `attacker.>`.
    Attackers,
    /// Whatever falls under one of the filters.
    Filters(Vec<SubjectFilter>),
}

impl Scope {
    /// The stream of one topology.
    pub(crate) fn topology(id: TopologyId) -> Self {
        Self::Topology(format!("topology.{id}."))
    }

    /// Whether `subject` belongs on this stream.
    pub(crate) fn matches(&self, subject: &Subject) -> bool {
        match self {
            Self::Topology(prefix) => subject.as_str().starts_with(prefix.as_str()),
            Self::Identities => subject.as_str().starts_with("identity."),
            Self::Attackers => subject.as_str().starts_with("attacker."),
            Self::Filters(filters) => filters.iter().any(|filter| filter.matches(subject)),
        }
    }
}

/// Whether `role` may see events under `subject`. Raw session facts hold secrets: nobody's.
/// Log lines may name hosts and files: not for viewers.
pub(crate) fn visible(role: Role, subject: &Subject) -> bool {
    let mut tokens = subject.tokens();
    match (tokens.next(), tokens.next()) {
        (Some("ingest"), _) => false,
        (Some("system"), Some("log")) => match role {
            Role::Operator | Role::Admin | Role::Auditor => true,
            Role::Viewer => false,
        },
        _ => true,
    }
}

/// The name of an event on a stream: what follows the id in the families `topology` and
/// `decky`, else what follows the family. A subject holds no white space and no control
/// characters, so a name can forge no frame.
///
/// `topology.{id}.mutation.applied` → `mutation.applied`; `identity.observation.linked` →
/// `observation.linked`; `system.mutator.health` → `mutator.health`; a single token is its own
/// name.
pub(crate) fn event_name(subject: &Subject) -> &str {
    let text = subject.as_str();
    let Some((family, rest)) = text.split_once('.') else { return text };
    match family {
        "topology" | "decky" => rest.split_once('.').map_or(rest, |(_, name)| name),
        _ => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_named_by_the_rest_of_their_subject() {
        let check = |subject: &str, name: &str| {
            assert_eq!(event_name(&subject.parse().unwrap()), name, "{subject}");
        };
        check("topology.t7.mutation.applied", "mutation.applied");
        check("topology.t7.status", "status");
        check("topology.t7.some.new.family", "some.new.family");
        check("decky.d1.state", "state");
        check("identity.formed", "formed");
        check("identity.observation.linked", "observation.linked");
        check("attacker.session.started", "session.started");
        check("system.mutator.health", "mutator.health");
        check("org.statehub.repo.registered", "statehub.repo.registered");
        check("lonely", "lonely");
        check("topology.t7", "t7");
    }

    #[test]
    fn raw_sessions_are_shown_to_nobody() {
        for role in Role::ALL {
            assert!(!visible(*role, &"ingest.session.d1".parse().unwrap()));
            assert!(visible(*role, &"topology.t1.status".parse().unwrap()));
        }
        assert!(!visible(Role::Viewer, &"system.log".parse().unwrap()));
        assert!(visible(Role::Auditor, &"system.log".parse().unwrap()));
    }
}
