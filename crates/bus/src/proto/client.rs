//! What clients send.

use super::{
    ClientFrame, Parsed, ProtoError, ProtoLimits,
    line::{self, more, verb, whole},
};

/// What a whole control line gives: the frame and the bytes that it took, or `None` where the
/// buffer ends before the frame does.
type Read<'a> = Result<Parsed<ClientFrame<'a>>, ProtoError>;

/// The first frame of `buf`, which holds everything that was read and not yet used.
///
/// Verbs may be in any case; arguments are separated by blanks or tabs; a line ends with a line
/// feed, with or without a carriage return before it; a payload ends with both. Nothing is
/// allocated.
///
/// # Errors
/// What nats-server closes the connection for. It is found out as early as the bytes allow.
#[inline]
pub fn parse_client<'a>(buf: &'a [u8], limits: &ProtoLimits) -> Read<'a> {
    match buf {
        [b'P' | b'p', b'U' | b'u', b'B' | b'b', ..] => publish(buf, limits),
        [b'P' | b'p', ..] => ping_or_pong(buf, limits),
        [b'H' | b'h', ..] => verb(buf, b"HPUB", |buf| publish_with_headers(buf, limits)),
        [b'S' | b's', ..] => verb(buf, b"SUB", |buf| subscribe(buf, limits)),
        [b'U' | b'u', ..] => verb(buf, b"UNSUB", |buf| unsubscribe(buf, limits)),
        [] => Ok(more(buf)),
        _ => rare(buf, limits),
    }
}

/// What does not come often.
fn rare<'a>(buf: &'a [u8], limits: &ProtoLimits) -> Read<'a> {
    match buf[0] {
        b'C' | b'c' => verb(buf, b"CONNECT", |buf| {
            let json = line::text(buf, 7, limits)?;
            Ok(json.map_or(more(buf), |(json, used)| whole(ClientFrame::Connect(json), used)))
        }),
        b'I' | b'i' => verb(buf, b"INFO", |buf| {
            let json = line::text(buf, 4, limits)?;
            Ok(json.map_or(more(buf), |(_, used)| whole(ClientFrame::Info, used)))
        }),
        b'+' => verb(buf, b"+OK", |buf| bare(buf, 3, ClientFrame::Ok_, limits)),
        b'-' => verb(buf, b"-ERR", |buf| {
            let said = line::arguments(buf, 4, limits)?;
            Ok(said.map_or(more(buf), |(said, used)| whole(ClientFrame::Err(said), used)))
        }),
        _ => Err(ProtoError::UnknownOperation),
    }
}

fn ping_or_pong<'a>(buf: &'a [u8], limits: &ProtoLimits) -> Read<'a> {
    match buf.get(1) {
        None => Ok(more(buf)),
        Some(b'I' | b'i') => verb(buf, b"PING", |buf| bare(buf, 4, ClientFrame::Ping, limits)),
        Some(b'O' | b'o') => verb(buf, b"PONG", |buf| bare(buf, 4, ClientFrame::Pong, limits)),
        Some(b'U' | b'u') if buf.len() == 2 => Ok(more(buf)),
        Some(_) => Err(ProtoError::UnknownOperation),
    }
}

fn bare<'a>(buf: &'a [u8], verb: usize, frame: ClientFrame<'a>, limits: &ProtoLimits) -> Read<'a> {
    Ok(line::bare(buf, verb, limits)?.map_or(more(buf), |used| whole(frame, used)))
}

#[inline]
fn publish<'a>(buf: &'a [u8], limits: &ProtoLimits) -> Read<'a> {
    let Some((line, start)) = line::arguments(buf, 3, limits)? else { return Ok(more(buf)) };
    let (subject, reply, size) = match line::split::<3>(line) {
        Some(([subject, size, _], 2)) => (subject, None, size),
        Some(([subject, reply, size], 3)) => (subject, Some(reply), size),
        _ => return Err(ProtoError::Arity),
    };
    let size = line::number(size).ok_or(ProtoError::Size)?;
    let head = Head { subject, reply, headers_len: 0, hpub: false };
    head.with_payload(buf, start, size, limits)
}

fn publish_with_headers<'a>(buf: &'a [u8], limits: &ProtoLimits) -> Read<'a> {
    let Some((line, start)) = line::arguments(buf, 4, limits)? else { return Ok(more(buf)) };
    let (subject, reply, headers, size) = match line::split::<4>(line) {
        Some(([subject, headers, size, _], 3)) => (subject, None, headers, size),
        Some(([subject, reply, headers, size], 4)) => (subject, Some(reply), headers, size),
        _ => return Err(ProtoError::Arity),
    };
    let headers_len = line::number(headers).ok_or(ProtoError::Size)?;
    let size = line::number(size).filter(|size| *size >= headers_len).ok_or(ProtoError::Size)?;
    let head = Head { subject, reply, headers_len, hpub: true };
    head.with_payload(buf, start, size, limits)
}

/// What the control line of a publish says.
struct Head<'a> {
    subject: &'a [u8],
    reply: Option<&'a [u8]>,
    headers_len: usize,
    hpub: bool,
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
        let Head { subject, reply, headers_len, hpub } = self;
        Ok(match line::payload(buf, start, size)? {
            None => Parsed::Incomplete { need: start + size + 2 },
            Some((payload, used)) => {
                whole(ClientFrame::Pub { subject, reply, headers_len, payload, hpub }, used)
            }
        })
    }
}

fn subscribe<'a>(buf: &'a [u8], limits: &ProtoLimits) -> Read<'a> {
    let Some((line, used)) = line::arguments(buf, 3, limits)? else { return Ok(more(buf)) };
    let (subject, queue, sid) = match line::split::<3>(line) {
        Some(([subject, sid, _], 2)) => (subject, None, sid),
        Some(([subject, queue, sid], 3)) => (subject, Some(queue), sid),
        _ => return Err(ProtoError::Arity),
    };
    Ok(whole(ClientFrame::Sub { subject, queue, sid }, used))
}

fn unsubscribe<'a>(buf: &'a [u8], limits: &ProtoLimits) -> Read<'a> {
    let Some((line, used)) = line::arguments(buf, 5, limits)? else { return Ok(more(buf)) };
    let (sid, max) = match line::split::<2>(line) {
        Some(([sid, _], 1)) => (sid, None),
        Some(([sid, max], 2)) => (sid, line::number(max).map(|max| max as u64)),
        _ => return Err(ProtoError::Arity),
    };
    Ok(whole(ClientFrame::Unsub { sid, max }, used))
}
