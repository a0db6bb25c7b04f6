//! The groups that the daemon knows: RFC 3526's, and a part of Debian's list of moduli for
//! group exchange.

use rand::{Rng, RngExt};

use super::dh::Group;

/// Smallest group of an exchange in bits.
const MIN_BITS: u32 = 2048;
/// Largest group of an exchange in bits.
const MAX_BITS: u32 = 8192;

const GROUPS: &str = include_str!("groups.txt");
const MODULI: &str = include_str!("moduli.txt");

/// A fixed group by its name in `groups.txt`.
pub(in crate::ssh) fn fixed(name: &str) -> Group {
    entries(GROUPS)
        .find_map(|(word, group)| (word == name).then_some(group))
        .expect("all fixed groups are in the list")
}

/// A group for a client that wants `wanted` bits and takes `min` to `max`, chosen as `choose_dh`
/// does: the smallest size that suffices, else the largest there is, else a fixed group.
pub(in crate::ssh) fn choose(min: u32, wanted: u32, max: u32, random: &mut impl Rng) -> Group {
    let (min, max) = (min.max(MIN_BITS), max.min(MAX_BITS));
    let wanted = wanted.clamp(MIN_BITS, MAX_BITS);
    let sized = || {
        entries(MODULI)
            .filter_map(|(word, group)| Some((word.parse::<u32>().ok()?, group)))
            .filter(|(bits, _)| (min..=max).contains(bits))
    };
    let enough = sized().map(|(bits, _)| bits).filter(|bits| *bits >= wanted).min();
    let Some(best) = enough.or_else(|| sized().map(|(bits, _)| bits).max()) else {
        return fallback(max);
    };
    let best: Vec<Group> =
        sized().filter_map(|(bits, group)| (bits == best).then_some(group)).collect();
    best[random.random_range(..best.len())]
}

/// `dh_new_group_fallback`.
fn fallback(max: u32) -> Group {
    match max {
        ..3072 => fixed("group14"),
        3072..6144 => fixed("group16"),
        6144.. => fixed("group18"),
    }
}

fn entries(list: &'static str) -> impl Iterator<Item = (&'static str, Group)> {
    list.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let name = words.next()?;
        let generator = words.next()?.parse().ok()?;
        Some((name, Group { generator, prime: words.next()? }))
    })
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::ChaCha20Rng};

    use super::*;

    #[test]
    fn sizes_are_chosen_as_the_daemon_does() {
        let mut random = ChaCha20Rng::from_seed([1; 32]);
        let mut bits =
            |min, wanted, max| choose(min, wanted, max, &mut random).prime_bytes().len() * 8;
        assert_eq!(bits(1024, 1024, 8192), 2048);
        assert_eq!(bits(2048, 3072, 8192), 3072);
        assert_eq!(bits(2048, 5000, 8192), 6144);
        assert_eq!(bits(2048, 8192, 4096), 4096);
        assert_eq!(bits(2049, 2049, 2050), 2048);
        assert_eq!(bits(4097, 4097, 4098), 4096);
    }

    #[test]
    fn every_group_has_its_size() {
        for (word, group) in entries(MODULI).chain(entries(GROUPS)) {
            let bits = group.prime_bytes().len() as u32 * 8;
            assert!(word.starts_with("group") || word.parse() == Ok(bits), "{word}");
            assert!([2, 5].contains(&group.generator));
        }
    }
}
