//! What waits for the engine's thread: calls, batches of the broker, deliveries that found nobody.
//!
//! Owns the only lock between the thread and everybody else. Calls are bounded by the permits of
//! [`Streams`](super::Streams), batches by the broker's limit for in-process clients.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    super::types::{PubAck, Publish, PublishError},
    Engine,
};
use crate::broker::{Batch, LocalClient, LocalSink};

/// Work that runs on the engine's thread.
pub(super) type Job = Box<dyn FnOnce(&mut Engine) + Send>;

pub(super) enum Call {
    Publish(Publish, oneshot::Sender<Result<PubAck, PublishError>>),
    Run(Job),
    Attach(LocalClient),
}

/// All that had gathered.
#[derive(Default)]
pub(super) struct Mail {
    pub(super) calls: Vec<Call>,
    pub(super) batches: Vec<Batch>,
    /// Reply subjects of deliveries that nobody got.
    pub(super) unheard: Vec<Box<[u8]>>,
    /// No call comes after these.
    pub(super) closed: bool,
    /// Nobody reads this any more.
    ended: bool,
}

impl Mail {
    fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.batches.is_empty() && self.unheard.is_empty() && !self.closed
    }
}

#[derive(Default)]
pub(crate) struct Mailbox {
    mail: Mutex<Mail>,
    arrived: Condvar,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False where the engine takes no more calls.
    pub(super) fn call(&self, call: Call) -> bool {
        let mut mail = self.lock();
        if mail.closed {
            return false;
        }
        mail.calls.push(call);
        drop(mail);
        self.arrived.notify_one();
        true
    }

    /// Nobody will take anything any more: who waits for an answer is told, by its end.
    pub(super) fn end(&self) {
        let mut mail = self.lock();
        let left =
            std::mem::replace(&mut *mail, Mail { closed: true, ended: true, ..Mail::default() });
        drop(mail);
        drop(left);
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    /// Everything that came since the last time; waits for it at most `patience`, forever where
    /// there is none.
    pub(super) fn take(&self, patience: Option<Duration>) -> Mail {
        let mut mail = self.lock();
        if mail.is_empty() {
            mail = match patience {
                Some(patience) => {
                    let waited =
                        self.arrived.wait_timeout_while(mail, patience, |mail| mail.is_empty());
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.arrived.wait_while(mail, |mail| mail.is_empty());
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
        let closed = mail.closed;
        std::mem::replace(&mut mail, Mail { closed, ..Mail::default() })
    }
}

/// The mailbox as the broker sees it.
pub(super) struct Sink(pub(super) std::sync::Arc<Mailbox>);

impl LocalSink for Sink {
    fn deliver(&mut self, batch: Batch) {
        let mut mail = self.0.lock();
        if !mail.ended {
            mail.batches.push(batch);
            drop(mail);
            self.0.arrived.notify_one();
        }
    }

    fn undeliverable(&mut self, reply: &[u8]) {
        let mut mail = self.0.lock();
        if !mail.ended {
            mail.unheard.push(reply.into());
            drop(mail);
            self.0.arrived.notify_one();
        }
    }
}
