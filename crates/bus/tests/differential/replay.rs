//! One session on one server: what each connection hears.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use morgana_bus::proto::{
    ClientFrame, Parsed, ProtoLimits, ServerFrame, parse_client, parse_server,
};

use crate::session::{Session, shown};

/// How long a server that is waiting for the rest of a frame may say nothing.
const SILENCE: Duration = Duration::from_secs(2);

/// What nats-server says a second time where the frame came in two reads.
const TWICE: &str = "-ERR Invalid Publish Subject";

const NO_RESPONDERS: &[u8] = b"NATS/1.0 503\r\n\r\n";

/// What was heard: a line for each frame and end, in order.
pub(crate) fn run(session: &Session, server: SocketAddr) -> Vec<String> {
    let mut heard = Vec::new();
    let mut connections: Vec<_> = (0..session.connections).map(|_| Wire::open(server)).collect();
    for (number, step) in session.steps.iter().enumerate() {
        let sender = step.connection;
        connections[sender].send(&step.bytes(), &step.cuts);
        // the sender first: once it has its PONG, the others have what it sent them
        let others = (0..connections.len()).filter(|other| *other != sender);
        for listener in [sender].into_iter().chain(others) {
            let lines = connections[listener].barrier();
            heard.extend(lines.into_iter().map(|line| format!("{number} #{listener} {line}")));
        }
    }
    heard.extend(connections.into_iter().flat_map(Wire::close));
    heard
}

/// The JSON of the INFO that greets.
pub(crate) fn info(server: SocketAddr) -> Vec<u8> {
    let mut wire = Wire::open(server);
    loop {
        match parse_server(&wire.unread, &ProtoLimits::default()).unwrap() {
            Parsed::Frame { frame: ServerFrame::Info(json), .. } => return json.to_vec(),
            Parsed::Frame { frame, .. } => panic!("{frame:?} instead of INFO"),
            Parsed::Incomplete { .. } => wire.read(Instant::now() + SILENCE).unwrap(),
        }
    }
}

struct Wire {
    stream: TcpStream,
    /// What was sent and is no whole frame yet.
    unfinished: Vec<u8>,
    unread: Vec<u8>,
    ended: bool,
}

/// Why no more comes.
#[derive(Debug)]
enum End {
    Closed,
    Silent,
}

/// One frame that was heard.
struct Heard {
    text: String,
    /// What orders it among others with the same text but this.
    sid: String,
}

impl Wire {
    fn open(server: SocketAddr) -> Wire {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_nodelay(true).unwrap();
        Wire { stream, unfinished: Vec::new(), unread: Vec::new(), ended: false }
    }

    /// Writes `bytes` in pieces. That a server has closed is found out by reading.
    fn send(&mut self, bytes: &[u8], cuts: &[usize]) {
        self.unfinished.extend_from_slice(bytes);
        let mut start = 0;
        for end in cuts.iter().copied().chain([bytes.len()]) {
            if self.ended || self.stream.write_all(&bytes[start..end]).is_err() {
                return;
            }
            start = end;
        }
    }

    /// What was heard until now, and how it ended where it did.
    fn barrier(&mut self) -> Vec<String> {
        if self.ended {
            return Vec::new();
        }
        self.send(b"PING\r\n", &[]);
        let pongs = self.pongs_to_come();
        self.hear(pongs)
    }

    /// How many answers the PINGs of what was sent will have: as many as there are, or any number
    /// where something in it ends the connection.
    fn pongs_to_come(&mut self) -> usize {
        let mut pongs = 0;
        loop {
            match parse_client(&self.unfinished, &ProtoLimits::default()) {
                Ok(Parsed::Frame { frame, used }) => {
                    pongs += usize::from(matches!(frame, ClientFrame::Ping));
                    self.unfinished.drain(..used);
                }
                Ok(Parsed::Incomplete { .. }) => return pongs,
                Err(_) => return usize::MAX,
            }
        }
    }

    /// Reads until so many PONGs, or the end.
    fn hear(&mut self, mut pongs: usize) -> Vec<String> {
        let mut heard = Vec::new();
        let deadline = Instant::now() + SILENCE;
        while pongs > 0 {
            match self.frame(deadline) {
                Ok(frame) => {
                    pongs -= usize::from(frame.as_ref().is_some_and(|said| said.text == "PONG"));
                    heard.extend(frame);
                }
                Err(end) => {
                    self.ended = true;
                    heard.push(Heard { text: format!("{end:?}"), sid: String::new() });
                    break;
                }
            }
        }
        in_order(heard)
    }

    /// The next frame; none where it is one that comes when it likes.
    fn frame(&mut self, deadline: Instant) -> Result<Option<Heard>, End> {
        loop {
            match parse_server(&self.unread, &ProtoLimits::default()).unwrap() {
                Parsed::Frame { frame, used } => {
                    let heard = heard(frame);
                    self.unread.drain(..used);
                    return Ok(heard);
                }
                Parsed::Incomplete { .. } => self.read(deadline)?,
            }
        }
    }

    fn read(&mut self, deadline: Instant) -> Result<(), End> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1)))).unwrap();
        let mut buffer = [0; 65536];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(End::Closed),
            Ok(length) => {
                self.unread.extend_from_slice(&buffer[..length]);
                Ok(())
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(End::Silent)
            }
            // the server closed with something of ours unread
            Err(_) => Err(End::Closed),
        }
    }

    /// Hangs up, and hears the rest. The server is done with it then.
    fn close(mut self) -> Vec<String> {
        let _ = self.stream.shutdown(Shutdown::Write);
        if self.ended { Vec::new() } else { self.hear(usize::MAX) }
    }
}

fn heard(frame: ServerFrame<'_>) -> Option<Heard> {
    let (text, sid) = match frame {
        ServerFrame::Info(_) | ServerFrame::Ping => return None,
        ServerFrame::Pong => ("PONG".into(), ""),
        ServerFrame::Ok => ("+OK".into(), ""),
        ServerFrame::Err(said) => (format!("-ERR {}", shown(said)), ""),
        ServerFrame::Msg { subject, reply, payload: NO_RESPONDERS, headers_len: 16.., .. } => {
            (format!("no responders at {} {:?}", shown(subject), reply.map(shown)), "")
        }
        ServerFrame::Msg { subject, sid, reply, headers_len, payload } => {
            let reply = reply.map(shown);
            let text = format!("{} {reply:?} {headers_len} {}", shown(subject), shown(payload));
            return Some(Heard { text, sid: shown(sid) });
        }
    };
    Some(Heard { text, sid: sid.into() })
}

/// One message to several subscriptions stands in the order of their sids, and one complaint
/// stands for several in a row.
fn in_order(mut heard: Vec<Heard>) -> Vec<String> {
    heard.dedup_by(|one, next| one.text == next.text && one.text == TWICE);
    for same in heard.chunk_by_mut(|one, next| one.text == next.text) {
        same.sort_by(|one, next| one.sid.cmp(&next.sid));
    }
    heard.into_iter().map(|said| format!("{} {}", said.sid, said.text).trim().into()).collect()
}
