//! The service on a real segment: killed at any step it leaves nothing in the kernel, and the
//! next start brings the network to desired state; what is asked by datagrams is answered and told.
//! Needs root; says so and passes where there is
//! none.

use std::{collections::BTreeSet, time::Duration};

use morgana::client::Client;
use serde_json::{Value, json};
use testkit::{
    Events, Prefix, Service, Start,
    segment::{PATIENCE, Segment, connect, run},
};

/// A segment, and a service on it that can be started again and again.
struct Site {
    segment: Segment,
    dir: tempfile::TempDir,
    prefix: Prefix,
    binary: String,
}

impl Site {
    fn new() -> Option<Self> {
        let (segment, dir) = (Segment::new()?, tempfile::tempdir().unwrap());
        segment.sh("ip addr add 10.66.1.200/24 dev eth0");
        let binary = segment.program(dir.path(), env!("CARGO_BIN_EXE_morgana"));
        let binary = binary.to_str().unwrap().to_owned();
        Some(Self { segment, dir, prefix: Prefix::claim(), binary })
    }

    fn start<'a>(&'a self, environment: &'a [(&'a str, &'a str)]) -> Start<'a> {
        const ARGUMENTS: &[&str] =
            &["--demo", "--set", "fleet.driver=netns", "--set", "fleet.uplink=u0"];
        let (binary, data_dir, prefix) = (&*self.binary, self.dir.path(), &self.prefix);
        Start { binary, data_dir, prefix, arguments: ARGUMENTS, environment }
    }

