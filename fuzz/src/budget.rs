//! What one input may cost: processor time of its thread and memory of the process, as Linux
//! counts them. Where it does not say, wall time stands in and memory goes unwatched.

use std::{
    fs,
    time::{Duration, Instant},
};

/// Processor time for one input. Every input runs several times over, cut in several ways.
const MAX_TIME: Duration = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 2 });

/// How much the process may grow under one input. A session may hold one full output (8 MiB),
/// the buffers of its protocol and, in a shell, 16 MiB that one line writes; several run at once.
const MAX_GROWTH_KIB: u64 = 192 << 10;

/// A meter that runs while an input does.
pub(crate) struct Meter {
    started: Instant,
    busy: Option<Duration>,
    resident: Option<u64>,
}

impl Meter {
    pub(crate) fn start() -> Self {
        // "5" sets the peak back to what is resident now; proc(5), clear_refs.
        let watched = fs::write("/proc/self/clear_refs", "5").is_ok();
        let resident = if watched { status_kib("VmHWM:") } else { None };
        Self { started: Instant::now(), busy: busy(), resident }
    }

    /// What the input cost too much of, if anything.
    pub(crate) fn verdict(self) -> Option<String> {
        let wall = self.started.elapsed();
        let time = match (self.busy, busy()) {
            (Some(before), Some(after)) => after.saturating_sub(before),
            _ => wall,
        };
        if time > MAX_TIME {
            return Some(format!("took {time:.1?} of processor time, more than {MAX_TIME:?}"));
        }
        let grown = status_kib("VmHWM:")?.saturating_sub(self.resident?);
        (grown > MAX_GROWTH_KIB)
            .then(|| format!("made the process grow by {grown} KiB, more than {MAX_GROWTH_KIB}"))
    }
}

/// Time that this thread has spent on a processor.
fn busy() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

fn status_kib(field: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(field))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_within_the_budget_and_much_memory_is_not() {
        assert_eq!(Meter::start().verdict(), None);
        let meter = Meter::start();
        let large = vec![1_u8; (MAX_GROWTH_KIB as usize + 4096) << 10];
        std::hint::black_box(&large);
        assert!(meter.verdict().is_some_and(|why| why.contains("KiB")));
    }
}
