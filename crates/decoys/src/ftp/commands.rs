//! The commands of a visitor who is logged in, with vsftpd's replies.

use std::net::IpAddr;

use model::Timestamp;

use super::{
    FEATURES, FtpSession, State,
    files::{Files, bytes_of, text_of},
    listing::{self, Style},
    number, options,
    transfer::{Channel, Received, Transfer},
};
use crate::{DataAction, Flow, Output, shell::calendar::Date};

/// Directories whose message was shown and is not shown again.
const MAX_SEEN: usize = 256;

/// Longest message of a directory, in bytes.
const MAX_MESSAGE_BYTES: usize = 4_000;

/// Most names that `STOU` tries.
const MAX_UNIQUE: u32 = 1_000;

const HELP: &str = "214-The following commands are recognized.\r\n \
ABOR ACCT ALLO APPE CDUP CWD  DELE EPRT EPSV FEAT HELP LIST MDTM MKD\r\n \
MODE NLST NOOP OPTS PASS PASV PORT PWD  QUIT REIN REST RETR RMD  RNFR\r\n \
RNTO SITE SIZE SMNT STAT STOR STOU STRU SYST TYPE USER XCUP XCWD XMKD\r\n \
XPWD XRMD\r\n214 Help OK.\r\n";

/// A visitor who is logged in.
pub(super) struct Login {
    user: String,
    guest: bool,
    /// What he sees of the file system.
    pub(super) files: Files,
    binary: bool,
    extended_only: bool,
    restart: u64,
    rename_from: Option<String>,
    seen: Vec<String>,
}

impl Login {
    /// `user` at home.
    pub(super) fn new(user: String, guest: bool, files: Files) -> Self {
        Self {
            user,
            guest,
            files,
            binary: false,
            extended_only: false,
            restart: 0,
            rename_from: None,
            seen: Vec::new(),
        }
    }

    /// The message of the working directory, in front of a reply with `code`.
    pub(super) fn message(&self, code: &str, now: Timestamp, out: &mut Output) {
        let Ok(message) = self.files.read(".message", now) else { return };
        let message = &message[..message.len().min(MAX_MESSAGE_BYTES)];
        let message = message.strip_suffix(b"\n").unwrap_or(message);
        if message.is_empty() {
            return;
        }
        for line in message.split(|byte| *byte == b'\n') {
            out.send(format!("{code}-").as_bytes());
            out.send(line);
            out.send(b"\r\n");
        }
    }

    fn enter(&mut self, path: &str, now: Timestamp, out: &mut Output) {
        if self.files.enter(path).is_err() {
            out.send(b"550 Failed to change directory.\r\n");
            return;
        }
        let cwd = self.files.cwd().to_owned();
        if !self.seen.contains(&cwd) && self.seen.len() < MAX_SEEN {
            self.message("250", now, out);
            self.seen.push(cwd);
        }
        out.send(b"250 Directory successfully changed.\r\n");
    }

    fn site(&mut self, argument: &[u8], out: &mut Output) {
        let (verb, rest) = split(argument);
        match verb.to_ascii_uppercase().as_slice() {
            b"CHMOD" => {
                let (mode, path) = split(rest);
                if path.is_empty() {
                    out.send(b"500 SITE CHMOD needs 2 arguments.\r\n");
                } else if self.files.set_mode(&text_of(path), octal(mode)).is_ok() {
                    out.send(b"200 SITE CHMOD command ok.\r\n");
                } else {
                    out.send(b"550 SITE CHMOD command failed.\r\n");
                }
            }
            b"UMASK" if rest.is_empty() => {
                let umask = shown_octal(self.files.umask);
                out.send(format!("200 Your current UMASK is {umask}\r\n").as_bytes());
            }
            b"UMASK" => {
                self.files.umask = octal(rest) & 0o777;
                let umask = shown_octal(self.files.umask);
                out.send(format!("200 UMASK set to {umask}\r\n").as_bytes());
            }
            b"HELP" => out.send(b"214 CHMOD UMASK HELP\r\n"),
            _ => out.send(b"500 Unknown SITE command.\r\n"),
        }
    }

    /// `MDTM` reads a time, or sets it where one is given.
    fn modified(&mut self, argument: &[u8], now: Timestamp, out: &mut Output) {
        if let Some((at, path)) = moment(argument).filter(|_| !self.guest) {
            out.send(if self.files.set_time(&text_of(path), at).is_ok() {
                b"213 File modification time set.\r\n"
            } else {
                b"550 Could not set file modification time.\r\n"
            });
            return;
        }
        match self.files.stat(&text_of(argument), now) {
            Ok((_, at)) => {
                let at = Date::of(at).format("%Y%m%d%H%M%S");
                out.send(format!("213 {at}\r\n").as_bytes());
            }
            Err(_) => out.send(b"550 Could not get file modification time.\r\n"),
        }
    }

