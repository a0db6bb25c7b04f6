//! One client on a socket: its state between two frames.
//!
//! Owns the socket, the input that is not a whole frame yet, the output that waits, and what the
//! client said about itself. What frames do to it is in [`session`](super::session); who gets
//! what it publishes, in [`router`](super::router).

use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    rc::Rc,
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use rustix::event::epoll::EventFlags;

use super::{
    outbound::{Outbound, Pool},
    publication::Publication,
    stats::Traffic,
};
use crate::{
    auth::{Account, Peer, PeerAddress, ResponseGrants, User},
    matcher::{RouteId, Routes},
    proto::{ConnectOptions, ErrText},
};

/// A client on a socket.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) cid: u64,
    pub(super) socket: OwnedFd,
    pub(super) peer: Peer,
    pub(super) phase: Phase,
    pub(super) user: Option<Arc<User>>,
    pub(super) options: ConnectOptions,
    /// A frame of it needs more than routing: permissions, pedantic checks, `+OK`.
    pub(super) checked: bool,
    pub(super) grants: Option<ResponseGrants>,
    pub(super) nonce: Option<Box<str>>,
    pub(super) sids: HashMap<Box<[u8]>, RouteId, foldhash::fast::RandomState>,
    /// Bytes that its subscriptions take, about.
    pub(super) subscribed: usize,
    pub(super) memo: Memo,
    /// Input that is not a whole frame yet.
    pub(super) partial: Vec<u8>,
    /// How long `partial` must be for the frame to be whole, where that is known.
    pub(super) need: usize,
    pub(super) out: Outbound,
    /// Output waits for the end of the tick.
    pub(super) dirty: bool,
    /// The socket took no more, since then.
    pub(super) blocked: Option<Instant>,
    /// Until then nothing is read from it: it publishes faster than a receiver takes.
    pub(super) stalled: Option<Instant>,
    /// It made so much work that its input waits until then.
    pub(super) turn: Option<Instant>,
    /// What epoll watches.
    pub(super) interest: EventFlags,
    pub(super) traffic: Traffic,
    pub(super) clock: Clock,
}

/// Where a connection is in its life.
#[derive(Debug, Clone)]
pub(super) enum Phase {
    /// It must say who it is.
    Strange,
    /// The authenticating threads look at what it said; nothing is read meanwhile. The flag tells
    /// them not to bother.
    SigningIn(Arc<AtomicBool>),
    /// It may do what its user may.
    Open,
    /// It is closed at the end of the tick.
    Closing(Close),
}

/// Why a connection is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Close {
    /// It went, or the socket broke.
    Gone,
    /// With this text.
    Told(Blame, Box<str>),
    /// It sent what no client sends; without a word, as nats-server does.
    Silent,
    /// It did not take what waited for it; without a word.
    Slow,
    /// Somebody asked for it, or the broker ends.
    Asked,
}

/// What a client did that ends its connection: which number counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// What it sent was wrong.
    Protocol,
    /// It is not who it must be.
    Auth,
    /// It did not answer.
    Stale,
    /// Nothing: the broker is full.
    Full,
}

/// The subject that a connection published to last, and who got it.
#[derive(Debug, Default)]
pub(super) struct Memo {
    /// `HMSG subject `: what receivers read before their subscription's number, but for the `H`.
    pub(super) head: Vec<u8>,
    pub(super) routes: Option<Rc<Routes>>,
    /// Where it was published.
    pub(super) account: Account,
    /// [`Router::version`](super::router::Router) that `routes` are of.
    pub(super) version: u64,
}

/// Times of a connection.
#[derive(Debug)]
pub(super) struct Clock {
    pub(super) since: Instant,
    pub(super) last_input: Instant,
    pub(super) next_ping: Instant,
    pub(super) pings_out: u32,
    pub(super) ping_sent: Option<Instant>,
    pub(super) rtt: Option<std::time::Duration>,
}

impl Connection {
    /// Whether its input is looked at now.
    #[inline]
    pub(super) fn listens(&self) -> bool {
        matches!(self.phase, Phase::Strange | Phase::Open)
    }

