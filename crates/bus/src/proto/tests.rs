//! Frames as text: what bytes are read as, in one piece and in all others.

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{
    ClientFrame, ConnectOptions, ErrText, HeaderBuilder, HeaderError, Headers, Parsed, ProtoError,
    ProtoLimits, ServerFrame, ServerInfo, parse_client, parse_server, write,
};

const LIMITS: ProtoLimits = ProtoLimits { max_control_line: 40, max_payload: 10 };

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\'", "'").replace("\\\"", "\"")
}

fn or_dash(bytes: Option<&[u8]>) -> String {
    bytes.map_or("-".into(), text)
}

fn client_frame(frame: ClientFrame<'_>) -> String {
    match frame {
        ClientFrame::Connect(json) => format!("connect {}", text(json)),
        ClientFrame::Ping => "ping".into(),
        ClientFrame::Pong => "pong".into(),
        ClientFrame::Info => "info".into(),
        ClientFrame::Ok_ => "ok".into(),
        ClientFrame::Err(said) => format!("err {}", text(said)),
        ClientFrame::Pub { subject, reply, headers_len, payload, hpub } => {
            let (headers, body) = payload.split_at(headers_len);
            let verb = if hpub { "hpub" } else { "pub" };
            let [subject, headers, body] = [subject, headers, body].map(text);
            format!("{verb} {subject} {} [{headers}] [{body}]", or_dash(reply))
        }
        ClientFrame::Sub { subject, queue, sid } => {
            format!("sub {} {} {}", text(subject), or_dash(queue), text(sid))
        }
        ClientFrame::Unsub { sid, max } => format!("unsub {} {max:?}", text(sid)),
    }
}

fn server_frame(frame: ServerFrame<'_>) -> String {
    match frame {
        ServerFrame::Info(json) => format!("info {}", text(json)),
        ServerFrame::Msg { subject, sid, reply, headers_len, payload } => {
            let (headers, body) = payload.split_at(headers_len);
            let [subject, sid, headers, body] = [subject, sid, headers, body].map(text);
            format!("msg {subject} {sid} {} [{headers}] [{body}]", or_dash(reply))
        }
        ServerFrame::Ping => "ping".into(),
        ServerFrame::Pong => "pong".into(),
        ServerFrame::Ok => "ok".into(),
        ServerFrame::Err(said) => format!("err {}", text(said)),
    }
}

type Read = Result<Parsed<String>, ProtoError>;

fn read_client(buf: &[u8]) -> Read {
    parse_client(buf, &LIMITS).map(|parsed| said(parsed, client_frame))
}

fn read_server(buf: &[u8]) -> Read {
    parse_server(buf, &LIMITS).map(|parsed| said(parsed, server_frame))
}

fn said<F>(parsed: Parsed<F>, text: fn(F) -> String) -> Parsed<String> {
    match parsed {
        Parsed::Frame { frame, used } => Parsed::Frame { frame: text(frame), used },
        Parsed::Incomplete { need } => Parsed::Incomplete { need },
    }
}

/// Every frame of `stream`, and how it ends. Each frame is read from every beginning of itself
/// too: it must not be there early, what is needed must be true, and what is wrong must stay so.
fn frames(stream: &[u8], read: fn(&[u8]) -> Read) -> Vec<String> {
    let mut frames = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let whole = read(rest);
        (0..rest.len()).for_each(|cut| agrees(&read(&rest[..cut]), &whole, cut, rest));
        match whole {
            Ok(Parsed::Frame { frame, used }) => {
                frames.push(frame);
                rest = &rest[used..];
            }
            Ok(Parsed::Incomplete { need }) => {
                assert!(need > rest.len());
                return [frames, vec!["more".into()]].concat();
            }
            Err(error) => return [frames, vec![error.to_string()]].concat(),
        }
    }
    frames
}

/// Whether `early`, read from the first `cut` bytes of `buf`, can become `whole`.
fn agrees(early: &Read, whole: &Read, cut: usize, buf: &[u8]) {
    let fits = match (early, whole) {
        (Ok(Parsed::Incomplete { need }), Ok(Parsed::Frame { used, .. })) => {
            cut < *used && (cut + 1..=*used).contains(need)
        }
        (Ok(Parsed::Incomplete { need }), _) => *need > cut,
        (Ok(Parsed::Frame { used, .. }), _) => early == whole && *used <= cut,
        (Err(_), _) => early == whole,
    };
    assert!(fits, "{early:?} at {cut} of {whole:?} from {}", text(buf));
}

