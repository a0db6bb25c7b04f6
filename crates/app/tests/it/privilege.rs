//! What the process that meets visitors may still do, and what its root helper may: the real
//! binary with the netns driver, started as root or with the capabilities that the unit of
//! `morgana service` gives, in a namespace of the test's own. Needs root; says so and passes where
//! there is none.

use std::{
    collections::BTreeMap,
    fs,
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use testkit::{Prefix, Service, Start, run};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::with;

const BINARY: &str = env!("CARGO_BIN_EXE_morgana");
const PATIENCE: Duration = Duration::from_secs(10);
/// How soon the helper has to be gone when the process it served is.
const SOON: Duration = Duration::from_secs(1);
/// CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN.
const HELPER_CAPABILITIES: &str = "0000000000203400";
const NOTHING: &str = "0000000000000000";

/// A network namespace that the calling thread is in, and everything that it starts.
struct Lab(String);

impl Lab {
    fn enter(name: &str) -> Option<Self> {
        let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
        if !is_root || !Path::new("/dev/net/tun").exists() {
            eprintln!("skipped: namespaces need root and /dev/net/tun");
            return None;
        }
        let lab = Self(format!("mgp{}{name}", std::process::id()));
        ip(&["netns", "add", &lab.0]);
        ip(&["-n", &lab.0, "link", "set", "lo", "up"]);
        let namespace = fs::File::open(format!("/run/netns/{}", lab.0)).unwrap();
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(namespace.as_fd(), kind).unwrap();
        Some(lab)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.0]);
    }
}

fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().unwrap().success(), "ip {arguments:?}");
}

/// The lines of a thread's status, by name.
fn status(of: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(of.join("status")).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.map(|(name, value)| (name.into(), value.trim().into())).collect()
}

fn threads(pid: u32) -> Vec<PathBuf> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks.map(|task| task.unwrap().path()).collect()
}

/// The only child of the service.
fn helper_of(service: &Service) -> u32 {
    let own = service.pid().to_string();
    let is_child = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.strip_prefix("PPid:").is_some_and(|p| p.trim() == own))
    };
    let all = fs::read_dir("/proc").unwrap().flatten();
    let mut pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(is_child).expect("the service has a helper")
}

fn is_gone(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.is_empty() || status.lines().any(|line| line.starts_with("State:\tZ"))
}

/// The namespaces that a process holds.
fn namespaces(pid: u32) -> usize {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    open.filter_map(|fd| fs::read_link(fd.path()).ok())
        .filter(|to| to.to_string_lossy().starts_with("net:["))
        .count()
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([name, &pid.to_string()]).status().unwrap();
    assert!(sent.success(), "kill {name} {pid}");
}

/// What a web server says first.
async fn visit(address: &str) -> String {
    let talk = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    };
    timeout(PATIENCE, talk).await.unwrap_or_else(|_| panic!("no answer at {address}"))
}

async fn netns(dir: &Path, prefix: &Prefix, arguments: &[&str]) -> Service {
    let arguments = [&["--set", "fleet.driver=netns"], arguments].concat();
    with(dir, prefix, &arguments, &[]).await
}

async fn morgana(dir: &Path, arguments: &[&str]) -> String {
    let dir = dir.display().to_string();
    run(BINARY, &[&["--data-dir", &dir], arguments].concat(), "").await
}

fn assert_powerless(service: &Service) {
    assert_powerless_within(service, NOTHING);
}

fn assert_powerless_within(service: &Service, bounds: &str) {
    let threads = threads(service.pid());
    assert!(threads.len() > 3, "the runtime has threads: {threads:?}");
    for thread in threads {
        let status = status(&thread);
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(status[set], NOTHING, "{set} of {}", status["Name"]);
        }
        assert_eq!(status["CapBnd"], bounds, "{}", status["Name"]);
        assert_eq!(status["NoNewPrivs"], "1", "{}", status["Name"]);
        assert_eq!(status["Seccomp"], "2", "{}", status["Name"]);
        let ids = [&status["Uid"], &status["Gid"], &status["Groups"]];
        for id in ids.iter().flat_map(|list| list.split_whitespace()) {
            assert_ne!(id, "0", "{ids:?} of {}", status["Name"]);
        }
    }
}

