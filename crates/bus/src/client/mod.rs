//! A client of one NATS server, over a UNIX socket or TCP, with this crate's own codec.
//!
//! One task owns the socket; what callers send is put into one buffer and leaves in few writes.
//! What comes in waits in bounded inboxes; what does not fit is dropped and counted. A connection
//! lives once: when it is lost, everything on it ends and says so, and whoever wants another makes
//! one. Reconnecting is the work of [`Bus::connect`](crate::Bus::connect). TLS with the feature `tls`.
//!
//! ```no_run
//! use morgana_bus::client::{Client, Options};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect(Options::new("nats://127.0.0.1:4222".parse()?)).await?;
//! let mut orders = client.subscribe("orders.*", None).await?;
//! client.publish("orders.new", None, &[], b"42").await?;
//! if let Some(message) = orders.next().await {
//!     println!("{}: {} bytes", message.subject_text(), message.body.len());
//! }
//! client.close().await;
//! # Ok(())
//! # }
//! ```

mod address;
mod connection;
mod errors;
mod handshake;
mod inbox;
mod message;
mod outbound;
mod routes;
mod socket;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use model::Ambient;
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use address::{Address, AddressError, Credentials, DEFAULT_PORT, Scheme, ServerUrl};
pub use errors::{ClientError, Closed, ConnectError, RequestError};
pub use inbox::InboxLimits;
pub use message::Message;

use crate::{
    matcher,
    proto::{ServerInfo, write},
};
use connection::Connection;
pub(crate) use inbox::{Inbox, Received};
use outbound::Outbound;
use routes::{ANSWERS, Routes};

/// How long the server may take to confirm a subscription or a flush.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Status of an answer that says that nobody hears the request.
const NO_RESPONDERS: u16 = 503;

/// How to connect.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where, and as whom.
    pub server: ServerUrl,
    /// What the server shows this client as.
    pub name: String,
    /// Whether it hears what it publishes itself.
    pub echo: bool,
    /// Who must have signed the certificate of a server that speaks TLS (PEM); none: whom the
    /// system trusts.
    pub tls_roots: Option<PathBuf>,
    /// How long connecting and signing in may take together.
    pub timeout: Duration,
    /// Where reply subjects begin. A user who may not subscribe below `_INBOX` has another.
    pub inbox_prefix: String,
    /// What may wait for the reader of one subscription.
    pub inbox: InboxLimits,
    /// Where reply subjects get their random part from.
    pub ambient: Ambient,
}

impl Options {
    /// Two seconds, echo, the system's randomness.
    pub fn new(server: ServerUrl) -> Self {
        Self {
            server,
            name: "morgana".into(),
            echo: true,
            tls_roots: None,
            timeout: Duration::from_secs(2),
            inbox_prefix: "_INBOX".into(),
            inbox: InboxLimits::default(),
            ambient: Ambient::system(),
        }
    }
}

/// A connection to a server. Clones share it; when the last one is dropped, it is closed after what
/// waits was written.
#[derive(Clone, Debug)]
pub struct Client {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// Begins the reply subjects of all requests: `_INBOX.` and 22 characters.
    answers_at: String,
    answers_wanted: AtomicBool,
    inbox: InboxLimits,
    ambient: Ambient,
    inbox_prefix: String,
}

/// Between the callers and the connection's task.
#[derive(Debug)]
struct Shared {
    info: ServerInfo,
    outbound: Outbound,
    routes: Mutex<Routes>,
}

