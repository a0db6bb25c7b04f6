//! Clients whose input makes much work take turns with the others.
//!
//! One read may bring thousands of frames, and each of them may be work for as many receivers or
//! nodes of the match table. So what a client may have done in one tick is bounded: beyond, the
//! rest of its input waits for its turn, which comes with the next tick, or later where a single
//! frame was too much. Nothing is read from it meanwhile.

use std::time::{Duration, Instant};

use super::{io::Io, router::Router};

/// Work of one turn, in frames, receivers and nodes: about a millisecond. Not less, as what a tick
/// collects for a receiver is one write.
pub(super) const WORK: usize = 1 << 15;
/// What a turn's worth of work beyond the first costs in time.
const PAUSE: Duration = Duration::from_millis(1);
/// The longest that a client waits for its turn.
const LONGEST: Duration = Duration::from_millis(100);

impl Router {
    /// The client has had its turn.
    #[cold]
    pub(super) fn end_turn(&mut self, index: u32) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        if connection.is_closing() || connection.turn.is_some() {
            return;
        }
        let beyond = u32::try_from(self.work / WORK).unwrap_or(u32::MAX).saturating_sub(1);
        connection.turn = Some(self.now + PAUSE.saturating_mul(beyond).min(LONGEST));
        self.turns.push((index, connection.cid));
        self.watch(index);
    }

    /// When the next turn comes.
    pub(super) fn next_turn(&self) -> Option<Instant> {
        let turns = self.turns.iter().filter_map(|&(index, _)| self.connections.get(index)?.turn);
        turns.min()
    }

    /// Takes those out whose turn it is: none that had one in this tick.
    fn take_turns(&mut self) -> Vec<u32> {
        let mut due = Vec::new();
        for (index, cid) in std::mem::take(&mut self.turns) {
            let Some(connection) = self.connections.get_mut(index) else { continue };
            match connection.turn {
                Some(turn) if connection.cid == cid && turn < self.now => {
                    // Not before it may publish again.
                    connection.turn = connection.stalled;
                    match connection.turn {
                        Some(_) => self.turns.push((index, cid)),
                        None => due.push(index),
                    }
                }
                Some(_) if connection.cid == cid => self.turns.push((index, cid)),
                _ => {}
            }
        }
        due
    }
}

impl Io {
    /// Looks at input that waited for its turn.
    pub(super) fn give_turns(&mut self) {
        if self.router.turns.is_empty() {
            return;
        }
        for index in self.router.take_turns() {
            self.resume(index);
            self.router.watch(index);
        }
    }
}
