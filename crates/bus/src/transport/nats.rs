//! A bus on a nats-server or a cluster of them, over async-nats: TLS, credentials files.
//!
//! async-nats reconnects by itself and silently; here a connection that was lost once is over, so
//! that subscribers hear of the gap.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, Once, PoisonError},
};

use async_nats::{ConnectOptions, Event, ServerError, Subscriber};
use futures_util::{Stream, StreamExt, stream::SelectAll};
use model::{JournalEntry, SubjectFilter};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::wire;
use crate::{
    BoxFuture, Connection, Connector, Incoming, LinkError, SubscriptionId,
    client::{Credentials, Scheme, ServerUrl},
};

/// Messages that wait for one subscription before async-nats drops further ones.
const SUBSCRIPTION_MESSAGES: usize = 65_536;

/// Refusals of the server that are kept until somebody looks.
const MAX_REFUSALS: usize = 1024;

/// Makes connections with async-nats.
#[derive(Debug)]
pub struct NatsConnector {
    server: ServerUrl,
    creds_file: Option<PathBuf>,
    name: String,
    warned: Once,
}

impl NatsConnector {
    /// To a server, which shows this client as `name`; with a `.creds` file (JWT and seed) where
    /// one is given.
    pub fn new(server: ServerUrl, creds_file: Option<PathBuf>, name: &str) -> Self {
        Self { server, creds_file, name: name.into(), warned: Once::new() }
    }

    /// Events name attackers and hold what they typed: in clear over a network, or to a server
    /// that lets anybody in, they are not ours alone.
    fn warn_where_open(&self) {
        let anonymous = self.server.credentials == Credentials::None && self.creds_file.is_none();
        let clear = self.server.scheme != Scheme::Tls;
        if !self.server.is_local() && (anonymous || clear) {
            self.warned.call_once(|| {
                let server = self.server.without_credentials();
                tracing::warn!(server, anonymous, clear, "bus without TLS or without credentials");
            });
        }
    }

    async fn options(
        &self,
        gone: &CancellationToken,
        refusals: &Arc<Refusals>,
    ) -> Result<ConnectOptions, LinkError> {
        let options = match &self.creds_file {
            Some(file) => {
                ConnectOptions::with_credentials_file(file).await.map_err(LinkError::Transport)?
            }
            None => ConnectOptions::new(),
        };
        let options = match self.server.credentials.clone() {
            Credentials::None => options,
            Credentials::Password { user, password } => options.user_and_password(user, password),
            Credentials::Token(token) => options.token(token),
            Credentials::Nkey(seed) => options.nkey(seed),
        };
        let (gone, refusals) = (gone.clone(), Arc::clone(refusals));
        Ok(options
            .name(&self.name)
            .require_tls(self.server.scheme == Scheme::Tls)
            .subscription_capacity(SUBSCRIPTION_MESSAGES)
            .max_reconnects(1)
            .event_callback(move |event| {
                notice(&event, &gone, &refusals);
                std::future::ready(())
            }))
    }

    async fn connected(&self) -> Result<NatsConnection, LinkError> {
        self.warn_where_open();
        let gone = CancellationToken::new();
        let refusals = Arc::new(Refusals::default());
        let options = self.options(&gone, &refusals).await?;
        let client = options.connect(self.server.without_credentials()).await.map_err(failed)?;
        let barrier = client.new_inbox();
        let back = client.subscribe(barrier.clone()).await.map_err(failed)?;
        let (incoming, stops) = (SelectAll::new(), BTreeMap::new());
        Ok(NatsConnection { client, gone, refusals, barrier, back, incoming, stops })
    }
}

/// After each of these, messages may be missing, and nobody can tell whose.
fn notice(event: &Event, gone: &CancellationToken, refusals: &Refusals) {
    match event {
        Event::Disconnected | Event::Closed | Event::SlowConsumer(_) => gone.cancel(),
        Event::Connected | Event::LameDuckMode | Event::Draining => {}
        Event::ServerError(ServerError::Other(text)) if refuses_subscription(text) => {
            refusals.add(text.clone());
        }
        Event::ServerError(_) | Event::ClientError(_) => {
            tracing::warn!(%event, "the NATS server complains");
        }
    }
}

/// Whether the server says that it does not make a subscription.
fn refuses_subscription(text: &str) -> bool {
    refused_filter(text).is_some() || too_many(text)
}

fn refused_filter(text: &str) -> Option<&str> {
    const REFUSED: &str = "permissions violation for subscription to \"";
    let rest = text.get(REFUSED.len()..)?;
    text[..REFUSED.len()].eq_ignore_ascii_case(REFUSED).then(|| rest.split('"').next())?
}

fn too_many(text: &str) -> bool {
    const TOO_MANY: &str = "maximum subscriptions exceeded";
    text.get(..TOO_MANY.len()).is_some_and(|text| text.eq_ignore_ascii_case(TOO_MANY))
}

/// What the server said against subscriptions. It comes by async-nats's task for events, so it may
/// come late: after the barrier behind the subscription.
#[derive(Debug, Default)]
struct Refusals {
    texts: Mutex<VecDeque<String>>,
    added: Notify,
}

impl Refusals {
    fn texts(&self) -> std::sync::MutexGuard<'_, VecDeque<String>> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, text: String) {
        let mut texts = self.texts();
        if texts.len() < MAX_REFUSALS {
            texts.push_back(text);
        }
        drop(texts);
        self.added.notify_one();
    }

    /// Takes out what was said against this filter, or against any.
    fn take(&self, filter: &str) -> Option<String> {
        let mut texts = self.texts();
        let concerns = |text: &String| too_many(text) || refused_filter(text) == Some(filter);
        let at = texts.iter().position(concerns)?;
        texts.remove(at)
    }

    /// Returns with one that nobody waits for any more. Cancel-safe: it stays.
    async fn late(&self) -> String {
        loop {
            if let Some(text) = self.texts().front() {
                return text.clone();
            }
            self.added.notified().await;
        }
    }
}