impl Shared {
    /// Held while a read's frames are handed on, never across anything that waits. Whoever holds
    /// it may take the outbound buffer's lock, never the other way round.
    fn routes(&self) -> MutexGuard<'_, Routes> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, why: Closed) {
        self.outbound.end(why);
        self.routes().end();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Client {
    /// Connects and signs in.
    ///
    /// # Errors
    /// Nobody there, no answer within the time limit, or the server refuses.
    pub async fn connect(options: Options) -> Result<Self, ConnectError> {
        let limit = options.timeout;
        let greeted = timeout(limit, handshake::connect(&options)).await.map_err(|_| {
            ConnectError::Timeout { address: options.server.address.clone(), limit }
        })??;
        let shared = Arc::new(Shared {
            info: greeted.info.clone(),
            outbound: Outbound::default(),
            routes: Mutex::default(),
        });
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(Connection::new(greeted, shared.clone(), stop.clone()).run());
        tasks.close();
        let held = Held {
            shared,
            stop,
            tasks,
            answers_at: fresh_inbox(&options.inbox_prefix, &options.ambient),
            answers_wanted: AtomicBool::new(false),
            inbox: options.inbox,
            ambient: options.ambient,
            inbox_prefix: options.inbox_prefix,
        };
        Ok(Self { held: Arc::new(held) })
    }

    /// What the server said of itself when we came.
    pub fn server_info(&self) -> &ServerInfo {
        &self.held.shared.info
    }

    /// A subject that nobody else uses, to get answers at.
    pub fn new_inbox(&self) -> String {
        fresh_inbox(&self.held.inbox_prefix, &self.held.ambient)
    }

    /// Publishes. Waits only while 1 MiB waits to be written already; returns before it is
    /// written. What the server thinks of it shows in [`Client::take_errors`] after a
    /// [`Client::flush`].
    ///
    /// # Errors
    /// A subject that would break the protocol, a message above the server's limit, a connection
    /// that is over.
    pub async fn publish(
        &self,
        subject: &str,
        reply: Option<&str>,
        headers: &[u8],
        body: &[u8],
    ) -> Result<(), ClientError> {
        published(subject)?;
        reply.map_or(Ok(()), published)?;
        let (bytes, max) = (headers.len() + body.len(), self.server_info().max_payload);
        if bytes > max {
            return Err(ClientError::TooLarge { bytes, max });
        }
        let reply = reply.map(str::as_bytes);
        let frame = |out: &mut Vec<u8>| write::pub_(out, subject.as_bytes(), reply, headers, body);
        Ok(self.held.shared.outbound.push_with_room(frame).await?)
    }

    /// Subscribes, alone or as a member of a queue group; returns once the server has it.
    ///
    /// # Errors
    /// A filter that servers refuse, a server that does not allow it, no answer within 5 s, a
    /// connection that is over.
    pub async fn subscribe(
        &self,
        filter: &str,
        group: Option<&str>,
    ) -> Result<Subscriber, ClientError> {
        let inbox = Arc::new(Inbox::new(self.held.inbox));
        let number = self.attach(filter, group, &inbox)?;
        // Made before the wait, so that a cancelled caller unsubscribes.
        let subscriber = Subscriber { client: self.clone(), inbox, number };
        self.confirm(number).await?;
        Ok(subscriber)
    }

    /// Sends a subscription whose messages come to `inbox`; the server has it after
    /// [`Client::confirm`].
    pub(crate) fn attach(
        &self,
        filter: &str,
        group: Option<&str>,
        inbox: &Arc<Inbox>,
    ) -> Result<u64, ClientError> {
        let plain = group.is_none_or(|group| is_word(group.as_bytes()));
        if !plain || !is_word(filter.as_bytes()) || !matcher::valid_filter(filter.as_bytes()) {
            return Err(ClientError::Subject(filter.to_owned()));
        }
        let shared = &self.held.shared;
        let mut routes = shared.routes();
        if routes.is_ended() {
            return Err(self.closed().into());
        }
        let number = routes.next_number();
        routes.add(number, Bytes::copy_from_slice(filter.as_bytes()), inbox.clone());
        drop(routes);
        let (group, sid) = (group.map(str::as_bytes), number.to_string());
        shared.outbound.push(|out| write::sub(out, filter.as_bytes(), group, sid.as_bytes()))?;
        Ok(number)
    }

    /// Waits until the server has a subscription, or has refused it.
    pub(crate) async fn confirm(&self, number: u64) -> Result<(), ClientError> {
        self.flush().await?;
        self.held.shared.routes().confirm(number).map_err(ClientError::Refused)
    }

    /// Ends a subscription. Harmless where it has ended.
    pub(crate) fn detach(&self, number: u64) {
        if self.held.shared.routes().remove(number) {
            let sid = number.to_string();
            // Fails only where the connection is over, and the subscription with it.
            let _ = self.held.shared.outbound.push(|out| write::unsub(out, sid.as_bytes(), None));
        }
    }

    /// Publishes with a reply subject and waits for the first answer.
    ///
    /// # Errors
    /// Nobody hears it, the user may not hear answers, no answer within `limit`, or as [`Client::publish`].
    pub async fn request(
        &self,
        subject: &str,
        headers: &[u8],
        body: &[u8],
        limit: Duration,
    ) -> Result<Message, RequestError> {
        self.want_answers()?;
        let name = Bytes::copy_from_slice(subject.as_bytes());
        let expected = self.held.shared.routes().expect_answer(name);
        let (number, answer) = expected.map_err(ClientError::Refused)?;
        let _forgotten = Forgotten { client: self, number };
        let reply = format!("{}.{number}", self.held.answers_at);
        self.publish(subject, Some(&reply), headers, body).await?;
        let no_answer = || RequestError::Timeout { subject: subject.to_owned(), limit };
        match timeout(limit, answer).await.map_err(|_| no_answer())? {
            Ok(Ok(message)) if is_no_responders(&message) => {
                Err(RequestError::NoResponders(subject.to_owned()))
            }
            Ok(Ok(message)) => Ok(message),
            Ok(Err(text)) => Err(ClientError::Refused(text).into()),
            Err(_) => Err(ClientError::from(self.closed()).into()),
        }
    }

    /// Subscribes to the answers of requests when the first one is made.
    fn want_answers(&self) -> Result<(), ClientError> {
        if self.held.answers_wanted.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let filter = format!("{}.*", self.held.answers_at);
        let sid = ANSWERS.to_string();
        self.held.shared.routes().ask_for_answers(filter.clone().into());
        let frame = |out: &mut Vec<u8>| write::sub(out, filter.as_bytes(), None, sid.as_bytes());
        Ok(self.held.shared.outbound.push(frame)?)
    }

    /// Returns once the server has handled everything that was sent before.
    ///
    /// # Errors
    /// No answer within 5 s, or a connection that is over.
    pub async fn flush(&self) -> Result<(), ClientError> {
        let answered = self.held.shared.outbound.ping()?;
        match timeout(ANSWER_TIMEOUT, answered).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.closed().into()),
            Err(_) => Err(ClientError::Timeout(ANSWER_TIMEOUT)),
        }
    }

    /// What the server complained about since the last call, its last 16 texts.
    pub fn take_errors(&self) -> Vec<String> {
        self.held.shared.routes().take_errors()
    }

    /// How the connection ended; `None` while it has not.
    pub fn why_closed(&self) -> Option<Closed> {
        self.held.shared.outbound.why_closed()
    }

    /// Returns once the connection is over.
    pub async fn closed_by_anyone(&self) -> Closed {
        self.held.tasks.wait().await;
        self.closed()
    }

    fn closed(&self) -> Closed {
        self.why_closed().unwrap_or(Closed::Here)
    }

    /// Writes what waits (at most 2 s) and closes, for all clones. Again is harmless.
    pub async fn close(&self) {
        self.held.shared.outbound.close();
        self.held.stop.cancel();
        self.held.tasks.wait().await;
    }
}

