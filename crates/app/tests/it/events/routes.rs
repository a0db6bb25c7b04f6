//! The hub's routes, driven over REST; their events, read back by nats.py.

use exports::Format;
use serde_json::{Value, json};
use testkit::{Prefix, Service};

use super::{
    python::{python, schemas},
    server::NatsServer,
};
use crate::with;

/// The types of event that [`drive`] causes, in order.
const TOLD: [&str; 6] = [
    "org.statehub.repo.registered",
    "org.statehub.domain.goal.activated",
    "org.statehub.decision.resolved",
    "org.statehub.workstream.completed",
    "org.statehub.task.stale",
    "org.statehub.task.sweep.completed",
];

async fn drive(service: &Service) {
    let client = service.client();
    let post = async |path: &str, body: Value| -> String {
        let answer = client.post(&format!("/api/v1{path}"), &body).await;
        let answer = answer.unwrap_or_else(|error| panic!("{path}: {error:#}"));
        let id = ["goal_id", "decision_id"].iter().find_map(|name| answer[name].as_str());
        id.unwrap_or_default().to_owned()
    };
    post("/domains", json!({"slug": "ops", "title": "Operations"})).await;
    post("/repos/", json!({"slug": "maze", "domain": "ops", "local_path": "/srv/maze"})).await;
    let goal = post("/domain-goals", json!({"domain": "ops", "title": "See them"})).await;
    post(&format!("/domain-goals/{goal}/activate"), json!({})).await;
    post("/topics", json!({"slug": "decoys", "domain": "ops", "title": "Decoys"})).await;
    let workstream = json!({"slug": "ssh", "topic": "decoys", "title": "SSH", "repo": "maze"});
    post("/workstreams", workstream).await;
    post("/tasks", json!({"workstream": "ssh", "title": "Renew the keys"})).await;
    let decision = post("/decisions", json!({"title": "Which banner?", "topic": "decoys"})).await;
    let resolved = json!({"rationale": "The usual one.", "decided_by": "ada"});
    post(&format!("/decisions/{decision}/resolve"), resolved).await;
    for state in ["active", "finished"] {
        client.patch("/api/v1/workstreams/ssh", &json!({"state": state})).await.unwrap();
    }
    // Saved again, it is not completed again.
    let again = json!({"state": "finished", "title": "SSH, done"});
    client.patch("/api/v1/workstreams/ssh", &again).await.unwrap();
    post("/tasks/sweep-stale", json!({})).await;
}

/// nats.py reads all of it in this format from this server, as this user where one is needed.
async fn check(server: &str, format: Format, user: &[&str]) {
    let schemas = schemas();
    let arguments = [&[server, &schemas, "6", format.name()], user].concat();
    let read = python("read_events.py", &arguments).await;
    let subjects: Vec<&str> = read.iter().map(|line| line["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, TOLD);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_routes_cause_is_read_from_nats_server() {
    let Some(server) = NatsServer::with_jetstream() else { return };
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let url = server.url();
    let environment = [("NATS_URL", url.as_str()), ("MORGANA_EVENTS_FORMAT", "binary")];
    let service = with(dir.path(), &prefix, &["--driver", "fake"], &environment).await;
    drive(&service).await;
    check(&url, Format::Binary, &[]).await;
    service.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_routes_cause_is_read_from_the_embedded_broker() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let users = dir.path().join("users.toml");
    std::fs::write(&users, "[[user]]\nname = \"engine\"\npassword = \"a long one\"\n").unwrap();
    let users_file = format!("bus.users_file={}", users.display());
    let arguments = ["--driver", "fake", "--set", "bus.listen=127.0.0.1:0", "--set", &users_file];
    let service = with(dir.path(), &prefix, &arguments, &[]).await;
    let line = service.welcome_line("nats://").to_owned();
    let url = format!("nats://{}", line.split("nats://").nth(1).unwrap().trim());
    drive(&service).await;
    check(&url, Format::Structured, &["engine", "a long one"]).await;
    service.terminate().await;
}
