//! What waits for whoever reads a subscription: bounded in messages and in bytes, with its losses
//! in their place.
//!
//! Owns the queue between the connection's task and one reader. It refuses to know the wire.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::Message;

/// How much may wait in an inbox. Beyond, the newest messages are dropped and counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InboxLimits {
    /// Messages.
    pub messages: usize,
    /// Bytes of their parts together.
    pub bytes: usize,
}

impl Default for InboxLimits {
    fn default() -> Self {
        Self { messages: 65_536, bytes: 64 << 20 }
    }
}

/// What an inbox hands out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Received {
    Message(Message),
    /// So many messages of a subscription were dropped here.
    Lost {
        subscription: u64,
        missed: u64,
    },
}

/// A queue with one reader; the connection's task fills it.
#[derive(Debug)]
pub(crate) struct Inbox {
    limits: InboxLimits,
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Default, Debug)]
struct Waiting {
    items: VecDeque<Received>,
    messages: usize,
    bytes: usize,
    /// Dropped after the last item, by subscription.
    lost: BTreeMap<u64, u64>,
    dropped: u64,
    ended: bool,
}

impl Inbox {
    pub(crate) fn new(limits: InboxLimits) -> Self {
        Self { limits, waiting: Mutex::default(), changed: Notify::new() }
    }

    /// Held for a few instructions only, never across anything that waits.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, message: Message) {
        let mut waiting = self.waiting();
        if waiting.ended {
            return;
        }
        let bytes = waiting.bytes + message.bytes();
        if waiting.messages >= self.limits.messages
            || (bytes > self.limits.bytes && waiting.messages > 0)
        {
            *waiting.lost.entry(message.subscription).or_default() += 1;
            waiting.dropped += 1;
        } else {
            waiting.report_losses();
            waiting.messages += 1;
            waiting.bytes = bytes;
            waiting.items.push_back(Received::Message(message));
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// No more messages; what waits stays readable.
    pub(crate) fn end(&self) {
        self.waiting().ended = true;
        self.changed.notify_one();
    }

    /// Messages dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.waiting().dropped
    }

    /// The next; `None` after the end. Cancel-safe: nothing is taken before the future is ready.
    pub(crate) async fn next(&self) -> Option<Received> {
        loop {
            {
                let mut waiting = self.waiting();
                if let Some(next) = waiting.take() {
                    return Some(next);
                }
                if waiting.ended {
                    return None;
                }
            }
            // Notify keeps one permit, so a change after the look is not missed. One reader.
            self.changed.notified().await;
        }
    }
}

impl Waiting {
    /// Puts the losses since the last item into the queue: at most one item a subscription, so
    /// the queue stays bounded.
    fn report_losses(&mut self) {
        let lost = std::mem::take(&mut self.lost);
        self.items.extend(
            lost.into_iter().map(|(subscription, missed)| Received::Lost { subscription, missed }),
        );
    }

    fn take(&mut self) -> Option<Received> {
        if self.items.is_empty() {
            self.report_losses();
        }
        let next = self.items.pop_front()?;
        if let Received::Message(message) = &next {
            self.messages -= 1;
            self.bytes -= message.bytes();
        }
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(subscription: u64, body: &str) -> Message {
        Message::new(subscription, b"s", None, 0, body.as_bytes())
    }

    /// `a` publishes it for subscription 1, `2:a` for 2, `<` reads one.
    async fn check(limits: InboxLimits, steps: &str, expected: &str) {
        let (inbox, mut seen) = (Inbox::new(limits), vec![]);
        let show = |received| match received {
            Received::Message(message) => String::from_utf8(message.body.to_vec()).unwrap(),
            Received::Lost { subscription, missed } => format!("-{missed}@{subscription}"),
        };
        for step in steps.split(' ') {
            match step.split_once(':') {
                _ if step == "<" => seen.extend(inbox.next().await.map(show)),
                Some((subscription, body)) => {
                    inbox.push(message(subscription.parse().unwrap(), body));
                }
                None => inbox.push(message(1, step)),
            }
        }
        inbox.end();
        while let Some(received) = inbox.next().await {
            seen.push(show(received));
        }
        assert_eq!(seen.join(" "), expected, "{steps}");
    }

    #[tokio::test]
    async fn what_does_not_fit_is_reported_where_it_was() {
        let two = InboxLimits { messages: 2, bytes: 1 << 20 };
        check(two, "a b", "a b").await;
        check(two, "a b c d", "a b -2@1").await;
        check(two, "a b c < d e", "a b -1@1 d -1@1").await;
        check(two, "a b 2:c d < 2:e", "a b -1@1 -1@2 e").await;
        let small = InboxLimits { messages: 9, bytes: 8 };
        check(small, "abc def ghi", "abc def -1@1").await;
        check(small, "larger-than-all x", "larger-than-all -1@1").await;
    }

    #[tokio::test]
    async fn an_ended_inbox_takes_nothing() {
        let inbox = Inbox::new(InboxLimits::default());
        inbox.end();
        inbox.push(message(1, "late"));
        assert_eq!((inbox.next().await, inbox.dropped()), (None, 0));
    }
}
