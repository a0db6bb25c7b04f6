//! Who caused an event, and within what: what the extensions of a CloudEvent are made of.

use serde::{Deserialize, Serialize};

/// Longest value of one member of an [`EventContext`], in bytes; who fills it cuts.
pub const MAX_CONTEXT_BYTES: usize = 256;

/// What stands around an event. Empty where nobody said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventContext {
    /// Who caused it: a user name, `local`, ….
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The piece of work that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The event that led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// The trace of the request that caused it (W3C Trace Context).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

impl EventContext {
    /// Of what `actor` does.
    pub fn of(actor: &str) -> Self {
        let mut end = actor.len().min(MAX_CONTEXT_BYTES);
        while !actor.is_char_boundary(end) {
            end -= 1;
        }
        Self { actor: Some(actor[..end].to_owned()), ..Self::default() }
    }

    /// The same, within the trace that a `traceparent` header names; a malformed one is ignored,
    /// as the recommendation asks.
    #[must_use]
    pub fn traced(self, header: Option<&str>) -> Self {
        Self { traceparent: header.and_then(traceparent), ..self }
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A `traceparent` header as it may be passed on (W3C Trace Context, section 3.2): version,
/// trace id, parent id and flags in lower-case hex, neither id all zeros. A later version may
/// carry more fields; they are cut off. `None` for anything else.
pub fn traceparent(header: &str) -> Option<String> {
    let header = header.trim();
    let mut fields = header.splitn(5, '-');
    let version = hex(fields.next()?, 2)?;
    let trace = hex(fields.next()?, 32)?;
    let parent = hex(fields.next()?, 16)?;
    let flags = hex(fields.next()?, 2)?;
    let more = fields.next().is_some();
    let known = version == "00" && !more || version != "00" && version != "ff";
    let named = [trace, parent].iter().all(|id| id.bytes().any(|digit| digit != b'0'));
    (known && named).then(|| format!("{version}-{trace}-{parent}-{flags}"))
}

/// The text, where it is lower-case hex of that length.
fn hex(text: &str, length: usize) -> Option<&str> {
    let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (text.len() == length && digits).then_some(text)
}