fn assert_confined(helper: u32) {
    let status = status(Path::new(&format!("/proc/{helper}")));
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(status[set], HELPER_CAPABILITIES, "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(status[set], NOTHING, "{set}");
    }
    assert_eq!((&*status["NoNewPrivs"], &*status["Seccomp"]), ("1", "2"));
    for fd in fs::read_dir(format!("/proc/{helper}/fd")).unwrap().flatten() {
        let number: u32 = fd.file_name().to_str().unwrap().parse().unwrap();
        let to = fs::read_link(fd.path()).unwrap();
        // The links of its namespaces, to say what may come out of them.
        let is_link = to == Path::new("/dev/net/tun");
        let is_its_own = number <= 2 || is_link || to.to_string_lossy().starts_with("net:[");
        assert!(is_its_own, "descriptor {number} of the helper is {}", to.display());
    }
}

#[tokio::test]
async fn the_process_that_meets_visitors_can_do_nothing_else() {
    let Some(_lab) = Lab::enter("a") else { return };
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    // As root, with another driver: what it leaves behind changes hands.
    with(dir.path(), &prefix, &["--set", "fleet.driver=fake"], &[]).await.terminate().await;

    let service = netns(dir.path(), &prefix, &["--demo"]).await;
    assert_powerless(&service);
    let helper = helper_of(&service);
    assert_confined(helper);
    for entry in fs::read_dir(dir.path()).unwrap().flatten() {
        assert_ne!(entry.metadata().unwrap().uid(), 0, "{:?} is root's", entry.path());
    }
    assert!(visit("10.66.1.10:80").await.starts_with("HTTP/1."));
    let add = "topology mutate demo add_decky name=late-01 lan=dmz ip=10.66.1.77 services=http";
    let said = morgana(dir.path(), &add.split(' ').collect::<Vec<_>>()).await;
    assert!(said.contains("applied"), "{said}");
    assert!(visit("10.66.1.77:80").await.starts_with("HTTP/1."));
    assert_powerless(&service);

    let (took, log) = service.terminate().await;
    assert!(took < Duration::from_secs(5), "it took {took:?}: {log}");
    assert!(log.contains("root is given up") && !log.contains("has ended"), "{log}");
    assert!(is_gone(helper), "the helper outlives a stop");
}

/// The user of the test's own that a service may be, in the words of `setpriv`.
const NOBODY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];

/// A program that runs Morgana as the unit of `morgana service install --driver netns` does: an
/// ordinary user with the four capabilities, which no program that it runs can exceed.
fn as_the_unit(directory: &Path) -> String {
    const RIGHTS: &str = "-all,+net_admin,+net_raw,+sys_admin,+net_bind_service";
    let program = directory.join("as-the-unit");
    let who = NOBODY.join(" ");
    // By its descriptor: the user need not be able to go where the binary is.
    let text = format!(
        "#!/bin/sh\nexec setpriv {who} --no-new-privs --inh-caps={RIGHTS} --ambient-caps={RIGHTS} \
         --bounding-set={RIGHTS} /proc/self/fd/9 \"$@\" 9<'{BINARY}'\n"
    );
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program.display().to_string()
}

