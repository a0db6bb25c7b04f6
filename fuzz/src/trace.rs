//! What a run of a target looked like, coarse enough that two inputs with the same behaviour
//! look the same.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Most features of one run; what a run shows later is not looked at.
const MAX_FEATURES: usize = 4096;

/// The features of one run: hashes of what happened, and of what happened after what.
#[derive(Debug, Default)]
pub struct Trace {
    features: Vec<u64>,
    last: u64,
}

impl Trace {
    /// Something happened.
    pub fn note(&mut self, what: impl Hash) {
        let feature = hash_of(what);
        self.keep(feature);
        self.keep(hash_of((self.last, feature)));
        self.last = feature;
    }

    /// A text came out: its beginning, its end and its magnitude count, digits are all alike.
    pub fn note_text(&mut self, text: &[u8]) {
        const EDGE: usize = 10;
        let shape = |part: &[u8]| -> Vec<u8> {
            part.iter().map(|b| if b.is_ascii_digit() { b'0' } else { *b }).collect()
        };
        let head = shape(&text[..text.len().min(EDGE)]);
        let tail = shape(&text[text.len().saturating_sub(EDGE)..]);
        self.keep(hash_of((1, &head)));
        self.keep(hash_of((2, &tail)));
        self.note((3, text.len().checked_ilog2()));
    }

    /// The features, in the order in which they were seen.
    pub fn features(&self) -> &[u64] {
        &self.features
    }

    fn keep(&mut self, feature: u64) {
        if self.features.len() < MAX_FEATURES {
            self.features.push(feature);
        }
    }
}

/// A hash that is the same in every process.
pub(crate) fn hash_of(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(texts: &[&str]) -> Vec<u64> {
        let mut trace = Trace::default();
        texts.iter().for_each(|text| trace.note_text(text.as_bytes()));
        trace.features
    }

    #[test]
    fn what_looks_alike_is_alike() {
        assert_eq!(features(&["220 port 7"]), features(&["221 port 9"]));
        assert_ne!(features(&["220 port 7"]), features(&["220 pool 7"]));
        assert_ne!(features(&["a", "bb"]), features(&["bb", "a"]));
    }
}
