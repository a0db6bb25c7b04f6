//! Small work on text that several commands share: escapes, patterns, numbers.

/// Resolves the escapes of `echo -e`, `printf` and `$'…'`. The second value says whether `\c`
/// ended the text. `percent` turns `%` conversions off; they are the caller's.
pub(crate) fn unescape(text: &str, octal_needs_zero: bool) -> (Vec<u8>, bool) {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let c = bytes[at];
        at += 1;
        if c != b'\\' || at == bytes.len() {
            out.push(c);
            continue;
        }
        let c = bytes[at];
        at += 1;
        let simple = match c {
            b'a' => 7,
            b'b' => 8,
            b'e' | b'E' => 27,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'\\' => b'\\',
            b'c' => return (out, true),
            b'x' => {
                let (value, used) = digits(&bytes[at..], 16, 2);
                at += used;
                if used == 0 {
                    out.extend_from_slice(b"\\x");
                } else {
                    out.push(value as u8);
                }
                continue;
            }
            b'u' | b'U' => {
                let (value, used) = digits(&bytes[at..], 16, if c == b'u' { 4 } else { 8 });
                at += used;
                let c = char::from_u32(value).unwrap_or('\u{fffd}');
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            b'0' => {
                let (value, used) = digits(&bytes[at..], 8, 3);
                at += used;
                out.push(value as u8);
                continue;
            }
            b'1'..=b'7' if !octal_needs_zero => {
                let (value, used) = digits(&bytes[at - 1..], 8, 3);
                at += used - 1;
                out.push(value as u8);
                continue;
            }
            other => {
                out.extend_from_slice(&[b'\\', other]);
                continue;
            }
        };
        out.push(simple);
    }
    (out, false)
}

fn digits(bytes: &[u8], radix: u32, most: usize) -> (u32, usize) {
    let mut value = 0_u32;
    let mut used = 0;
    while used < most
        && let Some(digit) = bytes.get(used).and_then(|b| char::from(*b).to_digit(radix))
    {
        value = value.wrapping_mul(radix).wrapping_add(digit);
        used += 1;
    }
    (value, used)
}

/// Whether `text` matches a shell pattern (`*`, `?`, `[…]`, `\`). Linear in space, and in time
/// bounded by the product of both lengths.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match one(&pattern, p, text[t]) {
            Some(next) => {
                p = next;
                t += 1;
            }
            None if pattern.get(p) == Some(&'*') => {
                star = Some((p, t));
                p += 1;
            }
            None => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Matches one character; gives where the pattern goes on.
fn one(pattern: &[char], at: usize, c: char) -> Option<usize> {
    match *pattern.get(at)? {
        '*' => None,
        '?' => Some(at + 1),
        '\\' if at + 1 < pattern.len() => (pattern[at + 1] == c).then_some(at + 2),
        '[' => {
            let mut i = at + 1;
            let negated = matches!(pattern.get(i), Some('!' | '^'));
            i += usize::from(negated);
            let first = i;
            let mut found = false;
            loop {
                let low = *pattern.get(i)?;
                if low == ']' && i > first {
                    return (found != negated).then_some(i + 1);
                }
                if pattern.get(i + 1) == Some(&'-') && pattern.get(i + 2).is_some_and(|c| *c != ']')
                {
                    found |= (low..=pattern[i + 2]).contains(&c);
                    i += 3;
                } else {
                    found |= low == c;
                    i += 1;
                }
            }
        }
        other => (other == c).then_some(at + 1),
    }
}

/// A size like `512`, `10k`, `1M`, as `dd`, `head` and `truncate` take it.
pub(crate) fn size(text: &str) -> Option<u64> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let factor = match &text[digits.len()..] {
        "" | "c" => 1,
        "w" => 2,
        "b" => 512,
        "k" | "K" | "KiB" => 1 << 10,
        "kB" | "KB" => 1000,
        "M" | "MiB" => 1 << 20,
        "MB" => 1_000_000,
        "G" | "GiB" => 1 << 30,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// A number of KiB the way `-h` shows it.
pub(crate) fn human(kib: u64) -> String {
    let mut value = kib as f64;
    for unit in ["K", "M", "G"] {
        if value < 10.0 {
            let rounded = (value * 10.0).ceil() / 10.0;
            return if kib == 0 { "0".into() } else { format!("{rounded:.1}{unit}") };
        }
        if value < 1000.0 {
            return format!("{}{unit}", value.ceil());
        }
        value /= 1024.0;
    }
    format!("{value:.1}T")
}

/// Lines without their ends; a last line without an end counts.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let count = if bytes.is_empty() { 0 } else { usize::MAX };
    body.split(|b| *b == b'\n').take(count)
}
