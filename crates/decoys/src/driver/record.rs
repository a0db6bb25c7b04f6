//! The record of one session: facts numbered without gaps, and bytes counted.

use std::net::SocketAddr;

use model::{Ambient, SessionEvent, SessionFact, SessionId, Truncation};
use tokio::sync::mpsc;

use super::{Cut, Limits};
use crate::directory::Entry;

/// Numbers the facts of one session and hands them on.
pub(super) struct Record {
    session_id: SessionId,
    entry: Entry,
    peer: SocketAddr,
    ambient: Ambient,
    facts: mpsc::Sender<SessionEvent>,
    next_index: u32,
    most: u32,
}

impl Record {
    pub(super) fn new(
        session_id: SessionId,
        entry: Entry,
        peer: SocketAddr,
        ambient: Ambient,
        facts: mpsc::Sender<SessionEvent>,
        limits: &Limits,
    ) -> Self {
        Self { session_id, entry, peer, ambient, facts, next_index: 0, most: limits.facts.max(2) }
    }

    /// Adds a fact. Waits while the channel is full: meanwhile nobody reads this visitor's
    /// socket. The last place is kept for `Ended`.
    pub(super) async fn add(&mut self, fact: SessionFact) -> Result<(), Cut> {
        if self.next_index >= self.most - 1 {
            return Err(Cut::Limit(Truncation::Facts));
        }
        self.send(fact).await
    }

    /// Adds the last fact.
    pub(super) async fn end(&mut self, meter: &Meter, truncated: Option<Truncation>) {
        let ended =
            SessionFact::Ended { bytes_in: meter.bytes_in, bytes_out: meter.bytes_out, truncated };
        if self.send(ended).await.is_err() {
            tracing::warn!(session.id = %self.session_id, "nobody takes session facts any more");
        }
    }

    async fn send(&mut self, fact: SessionFact) -> Result<(), Cut> {
        let event = SessionEvent {
            session_id: self.session_id,
            index: self.next_index,
            at: self.ambient.now(),
            topology_id: self.entry.interface.topology_id,
            lan_id: self.entry.interface.lan_id,
            decky_id: self.entry.interface.decky_id,
            service: self.entry.service,
            peer: self.peer,
            fact,
        };
        // Only a consumer that is gone makes this fail: the process is ending.
        self.facts.send(event).await.map_err(|_| Cut::Limit(Truncation::Shutdown))?;
        self.next_index += 1;
        Ok(())
    }
}

/// Counts the bytes of one session, its data connection included.
pub(super) struct Meter {
    bytes_in: u64,
    bytes_out: u64,
    most_in: u64,
    most_out: u64,
}

impl Meter {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { bytes_in: 0, bytes_out: 0, most_in: limits.bytes_in, most_out: limits.bytes_out }
    }

    /// Counts bytes that were received.
    pub(super) fn received(&mut self, bytes: usize) -> Result<(), Cut> {
        self.bytes_in += bytes as u64;
        if self.bytes_in > self.most_in { Err(Cut::Limit(Truncation::Bytes)) } else { Ok(()) }
    }

    /// Counts bytes that were sent.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }

    /// How many of `bytes` may still be sent.
    pub(super) fn may_send(&self, bytes: usize) -> usize {
        usize::try_from(self.most_out - self.bytes_out).map_or(bytes, |left| bytes.min(left))
    }
}
