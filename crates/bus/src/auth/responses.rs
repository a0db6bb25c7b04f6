//! What may be published as an answer, because a message asked for it.

use std::time::Instant;

use super::AllowResponses;

/// How many answers one connection may owe at a time. The oldest is forgotten first.
pub const MAX_GRANTS: usize = 4096;

/// The answers that one connection may give. Pure: `now` is handed in.
#[derive(Debug)]
pub struct ResponseGrants {
    rule: AllowResponses,
}

impl ResponseGrants {
    /// Nothing is owed yet.
    pub fn new(rule: AllowResponses) -> ResponseGrants {
        ResponseGrants { rule }
    }

    /// A message with this reply subject was delivered to the connection.
    pub fn note(&mut self, reply: &[u8], now: Instant) {
        let _ = (reply, now, self.rule);
        unimplemented!()
    }

    /// Whether the connection may publish to `subject` as an answer; if so it is counted.
    pub fn take(&mut self, subject: &[u8], now: Instant) -> bool {
        let _ = (subject, now);
        unimplemented!()
    }
}
