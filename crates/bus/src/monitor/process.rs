//! What the kernel says about this process.

/// Linux shows times in hundredths of a second whatever it counts in (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Bytes of memory that it holds; 0 where nobody tells.
pub(super) fn memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

/// Seconds of processor time that it spent; 0 where nobody tells.
pub(super) fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    ticks(&stat).unwrap_or_default() / TICKS_PER_SECOND
}

/// Fields 14 and 15; the second is a name that may hold anything, and ends with the last `)`.
fn ticks(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut times = after_name.split(' ').skip(11);
    let (user, system) = (times.next()?, times.next()?);
    Some(user.parse::<f64>().ok()? + system.parse::<f64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 9 0 0";
        assert_eq!(ticks(stat), Some(300.0));
        assert_eq!(ticks("7 (a"), None);
        assert!(memory_bytes() > 0 && processor_seconds() >= 0.0);
    }
}