/// Takes a request off the table, whichever way its caller goes.
struct Forgotten<'a> {
    client: &'a Client,
    number: u64,
}

impl Drop for Forgotten<'_> {
    fn drop(&mut self) {
        self.client.held.shared.routes().forget_answer(self.number);
    }
}

/// The messages of one subscription. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscriber {
    client: Client,
    inbox: Arc<Inbox>,
    number: u64,
}

impl Subscriber {
    /// The next message; `None` once the connection is over, or the limit of
    /// [`Subscriber::limit`] is reached.
    ///
    /// Cancel-safe: nothing is taken before the future is ready.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            match self.inbox.next().await? {
                Received::Message(message) => return Some(message),
                // Counted in `dropped`.
                Received::Lost { .. } => {}
            }
        }
    }

    /// Messages that this subscription lost because its inbox was full.
    pub fn dropped(&self) -> u64 {
        self.inbox.dropped()
    }

    /// Lets the subscription end after `max` messages in all, so that a member of a queue group
    /// takes no more than it wants.
    ///
    /// # Errors
    /// A connection that is over.
    pub fn limit(&self, max: u64) -> Result<(), ClientError> {
        let (shared, sid) = (&self.client.held.shared, self.number.to_string());
        shared.outbound.push(|out| write::unsub(out, sid.as_bytes(), Some(max)))?;
        shared.routes().limit(self.number, max);
        Ok(())
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.client.detach(self.number);
    }
}

fn is_no_responders(message: &Message) -> bool {
    message.body.is_empty() && message.status() == Some(NO_RESPONDERS)
}

/// Whether these bytes are one word on a control line.
fn is_word(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(|byte| *byte > b' ' && *byte != 0x7f)
}

fn published(subject: &str) -> Result<(), ClientError> {
    if is_word(subject.as_bytes()) && matcher::valid_literal(subject.as_bytes()) {
        Ok(())
    } else {
        Err(ClientError::Subject(subject.to_owned()))
    }
}

/// `{prefix}.` and 128 random bits.
fn fresh_inbox(prefix: &str, ambient: &Ambient) -> String {
    use base64::Engine;
    let random = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(ambient.bytes::<16>());
    format!("{prefix}.{random}")
}