#[tokio::test]
async fn who_was_given_capabilities_meets_no_visitor_with_them() {
    let Some(_lab) = Lab::enter("f") else { return };
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    std::os::unix::fs::chown(dir.path(), Some(65534), Some(65534)).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let binary = &as_the_unit(elsewhere.path());
    let arguments = &["--demo", "--set", "fleet.driver=netns"];
    let start =
        Start { binary, data_dir: dir.path(), prefix: &prefix, arguments, environment: &[] };
    let service = start.service().await;
    assert_powerless_within(&service, HELPER_CAPABILITIES);
    let helper = helper_of(&service);
    assert_confined(helper);
    for inside in ["fd/0", "environ", "mem"] {
        let look = ["cat", &format!("/proc/{helper}/{inside}")];
        let look = Command::new("setpriv").args(NOBODY).args(look).output().unwrap();
        let said = String::from_utf8_lossy(&look.stderr).into_owned();
        assert!(said.contains("Permission denied"), "{inside} of the helper: {said}");
    }
    assert!(visit("10.66.1.10:80").await.starts_with("HTTP/1."));
    let add = "topology mutate demo add_decky name=late-01 lan=dmz ip=10.66.1.77 services=http";
    let said = morgana(dir.path(), &add.split(' ').collect::<Vec<_>>()).await;
    assert!(said.contains("applied"), "{said}");
    assert!(visit("10.66.1.77:80").await.starts_with("HTTP/1."));
    assert_powerless_within(&service, HELPER_CAPABILITIES);

    let (took, log) = service.terminate().await;
    assert!(took < Duration::from_secs(5), "it took {took:?}: {log}");
    assert!(log.contains("capabilities are given up") && !log.contains("has ended"), "{log}");
    assert!(is_gone(helper), "the helper outlives a stop");
}

