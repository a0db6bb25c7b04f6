//! The generator's side of a connection: sockets, frames to send, a scanner of what comes back.
//!
//! Made to cost less than any server: frames go out in large blocks, and of what comes in only
//! frame heads are looked at. It shares no code with the broker, so that neither hides the
//! other's mistakes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, recv, send};

/// Bytes that one read takes at most; also the longest frame.
const INPUT: usize = 256 * 1024;
/// How long a blocking operation waits before the server counts as dead.
const PATIENCE: Duration = Duration::from_secs(20);

/// One message as it came in. The head is the line without its end.
pub(crate) struct Message<'a> {
    head: &'a [u8],
    /// Headers and payload.
    pub(crate) body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The reply subject; empty where there is none.
    pub(crate) fn reply(&self) -> &'a [u8] {
        let mut words = self.head.split(|byte| *byte == b' ').skip(1);
        let fixed = if self.head[0] == b'H' { 4 } else { 3 };
        let count = words.clone().count();
        if count > fixed { words.nth(2).unwrap_or_default() } else { &[] }
    }
}

/// What a scan saw beside messages.
#[derive(Default)]
struct Seen {
    pings: u32,
    pongs: u32,
}

/// Takes frames from a byte stream.
struct Scanner {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// The head of the last message with its line end: the next one is usually the same.
    head: Vec<u8>,
    body: usize,
}

impl Scanner {
    fn new() -> Self {
        Self { buffer: vec![0; INPUT].into(), start: 0, end: 0, head: Vec::new(), body: 0 }
    }

    /// Room for the next read.
    fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        &mut self.buffer[self.end..]
    }

    /// Hands out every whole message that has been read.
    fn scan(&mut self, mut each: impl FnMut(Message<'_>)) -> io::Result<Seen> {
        let mut seen = Seen::default();
        loop {
            let waiting = &self.buffer[self.start..self.end];
            if self.head.is_empty() || !waiting.starts_with(&self.head) {
                let Some(line) = memchr::memchr(b'\n', waiting) else { break };
                if !self.learn(line, &mut seen)? {
                    self.start += line + 1;
                    continue;
                }
            }
            let frame = self.head.len() + self.body + 2;
            let waiting = &self.buffer[self.start..self.end];
            if waiting.len() < frame {
                break;
            }
            let head = &waiting[..self.head.len() - 2];
            each(Message { head, body: &waiting[self.head.len()..frame - 2] });
            self.start += frame;
        }
        Ok(seen)
    }

    /// Reads the line that ends at `line`; false if it is no message.
    fn learn(&mut self, line: usize, seen: &mut Seen) -> io::Result<bool> {
        let text = &self.buffer[self.start..=self.start + line];
        match text {
            [b'M' | b'H', ..] => {}
            b"PING\r\n" => seen.pings += 1,
            b"PONG\r\n" => seen.pongs += 1,
            b"+OK\r\n" | [b'I', ..] => {}
            _ => return Err(io::Error::other(String::from_utf8_lossy(text).trim().to_owned())),
        }
        if !matches!(text[0], b'M' | b'H') {
            return Ok(false);
        }
        let digits = text.trim_ascii().rsplit(|byte| *byte == b' ').next().unwrap_or_default();
        self.body = digits.iter().fold(0, |size, digit| size * 10 + usize::from(digit - b'0'));
        self.head.clear();
        self.head.extend_from_slice(text);
        Ok(true)
    }
}

/// A connection that has said CONNECT.
pub(crate) struct Conn {
    stream: TcpStream,
    scanner: Scanner,
    pongs: u32,
    /// PINGs of the server without an answer.
    owed: u32,
}

impl Conn {
    /// Connects and waits until the server has taken the connection.
    pub(crate) fn open(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut conn = Self { stream, scanner: Scanner::new(), pongs: 0, owed: 0 };
        conn.send(
            b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\
            \"no_responders\":true,\"lang\":\"bench\",\"version\":\"1\",\"protocol\":1}\r\n",
        )?;
        conn.flush()?;
        Ok(conn)
    }

    /// The socket, for polling.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Gives the socket away; what was read and not scanned is lost.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Sends all of `bytes`.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends what the socket takes now.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match send(&self.stream, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(0),
            sent => Ok(sent?),
        }
    }

    /// Subscribes; in force once the next [`Conn::flush`] is through.
    pub(crate) fn subscribe(&mut self, filter: &str, sid: usize) -> io::Result<()> {
        self.send(format!("SUB {filter} {sid}\r\n").as_bytes())
    }

    /// Waits until the server has read all that was sent. Messages that come meanwhile are lost
    /// to the caller, so this belongs before traffic or after it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let before = self.pongs;
        self.send(b"PING\r\n")?;
        while self.pongs == before {
            self.receive(|_| {})?;
        }
        Ok(())
    }

    /// The answers to PINGs so far.
    pub(crate) fn pongs(&self) -> u32 {
        self.pongs
    }

    /// Waits for bytes and hands out the messages in them: none, if no frame is whole yet.
    pub(crate) fn receive(&mut self, each: impl FnMut(Message<'_>)) -> io::Result<()> {
        let got = self.stream.read(self.scanner.room())?;
        self.received(got, each)?;
        self.answer()
    }

    /// Like [`Conn::receive`] with what is there now, and PINGs wait for [`Conn::answer`].
    pub(crate) fn try_receive(&mut self, each: impl FnMut(Message<'_>)) -> io::Result<()> {
        match recv(&self.stream, self.scanner.room(), RecvFlags::DONTWAIT) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
            Ok((_, got)) => self.received(got, each),
        }
    }

    fn received(&mut self, got: usize, each: impl FnMut(Message<'_>)) -> io::Result<()> {
        if got == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server hung up"));
        }
        self.scanner.end += got;
        let seen = self.scanner.scan(each)?;
        self.pongs += seen.pongs;
        self.owed += seen.pings;
        Ok(())
    }

    /// Answers the server's PINGs; no frame may be half sent.
    pub(crate) fn answer(&mut self) -> io::Result<()> {
        for _ in 0..std::mem::take(&mut self.owed) {
            self.stream.write_all(b"PONG\r\n")?;
        }
        Ok(())
    }
}

/// Appends one PUB frame.
pub(crate) fn publish(out: &mut Vec<u8>, subject: &[u8], reply: &[u8], body: &[u8]) {
    out.extend_from_slice(b"PUB ");
    out.extend_from_slice(subject);
    out.push(b' ');
    if !reply.is_empty() {
        out.extend_from_slice(reply);
        out.push(b' ');
    }
    out.extend_from_slice(body.len().to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out.extend_from_slice(b"\r\n");
}
