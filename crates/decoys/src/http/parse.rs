//! From bytes to requests, with the strictness of the server that is imitated.
//!
//! Works on complete lines only, so that the same input gives the same requests however it is
//! cut. Owns the limits of line and header sizes; it knows nothing of sites and answers.

use super::site::Product;

/// Longest request line or header line, as nginx (`large_client_header_buffers`) and Apache
/// (`LimitRequestLine`, `LimitRequestFieldSize`) have them by default.
pub(super) const MAX_LINE_BYTES: usize = 8190;

/// Most bytes of all header lines together (nginx: four buffers of 8 KiB).
const MAX_HEAD_BYTES: usize = 4 * 8192;

/// Most header lines (Apache: `LimitRequestFields`); nginx counts bytes only.
const MAX_FIELDS: usize = 100;

/// Largest body that nginx takes (`client_max_body_size`).
const NGINX_MAX_BODY: u64 = 1 << 20;

/// Largest body that Apache takes (`LimitRequestBody`).
const APACHE_MAX_BODY: u64 = 1 << 30;

/// Protocol version of a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Version {
    /// A request line without version: the answer is a body only.
    Http09,
    Http10,
    Http11,
}

/// How the body comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BodyLength {
    Exactly(u64),
    Chunked,
}

/// A request without its body.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) line: Vec<u8>,
    pub(super) method: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) version: Version,
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) body: BodyLength,
    pub(super) close: bool,
}

impl Request {
    /// The first field of that name.
    pub(super) fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.as_slice())
    }

    /// Whether a comma-separated field holds a word.
    pub(super) fn has_token(&self, name: &str, token: &str) -> bool {
        self.field(name).is_some_and(|value| {
            value
                .split(|byte| *byte == b',')
                .any(|word| word.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
        })
    }
}

/// Why there is no request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Malformed {
    Bad,
    LineTooLong,
    FieldTooLong,
    TooManyFields,
    Version,
    Encoding,
    BodyTooLarge,
}

/// What the parser found in the bytes so far.
#[derive(Debug)]
pub(super) enum Parsed {
    /// Nothing whole yet.
    Incomplete,
    /// A head that took so many bytes.
    Head(Request, usize),
    /// No head can come of this. The request that there would have been, where one was read far
    /// enough to be answered by name.
    Malformed(Malformed, Option<Request>, Vec<u8>),
}

/// Parses one head from the start of `bytes`.
pub(super) fn parse_head(product: Product, bytes: &[u8]) -> Parsed {
    let skipped = leading_newlines(bytes);
    let rest = &bytes[skipped..];
    if product == Product::Nginx && rest.first().is_some_and(|byte| !is_nginx_method(*byte)) {
        return Parsed::Malformed(Malformed::Bad, None, rest[..1].to_vec());
    }
    let mut lines = Lines { bytes: rest, at: 0, strict: product == Product::Apache };
    let line = match lines.next(MAX_LINE_BYTES) {
        Line::Incomplete => return Parsed::Incomplete,
        Line::TooLong => {
            let shown = rest[..MAX_LINE_BYTES].to_vec();
            return Parsed::Malformed(Malformed::LineTooLong, None, shown);
        }
        Line::BareLf(line) => {
            return Parsed::Malformed(Malformed::Bad, None, line.to_vec());
        }
        Line::Whole(line) => line,
    };
    let mut request = match request_line(product, line) {
        Ok(request) => request,
        Err(why) => return Parsed::Malformed(why, None, line.to_vec()),
    };
    if request.version == Version::Http09 {
        return Parsed::Head(request, skipped + lines.at);
    }
    match fields(product, &mut lines, &mut request) {
        Ok(true) => {}
        Ok(false) => return Parsed::Incomplete,
        Err(why) => return Parsed::Malformed(why, None, request.line),
    }
    match framing(product, &mut request) {
        Ok(()) => Parsed::Head(request, skipped + lines.at),
        Err(Malformed::BodyTooLarge) => {
            let line = request.line.clone();
            Parsed::Malformed(Malformed::BodyTooLarge, Some(request), line)
        }
        Err(why) => Parsed::Malformed(why, None, request.line),
    }
}

