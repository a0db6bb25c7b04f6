//! Crash points: named places where a test can hold the process until it kills it. Compiled in
//! with the feature `crash-points` only; otherwise a call is nothing.

/// If `MORGANA_CRASH_AT` names this point (with `name:n`, at its n-th passing): says so on
/// standard error and goes no further, until whoever asked for it sends SIGKILL.
pub(crate) fn crash_point(name: &str) {
    crash_points(name, 1);
}

/// Passes the point as often as it can, at most `times`; answers how often. Where the process is
/// to be held at the next passing it goes no further.
#[cfg(feature = "crash-points")]
pub(crate) fn crash_points(name: &str, times: usize) -> usize {
    use std::sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    };

    static WANTED: OnceLock<Option<(String, usize)>> = OnceLock::new();
    static PASSED: AtomicUsize = AtomicUsize::new(0);

    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("MORGANA_CRASH_AT").ok()?;
        let (point, nth) = text.split_once(':').unwrap_or((&text, "1"));
        Some((point.to_owned(), nth.parse().expect("MORGANA_CRASH_AT is name or name:n")))
    });
    let Some((_, nth)) = wanted.as_ref().filter(|(point, _)| point == name) else { return times };
    let can = |passed: usize| match passed < *nth {
        true => times.min(nth - 1 - passed),
        false => times,
    };
    let pass = |passed: usize| Some(passed + can(passed).max(1));
    let before = PASSED.fetch_update(Ordering::SeqCst, Ordering::SeqCst, pass);
    let passed = before.map_or(times, can);
    if passed == 0 {
        eprintln!("crash point {name}");
        stand_still();
    }
    passed
}

/// Nothing: this build has no crash points.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub(crate) fn crash_points(_name: &str, times: usize) -> usize {
    times
}

/// Holds the caller's task and nothing else. A worker of the runtime first gives away what it
/// still has to do: the task that it would run next, and the waiting for sockets, are no one
/// else's to take, and a thread that merely parked would hold visitors at a random place too.
#[cfg(feature = "crash-points")]
fn stand_still() -> ! {
    use tokio::runtime::{Handle, RuntimeFlavor};

    let park = || {
        loop {
            std::thread::park();
        }
    };
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(park),
        _ => park(),
    }
}
