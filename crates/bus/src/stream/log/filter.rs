//! Which subjects a reader of a log wants.

use crate::matcher;

/// A set of NATS filters; a subject is wanted when any of them matches it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Filter {
    /// Empty: everything.
    patterns: Box<[Box<[u8]>]>,
}

impl Filter {
    /// Every message.
    #[must_use]
    pub fn all() -> Self {
        Self { patterns: Box::default() }
    }

    /// One filter; `>` is everything.
    #[must_use]
    pub fn one(pattern: &[u8]) -> Self {
        Self::any([pattern])
    }

    /// Any of these; none of them given, or `>` among them, is everything.
    #[must_use]
    pub fn any<'a>(patterns: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let patterns: Box<[Box<[u8]>]> = patterns.into_iter().map(Box::from).collect();
        if patterns.iter().any(|pattern| **pattern == *b">") {
            return Self::all();
        }
        Self { patterns }
    }

    /// Whether it lets everything through.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether it wants this subject.
    #[must_use]
    pub fn matches(&self, subject: &[u8]) -> bool {
        self.is_all() || self.patterns.iter().any(|pattern| matcher::matches(pattern, subject))
    }

    /// The subject, where it can be only one.
    #[must_use]
    pub fn literal(&self) -> Option<&[u8]> {
        match &*self.patterns {
            [one] if is_literal(one) => Some(one),
            _ => None,
        }
    }
}

fn is_literal(pattern: &[u8]) -> bool {
    !pattern.split(|byte| *byte == b'.').any(|token| token == b"*" || token == b">")
}
