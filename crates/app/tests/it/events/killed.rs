//! SIGKILL at random under load, the whole service: every event once, in order.
//! `MORGANA_KILLS` says how often.

use std::{path::Path, time::Duration};

use bus::stream::{Streams, StreamsConfig};
use model::Ambient;
use morgana::client::Client;
use serde_json::json;
use store::Store;
use testkit::Prefix;

use super::{
    reader::Reader,
    server::NatsServer,
    world::{sent_of, until},
};
use crate::{number, with};

const MODE: [&str; 2] = ["--driver", "fake"];

fn kills() -> u64 {
    number("MORGANA_KILLS").unwrap_or(5)
}

/// Changes a maze as fast as it goes, until the service is gone.
async fn load(client: Client) {
    let path = "/api/v1/topologies/maze/mutations";
    let add = json!({"op": "add_lan", "payload": {"name": "extra"}});
    let remove = json!({"op": "remove_lan", "payload": {"name": "extra"}});
    for op in [add, remove].iter().cycle() {
        if client.post(path, op).await.is_err() && client.get("/api/v1/topologies").await.is_err() {
            return;
        }
    }
}

async fn check(data_dir: &Path, environment: &[(&str, &str)]) {
    let prefix = Prefix::claim();
    let ambient = Ambient::system();
    for _ in 0..kills() {
        let service = with(data_dir, &prefix, &MODE, environment).await;
        // Refused where an earlier round has made it.
        let _ = service.client().post("/api/v1/topologies", &json!({"name": "maze"})).await;
        let loads = [(); 2].map(|()| tokio::spawn(load(service.client())));
        let millis = 100 + u64::from(u16::from_be_bytes(ambient.bytes())) % 700;
        tokio::time::sleep(Duration::from_millis(millis)).await;
        service.kill().await;
        for load in loads {
            load.await.unwrap();
        }
    }
    let service = with(data_dir, &prefix, &MODE, environment).await;
    let client = service.client();
    until("the sink has caught up", async || {
        let relay = client.get("/api/v1/relay").await.unwrap();
        let sinks = relay["items"].as_array().unwrap();
        let sink = sinks.iter().find(|sink| sink["sink"] == "activity-events").unwrap();
        sink["behind"] == 0
    })
    .await;
    service.terminate().await;
}

async fn expected(data_dir: &Path) -> Vec<String> {
    let store = Store::open(data_dir, Ambient::system()).unwrap();
    let expected = sent_of(&store).await;
    store.close().await;
    assert!(expected.len() > 20, "there was load: {}", expected.len());
    expected
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_and_double_nothing_embedded() {
    let dir = tempfile::tempdir().unwrap();
    check(dir.path(), &[]).await;
    let files = dir.path().join("streams");
    let streams = Streams::open(files, StreamsConfig::default(), Ambient::system()).unwrap();
    assert_eq!(Reader::Embedded(streams).ids().await, expected(dir.path()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_and_double_nothing_on_a_server() {
    let Some(server) = NatsServer::with_jetstream() else { return };
    let dir = tempfile::tempdir().unwrap();
    check(dir.path(), &[("NATS_URL", &server.url())]).await;
    assert_eq!(Reader::of(&server.url()).await.ids().await, expected(dir.path()).await);
}
