//! Filters and subjects. Tokens are what stands between dots; `*` alone is any token, `>` alone at
//! the end is one token or more. `foo*` and `>x` are plain tokens.

/// The tokens of a filter or subject; an empty one has one empty token.
pub(super) fn tokens(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'.')
}

/// How many tokens a filter or subject has.
pub fn token_count(text: &[u8]) -> usize {
    memchr::memchr_iter(b'.', text).count() + 1
}

/// Whether a SUB may have it: no token is empty, and none comes after `>`.
pub fn valid_filter(filter: &[u8]) -> bool {
    let mut ended = false;
    tokens(filter).all(|token| {
        let fits = !token.is_empty() && !ended;
        ended = token == b">";
        fits
    })
}

/// Whether it is a subject without wildcards: no token is empty, `*` or `>`.
pub fn valid_literal(subject: &[u8]) -> bool {
    tokens(subject).all(|token| !matches!(token, b"" | b"*" | b">"))
}

/// Whether a filter has no wildcards.
pub fn is_literal(filter: &[u8]) -> bool {
    tokens(filter).all(|token| !matches!(token, b"*" | b">"))
}

/// Whether `filter` matches `subject`, whose tokens are taken literally. Nothing matches where
/// either has an empty token.
pub fn matches(filter: &[u8], subject: &[u8]) -> bool {
    let mut subject = tokens(subject);
    for pattern in tokens(filter) {
        let Some(token) = subject.next() else { return false };
        if token.is_empty() || pattern.is_empty() {
            return false;
        }
        if pattern == b">" {
            return subject.all(|token| !token.is_empty());
        }
        if pattern != b"*" && pattern != token {
            return false;
        }
    }
    subject.next().is_none()
}

/// Whether some subject is matched by both of two valid filters.
pub fn overlaps(a: &[u8], b: &[u8]) -> bool {
    let (mut left, mut right) = (tokens(a), tokens(b));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (Some(_), None) | (None, Some(_)) => return false,
            (Some(b">"), Some(_)) | (Some(_), Some(b">")) => return true,
            (Some(l), Some(r)) if l == r || l == b"*" || r == b"*" => {}
            (Some(_), Some(_)) => return false,
        }
    }
}

/// Whether all that the valid filter `filter` matches is matched by `of` too.
pub fn is_subset(filter: &[u8], of: &[u8]) -> bool {
    let (mut inner, mut outer) = (tokens(filter), tokens(of));
    loop {
        match (inner.next(), outer.next()) {
            (None, None) => return true,
            (Some(_), None) | (None, Some(_)) => return false,
            (Some(_), Some(b">")) => return true,
            (Some(b">"), Some(_)) => return false,
            (Some(i), Some(o)) if i == o || o == b"*" => {}
            (Some(_), Some(_)) => return false,
        }
    }
}
