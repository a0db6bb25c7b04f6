//! A nats-server from PATH with its files in a directory of its own; killed when dropped.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

/// How long it may take to listen.
const START: Duration = Duration::from_secs(20);

pub(super) struct NatsServer {
    dir: tempfile::TempDir,
    child: Child,
    port: u16,
}

impl NatsServer {
    /// With JetStream. None where this machine has no nats-server, which is said.
    pub(super) fn with_jetstream() -> Option<Self> {
        Self::start("jetstream {}")
    }

    /// With this configuration.
    pub(super) fn start(config: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let (child, port) = spawn(&dir, config, "-1")?;
        Some(Self { dir, child, port })
    }

    pub(super) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Kills it, as SIGKILL does.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Has it read this configuration while it runs; it takes that up some moments later.
    pub(super) fn reload(&self, config: &str) {
        configure(&self.dir, config);
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }

    /// Starts it again on the same port over the same files.
    pub(super) fn restart(&mut self, config: &str) {
        self.kill();
        let (child, _) = spawn(&self.dir, config, &self.port.to_string()).expect("it was there");
        self.child = child;
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Writes its configuration; answers where. With the directory of its files in it: one given as an
/// argument keeps it from reading another configuration while it runs.
fn configure(dir: &tempfile::TempDir, config: &str) -> PathBuf {
    let files = format!("jetstream {{\nstore_dir: {:?}\n", dir.path().join("files"));
    let file = dir.path().join("nats.conf");
    std::fs::write(&file, config.replace("jetstream {", &files)).unwrap();
    file
}

fn spawn(dir: &tempfile::TempDir, config: &str, port: &str) -> Option<(Child, u16)> {
    let spawned = Command::new("nats-server")
        .args(["-a", "127.0.0.1", "-p", port, "-c"])
        .arg(configure(dir, config))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else {
        eprintln!("skipped: there is no nats-server in PATH");
        return None;
    };
    let (found, listening) = mpsc::channel();
    let log = BufReader::new(child.stderr.take().unwrap());
    // Reads to the end, so that the server never waits for its log; ends with the server.
    std::thread::spawn(move || {
        for line in log.lines().map_while(Result::ok) {
            if let Some((_, at)) = line.split_once("client connections on 127.0.0.1:") {
                let _ = found.send(at.trim().parse().unwrap());
            }
        }
    });
    let port = listening.recv_timeout(START).expect("nats-server listens");
    Some((child, port))
}
