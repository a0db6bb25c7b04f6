//! What a user may publish and subscribe to.
//!
//! Owns the rules and how they are combined; refuses to know users and connections. As in
//! nats-server, with one difference on the safe side: a wildcard subscription is allowed only
//! where one allowed filter contains all of it.

use std::{sync::Arc, time::Duration};

use crate::matcher;

use super::filter::Filters;

/// What one user may do. Clones share the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    publish: Arc<SubjectRules>,
    subscribe: Arc<SubjectRules>,
    responses: Option<AllowResponses>,
}

/// Subjects that are allowed and denied. A denial wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectRules {
    /// Absent: everything.
    allow: Option<Filters>,
    deny: Filters,
    /// What may be published although a denial matches.
    unless: Filters,
    /// Subscriptions only: inboxes of others are not heard.
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
    /// may hold wildcards). An empty list allows nothing.
    pub fn allow<S: AsRef<str>>(self, allow: &[S]) -> Result<SubjectRules, PermissionsError> {
        Ok(SubjectRules { allow: Some(Filters::new(allow)?), ..self })
    }

    /// Nothing that one of `deny` matches.
    pub fn deny<S: AsRef<str>>(self, deny: &[S]) -> Result<SubjectRules, PermissionsError> {
        Ok(SubjectRules { deny: Filters::new(deny)?, ..self })
    }

    /// Publishing only: what one of these matches is not denied.
    pub(super) fn unless(self, unless: &[&str]) -> Result<SubjectRules, PermissionsError> {
        Ok(SubjectRules { unless: Filters::new(unless)?, ..self })
    }

    /// Subscriptions only: `_INBOX.>` is denied but for filters below one inbox, whose name is
    /// the secret of who asked.
    pub(super) fn private_inboxes(self) -> SubjectRules {
        SubjectRules { private_inboxes: true, ..self }
    }

    fn queue_form(&self) -> Option<String> {
        self.allow.as_ref().and_then(Filters::queue_form).or_else(|| self.deny.queue_form())
    }

    fn allows_member(&self, filter: &[u8], queue: Option<&[u8]>) -> bool {
        let Some(allow) = &self.allow else { return true };
        let by_queue = queue.and_then(|queue| allow.contain_queue(filter, queue));
        by_queue.unwrap_or_else(|| allow.contain(filter))
    }

    fn denies_member(&self, filter: &[u8], queue: Option<&[u8]>) -> bool {
        let by_queue = queue.and_then(|queue| self.deny.contain_queue(filter, queue));
        by_queue == Some(true) || self.deny.contain(filter)
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
        let mut publish = publish;
        if let Some(form) = publish.queue_form() {
            return Err(PermissionsError::Queue(form));
        }
        if responses.is_some() {
            publish.allow.get_or_insert_default();
        }
        Ok(Permissions { publish: Arc::new(publish), subscribe: Arc::new(subscribe), responses })
    }

    /// Whether a message may be published here, answers aside (see [`super::ResponseGrants`]).
    pub fn may_publish(&self, subject: &[u8]) -> bool {
        let rules = &self.publish;
        let allowed = rules.allow.as_ref().is_none_or(|allow| allow.match_subject(subject));
        allowed && (!rules.deny.match_subject(subject) || rules.unless.match_subject(subject))
    }

    /// Whether this may be subscribed to. Where part of the filter is denied, the subscription is
    /// allowed and [`Permissions::checks_delivery`] is true of it.
    pub fn may_subscribe(&self, filter: &[u8], queue: Option<&[u8]>) -> bool {
        let rules = &self.subscribe;
        rules.allows_member(filter, queue)
            && !rules.denies_member(filter, queue)
            && !(rules.private_inboxes && inbox(filter) == Inbox::Others)
    }

    /// Whether each message for a subscription to `filter` must pass [`Permissions::may_receive`]:
    /// ask once when it subscribes, and keep the answer with the subscription.
    pub fn checks_delivery(&self, filter: &[u8]) -> bool {
        let rules = &self.subscribe;
        let hears_inboxes = rules.private_inboxes && inbox(filter) == Inbox::Within;
        hears_inboxes || (!matcher::is_literal(filter) && rules.deny.touch(filter))
    }

    /// Whether a message on `subject` may reach a subscription that [`Permissions::checks_delivery`]
    /// is true of.
    pub fn may_receive(&self, subject: &[u8]) -> bool {
        let rules = &self.subscribe;
        let private = rules.private_inboxes && subject.starts_with(INBOX);
        !private && !rules.deny.match_subject(subject)
    }

    /// Whether, and how far, messages that were received may be answered.
    pub fn allow_responses(&self) -> Option<AllowResponses> {
        self.responses
    }
}

const INBOX: &[u8] = b"_INBOX.";

/// What a filter has to do with inboxes.
#[derive(PartialEq, Eq)]
enum Inbox {
    /// Nothing.
    Apart,
    /// Below one inbox that it names.
    Own,
    /// Inboxes, whosever they are.
    Others,
    /// A wildcard that inboxes are part of.
    Within,
}

