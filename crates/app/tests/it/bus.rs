//! The bus that `morgana up` serves: on its socket, by TCP with users, and what the operator sees
//! of it.

use std::time::Duration;

use serde_json::json;
use testkit::{Prefix, run};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpStream, UnixStream},
};

use crate::{demo, with};

const BINARY: &str = env!("CARGO_BIN_EXE_morgana");
/// Longest wait for a line.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client by hand: lines in, lines out.
struct Nats<S> {
    wire: BufReader<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Nats<S> {
    /// Says CONNECT with these options and PING; answers the line that came for it.
    async fn connect(stream: S, options: &str) -> (Self, String) {
        let mut client = Self { wire: BufReader::new(stream) };
        assert!(client.line().await.starts_with("INFO {"));
        client.say(&format!("CONNECT {options}\r\nPING\r\n")).await;
        let answer = client.line().await;
        (client, answer)
    }

    async fn say(&mut self, text: &str) {
        self.wire.get_mut().write_all(text.as_bytes()).await.unwrap();
    }

    /// The next line; empty at the end. Pings are answered.
    async fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            let read = self.wire.read_line(&mut line);
            tokio::time::timeout(PATIENCE, read).await.expect("nothing came").unwrap_or(0);
            match line.trim_end() {
                "PING" => self.say("PONG\r\n").await,
                text => return text.to_owned(),
            }
        }
    }
}

const QUIET: &str = r#"{"verbose":false}"#;

#[tokio::test(flavor = "multi_thread")]
async fn events_come_to_clients_on_the_socket() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let service = demo(dir.path(), &prefix).await;
    let socket = dir.path().join("bus.sock");
    let (mut nats, pong) = Nats::connect(UnixStream::connect(&socket).await.unwrap(), QUIET).await;
    assert_eq!(pong, "PONG");
    nats.say("SUB topology.*.mutation.> 1\r\nPING\r\n").await;
    assert_eq!(nats.line().await, "PONG");
    let op = json!({ "op": "add_lan", "payload": { "name": "lab" } });
    service.client().post("/api/v1/topologies/demo/mutations", &op).await.unwrap();
    for verb in ["enqueued", "applying", "applied"] {
        let head = nats.line().await;
        assert!(head.starts_with("MSG topology.") && head.contains(verb), "{head}");
        let event: serde_json::Value = serde_json::from_str(&nats.line().await).unwrap();
        assert_eq!(event["type"], format!("topology.mutation.{verb}"));
        assert!(event["seq"].is_u64());
    }
    // Whoever has the bus is in the figures, and the process is not stopped by any of it.
    let status =
        run(BINARY, &["--data-dir", &dir.path().display().to_string(), "status"], "").await;
    for part in ["mutator", "observer", "relay", "decoys", "api", "bus", "Bus", "active"] {
        assert!(status.contains(part), "{part} is not in {status}");
    }
    let (took, log) = service.terminate().await;
    assert!(took < Duration::from_secs(5), "{took:?}: {log}");
    assert!(!socket.exists(), "the socket file is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_by_tcp_need_a_user_and_users_are_read_anew() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let users = dir.path().join("users.toml");
    let user = |password: &str| {
        let text = format!("[[user]]\nname = \"sensor\"\npassword = \"{password}\"\n");
        std::fs::write(&users, text).unwrap();
    };
    user("the first one");
    let users_file = format!("bus.users_file={}", users.display());
    let arguments = ["--set", "bus.listen=127.0.0.1:0", "--set", &users_file];
    let service = with(dir.path(), &prefix, &arguments, &[]).await;
    let line = service.welcome_line("nats://");
    let address = line.split("nats://").nth(1).unwrap().trim().to_owned();
    let sign_in = async |options: String| {
        let stream = TcpStream::connect(&address).await.unwrap();
        Nats::connect(stream, &options).await.1
    };
    let with_password =
        |pass: &str| format!(r#"{{"verbose":false,"user":"sensor","pass":"{pass}"}}"#);
    assert_eq!(sign_in(QUIET.into()).await, "-ERR 'Authorization Violation'");
    assert_eq!(sign_in(with_password("wrong")).await, "-ERR 'Authorization Violation'");
    assert_eq!(sign_in(with_password("the first one")).await, "PONG");

    user("the second");
    let pid = service.pid().to_string();
    assert!(std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    let renewed = async {
        while sign_in(with_password("the second")).await != "PONG" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, renewed).await.expect("the new password is taken");
    assert_eq!(sign_in(with_password("the first one")).await, "-ERR 'Authorization Violation'");
    service.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_cannot_be_had_is_named_by_its_key() {
    let (dir, other, prefix) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Prefix::claim());
    let service = with(dir.path(), &prefix, &[], &[]).await;
    let taken = format!("bus.socket={}", dir.path().join("bus.sock").display());
    let missing = format!("bus.users_file={}", dir.path().join("nobody.toml").display());
    let data_dir = other.path().display().to_string();
    for (setting, parts) in [
        (taken.as_str(), ["key", "held by process", "bus.socket"]),
        (
            "bus.socket_group=no-such-group",
            ["there is no group", "no-such-group", "bus.socket_group"],
        ),
        (missing.as_str(), ["bus.users_file", "nobody.toml", "No such file"]),
        ("bus.mode=nats://", ["bus.mode", "is not embedded", "nats://host:port"]),
    ] {
        let arguments =
            ["up", "--data-dir", &data_dir, "--listen", "127.0.0.1:0", "--set", setting];
        let said = run(BINARY, &arguments, "").await;
        for part in parts {
            assert!(said.contains(part), "{setting}: {part} is not in {said}");
        }
    }
    service.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_stopped_from_the_command_line() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let service = demo(dir.path(), &prefix).await;
    let data_dir = dir.path().display().to_string();
    let morgana = async |arguments: &[&str]| {
        run(BINARY, &[&["--data-dir", &data_dir], arguments].concat(), "").await
    };
    assert!(morgana(&["relay", "ls"]).await.contains("bus"));
    assert!(morgana(&["relay", "retry", "bus", "--all"]).await.contains("0 dead letters"));
    assert!(morgana(&["relay", "retry", "nosuch", "--id", "1"]).await.contains("no such sink"));
    assert!(morgana(&["worker", "stop", "nobody"]).await.contains("no such worker"));
    assert!(morgana(&["worker", "stop", "bus"]).await.contains("ends with the process only"));
    assert!(morgana(&["worker", "stop", "mutator"]).await.contains("told to stop"));
    let stopped = async {
        while !morgana(&["worker", "ls"]).await.contains("stopped by local") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, stopped).await.expect("the worker is shown as stopped");
    assert!(morgana(&["worker", "stop", "mutator"]).await.contains("stopped already"));
    let (_, log) = service.terminate().await;
    assert!(!log.contains("ended unexpectedly"), "{log}");
}