#[track_caller]
fn check_client(stream: &str, expected: &[&str]) {
    assert_eq!(frames(stream.as_bytes(), read_client), expected, "{stream:?}");
}

#[track_caller]
fn check_server(stream: &str, expected: &[&str]) {
    assert_eq!(frames(stream.as_bytes(), read_server), expected, "{stream:?}");
}

#[test]
fn clients_publish() {
    check_client("PUB a 2\r\nhi\r\n", &["pub a - [] [hi]"]);
    check_client("PUB a b 2\r\nhi\r\nPUB c 0\r\n\r\n", &["pub a b [] [hi]", "pub c - [] []"]);
    check_client("pUb\ta \t b\t2 \nhi\r\n", &["pub a b [] [hi]"]);
    check_client("PUB a 2\r\n\r\n\r\n", &["pub a - [] [\\r\\n]"]);
    check_client("HPUB a 2 4\r\nhibo\r\n", &["hpub a - [hi] [bo]"]);
    check_client("hpub a b 0 2\r\nbo\r\n", &["hpub a b [] [bo]"]);
    check_client("PUB a.*..> 0\r\n\r\n", &["pub a.*..> - [] []"]);
}

#[test]
fn clients_subscribe() {
    check_client("SUB a.> 1\r\nsub b q 2\n", &["sub a.> - 1", "sub b q 2"]);
    check_client("UNSUB 1\r\nUNSUB 2 5\r\n", &["unsub 1 None", "unsub 2 Some(5)"]);
    check_client("UNSUB 1 x\r\nUNSUB 1 1234567890\r\n", &["unsub 1 None"; 2]);
    check_client("SUB \u{ff} 1\r\n", &["sub \\xc3\\xbf - 1"]);
}

#[test]
fn clients_say_the_rest() {
    check_client("CONNECT {}\r\nconnect{} \n", &["connect {}", "connect {} "]);
    check_client("PING\r\npong\nPiNGxyz \r\n", &["ping", "pong", "ping"]);
    check_client("INFO {}\r\n+OK\r\n+okay\n", &["info", "ok", "ok"]);
    check_client("-ERR 'no'\r\n", &["err 'no'"]);
}

#[test]
fn a_line_feed_right_after_the_verb_is_a_blank() {
    check_client("SUB \na 1\r\nPING\r\n", &["sub a - 1", "ping"]);
    check_client("SUB \r\n", &["wrong number of arguments"]);
    check_client("PUB a\rb 0\r\n\r\n", &["pub a b [] []"]);
}

#[test]
fn what_is_not_there_yet_is_waited_for() {
    let cases = [("P", 2), ("PUB a 5", 8), ("PUB a 5\r\nhe", 16), ("HPUB a 1 3\r\n", 17)];
    for (buf, need) in cases {
        assert_eq!(read_client(buf.as_bytes()), Ok(Parsed::Incomplete { need }), "{buf}");
    }
    assert_eq!(read_client(b""), Ok(Parsed::Incomplete { need: 1 }));
    assert_eq!(read_server(b"MSG a 1 3\r\nx"), Ok(Parsed::Incomplete { need: 16 }));
}

