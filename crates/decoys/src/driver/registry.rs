//! Which sessions are live, so that they can be counted, bounded and ended.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use model::{DeckyId, SessionId, Truncation};
use tokio::sync::watch;

use super::Limits;

/// The live sessions of one driver. The lock is held for map operations only.
#[derive(Debug, Default)]
pub(super) struct Registry(Mutex<Live>);

#[derive(Debug, Default)]
struct Live {
    sessions: HashMap<SessionId, Entry>,
    per_peer: HashMap<IpAddr, usize>,
    refused: u64,
}

#[derive(Debug)]
struct Entry {
    decky: DeckyId,
    end: watch::Sender<Option<Truncation>>,
}

/// A place among the live sessions; given back when dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    registry: Arc<Registry>,
    session: SessionId,
    peer: IpAddr,
    /// Becomes `Some` when the session must end.
    pub(super) end: watch::Receiver<Option<Truncation>>,
}

impl Registry {
    /// Takes a session in, unless a limit is reached; a refusal is counted.
    pub(super) fn admit(
        self: &Arc<Self>,
        limits: &Limits,
        session: SessionId,
        decky: DeckyId,
        peer: IpAddr,
    ) -> Option<Ticket> {
        let mut live = self.lock();
        let of_peer = live.per_peer.get(&peer).copied().unwrap_or(0);
        if live.sessions.len() >= limits.connections || of_peer >= limits.connections_per_peer {
            live.refused += 1;
            return None;
        }
        let (end, ended) = watch::channel(None);
        live.per_peer.insert(peer, of_peer + 1);
        live.sessions.insert(session, Entry { decky, end });
        Some(Ticket { registry: Arc::clone(self), session, peer, end: ended })
    }

    /// Asks the sessions of `decky`, or all of them, to end.
    pub(super) fn end(&self, decky: Option<DeckyId>, why: Truncation) {
        for entry in self.lock().sessions.values() {
            if decky.is_none_or(|decky| decky == entry.decky) {
                entry.end.send_replace(Some(why));
            }
        }
    }

    /// How many sessions are live with `decky`, or with anyone.
    pub(super) fn live(&self, decky: Option<DeckyId>) -> usize {
        let live = self.lock();
        match decky {
            Some(decky) => live.sessions.values().filter(|entry| entry.decky == decky).count(),
            None => live.sessions.len(),
        }
    }

    /// Connections that were closed at once because a limit was reached.
    pub(super) fn refused(&self) -> u64 {
        self.lock().refused
    }

    fn lock(&self) -> MutexGuard<'_, Live> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut live = self.registry.lock();
        live.sessions.remove(&self.session);
        if let Some(count) = live.per_peer.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                live.per_peer.remove(&self.peer);
            }
        }
    }
}
