//! Where events go changes while the service runs: the file is read again on SIGHUP.

use std::process::Command;

use serde_json::json;
use testkit::{Prefix, Service};

use super::{reader::Reader, server::NatsServer, world::until};
use crate::with;

fn hang_up(service: &Service) {
    let pid = service.pid().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
}

/// Something that the world is told.
async fn change(service: &Service, name: &str) {
    let op = json!({"op": "add_lan", "payload": {"name": name}});
    service.client().post("/api/v1/topologies/maze/mutations", &op).await.unwrap();
}

async fn until_delivered(service: &Service, events: u64) {
    let client = service.client();
    until("so many events are delivered", async || {
        let relay = client.get("/api/v1/relay").await.unwrap();
        let sinks = relay["items"].as_array().unwrap();
        let sink = sinks.iter().find(|sink| sink["sink"] == "activity-events").unwrap();
        sink["delivered"] == events
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_is_taken_on_sighup_and_a_broken_file_is_not() {
    let Some(server) = NatsServer::with_jetstream() else { return };
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let file = dir.path().join("morgana.toml");
    std::fs::write(&file, "").unwrap();
    let shown = file.display().to_string();
    let arguments = ["--driver", "fake", "--config", &shown];
    let mut service = with(dir.path(), &prefix, &arguments, &[]).await;
    service.client().post("/api/v1/topologies", &json!({"name": "maze"})).await.unwrap();
    change(&service, "one").await;
    until_delivered(&service, 1).await;

    std::fs::write(&file, format!("nats_url = \"{}\"\n", server.url())).unwrap();
    hang_up(&service);
    // The one that follows the change may be the first on the new way or the last on the old.
    let mut delivered = 1;
    let reader = Reader::of(&server.url()).await;
    while reader.ids().await.is_empty() {
        delivered += 1;
        change(&service, &format!("lan-{delivered}")).await;
        until_delivered(&service, delivered).await;
    }

    std::fs::write(&file, "nats_url = \"http://nobody\"\n").unwrap();
    hang_up(&service);
    service.wait_for_error("the configuration is not taken").await;
    let before = reader.ids().await.len();
    change(&service, "last").await;
    until("it goes on where it went", async || reader.ids().await.len() == before + 1).await;
    service.terminate().await;
}
