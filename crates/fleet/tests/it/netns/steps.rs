//! Interfaces and routes that change while visitors look.

use maze::StepKind;

use super::*;

/// The topology of [`topology`], with a LAN of this subnet more.
fn with_lan(count: u16, subnet: &str, is_dmz: bool) -> (Topology, Lan) {
    let mut topology = topology(count);
    let ambient = Ambient::seeded(2, Timestamp::from_micros(1_700_000_000_000_000));
    let mut lan = Lan::clone(topology.lans.values().next().unwrap());
    (lan.id, lan.is_dmz, lan.subnet) = (ambient.id(), is_dmz, subnet.parse().unwrap());
    lan.name = "second".parse().unwrap();
    topology.lans.insert(lan.id, Arc::new(lan.clone()));
    (topology, lan)
}

fn changed(topology: &Topology, name: &str, change: impl FnOnce(&mut Decky)) -> Topology {
    let mut decky = Decky::clone(named(topology, name));
    change(&mut decky);
    let mut topology = topology.clone();
    topology.deckies.insert(decky.id, Arc::new(decky));
    topology
}

fn kinds(steps: &[Step]) -> Vec<StepKind> {
    steps.iter().map(Step::kind).collect()
}

/// The hardware address that answers ARP for `address`, asked anew.
fn arp(lab: &Lab, address: Ipv4Addr) -> Option<String> {
    lab.sh("ip neigh flush dev eth0");
    lab.visit(|| ping(address, 64, SILENCE));
    let entry = lab.sh(&format!("ip neigh show {address} dev eth0"));
    let mut words = entry.split(' ').skip_while(|word| *word != "lladdr");
    words.nth(1).map(str::to_owned)
}

#[test]
fn an_interface_that_comes_answers_and_disturbs_nobody() {
    let Some(lab) = Lab::new() else { return };
    lab.sh("ip addr add 10.81.0.2/16 dev eth0");
    let host = Host::default();
    let interfaces_gone = host.interfaces_gone.clone();
    let driver = lab.driver_of(host);
    let (before, lan) = with_lan(3, "10.81.0.0/16", true);
    converge(&driver, &before);
    let (home, second) = (Ipv4Addr::new(10, 80, 1, 1), Ipv4Addr::new(10, 81, 1, 1));
    let mut own = Session::open(&lab, home, "decky-1 ssh\n");
    let mut other = Session::open(&lab, Ipv4Addr::new(10, 80, 1, 0), "decky-0 ssh\n");
    assert_eq!(arp(&lab, second), None);

    let after = changed(&before, "decky-1", |d| d.edges.push(edge(&lan, second.octets())));
    let id = named(&after, "decky-1").id;
    for _ in 0..3 {
        assert_eq!(kinds(&converge(&driver, &after)), [StepKind::AttachDecky]);
        let mac = driver.mac(id, lan.id).unwrap();
        assert_eq!(arp(&lab, second), Some(mac.to_string()));
        assert_ne!(Some(mac), driver.mac(id, after.deckies[&id].edges[0].lan));
        assert_eq!(lab.visit(|| ping(second, 64, PATIENCE)), Some((second, Answer::Echo)));
        assert_eq!(lab.visit(|| banner(second, 22).unwrap()), "decky-1 ssh");
        assert_eq!(lab.visit(|| banner(home, 80).unwrap()), "decky-1 http");
        let refused = lab.visit(|| connect(second, 21).unwrap_err().kind());
        assert_eq!(refused, io::ErrorKind::ConnectionRefused);
        let mut on_second = Session::open(&lab, second, "decky-1 ssh\n");
        on_second.still_goes_on();
        let attach = Step::AttachDecky {
            topology: after.id,
            decky: named(&after, "decky-1").clone(),
            lan: lan.id,
        };
        driver.execute(&attach).unwrap();
        on_second.still_goes_on();

        assert_eq!(interfaces_gone.lock().unwrap().split_off(0), []);
        assert_eq!(kinds(&converge(&driver, &before)), [StepKind::DetachDecky]);
        assert_eq!(interfaces_gone.lock().unwrap().split_off(0), [(id, lan.id)]);
        assert_eq!(arp(&lab, second), None);
        assert_eq!(lab.visit(|| ping(second, 64, SILENCE)), None);
        let gone = lab.visit(|| TcpStream::connect_timeout(&(second, 22).into(), SILENCE));
        assert!(gone.is_err(), "it still answers");
        assert_eq!(driver.mac(id, lan.id), None);
        assert_eq!(lab.visit(|| banner(home, 22).unwrap()), "decky-1 ssh");
        own.still_goes_on();
        other.still_goes_on();
    }
    tear_down(&driver, &after);
}

