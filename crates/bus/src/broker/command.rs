//! The way into the I/O thread: a queue of commands and an eventfd that wakes it.
//!
//! Any thread may push; only the I/O thread takes. Bounded in bytes of messages; a command that
//! carries no message is small and always gets in, as refusing it would leave state behind.

use std::{
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::oneshot;

use super::{
    AdoptedPeer, LocalOptions, LocalSink,
    batch::{Outgoing, OutgoingBatch},
    stats::BrokerStats,
};
use crate::{
    auth::{Auth, AuthError, User},
    proto::ConnectOptions,
};

/// What others ask of the I/O thread.
pub(super) enum Command {
    OpenLocal {
        id: u64,
        options: LocalOptions,
        sink: Box<dyn LocalSink>,
    },
    CloseLocal {
        id: u64,
    },
    Publish {
        id: u64,
        message: Outgoing,
    },
    PublishBatch {
        id: u64,
        batch: OutgoingBatch,
    },
    Subscribe {
        id: u64,
        sid: u64,
        filter: Box<[u8]>,
        group: Option<Box<[u8]>>,
    },
    Unsubscribe {
        id: u64,
        sid: u64,
        max: Option<u64>,
    },
    Flush {
        done: oneshot::Sender<()>,
    },
    SignedIn {
        index: u32,
        cid: u64,
        options: Box<ConnectOptions>,
        outcome: Result<Arc<User>, AuthError>,
    },
    Adopt {
        stream: UnixStream,
        peer: AdoptedPeer,
    },
    Stats {
        reply: oneshot::Sender<BrokerStats>,
    },
    SetAuth {
        auth: Arc<Auth>,
    },
    LameDuck {
        grace: Duration,
        spread: Duration,
    },
    CloseConnection {
        cid: u64,
    },
    Open,
    Stop,
}

/// The queue; shared by everything that talks to the broker.
#[derive(Debug)]
pub(super) struct CommandQueue {
    waiting: Mutex<Waiting>,
    wake: OwnedFd,
    max_bytes: usize,
    remote_subscriptions: AtomicUsize,
    subscriptions: AtomicUsize,
}

#[derive(Default)]
struct Waiting {
    commands: Vec<Command>,
    bytes: usize,
    closed: bool,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("commands", &self.commands.len()).finish_non_exhaustive()
    }
}

impl CommandQueue {
    pub(super) fn new(max_bytes: usize) -> std::io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let waiting = Mutex::default();
        let (remote_subscriptions, subscriptions) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Ok(Self { waiting, wake, max_bytes, remote_subscriptions, subscriptions })
    }

    /// Adds a command that carries no message. Without effect once the I/O thread ended.
    pub(super) fn push(&self, command: Command) -> bool {
        self.push_sized(command, 0)
    }

    /// Adds a command with messages of `bytes` together; false where it did not get in.
    pub(super) fn push_sized(&self, command: Command, bytes: usize) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.closed || (bytes > 0 && waiting.bytes.saturating_add(bytes) > self.max_bytes) {
            return false;
        }
        waiting.bytes += bytes;
        waiting.commands.push(command);
        let first = waiting.commands.len() == 1;
        drop(waiting);
        if first {
            self.wake();
        }
        true
    }

    /// Takes all that waits into `into`, which is empty. The I/O thread only.
    pub(super) fn take(&self, into: &mut Vec<Command>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut waiting.commands, into);
        waiting.bytes = 0;
    }

    /// Refuses everything from now on and returns what still waited.
    pub(super) fn close(&self) -> Vec<Command> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.closed = true;
        std::mem::take(&mut waiting.commands)
    }

    /// Readable while commands wait.
    pub(super) fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Makes [`CommandQueue::wake_fd`] unreadable until the next command.
    pub(super) fn woken(&self) {
        // It fails only where nothing was written, which is as good.
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
    }

    pub(super) fn set_subscriptions(&self, count: usize) {
        self.subscriptions.store(count, Ordering::Relaxed);
    }

    pub(super) fn subscriptions(&self) -> usize {
        self.subscriptions.load(Ordering::Relaxed)
    }

    pub(super) fn set_remote_subscriptions(&self, count: usize) {
        self.remote_subscriptions.store(count, Ordering::Relaxed);
    }

    pub(super) fn has_remote_interest(&self) -> bool {
        self.remote_subscriptions.load(Ordering::Relaxed) > 0
    }

    fn wake(&self) {
        // It fails only where the counter is full, and then the thread is awake.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}
