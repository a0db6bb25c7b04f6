//! A thread that looks after an input which never ends: it cannot be stopped, so it is written
//! down and the process ends.

use std::{
    path::Path,
    process,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use crate::corpus;

/// How long one input may run, whatever else the machine does.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// Watches until it is dropped.
pub(crate) struct Watchdog {
    running: Running,
    thread: Option<thread::JoinHandle<()>>,
    stop: Option<mpsc::Sender<()>>,
}

type Running = Arc<Mutex<Option<(Instant, Vec<u8>)>>>;

/// The watch over one input.
pub(crate) struct Watch<'a>(&'a Running);

impl Watchdog {
    pub(crate) fn start(target: &'static str, found: &Path) -> Self {
        let running = Running::default();
        let (stop, stopped) = mpsc::channel::<()>();
        let (watched, found) = (running.clone(), found.to_owned());
        let thread = thread::spawn(move || {
            let timeout = Err(mpsc::RecvTimeoutError::Timeout);
            while stopped.recv_timeout(Duration::from_secs(1)) == timeout {
                look(target, &found, &watched);
            }
        });
        Self { running, thread: Some(thread), stop: Some(stop) }
    }

    pub(crate) fn watch(&self, input: &[u8]) -> Watch<'_> {
        *lock(&self.running) = Some((Instant::now(), input.to_vec()));
        Watch(&self.running)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Only a failure to write to standard error makes it panic; nothing is lost.
            let _ = thread.join();
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        *lock(self.0) = None;
    }
}

fn lock(running: &Running) -> MutexGuard<'_, Option<(Instant, Vec<u8>)>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

fn look(target: &str, found: &Path, running: &Running) {
    if let Some((since, input)) = &*lock(running)
        && since.elapsed() > HANGS_AFTER
    {
        let place = corpus::save(found, target, input);
        eprintln!("{target}: an input runs for more than {HANGS_AFTER:?}: {place:?}");
        process::exit(1);
    }
}
