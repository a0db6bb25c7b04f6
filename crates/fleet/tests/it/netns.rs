//! The netns driver on a segment of the test's own: a visitor in one namespace, the uplink in
//! another. Needs root; says so and passes where there is none. Everything that is made has the
//! test's own name and is removed at the end.

mod addresses;
mod data;
mod datagrams;
mod failure;
mod mac;
mod panic;
mod relay;
#[allow(dead_code, reason = "shared with tests of the whole service")]
#[path = "../../../testkit/src/segment.rs"]
mod segment;
mod steps;
mod weather;

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::Duration,
};

use fleet::{
    Bound, DataPorts, DecoyHost, Driver, Gate, Listener, MacChoice, Netns, NetnsConfig, Opened,
    StepError, Uplink,
    switch::{Count, Personalities},
};
use maze::Step;
use model::{
    Ambient, Archetype, Decky, DeckyId, Edge, InstallationSecret, Lan, LanId, Service,
    ServiceConfig, Timestamp, Topology, Transport,
};

use self::segment::{Answer, PATIENCE, SILENCE, Segment, banner, connect, ping, run, within};
use crate::{converge, tear_down};

/// A gate that is served: what stops it, and the thread that does it.
type Served = (Arc<AtomicBool>, JoinHandle<()>);

/// Who answers where.
type Bindings = Mutex<BTreeMap<(LanId, Transport, SocketAddr), String>>;

/// Answers every connection and every datagram with the name of the decky that was meant, where one is bound, and
/// echoes what comes.
#[derive(Default)]
struct Host {
    gates: Mutex<BTreeMap<(LanId, Transport, u16), Served>>,
    bound: Arc<Bindings>,
    data_ports: Mutex<BTreeMap<LanId, DataPorts>>,
    /// What was told about the uplink.
    uplink: Arc<Mutex<Vec<bool>>>,
    /// What was told about the end of the network.
    failures: Mutex<Vec<String>>,
    /// Whose interface went, and on which LAN.
    interfaces_gone: Arc<Mutex<Vec<(DeckyId, LanId)>>>,
}

impl DecoyHost for Host {
    fn open(&self, opened: Opened) -> Result<(), String> {
        Err(format!("not a shared listener: {opened:?}"))
    }

    fn close(&self, _: DeckyId, _: LanId, _: Transport, _: SocketAddr) {}

    fn uplink_changed(&self, is_there: bool) {
        self.uplink.lock().unwrap().push(is_there);
    }

    fn network_failed(&self, why: &str) {
        self.failures.lock().unwrap().push(why.to_owned());
    }

    fn data_ports(&self, tag: LanId, ports: DataPorts) {
        self.data_ports.lock().unwrap().insert(tag, ports);
    }

    fn decky_gone(&self, _: DeckyId) {}

    fn interface_gone(&self, decky: DeckyId, lan: LanId) {
        self.interfaces_gone.lock().unwrap().push((decky, lan));
    }

    fn open_gate(&self, Gate { tag, listener }: Gate) -> Result<(), String> {
        let port = listener.local_addr().unwrap().port();
        let (stop, bound) = (Arc::new(AtomicBool::new(false)), self.bound.clone());
        let (stopped, transport) = (stop.clone(), listener.transport());
        let serve = std::thread::spawn(move || match listener {
            Listener::Connections(listener) => accept(&listener, tag, &bound, &stopped),
            Listener::Datagrams(socket) => datagrams::answer(&socket, tag, &bound, &stopped),
        });
        let twin = self.gates.lock().unwrap().insert((tag, transport, port), (stop, serve));
        assert!(twin.is_none());
        Ok(())
    }

    fn close_gate(&self, tag: LanId, transport: Transport, port: u16) {
        let (stop, thread) = self.gates.lock().unwrap().remove(&(tag, transport, port)).unwrap();
        stop.store(true, SeqCst);
        thread.join().unwrap();
    }

    fn bind(&self, bound: Bound) -> Result<(), String> {
        let name = format!("{} {}", bound.decky.name, bound.service.service);
        let transport = bound.service.service.transport();
        self.bound.lock().unwrap().insert((bound.tag, transport, bound.at), name);
        Ok(())
    }

    fn unbind(&self, tag: LanId, transport: Transport, at: SocketAddr) {
        self.bound.lock().unwrap().remove(&(tag, transport, at));
    }
}