    fn rename(&mut self, to: &str, out: &mut Output) {
        out.send(match self.rename_from.take() {
            None => b"503 RNFR required first.\r\n",
            Some(from) if self.files.rename(&from, to).is_ok() => b"250 Rename successful.\r\n",
            Some(_) => b"550 Rename failed.\r\n",
        });
    }

    fn status(&self, argument: &[u8], peer: IpAddr, now: Timestamp, out: &mut Output) {
        if !argument.is_empty() {
            out.send(b"213-Status follows:\r\n");
            out.send(&listing::list(&self.files, Style::Status, &text_of(argument), now));
            out.send(b"213 End of status\r\n");
            return;
        }
        let peer = match peer {
            IpAddr::V4(peer) => format!("::ffff:{peer}"),
            IpAddr::V6(peer) => peer.to_string(),
        };
        let kind = if self.binary { "BINARY" } else { "ASCII" };
        let user = &self.user;
        out.send(
            format!(
                "211-FTP server status:\r\n     Connected to {peer}\r\n     Logged in as {user}\r\n     \
                 TYPE: {kind}\r\n     No session bandwidth limit\r\n     \
                 Session timeout in seconds is 300\r\n     Control connection is plain text\r\n     \
                 Data connections will be plain text\r\n     \
                 At session startup, client count was 1\r\n     \
                 vsFTPd 3.0.3 - secure, fast, stable\r\n211 End of status\r\n"
            )
            .as_bytes(),
        );
    }

    /// Opens the file that a visitor wants to fill; the path to put it at.
    fn receive(&mut self, verb: &[u8], path: &str, now: Timestamp) -> Option<Transfer> {
        let restart = std::mem::take(&mut self.restart);
        let append = verb == b"APPE";
        let path = if verb == b"STOU" { self.unique(path) } else { path.to_owned() };
        self.files.create(&path, !append && restart == 0, now).ok()?;
        let begin = if verb == b"STOU" {
            [b"150 FILE: ", bytes_of(&path).as_slice(), b"\r\n"].concat()
        } else {
            b"150 Ok to send data.\r\n".to_vec()
        };
        Some(Transfer::Receive {
            begin,
            path: self.files.absolute(&path),
            offset: (!append).then_some(restart),
            received: Received::default(),
        })
    }

    /// A name that is not taken.
    fn unique(&self, wanted: &str) -> String {
        if !wanted.is_empty() && !self.files.exists(wanted) {
            return wanted.to_owned();
        }
        let stem = if wanted.is_empty() { "STOU" } else { wanted };
        let mut names = (1..MAX_UNIQUE).map(|number| format!("{stem}.{number}"));
        names.find(|name| !self.files.exists(name)).unwrap_or_else(|| stem.to_owned())
    }

    fn send(&mut self, argument: &[u8], now: Timestamp) -> Option<Transfer> {
        let restart = usize::try_from(std::mem::take(&mut self.restart)).unwrap_or(usize::MAX);
        let path = text_of(argument);
        let (size, _) = self.files.stat(&path, now).ok()?;
        let mut bytes = self.files.read(&path, now).ok()?;
        bytes.drain(..restart.min(bytes.len()));
        let begin = [
            b"150 Opening BINARY mode data connection for ",
            argument,
            format!(" ({size} bytes).\r\n").as_bytes(),
        ]
        .concat();
        Some(Transfer::Send { begin, bytes, end: "226 Transfer complete.\r\n" })
    }
}

