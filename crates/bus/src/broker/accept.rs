//! New connections: who is there, INFO, and what happens when there are too many.

use std::{
    io::{self, ErrorKind, Read},
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use rustix::{event::epoll::EventFlags, io::Errno};

use super::{
    AdoptedPeer,
    connection::{Blame, Clock, Close, Connection, Phase},
    credentials::Credentials,
    io::Io,
    poller::Token,
};
use crate::{
    auth::{Peer, PeerAddress},
    proto::{ConnectOptions, ErrText, ServerInfo, write},
};

/// Connections that are accepted in one tick.
const MAX_ACCEPTS: usize = 64;
/// How long nothing is accepted once descriptors ran out.
const PAUSE: Duration = Duration::from_millis(100);
/// Random bytes of a nonce, as in nats-server.
const NONCE: usize = 11;

impl Io {
    pub(super) fn accept_tcp(&mut self) {
        for _ in 0..MAX_ACCEPTS {
            let Some(listener) = &self.listeners.tcp else { return };
            let accepted = listener.accept().and_then(|(stream, addr)| {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                Ok((OwnedFd::from(stream), PeerAddress::Tcp(addr)))
            });
            if !self.accepted(accepted) {
                return;
            }
        }
    }

    pub(super) fn accept_unix(&mut self) {
        for _ in 0..MAX_ACCEPTS {
            let Some(file) = &self.listeners.unix else { return };
            let accepted = accept_local(&file.listener, &self.credentials);
            if !self.accepted(accepted) {
                return;
            }
        }
    }

    /// Whether to go on accepting.
    fn accepted(&mut self, accepted: io::Result<(OwnedFd, PeerAddress)>) -> bool {
        match accepted {
            Ok((socket, address)) => {
                self.open(socket, Peer { address, tls: false });
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) if concerns_all(&error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "cannot accept clients, trying again shortly");
                self.pause_accepting();
                false
            }
            Err(error) => {
                // It went before it was accepted, or is odd in another way.
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "a client is not accepted");
                true
            }
        }
    }

    /// Without it, a listener that cannot be served would be ready for ever.
    fn pause_accepting(&mut self) {
        self.accept_again = Some(self.router.now + PAUSE);
        self.watch_listeners(EventFlags::empty());
    }

    pub(super) fn resume_accepting(&mut self) {
        if self.accept_again.is_some_and(|again| self.router.now >= again) {
            self.accept_again = None;
            self.watch_listeners(EventFlags::IN);
        }
    }

    pub(super) fn watch_listeners(&self, flags: EventFlags) {
        let poller = &self.router.poller;
        let tcp = self.listeners.tcp.as_ref().map(|l| poller.change(l, Token::Tcp, flags));
        let unix = self.listeners.unix.as_ref();
        let unix = unix.map(|file| poller.change(&file.listener, Token::Unix, flags));
        if let Some(Err(error)) = tcp.or(unix) {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "a listener is lost");
        }
    }

    pub(super) fn adopt(&mut self, stream: UnixStream, AdoptedPeer { addr, tls }: AdoptedPeer) {
        if stream.set_nonblocking(true).is_ok() {
            self.open(stream.into(), Peer { address: PeerAddress::Tcp(addr), tls });
        }
    }

    /// A new client, which gets INFO.
    fn open(&mut self, socket: OwnedFd, peer: Peer) {
        let cid = self.next_cid;
        self.next_cid += 1;
        self.router.counters.total_connections += 1;
        let full = self.router.connections.len() >= self.router.limits.max_connections;
        let connection = self.connection(cid, socket, peer);
        let info = self.info_for(&connection);
        let index = self.router.connections.insert(Box::new(connection));
        self.router.begin(index);
        self.router.say(index, &info);
        if full {
            self.router.close(index, Close::told(Blame::Full, &ErrText::MaximumConnections));
        }
    }

    fn connection(&mut self, cid: u64, socket: OwnedFd, peer: Peer) -> Connection {
        let now = self.router.now;
        let auth = &self.router.auth;
        let stranger = auth.required(&peer);
        // Also for those who need no credentials: they may have better ones.
        let nonce = auth.needs_nonce().then(|| self.nonce()).flatten();
        Connection {
            cid,
            socket,
            peer,
            phase: if stranger { Phase::Strange } else { Phase::Open },
            user: None,
            options: ConnectOptions::default(),
            checked: true,
            grants: None,
            nonce,
            sids: Default::default(),
            subscribed: 0,
            memo: Default::default(),
            partial: Vec::new(),
            need: 0,
            out: Default::default(),
            dirty: false,
            blocked: None,
            stalled: None,
            turn: None,
            interest: EventFlags::IN,
            traffic: Default::default(),
            clock: clock(now, self.router.limits.first_ping),
        }
    }

    fn nonce(&mut self) -> Option<Box<str>> {
        let mut bytes = [0; NONCE];
        self.entropy.read_exact(&mut bytes).ok()?;
        Some(BASE64_URL_SAFE_NO_PAD.encode(bytes).into())
    }

    fn info_for(&self, connection: &Connection) -> Vec<u8> {
        let client_ip = match connection.peer.address {
            PeerAddress::Tcp(address) => Some(address.ip()),
            PeerAddress::Unix { .. } => None,
        };
        // A UNIX socket needs no TLS: the kernel says who is there.
        let by_tcp = client_ip.is_some();
        let info = ServerInfo {
            tls_required: self.info.tls_required && by_tcp,
            tls_available: self.info.tls_available && by_tcp,
            client_id: connection.cid,
            client_ip,
            auth_required: matches!(connection.phase, Phase::Strange),
            nonce: connection.nonce.as_deref().map(Into::into),
            ..self.info.clone()
        };
        let mut line = Vec::new();
        write::info(&mut line, &info.to_json());
        line
    }
}

impl super::router::Router {
    /// Watches a new connection, and lets it in where nobody needs credentials.
    fn begin(&mut self, index: u32) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let token = Token::Connection(index);
        if self.poller.watch(&connection.socket, token, EventFlags::IN).is_err() {
            return self.close(index, Close::Gone);
        }
        if matches!(connection.phase, Phase::Strange) {
            return;
        }
        match self.auth.authenticate(&ConnectOptions::default(), b"", &connection.peer) {
            Ok(user) => connection.admit(user),
            Err(_) => connection.phase = Phase::Strange,
        }
    }
}

fn clock(now: Instant, first_ping: Duration) -> Clock {
    Clock {
        since: now,
        last_input: now,
        next_ping: now + first_ping,
        pings_out: 0,
        ping_sent: None,
        rtt: None,
    }
}

/// Whether the next client would fail as well: descriptors or memory ran out.
fn concerns_all(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}

fn accept_local(
    listener: &UnixListener,
    credentials: &Credentials,
) -> io::Result<(OwnedFd, PeerAddress)> {
    let (stream, _) = listener.accept()?;
    stream.set_nonblocking(true)?;
    let (stream, peer) = credentials.of(stream)?;
    Ok((stream.into(), peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepting_pauses_only_for_what_concerns_all() {
        let cases = [
            (Errno::MFILE, true),
            (Errno::NFILE, true),
            (Errno::NOBUFS, true),
            (Errno::NOMEM, true),
            (Errno::CONNABORTED, false),
            (Errno::INTR, false),
            (Errno::PERM, false),
            (Errno::NOTCONN, false),
        ];
        for (errno, expected) in cases {
            assert_eq!(concerns_all(&errno.into()), expected, "{errno}");
        }
        assert!(!concerns_all(&ErrorKind::Other.into()), "not of the kernel");
    }
}