impl Connector for NatsConnector {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, LinkError>> {
        Box::pin(async {
            let connection = self.connected().await?;
            Ok(Box::new(connection) as Box<dyn Connection>)
        })
    }
}

type Messages = Pin<Box<dyn Stream<Item = (SubscriptionId, async_nats::Message)> + Send>>;

struct NatsConnection {
    client: async_nats::Client,
    gone: CancellationToken,
    refusals: Arc<Refusals>,
    /// A subject of our own: what was sent there and came back shows that the server has handled
    /// everything before it. `flush` of async-nats only writes.
    barrier: String,
    back: Subscriber,
    incoming: SelectAll<Messages>,
    stops: BTreeMap<SubscriptionId, CancellationToken>,
}

impl NatsConnection {
    /// Returns once the server has handled what was sent before.
    async fn pass_barrier(&mut self) -> Result<(), LinkError> {
        let sent = self.client.publish(self.barrier.clone(), "".into()).await;
        sent.map_err(failed)?;
        self.back.next().await.map(drop).ok_or(LinkError::Ended)
    }

    /// A subscription's messages, until it is stopped.
    fn listen(&mut self, id: SubscriptionId, subscriber: Subscriber) {
        let stop = CancellationToken::new();
        self.stops.insert(id, stop.clone());
        let messages = subscriber.map(move |message| (id, message));
        let messages = messages.take_until(stop.cancelled_owned());
        self.incoming.push(Box::pin(messages));
    }

    /// Its stream ends and is dropped, which unsubscribes.
    fn stop(&mut self, id: SubscriptionId) {
        if let Some(stop) = self.stops.remove(&id) {
            stop.cancel();
        }
    }

    async fn next(&mut self) -> Result<Incoming, LinkError> {
        loop {
            // Cancel-safe: a stream's `next` takes nothing before it is ready.
            let message = tokio::select! {
                () = self.gone.cancelled() => return Err(LinkError::Ended),
                // Too late to tell the subscriber: a new connection tells it in time, or again.
                text = self.refusals.late() => {
                    return Err(LinkError::Transport(io::Error::other(text)));
                }
                message = self.incoming.next(), if !self.incoming.is_empty() => message,
            };
            match message {
                Some((_, message)) if !wire::may_carry_events(message.subject.as_bytes()) => {}
                Some((subscription, message)) => return Ok(event(subscription, &message)),
                // The last subscription ended: nothing comes until there is another.
                None => {}
            }
        }
    }
}

fn event(subscription: SubscriptionId, message: &async_nats::Message) -> Incoming {
    let subject = message.subject.as_bytes();
    match wire::decode(subject, &message.payload) {
        Ok(entry) => Incoming::Event { subscription, entry: Arc::new(entry) },
        Err(rejected) => {
            rejected.log(subject);
            Incoming::Rejected
        }
    }
}

impl Connection for NatsConnection {
    fn publish<'a>(&'a mut self, entry: &'a JournalEntry) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(async {
            let (bytes, max) = (wire::encode(entry), self.client.server_info().max_payload);
            if bytes.len() > max {
                let reason = format!("{} bytes are above its limit of {max}", bytes.len());
                return Err(LinkError::Refused(reason));
            }
            let topic = entry.topic.as_str().to_owned();
            self.client.publish(topic, bytes.into()).await.map_err(failed)
        })
    }

    fn subscribe<'a>(
        &'a mut self,
        id: SubscriptionId,
        filter: &'a SubjectFilter,
    ) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(async move {
            let made = self.client.subscribe(filter.as_str().to_owned()).await;
            self.listen(id, made.map_err(failed)?);
            self.pass_barrier().await?;
            // What the server said before the barrier came in before it, but goes another way
            // here; by the time that another one is passed it has arrived.
            self.pass_barrier().await?;
            match self.refusals.take(filter.as_str()) {
                Some(text) => {
                    self.stop(id);
                    Err(LinkError::Refused(text))
                }
                None => Ok(()),
            }
        })
    }

    fn unsubscribe(&mut self, id: SubscriptionId) -> BoxFuture<'_, Result<(), LinkError>> {
        self.stop(id);
        Box::pin(std::future::ready(Ok(())))
    }

    fn receive(&mut self) -> BoxFuture<'_, Result<Incoming, LinkError>> {
        Box::pin(self.next())
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), LinkError>> {
        Box::pin(async {
            self.pass_barrier().await?;
            self.client.drain().await.map_err(failed)
        })
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> LinkError {
    LinkError::Transport(io::Error::other(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_find_their_filter() {
        let said = "Permissions Violation for Subscription to \"Topology.>\"";
        let in_group = "Permissions Violation for Subscription to \"a.b\" using queue \"q\"";
        let refusals = Refusals::default();
        for text in [said, in_group, "Maximum Subscriptions Exceeded"] {
            assert!(refuses_subscription(text), "{text}");
            refusals.add(text.to_owned());
        }
        assert!(!refuses_subscription("Permissions Violation for Publish to \"a\""));
        assert_eq!(refusals.take("Topology.>").as_deref(), Some(said));
        assert_eq!(refusals.take("a.b").as_deref(), Some(in_group));
        assert_eq!(refusals.take("any").as_deref(), Some("Maximum Subscriptions Exceeded"));
        assert_eq!(refusals.take("any"), None);
    }
}
