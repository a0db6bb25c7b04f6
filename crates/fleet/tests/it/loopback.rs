//! The loopback driver, with real sockets that are really connected to.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{Arc, Mutex},
};

use fleet::{
    Bound, DataPorts, DecoyHost, Driver, Gate, Listener, Loopback, LoopbackConfig, LoopbackError,
    Opened, Ports, StepError,
};
use maze::{Observed, Step};
use model::{DeckyId, Edge, LanId, Name, Op, Service, ServiceConfig, Topology, Transport};

use crate::{converge, demo, tear_down};

/// A prefix that no other test uses now: whoever holds its last address has it.
struct Claim {
    second: u8,
    _guard: TcpListener,
}

/// Where claims are made; the same port for every test.
const GUARD_PORT: u16 = 39_999;

fn claim() -> Claim {
    let guard = |second| TcpListener::bind((Ipv4Addr::new(127, second, 255, 254), GUARD_PORT));
    (70..120)
        .find_map(|second| Some(Claim { second, _guard: guard(second).ok()? }))
        .expect("a prefix is free")
}

/// Keeps what it gets, and refuses where it is told to.
#[derive(Default)]
struct Host {
    open: Mutex<BTreeMap<(Transport, SocketAddr), Opened>>,
    log: Mutex<Vec<String>>,
    refuse: Mutex<Option<SocketAddr>>,
}

impl Host {
    fn addresses(&self) -> Vec<SocketAddr> {
        self.open.lock().unwrap().keys().map(|(_, at)| *at).collect()
    }

    fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }
}

impl DecoyHost for Host {
    fn open_gate(&self, gate: Gate) -> Result<(), String> {
        panic!("the loopback driver shares no listener: {gate:?}")
    }

    fn close_gate(&self, tag: LanId, transport: Transport, port: u16) {
        panic!("the loopback driver shares no listener: {tag} {transport:?} {port}")
    }

    fn bind(&self, bound: Bound) -> Result<(), String> {
        panic!("the loopback driver shares no listener: {bound:?}")
    }

    fn unbind(&self, tag: LanId, transport: Transport, at: SocketAddr) {
        panic!("the loopback driver shares no listener: {tag} {transport:?} {at}")
    }

    fn open(&self, opened: Opened) -> Result<(), String> {
        let at = opened.listener.local_addr().unwrap();
        if *self.refuse.lock().unwrap() == Some(at) {
            return Err("no room".into());
        }
        self.log
            .lock()
            .unwrap()
            .push(format!("open {} {}", opened.decky.name, opened.service.port));
        let transport = opened.listener.transport();
        assert_eq!(transport, opened.service.service.transport());
        let twin = self.open.lock().unwrap().insert((transport, at), opened);
        assert!(twin.is_none(), "{at} opened twice");
        Ok(())
    }

    fn close(&self, decky: DeckyId, lan: LanId, transport: Transport, at: SocketAddr) {
        let opened = self.open.lock().unwrap().remove(&(transport, at));
        let opened = opened.expect("only what is open is closed");
        assert_eq!((opened.decky.id, opened.lan), (decky, lan));
        self.log
            .lock()
            .unwrap()
            .push(format!("close {} {}", opened.decky.name, opened.service.port));
    }

    fn uplink_changed(&self, _: bool) {}

    fn data_ports(&self, _: LanId, _: DataPorts) {}

    fn decky_gone(&self, _decky: DeckyId) {
        self.log.lock().unwrap().push("gone".into());
    }

    fn interface_gone(&self, decky: DeckyId, lan: LanId) {
        self.log.lock().unwrap().push(format!("{decky} off {lan}"));
    }
}

