//! Messages as a terminal may see them: what others published must not move its cursor.

use bus::client::Message;
use serde_json::{Map, Value, json};

/// How a message is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// `[#1] subject  body`, escaped.
    Line,
    /// One line of JSON.
    Json,
    /// The body's bytes and nothing else.
    Raw,
}

/// Bytes with everything escaped that is no printable text.
pub(super) fn escaped(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' => shown.push_str("\\n"),
                '\r' => shown.push_str("\\r"),
                '\t' => shown.push_str("\\t"),
                other if is_dangerous(other) => shown.extend(other.escape_unicode()),
                other => shown.push(other),
            }
        }
        for byte in chunk.invalid() {
            shown += &format!("\\x{byte:02x}");
        }
    }
    shown
}

/// Control characters, and those that turn the direction of writing.
fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A message in one line, with its headers above it where they are wanted.
pub(super) fn line(number: u64, message: &Message, headers: bool) -> String {
    let subject = escaped(&message.subject);
    let mut text = format!("[#{number}] {subject}  {}", escaped(&message.body));
    if let Some(reply) = &message.reply {
        text += &format!("  (reply to {})", escaped(reply));
    }
    if headers && let Some(lines) = message.header_lines() {
        for (key, value) in lines.iter() {
            text += &format!("\n      {}: {}", escaped(key), escaped(value));
        }
    }
    text
}

/// A message as JSON: the body as JSON where it is some, else as text, else as `base64`.
pub(super) fn json(message: &Message) -> Value {
    let mut object = Map::new();
    object.insert("subject".into(), lossy(&message.subject));
    if let Some(reply) = &message.reply {
        object.insert("reply".into(), lossy(reply));
    }
    if let Some(lines) = message.header_lines() {
        let mut headers = Map::new();
        for (key, value) in lines.iter() {
            let values = headers.entry(text(key)).or_insert_with(|| json!([]));
            if let Value::Array(values) = values {
                values.push(lossy(value));
            }
        }
        object.insert("headers".into(), headers.into());
    }
    let (key, body) = body(&message.body);
    object.insert(key.into(), body);
    object.into()
}

fn body(bytes: &[u8]) -> (&'static str, Value) {
    use base64::{Engine, engine::general_purpose::STANDARD};
    match (serde_json::from_slice(bytes), std::str::from_utf8(bytes)) {
        (Ok(value), _) => ("body", value),
        (Err(_), Ok(text)) => ("body", text.into()),
        (Err(_), Err(_)) => ("body_base64", STANDARD.encode(bytes).into()),
    }
}

fn lossy(bytes: &[u8]) -> Value {
    text(bytes).into()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Bytes in units that people read.
#[allow(clippy::cast_precision_loss, reason = "shown with one digit")]
pub(super) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through() {
        for (bytes, expected) in [
            (&b"plain"[..], "plain"),
            ("é→".as_bytes(), "é→"),
            (b"a\x1b[2Jb", "a\\u{1b}[2Jb"),
            (b"a\r\n\tb", "a\\r\\n\\tb"),
            (b"\x00\x7f\xff", "\\u{0}\\u{7f}\\xff"),
            ("\u{9b}2J\u{202e}".as_bytes(), "\\u{9b}2J\\u{202e}"),
        ] {
            assert_eq!(escaped(bytes), expected);
        }
    }

    #[test]
    fn bytes_have_units() {
        for (count, expected) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 30, "3.0 GiB")]
        {
            assert_eq!(bytes(count), expected);
        }
    }
}
