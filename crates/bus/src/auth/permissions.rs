//! What a user may publish and subscribe to.

use std::time::Duration;

use super::filter::Filters;

/// What one user may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    publish: SubjectRules,
    subscribe: SubjectRules,
    responses: Option<AllowResponses>,
}

/// Subjects that are allowed and denied. A denial wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectRules {
    allow: Option<Filters>,
    deny: Filters,
    /// What is allowed although a denial matches.
    unless: Filters,
    /// Subscriptions only: inboxes of others are not heard, a filter below one inbox is.
    private_inboxes: bool,
}

/// A user may answer messages that he got, whatever else he may publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowResponses {
    /// How many answers to one message; `None`: any number.
    pub max: Option<u32>,
    /// For how long; `None`: for ever.
    pub expires: Option<Duration>,
}

impl Default for AllowResponses {
    /// nats-server's: one answer within two minutes.
    fn default() -> AllowResponses {
        AllowResponses { max: Some(1), expires: Some(Duration::from_secs(120)) }
    }
}

/// A rule that is no subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PermissionsError {
    /// It is no subject filter.
    #[error("`{0}` is no subject")]
    Subject(String),
    /// It names a queue group where none can be.
    #[error("`{0}`: only a subscription has a queue group")]
    Queue(String),
}

impl SubjectRules {
    /// Nothing is restricted.
    pub fn all() -> SubjectRules {
        SubjectRules::default()
    }

    /// Only what one of `allow` matches: `foo.*`, or `foo.* workers` for a queue group (its name
    /// may hold wildcards).
    pub fn allow<S: AsRef<str>>(self, allow: &[S]) -> Result<SubjectRules, PermissionsError> {
        let _ = allow;
        unimplemented!()
    }

    /// Nothing that one of `deny` matches.
    pub fn deny<S: AsRef<str>>(self, deny: &[S]) -> Result<SubjectRules, PermissionsError> {
        let _ = deny;
        unimplemented!()
    }
}

impl Permissions {
    /// Puts rules together. With `responses` and no `allow` for publishing, nothing but answers may
    /// be published, as in nats-server.
    pub fn new(
        publish: SubjectRules,
        subscribe: SubjectRules,
        responses: Option<AllowResponses>,
    ) -> Result<Permissions, PermissionsError> {
        let _ = (publish, subscribe, responses);
        unimplemented!()
    }

    /// Whether a message may be published here, answers aside (see [`super::ResponseGrants`]).
    pub fn may_publish(&self, subject: &[u8]) -> bool {
        let _ = subject;
        unimplemented!()
    }

    /// Whether this may be subscribed to. Where part of the filter is denied, the subscription is
    /// allowed and [`Permissions::checks_delivery`] is true of it.
    pub fn may_subscribe(&self, filter: &[u8], queue: Option<&[u8]>) -> bool {
        let _ = (filter, queue);
        unimplemented!()
    }

    /// Whether each message for a subscription to `filter` must pass [`Permissions::may_receive`]:
    /// ask once when it subscribes, and keep the answer with the subscription.
    pub fn checks_delivery(&self, filter: &[u8]) -> bool {
        let _ = filter;
        unimplemented!()
    }

    /// Whether a message on `subject` may reach a subscription that [`Permissions::checks_delivery`]
    /// is true of.
    pub fn may_receive(&self, subject: &[u8]) -> bool {
        let _ = subject;
        unimplemented!()
    }

    /// Whether, and how far, messages that were received may be answered.
    pub fn allow_responses(&self) -> Option<AllowResponses> {
        self.responses
    }
}
