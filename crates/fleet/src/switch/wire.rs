//! Bytes of a frame: reading, writing, and checksums that follow each write.
//!
//! Reading beyond the end gives zero and writing there does nothing, so that no frame whatever
//! can bring the switch down. Callers check lengths where a zero would mean something.

/// Two bytes, big-endian.
pub(super) fn be16(bytes: &[u8], at: usize) -> u16 {
    array(bytes, at).map_or(0, u16::from_be_bytes)
}

/// Four bytes, big-endian.
pub(super) fn be32(bytes: &[u8], at: usize) -> u32 {
    array(bytes, at).map_or(0, u32::from_be_bytes)
}

/// One byte.
pub(super) fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// `N` bytes, where there are that many.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Writes without touching any checksum.
pub(super) fn put(bytes: &mut [u8], at: usize, new: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + new.len()) {
        place.copy_from_slice(new);
    }
}

/// The part of a frame that one checksum covers, and where that checksum is.
///
/// Each write corrects the checksum by the difference (RFC 1624), so that a checksum that was
/// wrong before stays wrong, as it would through a wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Covered {
    /// Where the covered part begins; the parity of offsets counts from here.
    pub(super) start: usize,
    /// Where the checksum is; `None` where none is to be kept.
    pub(super) checksum: Option<usize>,
    /// Whether the field holds the sum of the pseudo header only, not complemented: somebody
    /// further on completes it (`NEEDS_CSUM`).
    pub(super) partial: bool,
}

impl Covered {
    /// Writes into the covered part. A partial sum does not cover it yet.
    pub(super) fn write(self, bytes: &mut [u8], at: usize, new: &[u8]) {
        let Some(place) = bytes.get_mut(at..at + new.len()) else { return };
        let mut change = 0;
        for (offset, (old, new)) in place.iter_mut().zip(new).enumerate() {
            let is_high = (at + offset - self.start).is_multiple_of(2);
            change += difference(*old, *new, is_high);
            *old = *new;
        }
        if !self.partial {
            self.adjust(bytes, change);
        }
    }

    /// Corrects the checksum for a write elsewhere that it covers: an address of the pseudo
    /// header. Both are of even length and aligned.
    pub(super) fn replaced(self, bytes: &mut [u8], old: &[u8], new: &[u8]) {
        let change = old
            .iter()
            .zip(new)
            .enumerate()
            .map(|(offset, (old, new))| difference(*old, *new, offset.is_multiple_of(2)))
            .sum();
        self.adjust(bytes, change);
    }

    fn adjust(self, bytes: &mut [u8], change: u32) {
        let Some(at) = self.checksum else { return };
        let now = be16(bytes, at);
        let next = match self.partial {
            true => fold(u32::from(now) + change),
            false => !fold(u32::from(!now) + change),
        };
        put(bytes, at, &next.to_be_bytes());
    }
}

/// What replacing one byte adds to a ones' complement sum.
fn difference(old: u8, new: u8, is_high: bool) -> u32 {
    let word = |byte: u8| u32::from(byte) << if is_high { 8 } else { 0 };
    word(new) + (0xffff - word(old))
}

/// The ones' complement sum of bytes, begun with `sum` (RFC 1071).
pub(super) fn sum(bytes: &[u8], sum: u32) -> u32 {
    let (words, rest) = bytes.as_chunks::<2>();
    let whole: u64 = words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum();
    let rest = rest.first().map_or(0, |byte| u64::from(*byte) << 8);
    let total = whole + rest + u64::from(sum);
    let once = (total & 0xffff_ffff) + (total >> 32);
    u32::from(fold((once & 0xffff) as u32 + (once >> 16) as u32))
}

/// A sum in 16 bits; not complemented.
pub(super) fn fold(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    ((once & 0xffff) + (once >> 16)) as u16
}

/// The checksum over bytes, as it is sent.
pub(super) fn checksum(bytes: &[u8], begun: u32) -> u16 {
    !fold(sum(bytes, begun))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_rfc_1071_sums_up() {
        assert_eq!(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7], 0), 0xddf2);
    }

    #[test]
    fn reading_beyond_the_end_is_zero_and_writing_does_nothing() {
        let mut bytes = [1, 2, 3];
        assert_eq!((be16(&bytes, 2), be32(&bytes, 0), byte(&bytes, 9)), (0, 0, 0));
        put(&mut bytes, 2, &[9, 9]);
        Covered { start: 0, checksum: Some(7), partial: false }.write(&mut bytes, 1, &[5, 5, 5]);
        assert_eq!(bytes, [1, 2, 3]);
        Covered { start: 0, checksum: Some(7), partial: false }.write(&mut bytes, 1, &[5, 5]);
        assert_eq!(bytes, [1, 5, 5]);
    }

    proptest! {
        #[test]
        fn a_correct_checksum_stays_correct(
            mut bytes in prop::collection::vec(any::<u8>(), 8..80),
            at in any::<prop::sample::Index>(),
            new in prop::collection::vec(any::<u8>(), 1..6),
        ) {
            put(&mut bytes, 2, &[0, 0]);
            let right = checksum(&bytes, 0);
            put(&mut bytes, 2, &right.to_be_bytes());
            let at = 4 + at.index(bytes.len() - 4);
            Covered { start: 0, checksum: Some(2), partial: false }.write(&mut bytes, at, &new);
            prop_assert_eq!(fold(sum(&bytes, 0)), 0xffff);
        }

        #[test]
        fn a_partial_sum_follows_addresses_only(old: [u8; 4], new: [u8; 4], rest: u16) {
            let begun = fold(sum(&old, u32::from(rest)));
            let mut bytes = begun.to_be_bytes();
            let covered = Covered { start: 0, checksum: Some(0), partial: true };
            covered.replaced(&mut bytes, &old, &new);
            let wanted = fold(sum(&new, u32::from(rest)));
            // Zero has two forms in ones' complement.
            let is_zero = |sum: u16| sum.is_multiple_of(0xffff);
            let same = |a: u16, b: u16| a == b || (is_zero(a) && is_zero(b));
            prop_assert!(same(be16(&bytes, 0), wanted));
        }
    }
}
