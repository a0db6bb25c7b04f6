//! The servers under test: which there are, started pinned to a core, watched from outside.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::wire::Conn;

/// The core of the server; the generator has the other.
const CORE: &str = "0";
/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(10);

/// Whether a stream is synced before a publish is acknowledged. Ours always does.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Sync {
    /// As the server does when nobody says anything.
    Default,
    /// nats-server with `sync_interval: always`.
    Always,
}

/// How a program is told where to serve.
#[derive(Clone, Copy)]
enum Manner {
    /// By a configuration in nats-server's format.
    NatsServer,
    /// As `morgana bus serve` is.
    Morgana,
}

/// A program that serves.
pub(crate) struct Rival {
    /// As the table names it.
    pub(crate) label: String,
    /// Ours or a nats-server.
    pub(crate) ours: bool,
    command: PathBuf,
    manner: Manner,
}

impl Rival {
    /// A nats-server; none if it doesn't start.
    pub(crate) fn nats(command: &Path) -> Option<Self> {
        let output = Command::new(command).arg("--version").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let version = text.trim().rsplit('v').next()?.to_owned();
        let label = format!("nats-server {version}");
        Some(Self { label, ours: false, command: command.into(), manner: Manner::NatsServer })
    }

    /// Ours: the binary `morgana`, or the stand-in that takes nats-server's arguments.
    pub(crate) fn ours(command: &Path) -> Option<Self> {
        let manner = match command.file_name()?.to_str()? {
            "morgana" => Manner::Morgana,
            _ => Manner::NatsServer,
        };
        let there = command.is_file();
        there.then(|| Self { label: "ours".into(), ours: true, command: command.into(), manner })
    }

    /// Starts it on a free port with streams in `dir`, and waits until it serves.
    pub(crate) fn start(&self, dir: &Path, sync: Sync) -> io::Result<Server> {
        let addr = free_addr()?;
        let store = tempfile::Builder::new().prefix("store").tempdir_in(dir)?;
        let child = Command::new("taskset")
            .args(["-c", CORE])
            .arg(&self.command)
            .args(self.arguments(addr, store.path(), sync)?)
            .stdout(Stdio::null())
            .stderr(fs::File::create(store.path().join("log"))?)
            .spawn()?;
        let mut server = Server { addr, child, store };
        server.wait()?;
        Ok(server)
    }

    fn arguments(&self, addr: SocketAddr, store: &Path, sync: Sync) -> io::Result<Vec<OsString>> {
        let config = store.join("server.conf");
        let streams = store.join("streams");
        match self.manner {
            Manner::NatsServer => {
                fs::write(&config, configuration(addr, &streams, sync))?;
                Ok(vec!["-c".into(), config.into()])
            }
            Manner::Morgana => {
                let words = ["bus", "serve", "--no-unix", "--no-auth", "--listen"];
                let mut words: Vec<OsString> = words.iter().map(OsString::from).collect();
                words.extend([addr.to_string().into(), "--store-dir".into(), streams.into()]);
                Ok(words)
            }
        }
    }
}

fn configuration(addr: SocketAddr, streams: &Path, sync: Sync) -> String {
    let sync = match sync {
        Sync::Default => "",
        Sync::Always => ", sync_interval: always",
    };
    format!("listen: \"{addr}\"\njetstream {{ store_dir: \"{}\"{sync} }}\n", streams.display())
}

fn free_addr() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// A running server; ended when dropped.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    child: Child,
    store: tempfile::TempDir,
}

impl Server {
    /// A new connection.
    pub(crate) fn connect(&self) -> io::Result<Conn> {
        Conn::open(self.addr)
    }

    /// Resident memory now, in KiB.
    pub(crate) fn resident(&self) -> io::Result<f64> {
        self.status("VmRSS:")
    }

    /// The most that was ever resident, in KiB.
    pub(crate) fn peak(&self) -> io::Result<f64> {
        self.status("VmHWM:")
    }

    fn status(&self, key: &str) -> io::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let word = line.and_then(|line| line.split_whitespace().next());
        word.and_then(|word| word.parse().ok()).ok_or_else(|| io::Error::other("no such figure"))
    }

    fn wait(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + START;
        loop {
            if let Ok(conn) = self.connect() {
                return drop_quietly(conn);
            }
            if self.child.try_wait()?.is_some() || Instant::now() > deadline {
                return Err(io::Error::other(format!("does not serve: {}", self.last_words())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.store.path().join("log")).unwrap_or_default();
        log.lines().last().unwrap_or_default().to_owned()
    }
}

fn drop_quietly(conn: Conn) -> io::Result<()> {
    conn.into_stream().shutdown(std::net::Shutdown::Both)
}

impl Drop for Server {
    fn drop(&mut self) {
        // Killed rather than asked: nothing that comes after depends on what it still would do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
