//! A nats-server from PATH, for as long as a test needs it.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

/// How long it may take to listen.
const START: Duration = Duration::from_secs(20);

/// A server on a loopback port of its own; killed when dropped.
pub(crate) struct NatsServer {
    child: Child,
    port: u16,
}

impl NatsServer {
    /// Starts one with these arguments; none where this machine has none, which is said.
    pub(crate) fn start(arguments: &[&str]) -> Option<Self> {
        Self::start_at("-1", arguments)
    }

    fn start_at(port: &str, arguments: &[&str]) -> Option<Self> {
        let spawned = Command::new("nats-server")
            .args(["-a", "127.0.0.1", "-p", port])
            .args(arguments)
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
        Some(Self { child, port })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Kills it and starts another on the same port.
    pub(crate) fn restart(&mut self) {
        self.stop();
        let next = Self::start_at(&self.port.to_string(), &[]);
        *self = next.expect("nats-server was there before");
    }

    pub(crate) fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.stop();
    }
}
