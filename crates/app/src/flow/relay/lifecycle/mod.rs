//! The sink `activity-events`: what the world is told, on the stream `ACTIVITY_EVENTS`, embedded
//! or on the NATS server that `NATS_URL` names; as CloudEvents, unless another format is chosen.
//!
//! Every event once, in the order of the journal; on a stream that others use, in that order per
//! subject. An event is sent under its id, so a repetition within the stream's window changes
//! nothing. Beyond the window the stream is asked: after each new connection the newest message of
//! ours on a subject says how far we had come there. That holds because nothing is ever stored
//! behind a message that was not: messages under way at once are chained, each accepted only right
//! behind the one before it; where others publish to the stream too, which breaks chains, one
//! message per subject is under way. A dead letter comes to stand behind younger events; the relay
//! sends it where nothing before it can come again.
//!
//! It knows how a stream is found, made and filled. What leaves and what it says is the matter of
//! `exports`; waiting, trying again and remembering that of the relay.

mod embedded;
mod jetstream;
mod link;
mod marks;
mod nats;
mod stream;

use std::{collections::HashSet, sync::Arc};

use bus::stream::Streams;
use bytes::Bytes;
use exports::{Format, cloudevent, type_of};
use model::JournalEntry;
use store::Store;
use tokio::sync::watch;

use self::{
    link::{Answer, Link, Place},
    marks::Marks,
};
use super::{Order, Outcome, Resume, Sink, Unreachable};

/// Where events go besides the embedded stream: the URL of a NATS server, which may change.
pub type NatsUrl = watch::Receiver<Option<String>>;

/// The sink with its connection.
pub struct Lifecycle {
    /// Who we are in the events.
    source: String,
    format: Format,
    streams: Streams,
    server: NatsUrl,
    link: Option<Link>,
    marks: Marks,
    /// Whether somebody else publishes to the stream, too.
    is_shared: bool,
    /// What is under way; still set where a delivery was cut in the middle.
    in_doubt: bool,
    /// Where events go, as told last.
    told: Option<Place>,
}

/// Why nothing was delivered.
enum Trouble {
    /// The stream takes nothing now. The connection is good, and nothing is in doubt.
    Refused(String),
    /// The connection has to be made anew.
    Lost(Unreachable),
}

impl From<Unreachable> for Trouble {
    fn from(unreachable: Unreachable) -> Self {
        Self::Lost(unreachable)
    }
}

/// An event on its way.
#[derive(Debug)]
struct Message {
    id: String,
    subject: &'static str,
    sequence: u64,
    /// Those of the event, in its format.
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Message {
    /// What it takes with its own headers, in bytes.
    fn size(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len() + 4);
        self.body.len() + headers.sum::<usize>()
    }
}

impl Lifecycle {
    /// The sink's name.
    pub const NAME: &str = "activity-events";

    /// Of what `store` journals, in this format; to the server where one is named, else to
    /// `streams`.
    pub fn new(store: Store, streams: Streams, server: NatsUrl, format: Format) -> Self {
        let source = format!("urn:morgana:{}", store.installation().epoch);
        Self {
            source: source.clone(),
            format,
            streams,
            server,
            link: None,
            marks: Marks::new(store, source),
            is_shared: false,
            in_doubt: false,
            told: None,
        }
    }

    /// Makes the embedded stream, where events go there, so that it can be read from before the
    /// first event. A failure is told now and met again with the first event.
    pub async fn prepare(&mut self) {
        if self.server.borrow().is_some() {
            return;
        }
        if let Err(Unreachable(reason)) = self.connect().await {
            tracing::warn!(reason, "the embedded stream of events cannot be had");
        }
    }

    /// Has a connection to where events go now.
    async fn connect(&mut self) -> Result<(), Unreachable> {
        let is_elsewhere = self.server.has_changed().unwrap_or(false);
        if is_elsewhere || self.in_doubt || self.link.as_ref().is_some_and(Link::is_gone) {
            self.part();
        }
        if self.link.is_none() {
            let server = self.server.borrow_and_update().clone();
            let link = Link::open(server.as_deref(), &self.streams).await?;
            self.tell_place(link.place().cloned());
            self.link = Some(link);
        }
        Ok(())
    }

    /// Tells where events go, where that is somewhere else than before.
    fn tell_place(&mut self, place: Option<Place>) {
        if let Some(Place { server, stream }) = place.as_ref().filter(|_| self.told != place) {
            tracing::info!(server, stream.name = stream, "events go to a NATS server");
        }
        self.told = place;
    }

    /// Lets go of the connection; what is known of the stream has to be asked again.
    fn part(&mut self) {
        self.link = None;
        self.marks.forget();
        self.in_doubt = false;
        self.is_shared = false;
    }

    fn message(&self, entry: &JournalEntry) -> Option<Message> {
        let event = cloudevent(entry, &self.source)?;
        let encoded = event.encode(self.format);
        Some(Message {
            id: event.id.to_string(),
            subject: event.event_type,
            sequence: entry.seq.unwrap_or(0),
            headers: encoded.headers,
            body: encoded.body.into(),
        })
    }

    /// Delivers as much of the batch as goes at once.
    async fn send(&mut self, batch: &[Arc<JournalEntry>]) -> Result<Vec<Outcome>, Trouble> {
        self.connect().await?;
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut fresh = Vec::new();
        for entry in batch {
            let settled = match self.message(entry) {
                Some(message) if fresh.is_empty() || self.too_large(&message).is_none() => {
                    self.settled(&message).await?.map_or_else(|| Err(message), Ok)
                }
                Some(_) => break,
                None => Ok(Outcome::Delivered),
            };
            match settled {
                Ok(outcome) if fresh.is_empty() => outcomes.push(outcome),
                // It comes again when those before it have arrived.
                Ok(_) => break,
                Err(message) => fresh.push(message),
            }
        }
        if self.is_shared {
            keep_one_per_subject(&mut fresh);
        }
        if !fresh.is_empty() {
            outcomes.extend(self.publish(&fresh).await?);
        }
        Ok(outcomes)
    }

