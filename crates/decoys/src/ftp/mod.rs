//! FTP decoy: the vsftpd 3.0.3 of Debian 12, writable, without TLS.
//!
//! States of a session: greeting (nobody is logged in), refusing (a wrong password is answered
//! after the time that PAM and vsftpd take), serving, closed. While refusing, and while the data
//! connection is waited for or moves bytes, further commands wait unread, as they do in the
//! daemon. `commands` answers a login's commands, `files` is its view of the file system,
//! `listing` prints directories, `transfer` knows the data connection. Nothing connects out:
//! active mode is always refused.

mod commands;
mod files;
mod listing;
#[cfg(test)]
mod tests;
mod transfer;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use model::{Persona, SessionFact, Timestamp, escape_text};
use rand::{Rng, SeedableRng, rngs::StdRng};

use self::{
    commands::Login,
    files::{Files, bytes_of},
    transfer::{Channel, Received, Transfer},
};
use crate::{DataAction, DataEvent, Flow, Output, Session};

/// Longest command line with its end, in bytes.
const MAX_LINE_BYTES: usize = 4_096;

/// Most bytes of commands that wait while another one is carried out.
const MAX_WAITING_BYTES: usize = 256 << 10;

/// Longest user name that is asked about; longer ones fail at once.
const MAX_USER_BYTES: usize = 128;

/// Wrong passwords after which the daemon closes (`max_login_fails`).
const MAX_FAILURES: u32 = 3;

/// How long a visitor may send no command (`idle_session_timeout`), or no data.
const IDLE: Duration = Duration::from_secs(300);

/// What the daemon waits after a wrong password (`delay_failed_login`).
const DAEMON_DELAY: Duration = Duration::from_secs(1);

/// What `pam_unix` asks for after a wrong password, in microseconds.
const PAM_DELAY: u32 = 2_000_000;

const FEATURES: &str = "211-Features:\r\n EPRT\r\n EPSV\r\n MDTM\r\n PASV\r\n REST STREAM\r\n SIZE\r\n \
TVFS\r\n211 End\r\n";

/// One connection of an FTP client.
pub struct FtpSession {
    persona: Arc<Persona>,
    local: IpAddr,
    peer: IpAddr,
    random: StdRng,
    state: State,
    channel: Channel,
    /// What waits for the data connection, or moves over it.
    transfer: Option<Transfer>,
    buffer: Vec<u8>,
    /// How much of the buffer is known to hold no line end.
    searched: usize,
    input_ended: bool,
    failures: u32,
    heard_at: Timestamp,
}

enum State {
    /// The name of `USER`, empty before.
    Greeting(Vec<u8>),
    Refusing {
        until: Timestamp,
    },
    Serving(Box<Login>),
    Closed,
}

impl FtpSession {
    /// A session of `persona`'s FTP server.
    pub fn new(persona: Arc<Persona>, seed: [u8; 32], local: SocketAddr, peer: SocketAddr) -> Self {
        Self {
            persona,
            local: local.ip(),
            peer: peer.ip(),
            random: StdRng::from_seed(seed),
            state: State::Greeting(Vec::new()),
            channel: Channel::None,
            transfer: None,
            buffer: Vec::new(),
            searched: 0,
            input_ended: false,
            failures: 0,
            heard_at: Timestamp::default(),
        }
    }

    /// Whether commands wait.
    fn is_busy(&self) -> bool {
        matches!(self.state, State::Refusing { .. })
            || matches!(self.channel, Channel::Opening(_))
            || self.transfer.is_some()
    }

    fn close(&mut self) -> Flow {
        self.state = State::Closed;
        self.transfer = None;
        self.buffer = Vec::new();
        Flow::Close
    }

    /// Carries out the commands that are there, until one makes the others wait.
    fn advance(&mut self, now: Timestamp, out: &mut Output) -> Flow {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut at = 0;
        while !self.is_busy() {
            let rest = &buffer[at..];
            let within = &rest[..rest.len().min(MAX_LINE_BYTES)];
            let end = within[self.searched..].iter().position(|byte| *byte == b'\n');
            let Some(end) = end.map(|end| end + self.searched) else {
                if within.len() == MAX_LINE_BYTES {
                    out.send(b"500 Input line too long.\r\n");
                    return self.close();
                }
                if self.input_ended {
                    return self.close();
                }
                self.searched = within.len();
                break;
            };
            self.searched = 0;
            self.heard_at = now;
            if self.line(now, &rest[..end], out) == Flow::Close {
                return self.close();
            }
            at += end + 1;
        }
        buffer.drain(..at);
        if buffer.len() > MAX_WAITING_BYTES {
            return self.close();
        }
        self.buffer = buffer;
        Flow::Continue
    }

