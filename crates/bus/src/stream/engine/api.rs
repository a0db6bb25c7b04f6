//! Where a message on `$JS.API.>` goes: pull requests here, all else to the facade.

use super::Engine;
use crate::{broker::Message, jetstream};

const PULL: &[u8] = b"$JS.API.CONSUMER.MSG.NEXT.";

impl Engine {
    /// A request of JetStream's API.
    pub(super) fn api(&mut self, message: &Message<'_>) {
        if let Some(names) = message.subject.strip_prefix(PULL) {
            let mut tokens = names.splitn(2, |byte| *byte == b'.');
            if let (Some(stream), Some(consumer)) = (tokens.next(), tokens.next()) {
                self.pull(stream, consumer, message);
            }
            return;
        }
        // It sees what was published before it, and what comes after it sees what it did.
        self.settle();
        self.api_calls += 1;
        let Some(reply) = message.reply else { return };
        if let Some(answer) = jetstream::answer(self, message.subject, message.body) {
            self.api_errors += u64::from(answer.failed);
            self.follow_interest();
            self.out.push(reply, None, None, &answer.headers, &answer.body, false);
        }
    }

    /// As [`Engine::api`], asked by the domain's name.
    pub(super) fn domain_api(&mut self, message: &Message<'_>) {
        let domain = self.catalogue.domain().unwrap_or_default().len();
        let Some(call) = message.subject.get(b"$JS.".len() + domain..) else { return };
        let subject = [b"$JS", call].concat();
        self.api(&Message { subject: &subject, ..*message });
    }

    /// Requests of JetStream's API so far, and those answered with an error.
    pub(crate) fn api_counts(&self) -> (u64, u64) {
        (self.api_calls, self.api_errors)
    }
}
