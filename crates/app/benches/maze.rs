//! What deckies on a real segment cost in the whole service: from POST to a maze that stands, its
//! memory and descriptors, and one live change from POST to a visitor who is connected, and to the
//! event stream. The driver alone is in the bench of the same name in `crates/fleet`.
//!
//! Needs root. `MORGANA_BENCH_DECKIES` names the counts, `MORGANA_BENCH_CHANGES` how many changes.

#![allow(missing_docs, clippy::unwrap_used, reason = "a program that prints figures")]

use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use model::{Ambient, Archetype, Decky, Edge, Lan, Service as Protocol, Topology};
use morgana::client::{Client, Frames};
use serde_json::{Value, json};
use testkit::{
    Prefix, Service, Start,
    segment::{Segment, connect},
};

/// Deckies of one topology; a maze has 16,384 at most.
const OF_ONE: usize = 16_000;
/// The port that closes and opens: that of FTP.
const PORT: u16 = 21;
/// By then what a deployment needed in passing is given back.
const HEARTBEAT: Duration = Duration::from_secs(32);
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let Some(segment) = Segment::new().map(Arc::new) else { return };
    let named = std::env::var("MORGANA_BENCH_DECKIES").ok();
    let counts = named.as_deref().unwrap_or(if is_test { "10" } else { "100,4000,65000" });
    let changes = std::env::var("MORGANA_BENCH_CHANGES").ok().and_then(|text| text.parse().ok());
    let changes = if is_test { 4 } else { changes.unwrap_or(300) };
    for count in counts.split(',').map(|count| count.parse().unwrap()) {
        deploy(&segment, count, changes).await;
    }
}

async fn deploy(segment: &Arc<Segment>, count: usize, changes: usize) {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let mazes = mazes(count);
    let store = store::Store::open(dir.path(), Ambient::system()).unwrap();
    for maze in &mazes {
        store.create_topology(maze, "bench").await.unwrap();
    }
    store.close().await;
    let binary = segment.program(dir.path(), env!("CARGO_BIN_EXE_morgana"));
    let log = ("MORGANA_LOG_LEVEL", "warn,morgana::network=debug");
    let mut service = Start {
        binary: binary.to_str().unwrap(),
        data_dir: dir.path(),
        prefix: &prefix,
        arguments: &["--set", "fleet.driver=netns", "--set", "fleet.uplink=u0"],
        environment: &[log],
    }
    .service()
    .await;
    let client = service.client();
    let before = Footprint::of(&service);
    let mut states = client.stream("/api/v1/events?filter=topology.*.status").await.unwrap();
    states.next().await.unwrap();
    let began = Instant::now();
    for maze in &mazes {
        let path = format!("/api/v1/topologies/{}/deploy", maze.name);
        client.post(&path, &json!({})).await.unwrap();
    }
    until_all(&mut states, "active", mazes.len()).await;
    let took = millis(began.elapsed());
    let after = Footprint::of(&service);
    tokio::time::sleep(HEARTBEAT).await;
    let at_rest = Footprint::of(&service);
    let each = |after: f64, before: f64| (after - before) / count as f64;
    println!(
        "{count} deckies of 3 services: deployed in {took:.0} ms; each has {:.2} KiB of the \
         process, {:.2} KiB after a heartbeat, and {:.2} KiB of the kernel's slab; {} \
         descriptors more",
        each(after.resident, before.resident),
        each(at_rest.resident, before.resident),
        each(at_rest.slab, before.slab),
        after.descriptors - before.descriptors
    );
    let last = address(count - 1);
    segment.sh(&format!("ip addr replace 10.{}.0.2/16 dev eth0", last.octets()[1]));
    segment.visit(|| connect(last, 21).unwrap());
    if mazes.len() == 1 {
        change(segment, &client, &mazes[0], changes).await;
    }
    let began = Instant::now();
    for maze in &mazes {
        let path = format!("/api/v1/topologies/{}/teardown", maze.name);
        client.post(&path, &json!({})).await.unwrap();
    }
    until_all(&mut states, "torn_down", mazes.len()).await;
    println!("  torn down in {:.0} ms", millis(began.elapsed()));
    service.drain_errors().lines().for_each(print_long);
    service.terminate().await;
}

/// What the fleet took, as the service logged it; changes of a few steps are measured elsewhere.
fn print_long(line: &str) {
    let Some((_, figures)) = line.split_once("steps done") else { return };
    let steps = figures.split("steps=").nth(1).and_then(|rest| rest.split(' ').next());
    if steps.and_then(|steps| steps.parse::<u64>().ok()).is_some_and(|steps| steps >= 300) {
        println!("  the fleet:{figures}");
    }
}

