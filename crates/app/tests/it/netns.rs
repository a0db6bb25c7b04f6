//! The service on a real segment: killed at any step it leaves nothing in the kernel, and the
//! next start brings the network to desired state; what is asked by datagrams is answered and told.
//! Needs root; says so and passes where there is
//! none.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

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
            &["--demo", "--driver", "netns", "--uplink", "u0", "--mac", "own"];
        let (binary, data_dir, prefix) = (&*self.binary, self.dir.path(), &self.prefix);
        Start { binary, data_dir, prefix, arguments: ARGUMENTS, environment }
    }

    /// Kills it; nothing of it is in the kernel then.
    async fn kill(&self, service: Service) {
        let namespaces = namespaces_of(service.pid());
        service.kill().await;
        assert_nothing_left(&self.segment.lan, &namespaces).await;
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

/// Nothing of a service that was killed is in the kernel: none of these namespaces, and no link
/// and no route where its uplink is.
pub(crate) async fn assert_nothing_left(lan: &str, namespaces: &BTreeSet<String>) {
    let left = || processes().into_iter().any(|process| !held_by(process).is_disjoint(namespaces));
    // The kernel takes a namespace down after its last descriptor.
    let until = std::time::Instant::now() + PATIENCE;
    while left() {
        assert!(std::time::Instant::now() < until, "namespaces are left: {namespaces:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let links = run(&format!("ip -n {lan} -o link show"));
    let names: Vec<_> = links.lines().filter_map(|line| line.split(": ").nth(1)).collect();
    assert!(names.iter().all(|name| *name == "lo" || name.starts_with("u0@")), "{names:?}");
    assert_eq!(run(&format!("ip -n {lan} route show")), "", "routes are left");
}

/// The network namespaces that a process and its root helper hold by descriptors, by number.
pub(crate) fn namespaces_of(pid: u32) -> BTreeSet<String> {
    [pid].into_iter().chain(children(pid)).flat_map(held_by).collect()
}

/// The network namespaces that a process holds by descriptors; of one that ends, what is left.
fn held_by(process: u32) -> BTreeSet<String> {
    let files = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten();
    let targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    let number = |target: std::path::PathBuf| {
        let number = target.to_str()?.strip_prefix("net:[")?.strip_suffix(']')?.to_owned();
        Some(number)
    };
    targets.filter_map(number).collect()
}

fn processes() -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn children(pid: u32) -> Vec<u32> {
    let parent = format!("PPid:\t{pid}");
    let is_child = |number: &u32| {
        // A process may end while it is looked at.
        let status = std::fs::read_to_string(format!("/proc/{number}/status")).unwrap_or_default();
        status.lines().any(|line| line == parent)
    };
    processes().into_iter().filter(is_child).collect()
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

/// A visitor's FTP session, and the decky that it is with.
struct Ftp {
    control: BufReader<TcpStream>,
    address: Ipv4Addr,
}

impl Ftp {
    fn login(address: Ipv4Addr, (user, password): (&str, &str)) -> Self {
        let control = BufReader::new(connect(address, 21).unwrap());
        let mut ftp = Self { control, address };
        assert!(ftp.reply().starts_with("220"));
        assert!(ftp.say(&format!("USER {user}")).starts_with("331"));
        let said = ftp.say(&format!("PASS {password}"));
        assert!(said.starts_with("230"), "{said}");
        ftp
    }

    fn say(&mut self, line: &str) -> String {
        write!(self.control.get_mut(), "{line}\r\n").unwrap();
        self.reply()
    }

    fn reply(&mut self) -> String {
        let mut line = String::new();
        self.control.read_line(&mut line).unwrap();
        line
    }

    /// Where the decky says that it waits.
    fn passive(&mut self, is_extended: bool) -> SocketAddr {
        let said = self.say(if is_extended { "EPSV" } else { "PASV" });
        let inside = said.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
        let inside = inside.unwrap_or_else(|| panic!("no address: {said}")).0;
        if is_extended {
            return (self.address, inside.trim_matches('|').parse().unwrap()).into();
        }
        let numbers: Vec<u8> = inside.split(',').map(|number| number.parse().unwrap()).collect();
        let [a, b, c, d, high, low] = numbers[..] else { panic!("{said}") };
        ([a, b, c, d], u16::from_be_bytes([high, low])).into()
    }

    /// Fetches a file over a connection of its own.
    fn fetch(&mut self, path: &str, is_extended: bool) -> String {
        let at = self.passive(is_extended);
        assert_eq!(at.ip(), self.address, "its own address, whatever the way to it");
        let mut data = connect(self.address, at.port()).unwrap();
        let said = self.say(&format!("RETR {path}"));
        assert!(said.starts_with("150"), "{said}");
        let mut text = String::new();
        data.read_to_string(&mut text).unwrap();
        assert!(self.reply().starts_with("226"));
        text
    }
}

/// Whether nobody lets the visitor in there, who comes from `from`.
fn is_refused(from: &str, at: SocketAddr) -> bool {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    connect(&socket, &at) == Err(rustix::io::Errno::CONNREFUSED)
}

#[tokio::test(flavor = "multi_thread")]
async fn ftp_lists_and_moves_files_for_who_is_expected_and_nobody_else() {
    let Some(site) = Site::new() else { return };
    site.segment.sh("ip addr add 10.66.1.201/24 dev eth0");
    let service = site.start(&[]).service().await;
    let mut events =
        Events::follow(&service.client(), "/api/v1/events?filter=attacker.session.%3E").await;
    let line = service.welcome_line("  ftp ").to_owned();
    let address: Ipv4Addr = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    let (user, password) = line.rsplit_once(", ").unwrap().1.split_once(" / ").unwrap();
    let login = format!("{user}:{password}");
    let curl = async |arguments: &[&str], path: &str| {
        let url = format!("ftp://{address}/{path}");
        let visitor = ["netns", "exec", &site.segment.visitor, "curl", "-sS", "--max-time", "20"];
        let all = [&visitor[..], &["--interface", "10.66.1.200", "--user", &login], arguments];
        testkit::run("ip", &[&all.concat()[..], &[&url]].concat(), "#!/bin/sh\nid\n").await
    };
    // By EPSV, and by PASV to the address that it names.
    for way in [&[][..], &["--disable-epsv", "--no-ftp-skip-pasv-ip"]] {
        let listing = curl(way, "%2F/").await;
        assert!(listing.contains(" bin -> usr/bin"), "{way:?}: {listing}");
        let file = curl(way, "%2Fetc/passwd").await;
        assert!(file.starts_with("root:x:0:0:"), "{way:?}: {file}");
        assert_eq!(curl(&[way, &["-T", "-"]].concat(), "drop.sh").await, "", "{way:?}");
    }
    events
        .wait("attacker.session.activity", |p| {
            p["kind"] == "upload" && p["text"].as_str().unwrap().contains("drop.sh")
        })
        .await;

    site.segment.visit(|| {
        let mut ftp = Ftp::login(address, (user, password));
        let (own, other) = ("10.66.1.200", "10.66.1.201");
        assert_eq!(ftp.control.get_ref().local_addr().unwrap().ip().to_string(), own);
        let at = ftp.passive(false);
        assert!(is_refused(other, at), "another visitor comes in");
        let neighbour = SocketAddr::new("10.66.1.10".parse().unwrap(), at.port());
        assert!(is_refused(own, neighbour), "another decky lets him in");
        assert!(ftp.fetch("/etc/passwd", false).starts_with("root:x:0:0:"));
        assert!(is_refused(own, at), "it is open still");

        // Many at once, over and over, each with files of its own.
        std::thread::scope(|scope| {
            for visitor in 0..40 {
                scope.spawn(move || {
                    let mut ftp = Ftp::login(address, (user, password));
                    for round in 0..5 {
                        let path = ["/etc/passwd", "/etc/hostname"][(visitor + round) % 2];
                        let text = ftp.fetch(path, (visitor / 2 + round).is_multiple_of(2));
                        assert_eq!(text.starts_with("root:x:0:0:"), path == "/etc/passwd");
                    }
                    assert!(ftp.say("QUIT").starts_with("221"));
                });
            }
        });
    });
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
