//! Who is alive, by what was heard. Pure: the time is handed in.

use std::{collections::BTreeMap, time::Duration};

use api::{WorkerState, WorkerStatus};
use model::{Timestamp, WorkerHealth};

/// A worker that was not heard for this long is stale: three heartbeats were missed.
pub const STALE_AFTER: Duration = Duration::from_secs(90);
/// Workers that are known at most; further ones are not listed.
const MAX_WORKERS: usize = 256;
/// Figures of one worker that are kept at most.
const MAX_FIGURES: usize = 64;
/// The bus itself, which carries the order to stop and so cannot follow it.
pub(super) const BUS: &str = "bus";

/// All workers that should be there or were heard.
#[derive(Default)]
pub struct Registry {
    workers: BTreeMap<String, Worker>,
}

#[derive(Default)]
struct Worker {
    heard_at: Option<Timestamp>,
    figures: BTreeMap<String, u64>,
    stopped_by: Option<String>,
}

impl Registry {
    /// Takes note of a worker that should be there.
    pub fn expect(&mut self, worker: &str) {
        self.workers.entry(worker.into()).or_default();
    }

    /// Takes note of a heartbeat of `worker`, heard at `now`: the clocks of others do not count.
    pub fn hear(&mut self, worker: &str, health: WorkerHealth, now: Timestamp) {
        if self.workers.len() >= MAX_WORKERS && !self.workers.contains_key(worker) {
            return;
        }
        let figures = health.figures.into_iter().take(MAX_FIGURES).collect();
        let heard = Worker { heard_at: Some(now), figures, stopped_by: None };
        self.workers.insert(worker.into(), heard);
    }

    /// Takes note that `worker` was stopped.
    pub fn stopped(&mut self, worker: &str, by: &str) {
        if let Some(worker) = self.workers.get_mut(worker) {
            worker.stopped_by = Some(by.into());
        }
    }

    /// All workers by name, as they are at `now`.
    pub fn list(&self, now: Timestamp) -> Vec<WorkerStatus> {
        self.workers.iter().map(|(name, worker)| worker.status(name, now)).collect()
    }
}

impl Worker {
    fn status(&self, name: &str, now: Timestamp) -> WorkerStatus {
        WorkerStatus {
            worker: name.into(),
            state: self.state(now),
            heard_at: self.heard_at,
            stopped_by: self.stopped_by.clone(),
            can_stop: name != BUS && self.stopped_by.is_none(),
            figures: self.figures.clone(),
        }
    }

    fn state(&self, now: Timestamp) -> WorkerState {
        match (self.heard_at, &self.stopped_by) {
            (_, Some(_)) => WorkerState::Stopped,
            (None, None) => WorkerState::Unknown,
            (Some(at), None) if at.plus(STALE_AFTER) <= now => WorkerState::Stale,
            (Some(_), None) => WorkerState::Ok,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn health(worker: &str) -> WorkerHealth {
        let figures = [("applied_total".to_owned(), 3)].into();
        WorkerHealth { worker: worker.into(), ts: at(0), figures }
    }

    fn state(registry: &Registry, now: i64) -> WorkerState {
        registry.list(at(now))[0].state
    }

    #[test]
    fn a_worker_is_unknown_then_ok_then_stale() {
        let mut registry = Registry::default();
        registry.expect("mutator");
        assert_eq!(state(&registry, 1000), WorkerState::Unknown);
        registry.hear("mutator", health("mutator"), at(1000));
        for (now, expected) in [
            (1000, WorkerState::Ok),
            (1089, WorkerState::Ok),
            (1090, WorkerState::Stale),
            (900, WorkerState::Ok), // the clock was set back
        ] {
            assert_eq!(state(&registry, now), expected, "at {now}");
        }
        assert_eq!(registry.list(at(1000))[0].figures["applied_total"], 3);
    }

    #[test]
    fn a_stopped_worker_is_stopped_until_it_is_heard_again() {
        let mut registry = Registry::default();
        registry.hear("mutator", health("mutator"), at(0));
        registry.stopped("mutator", "ada");
        let status = &registry.list(at(1))[0];
        assert_eq!((status.state, status.can_stop), (WorkerState::Stopped, false));
        assert_eq!(status.stopped_by.as_deref(), Some("ada"));
        registry.hear("mutator", health("mutator"), at(2));
        assert_eq!(state(&registry, 3), WorkerState::Ok);
        registry.stopped("nobody", "ada");
        assert_eq!(registry.list(at(3)).len(), 1);
    }

    #[test]
    fn a_flood_of_names_is_bounded_and_forgets_nobody() {
        let mut registry = Registry::default();
        registry.expect("mutator");
        for n in 0..1000 {
            registry.hear(&format!("w{n}"), health("w"), at(0));
        }
        registry.hear("mutator", health("mutator"), at(1));
        assert_eq!(registry.list(at(1)).len(), MAX_WORKERS);
        assert!(registry.list(at(1)).iter().any(|w| w.worker == "mutator" && w.heard_at.is_some()));
    }

    #[test]
    fn the_bus_cannot_be_stopped_over_itself() {
        let mut registry = Registry::default();
        registry.expect(BUS);
        assert!(!registry.list(at(0))[0].can_stop);
    }
}
