//! What is to be written: frames of all callers in one buffer, taken by the connection's task as a
//! whole, so that many messages leave in one write.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, oneshot};

use super::Closed;
use crate::proto::write;

/// Bytes that may wait before a publisher has to. What is larger than the rest of the room still
/// goes in whole, so at most one message more waits.
const MAX_WAITING_BYTES: usize = 1 << 20;
/// PONGs that may wait: a server that asks so often and reads nothing is none to stay with.
const MAX_WAITING_PONGS: usize = 1024;

/// The buffer and the flushes that wait for it.
#[derive(Default, Debug)]
pub(super) struct Outbound {
    queue: Mutex<Queue>,
    /// Wakes the connection's task.
    filled: Notify,
    /// Wakes publishers.
    room: Notify,
}

#[derive(Default, Debug)]
struct Queue {
    bytes: Vec<u8>,
    /// How many of `bytes` are PONGs.
    pongs_due: usize,
    /// Who waits for the answers to the PINGs that were sent, in their order.
    pongs: VecDeque<Option<oneshot::Sender<()>>>,
    closing: bool,
    closed: Option<Closed>,
}

impl Outbound {
    /// Held for a few instructions only, never across anything that waits.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends frames at once, however much waits: for what is small and must not be refused.
    pub(super) fn push(&self, frames: impl FnOnce(&mut Vec<u8>)) -> Result<(), Closed> {
        let queue = self.queue();
        queue.open()?;
        self.append(queue, frames);
        Ok(())
    }

    /// Answers a PING. False where too many answers wait to be written.
    pub(super) fn pong(&self) -> bool {
        let mut queue = self.queue();
        if queue.pongs_due == MAX_WAITING_PONGS {
            return false;
        }
        // What is being closed answers nothing.
        if queue.open().is_ok() {
            queue.pongs_due += 1;
            self.append(queue, write::pong);
        }
        true
    }

    /// Appends frames once there is room.
    pub(super) async fn push_with_room(
        &self,
        frames: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Closed> {
        loop {
            let room = self.room.notified();
            {
                let queue = self.queue();
                queue.open()?;
                if queue.bytes.len() < MAX_WAITING_BYTES {
                    self.append(queue, frames);
                    return Ok(());
                }
            }
            // `notify_waiters` wakes every future that was made before it, so room that came
            // since the look is not missed.
            room.await;
        }
    }

    /// A PING; the receiver hears of its answer.
    pub(super) fn ping(&self) -> Result<oneshot::Receiver<()>, Closed> {
        let (answered, waited) = oneshot::channel();
        let mut queue = self.queue();
        queue.open()?;
        queue.pongs.push_back(Some(answered));
        self.append(queue, write::ping);
        Ok(waited)
    }

    /// A PING of the task itself.
    pub(super) fn keep_alive(&self) {
        let mut queue = self.queue();
        queue.pongs.push_back(None);
        write::ping(&mut queue.bytes);
    }

    fn append(&self, mut queue: MutexGuard<'_, Queue>, frames: impl FnOnce(&mut Vec<u8>)) {
        let first = queue.bytes.is_empty();
        frames(&mut queue.bytes);
        drop(queue);
        if first {
            self.filled.notify_one();
        }
    }

    /// A PONG came in. False where nobody asked for it.
    pub(super) fn answered(&self) -> bool {
        let Some(waiting) = self.queue().pongs.pop_front() else {
            return false;
        };
        // Fails only where the caller has gone.
        waiting.map(|waiting| waiting.send(()));
        true
    }

    /// Swaps what waits into `into`, which is empty, and makes room. The connection's task only.
    pub(super) fn take(&self, into: &mut Vec<u8>) {
        let mut queue = self.queue();
        queue.pongs_due = 0;
        std::mem::swap(&mut queue.bytes, into);
        drop(queue);
        if !into.is_empty() {
            self.room.notify_waiters();
        }
    }

    /// Returns once something waits. Cancel-safe; one waiter.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Nothing may follow; what waits is still written.
    pub(super) fn close(&self) {
        self.queue().closing = true;
        self.room.notify_waiters();
    }

    /// The connection is over.
    pub(super) fn end(&self, why: Closed) {
        let mut queue = self.queue();
        queue.closed.get_or_insert(why);
        queue.bytes = Vec::new();
        queue.pongs.clear();
        drop(queue);
        self.room.notify_waiters();
    }

    /// Why nothing can be sent; `None` on an open connection.
    pub(super) fn why_closed(&self) -> Option<Closed> {
        self.queue().open().err()
    }
}

impl Queue {
    fn open(&self) -> Result<(), Closed> {
        match &self.closed {
            Some(why) => Err(why.clone()),
            None if self.closing => Err(Closed::Here),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_to_pings_are_bounded_until_they_are_written() {
        let outbound = Outbound::default();
        for _ in 0..2 {
            for _ in 0..MAX_WAITING_PONGS {
                assert!(outbound.pong());
            }
            assert!(!outbound.pong());
            let mut written = Vec::new();
            outbound.take(&mut written);
            assert_eq!(written, b"PONG\r\n".repeat(MAX_WAITING_PONGS));
        }
    }
}
