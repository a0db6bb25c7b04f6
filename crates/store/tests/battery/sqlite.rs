//! What is peculiar to SQLite: the directory, the file, the disk.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use model::Ambient;
use rusqlite::Connection;
use store::{AuditError, OpenError, Store, StoreError, StoreLimits};

use crate::{
    audit::record,
    bench::{Bench, journal, mutation, name, rotate},
};

/// Set for the child of [`killed_process_keeps_what_it_acknowledged`]: its data directory.
const CHILD: &str = "MORGANA_STORE_TEST_CHILD";

fn raw(bench: &Bench) -> Connection {
    Connection::open(bench.directory.path().join("morgana.db")).unwrap()
}

#[tokio::test]
async fn directory_has_one_user() {
    let bench = Bench::sqlite();
    let store = bench.open();
    let second = Store::open(bench.directory.path(), Ambient::system());
    assert!(matches!(second, Err(OpenError::InUse { .. })), "{second:?}");
    store.close().await;
    bench.open().close().await;
}

#[tokio::test]
async fn newer_schema_is_refused() {
    let bench = Bench::sqlite();
    bench.open().close().await;
    raw(&bench).execute("INSERT INTO schema_version VALUES (99)", []).unwrap();
    let newer = Store::open(bench.directory.path(), Ambient::system());
    assert!(matches!(newer, Err(OpenError::TooNew { found: 99, .. })), "{newer:?}");
}

#[tokio::test]
async fn a_database_from_before_the_hub_is_brought_up_to_date() {
    let bench = Bench::sqlite();
    let store = bench.open();
    let id = bench.active(&store, "maze", 1).await;
    let before = journal(&store).await;
    store.close().await;
    raw(&bench)
        .execute_batch(
            "DROP INDEX mutations_applied; DROP TABLE hub_requests;
             DROP TABLE progress; DROP TABLE tasks; DROP TABLE decisions; DROP TABLE workstreams;
             DROP TABLE topics; DROP TABLE repos; DROP TABLE domain_goals; DROP TABLE domains;
             ALTER TABLE journal DROP COLUMN context;
             ALTER TABLE topologies DROP COLUMN rotate_every;
             ALTER TABLE deckies DROP COLUMN forwards_l3;
             ALTER TABLE deckies DROP COLUMN is_stopped;
             ALTER TABLE mutations DROP COLUMN undone_by;
             DELETE FROM schema_version WHERE version > 2;",
        )
        .unwrap();
    let store = bench.open();
    let after = journal(&store).await;
    assert_eq!(after.len(), before.len());
    assert!(after.iter().all(|entry| entry.context.is_empty()));
    assert!(store.topology(id).await.unwrap().is_some());
    store.sweep_stale_tasks(model::EventContext::of("ada"), None, || false).await.unwrap();
    let last = journal(&store).await.pop().unwrap();
    assert_eq!(last.context.actor.as_deref(), Some("ada"));
    store.close().await;
}

#[tokio::test]
async fn files_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = Bench::sqlite();
    let store = bench.open();
    for file in fs::read_dir(bench.directory.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{file:?}");
    }
    store.close().await;
}

#[tokio::test]
async fn locked_database_is_reported_and_the_writer_goes_on() {
    let bench = Bench::sqlite();
    let limits = StoreLimits { busy_timeout: Duration::from_millis(50), ..Default::default() };
    let store = Store::open_with(bench.directory.path(), bench.ambient.clone(), limits).unwrap();
    let id = bench.active(&store, "maze", 1).await;
    let (other, head) = (raw(&bench), store.journal_head());
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let attempts = tokio::join!(
        store.enqueue(mutation(id, rotate("decky-0"))),
        store.enqueue(mutation(id, rotate("decky-0"))),
    );
    for error in [attempts.0.unwrap_err(), attempts.1.unwrap_err()] {
        assert_eq!(error.to_string(), "cannot commit: enqueue a mutation");
    }
    other.execute_batch("ROLLBACK").unwrap();
    let queued = store.enqueue(mutation(id, rotate("decky-0"))).await.unwrap();
    assert_eq!(queued.seq, head + 1, "no gap");
    assert_eq!(store.topology_snapshot(id).await.unwrap().unwrap().in_flight.len(), 1);
}

