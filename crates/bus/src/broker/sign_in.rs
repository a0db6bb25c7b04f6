//! Where clients prove who they are: threads of their own, because a password takes long.
//!
//! What is quick to check never waits for what is slow, so there are two lanes. Both are bounded
//! and [fair](super::fair): who signs in often keeps only himself waiting. While a client waits
//! there, nothing is read from it.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use super::{
    command::{Command, CommandQueue},
    fair::Fair,
};
use crate::{
    auth::{Auth, AuthError, Peer, User},
    proto::ConnectOptions,
};

/// Threads for slow checks. Few: they are for the processor, and it has other work.
const SLOW_THREADS: usize = 2;

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

/// The way to the authenticating threads, which end with it.
#[derive(Debug)]
pub(super) struct Desk {
    lanes: Arc<Lanes>,
}

#[derive(Debug)]
struct Lanes {
    quick: Lane,
    slow: Lane,
    answers: Arc<CommandQueue>,
}

#[derive(Debug)]
struct Lane {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug)]
struct Waiting {
    sign_ins: Fair<SignIn>,
    closed: bool,
}

impl Desk {
    /// Starts the threads, with room for `max_waiting` in each lane; answers come by `answers`.
    pub(super) fn open(
        max_waiting: usize,
        answers: Arc<CommandQueue>,
    ) -> io::Result<(Self, Vec<JoinHandle<()>>)> {
        let (quick, slow) = (Lane::new(max_waiting), Lane::new(max_waiting));
        let desk = Self { lanes: Arc::new(Lanes { quick, slow, answers }) };
        let mut threads = vec![desk.spawn("bus-auth", Lanes::serve_quick)?];
        for _ in 0..SLOW_THREADS {
            threads.push(desk.spawn("bus-password", Lanes::serve_slow)?);
        }
        Ok((desk, threads))
    }

    fn spawn(&self, name: &str, serve: fn(&Lanes)) -> io::Result<JoinHandle<()>> {
        let lanes = Arc::clone(&self.lanes);
        std::thread::Builder::new().name(name.into()).spawn(move || serve(&lanes))
    }

    /// Has it checked; where too many wait, it or another is refused.
    pub(super) fn submit(&self, sign_in: SignIn) {
        self.lanes.push(&self.lanes.quick, sign_in);
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.lanes.quick.close();
        self.lanes.slow.close();
    }
}

impl Lanes {
    fn push(&self, lane: &Lane, sign_in: SignIn) {
        if let Some(refused) = lane.push(sign_in) {
            self.answer(refused, Err(AuthError::Busy));
        }
    }

    fn serve_quick(&self) {
        while let Some(sign_in) = self.quick.next() {
            let SignIn { auth, options, peer, .. } = &sign_in;
            match auth.authenticate_at_once(options, sign_in.nonce(), peer) {
                Some(outcome) => self.answer(sign_in, outcome),
                None => self.push(&self.slow, sign_in),
            }
        }
    }

    fn serve_slow(&self) {
        while let Some(sign_in) = self.slow.next() {
            let SignIn { auth, options, peer, .. } = &sign_in;
            let outcome = auth.authenticate(options, sign_in.nonce(), peer);
            self.answer(sign_in, outcome);
        }
    }

    fn answer(&self, sign_in: SignIn, outcome: Result<Arc<User>, AuthError>) {
        let SignIn { index, cid, options, .. } = sign_in;
        self.answers.push(Command::SignedIn { index, cid, options: Box::new(options), outcome });
    }
}

impl SignIn {
    fn nonce(&self) -> &[u8] {
        self.nonce.as_deref().unwrap_or_default().as_bytes()
    }
}

impl Lane {
    fn new(most: usize) -> Self {
        let waiting = Waiting { sign_ins: Fair::new(most), closed: false };
        Self { waiting: Mutex::new(waiting), changed: Condvar::new() }
    }

    /// Returns the one for which there is no room.
    fn push(&self, sign_in: SignIn) -> Option<SignIn> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let source = sign_in.peer.address.into();
        let refused = waiting.sign_ins.push(source, sign_in);
        drop(waiting);
        self.changed.notify_one();
        refused
    }

    /// The next whose client still waits; none where the desk is closed.
    fn next(&self) -> Option<SignIn> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while !waiting.closed {
            match waiting.sign_ins.pop() {
                Some(sign_in) if sign_in.abandoned.load(Ordering::Relaxed) => {}
                Some(sign_in) => return Some(sign_in),
                None => {
                    waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        None
    }

    fn close(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::auth::{Account, AuthRules, Login, PeerAddress, UserRule};

    fn auth() -> Arc<Auth> {
        let hash = bcrypt::hash("slow", 8).unwrap();
        let users = [("hashed", hash.as_str()), ("plain", "quick")].map(|(name, pass)| UserRule {
            name: name.into(),
            login: Login::Password(pass.into()),
            permissions: None,
            account: Account::MAIN,
        });
        Arc::new(Auth::new(AuthRules { users: users.into(), ..AuthRules::default() }).unwrap())
    }

    /// Who signs in, each from the address of his number, and who is answered in what order.
    fn answers(max_waiting: usize, sign_ins: &[(&str, &str, u8)]) -> Vec<(u64, bool)> {
        let answers = Arc::new(CommandQueue::new(0).unwrap());
        let (desk, threads) = Desk::open(max_waiting, Arc::clone(&answers)).unwrap();
        let auth = auth();
        for (cid, (user, pass, host)) in (0..).zip(sign_ins) {
            let address = PeerAddress::Tcp(([127, 0, 0, *host], 1).into());
            desk.submit(SignIn {
                index: 0,
                cid,
                auth: Arc::clone(&auth),
                options: ConnectOptions {
                    user: Some((*user).into()),
                    pass: Some((*pass).into()),
                    ..ConnectOptions::default()
                },
                nonce: None,
                peer: Peer { address, tls: false },
                abandoned: Arc::default(),
            });
        }
        let (mut got, mut commands) = (Vec::new(), Vec::new());
        let deadline = Instant::now() + Duration::from_secs(60);
        while got.len() < sign_ins.len() {
            answers.take(&mut commands);
            got.extend(commands.drain(..).map(|command| match command {
                Command::SignedIn { cid, outcome, .. } => (cid, outcome.is_ok()),
                _ => panic!("only answers are expected"),
            }));
            assert!(Instant::now() < deadline, "only these were answered: {got:?}");
            std::thread::yield_now();
        }
        drop(desk);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        got
    }

    #[test]
    fn who_floods_keeps_only_himself_waiting() {
        const FLOOD: usize = 6;
        let mut sign_ins = vec![("hashed", "wrong", 1); FLOOD];
        sign_ins.extend([("plain", "quick", 2), ("hashed", "slow", 3)]);
        let order = answers(100, &sign_ins);
        let place = |at| order.iter().position(|answer| *answer == (at as u64, true)).unwrap();
        assert!(place(FLOOD) < FLOOD, "a plain password does not wait for hashes: {order:?}");
        assert!(place(FLOOD + 1) < FLOOD, "an honest client waits for a turn only: {order:?}");
        assert_eq!(order.iter().filter(|(_, proven)| *proven).count(), 2);
    }

    #[test]
    fn for_whom_there_is_no_room_is_refused() {
        let sign_ins = [("hashed", "slow", 1); 3];
        assert!(answers(0, &sign_ins).iter().all(|(_, proven)| !proven));
    }
}
