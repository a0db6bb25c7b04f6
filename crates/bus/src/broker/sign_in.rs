//! Where clients prove who they are: a thread of its own, because a password takes long.
//!
//! The queue to it is bounded; while a client waits there, nothing is read from it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use super::command::{Command, CommandQueue};
use crate::{
    auth::{Auth, Peer},
    proto::ConnectOptions,
};

/// One client that says who it is.
#[derive(Debug)]
pub(super) struct SignIn {
    pub(super) index: u32,
    pub(super) cid: u64,
    pub(super) auth: Arc<Auth>,
    pub(super) options: ConnectOptions,
    pub(super) nonce: Option<Box<str>>,
    pub(super) peer: Peer,
    /// The client does not wait any more.
    pub(super) abandoned: Arc<AtomicBool>,
}

/// The way to the authenticating thread, which ends with it.
#[derive(Debug)]
pub(super) struct Desk {
    waiting: SyncSender<SignIn>,
}

impl Desk {
    /// Starts the thread; answers come by `answers`.
    pub(super) fn open(
        max_waiting: usize,
        answers: Arc<CommandQueue>,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let (waiting, jobs) = sync_channel(max_waiting);
        let thread = std::thread::Builder::new().name("bus-auth".into());
        let thread = thread.spawn(move || serve(&jobs, &answers))?;
        Ok((Self { waiting }, thread))
    }

    /// False where too many wait already.
    pub(super) fn submit(&self, sign_in: SignIn) -> bool {
        self.waiting.try_send(sign_in).is_ok()
    }
}

fn serve(jobs: &Receiver<SignIn>, answers: &CommandQueue) {
    for SignIn { index, cid, auth, options, nonce, peer, abandoned } in jobs {
        if abandoned.load(Ordering::Relaxed) {
            continue;
        }
        let nonce = nonce.as_deref().unwrap_or_default();
        let outcome = auth.authenticate(&options, nonce.as_bytes(), &peer);
        answers.push(Command::SignedIn { index, cid, options: Box::new(options), outcome });
    }
}
