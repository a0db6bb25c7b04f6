//! Flow *relay*: journal in order of `seq` → bus. The commit wakes it; the bus only tells, so
//! what is published while nobody listens is not repeated: who missed it reads the journal.

use std::sync::Arc;

use bus::Bus;
use store::Store;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Most entries that are read at once.
const BATCH: usize = 512;

/// Publishes the journal from its present head on, until `stop`.
pub async fn run(store: Store, bus: Bus, stop: CancellationToken) {
    let mut head = store.watch_journal();
    let mut position = *head.borrow_and_update();
    loop {
        // Cancel-safe: a watch keeps its news until it is marked as seen.
        tokio::select! {
            () = stop.cancelled() => break,
            changed = head.changed() => if changed.is_err() { break },
        }
        let target = *head.borrow_and_update();
        while position < target {
            match store.journal_after(position, BATCH).await {
                Ok(entries) => {
                    let Some(last) = entries.last().and_then(|entry| entry.seq) else { break };
                    entries.into_iter().for_each(|entry| bus.publish_entry(Arc::new(entry)));
                    position = last;
                }
                Err(error) => {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "journal not readable; trying at the next commit"
                    );
                    break;
                }
            }
        }
    }
}
