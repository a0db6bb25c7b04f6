//! What makes one machine unlike another: drawn from the installation's secret and the decky's
//! id, so that it is the same on every run.

use model::{DeckyId, InstallationSecret, LanId, TypedId as _};

/// The draws of one machine.
#[derive(Clone, Copy)]
pub(super) struct Nature {
    /// Which of the systems that it can have.
    pub(super) system: u64,
    /// Where its randomness begins.
    pub(super) seed: u64,
    macs: u64,
}

impl Nature {
    pub(super) fn of(secret: &InstallationSecret, decky: DeckyId) -> Self {
        let bytes = secret.mac(&[b"netns", decky.uuid().as_bytes()]);
        let word = |at: usize| bytes[at..at + 8].iter().fold(0, |all, b| all << 8 | u64::from(*b));
        Self { system: word(0), seed: word(8), macs: word(16) }
    }

    /// For the hardware address on a LAN, whatever other interfaces there are; one per try.
    pub(super) fn mac(&self, lan: LanId, nth: u64) -> u64 {
        let (high, low) = lan.uuid().as_u64_pair();
        [high, low, nth].into_iter().fold(self.macs, |state, word| mix(state ^ word))
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use model::{Ambient, Timestamp};

    use super::*;

    #[test]
    fn draws_stay_and_differ() {
        let ambient = Ambient::seeded(1, Timestamp::from_micros(0));
        let (secret, decky) = (InstallationSecret::new([1; 32]), ambient.id());
        let (one, other) = (ambient.id(), ambient.id());
        let nature = Nature::of(&secret, decky);
        assert_eq!(nature.mac(one, 0), Nature::of(&secret, decky).mac(one, 0));
        let mut all = vec![nature.mac(one, 0), nature.mac(other, 0), nature.mac(one, 1)];
        all.extend([nature.system, nature.seed]);
        all.push(Nature::of(&secret, ambient.id()).mac(one, 0));
        all.push(Nature::of(&InstallationSecret::new([2; 32]), decky).mac(one, 0));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 7);
    }
}