#[test]
fn what_is_no_frame_is_refused_as_early_as_it_is_known() {
    use ProtoError::{Arity, ControlLine, Payload, PayloadEnd, Size, UnknownOperation};
    let long = "a".repeat(41);
    let cases = [
        ("\r\n", UnknownOperation),
        (" PING\r\n", UnknownOperation),
        ("PX", UnknownOperation),
        ("PUT", UnknownOperation),
        ("PUBa", UnknownOperation),
        ("PUB\r\n", UnknownOperation),
        ("-ERRx", UnknownOperation),
        ("MSG a 1 0\r\n\r\n", UnknownOperation),
        ("PUB a 1\r\nxy", PayloadEnd),
        ("PUB a 1\r\nx\n", PayloadEnd),
        ("PUB a 1\r\nx\rx", PayloadEnd),
        ("PUB a 0\n\n", PayloadEnd),
        ("PUB a\r\n", Arity),
        ("PUB a b 1 c\r\n", Arity),
        ("HPUB a 1\r\n", Arity),
        ("SUB a\r\n", Arity),
        ("SUB a b c d\r\n", Arity),
        ("UNSUB \r\n", Arity),
        ("UNSUB 1 2 3\r\n", Arity),
        ("PUB a -1\r\n", Size),
        ("PUB a +1\r\n", Size),
        ("PUB a 1234567890\r\n", Size),
        ("HPUB a 3 2\r\n", Size),
        ("HPUB a x 2\r\n", Size),
        ("PUB a 11\r\n", Payload),
        ("HPUB a 11 11\r\n", Payload),
        (&format!("SUB {long}"), ControlLine),
        (&format!("CONNECT {long}"), ControlLine),
        (&format!("SUB {}", " ".repeat(41)), ControlLine),
        (&format!("PING{long}"), ControlLine),
    ];
    for (buf, error) in cases {
        assert_eq!(read_client(buf.as_bytes()), Err(error), "{buf:?}");
        frames(buf.as_bytes(), read_client);
    }
}

#[test]
fn a_control_line_may_be_as_long_as_the_limit() {
    let filter = "a".repeat(38);
    check_client(&format!("SUB  {filter} 1\r\n"), &[&format!("sub {filter} - 1")]);
    check_client(&format!("SUB {filter}a 1\r\n"), &["control line too long"]);
}

#[test]
fn servers_speak() {
    check_server("INFO {\"a\":1}\r\n", &["info {\"a\":1}"]);
    check_server(
        "MSG a 1 2\r\nhi\r\nMSG a 1 r 0\r\n\r\n",
        &["msg a 1 - [] [hi]", "msg a 1 r [] []"],
    );
    check_server("HMSG a 1 2 4\r\nhibo\r\n", &["msg a 1 - [hi] [bo]"]);
    check_server("HMSG a 1 r 0 2\r\nbo\r\n", &["msg a 1 r [] [bo]"]);
    check_server("+OK\r\nPING\r\nPONG\r\n", &["ok", "ping", "pong"]);
    check_server("-ERR 'Stale Connection'\r\n-ERR x\r\n", &["err Stale Connection", "err x"]);
    check_server("SUB a 1\r\n", &["unknown protocol operation"]);
    check_server("MSG a 1\r\n", &["wrong number of arguments"]);
    check_server("HMSG a 1 3 2\r\n", &["not a size"]);
    check_server("MSG a 1 11\r\n", &["payload too large"]);
}

#[test]
fn a_server_may_have_longer_lines_than_a_client() {
    let json = format!("{{\"connect_urls\":[\"{}\"]}}", "a".repeat(5000));
    check_server(&format!("INFO {json}\r\n"), &[&format!("info {}", text(json.as_bytes()))]);
}

#[test]
fn errors_have_the_words_of_nats_server() {
    let queue = Some(&b"q"[..]);
    let cases = [
        (ErrText::UnknownOperation, "Unknown Protocol Operation", true),
        (ErrText::MaximumPayload, "Maximum Payload Violation", true),
        (ErrText::MaximumControlLine, "maximum control line exceeded", true),
        (ErrText::InvalidSubject, "Invalid Subject", false),
        (
            ErrText::PublishPermission { subject: b"a\"\n\xff" },
            "Permissions Violation for Publish to \"a\\\"\\x0a\\xff\"",
            false,
        ),
        (
            ErrText::SubscribePermission { subject: b"a", queue },
            "Permissions Violation for Subscription to \"a\" using queue \"q\"",
            false,
        ),
    ];
    for (error, words, closes) in cases {
        assert_eq!((error.to_string().as_str(), error.closes()), (words, closes));
    }
    assert_eq!(ProtoError::Arity.text(), None);
    assert_eq!(ProtoError::Payload.text(), Some(ErrText::MaximumPayload));
}

