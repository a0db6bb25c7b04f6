//! What servers send.

use super::{
    Parsed, ProtoError, ProtoLimits, ServerFrame,
    line::{self, more, verb, whole},
};

type Read<'a> = Result<Parsed<ServerFrame<'a>>, ProtoError>;

/// The longest control line of a server: INFO lists the addresses of a whole cluster, and an error
/// repeats the subject that it is about.
const MAX_LINE: usize = 64 * 1024;

/// The first frame of `buf`, which holds everything that was read and not yet used.
///
/// A server's control lines may have 64 KiB, and more where `limits` says so.
///
/// # Errors
/// What no server says.
#[inline]
pub fn parse_server<'a>(buf: &'a [u8], limits: &ProtoLimits) -> Read<'a> {
    let max_control_line = limits.max_control_line.max(MAX_LINE);
    let limits = &ProtoLimits { max_control_line, ..*limits };
    match buf {
        [] | [b'P' | b'p'] => Ok(more(buf)),
        [b'M' | b'm', ..] => verb(buf, b"MSG", |buf| message(buf, limits)),
        [b'H' | b'h', ..] => verb(buf, b"HMSG", |buf| message_with_headers(buf, limits)),
        [b'P' | b'p', b'I' | b'i', ..] => bare(buf, b"PING", ServerFrame::Ping, limits),
        [b'P' | b'p', ..] => bare(buf, b"PONG", ServerFrame::Pong, limits),
        [b'+', ..] => bare(buf, b"+OK", ServerFrame::Ok, limits),
        [b'-', ..] => verb(buf, b"-ERR", |buf| text(buf, 4, error, limits)),
        [b'I' | b'i', ..] => verb(buf, b"INFO", |buf| text(buf, 4, ServerFrame::Info, limits)),
        _ => Err(ProtoError::UnknownOperation),
    }
}

fn bare<'a>(buf: &'a [u8], name: &[u8], frame: ServerFrame<'a>, limits: &ProtoLimits) -> Read<'a> {
    verb(buf, name, |buf| {
        Ok(line::bare(buf, name.len(), limits)?.map_or(more(buf), |used| whole(frame, used)))
    })
}

fn text<'a>(
    buf: &'a [u8],
    verb: usize,
    frame: fn(&'a [u8]) -> ServerFrame<'a>,
    limits: &ProtoLimits,
) -> Read<'a> {
    let line = line::text(buf, verb, limits)?;
    Ok(line.map_or(more(buf), |(text, used)| whole(frame(text), used)))
}

/// The text of a `-ERR`, its quotes taken off where it has them.
fn error(said: &[u8]) -> ServerFrame<'_> {
    let text = said.trim_ascii();
    let bare = text.strip_prefix(b"'").and_then(|text| text.strip_suffix(b"'"));
    ServerFrame::Err(bare.unwrap_or(text))
}

#[inline]
fn message<'a>(buf: &'a [u8], limits: &ProtoLimits) -> Read<'a> {
    let Some((line, start)) = line::arguments(buf, 3, limits)? else { return Ok(more(buf)) };
    let (subject, sid, reply, size) = match line::split::<4>(line) {
        Some(([subject, sid, size, _], 3)) => (subject, sid, None, size),
        Some(([subject, sid, reply, size], 4)) => (subject, sid, Some(reply), size),
        _ => return Err(ProtoError::Arity),
    };
    let size = line::number(size).ok_or(ProtoError::Size)?;
    Head { subject, sid, reply, headers_len: 0 }.with_payload(buf, start, size, limits)
}

fn message_with_headers<'a>(buf: &'a [u8], limits: &ProtoLimits) -> Read<'a> {
    let Some((line, start)) = line::arguments(buf, 4, limits)? else { return Ok(more(buf)) };
    let (subject, sid, reply, headers, size) = match line::split::<5>(line) {
        Some(([subject, sid, headers, size, _], 4)) => (subject, sid, None, headers, size),
        Some(([subject, sid, reply, headers, size], 5)) => {
            (subject, sid, Some(reply), headers, size)
        }
        _ => return Err(ProtoError::Arity),
    };
    let headers_len = line::number(headers).ok_or(ProtoError::Size)?;
    let size = line::number(size).filter(|size| *size >= headers_len).ok_or(ProtoError::Size)?;
    Head { subject, sid, reply, headers_len }.with_payload(buf, start, size, limits)
}

/// What the control line of a message says.
struct Head<'a> {
    subject: &'a [u8],
    sid: &'a [u8],
    reply: Option<&'a [u8]>,
    headers_len: usize,
}

impl<'a> Head<'a> {
    #[inline]
    fn with_payload(
        self,
        buf: &'a [u8],
        start: usize,
        size: usize,
        limits: &ProtoLimits,
    ) -> Read<'a> {
        if size > limits.max_payload {
            return Err(ProtoError::Payload);
        }
        let Head { subject, sid, reply, headers_len } = self;
        Ok(match line::payload(buf, start, size)? {
            None => Parsed::Incomplete { need: start + size + 2 },
            Some((payload, used)) => {
                whole(ServerFrame::Msg { subject, sid, reply, headers_len, payload }, used)
            }
        })
    }
}
