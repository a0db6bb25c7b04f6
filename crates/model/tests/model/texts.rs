//! Bytes of visitors, made safe to keep and to show.

use model::{MAX_TEXT_BYTES, escape_text};
use morgana_model as model;
use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

#[test]
fn what_could_do_harm_is_written_out() {
    for (bytes, shown) in [
        (&b"ls -la"[..], "ls -la"),
        ("grüße €".as_bytes(), "grüße €"),
        (b"a\r\nb\tc", r"a\x0d\x0ab\x09c"),
        (b"\0\x7f", r"\x00\x7f"),
        (b"\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("\u{9b}31m".as_bytes(), r"\u{9b}31m"),
        (br"C:\x41", r"C:\\x41"),
        (b"\xff\xfe", r"\xff\xfe"),
        (b"ok\xc3", r"ok\xc3"),
        (b"\xe2\x82", r"\xe2\x82"),
        (b"\xc0\xaf", r"\xc0\xaf"),
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),
        ("a\u{202e}b\u{2066}c\u{2069}".as_bytes(), r"a\u{202e}b\u{2066}c\u{2069}"),
        ("\u{61c}\u{200f}\u{200b}".as_bytes(), r"\u{61c}\u{200f}\u{200b}"),
        ("\u{2028}\u{2029}\u{feff}".as_bytes(), r"\u{2028}\u{2029}\u{feff}"),
        ("\u{ad}\u{180e}\u{fff9}".as_bytes(), r"\u{ad}\u{180e}\u{fff9}"),
        ("\u{e0041}".as_bytes(), r"\u{e0041}"),
        (b"", ""),
    ] {
        assert_eq!(escape_text(bytes), shown);
    }
}

#[test]
fn long_texts_are_cut_and_say_so() {
    for bytes in ["x".repeat(9000), "€".repeat(9000), "\\".repeat(9000), "\u{1}".repeat(9000)] {
        let shown = escape_text(bytes.as_bytes());
        assert!(shown.len() <= MAX_TEXT_BYTES && shown.len() > MAX_TEXT_BYTES - 16);
        assert!(shown.ends_with('…'));
    }
    assert!(escape_text(&[0xff; 9000]).len() <= MAX_TEXT_BYTES);
    let whole = "x".repeat(MAX_TEXT_BYTES);
    assert_eq!(escape_text(whole.as_bytes()), whole, "what fits is not cut");
    assert!(escape_text(format!("{whole}x").as_bytes()).ends_with("x…"));
}

/// The bytes that were escaped, read back.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = vec![];
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let used = if let Some(after) = rest.strip_prefix("\\x") {
            bytes.push(u8::from_str_radix(&after[..2], 16).unwrap());
            4
        } else if let Some(after) = rest.strip_prefix("\\u{") {
            let end = after.find('}').unwrap();
            let code = u32::from_str_radix(&after[..end], 16).unwrap();
            let mut buffer = [0; 4];
            bytes.extend(char::from_u32(code).unwrap().encode_utf8(&mut buffer).bytes());
            4 + end
        } else if rest.starts_with("\\\\") {
            bytes.push(b'\\');
            2
        } else {
            bytes.extend(rest[..c.len_utf8()].bytes());
            c.len_utf8()
        };
        rest = &rest[used..];
    }
    bytes
}

proptest! {
    #[test]
    fn nothing_unprintable_gets_through_and_nothing_is_lost(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let shown = escape_text(&bytes);
        prop_assert!(!shown.chars().any(char::is_control));
        prop_assert_eq!(unescaped(&shown), bytes);
    }

    #[test]
    fn texts_come_back_too(text in ".{0,200}") {
        let shown = escape_text(text.as_bytes());
        prop_assert!(!shown.chars().any(char::is_control));
        prop_assert_eq!(unescaped(&shown), text.as_bytes());
    }
}
