//! `escape_text`: safe, bounded, and without loss where nothing was cut.

use model::{MAX_TEXT_BYTES, escape_text};

use super::{Target, safe::assert_safe};
use crate::Trace;

/// Any bytes.
pub(super) const TARGET: Target = Target {
    name: "text",
    about: "escaped texts: safe, bounded, and readable backwards",
    words: &["\\", "\\x00", "\\u{202e}", "\u{202e}", "\u{200b}", "\u{e0041}", "…", "🦀", "\u{ad}"],
    mutation: None,
    run,
};

fn run(input: &[u8], trace: &mut Trace) {
    let escaped = escape_text(input);
    assert_safe(&escaped);
    let whole = unescape(&escaped);
    let is_cut = whole.as_deref() != Some(input);
    if is_cut {
        let kept = escaped.strip_suffix('…').expect("a cut text ends with an ellipsis");
        let kept = unescape(kept).expect("a text is cut between characters");
        assert!(input.starts_with(&kept), "a cut text is the beginning of the whole");
        assert!(escaped.len() > MAX_TEXT_BYTES - 16, "cut at {} bytes already", escaped.len());
    }
    assert_safe(&escape_text(escaped.as_bytes()));
    trace.note((is_cut, escaped.len().checked_ilog2(), input.len().checked_ilog2()));
    trace.note(escaped.len() - escaped.len().min(input.len()));
}

/// The bytes that a whole escaped text stands for.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        let used = match rest.as_bytes().first()? {
            b'\\' => {
                bytes.push(b'\\');
                1
            }
            b'x' => {
                bytes.push(u8::from_str_radix(rest.get(1..3)?, 16).ok()?);
                3
            }
            _ => {
                let digits = rest.strip_prefix("u{")?.split('}').next()?;
                let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                digits.len() + 3
            }
        };
        rest = &rest[used..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(bytes)
}
