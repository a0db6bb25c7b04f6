//! The catalogue of lifecycle events: which entry of the journal becomes which event, what that
//! event says, and what it is about.
//!
//! A type is named by its subject: `org.{producer}.{noun}.{verb}`, one name for the NATS
//! subject, for CloudEvents' `type` and for the schema. Renaming one, or taking a member away,
//! is a breaking change; a new optional member is none.

mod morgana;
mod statehub;

use model::JournalEntry;
use serde_json::{Map, Value};

/// A type of lifecycle event.
#[derive(Debug)]
pub struct EventType {
    /// Its name: subject, CloudEvents `type` and name of the schema in one.
    pub name: &'static str,
    /// Who sends it.
    pub producer: Producer,
    /// When it is sent, in one sentence.
    pub meaning: &'static str,
    /// The entries of the journal that it is made from.
    pub origin: Origin,
    /// What it is about: a noun, and the member whose value names the one.
    pub about: (&'static str, &'static str),
    /// The members of its `data`; it has no others.
    pub fields: &'static [Field],
}

/// Who sends events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Producer {
    /// The state hub: the work around the network.
    StateHub,
    /// The deception network itself.
    Morgana,
}

/// Entries of the journal.
#[derive(Debug)]
pub struct Origin {
    /// Their kind.
    pub kind: &'static str,
    /// What their payload has to say, besides: member and value.
    pub with: &'static [(&'static str, &'static str)],
}

/// A member of an event's `data`.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it is always there.
    pub required: bool,
    /// What it means.
    pub meaning: &'static str,
}

/// What a member holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An id, as a UUID.
    Id,
    /// Ids, at most so many.
    Ids(u32),
    /// A name of lower-case letters, digits and single dashes, at most 64 characters.
    Slug,
    /// Text of at most so many bytes.
    Text(u32),
    /// Texts, at most so many.
    Texts(u32),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// An IP address.
    Address,
    /// A moment, RFC 3339 in UTC.
    Moment,
    /// A whole number from 0 to this.
    Count(u64),
    /// Yes or no.
    Flag,
}

impl Producer {
    /// Its token in subjects.
    pub const fn token(self) -> &'static str {
        match self {
            Self::StateHub => "statehub",
            Self::Morgana => "morgana",
        }
    }

    /// It in words.
    pub const fn title(self) -> &'static str {
        match self {
            Self::StateHub => "the state hub",
            Self::Morgana => "the deception network",
        }
    }
}

/// Every type of event that is sent, by name within its producer.
pub const TYPES: &[&[EventType]] = &[statehub::TYPES, morgana::TYPES];

fn types() -> impl Iterator<Item = &'static EventType> {
    TYPES.iter().copied().flatten()
}

/// The type of this name.
pub fn event_type(name: &str) -> Option<&'static EventType> {
    types().find(|event| event.name == name)
}

/// The type that an entry is sent as; none where it stays inside. The same answer whenever it is
/// asked about the same entry.
pub fn type_of(entry: &JournalEntry) -> Option<&'static EventType> {
    let mut candidates = types().filter(|event| event.origin.kind == entry.kind).peekable();
    let first = candidates.peek()?;
    if first.origin.with.is_empty() {
        return Some(first);
    }
    let payload = payload(entry)?;
    candidates.find(|event| event.origin.admits(&payload))
}

impl Origin {
    fn admits(&self, payload: &Map<String, Value>) -> bool {
        let says = |(member, value): &(&str, &str)| {
            payload.get(*member).and_then(Value::as_str) == Some(value)
        };
        self.with.iter().all(says)
    }
}

impl EventType {
    /// The members that an entry's payload has for this type; what the type does not name stays
    /// inside, and what is nothing is left out.
    pub(crate) fn data(&self, payload: &Map<String, Value>) -> Map<String, Value> {
        let members = self.fields.iter().filter_map(|field| {
            let value = payload.get(field.name).filter(|value| !value.is_null())?;
            Some((field.name.to_owned(), value.clone()))
        });
        members.collect()
    }

    /// What the event is about: `workstream/0192…`.
    pub(crate) fn entity(&self, data: &Map<String, Value>) -> Option<String> {
        let (noun, member) = self.about;
        match data.get(member)? {
            Value::String(name) => Some(format!("{noun}/{name}")),
            _ => None,
        }
    }
}

/// An entry's payload, where it is an object: all of ours are.
pub(crate) fn payload(entry: &JournalEntry) -> Option<Map<String, Value>> {
    serde_json::from_str(entry.payload.get()).ok()
}

/// A member that is always there.
const fn always(name: &'static str, kind: Kind, meaning: &'static str) -> Field {
    Field { name, kind, required: true, meaning }
}

/// A member that may be missing.
const fn maybe(name: &'static str, kind: Kind, meaning: &'static str) -> Field {
    Field { name, kind, required: false, meaning }
}
