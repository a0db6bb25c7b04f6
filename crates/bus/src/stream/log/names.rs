//! From names to file names. Pure.

/// Longest escaped name that is used whole; file names may have 255 bytes.
const WHOLE: usize = 180;

/// The name of a file or directory for a name: letters, digits, `-` and `_` stay, other bytes
/// become `=` and two hexadecimal digits. A long one is cut and ends in `=~` and a checksum; who
/// opens the file finds the whole name inside.
pub(crate) fn file_name(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("={byte:02x}"));
        }
    }
    if escaped.len() > WHOLE {
        escaped.truncate(WHOLE - 20);
        escaped.push_str(&format!("=~{:08x}", crc32fast::hash(name.as_bytes())));
    }
    escaped
}

/// Before the name of a directory whose stream is gone and whose files are yet to go.
const GONE: &str = "=gone.";

/// The name of the directory of a stream that is gone; no stream has it, as `=` stands before
/// two hexadecimal digits in their names.
pub(crate) fn gone(name: &str) -> String {
    format!("{GONE}{name}")
}

/// Whether a directory's name is one that [`gone`] makes.
pub(crate) fn is_gone(name: &str) -> bool {
    name.strip_prefix(GONE).is_some_and(is_file_name)
}

/// Whether [`file_name`] makes this name of anything.
pub(crate) fn is_file_name(name: &str) -> bool {
    match name.rsplit_once("=~") {
        Some((cut, sum)) => cut.len() == WHOLE - 20 && sum.len() == 8 && all_hexadecimal(sum),
        None => whole(name).is_some_and(|whole| file_name(&whole) == name),
    }
}

/// The name that was escaped, where it was not cut.
fn whole(name: &str) -> Option<String> {
    let mut parts = name.split('=');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (escaped, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(escaped, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok().filter(|whole| !whole.is_empty())
}

fn all_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_made_here_are_known_again() {
        let long = "é".repeat(120);
        for name in ["S", "a-b_9", "zwei é", "a.b", long.as_str()] {
            let made = file_name(name);
            assert!(is_file_name(&made) && !is_gone(&made), "{made}");
            assert!(is_gone(&gone(&made)) && !is_file_name(&gone(&made)), "{made}");
        }
        for other in ["", "$G", "My Files", "FOO.tmp", "a=2", "a=2E", "a=61", "=gone.", "a=~1"] {
            assert!(!is_file_name(other) && !is_gone(other), "{other}");
        }
    }
}
