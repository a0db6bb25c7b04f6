//! The sink that tells the bus. The bus only tells, so there is nothing to try again and nothing
//! to repeat: who was away reads the journal.

use std::sync::Arc;

use bus::Bus;
use model::JournalEntry;

use super::{Order, Outcome, Resume, Sink, Unreachable, subject_key};

/// What is journalled, to the bus.
pub struct BusSink(pub Bus);

impl Sink for BusSink {
    fn name(&self) -> &'static str {
        "bus"
    }

    fn resume(&self) -> Resume {
        Resume::Head
    }

    fn order(&self) -> Order {
        Order::Pipelined
    }

    /// Lifecycle events have a stream and a form of their own there.
    fn accepts(&self, entry: &JournalEntry) -> bool {
        entry.topic.tokens().next() != Some("org")
    }

    fn key(&self, entry: &JournalEntry) -> String {
        subject_key(entry)
    }

    async fn deliver(&mut self, batch: &[Arc<JournalEntry>]) -> Result<Vec<Outcome>, Unreachable> {
        batch.iter().for_each(|entry| self.0.publish_entry(entry.clone()));
        Ok(vec![Outcome::Delivered; batch.len()])
    }
}
