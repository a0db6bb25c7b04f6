//! A broker that is about to end: who must go when. Pure.

use std::time::{Duration, Instant};

/// The plan of a lame duck.
#[derive(Debug)]
pub(super) struct LameDuck {
    begins: Instant,
    spread: Duration,
    clients: usize,
    closed: usize,
}

impl LameDuck {
    pub(super) fn new(now: Instant, grace: Duration, spread: Duration, clients: usize) -> Self {
        Self { begins: now + grace, spread, clients, closed: 0 }
    }

    /// How many clients more must go now, so that all are gone `spread` after the grace.
    pub(super) fn due(&mut self, now: Instant) -> usize {
        let Some(elapsed) = now.checked_duration_since(self.begins) else { return 0 };
        let part = (elapsed.as_secs_f64() / self.spread.as_secs_f64().max(1e-9)).min(1.0);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        let target = ((self.clients as f64) * part).ceil() as usize;
        let due = target.saturating_sub(self.closed);
        self.closed += due;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_go_evenly_after_the_grace() {
        let start = Instant::now();
        let seconds = Duration::from_secs;
        let mut duck = LameDuck::new(start, seconds(10), seconds(10), 5);
        let due: Vec<_> = [0, 9, 12, 14, 20, 30].map(|s| duck.due(start + seconds(s))).into();
        assert_eq!(due, [0, 0, 1, 1, 3, 0]);
    }
}
