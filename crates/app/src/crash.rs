//! Crash points: named places where a test can make the process die as by SIGKILL. Compiled in
//! with the feature `crash-points` only; otherwise a call is nothing.

/// Dies here if `MORGANA_CRASH_AT` names this point; with `name:n` at its n-th passing.
#[cfg(feature = "crash-points")]
pub fn crash_point(name: &str) {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };

    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);

    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("MORGANA_CRASH_AT").ok()?;
        let (point, nth) = text.split_once(':').unwrap_or((&text, "1"));
        Some((point.to_owned(), nth.parse().expect("MORGANA_CRASH_AT is name or name:n")))
    });
    if let Some((point, nth)) = wanted
        && point == name
        && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *nth
    {
        // Nothing runs after an abort: no destructor, no flush, no handler of ours.
        std::process::abort();
    }
}

/// Nothing: this build has no crash points.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub fn crash_point(_name: &str) {}