#[test]
fn connect_is_read_as_nats_server_does() {
    let default = ConnectOptions::default();
    assert!(default.verbose && default.pedantic && default.echo && !default.headers);
    let same =
        ["{}", "null", "{\"x\":{}}", "{\"verbose\":null}", " {\"echo\":false,\"Echo\":true}"];
    for json in same {
        assert_eq!(ConnectOptions::parse(json.as_bytes()).unwrap(), default, "{json}");
    }
    let json = br#"{"VERBOSE":false,"user":"me","pass":"","protocol":1,"lang":"go"}"#;
    let options = ConnectOptions::parse(json).unwrap();
    assert_eq!((options.verbose, options.protocol, options.lang.as_str()), (false, 1, "go"));
    assert_eq!((options.user.as_deref(), options.pass.as_deref()), (Some("me"), Some("")));
    for json in ["", "[]", "{", "{} {}", "{\"verbose\":1}", "{\"protocol\":1.0}", "{\"name\":[]}"] {
        assert!(ConnectOptions::parse(json.as_bytes()).is_err(), "{json}");
    }
    assert_eq!(ConnectOptions::parse(&options.to_json()).unwrap(), options);
    let again = options.parse_again(b"{\"echo\":false,\"user\":null}").unwrap();
    assert_eq!(again, ConnectOptions { echo: false, ..options });
    let foreign = ConnectOptions::parse(b"{\"name\":\"caf\xe9\"}").unwrap();
    assert_eq!(foreign.name, "caf\u{fffd}");
}

#[test]
fn info_leaves_out_what_does_not_hold() {
    let info = ServerInfo { version: "2.9.10".into(), ldm: true, ..ServerInfo::default() };
    let json = String::from_utf8(info.to_json()).unwrap();
    assert_eq!(
        json,
        "{\"server_id\":\"\",\"server_name\":\"\",\"version\":\"2.9.10\",\"proto\":1,\"go\":\"\",\
         \"host\":\"\",\"port\":0,\"headers\":true,\"max_payload\":1048576,\"client_id\":0,\
         \"ldm\":true}"
    );
    assert_eq!(ServerInfo::parse(json.as_bytes()).unwrap(), info);
}

#[test]
fn header_blocks_are_read() {
    let block = b"NATS/1.0 503 No  Responders \r\nA: 1\r\na:  two \r\nA:\r\n\r\n";
    let headers = Headers::parse(block).unwrap();
    assert_eq!(
        (headers.status(), headers.description()),
        (Some(503), Some(&b"No  Responders"[..]))
    );
    assert_eq!(headers.get(b"A"), Some(&b"1"[..]));
    assert_eq!(headers.get(b"a"), Some(&b"two"[..]));
    assert_eq!(headers.get(b"B"), None);
    assert_eq!(headers.iter().count(), 3);
    let bare = Headers::parse(b"NATS/1.0\r\n\r\n").unwrap();
    assert_eq!((bare.status(), bare.description(), bare.iter().count()), (None, None, 0));
}

#[test]
fn what_is_no_header_block_is_refused() {
    let cases = [
        ("", HeaderError::Version),
        ("NATS/2.0\r\n\r\n", HeaderError::Version),
        ("NATS/1.05\r\n\r\n", HeaderError::Version),
        ("NATS/1.0", HeaderError::Unterminated),
        ("NATS/1.0\r\n", HeaderError::Unterminated),
        ("NATS/1.0\r\nA: 1\r\n", HeaderError::Unterminated),
        ("NATS/1.0\r\n\r\nA: 1\r\n\r\n", HeaderError::Unterminated),
        ("NATS/1.0\r\nA\r\n\r\n", HeaderError::Line),
        ("NATS/1.0\r\n: 1\r\n\r\n", HeaderError::Line),
    ];
    for (block, error) in cases {
        assert_eq!(Headers::parse(block.as_bytes()), Err(error), "{block:?}");
    }
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>().prop_filter("no blank", |b| !b" \t\r\n".contains(b)), 1..8)
}

