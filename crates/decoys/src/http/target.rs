//! Texts within a request: targets, forms, credentials, tags and ranges.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::site::Product;

/// Where a target leads.
pub(super) enum Target {
    /// `OPTIONS *`.
    Server,
    /// A normalised path.
    Path(String),
    /// No path can be made of it.
    Bad,
    /// A path that no file can have.
    Nowhere,
}

/// The authority of an absolute target.
pub(super) fn authority(target: &[u8]) -> Option<&[u8]> {
    let scheme = target.get(..7)?.eq_ignore_ascii_case(b"http://");
    let rest = &target[7..];
    let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
    (scheme && end > 0).then(|| &rest[..end])
}

pub(super) fn target(product: Product, target: &[u8]) -> Target {
    if target == b"*" {
        return Target::Server;
    }
    let path = match authority(target) {
        Some(authority) => &target[7 + authority.len()..],
        None => target,
    };
    let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    let path = if path.is_empty() { b"/" } else { path };
    if path[0] != b'/' {
        return Target::Path("/".into());
    }
    let Some(decoded) = percent_decode(path) else { return Target::Bad };
    let slashes = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'/').count();
    match product {
        Product::Nginx if decoded.contains(&0) => return Target::Bad,
        Product::Apache if decoded.contains(&0) => return Target::Nowhere,
        // Apache does not take an encoded slash for a slash (`AllowEncodedSlashes`).
        Product::Apache if slashes(&decoded) != slashes(path) => return Target::Nowhere,
        Product::Nginx | Product::Apache => {}
    }
    normalised(&decoded).map_or(Target::Bad, Target::Path)
}

/// Without empty and dot segments; nothing where it leaves the root.
fn normalised(path: &[u8]) -> Option<String> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut directory = false;
    for segment in path.split(|byte| *byte == b'/') {
        directory = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => drop(kept.pop()?),
            segment => kept.push(segment),
        }
    }
    let mut joined = String::new();
    for segment in kept {
        joined.push('/');
        joined.push_str(&String::from_utf8_lossy(segment));
    }
    if directory {
        joined.push('/');
    }
    Some(joined)
}

fn percent_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let high = char::from(*bytes.next()?).to_digit(16)?;
                let low = char::from(*bytes.next()?).to_digit(16)?;
                (high * 16 + low) as u8
            }
            byte => *byte,
        });
    }
    Some(decoded)
}

/// Fields of `application/x-www-form-urlencoded`.
pub(super) fn form_fields(body: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let plain = |text: &[u8]| {
        let spaced: Vec<u8> = text.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
        percent_decode(&spaced).unwrap_or(spaced)
    };
    body.split(|byte| *byte == b'&')
        .map(|pair| match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (plain(&pair[..at]), plain(&pair[at + 1..])),
            None => (plain(pair), Vec::new()),
        })
        .collect()
}

pub(super) fn basic_credentials(field: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, encoded) = field.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim_ascii()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some((decoded[..colon].to_vec(), decoded[colon + 1..].to_vec()))
}

pub(super) fn has_tag(field: &[u8], tag: &str) -> bool {
    field.split(|byte| *byte == b',').any(|one| {
        let one = one.trim_ascii();
        one.strip_prefix(b"W/").unwrap_or(one) == tag.as_bytes()
    })
}

/// One range of bytes: nothing where there is none to obey, `Some(None)` where it is outside.
pub(super) fn single_range(field: &[u8], total: usize) -> Option<Option<(usize, usize)>> {
    let text = std::str::from_utf8(field).ok()?.strip_prefix("bytes=")?;
    let (first, last) = text.split_once('-')?;
    if first.is_empty() {
        let suffix: usize = last.parse().ok()?;
        let first = total.saturating_sub(suffix);
        return Some((suffix > 0 && total > 0).then(|| (first, total - 1)));
    }
    let first: usize = first.parse().ok()?;
    let last: usize = if last.is_empty() { usize::MAX } else { last.parse().ok()? };
    if last < first {
        return None;
    }
    Some((first < total).then(|| (first, last.min(total - 1))))
}
