//! What may be published as an answer, because a message asked for it.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use super::AllowResponses;

/// How many answers one connection may owe at a time. The oldest is forgotten first.
pub const MAX_GRANTS: usize = 4096;

/// The answers that one connection may give. Pure: `now` is handed in.
#[derive(Debug)]
pub struct ResponseGrants {
    rule: AllowResponses,
    open: HashMap<Arc<[u8]>, Grant>,
    /// Oldest first; an entry whose number is not the grant's own was used up or renewed.
    order: VecDeque<(u64, Arc<[u8]>)>,
    next: u64,
}

#[derive(Debug)]
struct Grant {
    number: u64,
    left: Option<u32>,
    until: Option<Instant>,
}

impl ResponseGrants {
    /// Nothing is owed yet.
    pub fn new(rule: AllowResponses) -> ResponseGrants {
        ResponseGrants { rule, open: HashMap::new(), order: VecDeque::new(), next: 0 }
    }

    /// A message with this reply subject was delivered to the connection.
    pub fn note(&mut self, reply: &[u8], now: Instant) {
        let until = self.rule.expires.and_then(|time| now.checked_add(time));
        let grant = Grant { number: self.next, left: self.rule.max, until };
        let reply: Arc<[u8]> = reply.into();
        self.order.push_back((self.next, Arc::clone(&reply)));
        self.open.insert(reply, grant);
        self.next += 1;
        self.forget_oldest();
    }

    /// Whether the connection may publish to `subject` as an answer; if so it is counted.
    pub fn take(&mut self, subject: &[u8], now: Instant) -> bool {
        let Some(grant) = self.open.get_mut(subject) else { return false };
        let live = grant.until.is_none_or(|until| now <= until) && grant.left != Some(0);
        grant.left = grant.left.map(|left| left.saturating_sub(1));
        if !live || grant.left == Some(0) {
            self.open.remove(subject);
        }
        live
    }

    /// How many answers are owed.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is owed.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn forget_oldest(&mut self) {
        while self.order.len() > MAX_GRANTS {
            let Some((number, reply)) = self.order.pop_front() else { return };
            if self.open.get(&reply).is_some_and(|grant| grant.number == number) {
                self.open.remove(&reply);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn check(max: Option<u32>, expires: Option<u64>, answers: &[(u64, bool)]) {
        let rule = AllowResponses { max, expires: expires.map(Duration::from_secs) };
        let start = Instant::now();
        let mut grants = ResponseGrants::new(rule);
        assert!(!grants.take(b"_INBOX.1", start), "nothing was asked yet");
        grants.note(b"_INBOX.1", start);
        for (at, expected) in answers {
            let now = start + Duration::from_secs(*at);
            assert_eq!(grants.take(b"_INBOX.1", now), *expected, "{max:?} {expires:?} at {at}");
            assert!(!grants.take(b"_INBOX.2", now), "another subject");
        }
    }

    #[test]
    fn answers_are_counted_and_expire() {
        check(Some(1), Some(10), &[(0, true), (0, false)]);
        check(Some(3), Some(10), &[(0, true), (10, true), (11, false)]);
        check(Some(2), None, &[(9999, true), (9999, true), (9999, false)]);
        check(None, Some(10), &[(0, true), (1, true), (2, true), (11, false)]);
        check(None, None, &[(0, true), (99_999_999, true)]);
    }

    #[test]
    fn the_oldest_is_forgotten_and_a_renewed_one_is_not() {
        let now = Instant::now();
        let mut grants = ResponseGrants::new(AllowResponses::default());
        grants.note(b"first", now);
        grants.note(b"second", now);
        grants.note(b"first", now);
        for n in 0..MAX_GRANTS - 1 {
            grants.note(format!("r.{n}").as_bytes(), now);
        }
        assert!(grants.take(b"first", now), "noted again, so it is younger than the second");
        assert!(!grants.take(b"second", now), "forgotten");
        assert!(grants.len() <= MAX_GRANTS);
    }
}
