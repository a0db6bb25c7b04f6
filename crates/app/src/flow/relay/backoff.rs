//! How long to wait before another try.

use std::time::Duration;

use model::Ambient;

/// The wait after the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(60);

/// The wait after so many failures in a row: it doubles, and its second half is by chance, so
/// that many who failed together do not try again together.
pub(super) fn wait(failures: u32, ambient: &Ambient) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    let chance = f64::from(u32::from_be_bytes(ambient.bytes::<4>())) / f64::from(u32::MAX);
    whole.mul_f64(0.5 + chance / 2.0)
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_differ() {
        let ambient = Ambient::seeded(3, Timestamp::from_micros(0));
        for (failures, most) in [(0, 1), (1, 1), (2, 2), (3, 4), (7, 60), (40, 60), (u32::MAX, 60)]
        {
            let most = Duration::from_secs(most);
            let waits: Vec<_> = (0..50).map(|_| wait(failures, &ambient)).collect();
            assert!(waits.iter().all(|wait| (most / 2..=most).contains(wait)), "{failures}");
            assert!(waits.iter().any(|wait| *wait != waits[0]), "{failures}");
        }
    }
}