#[test]
fn services_open_and_close_on_all_interfaces_of_a_machine() {
    let Some(lab) = Lab::new() else { return };
    lab.sh("ip addr add 10.81.0.2/16 dev eth0");
    let driver = lab.driver();
    let (before, lan) = with_lan(2, "10.81.0.0/16", true);
    let second = Ipv4Addr::new(10, 81, 1, 1);
    let both = changed(&before, "decky-1", |d| d.edges.push(edge(&lan, second.octets())));
    converge(&driver, &both);
    let more = changed(&both, "decky-1", |d| d.services.push(Service::Redis.into()));
    assert_eq!(kinds(&converge(&driver, &more)), [StepKind::OpenService]);
    for address in [second, Ipv4Addr::new(10, 80, 1, 1)] {
        assert_eq!(lab.visit(|| banner(address, 6379).unwrap()), "decky-1 redis");
    }
    assert_eq!(kinds(&converge(&driver, &both)), [StepKind::CloseService]);
    for address in [second, Ipv4Addr::new(10, 80, 1, 1)] {
        let refused = lab.visit(|| connect(address, 6379).unwrap_err().kind());
        assert_eq!(refused, io::ErrorKind::ConnectionRefused);
    }
}

#[test]
fn an_interface_that_cannot_come_leaves_the_machine_as_it_was() {
    let Some(lab) = Lab::new() else { return };
    let driver = lab.driver();
    let (before, lan) = with_lan(3, "10.80.0.0/16", true);
    converge(&driver, &before);
    let attach = |name: &str, lan: LanId, address: [u8; 4]| {
        let edge = Edge { lan, address: address.into(), forwards_l3: false };
        let after = changed(&before, name, |decky| decky.edges.push(edge));
        let decky = named(&after, name).clone();
        driver.execute(&Step::AttachDecky { topology: before.id, decky, lan }).unwrap_err()
    };
    let taken = attach("decky-1", lan.id, [10, 80, 1, 0]);
    assert!(matches!(taken, StepError::Switch(_)), "{taken}");
    let protected = attach("decky-1", lan.id, [10, 80, 0, 1]);
    assert!(matches!(protected, StepError::Protected { .. }), "{protected}");
    let ambient = Ambient::seeded(9, Timestamp::from_micros(1_700_000_000_000_000));
    let nowhere = attach("decky-1", ambient.id(), [10, 80, 3, 1]);
    assert!(matches!(nowhere, StepError::LanMissing { .. }), "{nowhere}");
    assert_eq!(maze::plan(Some(&before), &driver.observe(before.id)), []);
    for (low, name) in [(0, "decky-0"), (1, "decky-1"), (2, "decky-2")] {
        let found = lab.visit(|| banner(Ipv4Addr::new(10, 80, 1, low), 22).unwrap());
        assert_eq!(found, format!("{name} ssh"));
    }
}

#[test]
fn a_flip_of_forwarding_opens_and_closes_the_way_through() {
    let Some(lab) = Lab::new() else { return };
    let driver = lab.driver();
    let (mut open, inner) = with_lan(3, "10.90.0.0/24", false);
    let mut hidden = Decky::clone(named(&open, "decky-0"));
    hidden.id = Ambient::seeded(4, Timestamp::from_micros(1_700_000_000_000_000)).id();
    (hidden.name, hidden.edges) = ("hidden".parse().unwrap(), vec![edge(&inner, [10, 90, 0, 7])]);
    open.deckies.insert(hidden.id, Arc::new(hidden));
    let leg = |forwards_l3| Edge { forwards_l3, ..edge(&inner, [10, 90, 0, 1]) };
    let open = changed(&open, "decky-1", |router| router.edges.push(leg(true)));
    let shut = changed(&open, "decky-1", |router| router.edges[1] = leg(false));
    let gateway = changed(&shut, "decky-1", |router| router.forwards_l3 = true);
    converge(&driver, &shut);
    let (router, far) = (Ipv4Addr::new(10, 80, 1, 1), Ipv4Addr::new(10, 90, 0, 7));
    lab.sh(&format!("ip route add 10.90.0.0/24 via {router}"));
    let mut own = Session::open(&lab, router, "decky-1 ssh\n");
    let mut other = Session::open(&lab, Ipv4Addr::new(10, 80, 1, 0), "decky-0 ssh\n");
    for through in [&open, &gateway] {
        assert_eq!(lab.visit(|| ping(far, 1, SILENCE)), None);
        assert_eq!(lab.visit(|| ping(far, 64, SILENCE)), None);
        assert_eq!(kinds(&converge(&driver, through)), [StepKind::SetForwarding]);
        assert_eq!(lab.visit(|| ping(far, 1, PATIENCE)), Some((router, Answer::Expired)));
        assert_eq!(lab.visit(|| ping(far, 2, PATIENCE)), Some((far, Answer::Echo)));
        assert_eq!(lab.visit(|| banner(far, 22).unwrap()), "hidden ssh");
        assert_eq!(kinds(&converge(&driver, &shut)), [StepKind::SetForwarding]);
        own.still_goes_on();
        other.still_goes_on();
    }
    assert_eq!(lab.visit(|| ping(far, 64, SILENCE)), None);
    tear_down(&driver, &shut);
}

