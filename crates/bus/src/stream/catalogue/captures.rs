//! Which stream captures a subject. Owns the filters of all streams, by their first tokens, so that
//! a message is compared with few of them. Pure.

use std::collections::HashMap;

use crate::matcher;

type Filters = Vec<(Box<[u8]>, usize)>;

/// The filters of all streams, each with the place of its stream.
#[derive(Debug, Default)]
pub(super) struct Captures {
    by_first: HashMap<Box<[u8]>, Filters>,
    /// Those that begin with a wildcard.
    any: Filters,
}

impl Captures {
    pub(super) fn add(&mut self, filter: &[u8], slot: usize) {
        let filters = match first(filter) {
            b"*" | b">" => &mut self.any,
            first => self.by_first.entry(first.into()).or_default(),
        };
        filters.push((filter.into(), slot));
    }

    /// Forgets all filters of a stream.
    pub(super) fn remove(&mut self, slot: usize) {
        self.any.retain(|(_, of)| *of != slot);
        self.by_first.retain(|_, filters| {
            filters.retain(|(_, of)| *of != slot);
            !filters.is_empty()
        });
    }

    /// The stream that captures a subject; there is one at most, as theirs do not overlap.
    pub(super) fn of(&self, subject: &[u8]) -> Option<usize> {
        let near = self.by_first.get(first(subject)).into_iter().flatten();
        let mut filters = near.chain(&self.any);
        filters.find(|(filter, _)| matcher::matches(filter, subject)).map(|(_, slot)| *slot)
    }
}

fn first(subject: &[u8]) -> &[u8] {
    subject.split(|byte| *byte == b'.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_has_one_stream() {
        let mut captures = Captures::default();
        for (filter, slot) in [("a.b", 1), ("a.*.c", 1), ("b.>", 2), ("*.x", 3), ("c", 4)] {
            captures.add(filter.as_bytes(), slot);
        }
        let of = |captures: &Captures, subject: &str| captures.of(subject.as_bytes());
        for (subject, slot) in [
            ("a.b", Some(1)),
            ("a.q.c", Some(1)),
            ("a", None),
            ("b.1.2", Some(2)),
            ("b", None),
            ("a.x", Some(3)),
            ("c", Some(4)),
            ("c.", None),
        ] {
            assert_eq!(of(&captures, subject), slot, "{subject}");
        }
        captures.remove(1);
        captures.remove(3);
        let left = ["a.b", "a.q.c", "a.x", "c"].map(|subject| of(&captures, subject));
        assert_eq!(left, [None, None, None, Some(4)]);
    }
}