#[tokio::test]
async fn full_disk_loses_nothing_that_was_acknowledged() {
    let bench = Bench::sqlite();
    let limits = StoreLimits { file_bytes: Some(600_000), ..Default::default() };
    let store = Store::open_with(bench.directory.path(), bench.ambient.clone(), limits).unwrap();
    let mut kept = Vec::new();
    let error = loop {
        let maze = bench.maze(&format!("m{}", kept.len()), 20);
        match store.create_topology(&maze, "tester").await {
            Ok(seq) => kept.push((seq, maze)),
            Err(error) => break error,
        }
        assert!(kept.len() < 10_000, "the limit holds");
    };
    let error = match error {
        store::CreateError::Store(error) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(error.operation(), "create a topology");
    assert!(matches!(error, StoreError::Statement { .. } | StoreError::Commit { .. }));
    assert_eq!(store.topologies().await.unwrap().len(), kept.len());
    store.close().await;

    let store = bench.open();
    assert_eq!(journal(&store).await.len(), kept.len());
    for (_, maze) in &kept {
        assert_eq!(store.topology(maze.id).await.unwrap().unwrap().topology, *maze);
    }
    let next = store.create_topology(&bench.maze("next", 1), "tester").await.unwrap();
    assert_eq!(next, kept.len() as u64 + 1);
}

#[tokio::test]
async fn what_root_does_in_between_takes_no_file_from_its_owner() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    const SOMEBODY: u32 = 12_345;
    let bench = Bench::sqlite();
    let here = bench.directory.path();
    bench.open().close().await;
    let files = || fs::read_dir(here).unwrap().map(|entry| entry.unwrap().path());
    for path in files().chain([here.to_owned()]) {
        if chown(&path, Some(SOMEBODY), Some(SOMEBODY)).is_err() {
            eprintln!("skipped: only root can open the database of somebody else");
            return;
        }
    }
    bench.open().close().await;
    for path in files() {
        assert_eq!(fs::metadata(&path).unwrap().uid(), SOMEBODY, "{}", path.display());
    }
}

#[tokio::test]
async fn epoch_is_new_after_copy_and_restore() {
    let bench = Bench::sqlite();
    let open = |path: &Path| Store::open(path, Ambient::system()).unwrap();
    let here = bench.directory.path();
    let store = open(here);
    let first = store.installation().clone();
    store.close().await;
    let backup = tempfile::tempdir().unwrap();
    let copy = |from: &Path, to: &Path, files: &[&str]| {
        for file in files {
            fs::copy(from.join(file), to.join(file)).unwrap();
        }
    };
    let all = ["morgana.db", "morgana.opening"];
    copy(here, backup.path(), &all);

    let store = open(here);
    assert_eq!(*store.installation(), first, "the same after a restart");
    store.close().await;
    let store = open(backup.path());
    let copied = store.installation().clone();
    store.close().await;
    assert_ne!(copied.epoch, first.epoch, "a copy lives its own life");
    assert_eq!(copied.secret, first.secret, "with the same personas");

    // Over the same inode: only the word of its opening tells.
    copy(backup.path(), here, &["morgana.db"]);
    let store = open(here);
    assert_ne!(store.installation().epoch, first.epoch);
    assert_ne!(store.installation().epoch, copied.epoch);
    store.close().await;
    fs::remove_file(here.join("morgana.opening")).unwrap();
    let before = copied.epoch;
    let store = open(here);
    assert_ne!(store.installation().epoch, before);
}

#[tokio::test]
async fn forged_audit_log_is_found() {
    let bench = Bench::sqlite();
    let store = bench.open();
    for _ in 0..4 {
        store.audit(record("user.delete")).await.unwrap();
    }
    let forge = |sql: &str| raw(&bench).execute_batch(sql).unwrap();
    forge("UPDATE audit SET outcome = 'denied' WHERE seq = 3");
    let broken = store.verify_audit().await;
    assert!(matches!(broken, Err(AuditError::Broken { seq: 3 })), "{broken:?}");
    forge("UPDATE audit SET outcome = 'ok' WHERE seq = 3");
    assert_eq!(store.verify_audit().await.unwrap(), 4);
    forge("DELETE FROM audit WHERE seq = 2");
    let broken = store.verify_audit().await;
    assert!(matches!(broken, Err(AuditError::Broken { seq: 2 })), "{broken:?}");
}

/// Runs this test binary as a child that writes and says what was acknowledged, and kills it.
#[tokio::test]
async fn killed_process_keeps_what_it_acknowledged() {
    let bench = Bench::sqlite();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sqlite::child_that_writes", "--nocapture"])
        .env(CHILD, bench.directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        if let Some(seq) = line.unwrap().strip_prefix("acknowledged ") {
            acknowledged = seq.parse::<u64>().unwrap();
        }
        if acknowledged == 200 {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(acknowledged >= 200);
    let store = bench.open();
    let entries = journal(&store).await;
    assert!(entries.len() as u64 >= acknowledged);
    let topology = store.topology_named(&name("maze")).await.unwrap().unwrap();
    let snapshot = store.topology_snapshot(topology.topology.id).await.unwrap().unwrap();
    assert_eq!(snapshot.in_flight.len() as u64, snapshot.head - 3, "state and events agree");
}

#[tokio::test(flavor = "multi_thread")]
async fn child_that_writes() {
    let Some(directory) = std::env::var_os(CHILD) else { return };
    let store = Store::open(Path::new(&directory), Ambient::system()).unwrap();
    let id = Bench::sqlite().active(&store, "maze", 0).await;
    for n in 0..900 {
        let seq = store.enqueue(mutation(id, rotate(&format!("d{n}")))).await.unwrap().seq;
        println!("\nacknowledged {seq}");
    }
}