/// Whether the bytes so far are more than empty lines.
pub(super) fn has_begun(bytes: &[u8]) -> bool {
    leading_newlines(bytes) < bytes.len()
}

fn leading_newlines(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
}

fn is_nginx_method(byte: u8) -> bool {
    byte.is_ascii_uppercase() || matches!(byte, b'_' | b'-')
}

enum Line<'a> {
    Incomplete,
    TooLong,
    BareLf(&'a [u8]),
    Whole(&'a [u8]),
}

struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    strict: bool,
}

impl<'a> Lines<'a> {
    fn next(&mut self, most: usize) -> Line<'a> {
        let rest = &self.bytes[self.at..];
        let window = &rest[..rest.len().min(most + 2)];
        let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
            return if rest.len() >= most + 2 { Line::TooLong } else { Line::Incomplete };
        };
        self.at += end + 1;
        match rest[..end].strip_suffix(b"\r") {
            Some(line) => Line::Whole(line),
            None if self.strict => Line::BareLf(&rest[..end]),
            None => Line::Whole(&rest[..end]),
        }
    }
}

fn request_line(product: Product, line: &[u8]) -> Result<Request, Malformed> {
    let words: Vec<&[u8]> = match product {
        Product::Apache => line.split(|byte| *byte == b' ').collect(),
        Product::Nginx => {
            line.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).collect()
        }
    };
    let (method, target, version) = match words.as_slice() {
        [method, target] => (*method, *target, None),
        [method, target, version] => (*method, *target, Some(*version)),
        _ => return Err(Malformed::Bad),
    };
    let is_method = match product {
        Product::Nginx => method.iter().all(|byte| is_nginx_method(*byte)),
        Product::Apache => !method.is_empty() && method.iter().all(|byte| is_token(*byte)),
    };
    let printable = |byte: &u8| *byte > 0x20 && *byte != 0x7f;
    let is_target = match (product, target) {
        (_, [b'/', ..]) => true,
        (Product::Apache, b"*") => method == b"OPTIONS",
        (Product::Apache, _) if method == b"CONNECT" => true,
        _ => target.to_ascii_lowercase().starts_with(b"http://"),
    };
    if !is_method || !is_target || !target.iter().all(printable) {
        return Err(Malformed::Bad);
    }
    let version = match version {
        None if method == b"GET" => Version::Http09,
        None => return Err(Malformed::Bad),
        Some(text) => parse_version(product, text)?,
    };
    Ok(Request {
        line: line.to_vec(),
        method: method.to_vec(),
        target: target.to_vec(),
        version,
        fields: Vec::new(),
        body: BodyLength::Exactly(0),
        close: version < Version::Http11,
    })
}