fn accept(listener: &TcpListener, tag: LanId, bound: &Bindings, stop: &AtomicBool) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let rest = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    while !stop.load(SeqCst) {
        let mut fds = [PollFd::new(listener, PollFlags::IN)];
        poll(&mut fds, Some(&rest)).unwrap();
        let Ok((mut stream, _)) = listener.accept() else { continue };
        let at = stream.local_addr().unwrap();
        let place = (tag, Transport::Tcp, at);
        let name = bound.lock().unwrap().get(&place).cloned();
        let name = name.unwrap_or_else(|| "a second connection".into());
        std::thread::spawn(move || -> io::Result<()> {
            stream.set_nonblocking(false)?;
            stream.write_all(format!("{name}\n").as_bytes())?;
            let mut buffer = [0; 65_536];
            loop {
                match stream.read(&mut buffer)? {
                    0 => return Ok(()),
                    length => stream.write_all(&buffer[..length])?,
                }
            }
        });
    }
}

/// A segment, and the driver on it.
struct Lab(Segment);

impl std::ops::Deref for Lab {
    type Target = Segment;

    fn deref(&self) -> &Segment {
        &self.0
    }
}

impl Lab {
    fn new() -> Option<Self> {
        Segment::new().map(Self)
    }

    fn config(&self, personalities: Personalities) -> NetnsConfig {
        NetnsConfig {
            uplink: Uplink::InterfaceWithin {
                netns: format!("/run/netns/{}", self.lan).into(),
                name: "u0".into(),
            },
            mac: MacChoice::Own,
            personalities,
            protected: vec!["10.80.0.1/32".parse().unwrap()],
            listen_first: Duration::ZERO,
            offloads: true,
            secret: InstallationSecret::new([7; 32]),
            ambient: Ambient::seeded(3, Timestamp::from_micros(1_800_000_000_000_000)),
        }
    }

    fn driver(&self) -> Netns {
        self.driver_with(Arc::default())
    }

    fn driver_of(&self, host: Host) -> Netns {
        self.driver_with(Arc::new(host))
    }

    fn driver_with(&self, host: Arc<Host>) -> Netns {
        Netns::new(self.config(mixed()), host).unwrap()
    }
}

/// File servers run Windows, everything else Debian.
fn mixed() -> Personalities {
    let mut all = Personalities::built_in();
    let mut windows = all.get(all.named("windows-10").unwrap()).clone();
    windows.archetypes = vec![Archetype::FileServer];
    let mut debian = all.get(all.named("debian-12").unwrap()).clone();
    debian.archetypes.retain(|archetype| *archetype != Archetype::FileServer);
    all.put(windows);
    all.put(debian);
    all
}

/// One LAN, every second decky a Windows machine, with ssh on 22 and http on 80.
fn topology(count: u16) -> Topology {
    let ambient = Ambient::seeded(1, Timestamp::from_micros(1_700_000_000_000_000));
    let mut topology = Topology::new(ambient.id(), "lab".parse().unwrap());
    let lan = Lan {
        id: ambient.id(),
        name: "dmz".parse().unwrap(),
        subnet: "10.80.0.0/16".parse().unwrap(),
        is_dmz: true,
        position: None,
    };
    for nth in 0..count {
        let [high, low] = (nth + 256).to_be_bytes();
        let decky = Decky {
            id: ambient.id(),
            name: format!("decky-{nth}").parse().unwrap(),
            archetype: [Archetype::FileServer, Archetype::LinuxServer][usize::from(nth % 2)],
            edges: vec![edge(&lan, [10, 80, high, low])],
            forwards_l3: false,
            is_stopped: false,
            services: vec![Service::Ssh.into(), Service::Http.into()],
            rotate_every: None,
            rotated_at: ambient.now(),
            position: None,
        };
        topology.deckies.insert(decky.id, Arc::new(decky));
    }
    topology.lans.insert(lan.id, Arc::new(lan));
    topology
}

fn edge(lan: &Lan, address: [u8; 4]) -> Edge {
    Edge { lan: lan.id, address: address.into(), forwards_l3: false }
}

fn named<'a>(topology: &'a Topology, name: &str) -> &'a Arc<Decky> {
    topology.decky_named(&name.parse().unwrap()).unwrap()
}

/// A session that was open before and has to be open still.
struct Session(TcpStream);

impl Session {
    fn open(lab: &Lab, address: Ipv4Addr, greeting: &str) -> Self {
        let mut stream = lab.visit(|| connect(address, 22).unwrap());
        let mut line = vec![0; greeting.len()];
        stream.read_exact(&mut line).unwrap();
        assert_eq!(String::from_utf8(line).unwrap(), greeting);
        Self(stream)
    }

    fn still_goes_on(&mut self) {
        let mut answer = [0; 12];
        self.0.write_all(b"still there?").unwrap();
        self.0.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"still there?");
    }
}