    /// Answers one line.
    fn line(&mut self, now: Timestamp, line: &[u8], out: &mut Output) -> Flow {
        let ends = line.iter().rev().take_while(|byte| **byte == b'\r').count();
        let line = &line[..line.len() - ends];
        if line.is_empty() {
            return Flow::Continue;
        }
        let (verb, argument) = match line.iter().position(|byte| *byte == b' ') {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &[][..]),
        };
        let verb = verb.to_ascii_uppercase();
        match verb.as_slice() {
            b"PASS" => {}
            b"PORT" | b"EPRT" => out.record(SessionFact::Request { text: escape_text(line) }),
            _ => out.record(SessionFact::Command { text: escape_text(line) }),
        }
        if matches!(self.state, State::Serving(_)) {
            self.command(now, &verb, argument, out)
        } else {
            self.greet(now, &verb, argument, out)
        }
    }

    /// Answers a command of a visitor who is not logged in.
    fn greet(&mut self, now: Timestamp, verb: &[u8], argument: &[u8], out: &mut Output) -> Flow {
        match verb {
            b"USER" => {
                self.state = State::Greeting(argument.to_vec());
                out.send(b"331 Please specify the password.\r\n");
            }
            b"PASS" => self.password(now, argument, out),
            b"QUIT" => {
                out.send(b"221 Goodbye.\r\n");
                return Flow::Close;
            }
            b"FEAT" => out.send(FEATURES.as_bytes()),
            b"OPTS" => out.send(options(argument)),
            _ => out.send(b"530 Please login with USER and PASS.\r\n"),
        }
        Flow::Continue
    }

    fn password(&mut self, now: Timestamp, password: &[u8], out: &mut Output) {
        let user = match &mut self.state {
            State::Greeting(user) => std::mem::take(user),
            State::Refusing { .. } | State::Serving(_) | State::Closed => return,
        };
        let mut tried = |accepted| {
            out.record(SessionFact::Login {
                principal: escape_text(&user),
                secret: escape_text(password),
                method: "password".into(),
                accepted,
            });
        };
        if user.is_empty() {
            tried(false);
            out.send(b"503 Login with USER first.\r\n");
            return;
        }
        let login = self.login(now, &user, password);
        tried(login.is_some());
        match login {
            Some(login) => {
                login.message("230", now, out);
                out.send(b"230 Login successful.\r\n");
                self.state = State::Serving(Box::new(login));
            }
            None => self.state = State::Refusing { until: now.plus(self.delay(&user)) },
        }
    }

    fn login(&self, now: Timestamp, user: &[u8], password: &[u8]) -> Option<Login> {
        let persona = Arc::clone(&self.persona);
        let guest = [&b"anonymous"[..], b"ftp"].iter().any(|name| user.eq_ignore_ascii_case(name));
        if guest && welcomes_guests(&self.persona) {
            let files = Files::of_guest(persona, self.local, self.peer, now);
            return Some(Login::new("ftp".into(), true, files));
        }
        let (user, password) = (str::from_utf8(user).ok()?, str::from_utf8(password).ok()?);
        let uid = self.persona.login(user, password)?.uid;
        // Debian's /etc/ftpusers, which PAM reads for vsftpd, keeps root out.
        if uid == 0 {
            return None;
        }
        let files = Files::of_account(persona, user, uid, self.local, self.peer, now);
        Some(Login::new(user.into(), false, files))
    }

    /// How long a wrong password takes: PAM varies its part like the mean of three dice.
    fn delay(&mut self, user: &[u8]) -> Duration {
        if user.len() > MAX_USER_BYTES {
            return DAEMON_DELAY;
        }
        let dice: u64 = (0..3).map(|_| u64::from(self.random.next_u32() % PAM_DELAY)).sum();
        DAEMON_DELAY + Duration::from_micros(u64::from(PAM_DELAY) / 2 + dice / 3)
    }

    /// A wrong password has taken its time.
    fn refuse(&mut self, now: Timestamp, out: &mut Output) -> Flow {
        out.send(b"530 Login incorrect.\r\n");
        self.failures += 1;
        if self.failures >= MAX_FAILURES {
            return self.close();
        }
        self.state = State::Greeting(Vec::new());
        self.heard_at = now;
        self.advance(now, out)
    }

    /// Begins a transfer, or waits for the visitor to connect.
    fn begin(&mut self, now: Timestamp, transfer: Transfer, out: &mut Output) {
        self.heard_at = now;
        self.transfer = Some(transfer);
        match &self.channel {
            Channel::Connected { .. } => self.connected(now, out),
            Channel::Missed => self.missed(out),
            Channel::None | Channel::Opening(_) | Channel::Listening => {}
        }
    }

    /// The visitor is connected, and a command wants something of it.
    fn connected(&mut self, now: Timestamp, out: &mut Output) {
        let Channel::Connected { early, ended } = &mut self.channel else { return };
        let Some(transfer) = &mut self.transfer else { return };
        out.send(transfer.begin());
        let ended = *ended;
        match transfer {
            Transfer::Send { bytes, .. } => {
                if !ended {
                    out.data(DataAction::Send(std::mem::take(bytes)));
                    out.data(DataAction::Close);
                }
            }
            Transfer::Receive { received, .. } => *received = std::mem::take(early),
        }
        if ended {
            self.moved(now, out);
        }
    }

    fn missed(&mut self, out: &mut Output) {
        self.transfer = None;
        self.channel = Channel::None;
        out.send(b"425 Failed to establish connection.\r\n");
    }

    /// The data connection is closed: the transfer is complete.
    fn moved(&mut self, now: Timestamp, out: &mut Output) {
        self.heard_at = now;
        self.channel = Channel::None;
        match self.transfer.take() {
            None => {}
            Some(Transfer::Send { end, .. }) => out.send(end.as_bytes()),
            Some(Transfer::Receive { path, offset, received, .. }) => {
                let complete = self.store(now, &path, offset, &received, out);
                out.send(if complete {
                    b"226 Transfer complete.\r\n"
                } else {
                    b"451 Failure writing to local file.\r\n"
                });
            }
        }
    }

    fn store(
        &mut self,
        now: Timestamp,
        path: &str,
        offset: Option<u64>,
        received: &Received,
        out: &mut Output,
    ) -> bool {
        let State::Serving(login) = &mut self.state else { return false };
        out.record(received.fact(&bytes_of(path)));
        let (kept, all) = received.kept();
        login.files.put(path, offset, kept, now).is_ok() && all
    }
}

