//! What a sink has to be: the seam between the relay and whatever its entries go to.

use std::sync::Arc;

use model::JournalEntry;

/// Somewhere that the journal is told to. A sink delivers and says what came of it; the relay
/// reads, orders, waits, tries again, and remembers.
pub trait Sink: Send + 'static {
    /// Its name, by which its cursor and its dead letters are kept; never another one later.
    fn name(&self) -> &'static str;

    /// Where it begins when the process does.
    fn resume(&self) -> Resume;

    /// How many entries of one key it is given at once.
    fn order(&self) -> Order;

    /// Whether it wants this entry. The same answer whenever it is asked about the same entry.
    fn accepts(&self, entry: &JournalEntry) -> bool;

    /// Entries of the same key arrive in their order; those of others need not wait for them.
    fn key(&self, entry: &JournalEntry) -> String;

    /// Delivers a batch: one outcome per entry, in order. Entries without an outcome count as
    /// not tried: they have not arrived. After a crash entries come again that had arrived
    /// before, and so does the whole batch after an error, or where it is cut off after
    /// [`super::DELIVERY_TIMEOUT`].
    fn deliver(
        &mut self,
        batch: &[Arc<JournalEntry>],
    ) -> impl Future<Output = Result<Vec<Outcome>, Unreachable>> + Send;

    /// Delivers a dead letter that somebody wants tried again: alone, and maybe after entries
    /// that came later.
    fn redeliver(
        &mut self,
        letter: &Arc<JournalEntry>,
    ) -> impl Future<Output = Result<Vec<Outcome>, Unreachable>> + Send {
        async { self.deliver(std::slice::from_ref(letter)).await }
    }

    /// Ends what it holds; nothing is delivered any more. Takes a second at most, and twice is
    /// harmless.
    fn close(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// Where a sink begins when the process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// At the newest entry: what is told while nobody listens is not repeated.
    Head,
    /// Where it was; at the newest entry the very first time. At least once across a crash.
    Cursor,
}

/// How many entries of one key a batch holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One: the next is given when this one has arrived. For sinks that deliver side by side.
    OnePerKey,
    /// Any number. The sink delivers in order, and stops at the first entry that it has to try
    /// again.
    Pipelined,
}

/// What came of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has arrived.
    Delivered,
    /// It may arrive later; why not now. After [`super::MAX_TRIES`] it is a dead letter.
    Later(String),
    /// It will never arrive; why. A dead letter.
    Refused(String),
}

/// The sink cannot be reached: no entry is to blame, so none is counted as tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable(pub String);

/// The usual key: the first two tokens of the subject, which are the family and, where it has
/// one, the thing that the event is about.
pub fn subject_key(entry: &JournalEntry) -> String {
    let topic = entry.topic.as_str();
    let end = topic.match_indices('.').nth(1).map_or(topic.len(), |(at, _)| at);
    topic[..end].to_owned()
}