#[test]
fn a_visitor_meets_many_machines() {
    let Some(lab) = Lab::new() else { return };
    let (driver, topology) = (lab.driver(), topology(40));
    converge(&driver, &topology);
    for decky in topology.deckies.values() {
        let address = decky.edges[0].address;
        let (ssh, http, closed) = lab
            .visit(|| (banner(address, 22), banner(address, 80), connect(address, 21).map(drop)));
        assert_eq!(ssh.unwrap(), format!("{} ssh", decky.name));
        assert_eq!(http.unwrap(), format!("{} http", decky.name));
        assert_eq!(closed.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
    let neighbours = lab.sh("ip neigh show dev eth0");
    for decky in topology.deckies.values() {
        let edge = decky.edges[0];
        let mac = driver.mac(decky.id, edge.lan).unwrap();
        assert!(neighbours.contains(&format!("{} lladdr {mac} ", edge.address)), "{neighbours}");
    }
    assert!(neighbours.lines().count() == 40, "{neighbours}");
    tear_down(&driver, &topology);
    assert_eq!(driver.report().unwrap().get(Count::EgressDenied), 0);
}

#[test]
fn bulk_goes_through_unharmed_with_offloads_and_without() {
    let Some(lab) = Lab::new() else { return };
    for offloads in [true, false] {
        if !offloads {
            for (namespace, link) in [(&lab.visitor, "eth0"), (&lab.lan, "u0")] {
                let file = format!("/run/netns/{namespace}");
                let namespace = std::fs::File::open(file).unwrap();
                within(namespace.as_fd(), || offloads_off(link));
            }
        }
        let config = NetnsConfig { offloads, ..lab.config(mixed()) };
        let driver = Netns::new(config, Arc::new(Host::default())).unwrap();
        let topology = topology(2);
        converge(&driver, &topology);
        for decky in topology.deckies.values() {
            let address = decky.edges[0].address;
            lab.visit(|| {
                let stream = connect(address, 22).unwrap();
                let mut writer = stream.try_clone().unwrap();
                let sent: Vec<u8> = (0..8_000_000_u32).map(|n| (n * 7 % 251) as u8).collect();
                let (copy, mut reader) = (sent.clone(), io::BufReader::new(stream));
                let send = std::thread::spawn(move || writer.write_all(&copy).unwrap());
                let mut line = String::new();
                io::BufRead::read_line(&mut reader, &mut line).unwrap();
                let mut received = vec![0; sent.len()];
                reader.read_exact(&mut received).unwrap();
                assert!(received == sent, "offloads {offloads}: bytes changed on the way");
                send.join().unwrap();
            });
        }
    }
}

/// Has frames go out whole and summed up, as from a card without offloads.
fn offloads_off(link: &str) {
    let python = format!(
        "import fcntl,socket,struct,array\n\
         s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n\
         for c in (0x15,0x17,0x1f,0x24,0x2c):\n\
         \tv=array.array('B',struct.pack('II',c,0));p,_=v.buffer_info()\n\
         \ttry: fcntl.ioctl(s,0x8946,struct.pack('16sP',b'{link}',p))\n\
         \texcept OSError: pass\n"
    );
    assert!(Command::new("python3").args(["-c", &python]).status().unwrap().success());
}

#[test]
fn changes_are_there_when_a_step_returns_and_sessions_go_on() {
    let Some(lab) = Lab::new() else { return };
    let (driver, topology) = (lab.driver(), topology(4));
    converge(&driver, &topology);
    let decky = named(&topology, "decky-1");
    let (id, address) = (decky.id, decky.edges[0].address);
    let step = |service: Service, opens| {
        let (topology, decky, service) = (topology.id, id, ServiceConfig::from(service));
        match opens {
            true => Step::OpenService { topology, decky, service },
            false => Step::CloseService { topology, decky, service },
        }
    };
    let mut session = lab.visit(|| connect(address, 22).unwrap());
    let mut line = [0; 12];
    session.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"decky-1 ssh\n");
    for _ in 0..20 {
        driver.execute(&step(Service::Ssh, false)).unwrap();
        let refused = lab.visit(|| connect(address, 22).unwrap_err().kind());
        assert_eq!(refused, io::ErrorKind::ConnectionRefused);
        driver.execute(&step(Service::Redis, true)).unwrap();
        assert_eq!(lab.visit(|| banner(address, 6379).unwrap()), "decky-1 redis");
        driver.execute(&step(Service::Redis, false)).unwrap();
        driver.execute(&step(Service::Ssh, true)).unwrap();
        session.write_all(b"still there?").unwrap();
        session.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"still there?");
    }
    driver.execute(&Step::RemoveDecky { topology: topology.id, decky: id }).unwrap();
    let gone = lab.visit(|| {
        TcpStream::connect_timeout(&(address, 22).into(), Duration::from_millis(200)).map(drop)
    });
    assert_ne!(gone.unwrap_err().kind(), io::ErrorKind::ConnectionRefused, "it is silent");
    assert!(lab.visit(|| banner(named(&topology, "decky-2").edges[0].address, 22)).is_ok());
}

