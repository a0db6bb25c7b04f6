//! The two servers, on free ports of loopback.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use morgana_bus::broker::{Broker, BrokerConfig};
use tokio::runtime::Runtime;

/// What answers are compared with.
const VERSION: &str = "v2.9.";

/// How long nats-server may take to say where it listens.
const START: Duration = Duration::from_secs(20);

/// Debian's nats-server; it ends with this.
pub(crate) struct Nats {
    pub(crate) addr: SocketAddr,
    child: Child,
    /// Where it writes its port.
    _directory: tempfile::TempDir,
}

impl Nats {
    /// Starts one, or says why there is none.
    pub(crate) fn start() -> Option<Nats> {
        let Some(program) = program() else {
            println!("skipped: there is no nats-server 2.9");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(program)
            .args(["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"])
            .arg(directory.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let Some(addr) = listening(directory.path(), &mut child) else {
            let _ = (child.kill(), child.wait());
            panic!("nats-server did not start")
        };
        Some(Nats { addr, child, _directory: directory })
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}

/// The first nats-server of that version on the path; Debian's is where only root's path leads.
fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = env::split_paths(&path).chain(["/usr/sbin".into()]).collect();
    places.into_iter().map(|place| place.join("nats-server")).find(|program| is_wanted(program))
}

fn is_wanted(program: &Path) -> bool {
    let output = Command::new(program).arg("--version").output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(VERSION))
}

/// Where it listens, once it says so in its file.
fn listening(directory: &Path, child: &mut Child) -> Option<SocketAddr> {
    let file = directory.join(format!("nats-server_{}.ports", child.id()));
    let deadline = Instant::now() + START;
    while Instant::now() < deadline && child.try_wait().ok()?.is_none() {
        let text = fs::read(&file).unwrap_or_default();
        let ports: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        if let Some(url) = ports["nats"][0].as_str() {
            return url.strip_prefix("nats://")?.parse().ok();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

/// Our broker; it ends with this.
pub(crate) struct Ours {
    pub(crate) addr: SocketAddr,
    broker: Broker,
    runtime: Runtime,
}

impl Ours {
    pub(crate) fn start() -> Ours {
        let mut config = BrokerConfig::new("differential");
        config.tcp = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let broker = Broker::start(config).unwrap();
        Ours { addr: broker.tcp_addr().unwrap(), broker, runtime }
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.runtime.block_on(self.broker.stop());
    }
}
