//! The broker as a process: this test binary runs itself.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use model::Ambient;
use morgana_bus::{
    broker::{Broker, BrokerConfig},
    launcher::compat,
    stream::{Streams, StreamsConfig},
};

const DIR: &str = "MORGANA_CRASH_DIR";
const ADDR: &str = "MORGANA_CRASH_ADDR";
const SIZES: &str = "MORGANA_CRASH_SIZES";

/// Sizes of the streams' files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sizes {
    /// The launcher's, as users run it.
    Usual,
    /// So small that segments come and go all the time.
    Small,
}

/// The broker itself; a test only in name.
#[test]
fn broker() {
    let Ok(dir) = std::env::var(DIR) else { return };
    // Whoever started this may be gone without a word; its end of the pipe goes with it.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let at: SocketAddr = std::env::var(ADDR).unwrap().parse().unwrap();
    match std::env::var(SIZES).unwrap().as_str() {
        "Usual" => {
            let (host, port) = (at.ip().to_string(), at.port().to_string());
            let words = ["-a", &host, "-p", &port, "-js", "-sd", &dir].map(str::to_owned);
            compat::main(words);
        }
        _ => super::super::wire::block_on(serve_small(Path::new(&dir), at)),
    }
}

async fn serve_small(dir: &Path, at: SocketAddr) {
    let mut sizes = StreamsConfig::default();
    (sizes.log.first_segment_bytes, sizes.log.segment_bytes) = (16 << 10, 64 << 10);
    let streams = Streams::open(dir, sizes, Ambient::system()).unwrap();
    let mut config = BrokerConfig::new("crash");
    (config.tcp, config.jetstream) = (Some(at), true);
    let broker = Broker::start(BrokerConfig { closed: true, ..config }).unwrap();
    streams.attach(&broker);
    streams.ready().await.unwrap();
    broker.open();
    std::future::pending::<()>().await;
}

/// A running broker; dropping it kills it.
pub(super) struct Process {
    child: Child,
    _stdin: Option<ChildStdin>,
    said: Arc<Mutex<String>>,
    listening: Option<JoinHandle<()>>,
}

impl Process {
    pub(super) fn start(dir: &Path, at: SocketAddr, sizes: Sizes) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "crash::process::broker"])
            .env(DIR, dir)
            .env(ADDR, at.to_string())
            .env(SIZES, format!("{sizes:?}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (lines, kept) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&said));
        let listening = std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut said = kept.lock().unwrap();
                said.push_str(&line);
                said.push('\n');
            }
        });
        Self { _stdin: child.stdin.take(), child, said, listening: Some(listening) }
    }

    /// What it logged.
    pub(super) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// SIGKILL. It must have been alive, and without complaints.
    pub(super) fn kill(&mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "it ended by itself: {}", self.said());
        self.end();
        let said = self.said();
        assert!(!said.contains("[ERR]") && !said.contains("panicked"), "{said}");
    }

    fn end(&mut self) {
        // Fails where it is gone, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