impl FtpSession {
    /// Answers a command of a visitor who is logged in.
    pub(super) fn command(
        &mut self,
        now: Timestamp,
        verb: &[u8],
        argument: &[u8],
        out: &mut Output,
    ) -> Flow {
        let State::Serving(login) = &mut self.state else { return Flow::Continue };
        if login.guest && changes(verb) {
            out.send(b"550 Permission denied.\r\n");
            return Flow::Continue;
        }
        let text = text_of(argument);
        match verb {
            b"QUIT" => {
                out.send(b"221 Goodbye.\r\n");
                return Flow::Close;
            }
            b"GET" | b"POST" | b"HEAD" => {
                out.send(b"500 HTTP protocol commands not allowed.\r\n");
                return Flow::Close;
            }
            b"PASV" | b"EPSV" => self.listen(verb, argument, out),
            b"LIST" | b"NLST" | b"RETR" | b"STOR" | b"APPE" | b"STOU" => {
                self.transfer(now, verb, argument, out);
            }
            b"PORT" if login.extended_only => out.send(b"550 Permission denied.\r\n"),
            b"PORT" => out.send(b"500 Illegal PORT command.\r\n"),
            b"EPRT" if argument.starts_with(b"|1|") => {
                out.send(b"500 Illegal EPRT command.\r\n");
            }
            b"EPRT" => out.send(b"500 Bad EPRT protocol.\r\n"),
            b"USER" => out.send(if login.guest {
                b"530 Can't change from guest user.\r\n"
            } else if text == login.user {
                b"331 Any password will do.\r\n"
            } else {
                b"530 Can't change to another user.\r\n"
            }),
            b"PASS" => out.send(b"230 Already logged in.\r\n"),
            b"PWD" | b"XPWD" => {
                out.send(b"257 ");
                out.send(&quoted(login.files.cwd()));
                out.send(b" is the current directory\r\n");
            }
            b"CWD" | b"XCWD" => login.enter(&text, now, out),
            b"CDUP" | b"XCUP" => login.enter("..", now, out),
            b"MKD" | b"XMKD" => match login.files.make_dir(&text, now) {
                Ok(()) => {
                    out.send(b"257 ");
                    out.send(&quoted(&login.files.absolute(&text)));
                    out.send(b" created\r\n");
                }
                Err(_) => out.send(b"550 Create directory operation failed.\r\n"),
            },
            b"RMD" | b"XRMD" => out.send(match login.files.remove_dir(&text) {
                Ok(()) => b"250 Remove directory operation successful.\r\n".as_slice(),
                Err(_) => b"550 Remove directory operation failed.\r\n",
            }),
            b"DELE" => out.send(match login.files.remove(&text) {
                Ok(()) => b"250 Delete operation successful.\r\n".as_slice(),
                Err(_) => b"550 Delete operation failed.\r\n",
            }),
            b"RNFR" => {
                login.rename_from = login.files.exists(&text).then_some(text);
                out.send(if login.rename_from.is_some() {
                    b"350 Ready for RNTO.\r\n"
                } else {
                    b"550 RNFR command failed.\r\n"
                });
            }
            b"RNTO" => login.rename(&text, out),
            b"SIZE" => match login.files.stat(&text, now) {
                Ok((size, _)) => out.send(format!("213 {size}\r\n").as_bytes()),
                Err(_) => out.send(b"550 Could not get file size.\r\n"),
            },
            b"MDTM" => login.modified(argument, now, out),
            b"REST" => {
                login.restart = number(argument);
                let at = login.restart;
                out.send(format!("350 Restart position accepted ({at}).\r\n").as_bytes());
            }
            b"TYPE" => out.send(match argument.to_ascii_uppercase().as_slice() {
                b"A" | b"A N" => {
                    login.binary = false;
                    b"200 Switching to ASCII mode.\r\n".as_slice()
                }
                b"I" | b"L8" | b"L 8" => {
                    login.binary = true;
                    b"200 Switching to Binary mode.\r\n"
                }
                _ => b"500 Unrecognised TYPE command.\r\n",
            }),
            b"SITE" => login.site(argument, out),
            b"STAT" => login.status(argument, self.peer, now, out),
            _ => out.send(plain(verb, argument)),
        }
        Flow::Continue
    }

    fn listen(&mut self, verb: &[u8], argument: &[u8], out: &mut Output) {
        let State::Serving(login) = &mut self.state else { return };
        let extended = verb == b"EPSV";
        let family: &[u8] = if self.local.is_ipv4() { b"1" } else { b"2" };
        if extended && argument.eq_ignore_ascii_case(b"ALL") {
            login.extended_only = true;
            out.send(b"200 EPSV ALL ok.\r\n");
        } else if extended && !argument.is_empty() && argument != family {
            out.send(b"522 Bad network protocol.\r\n");
        } else if !extended && login.extended_only {
            out.send(b"550 Permission denied.\r\n");
        } else {
            self.channel = Channel::Opening(extended);
            out.data(DataAction::Listen);
        }
    }

