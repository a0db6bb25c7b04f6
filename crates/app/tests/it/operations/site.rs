//! The whole service in this process, so that a test can ask its driver and its database too.

use std::{path::Path, time::Duration};

use model::{Ambient, Timestamp};
use morgana::{
    Morgana,
    client::{Client, Frames},
    config::{Config, DriverChoice},
};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    audit::Audit,
    player::{Player, Status},
};

/// Longest wait for an event.
const PATIENCE: Duration = Duration::from_secs(20);
/// What is journalled of topologies and deckies.
const STREAM: &str = "/api/v1/events?filter=topology.%3E&filter=decky.%3E";

pub(crate) struct Site {
    pub(crate) dir: TempDir,
    config: Config,
    ambient: Ambient,
    running: Option<Morgana>,
    stream: Option<Frames>,
    audit: Audit,
}

impl Site {
    /// With this driver; `prefix` is where the loopback driver has its addresses. The clock stands
    /// but for what [`Site::check`] adds, so that nothing rotates by itself.
    pub(crate) async fn start(seed: u64, driver: DriverChoice, prefix: [u8; 2]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default_for(false, &[]);
        config.data_dir = dir.path().to_owned();
        config.listen = ([127, 0, 0, 1], 0).into();
        config.driver = driver;
        config.loopback_prefix = prefix;
        config.netns.uplink = (driver == DriverChoice::Netns).then(|| "u0".to_owned());
        let ambient = Ambient::seeded(seed, Timestamp::from_micros(1_800_000_000_000_000));
        let (audit, running, stream) = (Audit::default(), None, None);
        let mut site = Self { dir, config, ambient, running, stream, audit };
        site.begin().await;
        site
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.dir.path()
    }

    async fn begin(&mut self) {
        let morgana = Morgana::start(&self.config, self.ambient.clone()).await.unwrap();
        self.running = Some(morgana);
        let client = Client::new(&self.config.socket_path());
        let mut stream = client.stream(STREAM).await.unwrap();
        let snapshot = stream.next().await.unwrap().expect("a snapshot");
        assert_eq!(snapshot.event, "snapshot");
        self.stream = Some(stream);
    }

    /// Stops it and starts it again on the same data.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.begin().await;
    }

    pub(crate) async fn stop(&mut self) {
        self.running.take().expect("it runs").stop().await;
    }

    /// Between two requests: what the database, the driver, the journal and the stream say.
    pub(crate) async fn check(&mut self, player: &mut Player<'_>) {
        self.ambient.advance(Duration::from_millis(1));
        let morgana = self.running.as_ref().expect("it runs");
        let Some(id) = &player.topology else { return };
        let id = id.parse().unwrap();
        let record = morgana.store.topology(id).await.unwrap().unwrap();
        assert_eq!(maze::validate(&record.topology), []);
        let observed = morgana.network.observe(id);
        if player.status == Status::Active {
            assert_eq!(maze::plan(Some(&record.topology), &observed), []);
        } else {
            assert!(observed.is_empty(), "{observed:#?}");
        }
        let all = morgana.network.topologies();
        assert!(all.iter().all(|other| *other == id), "{all:?} is on the network");
        let told = self.audit.read(&morgana.store).await;
        self.audit.settle(&mut player.outcomes);
        self.audit.assert_settled();
        let topics = ["topology.", "decky."];
        let is_streamed = |topic: &str| topics.iter().any(|start| topic.starts_with(start));
        let told = told.iter().filter(|entry| is_streamed(entry.topic.as_str()));
        for entry in told {
            let streamed = self.next_streamed().await;
            assert_eq!(streamed["seq"].as_u64(), entry.seq, "{entry:?}, but {streamed:#}");
            assert_eq!(streamed["type"], entry.kind, "{streamed:#}");
        }
    }

    /// The next event of the stream that is journalled.
    async fn next_streamed(&mut self) -> Value {
        let stream = self.stream.as_mut().expect("it is followed");
        loop {
            let frame = tokio::time::timeout(PATIENCE, stream.next()).await;
            let frame = frame.expect("an event is missing on the stream").unwrap();
            let frame = frame.expect("the stream goes on");
            let data: Value = serde_json::from_str(&frame.data).unwrap();
            assert_ne!(frame.event, "reset", "{data:#}");
            if data["seq"].is_u64() && frame.event != "snapshot" {
                return data;
            }
        }
    }

    /// Every session has begun and ended once.
    pub(crate) async fn assert_sessions(&mut self, known: usize) {
        let morgana = self.running.as_ref().expect("it runs");
        self.audit.read(&morgana.store).await;
        assert_eq!(self.audit.sessions(), (known, Vec::new()));
    }
}
