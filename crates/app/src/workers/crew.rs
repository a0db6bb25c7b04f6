//! Workers that start and end together, each in a task that the crew owns.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// How the workers of this process are stopped one by one.
#[derive(Clone, Default)]
pub struct Roster {
    inner: Arc<Mutex<Entries>>,
}

#[derive(Default)]
struct Entries {
    stops: BTreeMap<&'static str, CancellationToken>,
    asked: BTreeSet<&'static str>,
}

impl Roster {
    /// Adds a worker that ends when this token is cancelled.
    fn add(&self, worker: &'static str, stop: CancellationToken) {
        self.with(|entries| entries.stops.insert(worker, stop));
    }

    /// The workers of this process.
    pub fn names(&self) -> Vec<&'static str> {
        self.with(|entries| entries.stops.keys().copied().collect())
    }

    /// Has the worker end; whether it is one of this process.
    pub fn stop(&self, worker: &str) -> bool {
        self.with(|entries| {
            let Some((name, stop)) = entries.stops.get_key_value(worker) else { return false };
            entries.asked.insert(name);
            stop.cancel();
            true
        })
    }

    fn was_asked(&self, worker: &str) -> bool {
        self.with(|entries| entries.asked.contains(worker))
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Entries) -> T) -> T {
        use_it(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Workers that end together.
pub struct Crew {
    roster: Roster,
    stop: CancellationToken,
    tasks: JoinSet<&'static str>,
}

impl Crew {
    /// Nobody yet. Who joins stands on the roster.
    pub fn new(roster: Roster) -> Self {
        Self { roster, stop: CancellationToken::new(), tasks: JoinSet::new() }
    }

    /// Starts a worker.
    pub fn spawn<F>(&mut self, worker: &'static str, run: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.child_token();
        self.roster.add(worker, stop.clone());
        self.spawn_quietly(worker, run(stop));
    }

    /// Starts something that belongs to the crew and is no worker of its own.
    pub fn spawn_quietly(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.tasks.spawn(async move {
            task.await;
            name
        });
    }

    /// Cancelled when the crew ends.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Ends when a worker does that nobody had asked to. Cancel-safe: a join set keeps the
    /// results that are not taken.
    pub async fn ended(&mut self) -> &'static str {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(worker)) if self.roster.was_asked(worker) => {
                    info!(worker, "a worker has stopped, as it was asked to");
                }
                Some(Ok(worker)) => return worker,
                Some(Err(failure)) => {
                    error!(error = &failure as &dyn std::error::Error, "a component panicked");
                    return "a component that panicked";
                }
                None => std::future::pending().await,
            }
        }
    }

    /// Has all of them end, and cuts those that take longer than `grace`.
    pub async fn end(mut self, grace: Duration) {
        self.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all).await.is_err() {
            warn!(
                components = self.tasks.len(),
                "components did not end within the grace period and are cut"
            );
            self.tasks.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_was_asked_to_stop_is_not_missed() {
        let roster = Roster::default();
        let mut crew = Crew::new(roster.clone());
        crew.spawn("a", |stop| async move { stop.cancelled().await });
        crew.spawn("b", |stop| async move { stop.cancelled().await });
        let (broken, fail) = (CancellationToken::new(), CancellationToken::new());
        let failed = fail.clone();
        crew.spawn("c", |_| async move { failed.cancelled().await });
        assert!(roster.stop("a") && !roster.stop("z"));
        assert_eq!(roster.names(), ["a", "b", "c"]);
        fail.cancel();
        assert_eq!(crew.ended().await, "c");
        drop(broken);
        crew.end(Duration::from_secs(5)).await;
    }
}