/// A host that visits a decky whenever it is asked to do what takes time.
struct Visiting {
    host: Host,
    namespace: String,
    decky: Ipv4Addr,
    /// At what it was, and whether the decky answered.
    visits: Arc<Mutex<Vec<(&'static str, bool)>>>,
}

impl Visiting {
    fn visit(&self, at: &'static str) {
        let namespace = std::fs::File::open(&self.namespace).unwrap();
        let answer = within(namespace.as_fd(), || ping(self.decky, 64, SILENCE * 5));
        self.visits.lock().unwrap().push((at, answer.is_some()));
    }
}

impl DecoyHost for Visiting {
    fn open(&self, opened: Opened) -> Result<(), String> {
        self.host.open(opened)
    }

    fn close(&self, decky: DeckyId, lan: LanId, transport: Transport, at: SocketAddr) {
        self.host.close(decky, lan, transport, at);
    }

    fn uplink_changed(&self, is_there: bool) {
        self.host.uplink_changed(is_there);
    }

    fn decky_gone(&self, decky: DeckyId) {
        self.visit("gone");
        self.host.decky_gone(decky);
    }

    fn open_gate(&self, gate: Gate) -> Result<(), String> {
        self.visit("open");
        self.host.open_gate(gate)
    }

    fn close_gate(&self, tag: LanId, transport: Transport, port: u16) {
        self.visit("close");
        self.host.close_gate(tag, transport, port);
    }

    fn data_ports(&self, tag: LanId, ports: DataPorts) {
        self.host.data_ports(tag, ports);
    }

    fn interface_gone(&self, decky: DeckyId, lan: LanId) {
        self.host.interface_gone(decky, lan);
    }

    fn bind(&self, bound: Bound) -> Result<(), String> {
        self.host.bind(bound)
    }

    fn unbind(&self, tag: LanId, transport: Transport, at: SocketAddr) {
        self.host.unbind(tag, transport, at);
    }
}

#[test]
fn visitors_do_not_wait_for_what_the_host_does() {
    let Some(lab) = Lab::new() else { return };
    let decky = Ipv4Addr::new(10, 80, 1, 1);
    let visits = Arc::<Mutex<Vec<_>>>::default();
    let namespace = format!("/run/netns/{}", lab.visitor);
    let host = Visiting { host: Host::default(), namespace, decky, visits: visits.clone() };
    let (driver, before) = (Netns::new(lab.config(mixed()), Arc::new(host)).unwrap(), topology(3));
    converge(&driver, &before);
    visits.lock().unwrap().clear();
    let mut late = Decky::clone(named(&before, "decky-0"));
    late.id = Ambient::seeded(5, Timestamp::from_micros(1_700_000_000_000_000)).id();
    late.name = "late".parse().unwrap();
    late.edges[0].address = Ipv4Addr::new(10, 80, 0, 10);
    late.services = vec![Service::Redis.into()];
    let mut after = before.clone();
    after.deckies.insert(late.id, Arc::new(late));
    for wanted in [&after, &before] {
        driver.execute_all(&maze::plan(Some(wanted), &driver.observe(before.id))).unwrap();
    }
    let visits = visits.lock().unwrap().clone();
    assert_eq!(visits, [("open", true), ("close", true), ("gone", true)]);
}
