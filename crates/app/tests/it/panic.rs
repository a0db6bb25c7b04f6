//! The kill switch: nothing is left on the network, and nothing comes back by itself.

use std::{path::Path, process::Output, time::Duration};

use serde_json::Value;
use testkit::{Events, Prefix, Service};
use tokio::{io::AsyncReadExt, net::TcpStream};

use crate::{demo, with};

/// Longest wait for a command.
const PATIENCE: Duration = Duration::from_secs(60);
/// So long that the service has done it, on however slow a machine.
const LET_IT: &str = "--kill-after=50000";

/// Runs the binary on a data directory; answers how it ended, too.
async fn morgana(data_dir: &Path, arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_morgana"));
    command.arg("--data-dir").arg(data_dir).args(arguments).kill_on_drop(true);
    tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap()
}

async fn panic(data_dir: &Path, arguments: &[&str]) -> Value {
    let all = [&["panic", "--json"], arguments].concat();
    let output = morgana(data_dir, &all).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn web_server(service: &Service) -> String {
    let commands = service.try_commands();
    commands[0].split("http://").nth(1).unwrap().trim_end_matches('/').to_owned()
}

async fn status(service: &Service) -> (String, usize) {
    let demo = service.client().get("/api/v1/topologies/demo").await.unwrap();
    let deckies = demo["deckies"].as_array().unwrap();
    let open = deckies.iter().map(|decky| decky["endpoints"].as_array().unwrap().len());
    (demo["status"].as_str().unwrap().to_owned(), open.sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_takes_everything_down_and_it_stays_down() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let service = demo(dir.path(), &prefix).await;
    let client = service.client();
    let mut events = Events::follow(&client, "/api/v1/events?filter=attacker.session.%3E").await;
    let web = web_server(&service);
    let mut visitor = TcpStream::connect(&web).await.unwrap();
    events.wait("attacker.session.started", |_| true).await;

    let done = panic(dir.path(), &[LET_IT]).await;
    assert_eq!((&done["by"], &done["is_kept"]), (&"service".into(), &true.into()), "{done:#}");
    assert_eq!(done["topologies"][0]["name"], "demo");
    assert!(TcpStream::connect(&web).await.is_err(), "nobody listens any more");
    let mut rest = Vec::new();
    let cut = tokio::time::timeout(PATIENCE, visitor.read_to_end(&mut rest)).await;
    cut.expect("the visitor is cut").ok();
    events.wait("attacker.session.ended", |_| true).await;
    assert_eq!(status(&service).await, ("pending".into(), 0));

    // A look at everything, and a change, bring nothing back.
    let add = ["topology", "mutate", "demo", "add_decky", "name=late", "lan=dmz"];
    let said = morgana(dir.path(), &add).await;
    assert!(String::from_utf8_lossy(&said.stdout).contains("applied"), "{said:?}");
    assert_eq!(status(&service).await, ("pending".into(), 0));
    let again = panic(dir.path(), &[LET_IT]).await;
    assert_eq!(again["topologies"], serde_json::json!([]), "there is nothing left to take down");
    service.terminate().await;

    // Neither does the next start, although it asks for the demo.
    let service = demo(dir.path(), &prefix).await;
    assert!(service.welcome.contains("off the network"), "{}", service.welcome);
    assert_eq!(status(&service).await, ("pending".into(), 0));
    assert!(TcpStream::connect(&web).await.is_err());
    let said = morgana(dir.path(), &["topology", "deploy", "demo"]).await;
    assert!(String::from_utf8_lossy(&said.stdout).contains("active"), "{said:?}");
    TcpStream::connect(&web).await.expect("it is where it was");
    service.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_does_not_answer_is_killed_and_does_not_come_back() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let service = demo(dir.path(), &prefix).await;
    let web = web_server(&service);
    let pid = service.pid();
    let stopped = testkit::run("kill", &["-STOP", &pid.to_string()], "").await;
    assert_eq!(stopped, "");

    let done = panic(dir.path(), &["--kill-after=100"]).await;
    assert_eq!(done["killed_pid"], pid, "{done:#}");
    assert_eq!((&done["by"], &done["is_kept"]), (&"kill".into(), &true.into()), "{done:#}");
    assert_eq!(done["topologies"][0]["status"], "pending", "{done:#}");
    assert!(TcpStream::connect(&web).await.is_err());
    service.kill().await;

    let service = with(dir.path(), &prefix, &[], &[]).await;
    assert_eq!(status(&service).await, ("pending".into(), 0));
    service.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_service_runs_of_does_not_come_back_either() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    demo(dir.path(), &prefix).await.kill().await;
    // A configuration that nobody can read is no reason not to stop.
    let broken = ["--set", "nosuch=1"];
    let done = panic(dir.path(), &broken).await;
    assert_eq!((&done["by"], &done["killed_pid"]), (&"nothing ran".into(), &Value::Null));
    assert_eq!(done["topologies"][0]["from"], "active", "{done:#}");
    let said = morgana(dir.path(), &["panic"]).await;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(text.contains("nothing runs on") && text.contains("topology deploy"), "{text}");

    let service = demo(dir.path(), &prefix).await;
    assert_eq!(status(&service).await, ("pending".into(), 0));
    service.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_without_a_database_is_no_success() {
    let dir = tempfile::tempdir().unwrap();
    let said = morgana(dir.path(), &["panic"]).await;
    assert_eq!(said.status.code(), Some(1));
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(text.contains("--data-dir"), "{text}");
    assert!(!dir.path().join("morgana.db").exists());
    assert_eq!(morgana(dir.path(), &["panic", "--kill-after=soon"]).await.status.code(), Some(2));

    // Somebody else's program has the lock: it is named, and lives.
    std::fs::write(dir.path().join("morgana.db"), "").unwrap();
    let lock = std::fs::File::create(dir.path().join("morgana.lock")).unwrap();
    lock.try_lock().unwrap();
    std::fs::write(dir.path().join("morgana.lock"), std::process::id().to_string()).unwrap();
    let said = morgana(dir.path(), &["panic"]).await;
    assert_eq!(said.status.code(), Some(1));
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(text.contains("may still be up") && text.contains("morgana.lock"), "{text}");
}
