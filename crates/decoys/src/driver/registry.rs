//! Which sessions are live, so that they can be counted, bounded and ended.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use model::{DeckyId, LanId, SessionId, Truncation};
use tokio::sync::watch;

/// The live sessions of one transport. The lock is held for map operations only.
#[derive(Debug)]
pub(super) struct Registry {
    most: usize,
    most_of_peer: usize,
    live: Mutex<Live>,
    /// Counts how often sessions were asked to end.
    asked: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Live {
    sessions: HashMap<SessionId, Entry>,
    per_peer: HashMap<IpAddr, usize>,
    refused: u64,
}

#[derive(Debug)]
struct Entry {
    decky: DeckyId,
    lan: LanId,
    end: watch::Sender<Option<Truncation>>,
}

/// Some of the live sessions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Those {
    /// All of them.
    All,
    /// With this decky.
    With(DeckyId),
    /// With this decky, by its interface on this LAN.
    By(DeckyId, LanId),
}

impl Those {
    fn has(self, entry: &Entry) -> bool {
        match self {
            Self::All => true,
            Self::With(decky) => entry.decky == decky,
            Self::By(decky, lan) => entry.decky == decky && entry.lan == lan,
        }
    }
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

impl Ticket {
    /// Why the session must end, if it must.
    pub(super) fn why(&self) -> Option<Truncation> {
        *self.end.borrow()
    }
}

impl Registry {
    /// For so many sessions at the same time, and so many of one source address.
    pub(super) fn new(most: usize, most_of_peer: usize) -> Self {
        Self { most, most_of_peer, live: Mutex::default(), asked: watch::Sender::default() }
    }

    /// Changes whenever sessions were asked to end, for whoever keeps many of them.
    pub(super) fn asked_to_end(&self) -> watch::Receiver<u64> {
        self.asked.subscribe()
    }

    /// Takes a session in, unless a limit is reached; a refusal is counted.
    pub(super) fn admit(
        self: &Arc<Self>,
        session: SessionId,
        (decky, lan): (DeckyId, LanId),
        peer: IpAddr,
    ) -> Option<Ticket> {
        let mut live = self.lock();
        let of_peer = live.per_peer.get(&peer).copied().unwrap_or(0);
        if live.sessions.len() >= self.most || of_peer >= self.most_of_peer {
            live.refused += 1;
            return None;
        }
        let (end, ended) = watch::channel(None);
        live.per_peer.insert(peer, of_peer + 1);
        live.sessions.insert(session, Entry { decky, lan, end });
        Some(Ticket { registry: Arc::clone(self), session, peer, end: ended })
    }

    /// Asks those sessions to end.
    pub(super) fn end(&self, those: Those, why: Truncation) {
        for entry in self.lock().sessions.values().filter(|entry| those.has(entry)) {
            entry.end.send_replace(Some(why));
        }
        self.asked.send_modify(|times| *times += 1);
    }

    /// How many of those sessions are live.
    pub(super) fn live(&self, those: Those) -> usize {
        self.lock().sessions.values().filter(|entry| those.has(entry)).count()
    }

    /// Sessions that were refused because a limit was reached.
    pub(super) fn refused(&self) -> u64 {
        self.lock().refused
    }

    fn lock(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
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
