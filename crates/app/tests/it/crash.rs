//! SIGKILL at every step of a mutation: after the restart desired equals observed, and each
//! mutation has ended once.

use serde_json::{Value, json};
use testkit::{Prefix, Start};

use crate::{demo, with};

/// Where to kill, and whether the change was already committed there.
const POINTS: &[&str] = &["claimed", "step:1", "step:2", "executed", "finished"];

const OPS: &[(&str, &str)] = &[
    (
        "add_decky",
        r#"{"name": "new-01", "lan": "office", "archetype": "linux-server", "services": ["ssh", "http"]}"#,
    ),
    ("update_decky", r#"{"decky": "web-01", "services": ["http", "ftp"]}"#),
    ("remove_decky", r#"{"decky": "web-01"}"#),
    ("add_lan", r#"{"name": "lab"}"#),
];

async fn check(point: &str, op: &str, payload: &str) {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    // Deployed without a crash point, and the steps of the rebuild at each start are counted:
    // the points of the mutation are meant.
    demo(dir.path(), &prefix).await.terminate().await;
    let at = after_rebuild(point, dir.path(), &prefix).await;
    let mut victim = with(dir.path(), &prefix, &[], &[("MORGANA_CRASH_AT", &at)]).await;
    let client = victim.client();
    let payload: Value = serde_json::from_str(payload).unwrap();
    let queued = client
        .post("/api/v1/topologies/demo/mutations", &json!({ "op": op, "payload": payload }))
        .await
        .unwrap();
    victim.wait_for_error("crash point").await;
    victim.kill().await;

    let service = with(dir.path(), &prefix, &[], &[]).await;
    let client = service.client();
    let id = queued["mutation_id"].as_str().unwrap();
    let ended = wait_until_ended(&client, id).await;
    assert_eq!(ended["state"], "applied", "{op} killed at {point}: {ended:#}");
    let mut ends = Vec::new();
    let mut frames = client
        .stream(&format!(
            "/api/v1/events?filter={}&last_event_id={}",
            "topology.*.mutation.*",
            epoch_start(&client).await
        ))
        .await
        .unwrap();
    while let Ok(Ok(Some(frame))) =
        tokio::time::timeout(std::time::Duration::from_millis(500), frames.next()).await
    {
        if frame.event == "mutation.applied" || frame.event == "mutation.failed" {
            let data: Value = serde_json::from_str(&frame.data).unwrap();
            if data["payload"]["mutation_id"] == id {
                ends.push(frame.event);
            }
        }
    }
    assert_eq!(ends, ["mutation.applied"], "{op} killed at {point}");
    assert_network_is_desired(&client, &format!("{op} killed at {point}")).await;
    service.terminate().await;
}

/// `<epoch>:0`, from which a stream resumes at the first event.
async fn epoch_start(client: &morgana::client::Client) -> String {
    let mut frames = client.stream("/api/v1/events").await.unwrap();
    let snapshot = frames.next().await.unwrap().expect("a snapshot");
    let id = snapshot.id.expect("a snapshot has its position");
    format!("{}%3A0", id.split_once(':').expect("epoch:seq").0)
}

async fn wait_until_ended(client: &morgana::client::Client, id: &str) -> Value {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let path = format!("/api/v1/topologies/demo/mutations/{id}");
        let mutation = client.get(&path).await.unwrap();
        if mutation["state"] == "applied" || mutation["state"] == "failed" {
            return mutation;
        }
        assert!(std::time::Instant::now() < deadline, "still {mutation:#}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Every service that is desired answers where the API says, and nothing else is open.
async fn assert_network_is_desired(client: &morgana::client::Client, what: &str) {
    let topology = client.get("/api/v1/topologies/demo").await.unwrap();
    assert_eq!(topology["status"], "active", "{what}");
    for decky in topology["deckies"].as_array().unwrap() {
        let name = &decky["name"];
        let mut desired: Vec<_> = decky["services"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s["service"].clone().to_string())
            .collect();
        let endpoints = decky["endpoints"].as_array().unwrap();
        let mut open: Vec<_> = endpoints.iter().map(|e| e["service"].to_string()).collect();
        desired.sort();
        open.sort();
        assert_eq!(open, desired, "{what}: {name}");
        assert_eq!(decky["state"], "running", "{what}: {name}");
        for endpoint in endpoints {
            let at = endpoint["listening"].as_str().unwrap();
            tokio::net::TcpStream::connect(at)
                .await
                .unwrap_or_else(|e| panic!("{what}: {name} at {at}: {e}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_step_of_a_mutation() {
    for (op, payload) in OPS {
        for point in POINTS {
            // A step that this op does not have is no place to die.
            let has_second_step = *op != "add_lan";
            if *point != "step:2" || has_second_step {
                check(point, op, payload).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_step_of_a_deployment_and_of_a_teardown() {
    for point in ["step:1", "step:7", "built"] {
        let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
        let start = Start {
            binary: env!("CARGO_BIN_EXE_morgana"),
            data_dir: dir.path(),
            prefix: &prefix,
            arguments: &["--demo"],
            environment: &[("MORGANA_CRASH_AT", point)],
        };
        start.until_crash_point().await.kill().await;
        let service = demo(dir.path(), &prefix).await;
        assert_network_is_desired(&service.client(), &format!("deployment killed at {point}"))
            .await;
        service.terminate().await;
    }
    for point in ["step:1", "step:7", "taken-down"] {
        let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
        demo(dir.path(), &prefix).await.terminate().await;
        let at = after_rebuild(point, dir.path(), &prefix).await;
        let mut victim = with(dir.path(), &prefix, &[], &[("MORGANA_CRASH_AT", &at)]).await;
        victim.client().post("/api/v1/topologies/demo/teardown", &json!({})).await.unwrap();
        victim.wait_for_error("crash point").await;
        victim.kill().await;
        let service = with(dir.path(), &prefix, &[], &[]).await;
        let client = service.client();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            let all = client.get("/api/v1/topologies").await.unwrap();
            if all["items"][0]["status"] == "torn_down" {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "teardown killed at {point}: {all:#}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        service.terminate().await;
    }
}

/// The crash point `step:n` of what comes after the rebuild at the start, which passes a step for
/// each LAN, decky and service; others as they are.
async fn after_rebuild(point: &str, data_dir: &std::path::Path, prefix: &Prefix) -> String {
    match point.strip_prefix("step:") {
        Some(nth) => {
            let rebuilt = steps_of_demo(data_dir, prefix).await;
            format!("step:{}", rebuilt + nth.parse::<u64>().unwrap())
        }
        None => point.to_owned(),
    }
}

async fn steps_of_demo(data_dir: &std::path::Path, prefix: &Prefix) -> u64 {
    let service = with(data_dir, prefix, &[], &[]).await;
    let demo = service.client().get("/api/v1/topologies/demo").await.unwrap();
    let services = |d: &Value| d["services"].as_array().unwrap().len();
    let deckies = demo["deckies"].as_array().unwrap();
    let steps = demo["lans"].as_array().unwrap().len()
        + deckies.len()
        + deckies.iter().map(services).sum::<usize>();
    service.terminate().await;
    steps as u64
}
