//! The stream on a NATS server, over async-nats.
//!
//! A connection that was lost once is over: what was under way is in doubt, so the next one
//! begins by asking. Nothing here waits longer than a few seconds.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{Client, ConnectOptions, Event, HeaderMap, ServerError, StatusCode, Subscriber};
use bus::client::{Credentials, Scheme, ServerUrl};
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    Message, Unreachable,
    jetstream::{self, ApiError, Request},
    link::{Answer, Kept, Place, headers},
    stream::{ACTIVITY_EVENTS, Choice, Found, choose},
};

/// What the server calls the connection.
const CONNECTION: &str = "morgana-activity-events";
/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// Longest wait for an answer of JetStream's API.
const REQUEST: Duration = Duration::from_secs(2);
/// Longest silence while acknowledgements are waited for.
const ACKNOWLEDGE: Duration = Duration::from_secs(5);
/// Longest wait for the connection's end.
const DRAIN: Duration = Duration::from_secs(1);

/// A connection, and the stream behind it.
pub(super) struct NatsLink {
    client: Client,
    place: Place,
    limit: usize,
    lost: CancellationToken,
    complaint: Complaint,
    /// Where acknowledgements come: the inbox, and what comes there.
    inbox: String,
    acks: Subscriber,
    /// The number of the next message under way.
    next: u64,
}

/// What the server last complained about: it answers nothing where something is not permitted.
#[derive(Clone, Default)]
struct Complaint(Arc<Mutex<Option<String>>>);

impl Complaint {
    fn note(&self, error: &ServerError) {
        let mut complaint = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *complaint = Some(error.to_string());
    }

    /// It, or else this.
    fn or(&self, otherwise: &str) -> Unreachable {
        let complaint = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Unreachable(match complaint {
            Some(complaint) => format!("the NATS server refuses: {complaint}"),
            None => otherwise.into(),
        })
    }
}

