//! How far the stream has what we sent: per subject, asked once per connection.
//!
//! Messages of others on our subjects say nothing about us. Where the newest of a subject is
//! theirs, ours is looked for among the newest messages of the whole stream; beyond those the
//! stream's own window against repetitions has to do.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::Value;

use super::{Message, Unreachable, link::Link};

/// How many messages of the stream are looked through at most.
const TAIL: u64 = 256;

/// What is known of the stream since the connection was made.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// The position of the newest event of ours, by subject; 0 where there is none.
    newest: HashMap<&'static str, u64>,
    /// The same of the stream's newest messages, where that had to be asked.
    tail: Option<HashMap<String, u64>>,
}

impl Marks {
    /// Whether the stream has this message from an earlier connection.
    pub(super) async fn hold(
        &mut self,
        message: &Message,
        source: &str,
        link: &Link,
    ) -> Result<bool, Unreachable> {
        let newest = match self.newest.get(message.subject) {
            Some(newest) => *newest,
            None => {
                let newest = self.ask(message.subject, source, link).await?;
                self.newest.insert(message.subject, newest);
                newest
            }
        };
        Ok(message.sequence <= newest)
    }

    async fn ask(
        &mut self,
        subject: &'static str,
        source: &str,
        link: &Link,
    ) -> Result<u64, Unreachable> {
        let Some(body) = link.last(subject).await? else { return Ok(0) };
        if let Some((_, sequence)) = ours(&body, source) {
            return Ok(sequence);
        }
        if self.tail.is_none() {
            self.tail = Some(newest(&link.tail(TAIL).await?, source));
        }
        Ok(self.tail.as_ref().and_then(|tail| tail.get(subject)).copied().unwrap_or(0))
    }
}

/// The newest position of ours by subject, among messages.
fn newest(bodies: &[Bytes], source: &str) -> HashMap<String, u64> {
    let mut newest = HashMap::new();
    for (subject, sequence) in bodies.iter().filter_map(|body| ours(body, source)) {
        let known = newest.entry(subject).or_insert(0);
        *known = sequence.max(*known);
    }
    newest
}

/// Subject and position of an event that we sent; none where somebody else did.
fn ours(body: &[u8], source: &str) -> Option<(String, u64)> {
    let event: Value = serde_json::from_slice(body).ok()?;
    if event["source"] != source {
        return None;
    }
    let sequence = event["sequence"].as_str()?.parse().ok()?;
    Some((event["type"].as_str()?.to_owned(), sequence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_events_say_how_far_we_are() {
        let body = |source: &str, sequence: &str| {
            Bytes::from(format!(
                r#"{{"source":"{source}","type":"org.a.b.c","sequence":"{sequence}"}}"#
            ))
        };
        let bodies = [
            body("them", "00000000000000000099"),
            Bytes::from_static(b"no JSON"),
            body("us", "00000000000000000012"),
            body("us", "00000000000000000007"),
            body("us", "many"),
        ];
        assert_eq!(newest(&bodies, "us"), [("org.a.b.c".to_owned(), 12)].into());
        assert_eq!(ours(&bodies[0], "us"), None);
    }
}