    fn transfer(&mut self, now: Timestamp, verb: &[u8], argument: &[u8], out: &mut Output) {
        let State::Serving(login) = &mut self.state else { return };
        if matches!(self.channel, Channel::None) {
            out.send(b"425 Use PORT or PASV first.\r\n");
            return;
        }
        let text = text_of(argument);
        let transfer = match verb {
            b"LIST" | b"NLST" => {
                let style = if verb == b"LIST" { Style::Long } else { Style::Names };
                Some(Transfer::Send {
                    begin: b"150 Here comes the directory listing.\r\n".to_vec(),
                    bytes: listing::list(&login.files, style, &text, now),
                    end: "226 Directory send OK.\r\n",
                })
            }
            b"RETR" => login.send(argument, now),
            _ => login.receive(verb, &text, now),
        };
        match transfer {
            Some(transfer) => self.begin(now, transfer, out),
            None if verb == b"RETR" => out.send(b"550 Failed to open file.\r\n"),
            None => out.send(b"553 Could not create file.\r\n"),
        }
    }
}

/// Replies that depend on nothing.
fn plain(verb: &[u8], argument: &[u8]) -> &'static [u8] {
    match verb {
        b"SYST" => b"215 UNIX Type: L8\r\n",
        b"FEAT" => FEATURES.as_bytes(),
        b"HELP" => HELP.as_bytes(),
        b"NOOP" => b"200 NOOP ok.\r\n",
        b"OPTS" => options(argument),
        b"ABOR" | b"\xff\xf4\xff\xf2ABOR" => b"225 No transfer to ABOR.\r\n",
        b"ALLO" => b"202 ALLO command ignored.\r\n",
        b"ACCT" => b"502 ACCT not implemented.\r\n",
        b"REIN" => b"502 REIN not implemented.\r\n",
        b"SMNT" => b"502 SMNT not implemented.\r\n",
        b"MODE" if argument.eq_ignore_ascii_case(b"S") => b"200 Mode set to S.\r\n",
        b"MODE" => b"504 Bad MODE command.\r\n",
        b"STRU" if argument.eq_ignore_ascii_case(b"F") => b"200 Structure set to F.\r\n",
        b"STRU" => b"504 Bad STRU command.\r\n",
        b"PBSZ" | b"PROT" => b"550 Permission denied.\r\n",
        _ => b"500 Unknown command.\r\n",
    }
}

/// Commands that guests may not use.
fn changes(verb: &[u8]) -> bool {
    const CHANGES: &[&[u8]] = &[
        b"STOR", b"STOU", b"APPE", b"MKD", b"XMKD", b"RMD", b"XRMD", b"DELE", b"RNFR", b"RNTO",
        b"SITE",
    ];
    CHANGES.contains(&verb)
}

/// What announces a listener.
pub(super) fn passive(extended: bool, addr: IpAddr, port: u16) -> String {
    if extended {
        return format!("229 Entering Extended Passive Mode (|||{port}|)\r\n");
    }
    let [high, low] = port.to_be_bytes();
    // vsftpd cannot say an IPv6 address here.
    let [a, b, c, d] = match addr.to_canonical() {
        IpAddr::V4(addr) => addr.octets(),
        IpAddr::V6(_) => [0; 4],
    };
    format!("227 Entering Passive Mode ({a},{b},{c},{d},{high},{low}).\r\n")
}

/// A path in quotes, with its own doubled.
fn quoted(path: &str) -> Vec<u8> {
    bytes_of(&format!("\"{}\"", path.replace('"', "\"\"")))
}

fn split(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| *byte == b' ') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, b""),
    }
}

/// An octal number as vsftpd reads it: up to the first byte that is no digit.
fn octal(text: &[u8]) -> u32 {
    let digits = text.iter().take_while(|byte| (b'0'..=b'7').contains(*byte));
    digits.fold(0, |number: u32, digit| number.wrapping_shl(3) | u32::from(digit - b'0'))
}

fn shown_octal(number: u32) -> String {
    if number == 0 { "0".into() } else { format!("0{number:o}") }
}

/// `YYYYMMDDHHMMSS path`: a moment, and the rest.
fn moment(argument: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (stamp, path) = argument.split_at_checked(14)?;
    let path = path.strip_prefix(b" ").filter(|_| stamp.iter().all(u8::is_ascii_digit))?;
    let field = |from: usize, to: usize| number(&stamp[from..to]) as i64;
    // Days beyond a month's end run on into the next, as in `mktime`.
    let month: Timestamp =
        format!("{:04}-{:02}-01T00:00:00Z", field(0, 4), field(4, 6).clamp(1, 12)).parse().ok()?;
    let seconds =
        (field(6, 8) - 1) * 86_400 + field(8, 10) * 3_600 + field(10, 12) * 60 + field(12, 14);
    Some((Timestamp::from_micros(month.as_micros() + seconds * 1_000_000), path))
}
