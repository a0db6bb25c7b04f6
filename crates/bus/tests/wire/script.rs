//! Conversations as text.
//!
//! `a> line` sends a line and CR LF from client `a`, which connects when it is first named;
//! `a>> bytes` sends without a line end; `a< line` expects a line; `a closed` expects the end.
//! `\r`, `\n`, `\t`, `\xHH` stand for bytes.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use morgana_bus::broker::{Broker, BrokerConfig};

use super::PATIENCE;

/// A client of the lines on a socket.
pub(super) struct Talker {
    pub(super) socket: BufReader<TcpStream>,
    pub(super) info: String,
}

impl Talker {
    pub(super) fn new(broker: &Broker) -> Self {
        let socket = TcpStream::connect(broker.tcp_addr().unwrap()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut talker = Self { socket: BufReader::new(socket), info: String::new() };
        talker.info = talker.line().expect("INFO comes first");
        assert!(talker.info.starts_with("INFO {"), "{}", talker.info);
        talker
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        // Where the broker closed already, that is what the next line of the script expects.
        let _ = self.socket.get_mut().write_all(bytes);
    }

    /// The next line, escaped; none at the end.
    pub(super) fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.socket.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(escape(line.strip_suffix(b"\r\n").unwrap_or(&line))),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("nothing came: {error}"),
        }
    }
}

/// Plays `script` against a new broker.
pub(super) fn check(config: BrokerConfig, script: &str) {
    let broker = Broker::start(config).unwrap();
    play(&broker, &mut HashMap::new(), script);
}

/// Plays `script`; clients stay in `talkers`.
pub(super) fn play(broker: &Broker, talkers: &mut HashMap<String, Talker>, script: &str) {
    for step in script.lines().map(str::trim).filter(|step| !step.is_empty()) {
        let end = step.find(['>', '<', ' ']).expect("a client's name and what it does");
        let (name, action) = step.split_at(end);
        let talker = talkers.entry(name.into()).or_insert_with(|| Talker::new(broker));
        if let Some(bytes) = action.strip_prefix(">>") {
            talker.send(&unescape(bytes.trim_start()));
        } else if let Some(line) = action.strip_prefix('>') {
            talker.send(&[&unescape(line.trim_start()), &b"\r\n"[..]].concat());
        } else if let Some(line) = action.strip_prefix('<') {
            assert_eq!(
                talker.line().as_deref(),
                Some(line.trim_start()),
                "in `{step}` of {script}"
            );
        } else {
            assert_eq!(action.trim(), "closed", "what is `{step}`?");
            assert_eq!(talker.line(), None, "in `{step}` of {script}");
        }
    }
}

/// What is no text becomes `\xHH`.
fn escape(line: &[u8]) -> String {
    let printable = |byte: &u8| (b' '..=b'~').contains(byte);
    match std::str::from_utf8(line) {
        Ok(text) if line.iter().all(printable) => text.into(),
        _ => line.escape_ascii().to_string(),
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let (byte, used) = match (first, tail) {
            (b'\\', [b'r', ..]) => (b'\r', 2),
            (b'\\', [b'n', ..]) => (b'\n', 2),
            (b'\\', [b't', ..]) => (b'\t', 2),
            (b'\\', [b'x', high, low, ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).unwrap();
                (u8::from_str_radix(digits, 16).unwrap(), 4)
            }
            (byte, _) => (*byte, 1),
        };
        bytes.push(byte);
        rest = &rest[used..];
    }
    bytes
}
