//! Who waits for what on one connection: subscriptions by number, requests by the end of their
//! reply subject. Plain state behind the client's lock; no sockets.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Message, inbox::Inbox};

/// The subscription that all answers to requests come to.
pub(super) const ANSWERS: u64 = 0;

/// Errors of the server that are kept until somebody asks.
const KEPT_ERRORS: usize = 16;

/// What came of a request.
pub(super) type Answer = Result<Message, String>;

#[derive(Default, Debug)]
pub(super) struct Routes {
    last_number: u64,
    subscriptions: HashMap<u64, Entry, foldhash::fast::RandomState>,
    requests: HashMap<u64, Pending, foldhash::fast::RandomState>,
    answers: Answers,
    errors: VecDeque<String>,
    ended: bool,
}

#[derive(Debug)]
struct Entry {
    inbox: Arc<Inbox>,
    filter: Bytes,
    delivered: u64,
    /// Messages after which it ends.
    max: Option<u64>,
    state: EntryState,
}

/// How far a subscription is.
#[derive(Debug)]
enum EntryState {
    /// Sent; the server has said nothing against it yet.
    Asked,
    /// The server has it.
    Made,
    /// The server refused it, with this text.
    Refused(String),
}

/// How far the subscription is that answers come by.
#[derive(Default, Debug)]
enum Answers {
    /// No request was made yet.
    #[default]
    Unasked,
    /// With this filter; the server has said nothing against it yet.
    Asked(Bytes),
    /// The server refused it, with this text.
    Refused(String),
}

#[derive(Debug)]
struct Pending {
    subject: Bytes,
    answer: oneshot::Sender<Answer>,
}

impl Routes {
    /// A number that no subscription and no request of this connection had before.
    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Whether the connection is over, so that nothing may be added.
    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    pub(super) fn add(&mut self, number: u64, filter: Bytes, inbox: Arc<Inbox>) {
        let entry = Entry { inbox, filter, delivered: 0, max: None, state: EntryState::Asked };
        self.subscriptions.insert(number, entry);
    }

    /// The server answered what was sent after the subscription: it has it, or refused it.
    pub(super) fn confirm(&mut self, number: u64) -> Result<(), String> {
        let Some(entry) = self.subscriptions.get_mut(&number) else {
            return Ok(());
        };
        match std::mem::replace(&mut entry.state, EntryState::Made) {
            EntryState::Asked | EntryState::Made => Ok(()),
            EntryState::Refused(text) => {
                self.subscriptions.remove(&number);
                Err(text)
            }
        }
    }

    pub(super) fn remove(&mut self, number: u64) -> bool {
        self.subscriptions.remove(&number).is_some()
    }

    /// Ends a subscription after `max` messages in all; at once where it has had them.
    pub(super) fn limit(&mut self, number: u64, max: u64) {
        if let Some(entry) = self.subscriptions.get_mut(&number) {
            entry.max = Some(max);
            if entry.delivered >= max {
                entry.inbox.end();
                self.subscriptions.remove(&number);
            }
        }
    }

    /// The subscription that answers come by is asked for with this filter.
    pub(super) fn ask_for_answers(&mut self, filter: Bytes) {
        self.answers = Answers::Asked(filter);
    }

    /// The number of a request and who hears its answer; the server's text where it lets no answers
    /// come.
    pub(super) fn expect_answer(
        &mut self,
        subject: Bytes,
    ) -> Result<(u64, oneshot::Receiver<Answer>), String> {
        if let Answers::Refused(text) = &self.answers {
            return Err(text.clone());
        }
        let (answer, waited) = oneshot::channel();
        let number = self.next_number();
        self.requests.insert(number, Pending { subject, answer });
        Ok((number, waited))
    }

    pub(super) fn forget_answer(&mut self, number: u64) {
        self.requests.remove(&number);
    }

    pub(super) fn deliver(&mut self, message: Message) {
        let number = message.subscription;
        if number == ANSWERS {
            return self.answer(message);
        }
        // What comes after an unsubscribe was under way already.
        let Some(entry) = self.subscriptions.get_mut(&number) else {
            return;
        };
        entry.delivered += 1;
        entry.inbox.push(message);
        if entry.max.is_some_and(|max| entry.delivered >= max) {
            entry.inbox.end();
            self.subscriptions.remove(&number);
        }
    }

    fn answer(&mut self, message: Message) {
        let end = message.subject.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
        let pending = number(end).and_then(|number| self.requests.remove(&number));
        if let Some(pending) = pending {
            // Fails only where the caller has gone.
            let _ = pending.answer.send(Ok(message));
        }
    }

    /// The server complains: tells those whom it concerns, and keeps the text.
    pub(super) fn complain(&mut self, text: &str) {
        if let Some(filter) = quoted(text, "Permissions Violation for Subscription to ") {
            self.refuse(text, |entry| entry.filter == filter.as_bytes());
            self.refuse_answers(text, filter.as_bytes());
        } else if text.starts_with("maximum subscriptions exceeded") {
            self.refuse(text, |_| true);
        } else if let Some(subject) = quoted(text, "Permissions Violation for Publish to ") {
            self.fail_requests(text, |pending| pending.subject == subject.as_bytes());
        }
        if self.errors.len() == KEPT_ERRORS {
            self.errors.pop_front();
        }
        self.errors.push_back(text.to_owned());
    }

    fn refuse(&mut self, text: &str, concerned: impl Fn(&Entry) -> bool) {
        for entry in self.subscriptions.values_mut().filter(|entry| concerned(entry)) {
            if matches!(entry.state, EntryState::Asked) {
                entry.state = EntryState::Refused(text.to_owned());
            }
        }
    }

    /// Where it is the answers' filter: no request has an answer any more.
    fn refuse_answers(&mut self, text: &str, filter: &[u8]) {
        if matches!(&self.answers, Answers::Asked(asked) if asked == filter) {
            self.answers = Answers::Refused(text.to_owned());
            self.fail_requests(text, |_| true);
        }
    }

    fn fail_requests(&mut self, text: &str, concerned: impl Fn(&Pending) -> bool) {
        let concerned = self.requests.extract_if(|_, pending| concerned(pending));
        for (_, pending) in concerned {
            let _ = pending.answer.send(Err(text.to_owned()));
        }
    }

    pub(super) fn take_errors(&mut self) -> Vec<String> {
        self.errors.drain(..).collect()
    }

    pub(super) fn last_error(&self) -> Option<&String> {
        self.errors.back()
    }

    /// The connection is over: nobody gets anything any more.
    pub(super) fn end(&mut self) {
        self.ended = true;
        self.requests.clear();
        for entry in self.subscriptions.drain() {
            entry.1.inbox.end();
        }
    }
}

/// What stands in the first double quotes after `prefix`.
fn quoted<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.strip_prefix(prefix)?.strip_prefix('"')?.split('"').next()
}

/// A number in decimal, as we write them.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}
