//! Object identifiers.

use std::fmt;

/// Most numbers in an identifier (RFC 2578, section 3.5).
const MAX_NUMBERS: usize = 128;

/// An object identifier, ordered as a walk visits them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Oid(Vec<u32>);

impl Oid {
    pub(super) fn new(numbers: &[u32]) -> Self {
        Self(numbers.to_vec())
    }

    /// This one with more numbers behind it.
    pub(super) fn with(&self, more: &[u32]) -> Self {
        Self([&self.0, more].concat())
    }

    /// Whether this is `other`, or `other` is below it.
    pub(super) fn holds(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// Reads the contents of an element. The first two numbers share one; none at all are 0.0.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut numbers = Vec::new();
        let mut number = 0_u64;
        for byte in body {
            number = number << 7 | u64::from(byte & 0x7f);
            let whole = u32::try_from(number).ok()?;
            if *byte < 0x80 {
                numbers.push(whole);
                number = 0;
            }
        }
        let is_unfinished = body.last().is_some_and(|byte| *byte >= 0x80);
        if is_unfinished || numbers.len() >= MAX_NUMBERS {
            return None;
        }
        let Some(first) = numbers.first().copied() else { return Some(Self(vec![0, 0])) };
        let root = (first / 40).min(2);
        numbers.splice(..1, [root, first - root * 40]);
        Some(Self(numbers))
    }

    /// The contents of an element. An identifier has two numbers at least.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.0.len() + 4);
        let (first, rest) = self.0.split_at(self.0.len().min(2));
        let shared =
            first.iter().rev().zip([1, 40]).map(|(number, weight)| u64::from(*number) * weight);
        put_number(&mut body, shared.sum());
        rest.iter().for_each(|number| put_number(&mut body, u64::from(*number)));
        body
    }
}

fn put_number(body: &mut Vec<u8>, number: u64) {
    let groups = (u64::BITS - number.leading_zeros()).div_ceil(7).max(1);
    for group in (0..groups).rev() {
        let more = if group > 0 { 0x80 } else { 0 };
        body.push((number >> (group * 7)) as u8 & 0x7f | more);
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, number) in self.0.iter().enumerate() {
            let dot = if at > 0 { "." } else { "" };
            write!(f, "{dot}{number}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn identifiers_come_back(
            (root, second) in prop_oneof![(0..2_u32, 0..40_u32), (Just(2), 0..=u32::MAX - 80)],
            rest in vec(any::<u32>(), 0..126),
        ) {
            let oid = Oid([&[root, second], &rest[..]].concat());
            prop_assert_eq!(Oid::read(&oid.write()), Some(oid));
        }

        #[test]
        fn any_bytes_can_be_read(body in vec(any::<u8>(), 0..300)) {
            if let Some(oid) = Oid::read(&body) {
                prop_assert_eq!(Oid::read(&oid.write()), Some(oid));
            }
        }
    }

    #[test]
    fn odd_identifiers_are_read_as_net_snmp_does() {
        let read = |body: &[u8]| Oid::read(body).map(|oid| oid.to_string());
        assert_eq!(read(&[]).as_deref(), Some("0.0"));
        assert_eq!(read(&[0x2b, 6, 1]).as_deref(), Some("1.3.6.1"));
        assert_eq!(read(&[0x78]).as_deref(), Some("2.40"));
        assert_eq!(read(&[0x81, 0x34, 3]).as_deref(), Some("2.100.3"));
        assert_eq!(read(&[0x2b, 0x8f, 0xff, 0xff, 0xff, 0x7f]).as_deref(), Some("1.3.4294967295"));
        assert_eq!(read(&[0x2b, 0x90, 0x80, 0x80, 0x80, 0x00]), None, "more than 32 bits");
        assert_eq!(read(&[0x2b, 0x86]), None, "unfinished");
        assert!(read(&[1; 127]).is_some());
        assert_eq!(read(&[1; 128]), None, "129 numbers");
    }
}
