//! Patterns as KEYS, SCAN and CONFIG GET understand them.

/// Redis's glob: `*`, `?`, `[…]` and `\`. Runs in the product of both lengths at most.
pub(super) fn matches_glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut here) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            retry = Some((at + 1, here));
            at += 1;
            continue;
        }
        let step = match text.get(here) {
            Some(byte) => one_matches(&pattern[at..], *byte),
            None if at == pattern.len() => return true,
            None => return false,
        };
        match (step, &mut retry) {
            (Some(taken), _) => {
                at += taken;
                here += 1;
            }
            (None, Some((after, from))) => {
                *from += 1;
                (at, here) = (*after, *from);
            }
            (None, None) => return false,
        }
    }
}

/// How much of the pattern one byte uses up, where it matches.
fn one_matches(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', class @ ..] => {
            let end = class.iter().position(|one| *one == b']').unwrap_or(class.len());
            let (negated, members) = match &class[..end] {
                [b'^', members @ ..] => (true, members),
                members => (false, members),
            };
            let mut inside = members.contains(&byte);
            for window in members.windows(3) {
                inside |= window[1] == b'-' && (window[0]..=window[2]).contains(&byte);
            }
            (inside != negated).then_some((end + 2).min(pattern.len()))
        }
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [one, ..] => (*one == byte).then_some(1),
    }
}
