//! Output on its way out, and the end of connections: what a tick puts off until it ends.
//!
//! Memory is bounded at the place where it grows: output beyond a step is written before the end
//! of the tick, a client past its own limit is slow and closed, and beyond the limit of all the
//! one with most waiting is.

use super::{
    connection::{Blame, Close, Connection, Phase},
    outbound::Written,
    poller::Token,
    router::Router,
};
use crate::proto::{ErrText, write};

/// Output of all clients that is worth writing before the end of the tick: later, it would have
/// left the cache.
pub(super) const WRITE_AFTER: usize = 1 << 20;

impl Router {
    /// Appends protocol lines to a connection's output.
    pub(super) fn say(&mut self, index: u32, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        if connection.is_closing() {
            return;
        }
        let after = connection.out.append([bytes, b"", b""], &mut self.pool);
        self.pending += bytes.len();
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(index);
        }
        if after > self.crowded_at {
            self.crowded(index);
        }
        if self.pending > self.write_at {
            self.relieve();
        }
    }

    /// Tells a client of an error that it survives.
    pub(super) fn complain(&mut self, index: u32, text: &ErrText<'_>) {
        let mut line = Vec::with_capacity(64);
        write::err(&mut line, text);
        self.say(index, &line);
    }

    /// Much waits for a client. What it does not take at once slows publishers down, and beyond
    /// its limit makes it slow.
    #[cold]
    pub(super) fn crowded(&mut self, index: u32) {
        self.write(index);
        let waiting = self.connections.get(index).map_or(0, |c| c.out.pending());
        if waiting > self.limits.max_pending_per_client {
            self.close(index, Close::Slow);
        } else if waiting > self.crowded_at {
            self.crowding = true;
        }
    }

    /// Much output waits: writes it now, and where too much is left, gives up the client with most.
    #[cold]
    pub(super) fn relieve(&mut self) {
        self.write_dirty();
        while self.pending > self.limits.max_pending_total {
            let open = self.connections.iter().filter(|(_, c)| !c.is_closing());
            let Some((worst, _)) = open.max_by_key(|(_, c)| c.out.pending()) else { break };
            self.close(worst, Close::Slow);
        }
        self.write_at = (self.pending + WRITE_AFTER).min(self.limits.max_pending_total);
    }

    /// Writes what waits for a connection, as far as its socket takes it.
    pub(super) fn write(&mut self, index: u32) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        connection.dirty = false;
        if connection.blocked.is_some() {
            return;
        }
        self.write_unblocked(index);
    }

    fn write_unblocked(&mut self, index: u32) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let before = connection.out.pending();
        let written = connection.out.write(&connection.socket, &mut self.pool);
        self.pending -= before - connection.out.pending();
        match written {
            Ok(Written::All) => connection.blocked = None,
            Ok(Written::Some(0)) => connection.blocked = connection.blocked.or(Some(self.now)),
            Ok(Written::Some(_)) => connection.blocked = Some(self.now),
            Err(_) => return self.close(index, Close::Gone),
        }
        self.watch(index);
    }

    /// The socket takes something again.
    pub(super) fn writable(&mut self, index: u32) {
        self.write_unblocked(index);
        self.relieved(index);
    }

    /// Makes epoll watch what the connection wants now.
    pub(super) fn watch(&mut self, index: u32) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let wanted = connection.wanted();
        if wanted == connection.interest || connection.is_closing() {
            return;
        }
        connection.interest = wanted;
        if self.poller.change(&connection.socket, Token::Connection(index), wanted).is_err() {
            self.close(index, Close::Gone);
        }
    }

    /// Ends a connection: nothing is read or delivered from now on, and its subscriptions are gone,
    /// so that nobody pays for them; the rest happens at the end of the tick.
    pub(super) fn close(&mut self, index: u32, why: Close) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        if connection.is_closing() {
            return;
        }
        if let Some(text) = why.text() {
            let mut line = Vec::with_capacity(64);
            write::err(&mut line, text);
            connection.out.append([&line, b"", b""], &mut self.pool);
            self.pending += line.len();
        }
        match &why {
            Close::Slow => self.counters.slow_consumers += 1,
            Close::Told(Blame::Stale, _) => self.counters.stale_connections += 1,
            Close::Told(Blame::Full, _) => self.counters.refused_connections += 1,
            Close::Told(Blame::Auth, _) => self.counters.auth_errors += 1,
            Close::Told(Blame::Protocol, _) | Close::Silent => self.counters.protocol_errors += 1,
            Close::Gone | Close::Asked => {}
        }
        tracing::debug!(connection.id = connection.cid, reason = ?why, "client is closed");
        if why == Close::Slow {
            // What waited is given up at once: its memory is what the closing is about.
            self.pending -= connection.out.pending();
            connection.out.discard(&mut self.pool);
        }
        if let Phase::SigningIn(abandoned) = &connection.phase {
            abandoned.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        connection.phase = Phase::Closing(why);
        connection.subscribed = 0;
        let subscriptions = std::mem::take(&mut connection.sids);
        self.closing.push(index);
        for id in subscriptions.into_values() {
            self.table.remove(id);
            self.count_remote_subscriptions(-1);
        }
    }

    /// Writes, hands over, closes: everything that the tick put off.
    pub(super) fn end_tick(&mut self) {
        self.hand_out();
        while self.pending > self.limits.max_pending_total {
            self.relieve();
            self.hand_out();
        }
        self.write_at = (self.pending + WRITE_AFTER).min(self.limits.max_pending_total);
    }

    fn hand_out(&mut self) {
        while !(self.dirty.is_empty() && self.dirty_locals.is_empty() && self.closing.is_empty()) {
            self.write_dirty();
            while let Some(index) = self.dirty_locals.pop() {
                if let Some(local) = self.locals.get_mut(index) {
                    local.hand_over();
                }
            }
            while let Some(index) = self.closing.pop() {
                self.bury(index);
            }
        }
    }

    fn write_dirty(&mut self) {
        while let Some(index) = self.dirty.pop() {
            self.write(index);
        }
    }

    /// Writes the last words of a connection and forgets it.
    fn bury(&mut self, index: u32) {
        let Some(mut connection) = self.connections.remove(index) else { return };
        self.pending -= connection.out.pending();
        if connection.blocked.is_none() {
            // Whether it goes or not, this was the last attempt.
            let _ = connection.out.write(&connection.socket, &mut self.pool);
        }
        connection.out.discard(&mut self.pool);
        self.poller.forget(&connection.socket);
        if matches!(&connection.phase, Phase::Closing(Close::Told(..))) {
            drain(&connection);
        }
        self.counters.traffic += connection.traffic;
    }
}

/// Reads what the client sent meanwhile, within bounds: closing a socket with unread input resets
/// the connection, and the client would lose the error text.
fn drain(connection: &Connection) {
    const READS: usize = 32;
    let mut buffer = [0; 32 << 10];
    let _ = rustix::net::shutdown(&connection.socket, rustix::net::Shutdown::Write);
    for _ in 0..READS {
        if !rustix::io::read(&connection.socket, &mut buffer).is_ok_and(|read| read > 0) {
            break;
        }
    }
}