    /// Kills it; nothing of it is in the kernel then.
    async fn kill(&self, service: Service) {
        let namespaces = namespaces_of(service.pid());
        service.kill().await;
        let left = |namespaces: &BTreeSet<String>| -> Vec<String> {
            let all = run("lsns -t net -n -r -o NS");
            let all: BTreeSet<_> = all.split_whitespace().collect();
            namespaces.iter().filter(|n| all.contains(n.as_str())).cloned().collect()
        };
        // The kernel takes a namespace down after its last descriptor.
        let until = std::time::Instant::now() + PATIENCE;
        while !left(&namespaces).is_empty() {
            assert!(std::time::Instant::now() < until, "namespaces are left: {namespaces:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let lan = &self.segment.lan;
        let links = run(&format!("ip -n {lan} -o link show"));
        let names: Vec<_> = links.lines().filter_map(|line| line.split(": ").nth(1)).collect();
        assert!(names.iter().all(|name| *name == "lo" || name.starts_with("u0@")), "{names:?}");
        assert_eq!(run(&format!("ip -n {lan} route show")), "", "routes are left");
    }

    /// Everything that is desired is there, and the visitor reaches what is on the segment.
    async fn assert_desired(&self, client: &Client, what: &str) {
        let demo = client.get("/api/v1/topologies/demo").await.unwrap();
        assert_eq!(demo["status"], "active", "{what}");
        let mut reached = 0;
        for decky in demo["deckies"].as_array().unwrap() {
            let name = &decky["name"];
            assert_eq!(decky["state"], "running", "{what}: {name}");
            let services = decky["services"].as_array().unwrap();
            let interfaces = decky["interfaces"].as_array().unwrap();
            let endpoints = decky["endpoints"].as_array().unwrap();
            let places = services.len() * interfaces.len();
            assert_eq!(endpoints.len(), places, "{what}: {name}");
            for endpoint in endpoints {
                let at: std::net::SocketAddrV4 =
                    endpoint["listening"].as_str().unwrap().parse().unwrap();
                if at.ip().octets()[..3] == [10, 66, 1] {
                    let there = self.segment.visit(|| connect(*at.ip(), at.port()).map(drop));
                    there.unwrap_or_else(|e| panic!("{what}: {name} at {at}: {e}"));
                    reached += 1;
                }
            }
        }
        assert!(reached > 0, "{what}: nothing is on the segment");
    }
}

/// The network namespaces that a process and its root helper hold by descriptors, by number.
fn namespaces_of(pid: u32) -> BTreeSet<String> {
    let of = |process: u32| {
        let files = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten();
        files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
    };
    let number = |target: std::path::PathBuf| {
        let number = target.to_str()?.strip_prefix("net:[")?.strip_suffix(']')?.to_owned();
        Some(number)
    };
    [pid].into_iter().chain(children(pid)).flat_map(of).filter_map(number).collect()
}

fn children(pid: u32) -> Vec<u32> {
    let parent = format!("PPid:\t{pid}");
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_child = |number: &u32| {
        // A process may end while it is looked at.
        let status = std::fs::read_to_string(format!("/proc/{number}/status")).unwrap_or_default();
        status.lines().any(|line| line == parent)
    };
    numbers.filter(is_child).collect()
}

async fn until_status(client: &Client, wanted: &str) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        let all = client.get("/api/v1/topologies").await.unwrap();
        if all["items"][0]["status"] == wanted {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "never {wanted}: {all:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_is_killed_leaves_nothing_and_comes_to_be() {
    for point in ["step:1", "step:5", "step:11", "built"] {
        let Some(site) = Site::new() else { return };
        let held = site.start(&[("MORGANA_CRASH_AT", point)]).until_crash_point().await;
        site.kill(held).await;
        let service = site.start(&[]).service().await;
        site.assert_desired(&service.client(), &format!("deployment killed at {point}")).await;
        assert!(!namespaces_of(service.pid()).is_empty(), "no class has a namespace");
        site.kill(service).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_killed_leaves_nothing_and_comes_to_be() {
    let add = json!({"op": "add_decky", "payload":
        {"name": "new-01", "lan": "dmz", "archetype": "linux-server", "services": ["ssh", "http"]}});
    let attach = json!({"op": "attach_decky", "payload":
        {"decky": "web-01", "lan": "office", "forwards_l3": true}});
    for (op, point) in [(&add, "claimed"), (&add, "executed"), (&attach, "executed")] {
        let Some(site) = Site::new() else { return };
        site.start(&[]).service().await.terminate().await;
        let mut victim = site.start(&[("MORGANA_CRASH_AT", point)]).service().await;
        let what = format!("{op} killed at {point}");
        let path = "/api/v1/topologies/demo/mutations";
        let queued = victim.client().post(path, op).await.unwrap();
        victim.wait_for_error("crash point").await;
        site.kill(victim).await;
        let service = site.start(&[]).service().await;
        let client = service.client();
        let path = format!("{path}/{}", queued["mutation_id"].as_str().unwrap());
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        let mut mutation = Value::Null;
        while mutation["state"] != "applied" {
            assert!(std::time::Instant::now() < deadline, "{what}: {mutation:#}");
            mutation = client.get(&path).await.unwrap();
        }
        site.assert_desired(&client, &what).await;
        site.kill(service).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_teardown_that_is_killed_leaves_nothing_and_comes_to_its_end() {
    let Some(site) = Site::new() else { return };
    let first = site.start(&[]).service().await;
    site.assert_desired(&first.client(), "at first").await;
    first.terminate().await;
    let environment = [("MORGANA_CRASH_AT", "taken-down")];
    let mut victim = site.start(&environment).service().await;
    victim.client().post("/api/v1/topologies/demo/teardown", &json!({})).await.unwrap();
    victim.wait_for_error("crash point").await;
    site.kill(victim).await;
    let start = site.start(&[]);
    let arguments = &start.arguments[1..];
    let service = Start { arguments, ..start }.service().await;
    until_status(&service.client(), "torn_down").await;
    site.kill(service).await;
}

/// Adds a decky that speaks SNMP to the segment; answers its address.
async fn add_agent(service: &Service, events: &mut Events, name: &str, archetype: &str) -> String {
    let client = service.client();
    let payload = json!({"name": name, "lan": "dmz", "archetype": archetype, "services": ["snmp"]});
    let op = json!({"op": "add_decky", "payload": payload});
    let queued = client.post("/api/v1/topologies/demo/mutations", &op).await.unwrap();
    let id = &queued["mutation_id"];
    events.wait("topology.mutation.applied", |p| p["mutation_id"] == *id).await;
    let decky = client.get(&format!("/api/v1/deckies/demo%2F{name}")).await.unwrap();
    let listening = decky["endpoints"][0]["listening"].as_str().unwrap();
    listening.strip_suffix(":161").expect("the true port").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_walked_on_the_segment_and_it_is_told() {
    const NAME: &str = "1.3.6.1.2.1.1.5.0";
    let Some(site) = Site::new() else { return };
    let service = site.start(&[]).service().await;
    let mut events = Events::follow(&service.client(), "/api/v1/events").await;
    let printer = add_agent(&service, &mut events, "printer-01", "printer").await;
    let monitor = add_agent(&service, &mut events, "monitor-01", "monitoring-node").await;
    let ask = |client: &str, at: &str, oid: &str| {
        let options = "-c public -O n -t 20 -r 0";
        site.segment.sh(&format!("{client} {options} {at} {oid}"))
    };
    let mut sessions = Vec::new();
    for (at, name) in [(&printer, "printer-01"), (&monitor, "monitor-01")] {
        for version in ["1", "2c"] {
            let said = ask(&format!("snmpget -v {version}"), at, NAME);
            assert_eq!(said.trim(), format!(".{NAME} = STRING: \"{name}\""), "v{version}");
            let question = format!("v{version} get {NAME}");
            let heard = |p: &Value| p["text"] == question && !sessions.contains(&p["session_id"]);
            let heard = events.wait("attacker.session.activity", heard).await;
            sessions.push(heard["payload"]["session_id"].clone());
        }
        for client in ["snmpwalk -v 1", "snmpwalk -v 2c", "snmpbulkwalk -v 2c"] {
            let walk = ask(client, at, ".1.3.6.1.2.1");
            assert!(walk.lines().count() > 50, "{client}: {walk}");
            // What it says of its own address is where it was asked.
            assert!(walk.contains(&format!("IpAddress: {at}")), "{client}: {walk}");
        }
    }
    for id in &sessions {
        let begun = events.wait("attacker.session.started", |p| p["session_id"] == *id).await;
        // The visitor as they are on the segment, not as a namespace sees them.
        let peer = begun["payload"]["peer"].as_str().unwrap();
        assert!(peer.starts_with("10.66.1.200:"), "{peer}");
        let ended = events.wait("attacker.session.ended", |p| p["session_id"] == *id).await;
        assert_eq!(ended["payload"]["truncated"], Value::Null);
    }
    let seen = site.segment.sh(&format!("nmap -n -sU -p 161,162 {printer}"));
    assert!(seen.contains("161/udp open   snmp") && seen.contains("162/udp closed"), "{seen}");
    site.kill(service).await;
}
