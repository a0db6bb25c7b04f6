//! Frames of the NATS protocol, from both sides: every cut into pieces gives the same frames, and
//! what was read can be written and read again.

use bus::proto::{
    ClientFrame, ConnectOptions, Parsed, ProtoError, ProtoLimits, ServerFrame, ServerInfo,
    parse_client, parse_server, write,
};

use super::Target;
use crate::{Trace, trace::hash_of};

/// What a peer sends.
pub(super) const TARGET: Target = Target {
    name: "bus_codec",
    about: "frames of the bus: the same in every cut, and again when written",
    words: &[
        "PUB ",
        "HPUB ",
        "SUB ",
        "UNSUB ",
        "PING\r\n",
        "PONG\r\n",
        "+OK\r\n",
        "-ERR ",
        "CONNECT {",
        "INFO {",
        "MSG ",
        "HMSG ",
        " 1 ",
        " 10\r\n",
        " 0\r\n\r\n",
        "\r\n",
        "\n",
        "\t",
        "999999999",
        "\"verbose\":",
        "true",
        "null",
        "{\"",
    ],
    mutation: None,
    run,
};

/// Limits that inputs come near to.
const SMALL: ProtoLimits = ProtoLimits { max_control_line: 40, max_payload: 10 };

fn run(input: &[u8], trace: &mut Trace) {
    for limits in [ProtoLimits::default(), SMALL] {
        one_side(input, trace, |buf, trace| client(buf, &limits, trace));
        one_side(input, trace, |buf, trace| server(buf, &limits, trace));
    }
}

/// What reading gives: a frame as text and the bytes that it took, or `None` where there is more.
type Read = Result<Option<(String, usize)>, ProtoError>;

fn one_side(input: &[u8], trace: &mut Trace, read: impl Fn(&[u8], &mut Trace) -> Read) {
    let whole = frames(input, input.len().max(1), trace, &read);
    let piece = 1 + hash_of(input) as usize % 7;
    assert_eq!(frames(input, piece, &mut Trace::default(), &read), whole, "pieces of {piece}");
}

/// The frames of `input` where it comes in pieces, and what is wrong with it in the end.
fn frames(
    input: &[u8],
    piece: usize,
    trace: &mut Trace,
    read: impl Fn(&[u8], &mut Trace) -> Read,
) -> (Vec<String>, Option<ProtoError>) {
    let mut frames = Vec::new();
    let (mut start, mut end) = (0, 0);
    while end < input.len() {
        end = input.len().min(end + piece);
        loop {
            match read(&input[start..end], trace) {
                Ok(None) => break,
                Ok(Some((frame, used))) => {
                    frames.push(frame);
                    start += used;
                }
                Err(error) => {
                    trace.note(error.to_string());
                    return (frames, Some(error));
                }
            }
        }
    }
    (frames, None)
}

fn client(buf: &[u8], limits: &ProtoLimits, trace: &mut Trace) -> Read {
    match parse_client(buf, limits)? {
        Parsed::Incomplete { need } => {
            assert!(need > buf.len());
            Ok(None)
        }
        Parsed::Frame { frame, used } => {
            assert!((1..=buf.len()).contains(&used));
            trace.note(client_shape(&frame));
            client_again(frame);
            Ok(Some((format!("{frame:?}"), used)))
        }
    }
}

fn client_shape(frame: &ClientFrame<'_>) -> (u8, bool, bool) {
    match frame {
        ClientFrame::Connect(json) => (0, ConnectOptions::parse(json).is_ok(), false),
        ClientFrame::Ping => (1, false, false),
        ClientFrame::Pong => (2, false, false),
        ClientFrame::Info => (3, false, false),
        ClientFrame::Ok_ => (4, false, false),
        ClientFrame::Err(said) => (5, said.is_empty(), false),
        ClientFrame::Pub { reply, headers_len, .. } => (6, reply.is_some(), *headers_len > 0),
        ClientFrame::Sub { queue, .. } => (7, queue.is_some(), false),
        ClientFrame::Unsub { max, .. } => (8, max.is_some(), false),
    }
}

/// What was read, written and read again.
fn client_again(frame: ClientFrame<'_>) {
    let mut out = Vec::new();
    let expected = match frame {
        ClientFrame::Connect(json) => {
            write::connect(&mut out, json);
            options_again(json);
            frame
        }
        ClientFrame::Ping => {
            write::ping(&mut out);
            frame
        }
        ClientFrame::Pong => {
            write::pong(&mut out);
            frame
        }
        ClientFrame::Info | ClientFrame::Ok_ | ClientFrame::Err(_) => return,
        ClientFrame::Pub { subject, reply, headers_len, payload, .. } => {
            let (headers, body) = payload.split_at(headers_len);
            write::pub_(&mut out, subject, reply, headers, body);
            // headers of no length are written as none
            ClientFrame::Pub { subject, reply, headers_len, payload, hpub: headers_len > 0 }
        }
        ClientFrame::Sub { subject, queue, sid } => {
            write::sub(&mut out, subject, queue, sid);
            frame
        }
        ClientFrame::Unsub { sid, max } => {
            write::unsub(&mut out, sid, max);
            frame
        }
    };
    let again = parse_client(&out, &ProtoLimits::default());
    assert_eq!(again, Ok(Parsed::Frame { frame: expected, used: out.len() }));
}

fn options_again(json: &[u8]) {
    if let Ok(options) = ConnectOptions::parse(json) {
        let again = ConnectOptions::parse(&options.to_json()).expect("what is written is read");
        assert_eq!(again, options);
    }
}

fn server(buf: &[u8], limits: &ProtoLimits, trace: &mut Trace) -> Read {
    match parse_server(buf, limits)? {
        Parsed::Incomplete { need } => {
            assert!(need > buf.len());
            Ok(None)
        }
        Parsed::Frame { frame, used } => {
            assert!((1..=buf.len()).contains(&used));
            trace.note(server_shape(&frame));
            server_again(frame);
            Ok(Some((format!("{frame:?}"), used)))
        }
    }
}

fn server_shape(frame: &ServerFrame<'_>) -> (u8, bool, bool) {
    match frame {
        ServerFrame::Info(json) => (10, ServerInfo::parse(json).is_ok(), false),
        ServerFrame::Msg { reply, headers_len, .. } => (11, reply.is_some(), *headers_len > 0),
        ServerFrame::Ping => (12, false, false),
        ServerFrame::Pong => (13, false, false),
        ServerFrame::Ok => (14, false, false),
        ServerFrame::Err(said) => (15, said.is_empty(), false),
    }
}

fn server_again(frame: ServerFrame<'_>) {
    let mut out = Vec::new();
    match frame {
        ServerFrame::Info(json) => write::info(&mut out, json),
        ServerFrame::Msg { subject, sid, reply, headers_len, payload } => {
            write::msg(&mut out, subject, sid, reply, headers_len, payload);
        }
        ServerFrame::Ping => write::ping(&mut out),
        ServerFrame::Pong => write::pong(&mut out),
        ServerFrame::Ok => write::ok(&mut out),
        ServerFrame::Err(_) => return,
    }
    let again = parse_server(&out, &ProtoLimits::default());
    assert_eq!(again, Ok(Parsed::Frame { frame, used: out.len() }));
}
