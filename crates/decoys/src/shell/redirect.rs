//! Where a command reads from and writes to: redirections, and the files behind them.

use super::{
    Mode, Shell,
    fs::{self, Device, FsError, Kind as NodeKind},
    limits,
    run::Io,
    syntax::{Command, Target},
};

/// A file that a redirection opened: its sink, its resolved path, its name in messages.
pub(super) struct Opened {
    pub(super) sink: usize,
    pub(super) path: String,
    pub(super) name: String,
}

impl Shell {
    /// Opens what a command's redirections name. None where one fails; it has been said then.
    pub(super) fn redirect(
        &mut self,
        command: &Command,
        io: Io,
        opened: &mut Vec<Opened>,
    ) -> Option<Io> {
        let mut inner = io;
        for redirect in &command.redirects {
            match &redirect.to {
                Target::Read(word) => {
                    let name = self.expand_one(word, io);
                    inner.stdin = self.open_read(&name, inner, io)?;
                }
                Target::Here(word) => {
                    let text = self.expand_one(word, io);
                    inner.stdin = self.source(text.into_bytes());
                }
                Target::Write(word) | Target::Append(word) | Target::Both(word) => {
                    let append = matches!(redirect.to, Target::Append(_));
                    let name = self.expand_one(word, io);
                    let sink = self.open_write(&name, append, inner, io, opened)?;
                    match (&redirect.to, redirect.fd) {
                        (Target::Both(_), _) => (inner.out, inner.err) = (sink, sink),
                        (_, 1) => inner.out = sink,
                        (_, 2) => inner.err = sink,
                        _ => {}
                    }
                }
                Target::Duplicate(from) => match (redirect.fd, from) {
                    (1, 2) => inner.out = inner.err,
                    (2, 1) => inner.err = inner.out,
                    (_, 0..=2) => {}
                    (_, from) => {
                        self.grumble(io, format!("{from}: Bad file descriptor"));
                        return None;
                    }
                },
                Target::Close => match redirect.fd {
                    1 => inner.out = self.sink(0),
                    2 => inner.err = self.sink(0),
                    _ => inner.stdin = self.source(Vec::new()),
                },
            }
        }
        Some(inner)
    }

    pub(super) fn open_read(&mut self, name: &str, inner: Io, io: Io) -> Option<usize> {
        if name == "/dev/stdin" || name == "/dev/tty" {
            return Some(inner.stdin);
        }
        if self.dev_tcp(name, io) {
            return None;
        }
        let cap = limits::MAX_SHOWN_BYTES;
        match self.fs.read(self.frame.who, &self.frame.cwd, name, self.now, cap) {
            Ok(bytes) => Some(self.source(bytes)),
            Err(FsError::IsDir) => Some(self.source(Vec::new())),
            Err(error) => {
                self.cannot_open(name, error, false, io);
                None
            }
        }
    }

    pub(super) fn open_write(
        &mut self,
        name: &str,
        append: bool,
        inner: Io,
        io: Io,
        opened: &mut Vec<Opened>,
    ) -> Option<usize> {
        match name {
            "/dev/stdout" | "/dev/fd/1" => return Some(inner.out),
            "/dev/stderr" | "/dev/fd/2" => return Some(inner.err),
            "/dev/tty" => return Some(0),
            "/dev/null" => return Some(self.sink(0)),
            _ if self.dev_tcp(name, io) => return None,
            _ => {}
        }
        let (who, cwd, now) = (self.frame.who, self.frame.cwd.clone(), self.now);
        match self.fs.write(who, &cwd, name, b"", append, now) {
            Ok(path) => {
                let sink = self.sink(limits::MAX_PIPE_BYTES);
                let path = path.unwrap_or_else(|| fs::join(&cwd, name));
                let path = if name.starts_with('/') && self.fs.node(&path).is_none() {
                    name.to_owned()
                } else {
                    path
                };
                opened.push(Opened { sink, path, name: name.to_owned() });
                Some(sink)
            }
            Err(error) => {
                self.cannot_open(name, error, true, io);
                None
            }
        }
    }

    pub(super) fn cannot_open(&mut self, name: &str, error: FsError, create: bool, io: Io) {
        let message = error.message();
        if matches!(self.mode, Mode::Script(_, true)) {
            let verb = if create { "create" } else { "open" };
            let message = if create && error == FsError::NotFound {
                "Directory nonexistent"
            } else if error == FsError::NotFound {
                "No such file"
            } else {
                message
            };
            self.grumble(io, format!("cannot {verb} {name}: {message}"));
        } else {
            self.grumble(io, format!("{name}: {message}"));
        }
    }

    /// `/dev/tcp/host/port` is bash's own way out; it fails like any other. True where it was.
    pub(super) fn dev_tcp(&mut self, name: &str, io: Io) -> bool {
        let Some(rest) = name.strip_prefix("/dev/tcp/").or_else(|| name.strip_prefix("/dev/udp/"))
        else {
            return false;
        };
        self.reached_for(&format!("CONNECT {}", rest.replacen('/', ":", 1)));
        let host = rest.split('/').next().unwrap_or_default().to_owned();
        if host.parse::<std::net::IpAddr>().is_ok() {
            self.grumble(io, "connect: Connection timed out");
            self.grumble(io, format!("{name}: Connection timed out"));
        } else {
            self.grumble(io, format!("{host}: Temporary failure in name resolution"));
            self.grumble(io, format!("{name}: Invalid argument"));
        }
        true
    }

    /// Writes what a redirection collected into its file.
    pub(super) fn flush(&mut self, file: &Opened, io: Io) {
        let bytes = std::mem::take(&mut self.sinks[file.sink].bytes);
        let device = self.fs.node(&file.path).is_some_and(|node| {
            matches!(
                node.kind,
                NodeKind::Device(Device::Null | Device::Zero | Device::Terminal, ..)
            )
        });
        if device {
            return;
        }
        if bytes.is_empty() {
            return;
        }
        let who = super::Who { uid: 0, gid: 0 };
        match self.fs.write(who, "/", &file.path, &bytes, true, self.now) {
            Ok(Some(path)) => self.wrote(path),
            Ok(None) => {}
            Err(error) => {
                self.status = 1;
                self.grumble(io, format!("{}: write error: {}", file.name, error.message()));
            }
        }
    }

    /// All that is left on standard input.
    pub(super) fn read_all(&mut self, io: Io) -> Vec<u8> {
        let source = &mut self.sources[io.stdin];
        let rest = source.bytes[source.at..].to_vec();
        source.at = source.bytes.len();
        rest
    }

    /// One line of standard input, without its end.
    pub(super) fn read_line(&mut self, io: Io) -> Option<Vec<u8>> {
        let source = &mut self.sources[io.stdin];
        let rest = &source.bytes[source.at..];
        if rest.is_empty() {
            return None;
        }
        let end = rest.iter().position(|b| *b == b'\n');
        let line = rest[..end.unwrap_or(rest.len())].to_vec();
        source.at += line.len() + usize::from(end.is_some());
        Some(line)
    }
}
