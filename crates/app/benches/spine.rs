//! The figures of docs/performance.md: a change from POST to `applied` on the stream, events
//! journalled per second, start-up to serving, memory idle and with 100 deckies.
//!
//! Real processes on loopback; medians of several runs. `MORGANA_BENCH_RUNS` and
//! `MORGANA_BENCH_CHANGES` change the counts.

#![allow(missing_docs, clippy::unwrap_used, reason = "a program that prints figures")]

use std::{path::Path, time::Instant};

use model::{ActivityKind, ActivityPayload, Ambient, Event, Observation, Payload};
use morgana::client::Client;
use serde_json::{Value, json};
use testkit::{Prefix, Service, Start};

fn count(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let is_test = std::env::args().any(|argument| argument == "--test");
    let runs = if is_test { 1 } else { count("MORGANA_BENCH_RUNS", 5) };
    let changes = if is_test { 4 } else { count("MORGANA_BENCH_CHANGES", 500) };
    println!("machine: {}", machine());
    start_up(runs).await;
    change_latency(runs, changes).await;
    memory(if is_test { 10 } else { 100 }).await;
    journal(runs, if is_test { 10 } else { 400 }).await;
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|l| l.strip_prefix("model name\t: ")).unwrap_or("unknown").to_owned();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} x {model}, Linux {}", kernel.trim())
}

async fn service(data_dir: &Path, prefix: &Prefix, arguments: &[&str]) -> Service {
    let binary = env!("CARGO_BIN_EXE_morgana");
    let environment = [("MORGANA_LOG_LEVEL", "warn")];
    Start { binary, data_dir, prefix, arguments, environment: &environment }.service().await
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn quantile(sorted: &[f64], q: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * q).round() as usize]
}

/// From exec to the printed link: empty, then with the demo maze rebuilt from the database.
async fn start_up(runs: usize) {
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
        for times in [&mut first, &mut again] {
            let began = Instant::now();
            let service = service(dir.path(), &prefix, &["--demo"]).await;
            times.push(began.elapsed().as_secs_f64() * 1e3);
            service.terminate().await;
        }
    }
    println!(
        "start-up to serving the demo maze, first time: {:.1} ms; again: {:.1} ms (medians of {runs})",
        median(first),
        median(again)
    );
}

/// POST of a mutation over the API's socket until `applied` is read from a live stream.
async fn change_latency(runs: usize, changes: usize) {
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
        let service = service(dir.path(), &prefix, &["--demo"]).await;
        let client = service.client();
        let mut frames =
            client.stream("/api/v1/events?filter=topology.*.mutation.applied").await.unwrap();
        frames.next().await.unwrap();
        let mut times = Vec::with_capacity(changes);
        for turn in 0..changes {
            let body = if turn % 2 == 0 {
                json!({"op": "add_decky", "payload": {"name": "bench", "lan": "office", "services": ["ssh", "http"]}})
            } else {
                json!({"op": "remove_decky", "payload": {"decky": "bench"}})
            };
            let began = Instant::now();
            let queued = client.post("/api/v1/topologies/demo/mutations", &body).await.unwrap();
            loop {
                let frame = frames.next().await.unwrap().unwrap();
                let data: Value = serde_json::from_str(&frame.data).unwrap();
                if data["payload"]["mutation_id"] == queued["mutation_id"] {
                    break;
                }
            }
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        p50.push(quantile(&times, 0.5));
        p99.push(quantile(&times, 0.99));
        service.terminate().await;
    }
    println!(
        "change, POST to applied on the stream, {changes} changes: p50 {:.2} ms, p99 {:.2} ms (medians of {runs})",
        median(p50),
        median(p99)
    );
}

/// Resident memory of the process, in KiB (VmRSS of /proc/PID/status).
fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

async fn add_deckies(client: &Client, deckies: usize) {
    for number in 0..deckies {
        let name = format!("d-{number:03}");
        let payload = json!({"name": name, "lan": "office", "services": ["ssh", "http", "ftp"]});
        let body = json!({"op": "add_decky", "payload": payload});
        client.post("/api/v1/topologies/demo/mutations", &body).await.unwrap();
    }
    let deadline = Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let waiting =
            client.get("/api/v1/topologies/demo/mutations?state=pending,applying").await.unwrap();
        if waiting["items"].as_array().is_some_and(Vec::is_empty) {
            return;
        }
        assert!(Instant::now() < deadline, "the queue is not worked off");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn memory(deckies: usize) {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let service = service(dir.path(), &prefix, &["--demo"]).await;
    let idle = resident(service.pid());
    let began = Instant::now();
    add_deckies(&service.client(), deckies).await;
    let took = began.elapsed().as_secs_f64() * 1e3;
    let full = resident(service.pid());
    println!(
        "resident memory with the demo maze: {:.1} MiB; with {deckies} deckies of 3 services more: {:.1} MiB; adding them one by one took {took:.0} ms",
        idle / 1024.0,
        full / 1024.0
    );
    service.terminate().await;
}

/// Events journalled per second: transactions of 100 events of about 1 KB each, one after
/// another, on the disk of the temporary directory, every commit synced.
async fn journal(runs: usize, batches: usize) {
    let mut rates = Vec::new();
    for _ in 0..runs {
        let dir = tempfile::tempdir().unwrap();
        let ambient = Ambient::system();
        let store = store::Store::open(dir.path(), ambient.clone()).unwrap();
        let activity = ActivityPayload {
            session_id: ambient.id(),
            attacker_id: ambient.id(),
            decky_id: ambient.id(),
            topology_id: ambient.id(),
            index: 0,
            kind: ActivityKind::Command,
            text: "x".repeat(700),
        };
        let began = Instant::now();
        for _ in 0..batches {
            let event = |_| Event::new(&ambient, Payload::SessionActivity(activity.clone()));
            let events = (0..100).map(event).collect();
            store.observe(Observation { events, ..Observation::default() }).await.unwrap();
        }
        assert_eq!(store.journal_head(), batches as u64 * 100, "all of them are journalled");
        rates.push((batches * 100) as f64 / began.elapsed().as_secs_f64());
        store.close().await;
    }
    println!(
        "events journalled per second, 100 in a transaction, each commit synced: {:.0} (median of {runs})",
        median(rates)
    );
}
