//! How many errors a source may cause: so that a forged one is not flooded through us.

use std::net::Ipv4Addr;

/// Sources that are told apart; more share what one has.
const SOURCES: usize = 4096;
/// Errors that a source may cause at once.
const BURST: u16 = 500;
/// Errors that it earns in a millisecond.
const A_MILLISECOND: u64 = 1;

/// What each source has left.
#[derive(Debug)]
pub(super) struct Allowances {
    left: Box<[Left]>,
    seed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Left {
    errors: u16,
    counted: u64,
}

impl Allowances {
    /// The seed keeps visitors from choosing with whom they share.
    pub(super) fn new(seed: u64) -> Self {
        Self { left: vec![Left { errors: BURST, counted: 0 }; SOURCES].into(), seed }
    }

    /// Whether the source may cause one more; `now` is in milliseconds.
    pub(super) fn may(&mut self, source: Ipv4Addr, now: u64) -> bool {
        use std::hash::{BuildHasher as _, Hasher as _};
        let mut hasher = foldhash::fast::FixedState::with_seed(self.seed).build_hasher();
        hasher.write_u32(source.to_bits());
        let Some(left) = self.left.get_mut(hasher.finish() as usize % SOURCES) else {
            return false;
        };
        let earned = now.saturating_sub(left.counted).saturating_mul(A_MILLISECOND);
        left.errors = u64::from(left.errors).saturating_add(earned).min(BURST.into()) as u16;
        left.counted = now;
        let may = left.errors > 0;
        left.errors -= u16::from(may);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_causes_so_many_and_earns_more() {
        let mut all = Allowances::new(3);
        let source = Ipv4Addr::new(10, 0, 0, 9);
        let count = |all: &mut Allowances, now| (0..2_000).filter(|_| all.may(source, now)).count();
        assert_eq!(count(&mut all, 0), 500);
        assert_eq!(count(&mut all, 20), 20);
        assert!(all.may(Ipv4Addr::new(10, 0, 0, 8), 20), "others are not concerned");
        assert_eq!(count(&mut all, 1_000_000), 500);
    }
}
