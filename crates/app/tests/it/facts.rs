//! SIGKILL between a decoy and the database: what was stored in `SESSIONS` is understood at the
//! next start, once.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use testkit::{Events, Prefix, Service};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{demo, with};

/// Longest wait for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where to kill: after the stream has facts, before and after the database has them. With a
/// number: at that batch.
const POINTS: &[&str] = &["facts-stored", "facts-fetched", "facts-kept", "facts-kept:2"];

/// Where the demo's web server answers.
async fn web_server(service: &Service) -> String {
    let decky = service.client().get("/api/v1/deckies/demo%2Fweb-01").await.unwrap();
    let endpoints = decky["endpoints"].as_array().unwrap();
    let http = endpoints.iter().find(|endpoint| endpoint["service"] == "http");
    http.expect("web-01 is a web server")["listening"].as_str().unwrap().to_owned()
}

/// A whole visit: a request, its answer, and the end.
async fn visit(address: &str) {
    let stream = TcpStream::connect(address).await.unwrap();
    tokio::time::timeout(PATIENCE, get(stream)).await.expect("a visitor is answered");
}

/// The same, but the request comes when the database knows of the visitor: in another batch.
async fn visit_in_two_batches(service: &Service) {
    let stream = TcpStream::connect(web_server(service).await).await.unwrap();
    let client = service.client();
    let known = async {
        while client.get("/api/v1/sessions").await.unwrap()["items"] == json!([]) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, known).await.expect("the session is known");
    tokio::time::timeout(PATIENCE, get(stream)).await.expect("a visitor is answered");
}

async fn get(mut stream: TcpStream) {
    let request = "GET /left-behind HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(&answer));
}

/// Whether some file below holds this text: facts stand in the stream as they are.
fn holds(directory: &Path, text: &[u8]) -> bool {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| match path.is_dir() {
        true => holds(&path, text),
        false => std::fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text)),
    })
}

async fn until_stored(data_dir: &Path, text: &str) {
    let stored = async {
        while !holds(&data_dir.join("streams"), text.as_bytes()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let stored = tokio::time::timeout(PATIENCE, stored).await;
    assert!(stored.is_ok(), "{text} never came into the stream");
}

/// What the journal tells of sessions, in order.
async fn told(client: &morgana::client::Client) -> Vec<Value> {
    let epoch = Events::follow(client, "/api/v1/events").await.last_id.unwrap();
    let epoch = epoch.split_once(':').unwrap().0;
    let path = format!("/api/v1/events?filter=attacker.session.*&last_event_id={epoch}%3A0");
    let mut frames = client.stream(&path).await.unwrap();
    let mut all = Vec::new();
    while let Ok(Ok(Some(frame))) =
        tokio::time::timeout(Duration::from_millis(700), frames.next()).await
    {
        let data: Value = serde_json::from_str(&frame.data).unwrap();
        if data["type"].is_string() {
            all.push(data);
        }
    }
    all
}

async fn check(point: &str) {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    demo(dir.path(), &prefix).await.terminate().await;
    let environment = [("MORGANA_CRASH_AT", point)];
    let mut victim = with(dir.path(), &prefix, &["--demo"], &environment).await;
    if point.ends_with(":2") {
        visit_in_two_batches(&victim).await;
    } else {
        visit(&web_server(&victim).await).await;
    }
    victim.wait_for_error("crash point").await;
    // Where the observer stands still, facts go on into the stream.
    let is_whole = point != "facts-stored";
    if is_whole {
        until_stored(dir.path(), r#""kind":"ended""#).await;
    }
    victim.kill().await;

    let service = with(dir.path(), &prefix, &[], &[]).await;
    let client = service.client();
    let sessions = client.get("/api/v1/sessions").await.unwrap();
    let [session] = sessions["items"].as_array().unwrap().as_slice() else {
        panic!("killed at {point}: {sessions:#}");
    };
    assert!(session["ended_at"].is_string(), "killed at {point}: {session:#}");
    if is_whole {
        assert_eq!(session["requests"], 1, "killed at {point}: {session:#}");
        assert_eq!(session["truncated"], Value::Null, "killed at {point}: {session:#}");
    }
    let told = told(&client).await;
    for kind in ["attacker.session.started", "attacker.session.ended"] {
        let times = told.iter().filter(|event| event["type"] == kind).count();
        assert_eq!(times, 1, "{kind} after a kill at {point}: {told:#?}");
    }
    let mut indices: Vec<_> =
        told.iter().filter_map(|event| event["payload"]["index"].as_u64()).collect();
    indices.dedup();
    let expected = if is_whole { 1..=1 } else { 0..=1 };
    assert!(expected.contains(&indices.len()), "killed at {point}: {told:#?}");
    service.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_that_were_stored_survive_a_kill_and_count_once() {
    for point in POINTS {
        check(point).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_are_kept_with_the_bus_off() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let service = with(dir.path(), &prefix, &["--demo", "--set", "bus=off"], &[]).await;
    visit(&web_server(&service).await).await;
    let client = service.client();
    let kept = async {
        loop {
            let sessions = client.get("/api/v1/sessions").await.unwrap();
            if sessions["items"][0]["ended_at"].is_string() {
                return sessions;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let sessions = tokio::time::timeout(PATIENCE, kept).await.expect("the session is kept");
    assert_eq!(sessions["items"][0]["requests"], 1);
    service.terminate().await;
}
