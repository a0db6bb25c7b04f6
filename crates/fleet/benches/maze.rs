//! What deckies on a real segment cost: deploying and tearing down, memory and descriptors,
//! connections and bulk through the switch, and over the same wire without it. The driver alone,
//! with a host that greets; the whole service is in the bench of the same name in `crates/app`.
//!
//! Needs root. `MORGANA_BENCH_DECKIES` names the counts, `MORGANA_BENCH_SECONDS` the length of
//! each measurement under load.

#![allow(missing_docs, clippy::unwrap_used, reason = "a program that prints figures")]

extern crate morgana_fleet as fleet;

#[path = "../../testkit/src/segment.rs"]
#[allow(dead_code, reason = "shared with tests, which use more of it")]
mod segment;

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::{fd::AsFd, unix::net::UnixStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use fleet::{
    Bound, DataPorts, DecoyHost, Driver, Gate, Listener, MacChoice, Netns, NetnsConfig, Opened,
    Uplink, switch::Personalities,
};
use model::{
    Ambient, Archetype, Decky, DeckyId, Edge, InstallationSecret, Lan, LanId, Service,
    ServiceConfig, Timestamp, Topology, Transport,
};

use self::segment::{Segment, connect, run, within};

/// The port at which everything is read and nothing is said.
const BULK: u16 = 80;
/// Neighbours that a visitor remembers are limited on the whole machine: 1,024 by default.
const VISITED: usize = 500;

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let Some(segment) = Segment::new() else { return };
    let named = std::env::var("MORGANA_BENCH_DECKIES").ok();
    let counts = named.as_deref().unwrap_or(if is_test { "10" } else { "100,4000,65000" });
    let seconds = std::env::var("MORGANA_BENCH_SECONDS").ok().and_then(|text| text.parse().ok());
    let length = Duration::from_secs(if is_test { 1 } else { seconds.unwrap_or(5) });
    for count in counts.split(',').map(|count| count.parse().unwrap()) {
        deploy(&segment, count);
    }
    under_load(&segment, length);
}

/// A gate that is served: the thread that does it ends when the other end of this is closed.
type Served = (UnixStream, JoinHandle<()>);

/// Greets and closes, or reads to the end.
#[derive(Default)]
struct Host {
    gates: Mutex<BTreeMap<(LanId, u16), Served>>,
    bound: AtomicUsize,
}

impl DecoyHost for Host {
    fn open_gate(&self, Gate { tag, listener }: Gate) -> Result<(), String> {
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = UnixStream::pair().unwrap();
        let Listener::Connections(listener) = listener else { panic!("a service over TCP") };
        let serve = std::thread::spawn(move || serve(&listener, port, &stopped));
        self.gates.lock().unwrap().insert((tag, port), (stop, serve));
        Ok(())
    }

    fn close_gate(&self, tag: LanId, _: Transport, port: u16) {
        let (stop, thread) = self.gates.lock().unwrap().remove(&(tag, port)).unwrap();
        drop(stop);
        thread.join().unwrap();
    }

    fn bind(&self, _: Bound) -> Result<(), String> {
        self.bound.fetch_add(1, SeqCst);
        Ok(())
    }

    fn unbind(&self, _: LanId, _: Transport, _: SocketAddr) {
        self.bound.fetch_sub(1, SeqCst);
    }

    fn open(&self, opened: Opened) -> Result<(), String> {
        Err(format!("not a shared listener: {opened:?}"))
    }

    fn close(&self, _: DeckyId, _: LanId, _: Transport, _: SocketAddr) {}

    fn uplink_changed(&self, _: bool) {}

    fn data_ports(&self, _: LanId, _: DataPorts) {}

    fn decky_gone(&self, _: DeckyId) {}

    fn interface_gone(&self, _: DeckyId, _: LanId) {}
}

