//! In-process clients: the half that others hold.
//!
//! Commands go in by the broker's queue; deliveries come out through the client's own
//! [`LocalSink`], called on the I/O thread. Owns no state but the queue; subscriptions live with
//! the I/O thread.

use std::sync::Arc;

use super::{
    batch::{Batch, Outgoing, OutgoingBatch},
    command::{Command, CommandQueue},
};

/// Where an in-process client gets its messages. Called on the I/O thread: it must not block,
/// only hand over.
pub trait LocalSink: Send {
    /// The messages of one tick.
    fn deliver(&mut self, batch: Batch);

    /// Nobody got a message that was published with `track`; its reply subject, or where it has
    /// none, its route.
    fn undeliverable(&mut self, _reply: &[u8]) {}
}

/// How an in-process client is set up.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// What it is called in [`BrokerStats`](super::BrokerStats).
    pub name: String,
    /// Whether it hears what it publishes itself.
    pub echo: bool,
    /// Whether it may answer. Whoever only listens is nobody to a request: where nobody else gets
    /// it, the asker hears 503 at once instead of waiting in vain.
    pub answers: bool,
    /// Bytes that it may have got and not dropped; beyond, messages are not delivered to it, are
    /// counted, and those with a reply subject count as having found nobody. None: as in
    /// [`Limits::max_pending_local`](super::Limits::max_pending_local).
    pub max_pending: Option<usize>,
}

impl LocalOptions {
    /// A client that hears itself and may answer.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.into(), echo: true, answers: true, max_pending: None }
    }
}

/// An in-process client. Its subscriptions end with its last clone, or with
/// [`LocalClient::close`]. Nothing here blocks for longer than a short lock.
#[derive(Debug, Clone)]
pub struct LocalClient {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    id: u64,
    queue: Arc<CommandQueue>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.queue.push(Command::CloseLocal { id: self.id });
    }
}

impl LocalClient {
    pub(super) fn new(id: u64, queue: Arc<CommandQueue>) -> Self {
        Self { held: Arc::new(Held { id, queue }) }
    }

    /// The id in [`Origin::Local`](super::Origin::Local).
    #[must_use]
    pub fn id(&self) -> u64 {
        self.held.id
    }

    /// Publishes one message; one whose subjects are empty or have white space reaches nobody.
    /// False where it was dropped because the queue to the broker holds
    /// [`Limits::max_pending_local`](super::Limits::max_pending_local) bytes, or the broker ended.
    pub fn publish(&self, message: Outgoing) -> bool {
        let (id, bytes) = (self.held.id, message.bytes());
        self.held.queue.push_sized(Command::Publish { id, message }, bytes)
    }

    /// Publishes many messages; all or none of them get into the queue.
    pub fn publish_batch(&self, batch: OutgoingBatch) -> bool {
        let (id, bytes) = (self.held.id, batch.bytes());
        batch.is_empty() || self.held.queue.push_sized(Command::PublishBatch { id, batch }, bytes)
    }

    /// Subscribes; `sid` is the client's own number and comes back in
    /// [`Message::subscription`](super::Message::subscription). A number that is taken keeps its
    /// first subscription; a filter that is not valid subscribes to nothing. In force after
    /// [`LocalClient::flush`].
    pub fn subscribe(&self, sid: u64, filter: &[u8], queue: Option<&[u8]>) {
        let (filter, group) = (filter.into(), queue.map(Into::into));
        self.held.queue.push(Command::Subscribe { id: self.held.id, sid, filter, group });
    }

    /// Ends a subscription: now, or once it has got `max` messages in all.
    pub fn unsubscribe(&self, sid: u64, max: Option<u64>) {
        self.held.queue.push(Command::Unsubscribe { id: self.held.id, sid, max });
    }

    /// Returns once the broker has done all that was asked of it before; false where it ended.
    pub async fn flush(&self) -> bool {
        let (done, waited) = tokio::sync::oneshot::channel();
        self.held.queue.push(Command::Flush { done });
        waited.await.is_ok()
    }

    /// Subscriptions of all clients together, in-process ones too. Costs one atomic load.
    #[must_use]
    pub fn subscriptions_of_all(&self) -> usize {
        self.held.queue.subscriptions()
    }

    /// Whether any client on a socket subscribes to anything. Costs one atomic load.
    #[must_use]
    pub fn has_remote_interest(&self) -> bool {
        self.held.queue.has_remote_interest()
    }

    /// Ends all subscriptions; deliveries that are under way may still come. Twice is harmless.
    pub fn close(&self) {
        self.held.queue.push(Command::CloseLocal { id: self.held.id });
    }
}
