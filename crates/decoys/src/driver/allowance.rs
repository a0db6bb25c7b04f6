//! How much may be answered to addresses that nobody has verified.
//!
//! Whoever forges a source address must not get more sent there than the forger sends himself.
//! What is answered beyond the size of the datagram that was asked is therefore taken from two
//! buckets, one of the source address and one of all; both fill slowly. Where one is empty the
//! answer is not sent, and looks like one that was lost on the way: a client asks again.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Most source addresses that are kept in mind. Beyond it, those whose bucket is full again are
/// forgotten; where there are none, a further address gets nothing beyond what it sends.
const MAX_SOURCES: usize = 4_096;

/// How a bucket is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// How many bytes it holds.
    pub burst: u32,
    /// How many bytes flow into it each second.
    pub per_second: u32,
}

/// The buckets. The lock is held for arithmetic only.
pub(super) struct Allowance {
    of_source: Bucket,
    of_all: Bucket,
    levels: Mutex<Levels>,
}

struct Levels {
    all: Level,
    sources: HashMap<IpAddr, Level>,
}

#[derive(Clone, Copy)]
struct Level {
    bytes: f64,
    at: Instant,
}

impl Allowance {
    pub(super) fn new(of_source: Bucket, of_all: Bucket) -> Self {
        let all = of_all.full(Instant::now());
        let levels = Mutex::new(Levels { all, sources: HashMap::new() });
        Self { of_source, of_all, levels }
    }

    /// Takes `bytes` for an answer to `source`; whether there were so many.
    pub(super) fn take(&self, source: IpAddr, bytes: usize, now: Instant) -> bool {
        if bytes == 0 {
            return true;
        }
        let mut levels = self.levels();
        if levels.sources.len() >= MAX_SOURCES && !levels.sources.contains_key(&source) {
            let full = f64::from(self.of_source.burst);
            levels.sources.retain(|_, level| self.of_source.at(*level, now).bytes < full);
            if levels.sources.len() >= MAX_SOURCES {
                return false;
            }
        }
        let bytes = bytes as f64;
        let all = self.of_all.at(levels.all, now);
        let of_source = levels.sources.get(&source).copied();
        let of_source = self.of_source.at(of_source.unwrap_or(self.of_source.full(now)), now);
        let is_enough = all.bytes >= bytes && of_source.bytes >= bytes;
        let taken = if is_enough { bytes } else { 0.0 };
        levels.all = Level { bytes: all.bytes - taken, ..all };
        levels.sources.insert(source, Level { bytes: of_source.bytes - taken, ..of_source });
        is_enough
    }

    fn levels(&self) -> MutexGuard<'_, Levels> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    fn full(self, now: Instant) -> Level {
        Level { bytes: f64::from(self.burst), at: now }
    }

    /// The level at `now`.
    fn at(self, level: Level, now: Instant) -> Level {
        let since: Duration = now.saturating_duration_since(level.at);
        let bytes = level.bytes + since.as_secs_f64() * f64::from(self.per_second);
        Level { bytes: bytes.min(f64::from(self.burst)), at: now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Bucket = Bucket { burst: 1_000, per_second: 100 };
    const ALL: Bucket = Bucket { burst: 2_500, per_second: 1_000 };

    fn address(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[test]
    fn a_source_gets_its_burst_and_then_what_flows() {
        let (allowance, start) = (Allowance::new(SOURCE, ALL), Instant::now());
        assert!(allowance.take(address(1), 600, start));
        assert!(!allowance.take(address(1), 600, start));
        assert!(allowance.take(address(1), 400, start));
        assert!(!allowance.take(address(1), 101, start + Duration::from_secs(1)));
        assert!(allowance.take(address(1), 100, start + Duration::from_secs(1)));
        assert!(!allowance.take(address(1), 1_001, start + Duration::from_secs(9_999)));
        assert!(allowance.take(address(1), 1_000, start + Duration::from_secs(9_999)));
        assert!(allowance.take(address(1), 0, start), "nothing beyond costs nothing");
    }

    #[test]
    fn all_sources_share_one_bucket() {
        let (allowance, start) = (Allowance::new(SOURCE, ALL), Instant::now());
        let served = |at| (0..100).filter(|n| allowance.take(address(*n), 500, at)).count();
        assert_eq!(served(start), 5);
        assert_eq!(served(start + Duration::from_secs(1)), 2);
    }

    #[test]
    fn sources_beyond_those_kept_in_mind_get_nothing() {
        let plenty = Bucket { burst: 1 << 30, per_second: 1 };
        let (allowance, start) = (Allowance::new(SOURCE, plenty), Instant::now());
        let many = MAX_SOURCES as u32;
        assert!((0..many).all(|n| allowance.take(address(n), 100, start)));
        assert!(!allowance.take(address(many), 100, start));
        assert!(allowance.take(address(7), 100, start), "who is known is served");
        assert!(allowance.take(address(many), 100, start + Duration::from_secs(1)));
        assert_eq!(allowance.levels().sources.len(), 2, "who owes nothing was forgotten");
    }
}
