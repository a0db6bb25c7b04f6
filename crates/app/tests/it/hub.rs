//! The hub from its command line, with the service up and down.

use std::path::Path;

use serde_json::{Value, json};
use testkit::{Events, Prefix, run};

use crate::with;

const BINARY: &str = env!("CARGO_BIN_EXE_morgana");

/// Runs a command line of the hub; answers what it printed.
async fn hub(data_dir: &Path, arguments: &[&str]) -> String {
    let data_dir = data_dir.display().to_string();
    run(BINARY, &[&["--data-dir", &data_dir, "hub"], arguments].concat(), "").await
}

/// Runs one and answers its status.
async fn status(data_dir: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = tokio::process::Command::new(BINARY);
    command.arg("--data-dir").arg(data_dir).arg("hub").args(arguments);
    let output = command.output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
}

/// What stands between the first pair of parentheses.
fn id(said: &str) -> String {
    let inner = said.split('(').nth(1).and_then(|rest| rest.split(')').next());
    inner.unwrap_or_else(|| panic!("no id in {said}")).to_owned()
}

async fn ground(data_dir: &Path) {
    for (arguments, expected) in [
        (&["domain", "add", "slug=ops", "title=Operations"][..], "domain ops ("),
        (&["topic", "add", "slug=decoys", "domain=ops", "title=Decoys"], "topic decoys ("),
        (
            &["workstream", "add", "slug=ssh", "topic=decoys", "title=SSH", "state=active"],
            "is active, version 1",
        ),
        (&["task", "add", "workstream=ssh", "title=Banner"], "is todo, version 1"),
        (&["task", "add", "workstream=ssh", "title=Keys", "state=wait"], "is wait, version 1"),
    ] {
        let said = hub(data_dir, arguments).await;
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_work_is_kept_by_the_command_line_and_told_on_the_stream() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let service = with(dir.path(), &prefix, &[], &[]).await;
    let path = dir.path();
    let mut events = Events::follow(&service.client(), "/api/v1/events?filter=org.%3E").await;
    ground(path).await;

    let repo = ["repo", "add", "slug=maze", "domain=ops", "remote_url=https://example.net/maze"];
    assert!(hub(path, &repo).await.contains("repo maze ("));
    let registered = events.wait("statehub.repo.registered", |_| true).await;
    assert_eq!(registered["topic"], "org.statehub.repo.registered");
    assert_eq!(registered["payload"]["domain_slug"], "ops");

    let goal = id(&hub(path, &["goal", "add", "domain=ops", "title=See them"]).await);
    assert!(hub(path, &["goal", "activate", &goal]).await.contains("is active, version 2"));
    events.wait("statehub.domain.goal.activated", |said| said["goal_id"] == *goal).await;

    let decision = id(&hub(path, &["decision", "add", "title=Which banner?"]).await);
    let resolve = ["decision", "resolve", &decision, "The usual one", "--by", "ada"];
    assert!(hub(path, &resolve).await.contains("is resolved, version 2"));
    let resolved = events.wait("statehub.decision.resolved", |_| true).await;
    assert_eq!(resolved["payload"]["decided_by"], "ada");

    let (code, said) = status(path, &["workstream", "set", "ssh", "state=blocked"]).await;
    assert_eq!((code, said.contains("is blocked, version 2")), (0, true), "{said}");
    let (code, said) = status(path, &["workstream", "set", "ssh", "state=finished"]).await;
    assert_eq!((code, said.contains("(WAITING)")), (1, true), "{said}");
    for state in ["active", "finished"] {
        hub(path, &["workstream", "set", "ssh", "repo=maze", &format!("state={state}")]).await;
    }
    let completed = events.wait("statehub.workstream.completed", |_| true).await;
    assert_eq!(completed["payload"]["repo_id"], registered["payload"]["repo_id"]);

    assert!(hub(path, &["progress", "ssh", "--note", "went well"]).await.contains("by local"));
    assert!(hub(path, &["progress", "ssh"]).await.contains("local  went well"));
    hub(path, &["progress", "ssh", "--note", "and again"]).await;
    let newest = hub(path, &["progress", "ssh", "--limit", "1"]).await;
    assert!(newest.contains("and again") && !newest.contains("went well"), "{newest}");
    assert!(newest.ends_with("There are more than these 1; --limit shows them.\n"), "{newest}");
    for list in [&["task", "ls"][..], &["progress", "ssh"]] {
        let (code, said) = status(path, &[list, &["--limit", "0"]].concat()).await;
        assert_eq!((code, said.contains("0 is not in 1..")), (2, true), "{said}");
    }
    let described = ["topic", "set", "decoys", "description=What visitors see"];
    assert!(hub(path, &described).await.contains("has version 2"));
    assert!(hub(path, &["topic", "set", "decoys", "description="]).await.contains("version 3"));
    for (fields, expected) in
        [("title=", "title: invalid type: null"), ("version=", "`version=` is no number")]
    {
        let (code, said) = status(path, &["topic", "set", "decoys", "slug=decoys", fields]).await;
        assert_eq!((code, said.contains(expected)), (1, true), "{fields}: {said}");
    }
    let listed = hub(path, &["workstream", "ls", "state=finished"]).await;
    assert!(listed.contains("ssh") && listed.contains("decoys"), "{listed}");
    assert!(hub(path, &["workstream", "show", "ssh"]).await.contains("tasks_open"));

    let look = hub(path, &["sweep-stale", "--dry-run"]).await;
    assert_eq!(look, "2 stale tasks would be cancelled (by the service)\n");
    let swept = hub(path, &["sweep-stale"]).await;
    assert_eq!(swept, "2 stale tasks cancelled (by the service)\n");
    let summary = events.wait("statehub.task.sweep.completed", |_| true).await;
    assert_eq!(summary["payload"]["cancelled"], 2);
    assert_eq!(events.kinds().iter().filter(|kind| **kind == "statehub.task.stale").count(), 2);
    let (code, said) = status(path, &["sweep-stale"]).await;
    assert_eq!((code, said.as_str()), (0, "0 stale tasks cancelled (by the service)\n"));
    let (code, said) = status(path, &["repo", "rm", "maze"]).await;
    assert_eq!((code, said.contains("(IN_USE)")), (1, true), "{said}");
    service.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_with_the_service_down_is_told_at_the_next_start() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let path = dir.path();
    let (code, said) = status(path, &["sweep-stale"]).await;
    assert_eq!((code, said.contains("there is no database in")), (1, true), "{said}");
    assert!(!path.join("morgana.db").exists(), "looking makes nothing");

    let service = with(path, &prefix, &[], &[]).await;
    ground(path).await;
    hub(path, &["workstream", "set", "ssh", "state=archived"]).await;
    let before = service.client().get("/api/v1/relay").await.unwrap()["journal_head"].clone();
    service.terminate().await;

    let look = hub(path, &["sweep-stale", "--dry-run", "--json"]).await;
    let look: Value = serde_json::from_str(&look).unwrap();
    assert_eq!((&look["stale"], &look["cancelled"]), (&json!(2), &json!(0)), "{look}");
    let (code, said) = status(path, &["sweep-stale"]).await;
    let expected = "2 stale tasks cancelled (no service answers; in the database of ";
    assert_eq!((code, said.starts_with(expected)), (0, true), "{said}");

    let service = with(path, &prefix, &[], &[]).await;
    let client = service.client();
    let tasks = client.get("/api/v1/tasks?state=cancel").await.unwrap();
    assert_eq!(tasks["items"].as_array().unwrap().len(), 2, "{tasks}");
    // Two tasks and the summary stand in the journal, which the relay tells on.
    let relay = client.get("/api/v1/relay").await.unwrap();
    let head = relay["journal_head"].as_u64().unwrap();
    assert_eq!(head, before.as_u64().unwrap() + 3, "{relay}");
    let (code, said) = status(path, &["sweep-stale", "--json"]).await;
    let swept: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &swept["position"]), (0, &json!(head + 1)), "{said}");
    service.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_directory_without_a_service_is_left_alone() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let socket = dir.path().join("elsewhere.sock").display().to_string();
    let service = with(dir.path(), &prefix, &["--socket", &socket], &[]).await;
    let (code, said) = status(dir.path(), &["sweep-stale"]).await;
    assert_eq!((code, said.contains("in use by another process")), (1, true), "{said}");
    service.terminate().await;
}