/// Pieces of frames, right and wrong.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        "PUB ",
        "HPUB ",
        "SUB ",
        "UNSUB ",
        "PING",
        "PONG",
        "+OK",
        "-ERR ",
        "CONNECT ",
        "INFO ",
        "MSG ",
        "HMSG ",
        "pub\t",
        "a",
        " ",
        "1",
        "0",
        "2 ",
        "\r\n",
        "\r\n",
        "\n",
        "\r",
        "\t",
        "x\r\n",
        "PUB a 2\r\nhi\r\n",
        "HPUB a r 1 2\r\nhi\r\n",
        "SUB a q 1\r\n",
        "MSG a 1 2\r\nhi\r\n",
        "HMSG a 1 r 1 2\r\nhi\r\n",
        "UNSUB 1 1\r\n",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ]);
    vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn every_cut_gives_the_same_frames(stream in stream()) {
        frames(&stream, read_client);
        frames(&stream, read_server);
    }

    #[test]
    fn what_a_client_writes_is_read(
        subject in word(), reply in option::of(word()), sid in word(), max in option::of(0..1_000_000_000_u64),
        headers in vec(any::<u8>(), 0..5), body in vec(any::<u8>(), 0..5),
    ) {
        let limits = ProtoLimits::default();
        let payload = [&headers[..], &body].concat();
        let (subject, reply, sid) = (&subject[..], reply.as_deref(), &sid[..]);
        let (headers_len, hpub) = (headers.len(), !headers.is_empty());
        let mut out = Vec::new();
        let expect = |frame: ClientFrame<'_>, out: &mut Vec<u8>| {
            prop_assert_eq!(parse_client(out, &limits), Ok(Parsed::Frame { frame, used: out.len() }));
            out.clear();
            Ok(())
        };
        write::pub_(&mut out, subject, reply, &headers, &body);
        expect(ClientFrame::Pub { subject, reply, headers_len, payload: &payload, hpub }, &mut out)?;
        write::sub(&mut out, subject, reply, sid);
        expect(ClientFrame::Sub { subject, queue: reply, sid }, &mut out)?;
        write::unsub(&mut out, sid, max);
        expect(ClientFrame::Unsub { sid, max }, &mut out)?;
        write::connect(&mut out, b"{}");
        expect(ClientFrame::Connect(b"{}"), &mut out)?;
        write::ping(&mut out);
        expect(ClientFrame::Ping, &mut out)?;
        write::pong(&mut out);
        expect(ClientFrame::Pong, &mut out)?;
    }

    #[test]
    fn what_a_server_writes_is_read(
        subject in word(), reply in option::of(word()), sid in word(),
        payload in vec(any::<u8>(), 0..12), cut in 0..12_usize, said in "[a-zA-Z \"]{1,9}[a-z]",
    ) {
        let limits = ProtoLimits::default();
        let headers_len = cut.min(payload.len());
        let mut out = Vec::new();
        let expect = |frame: ServerFrame<'_>, out: &mut Vec<u8>| {
            prop_assert_eq!(parse_server(out, &limits), Ok(Parsed::Frame { frame, used: out.len() }));
            out.clear();
            Ok(())
        };
        let (subject, reply, sid) = (&subject[..], reply.as_deref(), &sid[..]);
        write::msg(&mut out, subject, sid, reply, headers_len, &payload);
        expect(ServerFrame::Msg { subject, sid, reply, headers_len, payload: &payload }, &mut out)?;
        write::err(&mut out, &said);
        expect(ServerFrame::Err(said.trim_ascii().as_bytes()), &mut out)
            .or_else(|_| expect(ServerFrame::Err(said.as_bytes()), &mut out))?;
        write::info(&mut out, b"{}");
        expect(ServerFrame::Info(b"{}"), &mut out)?;
        write::ok(&mut out);
        expect(ServerFrame::Ok, &mut out)?;
    }

    #[test]
    fn nothing_that_is_added_ends_a_header_block(
        lines in vec((vec(any::<u8>(), 0..6), vec(any::<u8>(), 0..6)), 0..4), code in option::of(100..1000_u16),
    ) {
        let mut builder = HeaderBuilder::new();
        if let Some(code) = code {
            builder = builder.status(code, Some("two\r\nwords"));
        }
        for (key, value) in &lines {
            builder = builder.add(key, value);
        }
        let block = builder.finish();
        let headers = Headers::parse(&block).unwrap();
        prop_assert_eq!(headers.status(), code);
        prop_assert_eq!(headers.description(), code.map(|_| &b"two  words"[..]));
        prop_assert_eq!(headers.iter().count(), lines.len());
    }
}
