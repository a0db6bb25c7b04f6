//! What a text that came from a visitor may look like: a second opinion on `escape_text`.

use model::{MAX_TEXT_BYTES, SessionFact};

/// Panics unless `text` can be stored, logged and shown as it is.
pub(super) fn assert_safe(text: &str) {
    assert!(text.len() <= MAX_TEXT_BYTES, "a text of {} bytes", text.len());
    if let Some(bad) = text.chars().find(|c| is_dangerous(*c)) {
        panic!("the character {:x} in {text:?}", bad as u32);
    }
}

/// Controls (category Cc), bidirectional and invisible formatting, and separators of lines.
fn is_dangerous(c: char) -> bool {
    let code = c as u32;
    code < 0x20
        || (0x7f..0xa0).contains(&code)
        || [0xad, 0x61c, 0x180e, 0x2028, 0x2029, 0xfeff].contains(&code)
        || (0x200b..0x2010).contains(&code)
        || (0x202a..0x202f).contains(&code)
        || (0x2060..0x2070).contains(&code)
        || (0xfff9..0xfffc).contains(&code)
        || (0xe0000..0xe0080).contains(&code)
}

/// Panics unless `fact` is one that a session may record. Gives its kind and what tells it from
/// others of that kind.
pub(super) fn assert_fact(fact: &SessionFact) -> (u8, String) {
    match fact {
        SessionFact::Login { principal, secret, method, accepted } => {
            [principal, secret, method].into_iter().for_each(|text| assert_safe(text));
            (1, format!("{method} {accepted}"))
        }
        SessionFact::Command { text } => {
            assert_safe(text);
            (2, String::new())
        }
        SessionFact::Request { text } => {
            assert_safe(text);
            (3, String::new())
        }
        SessionFact::Upload { name, sha256, .. } => {
            assert_safe(name);
            let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            assert!(sha256.len() == 64 && sha256.bytes().all(is_hex), "the hash {sha256:?}");
            (4, String::new())
        }
        SessionFact::Fingerprint { name, value } => {
            [name, value].into_iter().for_each(|text| assert_safe(text));
            (5, name.clone())
        }
        SessionFact::Started | SessionFact::Ended { .. } => {
            panic!("a session recorded {fact:?}, which is the driver's")
        }
    }
}