    /// Whether anything is read from it now.
    fn reads(&self) -> bool {
        self.listens() && self.stalled.is_none() && self.turn.is_none()
    }

    #[inline]
    pub(super) fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing(_))
    }

    /// Appends a message for the subscription `sid` to the output; returns how many bytes wait
    /// then.
    #[inline]
    pub(super) fn take(
        &mut self,
        sid: &[u8],
        publication: &mut Publication<'_>,
        share: bool,
        pool: &mut Pool,
    ) -> usize {
        self.traffic.out_msgs += 1;
        self.traffic.out_bytes += publication.size() as u64;
        let headers = self.options.headers;
        if share && (headers || publication.headers.is_empty()) {
            let tail = publication.shared_tail();
            let (head, _) = publication.wire(headers);
            self.out.append([head, sid, b""], pool);
            self.out.append_shared(tail, pool)
        } else {
            let (head, tail) = publication.wire(headers);
            self.out.append([head, sid, tail], pool)
        }
    }

    /// What epoll should watch.
    pub(super) fn wanted(&self) -> EventFlags {
        let mut wanted = EventFlags::empty();
        wanted.set(EventFlags::IN, self.reads());
        wanted.set(EventFlags::OUT, self.blocked.is_some());
        wanted
    }

    /// Whether `subject` may be published to; an answer is counted.
    pub(super) fn may_publish(&mut self, subject: &[u8], now: Instant) -> bool {
        let permissions = self.user.as_ref().and_then(|user| user.permissions.as_ref());
        permissions.is_none_or(|permissions| permissions.may_publish(subject))
            || self.grants.as_mut().is_some_and(|grants| grants.take(subject, now))
    }

    pub(super) fn may_subscribe(&self, filter: &[u8], queue: Option<&[u8]>) -> bool {
        let permissions = self.user.as_ref().and_then(|user| user.permissions.as_ref());
        permissions.is_none_or(|permissions| permissions.may_subscribe(filter, queue))
    }

    pub(super) fn checks_delivery(&self, filter: &[u8]) -> bool {
        let permissions = self.user.as_ref().and_then(|user| user.permissions.as_ref());
        permissions.is_some_and(|permissions| permissions.checks_delivery(filter))
    }

    pub(super) fn may_receive(&self, subject: &[u8]) -> bool {
        let permissions = self.user.as_ref().and_then(|user| user.permissions.as_ref());
        permissions.is_none_or(|permissions| permissions.may_receive(subject))
    }

    /// What `user` may do holds from now on.
    pub(super) fn admit(&mut self, user: Arc<User>) {
        let permissions = user.permissions.as_ref();
        self.grants = permissions.and_then(|p| p.allow_responses()).map(ResponseGrants::new);
        self.user = Some(user);
        self.phase = Phase::Open;
        self.review();
    }

    /// Where it publishes and subscribes.
    #[inline]
    pub(super) fn account(&self) -> Account {
        self.user.as_ref().map_or(Account::MAIN, |user| user.account)
    }

    /// Finds out anew whether its frames need more than routing.
    pub(super) fn review(&mut self) {
        let restricted = self.user.as_ref().is_none_or(|user| user.permissions.is_some());
        self.checked = restricted || self.options.pedantic || self.options.verbose;
    }

    /// `127.0.0.1:4312`, or `unix:pid=…,uid=…`.
    pub(super) fn address(&self) -> String {
        match self.peer.address {
            PeerAddress::Tcp(address) => address.to_string(),
            PeerAddress::Unix { uid, pid, .. } => {
                format!("unix:pid={},uid={uid}", pid.unwrap_or_default())
            }
        }
    }
}

impl Close {
    pub(super) fn told(blame: Blame, text: &ErrText<'_>) -> Self {
        Self::Told(blame, text.to_string().into())
    }

    /// What the client is told, where anything.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Told(_, text) => Some(text),
            Self::Gone | Self::Silent | Self::Slow | Self::Asked => None,
        }
    }
}
