//! Which sessions are live, so that they can be counted, bounded and ended.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use model::{DeckyId, LanId, SessionId, Truncation};
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

impl Registry {
    /// Takes a session in, unless a limit is reached; a refusal is counted.
    pub(super) fn admit(
        self: &Arc<Self>,
        limits: &Limits,
        session: SessionId,
        (decky, lan): (DeckyId, LanId),
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
        live.sessions.insert(session, Entry { decky, lan, end });
        Some(Ticket { registry: Arc::clone(self), session, peer, end: ended })
    }

    /// Asks those sessions to end.
    pub(super) fn end(&self, those: Those, why: Truncation) {
        for entry in self.lock().sessions.values().filter(|entry| those.has(entry)) {
            entry.end.send_replace(Some(why));
        }
    }

    /// How many of those sessions are live.
    pub(super) fn live(&self, those: Those) -> usize {
        self.lock().sessions.values().filter(|entry| those.has(entry)).count()
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
