//! FTP decoy: vsftpd 3.0.3 of Debian 12 with local users who may write.
//!
//! Owns the control connection of one visitor and what passes over its data connection. Texts
//! and their order are those of the real daemon, captured in the tests. Like that daemon it does
//! one thing at a time: input waits while a login is delayed or a transfer runs. The files are
//! those of the [`crate::shell`]; nothing is ever opened towards a visitor (no bounce).

mod files;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use model::{Persona, SessionFact, Timestamp, escape_text};

use crate::{DataAction, DataEvent, Flow, Output, Session};
use files::Files;

/// Longest command line that vsftpd takes, in bytes.
const MAX_LINE_BYTES: usize = 4096;
/// Most bytes of commands that wait while something else is going on.
const MAX_WAITING_BYTES: usize = 64 << 10;
/// How long a refused login takes: PAM's delay and vsftpd's own second.
const LOGIN_DELAY: Duration = Duration::from_millis(2_900);
/// Refused logins after which vsftpd hangs up.
const MAX_LOGIN_FAILURES: u32 = 3;
/// vsftpd's `idle_session_timeout`.
const IDLE: Duration = Duration::from_secs(300);

/// What the session is waiting for.
enum Busy {
    /// For a command.
    No,
    /// For the end of a refused login's delay.
    Delay(Timestamp),
    /// For the driver to listen; `true` after EPSV.
    Listen(bool),
    /// For the visitor to connect, to do this.
    Accept(Transfer),
    /// For sent bytes to be through; then this is said.
    Sending(&'static str),
    /// For the end of an upload.
    Receiving { path: String, name: String, bytes: Vec<u8>, full: bool },
}

/// What a data connection is wanted for.
enum Transfer {
    Send { before: String, bytes: Vec<u8>, after: &'static str },
    Receive { before: String, path: String, name: String, bytes: Vec<u8> },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Data {
    None,
    Listening,
    Connected,
}

/// One control connection.
pub struct FtpSession {
    persona: Arc<Persona>,
    local: SocketAddr,
    peer: SocketAddr,
    input: Vec<u8>,
    busy: Busy,
    data: Data,
    early: Vec<u8>,
    user: Option<String>,
    files: Option<Files>,
    failures: u32,
    binary: bool,
    epsv_all: bool,
    restart: u64,
    rename_from: Option<String>,
    umask: u32,
    active_at: Timestamp,
}

impl FtpSession {
    /// A session of `persona`'s FTP server. It draws nothing at random.
    pub fn new(
        persona: Arc<Persona>,
        _seed: [u8; 32],
        local: SocketAddr,
        peer: SocketAddr,
    ) -> Self {
        Self {
            persona,
            local,
            peer,
            input: Vec::new(),
            busy: Busy::No,
            data: Data::None,
            early: Vec::new(),
            user: None,
            files: None,
            failures: 0,
            binary: false,
            epsv_all: false,
            restart: 0,
            rename_from: None,
            umask: 0o077,
            active_at: Timestamp::default(),
        }
    }

    /// Runs the commands that have arrived, as long as nothing has to be waited for.
    fn work(&mut self, now: Timestamp, out: &mut Output) -> Flow {
        while matches!(self.busy, Busy::No) {
            let Some(end) = self.input.iter().position(|b| *b == b'\n') else {
                if self.input.len() > MAX_LINE_BYTES {
                    out.send(b"500 Input line too long.\r\n");
                    return Flow::Close;
                }
                break;
            };
            let line: Vec<u8> = self.input.drain(..=end).collect();
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.len() > MAX_LINE_BYTES {
                out.send(b"500 Input line too long.\r\n");
                return Flow::Close;
            }
            if self.command(now, line, out) == Flow::Close {
                return Flow::Close;
            }
        }
        Flow::Continue
    }

    fn command(&mut self, now: Timestamp, line: &[u8], out: &mut Output) -> Flow {
        let line = String::from_utf8_lossy(line).into_owned();
        let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let verb = verb.to_ascii_uppercase();
        if verb != "PASS" {
            out.record(SessionFact::Command { text: escape_text(line.as_bytes()) });
        }
        match verb.as_str() {
            "QUIT" => {
                out.send(b"221 Goodbye.\r\n");
                return Flow::Close;
            }
            "FEAT" => out.send(
                b"211-Features:\r\n EPRT\r\n EPSV\r\n MDTM\r\n PASV\r\n REST STREAM\r\n SIZE\r\n \
                  TVFS\r\n211 End\r\n",
            ),
            "OPTS" if argument.eq_ignore_ascii_case("UTF8 ON") => {
                out.send(b"200 Always in UTF8 mode.\r\n");
            }
            "OPTS" => out.send(b"501 Option not understood.\r\n"),
            "USER" if self.files.is_none() => {
                self.user = Some(argument.to_owned());
                out.send(b"331 Please specify the password.\r\n");
            }
            "PASS" if self.files.is_none() => self.password(now, argument, out),
            _ => match self.files.take() {
                None => out.send(b"530 Please login with USER and PASS.\r\n"),
                Some(mut files) => {
                    files.now = now;
                    self.serve(&verb, argument, &mut files, out);
                    self.files = Some(files);
                }
            },
        }
        Flow::Continue
    }

    fn password(&mut self, now: Timestamp, secret: &str, out: &mut Output) {
        let Some(user) = self.user.take() else {
            out.send(b"503 Login with USER first.\r\n");
            return;
        };
        // Debian's PAM configuration of vsftpd refuses the users in /etc/ftpusers, root first
        let account = self.persona.login(&user, secret).filter(|account| account.uid != 0);
        out.record(SessionFact::Login {
            principal: escape_text(user.as_bytes()),
            secret: escape_text(secret.as_bytes()),
            method: "password".into(),
            accepted: account.is_some(),
        });
        match account {
            Some(account) => {
                let (local, peer) = (self.local.ip(), self.peer.ip());
                self.files = Some(Files::new(&self.persona, account, local, peer, now));
                out.send(b"230 Login successful.\r\n");
            }
            None => self.busy = Busy::Delay(now.plus(LOGIN_DELAY)),
        }
    }

    /// A command of a user who is logged in.
    fn serve(&mut self, verb: &str, argument: &str, files: &mut Files, out: &mut Output) {
        let said = match verb {
            "USER" if argument == files.user => "331 Any password will do.".into(),
            "USER" => "530 Can't change to another user.".into(),
            "PASS" => "230 Already logged in.".into(),
            "SYST" => "215 UNIX Type: L8".into(),
            "NOOP" => "200 NOOP ok.".into(),
            "PWD" | "XPWD" => {
                let shown = files.cwd.replace('"', "\"\"");
                format!("257 \"{shown}\" is the current directory")
            }
            "CWD" | "XCWD" => files.change_dir(argument),
            "CDUP" | "XCUP" => files.change_dir(".."),
            "TYPE" => self.set_type(argument),
            "MODE" if argument.eq_ignore_ascii_case("S") => "200 Mode set to S.".into(),
            "MODE" => "504 Bad MODE command.".into(),
            "STRU" if argument.eq_ignore_ascii_case("F") => "200 Structure set to F.".into(),
            "STRU" => "504 Bad STRU command.".into(),
            "ALLO" => "202 ALLO command ignored.".into(),
            "ACCT" | "REIN" | "SMNT" => format!("502 {verb} not implemented."),
            "ABOR" => "225 No transfer to ABOR.".into(),
            "REST" => {
                self.restart = argument.trim().parse().unwrap_or(0);
                format!("350 Restart position accepted ({}).", self.restart)
            }
            "SIZE" => files.size(argument),
            "MDTM" => files.modified(argument),
            "MKD" | "XMKD" => files.make_dir(argument, self.umask),
            "RMD" | "XRMD" => files.remove_dir(argument),
            "DELE" => files.delete(argument),
            "RNFR" => match files.exists(argument) {
                true => {
                    self.rename_from = Some(argument.to_owned());
                    "350 Ready for RNTO.".into()
                }
                false => "550 RNFR command failed.".into(),
            },
            "RNTO" => match self.rename_from.take() {
                Some(from) => files.rename(&from, argument),
                None => "503 RNFR required first.".into(),
            },
            "PORT" => self.refuse_port(argument, out),
            "EPRT" => self.refuse_eprt(argument, out),
            "PASV" | "EPSV" => match self.passive(verb, argument, out) {
                Some(said) => said,
                None => return,
            },
            "LIST" | "NLST" | "RETR" | "STOR" | "APPE" | "STOU" => {
                match self.transfer(verb, argument, files, out) {
                    Some(said) => said,
                    None => return,
                }
            }
            "STAT" if argument.is_empty() => self.status(files),
            "STAT" => format!("213-Status follows:\r\n{}213 End of status", files.list(argument)),
            "HELP" => HELP.into(),
            "SITE" => self.site(argument, files),
            "AUTH" | "PBSZ" | "PROT" => "550 Permission denied.".into(),
            _ => "500 Unknown command.".into(),
        };
        out.send(said.as_bytes());
        out.send(b"\r\n");
    }

    fn set_type(&mut self, argument: &str) -> String {
        match argument.to_ascii_uppercase().as_str() {
            "I" | "L8" | "L 8" => {
                self.binary = true;
                "200 Switching to Binary mode.".into()
            }
            "A" | "A N" => {
                self.binary = false;
                "200 Switching to ASCII mode.".into()
            }
            _ => "500 Unrecognised TYPE command.".into(),
        }
    }

    /// vsftpd refuses foreign addresses; this decoy refuses the visitor's own as well, since it
    /// never opens a connection.
    fn refuse_port(&mut self, argument: &str, out: &mut Output) -> String {
        let bytes: Vec<u16> = argument.split(',').filter_map(|n| n.trim().parse().ok()).collect();
        if let [a, b, c, d, high, low] = bytes.as_slice() {
            let port = u32::from(*high) * 256 + u32::from(*low);
            let text = format!("PORT {a}.{b}.{c}.{d}:{port}");
            out.record(SessionFact::Request { text: escape_text(text.as_bytes()) });
        }
        "500 Illegal PORT command.".into()
    }

    fn refuse_eprt(&mut self, argument: &str, out: &mut Output) -> String {
        let mark = argument.chars().next().unwrap_or('|');
        let parts: Vec<&str> = argument.split(mark).collect();
        match parts.as_slice() {
            ["", "1" | "2", address, port, ""] => {
                let text = format!("EPRT {address} {port}");
                out.record(SessionFact::Request { text: escape_text(text.as_bytes()) });
                "500 Illegal EPRT command.".into()
            }
            ["", family, ..] if parts.len() == 5 && family.parse::<u8>().is_ok() => {
                "522 Bad network protocol.".into()
            }
            _ => "500 Bad EPRT command.".into(),
        }
    }

    /// Asks for a listener; says something only where that is refused.
    fn passive(&mut self, verb: &str, argument: &str, out: &mut Output) -> Option<String> {
        let extended = verb == "EPSV";
        if extended && argument.eq_ignore_ascii_case("ALL") {
            self.epsv_all = true;
            return Some("200 EPSV ALL ok.".into());
        }
        if !extended && self.epsv_all {
            return Some("550 Permission denied.".into());
        }
        let family = if self.local.is_ipv4() { "1" } else { "2" };
        if extended && !argument.is_empty() && argument != family {
            return Some("522 Bad network protocol.".into());
        }
        self.drop_data(out);
        out.data(DataAction::Listen);
        self.busy = Busy::Listen(extended);
        None
    }

    fn drop_data(&mut self, out: &mut Output) {
        if self.data == Data::Connected {
            out.data(DataAction::Close);
        }
        self.data = Data::None;
        self.early.clear();
    }

    /// Prepares a transfer; says something only where it cannot begin.
    fn transfer(
        &mut self,
        verb: &str,
        argument: &str,
        files: &mut Files,
        out: &mut Output,
    ) -> Option<String> {
        if self.data == Data::None {
            return Some("425 Use PORT or PASV first.".into());
        }
        let restart = std::mem::take(&mut self.restart);
        let wanted = match verb {
            "LIST" | "NLST" => Transfer::Send {
                before: "150 Here comes the directory listing.".into(),
                bytes: if verb == "LIST" { files.list(argument) } else { files.names(argument) }
                    .into_bytes(),
                after: "226 Directory send OK.",
            },
            "RETR" if restart > 0 && !self.binary => {
                return Some("550 No support for resume of ASCII transfer.".into());
            }
            "RETR" => {
                let Some(mut bytes) = files.read(argument) else {
                    return Some("550 Failed to open file.".into());
                };
                let before = format!(
                    "150 Opening BINARY mode data connection for {argument} ({} bytes).",
                    bytes.len()
                );
                bytes.drain(..(restart as usize).min(bytes.len()));
                Transfer::Send { before, bytes, after: "226 Transfer complete." }
            }
            _ => {
                let unique = format!("{}.1", if argument.is_empty() { "STOU" } else { argument });
                let name = if verb == "STOU" { unique } else { argument.to_owned() };
                let keep = match verb {
                    "APPE" => usize::MAX,
                    _ => restart as usize,
                };
                let Some((path, mut bytes)) = files.create(&name, keep, self.umask) else {
                    return Some("553 Could not create file.".into());
                };
                bytes.truncate(keep);
                let before = if verb == "STOU" {
                    format!("150 FILE: {name}")
                } else {
                    "150 Ok to send data.".into()
                };
                Transfer::Receive { before, path, name, bytes }
            }
        };
        if self.data == Data::Connected {
            self.begin(wanted, out);
        } else {
            self.busy = Busy::Accept(wanted);
        }
        None
    }

    /// Begins a transfer over a connection that is there.
    fn begin(&mut self, wanted: Transfer, out: &mut Output) {
        match wanted {
            Transfer::Send { before, bytes, after } => {
                out.send(format!("{before}\r\n").as_bytes());
                if !bytes.is_empty() {
                    out.data(DataAction::Send(bytes));
                }
                out.data(DataAction::Close);
                self.busy = Busy::Sending(after);
            }
            Transfer::Receive { before, path, name, bytes } => {
                out.send(format!("{before}\r\n").as_bytes());
                self.busy = Busy::Receiving { path, name, bytes, full: false };
                let early = std::mem::take(&mut self.early);
                self.received(&early, out);
            }
        }
    }

    fn received(&mut self, more: &[u8], out: &mut Output) {
        match &mut self.busy {
            Busy::Receiving { bytes, full, .. } => {
                if bytes.len() + more.len() > files::MAX_UPLOAD_BYTES {
                    if !*full {
                        out.data(DataAction::Close);
                    }
                    *full = true;
                } else if !*full {
                    bytes.extend_from_slice(more);
                }
            }
            _ => {
                let room = MAX_WAITING_BYTES.saturating_sub(self.early.len());
                self.early.extend_from_slice(&more[..more.len().min(room)]);
            }
        }
    }

    /// The data connection is over: says how what it was for went.
    fn closed(&mut self, now: Timestamp, out: &mut Output) {
        let connected = self.data == Data::Connected;
        match std::mem::replace(&mut self.busy, Busy::No) {
            Busy::Sending(after) => out.send(format!("{after}\r\n").as_bytes()),
            Busy::Accept(_) => out.send(b"425 Failed to establish connection.\r\n"),
            Busy::Listen(_) => out.send(b"500 OOPS: vsf_sysutil_bind\r\n"),
            Busy::Receiving { path, name, bytes, full } => {
                let stored = match &mut self.files {
                    Some(files) if !full => {
                        files.now = now;
                        files.store(&path, &bytes)
                    }
                    _ => false,
                };
                let fact = crate::shell::upload(&name, &bytes);
                out.record(fact);
                out.send(if stored {
                    b"226 Transfer complete.\r\n".as_slice()
                } else {
                    b"451 Failure writing to local file.\r\n"
                });
            }
            // a connection that came and went before its command: the command still uses it
            busy @ (Busy::No | Busy::Delay(_)) => {
                self.busy = busy;
                if connected {
                    return;
                }
            }
        }
        self.data = Data::None;
    }

    fn status(&self, files: &Files) -> String {
        format!(
            "211-FTP server status:\r\n     Connected to {}\r\n     Logged in as {}\r\n     TYPE: \
             {}\r\n     No session bandwidth limit\r\n     Session timeout in seconds is 300\r\n     \
             Control connection is plain text\r\n     Data connections will be plain text\r\n     \
             At session startup, client count was 1\r\n     vsFTPd 3.0.3 - secure, fast, \
             stable\r\n211 End of status",
            self.peer.ip(),
            files.user,
            if self.binary { "BINARY" } else { "ASCII" },
        )
    }

    fn site(&mut self, argument: &str, files: &mut Files) -> String {
        let (verb, rest) = argument.split_once(' ').unwrap_or((argument, ""));
        match (verb.to_ascii_uppercase().as_str(), rest) {
            ("HELP", _) => "214 CHMOD UMASK HELP".into(),
            ("UMASK", "") => format!("200 Your current UMASK is {:03o}", self.umask),
            ("UMASK", mask) => {
                self.umask = u32::from_str_radix(mask, 8).unwrap_or(0) & 0o777;
                format!("200 UMASK set to {:03o}", self.umask)
            }
            ("CHMOD", rest) => match rest.split_once(' ') {
                Some((mode, name)) => files.change_mode(mode, name),
                None => "500 SITE CHMOD needs 2 arguments.".into(),
            },
            _ => "500 Unknown SITE command.".into(),
        }
    }
}

const HELP: &str = "214-The following commands are recognized.\r
 ABOR ACCT ALLO APPE CDUP CWD  DELE EPRT EPSV FEAT HELP LIST MDTM MKD\r
 MODE NLST NOOP OPTS PASS PASV PORT PWD  QUIT REIN REST RETR RMD  RNFR\r
 RNTO SITE SIZE SMNT STAT STOR STOU STRU SYST TYPE USER XCUP XCWD XMKD\r
 XPWD XRMD\r
214 Help OK.";

impl Session for FtpSession {
    fn open(&mut self, now: Timestamp, out: &mut Output) -> Flow {
        self.active_at = now;
        out.send(b"220 (vsFTPd 3.0.3)\r\n");
        Flow::Continue
    }

    fn receive(&mut self, now: Timestamp, bytes: &[u8], out: &mut Output) -> Flow {
        self.active_at = now;
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            if self.input.len() + line.len() > MAX_WAITING_BYTES {
                out.send(b"500 Input line too long.\r\n");
                return Flow::Close;
            }
            self.input.extend_from_slice(line);
            if self.work(now, out) == Flow::Close {
                return Flow::Close;
            }
        }
        Flow::Continue
    }

    fn deadline(&self) -> Option<Timestamp> {
        Some(match self.busy {
            Busy::Delay(until) => until,
            _ => self.active_at.plus(IDLE),
        })
    }

    fn expire(&mut self, now: Timestamp, out: &mut Output) -> Flow {
        match self.busy {
            Busy::Delay(until) if now >= until => {
                self.busy = Busy::No;
                self.failures += 1;
                out.send(b"530 Login incorrect.\r\n");
                if self.failures >= MAX_LOGIN_FAILURES {
                    return Flow::Close;
                }
                self.work(now, out)
            }
            _ if now >= self.active_at.plus(IDLE) => {
                out.send(b"421 Timeout.\r\n");
                Flow::Close
            }
            _ => Flow::Continue,
        }
    }

    fn data(&mut self, now: Timestamp, event: DataEvent, out: &mut Output) -> Flow {
        self.active_at = now;
        match event {
            DataEvent::Listening { addr, port } => {
                if let Busy::Listen(extended) = self.busy {
                    self.busy = Busy::No;
                    self.data = Data::Listening;
                    let comma = addr.to_string().replace('.', ",");
                    let said = if extended {
                        format!("229 Entering Extended Passive Mode (|||{port}|)\r\n")
                    } else {
                        let (high, low) = (port >> 8, port & 255);
                        format!("227 Entering Passive Mode ({comma},{high},{low}).\r\n")
                    };
                    out.send(said.as_bytes());
                }
            }
            DataEvent::Connected => {
                self.data = Data::Connected;
                match std::mem::replace(&mut self.busy, Busy::No) {
                    Busy::Accept(wanted) => self.begin(wanted, out),
                    busy => self.busy = busy,
                }
            }
            DataEvent::Received(bytes) => self.received(&bytes, out),
            DataEvent::Closed => self.closed(now, out),
        }
        self.work(now, out)
    }
}