/// Whether a persona lets guests in: one server in four, as administrators go.
fn welcomes_guests(persona: &Persona) -> bool {
    persona.draw("ftp.anonymous", 4) == 0
}

fn options(argument: &[u8]) -> &'static [u8] {
    if argument.eq_ignore_ascii_case(b"UTF8 ON") {
        b"200 Always in UTF8 mode.\r\n"
    } else {
        b"501 Option not understood.\r\n"
    }
}

/// A decimal number as vsftpd reads it: 0 where it is none or has more than 15 digits.
fn number(text: &[u8]) -> u64 {
    if text.len() > 15 || !text.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    text.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

impl Session for FtpSession {
    fn open(&mut self, now: Timestamp, out: &mut Output) -> Flow {
        self.heard_at = now;
        out.send(b"220 (vsFTPd 3.0.3)\r\n");
        Flow::Continue
    }

    fn receive(&mut self, now: Timestamp, bytes: &[u8], out: &mut Output) -> Flow {
        if matches!(self.state, State::Closed) {
            return Flow::Close;
        }
        self.buffer.extend_from_slice(bytes);
        self.advance(now, out)
    }

    fn deadline(&self) -> Option<Timestamp> {
        match (&self.state, &self.channel) {
            (State::Closed, _) => None,
            (State::Refusing { until }, _) => Some(*until),
            // The driver bounds how long it listens.
            (_, Channel::Listening) if self.transfer.is_some() => None,
            _ => Some(self.heard_at.plus(IDLE)),
        }
    }

    fn expire(&mut self, now: Timestamp, out: &mut Output) -> Flow {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Flow::Continue;
        }
        if matches!(self.state, State::Refusing { .. }) {
            return self.refuse(now, out);
        }
        if let Some(Transfer::Receive { path, received, .. }) = &self.transfer {
            out.record(received.fact(&bytes_of(path)));
        }
        out.send(if self.transfer.is_some() {
            b"421 Data timeout. Reconnect. Sorry.\r\n"
        } else {
            b"421 Timeout.\r\n"
        });
        self.close()
    }

    fn finished(&mut self, now: Timestamp, out: &mut Output) -> Flow {
        if matches!(self.state, State::Closed) {
            return Flow::Close;
        }
        self.input_ended = true;
        self.advance(now, out)
    }

    fn data(&mut self, now: Timestamp, event: DataEvent, out: &mut Output) -> Flow {
        if matches!(self.state, State::Closed) {
            return Flow::Close;
        }
        match event {
            DataEvent::Listening { addr, port } => {
                if let Channel::Opening(extended) = self.channel {
                    self.channel = Channel::Listening;
                    out.send(commands::passive(extended, addr, port).as_bytes());
                }
            }
            DataEvent::Connected => {
                self.channel = Channel::Connected { early: Received::default(), ended: false };
                self.heard_at = now;
                self.connected(now, out);
            }
            DataEvent::Received(bytes) => match (&mut self.transfer, &mut self.channel) {
                (Some(Transfer::Receive { received, .. }), Channel::Connected { .. }) => {
                    self.heard_at = now;
                    received.take(&bytes);
                }
                (None, Channel::Connected { early, .. }) => early.take(&bytes),
                // Nobody reads what comes the wrong way.
                (Some(_) | None, _) => {}
            },
            DataEvent::Closed => match (&mut self.channel, &self.transfer) {
                (Channel::None | Channel::Missed, _) => {}
                (Channel::Opening(_), _) => {
                    out.send(b"500 OOPS: vsf_sysutil_bind\r\n");
                    return self.close();
                }
                (Channel::Listening, Some(_)) => self.missed(out),
                (Channel::Listening, None) => self.channel = Channel::Missed,
                (Channel::Connected { ended, .. }, None) => *ended = true,
                (Channel::Connected { .. }, Some(_)) => self.moved(now, out),
            },
        }
        self.advance(now, out)
    }
}