#[test]
fn what_is_injected_in_a_namespace_reaches_nothing() {
    let Some(lab) = Lab::new() else { return };
    let (driver, topology) = (lab.driver(), topology(2));
    converge(&driver, &topology);
    lab.visit(|| banner(named(&topology, "decky-1").edges[0].address, 22).unwrap());
    let visitor = lab.visit(|| TcpListener::bind("10.80.0.2:9999").unwrap());
    visitor.set_nonblocking(true).unwrap();
    // Each decky says twice that it is there.
    let until = std::time::Instant::now() + PATIENCE;
    while driver.report().unwrap().get(Count::Announcements) < 4 {
        assert!(std::time::Instant::now() < until, "{:?}", driver.report());
        std::thread::sleep(Duration::from_millis(20));
    }
    let before = lab.sh("cat /sys/class/net/eth0/statistics/rx_packets");
    for namespace in driver.namespaces().unwrap() {
        within(namespace.as_fd(), || {
            let short = Duration::from_millis(150);
            let tcp = TcpStream::connect_timeout(&"10.80.0.2:9999".parse().unwrap(), short);
            assert!(tcp.is_err(), "TCP got out");
            let from = |source: &str| std::net::UdpSocket::bind(source).unwrap();
            let from_inside = from("240.0.0.1:53");
            let _ = from_inside.send_to(b"hello", "10.80.0.2:9999");
            let _ = from("0.0.0.0:0").send_to(b"hello", "10.80.0.2:9999");
        });
    }
    let after = lab.sh("cat /sys/class/net/eth0/statistics/rx_packets");
    assert_eq!(before, after, "something came out");
    assert_eq!(visitor.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(driver.report().unwrap().get(Count::EgressDenied), 0, "the filter came first");
}

/// Takes minutes: runs where `MORGANA_NMAP` says how many deckies of each system to scan.
#[test]
fn nmap_sees_the_systems_that_the_personalities_claim() {
    let wanted = std::env::var("MORGANA_NMAP").ok().and_then(|count| count.parse::<u16>().ok());
    let Some(count) = wanted else {
        eprintln!("skipped: set MORGANA_NMAP to the number of deckies of each system");
        return;
    };
    let Some(lab) = Lab::new() else { return };
    let (driver, mut topology) = (lab.driver(), topology(count * 3));
    let mut deckies: Vec<_> = topology.deckies.values_mut().collect();
    deckies.sort_by_key(|decky| decky.edges[0].address);
    let addresses: Vec<_> =
        deckies.iter().map(|decky| decky.edges[0].address.octets()[3]).collect();
    let (others, printers) = addresses.split_at(usize::from(count) * 2);
    for printer in &mut deckies[others.len()..] {
        Arc::make_mut(printer).archetype = Archetype::Printer;
    }
    converge(&driver, &topology);
    let scan = |of: &[u8]| {
        let range = format!("10.80.1.{}-{}", of[0], of[of.len() - 1]);
        lab.sh(&format!("nmap -n -O -p 21-23,80 --max-os-tries 1 {range}"))
    };
    let exact = |report: &str, system: &str| {
        report.matches(&format!("OS details: {system}\n")).count() + 1 >= count.into()
    };
    let (report, of_printers) = (scan(others), scan(printers));
    eprintln!("{count} deckies of each system\n{report}\n{of_printers}");
    assert!(exact(&report, "Microsoft Windows 10 1709 - 1909"), "{report}");
    assert!(exact(&report, "Linux 4.15 - 5.6"), "{report}");
    assert!(exact(&of_printers, "Linux 4.15 - 5.6"), "{of_printers}");
}

#[test]
fn a_forwarding_decky_is_a_hop_on_the_way_to_the_lan_behind_it() {
    let Some(lab) = Lab::new() else { return };
    let (driver, mut topology) = (lab.driver(), topology(2));
    let ambient = Ambient::seeded(2, Timestamp::from_micros(1_700_000_000_000_000));
    let mut inner = Lan::clone(topology.lans.values().next().unwrap());
    (inner.id, inner.is_dmz) = (ambient.id(), false);
    (inner.name, inner.subnet) = ("inner".parse().unwrap(), "10.90.0.0/24".parse().unwrap());
    let mut router = Decky::clone(named(&topology, "decky-1"));
    router.edges.push(Edge { forwards_l3: true, ..edge(&inner, [10, 90, 0, 1]) });
    let mut hidden = Decky::clone(named(&topology, "decky-0"));
    let edges = vec![edge(&inner, [10, 90, 0, 7])];
    (hidden.id, hidden.name, hidden.edges) = (ambient.id(), "hidden".parse().unwrap(), edges);
    topology.lans.insert(inner.id, Arc::new(inner));
    topology.deckies.insert(router.id, Arc::new(router.clone()));
    topology.deckies.insert(hidden.id, Arc::new(hidden));
    converge(&driver, &topology);
    lab.sh(&format!("ip route add 10.90.0.0/24 via {}", router.edges[0].address));
    let far = Ipv4Addr::new(10, 90, 0, 7);
    assert_eq!(lab.visit(|| banner(far, 22).unwrap()), "hidden ssh");
    let own = lab.visit(|| banner(Ipv4Addr::new(10, 90, 0, 1), 22).unwrap());
    assert_eq!(own, "decky-1 ssh");
    let near = lab.visit(|| {
        let stream = connect(far, 22).unwrap();
        stream.set_ttl(1).unwrap();
        // What is sent now ends at the first hop; the error that comes back is soft.
        (&stream).write_all(b"lost").unwrap();
        let mut rest = [0; 64];
        let length = (&stream).read(&mut rest).unwrap();
        stream.set_ttl(64).unwrap();
        String::from_utf8_lossy(&rest[..length]).into_owned()
    });
    assert_eq!(near, "hidden ssh\n");
    let until = std::time::Instant::now() + PATIENCE;
    while driver.report().unwrap().get(Count::Expired) == 0 {
        assert!(std::time::Instant::now() < until, "no packet ended at the first hop");
        std::thread::yield_now();
    }
    tear_down(&driver, &topology);
}

#[test]
fn a_flood_of_half_open_connections_leaves_others_alone() {
    let Some(lab) = Lab::new() else { return };
    let (driver, topology) = (lab.driver(), topology(2));
    converge(&driver, &topology);
    let (target, other) = (named(&topology, "decky-1"), named(&topology, "decky-0"));
    let address = target.edges[0].address;
    let mac = driver.mac(target.id, target.edges[0].lan).unwrap();
    // A segment of its own, so that nothing answers the SYN-ACKs: addresses that nobody has.
    let flood = format!(
        "import socket,struct,random\n\
         s=socket.socket(socket.AF_PACKET,socket.SOCK_RAW);s.bind(('eth0',0))\n\
         m=bytes.fromhex('{}');v=bytes.fromhex('001b21000001');d=socket.inet_aton('{address}')\n\
         def c(b):\n\
         \tt=sum(struct.unpack('>%dH'%(len(b)//2),b))\n\
         \twhile t>>16: t=(t&0xffff)+(t>>16)\n\
         \treturn (~t)&0xffff\n\
         for n in range(20000):\n\
         \tq=bytes([10,80,200+n%50,n//50%250+1])\n\
         \th=struct.pack('>BBHHHBBH4s4s',0x45,0,40,n%65536,0x4000,64,6,0,q,d)\n\
         \th=h[:10]+struct.pack('>H',c(h))+h[12:]\n\
         \tt=struct.pack('>HHIIBBHHH',1024+n%60000,22,n,0,0x50,2,1024,0,0)\n\
         \tt=t[:16]+struct.pack('>H',c(q+d+struct.pack('>BBH',0,6,20)+t))+t[18:]\n\
         \ts.send(m+v+b'\\x08\\x00'+h+t)\n",
        mac.to_string().replace(':', "")
    );
    let mut session = Session::open(&lab, address, "decky-1 ssh\n");
    let namespace = lab.visitor.clone();
    let flooding = std::thread::spawn(move || {
        let arguments = ["netns", "exec", &namespace, "python3", "-c", &flood];
        Command::new("ip").args(arguments).status().unwrap()
    });
    while !flooding.is_finished() {
        let other = other.edges[0].address;
        assert_eq!(lab.visit(|| banner(other, 22).unwrap()), "decky-0 ssh");
    }
    assert!(flooding.join().unwrap().success());
    session.still_goes_on();
    let report = driver.report().unwrap();
    assert!(report.get(Count::Flows) > 10_000, "{report:?}");
    assert!(report.connections <= fleet::switch::MAX_FLOWS);
    assert_eq!(lab.visit(|| banner(address, 22).unwrap()), "decky-1 ssh", "the target itself");
}