fn inbox(filter: &[u8]) -> Inbox {
    let mut tokens = filter.split(|byte| *byte == b'.');
    match (tokens.next(), tokens.next()) {
        (Some(b"_INBOX"), Some(b"*" | b">")) => Inbox::Others,
        (Some(b"_INBOX"), Some(_)) => Inbox::Own,
        (Some(b">"), _) | (Some(b"*"), Some(_)) => Inbox::Within,
        _ => Inbox::Apart,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: Option<&[&str]>, deny: &[&str]) -> SubjectRules {
        let rules = SubjectRules::all().deny(deny).unwrap();
        allow.map_or(rules.clone(), |allow| rules.allow(allow).unwrap())
    }

    fn check_publish(allow: Option<&[&str]>, deny: &[&str], yes: &[&str], no: &[&str]) {
        let permissions = Permissions::new(rules(allow, deny), SubjectRules::all(), None).unwrap();
        for (subjects, expected) in [(yes, true), (no, false)] {
            for subject in subjects {
                let found = permissions.may_publish(subject.as_bytes());
                assert_eq!(found, expected, "allow {allow:?} deny {deny:?}: {subject}");
            }
        }
    }

    #[test]
    fn publishing_is_allowed_and_denied_by_subject() {
        check_publish(None, &[], &["a", "a.b", "$SYS.x"], &[]);
        check_publish(Some(&[]), &[], &[], &["a", "a.b"]);
        check_publish(Some(&["a.>", "b", "c.*.d"]), &[], &["a.b", "b", "c.x.d"], &["a", "c.d"]);
        check_publish(Some(&["a.>"]), &["a.b.>"], &["a.b", "a.c.d"], &["a.b.c", "z"]);
        check_publish(None, &["a.*"], &["a", "a.b.c"], &["a.b"]);
    }

    #[test]
    fn answers_alone_are_allowed_where_nothing_else_is_said() {
        let all = SubjectRules::all;
        let answers = Some(AllowResponses::default());
        let alone = Permissions::new(all(), all(), answers).unwrap();
        assert!(!alone.may_publish(b"a"));
        let more = Permissions::new(rules(Some(&["a"]), &[]), all(), answers).unwrap();
        assert!(more.may_publish(b"a") && !more.may_publish(b"b"));
    }

    #[test]
    fn a_queue_group_has_no_place_in_publishing() {
        let error = Permissions::new(rules(Some(&["a q"]), &[]), SubjectRules::all(), None);
        assert_eq!(error, Err(PermissionsError::Queue("a q".into())));
    }

    /// `asked` is `filter` or `filter queue`.
    fn check_subscribe(allow: Option<&[&str]>, deny: &[&str], yes: &[&str], no: &[&str]) {
        let permissions = Permissions::new(SubjectRules::all(), rules(allow, deny), None).unwrap();
        for (asked, expected) in [(yes, true), (no, false)] {
            for asked in asked {
                let (filter, queue) = match asked.split_once(' ') {
                    Some((filter, queue)) => (filter, Some(queue.as_bytes())),
                    None => (*asked, None),
                };
                let found = permissions.may_subscribe(filter.as_bytes(), queue);
                assert_eq!(found, expected, "allow {allow:?} deny {deny:?}: {asked}");
            }
        }
    }

    #[test]
    fn subscribing_is_allowed_where_all_of_the_filter_is() {
        check_subscribe(None, &[], &["a", ">", "a q"], &[]);
        check_subscribe(Some(&["a.*"]), &[], &["a.b", "a.*", "a.b q"], &["a.>", ">", "a", "*.b"]);
        check_subscribe(None, &["a.>"], &["a", ">", "*.b"], &["a.b", "a.*", "a.>", "a.b q"]);
        check_subscribe(Some(&["a.>"]), &["a.b"], &["a.c", "a.*"], &["a.b"]);
    }

    #[test]
    fn queue_groups_have_rules_of_their_own() {
        check_subscribe(
            Some(&["foo v1", "foo v1.>", "foo *.dev"]),
            &[],
            &["foo v1", "foo v1.prod", "foo x.dev"],
            &["foo", "foo v2", "foo a.b.dev"],
        );
        check_subscribe(Some(&["foo"]), &["foo bar"], &["foo", "foo baz"], &["foo bar"]);
        check_subscribe(None, &["foo *.prod"], &["foo", "foo v1.dev"], &["foo v1.prod"]);
        check_subscribe(Some(&["foo", "foo q"]), &[], &["foo", "foo q"], &["foo z"]);
    }

    #[test]
    fn a_denial_inside_of_a_wildcard_is_checked_at_delivery() {
        let subscribe = rules(None, &["a.secret", "b.>"]);
        let permissions = Permissions::new(SubjectRules::all(), subscribe, None).unwrap();
        for (filter, expected) in
            [("a.*", true), (">", true), ("*.x", true), ("a.open", false), ("c.>", false)]
        {
            assert!(permissions.may_subscribe(filter.as_bytes(), None), "{filter}");
            assert_eq!(permissions.checks_delivery(filter.as_bytes()), expected, "{filter}");
        }
        assert!(permissions.may_receive(b"a.open"));
        assert!(!permissions.may_receive(b"a.secret") && !permissions.may_receive(b"b.x.y"));
    }
}
