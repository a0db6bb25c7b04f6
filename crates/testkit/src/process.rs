//! The service as a process of its own: started, stopped, killed.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use morgana::client::Client;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::mpsc,
};

/// Longest wait for a start or a stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// The port of the listener that holds a prefix.
const GUARD_PORT: u16 = 61_998;

/// Loopback addresses 127.N.0.0/16 that no other test uses, as long as it lives.
pub struct Prefix {
    second: u8,
    _guard: TcpListener,
}

impl Prefix {
    /// Claims a free one.
    pub fn claim() -> Self {
        let free = (130..=250).find_map(|second: u8| {
            let guard =
                TcpListener::bind(SocketAddr::from(([127, second, 255, 254], GUARD_PORT))).ok()?;
            Some(Self { second, _guard: guard })
        });
        free.expect("one of 120 loopback prefixes is free")
    }

    /// `127.N`, as the key `fleet.loopback_prefix` takes it.
    pub fn key(&self) -> String {
        format!("127.{}", self.second)
    }

    /// The same as numbers.
    pub fn octets(&self) -> [u8; 2] {
        [127, self.second]
    }
}

/// How to start.
pub struct Start<'a> {
    /// The binary.
    pub binary: &'a str,
    /// Its data directory.
    pub data_dir: &'a Path,
    /// Its addresses.
    pub prefix: &'a Prefix,
    /// Further arguments of `up`.
    pub arguments: &'a [&'a str],
    /// Further environment variables.
    pub environment: &'a [(&'a str, &'a str)],
}

/// A running service. Killed when dropped.
pub struct Service {
    child: Child,
    data_dir: PathBuf,
    errors: mpsc::UnboundedReceiver<String>,
    /// What it printed before it was up.
    pub welcome: String,
}

impl Start<'_> {
    /// Starts it and waits until it says that it is up.
    pub async fn service(&self) -> Service {
        let (mut service, mut output) = self.begin();
        if !output.until_up().await {
            let log = service.drain_errors();
            panic!("no start: {}\n{log}", output.said);
        }
        service.welcome = output.said;
        service
    }

    /// Starts it and waits until it stands at the crash point that the environment names.
    pub async fn until_crash_point(&self) -> Service {
        let (mut service, _output) = self.begin();
        service.wait_for_error("crash point").await;
        service
    }

    /// Starts it and waits for nothing.
    pub fn begin(&self) -> (Service, Output) {
        let mut command = Command::new(self.binary);
        command
            .arg("up")
            .args(["--listen", "127.0.0.1:0"])
            .arg("--data-dir")
            .arg(self.data_dir)
            .arg("--set")
            .arg(format!("fleet.loopback_prefix={}", self.prefix.key()))
            .args(self.arguments)
            .envs(self.environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().expect("the binary starts");
        let output = lines(child.stdout.take().expect("its output is a pipe"));
        let errors = lines(child.stderr.take().expect("its errors are a pipe"));
        let data_dir = self.data_dir.to_owned();
        let output = Output { lines: output, said: String::new() };
        (Service { child, data_dir, errors, welcome: String::new() }, output)
    }
}

/// What a service that was just started prints.
pub struct Output {
    lines: mpsc::UnboundedReceiver<String>,
    said: String,
}

impl Output {
    /// Waits until it says that it is up; answers whether it did.
    pub async fn until_up(&mut self) -> bool {
        let reading = async {
            while let Some(line) = self.lines.recv().await {
                self.said += &line;
                self.said.push('\n');
                if line.starts_with("Stop with") {
                    return true;
                }
            }
            false
        };
        tokio::time::timeout(PATIENCE, reading).await == Ok(true)
    }
}

fn lines(from: impl AsyncRead + Unpin + Send + 'static) -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).lines();
        // Goes on after the receiver is gone, so that the service never blocks on a full pipe.
        while let Ok(Some(line)) = lines.next_line().await {
            let _ = sender.send(line);
        }
    });
    receiver
}

impl Service {
    /// The set-up link that it printed.
    pub fn link(&self) -> &str {
        let link = self.welcome.split_whitespace().find(|word| word.starts_with("http://"));
        link.expect("a link is printed")
    }

    /// The printed commands that try the maze, without their comments.
    pub fn try_commands(&self) -> Vec<String> {
        const CLIENTS: [&str; 4] = ["curl ", "ssh ", "redis-cli ", "ftp "];
        let is_command = |line: &&str| CLIENTS.iter().any(|client| line.starts_with(client));
        let lines = self.welcome.lines().map(str::trim).filter(is_command);
        lines.map(|line| line.split(" # ").next().unwrap_or(line).trim().to_owned()).collect()
    }

    /// The line that holds this text.
    pub fn welcome_line(&self, text: &str) -> &str {
        let found = self.welcome.lines().find(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("{text:?} is not in {}", self.welcome))
    }

    /// A client of its API.
    pub fn client(&self) -> Client {
        Client::new(&self.data_dir.join("morgana.sock"))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it was not awaited yet")
    }

    /// Waits until it writes this to its log.
    pub async fn wait_for_error(&mut self, text: &str) {
        let reading = async {
            let mut seen = String::new();
            while let Some(line) = self.errors.recv().await {
                if line.contains(text) {
                    return;
                }
                seen += &format!("{line}\n");
            }
            panic!("it ended without {text:?}:\n{seen}");
        };
        tokio::time::timeout(PATIENCE, reading)
            .await
            .unwrap_or_else(|_| panic!("{text:?} was never logged"));
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("a child can be killed");
    }

    /// Stops it with SIGTERM; answers how long that took and its log.
    pub async fn terminate(mut self) -> (Duration, String) {
        let began = std::time::Instant::now();
        let pid = self.pid().to_string();
        let status = Command::new("kill").args(["-TERM", &pid]).status().await;
        assert!(status.expect("kill runs").success(), "process {pid} is there");
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.expect("it ends").expect("it can be awaited");
        assert!(status.success(), "it ended with {status}: {}", self.drain_errors());
        (began.elapsed(), self.drain_errors())
    }

    /// What it logged since the last call.
    pub fn drain_errors(&mut self) -> String {
        let mut text = String::new();
        while let Ok(line) = self.errors.try_recv() {
            text += &format!("{line}\n");
        }
        text
    }
}