#[tokio::test]
async fn the_helper_makes_new_kinds_at_run_time_and_is_missed() {
    let Some(_lab) = Lab::enter("b") else { return };
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let kinds = tempfile::tempdir().unwrap();
    fs::set_permissions(kinds.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fleet/personalities");
    for (file, from, to) in [
        ("debian-12.toml", r#", "devops-host"]"#, "]"),
        ("windows-10.toml", "archetypes = []", r#"archetypes = ["devops-host"]"#),
    ] {
        let text = fs::read_to_string(built_in.join(file)).unwrap();
        assert!(text.contains(from), "{file}");
        fs::write(kinds.path().join(file), text.replace(from, to)).unwrap();
    }
    let kinds = format!("fleet.personalities={}", kinds.path().display());
    let mut service = netns(dir.path(), &prefix, &["--set", &kinds]).await;
    let helper = helper_of(&service);
    let say = async |line: &str| morgana(dir.path(), &line.split(' ').collect::<Vec<_>>()).await;
    for line in [
        "topology create lab",
        "topology mutate lab add_lan name=dmz subnet=10.66.1.0/24 is_dmz=true",
        "topology mutate lab add_decky name=web lan=dmz ip=10.66.1.10 services=http",
        "topology deploy lab",
    ] {
        let said = say(line).await;
        assert!(!said.contains("error") && !said.contains("failed"), "{line}: {said}");
    }
    assert!(visit("10.66.1.10:80").await.starts_with("HTTP/1."));
    assert_eq!(namespaces(helper), 1);
    let other = "topology mutate lab add_decky name=other lan=dmz ip=10.66.1.11 archetype=devops-host services=http";
    let said = say(other).await;
    assert!(said.contains("applied"), "{said}");
    assert_eq!(namespaces(helper), 2, "another kind is another namespace");
    assert!(visit("10.66.1.11:80").await.starts_with("HTTP/1."));

    signal(helper, "-KILL");
    service.wait_for_error("the root helper has ended").await;
    assert!(visit("10.66.1.10:80").await.starts_with("HTTP/1."), "what is there goes on");
    let said = say(
        "topology mutate lab add_decky name=third lan=dmz archetype=database-server services=redis",
    )
    .await;
    assert!(said.contains("the root helper has ended"), "{said}");
    assert!(visit("10.66.1.11:80").await.starts_with("HTTP/1."));
    service.terminate().await;
}

#[tokio::test]
async fn the_kill_switch_works_without_privilege_and_can_be_taken_back() {
    let Some(lab) = Lab::enter("g") else { return };
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let service = netns(dir.path(), &prefix, &["--demo"]).await;
    let helper = helper_of(&service);
    for _ in 0..2 {
        assert!(visit("10.66.1.10:80").await.starts_with("HTTP/1."));
        assert!(namespaces(helper) > 0);
        let mut open = TcpStream::connect("10.66.1.10:80").await.unwrap();
        open.write_all(b"GET ").await.unwrap();

        let said = morgana(dir.path(), &["panic", "--json"]).await;
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!((&said["by"], &said["is_kept"]), (&"service".into(), &true.into()));
        assert_eq!(namespaces(helper), 0, "the helper holds none");
        let links = Command::new("ip").args(["-n", &lab.0, "-o", "link"]).output().unwrap();
        let links = String::from_utf8_lossy(&links.stdout).into_owned();
        assert!(!links.contains("morgana0"), "{links}");
        let sessions = "/api/v1/sessions?live=true";
        let began = Instant::now();
        while service.client().get(sessions).await.unwrap()["items"] != serde_json::json!([]) {
            assert!(began.elapsed() < PATIENCE, "live sessions do not end");
            sleep(Duration::from_millis(20)).await;
        }
        assert!(!is_gone(helper), "it is there for what comes");

        let said = morgana(dir.path(), &["topology", "deploy", "demo"]).await;
        assert!(said.contains("active"), "{said}");
    }
    assert!(visit("10.66.1.10:80").await.starts_with("HTTP/1."));
    assert_powerless(&service);
    service.terminate().await;
}

/// The visitor's end of a cable, and the uplink.
fn cable(lab: &Lab) {
    ip(&["-n", &lab.0, "link", "add", "visitor", "type", "veth", "peer", "name", "uplink"]);
    ip(&["-n", &lab.0, "addr", "add", "10.66.1.254/24", "dev", "visitor"]);
    for end in ["visitor", "uplink"] {
        ip(&["-n", &lab.0, "link", "set", end, "up"]);
    }
}

#[tokio::test]
async fn an_uplink_that_comes_back_is_had_again_without_privilege() {
    let Some(lab) = Lab::enter("e") else { return };
    cable(&lab);
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let mut service = netns(dir.path(), &prefix, &["--demo", "--set", "fleet.uplink=uplink"]).await;
    assert!(visit("10.66.1.10:80").await.starts_with("HTTP/1."));
    ip(&["-n", &lab.0, "link", "del", "uplink"]);
    service.wait_for_error("the uplink is gone").await;
    cable(&lab);
    service.wait_for_error("the uplink is back").await;
    assert!(visit("10.66.1.10:80").await.starts_with("HTTP/1."));
    assert_powerless(&service);
    service.terminate().await;
}

#[tokio::test]
async fn the_helper_goes_with_a_killed_service_and_files_are_read_anew_without_root() {
    let Some(lab) = Lab::enter("c") else { return };
    cable(&lab);
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let elsewhere = tempfile::tempdir().unwrap();
    fs::set_permissions(elsewhere.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let file = elsewhere.path().join("morgana.toml");
    fs::write(&file, "nats_url = 'off'\n").unwrap();
    let may = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    may(0o600);
    let file = file.display().to_string();
    let arguments = ["--demo", "--config", &file, "--set", "fleet.uplink=uplink"];
    let mut service = netns(dir.path(), &prefix, &arguments).await;
    let helper = helper_of(&service);
    assert_powerless(&service);
    assert!(visit("10.66.1.10:80").await.starts_with("HTTP/1."));
    signal(service.pid(), "-HUP");
    service.wait_for_error("Permission denied").await;
    may(0o644);
    fs::write(&file, "nosuch = 1\n").unwrap();
    signal(service.pid(), "-HUP");
    service.wait_for_error("nosuch: unknown key").await;

    service.kill().await;
    let killed = Instant::now();
    while !is_gone(helper) {
        assert!(killed.elapsed() < SOON, "the helper outlives the service");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn who_stays_root_is_told() {
    let Some(_lab) = Lab::enter("d") else { return };
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let mut service = netns(dir.path(), &prefix, &["--set", "fleet.user=root"]).await;
    assert!(service.drain_errors().contains("the service stays root"));
    service.terminate().await;
    let said =
        morgana(dir.path(), &["up", "--driver", "netns", "--set", "fleet.user=no-such-user"]);
    let said = said.await;
    assert!(
        said.contains("fleet.user") && said.contains("there is no user `no-such-user`"),
        "{said}"
    );
}

#[tokio::test]
async fn nobody_types_the_helper() {
    let said = run(BINARY, &["root-helper", "plain", "interface", "lo"], "").await;
    assert!(said.contains("not by hand"), "{said}");
    assert!(!run(BINARY, &["help"], "").await.contains("root-helper"));
}
