//! A worker's heartbeat: `system.<worker>.health`.

use std::time::Duration;

use bus::Bus;
use model::{Ambient, Event, Payload, WorkerHealth};
use tokio::time::{Interval, MissedTickBehavior};

/// Time between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// The heart of one worker. The loop that does the work beats it, so that a loop that hangs is
/// heard to.
#[derive(Clone)]
pub struct Pulse {
    worker: &'static str,
    bus: Bus,
    ambient: Ambient,
}

impl Pulse {
    /// A heart for the worker of this name, which is one token of a subject.
    pub fn new(worker: &'static str, bus: Bus, ambient: Ambient) -> Self {
        Self { worker, bus, ambient }
    }

    /// When to beat: at once, then every 30 s; late where the worker is.
    pub fn beats(&self) -> Interval {
        beats_every(HEARTBEAT)
    }

    /// Beats once, with figures by name.
    pub fn beat(&self, figures: impl IntoIterator<Item = (impl Into<String>, u64)>) {
        let figures = figures.into_iter().map(|(name, value)| (name.into(), value)).collect();
        let health = WorkerHealth { worker: self.worker.into(), ts: self.ambient.now(), figures };
        self.bus.publish(&Event::new(&self.ambient, Payload::WorkerHealth(health)));
    }

    /// Runs `work`, which does not beat by itself, and beats while it is not over.
    pub async fn beside<T>(
        &self,
        work: impl Future<Output = T>,
        figures: impl Fn() -> Vec<(&'static str, u64)>,
    ) -> T {
        let mut beats = self.beats();
        let mut work = std::pin::pin!(work);
        loop {
            // Cancel-safe: the work goes on where it was, an interval keeps its tick.
            tokio::select! {
                done = &mut work => return done,
                _ = beats.tick() => self.beat(figures()),
            }
        }
    }
}

/// Ticks at once and then every `period`; a late tick moves the later ones.
pub(super) fn beats_every(period: Duration) -> Interval {
    let mut beats = tokio::time::interval(period);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beats
}