    /// What became of a message that need not be sent.
    async fn settled(&mut self, message: &Message) -> Result<Option<Outcome>, Unreachable> {
        if let Some(reason) = self.refused(message).await? {
            return Ok(Some(Outcome::Refused(reason)));
        }
        let Some(link) = &self.link else { return Ok(None) };
        let is_there = self.marks.hold(message, link).await?;
        Ok(is_there.then_some(Outcome::Delivered))
    }

    /// Why the stream will not take this message. A limit may have been raised since it was
    /// asked, which no connection tells, so before a refusal it is asked again.
    async fn refused(&mut self, message: &Message) -> Result<Option<String>, Unreachable> {
        if self.too_large(message).is_some() {
            self.part();
            self.connect().await?;
        }
        Ok(self.too_large(message))
    }

    fn too_large(&self, message: &Message) -> Option<String> {
        self.link.as_ref()?.too_large(message)
    }

    /// Publishes, chained where nobody else does; answers for as many as are settled.
    async fn publish(&mut self, messages: &[Message]) -> Result<Vec<Outcome>, Trouble> {
        let Some(link) = &mut self.link else { return Ok(Vec::new()) };
        let is_chained = !self.is_shared;
        self.in_doubt = true;
        let answers = link.publish(messages, is_chained).await?;
        let mut outcomes = Vec::with_capacity(answers.len());
        let mut follows_own = false;
        for (message, answer) in messages.iter().zip(answers) {
            match answer {
                Answer::Stored { stream, seq, duplicate } => {
                    tell(message, &stream, seq, duplicate);
                    follows_own = !duplicate;
                    outcomes.push(Outcome::Delivered);
                }
                Answer::TooLarge(reason) => {
                    follows_own = false;
                    outcomes.push(Outcome::Refused(reason));
                }
                Answer::OtherLast => {
                    self.is_shared |= follows_own;
                    break;
                }
                Answer::Elsewhere(reason) => return Err(Unreachable(reason).into()),
                // Without a chain, what came behind it may be there.
                Answer::Failed(reason) if !is_chained && outcomes.len() + 1 < messages.len() => {
                    return Err(Unreachable(reason).into());
                }
                Answer::Failed(reason) if outcomes.is_empty() => {
                    self.in_doubt = false;
                    return Err(Trouble::Refused(reason));
                }
                Answer::Failed(_) => break,
            }
        }
        self.in_doubt = false;
        Ok(outcomes)
    }

    /// Publishes a dead letter, whatever is in the stream already but itself.
    async fn send_letter(&mut self, letter: &JournalEntry) -> Result<Vec<Outcome>, Trouble> {
        self.connect().await?;
        let Some(message) = self.message(letter) else { return Ok(vec![Outcome::Delivered]) };
        if let Some(reason) = self.refused(&message).await? {
            return Ok(vec![Outcome::Refused(reason)]);
        }
        let Some(link) = &self.link else { return Ok(Vec::new()) };
        if self.marks.hold_letter(&message, link).await? {
            return Ok(vec![Outcome::Delivered]);
        }
        let letters = [message];
        let outcomes = self.publish(&letters).await?;
        if outcomes == [Outcome::Delivered] {
            self.marks.note_letter(&letters[0]);
        }
        Ok(outcomes)
    }

    /// Lets go of the connection where it has to be made anew.
    fn parted(&mut self, sent: Result<Vec<Outcome>, Trouble>) -> Result<Vec<Outcome>, Unreachable> {
        sent.map_err(|trouble| match trouble {
            Trouble::Refused(reason) => Unreachable(reason),
            Trouble::Lost(unreachable) => {
                self.part();
                unreachable
            }
        })
    }
}

/// The longest beginning in which no subject comes twice.
fn keep_one_per_subject(messages: &mut Vec<Message>) {
    let mut subjects = HashSet::new();
    let twice = messages.iter().position(|message| !subjects.insert(message.subject));
    messages.truncate(twice.unwrap_or(messages.len()));
}

/// What people do is rare and told; what visitors cause is not.
fn tell(message: &Message, stream: &str, seq: u64, duplicate: bool) {
    let Message { id, subject, .. } = message;
    if subject.starts_with("org.statehub.") {
        tracing::info!(id, subject, stream.name = stream, stream.seq = seq, duplicate, "published");
    } else {
        tracing::debug!(
            id,
            subject,
            stream.name = stream,
            stream.seq = seq,
            duplicate,
            "published"
        );
    }
}

impl Sink for Lifecycle {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn resume(&self) -> Resume {
        Resume::Cursor
    }

    fn order(&self) -> Order {
        Order::Pipelined
    }

    fn accepts(&self, entry: &JournalEntry) -> bool {
        type_of(entry).is_some()
    }

    /// One for all: consumers see things happen in the order in which they did.
    fn key(&self, _: &JournalEntry) -> String {
        "org".into()
    }

    async fn deliver(&mut self, batch: &[Arc<JournalEntry>]) -> Result<Vec<Outcome>, Unreachable> {
        let sent = self.send(batch).await;
        self.parted(sent)
    }

    async fn redeliver(&mut self, letter: &Arc<JournalEntry>) -> Result<Vec<Outcome>, Unreachable> {
        let sent = self.send_letter(letter).await;
        self.parted(sent)
    }

    async fn close(&mut self) {
        if let Some(link) = self.link.take() {
            link.close().await;
        }
    }
}
