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
