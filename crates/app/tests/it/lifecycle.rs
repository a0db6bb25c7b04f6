//! Starting, stopping, and what the command line says.

use std::time::Duration;

use testkit::{Prefix, run};

use crate::{demo, with};

const BINARY: &str = env!("CARGO_BIN_EXE_morgana");

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_within_five_seconds_with_visitors_and_streams_open() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let service = demo(dir.path(), &prefix).await;
    let client = service.client();
    let _stream = client.stream("/api/v1/events").await.unwrap();
    let endpoint =
        service.try_commands()[0].split("http://").nth(1).unwrap().trim_end_matches('/').to_owned();
    let _visitor = tokio::net::TcpStream::connect(endpoint).await.unwrap();
    let (took, log) = service.terminate().await;
    assert!(took < Duration::from_secs(5), "it took {took:?}: {log}");
    assert!(log.contains("morgana is down"), "{log}");
    assert!(!log.contains("panic"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_data_is_refused() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let service = with(dir.path(), &prefix, &[], &[]).await;
    let data_dir = dir.path().display().to_string();
    let said = run(BINARY, &["up", "--data-dir", &data_dir, "--listen", "127.0.0.1:0"], "").await;
    assert!(said.contains("another process"), "{said}");
    service.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_changes_a_maze_without_a_bus() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let service = with(dir.path(), &prefix, &["--demo", "--set", "bus=off"], &[]).await;
    let data_dir = dir.path().display().to_string();
    let morgana = async |arguments: &[&str]| {
        let all = [&["--data-dir", &data_dir], arguments].concat();
        run(BINARY, &all, "").await
    };
    let add =
        ["topology", "mutate", "demo", "add_decky", "name=cli-01", "lan=office", "services=ssh"];
    let said = morgana(&add).await;
    assert!(said.contains("enqueued") && said.contains("applied"), "{said}");
    assert!(morgana(&["decky", "list"]).await.contains("demo/cli-01"));
    let rotated = morgana(&["decky", "rotate", "demo/cli-01"]).await;
    assert!(rotated.contains("applied") && rotated.contains("now answers at"), "{rotated}");
    let removed = morgana(&["topology", "mutate", "demo", "remove_decky", "decky=cli-01"]).await;
    assert!(removed.contains("applied"), "{removed}");
    assert!(morgana(&["topology", "show", "demo"]).await.contains("web-01"));
    assert!(morgana(&["topology", "mutations", "demo"]).await.contains("remove_decky"));
    assert!(morgana(&["status"]).await.contains("active"));

    let add_user = ["--data-dir", &data_dir, "user", "add", "kim", "--role", "viewer"];
    let said = run(BINARY, &add_user, "a long passphrase\n").await;
    assert!(said.contains("user kim (viewer) can log in"), "{said}");
    let token = morgana(&["user", "token", "kim", "siem", "--days", "30"]).await;
    assert!(token.starts_with("mrg_"), "{token}");
    assert!(morgana(&["user", "disable", "kim"]).await.contains("locked out"));
    assert!(morgana(&["user", "list"]).await.contains("viewer"));
    service.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mazes_are_made_written_down_changed_and_taken_back() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let service = with(dir.path(), &prefix, &["--set", "bus=off"], &[]).await;
    let data_dir = dir.path().display().to_string();
    let morgana = async |arguments: &[&str]| {
        let all = [&["--data-dir", &data_dir], arguments].concat();
        run(BINARY, &all, "").await
    };
    let topology = async |arguments: &[&str]| morgana(&[&["topology"], arguments].concat()).await;
    let made = ["generate", "big", "--depth", "2", "--branching", "2", "--seed", "7"];
    let said = topology(&made).await;
    assert!(said.contains("topology big") && said.contains("3 LANs"), "{said}");
    assert!(topology(&["validate", "big"]).await.contains("can be deployed"));
    let nameless = [&made[..1], &made[2..]].concat();
    let said = topology(&nameless).await;
    assert!(said.contains("topology maze-7") && said.contains("3 LANs"), "{said}");
    assert!(topology(&nameless).await.contains("maze-7"), "the name is taken, and said");
    let file = dir.path().join("big.json").display().to_string();
    topology(&["export", "big", "-o", &file]).await;
    assert!(topology(&["validate", "--file", &file]).await.contains("can be deployed"));
    let said = topology(&["import", &file, "--name", "copy"]).await;
    assert!(said.contains("topology copy") && said.contains("3 LANs"), "{said}");
    let said = topology(&["deploy", "copy"]).await;
    assert!(said.contains("active"), "{said}");

    let ops = dir.path().join("ops.json").display().to_string();
    let batch = r#"[{"op":"add_lan","payload":{"name":"lab"}},
        {"op":"add_decky","payload":{"name":"lab-01","lan":"lab"}},
        {"op":"attach_decky","payload":{"decky":"lab-01","lan":"dmz","forwards_l3":true}}]"#;
    std::fs::write(&ops, batch).unwrap();
    let said = topology(&["mutate", "copy", "--file", &ops, "--dry-run"]).await;
    assert!(said.contains("version 2") && said.contains("open ssh on port 22"), "{said}");
    assert!(!topology(&["show", "copy"]).await.contains("lab-01"), "a dry run changes nothing");
    assert!(topology(&["mutate", "copy", "--file", &ops]).await.contains("applied"));
    let shown = topology(&["show", "copy"]).await;
    assert!(shown.contains("lab-01") && shown.contains("(forwards)"), "{shown}");
    let said = morgana(&["decky", "stop", "copy/lab-01"]).await;
    assert!(said.contains("applied"), "{said}");
    let said = topology(&["undo", "copy", "--dry-run"]).await;
    assert!(said.contains("decky lab-01 changes"), "{said}");
    assert!(topology(&["undo", "copy", "--count", "2"]).await.contains("applied"));
    assert!(!topology(&["show", "copy"]).await.contains("lab-01"));
    let said = topology(&["undo", "copy"]).await;
    assert!(said.contains("nothing to take back"), "{said}");
    assert!(topology(&["teardown", "copy"]).await.contains("torn_down"));
    service.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_service_the_command_line_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().display().to_string();
    let said = run(BINARY, &["--data-dir", &data_dir, "status"], "").await;
    assert!(said.contains("is `morgana up` running"), "{said}");
    let said = run(BINARY, &["--set", "nosuch=1", "status"], "").await;
    assert!(said.contains("--set nosuch: unknown key"), "{said}");
    assert!(run(BINARY, &["completions", "bash"], "").await.contains("_morgana"));
    assert!(run(BINARY, &["config"], "").await.contains("fleet.driver"));
}