fn serve(listener: &TcpListener, port: u16, stop: &UnixStream) {
    use rustix::event::{PollFd, PollFlags, poll};
    loop {
        let Ok((mut stream, _)) = listener.accept() else {
            let mut both = [PollFd::new(listener, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
            poll(&mut both, None).unwrap();
            match both[1].revents().is_empty() {
                true => continue,
                false => return,
            }
        };
        match port {
            BULK => drop(std::thread::spawn(move || sink(&stream))),
            // A visitor that is gone by now needs no greeting.
            _ => drop(stream.write_all(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u2\r\n")),
        }
    }
}

fn sink(mut stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    let mut buffer = vec![0; 1 << 18];
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

/// Deckies of three services on LANs of 16,000 at most, all on the uplink.
fn topology(count: usize) -> Topology {
    let ambient = Ambient::seeded(1, Timestamp::from_micros(1_700_000_000_000_000));
    let mut topology = Topology::new(ambient.id(), "bench".parse().unwrap());
    for lan in 0..count.div_ceil(16_000) {
        let row = Lan {
            id: ambient.id(),
            name: format!("dmz-{lan}").parse().unwrap(),
            subnet: format!("10.{}.0.0/16", 80 + lan).parse().unwrap(),
            is_dmz: true,
            position: None,
        };
        for nth in (0..count).skip(lan * 16_000).take(16_000) {
            let id = ambient.id();
            let edge = Edge { lan: row.id, address: address(nth), forwards_l3: false };
            let decky = Decky {
                id,
                name: format!("decky-{nth}").parse().unwrap(),
                archetype: [Archetype::FileServer, Archetype::LinuxServer][nth % 2],
                edges: vec![edge],
                forwards_l3: false,
                is_stopped: false,
                services: [Service::Ftp, Service::Ssh, Service::Http].map(Into::into).to_vec(),
                rotate_every: None,
                rotated_at: ambient.now(),
                position: None,
            };
            topology.deckies.insert(id, Arc::new(decky));
        }
        topology.lans.insert(row.id, Arc::new(row));
    }
    topology
}

fn address(nth: usize) -> Ipv4Addr {
    let [high, low] = (nth as u16 % 16_000 + 256).to_be_bytes();
    Ipv4Addr::new(10, 80 + (nth / 16_000) as u8, high, low)
}

fn driver(segment: &Segment) -> Netns {
    let config = NetnsConfig {
        uplink: Uplink::InterfaceWithin {
            netns: format!("/run/netns/{}", segment.lan).into(),
            name: "u0".into(),
        },
        mac: MacChoice::Own,
        personalities: Personalities::built_in(),
        protected: Vec::new(),
        listen_first: Duration::ZERO,
        offloads: true,
        secret: InstallationSecret::new([7; 32]),
        ambient: Ambient::system(),
    };
    Netns::new(config, Arc::new(Host::default())).unwrap()
}

/// KiB of this process, and of the whole machine's kernel.
fn memory() -> (f64, f64) {
    let kib = |file: &str, key: &str| -> f64 {
        let text = std::fs::read_to_string(file).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
    };
    (kib("/proc/self/status", "VmRSS"), kib("/proc/meminfo", "Slab"))
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn deploy(segment: &Segment, count: usize) {
    let topology = topology(count);
    let driver = driver(segment);
    let (before, slab, open) = (memory().0, memory().1, descriptors());
    let began = Instant::now();
    let observed = driver.observe(topology.id);
    let steps = maze::plan(Some(&topology), &observed);
    let planned = began.elapsed();
    let began = Instant::now();
    steps.chunks(4096).for_each(|some| driver.execute_all(some).unwrap());
    let took = began.elapsed();
    let number = steps.len();
    drop(steps);
    let each = |after: f64, before: f64| (after - before) / count as f64;
    println!(
        "{count} deckies of 3 services: planned in {:.1} ms, {number} steps in {:.1} ms; each has \
         {:.2} KiB of the process (its plan included) and {:.2} KiB of the kernel's slab; {} \
         descriptors in all",
        millis(planned),
        millis(took),
        each(memory().0, before),
        each(memory().1, slab),
        descriptors() - open
    );
    change(segment, &driver, &topology, count);
    let other = topology.deckies.values().next().unwrap().id;
    let service = Service::Redis.into();
    let first = maze::Step::OpenService { topology: topology.id, decky: other, service };
    driver.execute(&first).unwrap();
    print!("  where another decky has it:");
    change(segment, &driver, &topology, count);
    let began = Instant::now();
    let down = maze::plan(None, &driver.observe(topology.id));
    down.chunks(4096).for_each(|some| driver.execute_all(some).unwrap());
    println!("  torn down in {:.1} ms, its plan included", millis(began.elapsed()));
    assert!(driver.observe(topology.id).is_empty());
}

/// One port opens and closes, again and again.
fn change(segment: &Segment, driver: &Netns, topology: &Topology, count: usize) {
    let decky = topology.deckies.values().nth(count / 2).unwrap();
    let (topology, decky, at) = (topology.id, decky.id, decky.edges[0].address);
    let service = ServiceConfig::from(Service::Redis);
    // Whoever is not on 10.80.0.0/16 is behind a gateway, for this visitor.
    let is_near = at.octets()[1] == 80;
    let (mut inside, mut seen) = (Vec::new(), Vec::new());
    segment.visit(|| {
        for _ in 0..300 {
            let began = Instant::now();
            let open = maze::Step::OpenService { topology, decky, service };
            driver.execute(&open).unwrap();
            inside.push(millis(began.elapsed()));
            if is_near {
                connect(at, service.port).unwrap();
                seen.push(millis(began.elapsed()));
            }
            driver.execute(&maze::Step::CloseService { topology, decky, service }).unwrap();
        }
    });
    println!("  a port opens in {}; a visitor is connected after {}", spread(inside), spread(seen));
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn spread(mut times: Vec<f64>) -> String {
    times.sort_by(f64::total_cmp);
    let at = |q: f64| times.get(((times.len().max(1) - 1) as f64 * q).round() as usize);
    match (at(0.5), at(0.99)) {
        (Some(p50), Some(p99)) => format!("{p50:.3} ms p50, {p99:.3} ms p99"),
        _ => "–".into(),
    }
}

/// The same visitor, to deckies through the switch and to a listener on the wire's other end.
fn under_load(segment: &Segment, length: Duration) {
    run(&format!("ip -n {} addr add 10.80.0.9/16 dev u0", segment.lan));
    let lan = std::fs::File::open(format!("/run/netns/{}", segment.lan)).unwrap();
    let direct = [2222, BULK].map(|port| {
        let listen = || TcpListener::bind(("10.80.0.9", port)).unwrap();
        let listener = within(lan.as_fd(), listen);
        listener.set_nonblocking(true).unwrap();
        let (stop, stopped) = UnixStream::pair().unwrap();
        (stop, std::thread::spawn(move || serve(&listener, port, &stopped)))
    });
    let wire = [Ipv4Addr::new(10, 80, 0, 9)];
    let plain = visits(segment, &wire, 2222, length);
    let plain_bulk = bulk(segment, wire[0], length);
    let driver = driver(segment);
    let topology = topology(4000);
    driver.execute_all(&maze::plan(Some(&topology), &driver.observe(topology.id))).unwrap();
    let deckies: Vec<Ipv4Addr> = (0..VISITED).map(address).collect();
    let switched = visits(segment, &deckies, 22, length);
    let switched_bulk = bulk(segment, deckies[1], length);
    println!("one at a time: {} through the switch, {} over the wire alone", switched.0, plain.0);
    println!(
        "64 at once: {:.0} connections/s through the switch, {:.0} over the wire alone",
        switched.1, plain.1
    );
    println!(
        "bulk, one connection: {switched_bulk:.2} GB/s through the switch, {plain_bulk:.2} GB/s \
         over the wire alone"
    );
    for (stop, thread) in direct {
        drop(stop);
        thread.join().unwrap();
    }
}

/// Connects and reads the greeting: how long connecting takes with one visitor, and how many
/// connections there are in a second with 64.
fn visits(segment: &Segment, to: &[Ipv4Addr], port: u16, length: Duration) -> (String, f64) {
    let mut greeting = [0; 8];
    let mut times = Vec::new();
    segment.visit(|| {
        for nth in 0..4000 {
            let began = Instant::now();
            let mut stream = connect(to[nth * 7 % to.len()], port).unwrap();
            times.push(millis(began.elapsed()));
            stream.read_exact(&mut greeting).unwrap();
        }
    });
    let done = AtomicUsize::new(0);
    let until = Instant::now() + length;
    let visit = |mut nth: usize| {
        let mut greeting = [0; 64];
        while Instant::now() < until {
            nth = nth.wrapping_mul(31).wrapping_add(7);
            let mut stream = connect(to[nth % to.len()], port).unwrap();
            while stream.read(&mut greeting).unwrap() > 0 {}
            done.fetch_add(1, SeqCst);
        }
    };
    let began = Instant::now();
    std::thread::scope(|scope| {
        for nth in 0..64 {
            scope.spawn(move || segment.visit(|| visit(nth)));
        }
    });
    (spread(times), done.load(SeqCst) as f64 / began.elapsed().as_secs_f64())
}

fn bulk(segment: &Segment, to: Ipv4Addr, length: Duration) -> f64 {
    segment.visit(|| {
        let mut stream = connect(to, BULK).unwrap();
        let buffer = vec![7; 1 << 18];
        let (began, mut sent) = (Instant::now(), 0);
        while began.elapsed() < length {
            stream.write_all(&buffer).unwrap();
            sent += buffer.len();
        }
        sent as f64 / began.elapsed().as_secs_f64() / 1e9
    })
}
