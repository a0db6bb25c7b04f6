//! From the decoys into `SESSIONS`: the facts of a moment are stored with one commit, while those
//! of the next gather.
//!
//! Nobody waits for the disk but this task. While the stream is full or its files fail, the queue
//! in front of it fills, and the decoys stop reading their visitors' sockets: nothing is dropped.

use std::time::Duration;

use bus::stream::PublishError;
use model::SessionEvent;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{error, warn};

use super::Sessions;
use crate::crash_point;

/// Facts that wait for the stream at most; then the decoys wait.
pub const QUEUE: usize = 4096;
/// Facts of one commit at most.
const BATCH: usize = 512;
/// Pause before a full stream is looked at again.
const FULL: Duration = Duration::from_millis(50);
/// Pauses before facts that were not stored are tried again.
const RETRY: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(500), Duration::from_secs(5)];

/// What the facts pass through.
pub struct Ingest {
    /// Where they go.
    pub sessions: Sessions,
    /// Where they come from.
    pub facts: mpsc::Receiver<SessionEvent>,
    /// Cancelled when the last one is stored.
    pub done: DropGuard,
}

impl Ingest {
    /// Works until every sender of facts is gone and the last fact is stored, or the streams are
    /// closed; then stays until `stop`, since that is no failure.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.facts.recv_many(&mut batch, BATCH).await > 0 {
            self.wait_for_room().await;
            if self.store(&batch).await.is_err() {
                error!(facts = batch.len(), "the streams are closed; facts are lost");
                break;
            }
            crash_point("facts-stored");
            batch.clear();
        }
        drop(self);
        stop.cancelled().await;
    }

    async fn wait_for_room(&self) {
        let mut waits = 0_u32;
        while matches!(self.sessions.has_room().await, Ok(false)) {
            if waits == 0 {
                warn!("SESSIONS is full; visitors wait");
            }
            waits = waits.saturating_add(1);
            tokio::time::sleep(FULL).await;
        }
    }

    /// Tries until the facts are on disk; an error means that there is no stream any more.
    async fn store(&self, batch: &[SessionEvent]) -> Result<(), PublishError> {
        let mut tries = 0;
        loop {
            match self.sessions.put(batch).await {
                Ok(()) => return Ok(()),
                Err(PublishError::Closed) => return Err(PublishError::Closed),
                Err(failure) => {
                    error!(
                        error = &failure as &dyn std::error::Error,
                        "facts cannot be stored; visitors wait"
                    );
                    tokio::time::sleep(RETRY[tries.min(RETRY.len() - 1)]).await;
                    tries += 1;
                }
            }
        }
    }
}
