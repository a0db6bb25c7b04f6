//! A bus over our own client: UNIX socket or TCP.

use std::{collections::BTreeMap, io, sync::Arc};

use model::{Ambient, JournalEntry, SubjectFilter};

use super::wire;
use crate::{
    BoxFuture, Connection, Connector, Incoming, LinkError, SubscriptionId,
    client::{Client, ClientError, Inbox, InboxLimits, Message, Options, Received, ServerUrl},
};

/// Makes connections with [`Client`].
#[derive(Debug)]
pub struct ClientConnector {
    options: Options,
}

impl ClientConnector {
    /// To a server, which shows this client as `name`.
    pub fn new(server: ServerUrl, name: &str, ambient: Ambient) -> Self {
        Self { options: Options { name: name.into(), ambient, ..Options::new(server) } }
    }
}

impl Connector for ClientConnector {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, LinkError>> {
        Box::pin(async {
            let client = Client::connect(self.options.clone()).await.map_err(failed)?;
            let inbox = Arc::new(Inbox::new(InboxLimits::default()));
            let numbers = BTreeMap::new();
            let ids = BTreeMap::new();
            Ok(Box::new(ClientConnection { client, inbox, numbers, ids }) as Box<dyn Connection>)
        })
    }
}

/// One connection; its subscriptions share an inbox.
struct ClientConnection {
    client: Client,
    inbox: Arc<Inbox>,
    numbers: BTreeMap<SubscriptionId, u64>,
    ids: BTreeMap<u64, SubscriptionId>,
}

impl ClientConnection {
    fn event(&self, message: &Message) -> Incoming {
        let Some(&subscription) = self.ids.get(&message.subscription) else {
            return Incoming::Rejected;
        };
        match wire::decode(&message.subject, &message.body) {
            Ok(entry) => Incoming::Event { subscription, entry: Arc::new(entry) },
            Err(rejected) => {
                rejected.log(&message.subject);
                Incoming::Rejected
            }
        }
    }

    async fn next(&self) -> Result<Incoming, LinkError> {
        loop {
            // Cancel-safe: neither takes anything before it is ready. In this order, so that what
            // came before the end is handed out.
            let received = tokio::select! {
                biased;
                received = self.inbox.next() => received,
                _ = self.client.closed_by_anyone() => None,
            };
            let ended = || self.client.why_closed().map_or(LinkError::Ended, failed);
            match received.ok_or_else(ended)? {
                Received::Message(message) if !wire::may_carry_events(&message.subject) => {}
                Received::Message(message) => return Ok(self.event(&message)),
                Received::Lost { subscription, missed } => {
                    if let Some(&subscription) = self.ids.get(&subscription) {
                        return Ok(Incoming::Lost { subscription, missed: Some(missed) });
                    }
                }
            }
        }
    }
}

impl Connection for ClientConnection {
    fn publish<'a>(&'a mut self, entry: &'a JournalEntry) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(async {
            let body = wire::encode(entry);
            self.client.publish(entry.topic.as_str(), None, &[], &body).await.map_err(answered)
        })
    }

    fn subscribe<'a>(
        &'a mut self,
        id: SubscriptionId,
        filter: &'a SubjectFilter,
    ) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(async move {
            let made = self.client.attach(filter.as_str(), None, &self.inbox);
            let number = made.map_err(answered)?;
            // Before the confirmation: messages may come with it.
            self.numbers.insert(id, number);
            self.ids.insert(number, id);
            self.client.confirm(number).await.map_err(answered)
        })
    }

    fn unsubscribe(&mut self, id: SubscriptionId) -> BoxFuture<'_, Result<(), LinkError>> {
        if let Some(number) = self.numbers.remove(&id) {
            self.client.detach(number);
            self.ids.remove(&number);
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn receive(&mut self) -> BoxFuture<'_, Result<Incoming, LinkError>> {
        Box::pin(self.next())
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), LinkError>> {
        Box::pin(async {
            self.client.close().await;
            Ok(())
        })
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> LinkError {
    LinkError::Transport(io::Error::other(error))
}

/// What the server or the client refuses concerns one thing; all else concerns the connection.
fn answered(error: ClientError) -> LinkError {
    match error {
        ClientError::Refused(_) | ClientError::TooLarge { .. } | ClientError::Subject(_) => {
            LinkError::Refused(error.to_string())
        }
        ClientError::Closed(_) | ClientError::Timeout(_) => failed(error),
    }
}