fn parse_version(product: Product, text: &[u8]) -> Result<Version, Malformed> {
    match (product, text) {
        (_, b"HTTP/1.0") => Ok(Version::Http10),
        (_, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor]) if minor.is_ascii_digit() => {
            Ok(Version::Http11)
        }
        (_, [b'H', b'T', b'T', b'P', b'/', b'2'..=b'9', b'.', minor]) if minor.is_ascii_digit() => {
            match product {
                Product::Nginx => Err(Malformed::Version),
                Product::Apache => Ok(Version::Http11),
            }
        }
        _ => Err(Malformed::Bad),
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Reads header lines up to the empty one; false where that is still to come.
fn fields(
    product: Product,
    lines: &mut Lines<'_>,
    request: &mut Request,
) -> Result<bool, Malformed> {
    let begin = lines.at;
    loop {
        let line = match lines.next(MAX_LINE_BYTES) {
            Line::Incomplete => return Ok(false),
            Line::TooLong => return Err(Malformed::FieldTooLong),
            Line::BareLf(_) => return Err(Malformed::Bad),
            Line::Whole(line) => line,
        };
        if line.is_empty() {
            return Ok(true);
        }
        if product == Product::Nginx && lines.at - begin > MAX_HEAD_BYTES {
            return Err(Malformed::FieldTooLong);
        }
        if product == Product::Apache && request.fields.len() >= MAX_FIELDS {
            return Err(Malformed::TooManyFields);
        }
        field(product, line, request)?;
    }
}

fn field(product: Product, line: &[u8], request: &mut Request) -> Result<(), Malformed> {
    if line.contains(&0) {
        return Err(Malformed::Bad);
    }
    if matches!(line[0], b' ' | b'\t') {
        // Obsolete line folding (RFC 9112 section 5.2): Apache joins, nginx refuses.
        let last = request.fields.last_mut().filter(|_| product == Product::Apache);
        let (_, value) = last.ok_or(Malformed::Bad)?;
        value.push(b' ');
        value.extend_from_slice(line.trim_ascii());
        return if value.len() > MAX_LINE_BYTES { Err(Malformed::FieldTooLong) } else { Ok(()) };
    }
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return match product {
            // nginx leaves out a line that is a name only.
            Product::Nginx if line.iter().all(|byte| *byte > 0x20) => Ok(()),
            _ => Err(Malformed::Bad),
        };
    };
    let name = &line[..colon];
    let legal = match product {
        Product::Apache => !name.is_empty() && name.iter().all(|byte| is_token(*byte)),
        Product::Nginx => name.iter().all(|byte| *byte > 0x20 && *byte != 0x7f),
    };
    if !legal {
        return Err(Malformed::Bad);
    }
    request.fields.push((name.to_vec(), line[colon + 1..].trim_ascii().to_vec()));
    Ok(())
}

/// Host, body length and whether the connection goes on.
fn framing(product: Product, request: &mut Request) -> Result<(), Malformed> {
    let all = |name: &str| -> Vec<&[u8]> {
        let of_name = |(key, _): &&(Vec<u8>, Vec<u8>)| key.eq_ignore_ascii_case(name.as_bytes());
        request.fields.iter().filter(of_name).map(|(_, value)| value.as_slice()).collect()
    };
    match all("host").as_slice() {
        [] if request.version < Version::Http11 => {}
        [host] if is_host(product, host) => {}
        _ => return Err(Malformed::Bad),
    }
    let lengths = all("content-length");
    let encodings = all("transfer-encoding");
    let mut body = BodyLength::Exactly(0);
    let mut ambiguous = false;
    if let Some(encoding) = encodings.first() {
        if !encoding.eq_ignore_ascii_case(b"chunked") {
            return Err(match product {
                Product::Nginx => Malformed::Encoding,
                Product::Apache => Malformed::Bad,
            });
        }
        ambiguous = !lengths.is_empty() || request.version < Version::Http11;
        if product == Product::Nginx && ambiguous {
            return Err(Malformed::Bad);
        }
        body = BodyLength::Chunked;
    } else if let [length, more @ ..] = lengths.as_slice() {
        let digits = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
        let value = std::str::from_utf8(length).ok().and_then(|text| text.parse().ok());
        let (true, true, Some(value)) = (digits, more.is_empty(), value) else {
            return Err(Malformed::Bad);
        };
        body = BodyLength::Exactly(value);
    }
    let most = match product {
        Product::Nginx => NGINX_MAX_BODY,
        Product::Apache => APACHE_MAX_BODY,
    };
    request.close = match request.version {
        Version::Http11 => request.has_token("connection", "close") || ambiguous,
        Version::Http10 => !request.has_token("connection", "keep-alive") || ambiguous,
        Version::Http09 => true,
    };
    request.body = body;
    match body {
        BodyLength::Exactly(length) if length > most => Err(Malformed::BodyTooLarge),
        BodyLength::Exactly(_) | BodyLength::Chunked => Ok(()),
    }
}

fn is_host(product: Product, host: &[u8]) -> bool {
    let legal = |byte: &u8| match product {
        Product::Nginx => *byte > 0x20 && *byte != 0x7f && *byte != b'/',
        Product::Apache => byte.is_ascii_alphanumeric() || b"._-:[]".contains(byte),
    };
    !host.is_empty() && host.iter().all(legal)
}
