//! How far the stream has what we sent: per subject, asked once per connection.
//!
//! A message says that only where the journal has its id at its sequence. Any other is somebody
//! else's, whatever it says of itself: another life of the database sends under our source, too,
//! and so can whoever may publish. Where the newest message of a subject is not ours, ours is
//! looked for among the newest messages of the whole stream; beyond those the stream's own window
//! against repetitions has to do.

use std::collections::HashMap;

use bus::proto::Headers;
use exports::{Identity, type_of};
use store::Store;

use super::{
    Message, Unreachable,
    link::{Kept, Link},
};

/// How many messages of the stream are looked through at most.
const TAIL: u64 = 256;

/// What is known of the stream since the connection was made.
pub(super) struct Marks {
    journal: Store,
    /// Who we are in the events.
    source: String,
    /// The position of the newest event of ours, by subject; 0 where there is none.
    newest: HashMap<&'static str, u64>,
    /// The stream's newest messages, newest first, where they had to be asked for.
    tail: Option<Vec<Identity>>,
    /// The id of the last dead letter that was stored.
    letter: Option<String>,
    /// Whether it was said that somebody else speaks in our name.
    has_told: bool,
}

impl Marks {
    /// Nothing is known yet. `source` is who we are in the events of this journal.
    pub(super) fn new(journal: Store, source: String) -> Self {
        let (newest, tail, letter, has_told) = (HashMap::new(), None, None, false);
        Self { journal, source, newest, tail, letter, has_told }
    }

    /// Everything has to be asked again.
    pub(super) fn forget(&mut self) {
        self.newest.clear();
        self.tail = None;
        self.letter = None;
    }

    /// Whether the stream has this message from an earlier connection.
    pub(super) async fn hold(
        &mut self,
        message: &Message,
        link: &Link,
    ) -> Result<bool, Unreachable> {
        let newest = match self.newest.get(message.subject) {
            Some(newest) => *newest,
            None => {
                let newest = self.ask(message.subject, link).await?;
                self.newest.insert(message.subject, newest);
                newest
            }
        };
        Ok(message.sequence <= newest)
    }

    /// Whether the stream has this dead letter. It may be older than what is there already, so
    /// it is looked for itself.
    pub(super) async fn hold_letter(
        &mut self,
        letter: &Message,
        link: &Link,
    ) -> Result<bool, Unreachable> {
        if self.letter.as_ref() == Some(&letter.id) {
            return Ok(true);
        }
        let is_it = |claim: &Identity| {
            claim.sequence == letter.sequence && claim.id.to_string() == letter.id
        };
        Ok(self.tail(link).await?.iter().any(is_it))
    }

    /// The stream has this dead letter now.
    pub(super) fn note_letter(&mut self, letter: &Message) {
        self.letter = Some(letter.id.clone());
    }

    async fn ask(&mut self, subject: &'static str, link: &Link) -> Result<u64, Unreachable> {
        let Some(newest) = link.last(subject).await? else { return Ok(0) };
        if let Some(claim) = read(&newest).filter(|claim| claim.event_type == subject)
            && self.is_ours(&claim).await?
        {
            return Ok(claim.sequence);
        }
        let tail = self.tail(link).await?.iter();
        let of_subject: Vec<Identity> =
            tail.filter(|claim| claim.event_type == subject).cloned().collect();
        for claim in of_subject {
            if self.is_ours(&claim).await? {
                return Ok(claim.sequence);
            }
        }
        Ok(0)
    }

    async fn tail(&mut self, link: &Link) -> Result<&[Identity], Unreachable> {
        if self.tail.is_none() {
            self.tail = Some(link.tail(TAIL, read).await?);
        }
        Ok(self.tail.as_deref().unwrap_or_default())
    }

    /// Whether it is what the journal has there.
    async fn is_ours(&mut self, claim: &Identity) -> Result<bool, Unreachable> {
        let found = self.journal.journal_after(claim.sequence.saturating_sub(1), 1).await;
        let found = found.map_err(|error| Unreachable(error.to_string()))?;
        let entry = found.first();
        let subject = claim.event_type;
        let is_same = entry.is_some_and(|entry| {
            let name = type_of(entry).map(|event| event.name);
            (entry.seq, entry.id, name) == (Some(claim.sequence), claim.id, Some(subject))
        });
        // Where a later one is the first that is left, what stood there was pruned.
        let is_pruned = entry.is_some_and(|entry| entry.seq > Some(claim.sequence));
        if claim.source == self.source && !is_same && !is_pruned && !self.has_told {
            tracing::error!(
                subject,
                sequence = claim.sequence,
                "the stream has events of our source that the journal does not know, of another \
                 life of this database or of somebody else; they are passed over"
            );
            self.has_told = true;
        }
        Ok(is_same)
    }
}

/// What a message of the stream says it is, whatever format it has: another one may have been
/// chosen since it was sent.
fn read(kept: &Kept) -> Option<Identity> {
    let block = Headers::parse(&kept.headers).ok();
    let header = |name: &str| std::str::from_utf8(block.as_ref()?.get(name.as_bytes())?).ok();
    Identity::read(header, &kept.body)
}
