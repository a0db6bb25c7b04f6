//! Relations between subject filters, until the match table's own are here.

fn tokens(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'.')
}

pub(super) fn valid_filter(filter: &[u8]) -> bool {
    let all: Vec<_> = tokens(filter).collect();
    all.iter().enumerate().all(|(at, t)| !t.is_empty() && (*t != b">" || at + 1 == all.len()))
}

pub(super) fn matches(filter: &[u8], subject: &[u8]) -> bool {
    let (mut filter, mut subject) = (tokens(filter), tokens(subject));
    loop {
        match (filter.next(), subject.next()) {
            (Some(b">"), Some(_)) | (None, None) => return true,
            (Some(b"*"), Some(_)) => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

pub(super) fn is_subset(filter: &[u8], of: &[u8]) -> bool {
    let (mut filter, mut of) = (tokens(filter), tokens(of));
    loop {
        match (filter.next(), of.next()) {
            (Some(_), Some(b">")) | (None, None) => return true,
            (Some(b">"), _) => return false,
            (Some(_), Some(b"*")) => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

pub(super) fn overlaps(a: &[u8], b: &[u8]) -> bool {
    let (mut a, mut b) = (tokens(a), tokens(b));
    loop {
        match (a.next(), b.next()) {
            (Some(_), Some(b">")) | (Some(b">"), Some(_)) | (None, None) => return true,
            (Some(b"*"), Some(_)) | (Some(_), Some(b"*")) => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}
