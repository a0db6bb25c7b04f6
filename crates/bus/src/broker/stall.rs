//! Publishers that are faster than a receiver pause for moments.
//!
//! Without it, a receiver that is merely slower than a fast publisher would be closed as slow. The
//! pauses are short and do not depend on the receiver, so that one that takes nothing cannot stop
//! anybody: a publisher always gets at least one read per pause.

use std::time::{Duration, Instant};

use super::router::Router;

/// How long a publisher pauses.
const PAUSE: Duration = Duration::from_millis(2);

impl Router {
    /// Pauses a client whose publications met a receiver with much waiting.
    pub(super) fn stall_if_crowding(&mut self, index: u32) {
        if !std::mem::take(&mut self.crowding) {
            return;
        }
        let Some(connection) = self.connections.get_mut(index) else { return };
        connection.stalled = Some(self.now + PAUSE);
        self.stalls.push(index);
        self.watch(index);
    }

    /// When the next pause ends.
    pub(super) fn stall_ends(&self) -> Option<Instant> {
        let ends = self.stalls.iter().filter_map(|&index| self.connections.get(index)?.stalled);
        ends.min()
    }

    /// Ends the pauses that are over.
    pub(super) fn end_stalls(&mut self) {
        if !self.stalls.is_empty() {
            let now = self.now;
            self.end_stalls_where(|end| end <= now);
        }
    }

    /// A receiver took something: where little is left, pauses end early.
    pub(super) fn relieved(&mut self, index: u32) {
        let waiting = self.connections.get(index).map_or(0, |c| c.out.pending());
        if !self.stalls.is_empty() && waiting < self.crowded_at / 2 {
            self.end_stalls_where(|_| true);
        }
    }

    fn end_stalls_where(&mut self, over: impl Fn(Instant) -> bool) {
        for index in std::mem::take(&mut self.stalls) {
            let Some(connection) = self.connections.get_mut(index) else { continue };
            match connection.stalled {
                Some(end) if !over(end) => self.stalls.push(index),
                Some(_) => {
                    connection.stalled = None;
                    self.watch(index);
                }
                None => {}
            }
        }
    }
}
