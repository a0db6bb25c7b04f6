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
    let elsewhere = format!("bus.socket={}", other.path().join("other.sock").display());
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
        let arguments = ["--set", &elsewhere, "--set", setting];
        let arguments =
            [&["up", "--data-dir", &data_dir, "--listen", "127.0.0.1:0"], &arguments[..]].concat();
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

fn certificate(name: &str) -> String {
    format!("{}/../bus/tests/certs/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A command that goes on until it is dropped, and what it prints.
struct Following {
    _child: tokio::process::Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Following {
    /// Starts it; it has begun when it says so on standard error.
    async fn start(arguments: &[&str], begun: &str) -> Self {
        let mut child = tokio::process::Command::new(BINARY)
            .args(arguments)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = tokio::time::timeout(PATIENCE, told.next_line()).await.expect("it begins");
        assert!(line.as_ref().unwrap().as_ref().is_some_and(|l| l.contains(begun)), "{line:?}");
        // Whoever writes there is not stopped by a reader that left.
        tokio::spawn(async move { while let Ok(Some(_)) = told.next_line().await {} });
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { _child: child, lines }
    }

    async fn line(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        line.expect("nothing came").unwrap().expect("it ended")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bus_is_used_by_hand() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let service = demo(dir.path(), &prefix).await;
    let data_dir = dir.path().display().to_string();
    let bus = async |arguments: &[&str]| {
        run(BINARY, &[&["--data-dir", &data_dir, "bus"], arguments].concat(), "").await
    };
    let mut sub = Following::start(
        &["--data-dir", &data_dir, "bus", "sub", "orders.>", "--headers"],
        "listening on orders.>",
    )
    .await;
    assert_eq!(bus(&["pub", "orders.new", "42", "-H", "Kind:late"]).await, "");
    let line = sub.line().await;
    let more = sub.line().await;
    let all = format!("{line}\n{more}");
    assert!(all.contains("orders.new") && all.contains("Kind: late"), "{all}");
    assert!(bus(&["req", "nobody.here", "x"]).await.contains("nobody is subscribed"));
    assert!(bus(&["pub", "wild.*", "x"]).await.contains("wild.*"));

    let top = bus(&["top", "--once"]).await;
    assert!(top.contains("slow consumers") && top.contains("morgana bus"), "{top}");
    // What visitors do is on the disk, as a stream.
    let streams = bus(&["stream", "ls"]).await;
    assert!(streams.contains("SESSIONS"), "{streams}");
    assert!(bus(&["stream", "info", "SESSIONS"]).await.contains("ingest"));
    assert!(bus(&["stream", "get", "NOSUCH", "1"]).await.contains("stream not found"));
    let bench = bus(&["bench", "--msgs", "2000"]).await;
    assert!(bench.contains("a second"), "{bench}");
    service.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bus_is_reached_by_tls_and_on_the_socket_without() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let users = dir.path().join("users.toml");
    std::fs::write(&users, "[[user]]\nname = \"sensor\"\npassword = \"a password\"\n").unwrap();
    let users_file = format!("bus.users_file={}", users.display());
    let tls_certificate = format!("bus.tls_certificate={}", certificate("server.pem"));
    let tls_key = format!("bus.tls_key={}", certificate("server.key"));
    let mut arguments = vec!["--set", "bus.listen=127.0.0.1:0"];
    for setting in [&users_file, &tls_certificate, &tls_key] {
        arguments.extend(["--set", setting]);
    }
    let service = with(dir.path(), &prefix, &arguments, &[]).await;
    let line = service.welcome_line("tls://");
    let port = line.rsplit(':').next().unwrap().trim().to_owned();
    let (server, ca) = (format!("tls://sensor:a password@localhost:{port}"), certificate("ca.pem"));
    let said = run(BINARY, &["bus", "-s", &server, "--tls-ca", &ca, "pub", "a.b", "1"], "").await;
    assert_eq!(said, "");
    let said = run(BINARY, &["bus", "-s", &server, "pub", "a.b", "1"], "").await;
    assert!(said.contains("--tls-ca"), "not signed by whom the system trusts: {said}");
    let clear = server.replace("tls://", "tcp://");
    let said = run(BINARY, &["bus", "-s", &clear, "--tls-ca", &ca, "pub", "a.b", "1"], "").await;
    assert_eq!(said, "", "the server's word is enough");
    let data_dir = dir.path().display().to_string();
    let said = run(BINARY, &["--data-dir", &data_dir, "bus", "pub", "a.b", "1"], "").await;
    assert_eq!(said, "", "the kernel vouches for the socket");
    service.terminate().await;
}

/// A NATS server as a process of its own; killed when dropped.
struct NatsServer {
    child: tokio::process::Child,
    url: String,
}

impl NatsServer {
    /// Starts `program` with nats-server's flags; ready when this returns.
    async fn start(program: &std::path::Path, port: &str, flags: &[&str]) -> Self {
        let mut child = tokio::process::Command::new(program)
            .args(["-a", "127.0.0.1", "-p", port])
            .args(flags)
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let ready = async {
            let mut at = None;
            while let Some(line) = log.next_line().await.unwrap() {
                let listening = line.split_once("Listening for client connections on ");
                at = listening.map(|(_, at)| at.to_owned()).or(at);
                if line.contains("Server is ready") {
                    return at.expect("it says where");
                }
            }
            panic!("it ended");
        };
        let at = tokio::time::timeout(PATIENCE, ready).await.expect("it is ready");
        // Whoever writes there is not stopped by a reader that left.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Self { child, url: format!("nats://{at}") }
    }

    /// Ours under the name of theirs.
    fn link(dir: &std::path::Path) -> std::path::PathBuf {
        let launcher = dir.join("nats-server");
        std::os::unix::fs::symlink(BINARY, &launcher).unwrap();
        launcher
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bus_alone_is_used_by_those_who_start_a_nats_server() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store").display().to_string();
    let server =
        NatsServer::start(&NatsServer::link(dir.path()), "-1", &["-js", "-sd", &store]).await;
    let bus = async |arguments: &[&str]| {
        run(BINARY, &[&["bus", "-s", &server.url], arguments].concat(), "").await
    };
    assert!(bus(&["bench", "--msgs", "1000"]).await.contains("a second"));
    assert!(bus(&["top", "--once"]).await.contains("connections"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bus_may_be_elsewhere_and_may_go_away() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let theirs = std::path::PathBuf::from("/usr/sbin/nats-server");
    let program = if theirs.exists() { theirs } else { NatsServer::link(dir.path()) };
    let mut server = NatsServer::start(&program, "-1", &[]).await;
    let url = server.url.clone();
    let mode = format!("bus={url}");
    let service = with(dir.path(), &prefix, &["--demo", "--set", &mode], &[]).await;
    let follow = ["bus", "-s", &url, "sub", "topology.*.mutation.applied"];
    let add = async |name: &str| {
        let op = json!({ "op": "add_lan", "payload": { "name": name } });
        service.client().post("/api/v1/topologies/demo/mutations", &op).await.unwrap();
    };
    let applied = async |count: usize| {
        let all = async {
            let path = "/api/v1/topologies/demo/mutations?state=applied";
            while service.client().get(path).await.unwrap()["items"].as_array().unwrap().len()
                < count
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("it is applied");
    };
    // The handle connects by itself; how long that takes is nobody's promise.
    let heard = async |name: &str| {
        let mut sub = Following::start(&follow, "listening").await;
        for attempt in 0.. {
            add(&format!("{name}-{attempt}")).await;
            let told = async { while !sub.line().await.contains(name) {} };
            if tokio::time::timeout(Duration::from_secs(1), told).await.is_ok() {
                return attempt + 1;
            }
        }
        unreachable!()
    };
    let before = tokio::time::timeout(PATIENCE, heard("before")).await.expect("it is heard");
    server.child.kill().await.unwrap();
    add("meanwhile").await;
    applied(before + 1).await;
    let port = url.rsplit(':').next().unwrap();
    let _again = NatsServer::start(&program, port, &[]).await;
    tokio::time::timeout(PATIENCE, heard("after")).await.expect("it is heard again");
    service.terminate().await;
}