impl NatsLink {
    /// Connects, and finds the stream by its subjects or makes it.
    pub(super) async fn open(url: &str) -> Result<Self, Unreachable> {
        let (plain, creds) = split_creds(url);
        let server: ServerUrl =
            plain.parse().map_err(|error| Unreachable(format!("nats_url: {error}")))?;
        let (lost, complaint) = (CancellationToken::new(), Complaint::default());
        let options = options(&server, creds, &lost, &complaint).await?;
        let shown = server.without_credentials();
        let client = connect(options, &shown).await?;
        let inbox = client.new_inbox();
        let acks = client.subscribe(format!("{inbox}.*")).await.map_err(failed)?;
        let limit = client.server_info().max_payload;
        let (place, next) = (Place { server: shown, stream: String::new() }, 0);
        let mut link = Self { client, place, limit, lost, complaint, inbox, acks, next };
        link.find().await?;
        Ok(link)
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn is_gone(&self) -> bool {
        self.lost.is_cancelled()
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    async fn find(&mut self) -> Result<(), Unreachable> {
        let mut streams = Vec::new();
        for name in jetstream::listed(&self.done(jetstream::names()).await?) {
            streams.push(self.done(jetstream::info(&name)).await?);
        }
        let found: Vec<Found> = streams.iter().map(jetstream::found).collect();
        let stream = match choose(&found)? {
            Choice::Use(name) => streams.into_iter().find(|s| jetstream::found(s).name == name),
            Choice::Make => Some(self.make().await?),
        };
        let stream = stream.unwrap_or_default();
        self.place.stream = jetstream::found(&stream).name;
        self.limit = jetstream::largest(&stream).map_or(self.limit, |most| self.limit.min(most));
        Ok(())
    }

    async fn make(&self) -> Result<Value, Unreachable> {
        let made = self.ask(jetstream::create()).await?.map_err(|error| {
            Unreachable(format!("cannot make stream `{ACTIVITY_EVENTS}`: {error}"))
        })?;
        tracing::info!(stream.name = ACTIVITY_EVENTS, "stream made on the NATS server");
        Ok(made)
    }

    /// What JetStream answers.
    async fn ask(&self, (subject, body): Request) -> Result<Result<Value, ApiError>, Unreachable> {
        use async_nats::client::RequestErrorKind as Kind;
        let request =
            async_nats::Request::new().payload(body.to_string().into()).timeout(Some(REQUEST));
        match self.client.send_request(subject, request).await {
            Ok(message) => Ok(jetstream::answer(&message.payload)),
            Err(error) if error.kind() == Kind::NoResponders => Err(no_jetstream()),
            Err(error) if error.kind() == Kind::TimedOut => {
                Err(self.complaint.or("JetStream does not answer"))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// The same, where an error has no meaning of its own.
    async fn done(&self, request: Request) -> Result<Value, Unreachable> {
        self.ask(request).await?.map_err(refused)
    }

    pub(super) async fn last(&self, subject: &str) -> Result<Option<Kept>, Unreachable> {
        let answer = self.ask(jetstream::last(&self.place.stream, subject)).await?;
        jetstream::message(answer).map_err(refused)
    }

    pub(super) async fn range(&self) -> Result<(u64, u64), Unreachable> {
        Ok(jetstream::range(&self.done(jetstream::info(&self.place.stream)).await?))
    }

    pub(super) async fn get(&self, seq: u64) -> Result<Option<Kept>, Unreachable> {
        let answer = self.ask(jetstream::get(&self.place.stream, seq)).await?;
        jetstream::message(answer).map_err(refused)
    }

    pub(super) async fn publish(
        &mut self,
        messages: &[Message],
        chained: bool,
    ) -> Result<Vec<Answer>, Unreachable> {
        let first = self.next;
        self.next += messages.len() as u64;
        let lines = headers(&self.place.stream, messages, chained);
        for ((message, lines), number) in messages.iter().zip(lines).zip(first..) {
            let mut block = HeaderMap::new();
            lines.into_iter().for_each(|(key, value)| block.insert(key, value));
            let reply = format!("{}.{number}", self.inbox);
            let body = message.body.clone();
            let sent =
                self.client.publish_with_reply_and_headers(message.subject, reply, block, body);
            sent.await.map_err(failed)?;
        }
        self.answers(first, messages.len()).await
    }

    /// The answers to the messages from this number on, in their order.
    async fn answers(&mut self, first: u64, count: usize) -> Result<Vec<Answer>, Unreachable> {
        let mut answers = vec![None; count];
        let mut missing = count;
        while missing > 0 {
            let (number, answer) = self.next_answer().await?;
            let place = usize::try_from(number.saturating_sub(first)).unwrap_or(count);
            if let Some(slot @ None) = answers.get_mut(place).filter(|_| number >= first) {
                *slot = Some(answer);
                missing -= 1;
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    async fn next_answer(&mut self) -> Result<(u64, Answer), Unreachable> {
        // Cancel-safe: a subscriber's `next` takes nothing before it is ready.
        let message = tokio::select! {
            () = self.lost.cancelled() => return Err(Unreachable("the connection was lost".into())),
            message = tokio::time::timeout(ACKNOWLEDGE, self.acks.next()) => message,
        };
        let Ok(message) = message else {
            return Err(self.complaint.or("the stream acknowledges nothing"));
        };
        let message = message.ok_or_else(|| Unreachable("the connection was lost".into()))?;
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(no_jetstream());
        }
        let number = message.subject.rsplit('.').next().and_then(|number| number.parse().ok());
        Ok((number.unwrap_or(u64::MAX), jetstream::acknowledged(&message.payload)))
    }

    /// Sends what is still to be sent, and ends the connection.
    pub(super) async fn close(self) {
        let drained = tokio::time::timeout(DRAIN, self.client.drain()).await;
        if !matches!(drained, Ok(Ok(()))) {
            tracing::warn!("the connection to the NATS server did not end cleanly");
        }
    }
}

/// A URL without its `?creds=`, and the path behind that.
fn split_creds(url: &str) -> (&str, Option<&str>) {
    url.split_once("?creds=").map_or((url, None), |(url, file)| (url, Some(file)))
}

async fn options(
    server: &ServerUrl,
    creds: Option<&str>,
    lost: &CancellationToken,
    complaint: &Complaint,
) -> Result<ConnectOptions, Unreachable> {
    let options = match creds {
        Some(file) => ConnectOptions::with_credentials_file(file).await.map_err(|error| {
            Unreachable(format!("cannot read the credentials file `{file}`: {error}"))
        })?,
        None => ConnectOptions::new(),
    };
    let options = match server.credentials.clone() {
        Credentials::None => options,
        Credentials::Password { user, password } => options.user_and_password(user, password),
        Credentials::Token(token) => options.token(token),
        Credentials::Nkey(seed) => options.nkey(seed),
    };
    let (lost, complaint) = (lost.clone(), complaint.clone());
    Ok(options
        .name(CONNECTION)
        .require_tls(server.scheme == Scheme::Tls)
        .connection_timeout(CONNECT)
        .max_reconnects(1)
        .event_callback(move |event| {
            notice(&event, &lost, &complaint);
            std::future::ready(())
        }))
}

fn notice(event: &Event, lost: &CancellationToken, complaint: &Complaint) {
    match event {
        Event::Disconnected | Event::Closed | Event::SlowConsumer(_) => lost.cancel(),
        Event::ServerError(error) => complaint.note(error),
        Event::Connected | Event::LameDuckMode | Event::Draining | Event::ClientError(_) => {}
    }
}

async fn connect(options: ConnectOptions, shown: &str) -> Result<Client, Unreachable> {
    match tokio::time::timeout(CONNECT, options.connect(shown)).await {
        Ok(Ok(client)) => Ok(client),
        Ok(Err(error)) => Err(Unreachable(format!("cannot connect to {shown}: {error}"))),
        Err(_) => Err(Unreachable(format!("cannot connect to {shown}: it does not answer"))),
    }
}

fn no_jetstream() -> Unreachable {
    Unreachable("the NATS server has no JetStream for this account".into())
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(error: ApiError) -> Unreachable {
    Unreachable(format!("JetStream refuses: {error}"))
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: impl std::error::Error) -> Unreachable {
    Unreachable(format!("the connection to the NATS server failed: {error}"))
}