/// Mazes of one LAN each, on the uplink. No ssh: its host keys are made in the background after a
/// deployment, and would be measured too.
fn mazes(count: usize) -> Vec<Topology> {
    let ambient = Ambient::system();
    let maze = |nth: usize| {
        let mut maze = Topology::new(ambient.id(), format!("bench-{nth}").parse().unwrap());
        let lan = Lan {
            id: ambient.id(),
            name: "dmz".parse().unwrap(),
            subnet: format!("10.{}.0.0/16", 80 + nth).parse().unwrap(),
            is_dmz: true,
            position: None,
        };
        for decky in (0..count).skip(nth * OF_ONE).take(OF_ONE) {
            let decky = Decky {
                id: ambient.id(),
                name: format!("decky-{decky}").parse().unwrap(),
                archetype: [Archetype::FileServer, Archetype::WebServer][decky % 2],
                edges: vec![Edge { lan: lan.id, address: address(decky), forwards_l3: false }],
                forwards_l3: false,
                is_stopped: false,
                services: [Protocol::Ftp, Protocol::Http, Protocol::Redis].map(Into::into).to_vec(),
                rotate_every: None,
                rotated_at: ambient.now(),
                position: None,
            };
            maze.deckies.insert(decky.id, Arc::new(decky));
        }
        maze.lans.insert(lan.id, Arc::new(lan));
        maze
    };
    (0..count.div_ceil(OF_ONE)).map(maze).collect()
}

fn address(nth: usize) -> Ipv4Addr {
    let [high, low] = ((nth % OF_ONE) as u16 + 256).to_be_bytes();
    Ipv4Addr::new(10, 80 + (nth / OF_ONE) as u8, high, low)
}

/// A port closes and opens: the visitor tries until it answers, somebody else watches the stream.
async fn change(segment: &Arc<Segment>, client: &Client, maze: &Topology, changes: usize) {
    let mut applied =
        client.stream("/api/v1/events?filter=topology.*.mutation.applied").await.unwrap();
    applied.next().await.unwrap();
    let of_the_web = |decky: &&Arc<Decky>| decky.archetype == Archetype::WebServer;
    let half = maze.deckies.len() / 2;
    let decky = maze.deckies.values().skip(half).find(of_the_web).unwrap().clone();
    let at = decky.edges[0].address;
    let path = format!("/api/v1/topologies/{}/mutations", maze.name);
    let (mut reachable, mut told) = (Vec::new(), Vec::new());
    for turn in 0..changes * 2 {
        let opens = turn % 2 == 1;
        let services = if opens { &["http", "ftp"][..] } else { &["http"] };
        let payload = json!({"decky": decky.name, "services": services});
        let segment = segment.clone();
        let began = Instant::now();
        let visitor = opens.then(|| {
            tokio::task::spawn_blocking(move || {
                segment.visit(|| {
                    while connect(at, PORT).is_err() {
                        assert!(began.elapsed() < PATIENCE, "never reachable");
                        std::thread::sleep(Duration::from_micros(200));
                    }
                    millis(began.elapsed())
                })
            })
        });
        let body = json!({"op": "update_decky", "payload": payload});
        let queued = client.post(&path, &body).await.unwrap();
        loop {
            let data = data(&mut applied).await;
            if data["payload"]["mutation_id"] == queued["mutation_id"] {
                break;
            }
        }
        if let Some(visitor) = visitor {
            told.push(millis(began.elapsed()));
            reachable.push(visitor.await.unwrap());
        }
    }
    println!("  a change, from POST to a visitor who is connected: {}", spread(reachable));
    println!("  … and to `applied` on the stream: {}", spread(told));
}

async fn data(frames: &mut Frames) -> Value {
    let frame = tokio::time::timeout(PATIENCE, frames.next()).await.expect("a frame in time");
    serde_json::from_str(&frame.unwrap().unwrap().data).unwrap()
}

async fn until_all(states: &mut Frames, wanted: &str, mazes: usize) {
    for _ in 0..mazes {
        while data(states).await["payload"]["status"] != wanted {}
    }
}

/// What the process and the kernel have for it, in KiB.
struct Footprint {
    resident: f64,
    slab: f64,
    descriptors: usize,
}

impl Footprint {
    fn of(service: &Service) -> Self {
        let kib = |file: &str, key: &str| -> f64 {
            let text = std::fs::read_to_string(file).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
            line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
        };
        let pid = service.pid();
        Self {
            resident: kib(&format!("/proc/{pid}/status"), "VmRSS"),
            slab: kib("/proc/meminfo", "Slab"),
            descriptors: std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
        }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn spread(mut times: Vec<f64>) -> String {
    times.sort_by(f64::total_cmp);
    let at = |q: f64| times[((times.len() - 1) as f64 * q).round() as usize];
    format!("{:.2} ms p50, {:.2} ms p99", at(0.5), at(0.99))
}
