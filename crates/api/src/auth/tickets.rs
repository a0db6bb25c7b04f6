//! Tickets: open one stream where neither a cookie nor a header can go. Good once, for a minute.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use model::{Ambient, Timestamp};
use store::TokenHash;

use super::{Principal, hash_token, new_session_token};

/// How long a ticket is good.
pub(crate) const LIFETIME: Duration = Duration::from_secs(60);
/// Tickets that wait at once; beyond, none are made until some expire.
const MAX_WAITING: usize = 10_000;

/// The tickets that wait to be used. They are few and short-lived, so memory is their place.
pub(crate) struct Tickets {
    ambient: Ambient,
    waiting: Mutex<HashMap<TokenHash, (Principal, Timestamp)>>,
}

impl Tickets {
    pub(crate) fn new(ambient: Ambient) -> Self {
        Self { ambient, waiting: Mutex::default() }
    }

    /// Makes a ticket that stands for `principal`; `None` where too many wait.
    pub(crate) fn issue(&self, principal: Principal) -> Option<(String, Timestamp)> {
        let (now, ticket) = (self.ambient.now(), new_session_token(&self.ambient));
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MAX_WAITING {
            waiting.retain(|_, (_, until)| *until > now);
        }
        if waiting.len() >= MAX_WAITING {
            return None;
        }
        let until = now.plus(LIFETIME);
        waiting.insert(hash_token(&ticket), (principal, until));
        Some((ticket, until))
    }

    /// Uses a ticket up.
    pub(crate) fn redeem(&self, ticket: &str) -> Option<Principal> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (principal, until) = waiting.remove(&hash_token(ticket))?;
        (until > self.ambient.now()).then_some(principal)
    }
}

#[cfg(test)]
mod tests {
    use model::Role;

    use super::*;
    use crate::auth::Proof;

    #[test]
    fn a_ticket_is_good_once_for_a_minute() {
        let ambient = Ambient::seeded(1, Timestamp::from_micros(0));
        let tickets = Tickets::new(ambient.clone());
        let principal = Principal {
            user_id: None,
            name: "ada".into(),
            role: Role::Viewer,
            proof: Proof::Local(1000),
            until: None,
        };
        let (first, _) = tickets.issue(principal.clone()).unwrap();
        assert!(tickets.redeem("something else").is_none());
        assert!(tickets.redeem(&first).is_some());
        assert!(tickets.redeem(&first).is_none());
        let (late, _) = tickets.issue(principal).unwrap();
        ambient.advance(LIFETIME);
        assert!(tickets.redeem(&late).is_none());
    }
}