/// A driver on ports that anybody may bind.
fn driver(claim: &Claim) -> (Loopback, Arc<Host>) {
    let host = Arc::new(Host::default());
    let config = LoopbackConfig {
        prefix: [127, claim.second],
        ports: Ports::Offset,
        ..LoopbackConfig::default()
    };
    (Loopback::new(config, host.clone()).unwrap(), host)
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn answers(at: SocketAddr) -> bool {
    TcpStream::connect(at).is_ok()
}

fn open_step(topology: &Topology, decky: DeckyId, service: impl Into<ServiceConfig>) -> Step {
    Step::OpenService { topology: topology.id, decky, service: service.into() }
}

#[test]
fn the_demo_answers_where_endpoints_say_until_it_is_torn_down() {
    let claim = claim();
    let (topology, _) = demo(10);
    let (driver, host) = driver(&claim);
    let steps = converge(&driver, &topology);
    let mut listening = Vec::new();
    for decky in topology.deckies.values() {
        let endpoints = driver.endpoints(decky.id);
        assert_eq!(endpoints.len(), decky.services.len());
        for endpoint in endpoints {
            let [.., third, fourth] = decky.edges[0].address.octets();
            let address = Ipv4Addr::new(127, claim.second, third, fourth);
            assert_eq!(endpoint.listening, SocketAddr::from((address, endpoint.port + 20_000)));
            assert!(answers(endpoint.listening));
            listening.push(endpoint.listening);
        }
    }
    host.take_log();
    steps.iter().for_each(|step| driver.execute(step).unwrap());
    assert_eq!(host.take_log(), Vec::<String>::new(), "steps done again do nothing");
    tear_down(&driver, &topology);
    assert!(listening.iter().all(|at| !answers(*at)));
    assert!(driver.topologies().is_empty());
    converge(&driver, &topology);
}

#[test]
fn a_rotation_leaves_other_services_alone() {
    let claim = claim();
    let (topology, ambient) = demo(11);
    let (driver, host) = driver(&claim);
    converge(&driver, &topology);
    host.take_log();
    let op =
        Op::RotateDecky { decky: name("web-01"), services: Some(vec![Service::Ftp, Service::Ssh]) };
    converge(&driver, &maze::apply(&topology, &op, &ambient).unwrap().topology);
    assert_eq!(host.take_log(), ["close web-01 80", "open web-01 21"]);
}

#[test]
fn a_removed_decky_is_closed_before_it_is_gone() {
    let claim = claim();
    let (topology, _) = demo(12);
    let (driver, host) = driver(&claim);
    converge(&driver, &topology);
    host.take_log();
    let decky = topology.decky_named(&name("db-01"));
    let step = Step::RemoveDecky { topology: topology.id, decky: decky.unwrap().id };
    driver.execute(&step).unwrap();
    driver.execute(&step).unwrap();
    assert_eq!(host.take_log(), ["close db-01 22", "close db-01 6379", "gone"]);
}

#[test]
fn every_interface_listens_or_none_does() {
    let claim = claim();
    let (mut topology, _) = demo(13);
    let office = topology.lan_named(&name("office")).unwrap().id;
    let id = topology.decky_named(&name("app-01")).unwrap().id;
    let second = Edge { lan: office, address: "10.66.2.77".parse().unwrap(), forwards_l3: false };
    Arc::make_mut(topology.deckies.get_mut(&id).unwrap()).edges.push(second);
    let (driver, host) = driver(&claim);
    let at = SocketAddr::from((Ipv4Addr::new(127, claim.second, 2, 77), 20_022));

    *host.refuse.lock().unwrap() = Some(at);
    let mut steps = maze::plan(Some(&topology), &Observed::empty(topology.id));
    steps.retain(|step| !matches!(step, Step::OpenService { .. }));
    steps.iter().for_each(|step| driver.execute(step).unwrap());
    let error = driver.execute(&open_step(&topology, id, Service::Ssh)).unwrap_err();
    assert!(matches!(error, StepError::Host { addr, .. } if addr == at), "{error}");
    assert_eq!(host.addresses(), [], "nothing stays half open");
    assert_eq!(driver.endpoints(id), []);

    *host.refuse.lock().unwrap() = None;
    let squatter = TcpListener::bind(at).unwrap();
    let error = driver.execute(&open_step(&topology, id, Service::Ssh)).unwrap_err();
    assert!(error.to_string().contains("already in use by another process"), "{error}");
    assert!(error.to_string().contains(&at.to_string()) && error.is_transient());
    assert_eq!(host.addresses(), []);

    drop(squatter);
    converge(&driver, &topology);
    assert_eq!(driver.endpoints(id).len(), 4);
    assert!(driver.endpoints(id).iter().all(|endpoint| answers(endpoint.listening)));
}

#[test]
fn an_interface_comes_and_goes_and_the_others_go_on() {
    let claim = claim();
    let (mut topology, ambient) = demo(16);
    let (driver, host) = driver(&claim);
    converge(&driver, &topology);
    let id = topology.decky_named(&name("app-01")).unwrap().id;
    let before = host.addresses();
    host.take_log();

    let attach =
        Op::AttachDecky { decky: name("app-01"), lan: name("office"), ip: None, forwards_l3: true };
    let applied = maze::apply(&topology, &attach, &ambient).unwrap();
    let undo = applied.inverse[0].clone();
    topology = applied.topology;
    let refused = SocketAddr::from((Ipv4Addr::new(127, claim.second, 2, 12), 20_080));
    *host.refuse.lock().unwrap() = Some(refused);
    let steps = maze::plan(Some(&topology), &driver.observe(topology.id));
    assert_eq!(steps.len(), 1, "{steps:?}");
    driver.execute(&steps[0]).unwrap_err();
    assert_eq!(host.addresses(), before, "all services answer there, or none");
    *host.refuse.lock().unwrap() = None;
    converge(&driver, &topology);
    assert_eq!(driver.endpoints(id).len(), 4, "two services on two LANs");
    assert!(driver.endpoints(id).iter().all(|endpoint| answers(endpoint.listening)));
    let rotate =
        Op::RotateDecky { decky: name("app-01"), services: Some(vec![Service::Ftp, Service::Ssh]) };
    topology = maze::apply(&topology, &rotate, &ambient).unwrap().topology;
    converge(&driver, &topology);
    assert_eq!(driver.endpoints(id).len(), 4);

    topology = maze::apply(&topology, &undo, &ambient).unwrap().topology;
    converge(&driver, &topology);
    assert_eq!(driver.endpoints(id).len(), 2);
    let log = host.take_log();
    assert!(!log.iter().any(|line| line.contains("gone")), "it was never away");
    let office = topology.lan_named(&name("office")).unwrap().id;
    assert_eq!(log.last(), Some(&format!("{id} off {office}")));
    tear_down(&driver, &topology);
    assert_eq!(host.addresses(), []);
}

#[test]
fn topologies_with_the_same_addresses_do_not_meet() {
    let claim = claim();
    let (driver, host) = driver(&claim);
    let (one, _) = demo(14);
    let (two, _) = demo(15);
    converge(&driver, &one);
    converge(&driver, &two);
    assert_eq!(host.addresses().len(), 24);
    assert!(host.addresses().iter().all(|at| answers(*at)));
    assert_eq!(driver.topologies().len(), 2);
    tear_down(&driver, &one);
    assert_eq!(host.addresses().len(), 12);
    converge(&driver, &two);
}

#[test]
fn true_ports_are_used_or_offset_where_they_are_refused() {
    let claim = claim();
    let host = Arc::new(Host::default());
    let config = LoopbackConfig { prefix: [127, claim.second], ..LoopbackConfig::default() };
    let driver = Loopback::new(config, host.clone()).unwrap();
    let (topology, _) = demo(16);
    let db = topology.decky_named(&name("db-01")).unwrap();
    let lan = &topology.lans[&db.edges[0].lan];
    driver.execute(&Step::AddLan { topology: topology.id, lan: lan.clone() }).unwrap();
    driver.execute(&Step::AddDecky { topology: topology.id, decky: db.clone() }).unwrap();
    driver.execute(&open_step(&topology, db.id, Service::Redis)).unwrap();
    let redis = driver.endpoints(db.id)[0];
    assert_eq!((redis.port, redis.listening.port()), (6379, 6379));

    // Whether port 1 may be bound depends on who runs this; both are right.
    let low = ServiceConfig { service: Service::Ssh, port: 1 };
    let probe = TcpListener::bind((Ipv4Addr::new(127, claim.second, 255, 253), 1));
    let refused = probe.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
    driver.execute(&open_step(&topology, db.id, low)).unwrap();
    let ssh = driver.endpoints(db.id).into_iter().find(|e| e.port == 1).unwrap();
    assert_eq!(ssh.listening.port(), if refused { 20_001 } else { 1 });
    assert!(answers(ssh.listening));
}

#[test]
fn a_restart_binds_again_at_once() {
    let claim = claim();
    let (topology, _) = demo(17);
    let (first, host) = driver(&claim);
    converge(&first, &topology);
    let at = host.addresses()[0];
    // A connection that our side closes first stays in TIME_WAIT on the same address and port.
    let visitor = TcpStream::connect(at).unwrap();
    let listener = host.open.lock().unwrap().remove(&(Transport::Tcp, at)).unwrap().listener;
    let Listener::Connections(listener) = listener else { panic!("a service over TCP") };
    listener.set_nonblocking(false).unwrap();
    drop(listener.accept().unwrap());
    drop(listener);
    drop(visitor);
    drop(first);
    host.open.lock().unwrap().clear();
    let (second, _) = driver(&claim);
    converge(&second, &topology);
}

#[test]
fn steps_out_of_order_are_refused() {
    let claim = claim();
    let (topology, ambient) = demo(18);
    let (driver, _) = driver(&claim);
    let web = topology.decky_named(&name("web-01")).unwrap();
    let lan = topology.lan_named(&name("dmz")).unwrap();
    let add = Step::AddDecky { topology: topology.id, decky: web.clone() };
    assert!(matches!(driver.execute(&add), Err(StepError::LanMissing { .. })));
    let open = open_step(&topology, web.id, Service::Ssh);
    assert!(matches!(driver.execute(&open), Err(StepError::DeckyMissing { .. })));
    driver.execute(&Step::AddLan { topology: topology.id, lan: lan.clone() }).unwrap();
    driver.execute(&add).unwrap();
    let remove = Step::RemoveLan { topology: topology.id, lan: lan.id };
    assert!(matches!(driver.execute(&remove), Err(StepError::LanInUse { .. })));
    let mut other = model::Decky::clone(web);
    other.name = name("other");
    let add = Step::AddDecky { topology: topology.id, decky: Arc::new(other) };
    assert!(matches!(driver.execute(&add), Err(StepError::Exists { .. })));
    let gone = Step::RemoveLan { topology: topology.id, lan: ambient.id() };
    driver.execute(&gone).unwrap();
}

#[test]
fn a_port_above_all_ports_is_refused() {
    let claim = claim();
    let (topology, _) = demo(19);
    let (driver, _) = driver(&claim);
    converge(&driver, &topology);
    let web = topology.decky_named(&name("web-01")).unwrap();
    let high = ServiceConfig { service: Service::Ftp, port: 60_000 };
    let error = driver.execute(&open_step(&topology, web.id, high)).unwrap_err();
    assert!(matches!(error, StepError::PortOutOfRange { .. }), "{error}");
}

#[test]
fn prefixes_that_others_use_are_refused() {
    for prefix in [[127, 0], [10, 66], [0, 0]] {
        let config = LoopbackConfig { prefix, ..LoopbackConfig::default() };
        let refused = Loopback::new(config, Arc::new(Host::default()));
        assert!(matches!(refused, Err(LoopbackError::Prefix(p)) if p == prefix));
    }
}

#[test]
fn a_service_over_datagrams_has_a_socket_of_its_own_kind() {
    let claim = claim();
    let (mut topology, _) = demo(8);
    let id = topology.decky_named(&name("app-01")).unwrap().id;
    let (driver, host) = driver(&claim);
    // The same port of both transports: neither is in the way of the other.
    let ssh = ServiceConfig { service: Service::Ssh, port: 161 };
    let services = vec![Service::Snmp.into(), ssh];
    Arc::make_mut(topology.deckies.get_mut(&id).unwrap()).services = services;
    let steps = maze::plan(Some(&topology), &Observed::empty(topology.id));
    let others = |step: &&Step| step.decky().is_none_or(|decky| decky == id);
    steps.iter().filter(others).for_each(|step| driver.execute(step).unwrap());
    let endpoints = driver.endpoints(id);
    assert_eq!(endpoints.len(), 2);
    assert_eq!(endpoints[0].listening, endpoints[1].listening);
    let at = endpoints[0].listening;
    assert!(answers(at));
    let visitor = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    visitor.send_to(b"anybody there", at).unwrap();
    {
        let open = host.open.lock().unwrap();
        let Listener::Datagrams(socket) = &open[&(Transport::Udp, at)].listener else {
            panic!("a service over UDP")
        };
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        assert_eq!(socket.recv_from(&mut [0; 64]).unwrap().0, 13);
    }
    let close = |service| Step::CloseService { topology: topology.id, decky: id, service };
    driver.execute(&close(Service::Snmp.into())).unwrap();
    assert!(answers(at), "SSH is still there");
    UdpSocket::bind(at).expect("the port is free again");
}

#[test]
fn another_programs_socket_is_in_the_way_of_its_own_transport_only() {
    let claim = claim();
    let everywhere = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = everywhere.local_addr().unwrap().port();
    let (mut topology, _) = demo(9);
    let id = topology.decky_named(&name("app-01")).unwrap().id;
    let own = ServiceConfig { service: Service::Snmp, port };
    Arc::make_mut(topology.deckies.get_mut(&id).unwrap()).services = vec![own];
    let port_offset = if port > 40_000 { 1_500 } else { 20_000 };
    let config = LoopbackConfig { prefix: [127, claim.second], port_offset, ports: Ports::True };
    let driver = Loopback::new(config, Arc::new(Host::default())).unwrap();
    let steps = maze::plan(Some(&topology), &Observed::empty(topology.id));
    let others = |step: &&Step| step.decky().is_none_or(|decky| decky == id);
    steps.iter().filter(others).for_each(|step| driver.execute(step).unwrap());
    assert_eq!(driver.endpoints(id)[0].listening.port(), port + port_offset);
}

#[test]
fn a_port_that_a_program_of_this_machine_holds_everywhere_gets_a_stand_in() {
    let claim = claim();
    let everywhere = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = everywhere.local_addr().unwrap().port();
    let (mut topology, _) = demo(7);
    let id = topology.decky_named(&name("app-01")).unwrap().id;
    let own = ServiceConfig { service: Service::Ssh, port };
    Arc::make_mut(topology.deckies.get_mut(&id).unwrap()).services = vec![own];
    let host = Arc::new(Host::default());
    // An offset that keeps within the port numbers wherever the system put the other program.
    let port_offset = if port > 40_000 { 1_500 } else { 20_000 };
    let config = LoopbackConfig { prefix: [127, claim.second], port_offset, ports: Ports::True };
    let driver = Loopback::new(config, host).unwrap();
    let steps = maze::plan(Some(&topology), &Observed::empty(topology.id));
    let others = |step: &&Step| step.decky().is_none_or(|decky| decky == id);
    steps.iter().filter(others).for_each(|step| driver.execute(step).unwrap());
    let endpoints = driver.endpoints(id);
    assert_eq!(endpoints.len(), 1);
    assert_eq!(endpoints[0].port, port);
    assert_eq!(endpoints[0].listening.port(), port + port_offset);
    assert!(answers(endpoints[0].listening));
}

#[test]
fn the_kill_switch_leaves_nothing_and_the_next_deploy_finds_the_same_addresses() {
    let claim = claim();
    let (driver, host) = driver(&claim);
    let (one, _) = demo(1);
    let (other, _) = demo(2);
    converge(&driver, &one);
    converge(&driver, &other);
    let before = host.addresses();
    let client = TcpStream::connect(before[0]).unwrap();
    host.take_log();
    assert!(driver.panic().is_empty());
    assert_eq!((host.addresses(), driver.topologies()), (vec![], vec![]));
    let gone = host.take_log().iter().filter(|line| *line == "gone").count();
    assert_eq!(gone, one.deckies.len() + other.deckies.len(), "sessions end");
    assert!(TcpStream::connect(before[0]).is_err());
    drop(client);
    assert!(driver.panic().is_empty(), "again is fine");
    converge(&driver, &one);
    converge(&driver, &other);
    assert_eq!(host.addresses(), before);
}
