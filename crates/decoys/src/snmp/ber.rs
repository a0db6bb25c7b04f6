//! The part of the Basic Encoding Rules that SNMP uses (RFC 3417, section 8): one-byte tags and
//! definite lengths. As lax with long lengths and padded numbers as Net-SNMP is.

/// Most bytes in which a length or a number may come.
const MAX_WORD_BYTES: usize = 8;

/// Reads elements one after the other.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

/// A tag and what it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) body: &'a [u8],
    /// As it came, tag and length included.
    pub(super) whole: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next element; `None` where there is no whole one.
    pub(super) fn element(&mut self) -> Option<Element<'a>> {
        let [tag, first, after @ ..] = self.rest else { return None };
        let (length, after) = match first {
            0..0x80 => (usize::from(*first), after),
            _ => {
                let count = usize::from(first & 0x7f);
                if !(1..=MAX_WORD_BYTES).contains(&count) {
                    return None;
                }
                let (length, after) = after.split_at_checked(count)?;
                let length = length.iter().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
                (usize::try_from(length).ok()?, after)
            }
        };
        let (body, rest) = after.split_at_checked(length)?;
        let whole = &self.rest[..self.rest.len() - rest.len()];
        self.rest = rest;
        Some(Element { tag: *tag, body, whole })
    }

    /// What the next element holds, which must have this tag.
    pub(super) fn body(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.element().filter(|element| element.tag == tag).map(|element| element.body)
    }

    /// The next element as a number.
    pub(super) fn integer(&mut self) -> Option<i64> {
        let body = self.body(INTEGER)?;
        let (first, _) = body.split_first().filter(|_| body.len() <= MAX_WORD_BYTES)?;
        let sign = if *first < 0x80 { 0 } else { -1 };
        Some(body.iter().fold(sign, |word, byte| word << 8 | i64::from(*byte)))
    }
}

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const NULL: u8 = 0x05;
pub(super) const OBJECT_ID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;

/// Appends an element.
pub(super) fn put(out: &mut Vec<u8>, tag: u8, body: &[u8]) {
    out.push(tag);
    match body.len() {
        short @ 0..0x80 => out.push(short as u8),
        long => {
            let bytes = long.to_be_bytes();
            let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(0);
            out.push(0x80 | (bytes.len() - first) as u8);
            out.extend_from_slice(&bytes[first..]);
        }
    }
    out.extend_from_slice(body);
}

/// Appends a number in as few bytes as it takes.
pub(super) fn put_integer(out: &mut Vec<u8>, tag: u8, number: i64) {
    let bytes = number.to_be_bytes();
    let is_needless = |pair: &[u8]| matches!(pair, [0, 0..=0x7f] | [0xff, 0x80..=0xff]);
    let first = bytes.windows(2).take_while(|pair| is_needless(pair)).count();
    put(out, tag, &bytes[first..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(number: i64) {
            let mut out = Vec::new();
            put_integer(&mut out, INTEGER, number);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.integer(), Some(number));
            prop_assert!(reader.is_empty());
            let is_minimal = out.len() == 3
                || (out[2] != 0 || out[3] >= 0x80) && (out[2] != 0xff || out[3] < 0x80);
            prop_assert!(is_minimal, "{:x?}", out);
        }

        #[test]
        fn elements_come_back(tag: u8, body in prop::collection::vec(any::<u8>(), 0..700)) {
            let mut out = Vec::new();
            put(&mut out, tag, &body);
            let element = Reader::new(&out).element().expect("whole");
            prop_assert_eq!(element, Element { tag, body: &body, whole: &out });
            for cut in 0..out.len() {
                prop_assert!(Reader::new(&out[..cut]).element().is_none());
            }
        }
    }

    #[test]
    fn long_lengths_are_read_and_indefinite_ones_are_not() {
        let read = |bytes: &[u8]| Reader::new(bytes).integer();
        assert_eq!(read(&[2, 1, 7]), Some(7));
        assert_eq!(read(&[2, 0x84, 0, 0, 0, 1, 7]), Some(7));
        assert_eq!(read(&[2, 0x88, 0, 0, 0, 0, 0, 0, 0, 1, 7]), Some(7));
        assert_eq!(read(&[2, 0x89, 0, 0, 0, 0, 0, 0, 0, 0, 1, 7]), None);
        assert_eq!(read(&[2, 0x88, 255, 255, 255, 255, 255, 255, 255, 255, 7]), None);
        assert_eq!(read(&[2, 0x80, 7, 0, 0]), None);
        assert_eq!(read(&[2, 0]), None);
        assert_eq!(read(&[2, 5, 0, 0, 0, 0, 7]), Some(7));
        assert_eq!(read(&[2, 9, 0, 0, 0, 0, 0, 0, 0, 0, 7]), None);
    }
}
