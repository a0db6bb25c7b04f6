//! Which addresses deckies take, and what is said about them on the segment.

use super::*;

/// A driver that asks first, and a topology without deckies whose LAN is there.
struct Asking {
    driver: Netns,
    topology: Topology,
    told: Arc<Mutex<Vec<bool>>>,
}

impl Asking {
    fn on(lab: &Lab) -> Self {
        let listen_first = Duration::from_millis(150);
        let config = NetnsConfig { listen_first, ..lab.config(mixed()) };
        let host = Arc::new(Host::default());
        let told = host.uplink.clone();
        let driver = Netns::new(config, host).unwrap();
        let topology = topology(1);
        let lan = topology.lans.values().next().unwrap().clone();
        driver.execute(&Step::AddLan { topology: topology.id, lan }).unwrap();
        Self { driver, topology, told }
    }

    /// The `nth` decky comes to an address.
    fn step(&self, nth: u64, address: [u8; 4]) -> Step {
        let mut decky = Decky::clone(self.topology.deckies.values().next().unwrap());
        decky.id = Ambient::seeded(100 + nth, Timestamp::from_micros(1)).id();
        decky.name = format!("late-{nth}").parse().unwrap();
        decky.edges[0].address = address.into();
        Step::AddDecky { topology: self.topology.id, decky: Arc::new(decky) }
    }

    fn add(&self, address: [u8; 4]) -> Result<(), StepError> {
        self.driver.execute(&self.step(address[3].into(), address))
    }

    fn until_told(&self, wanted: &[bool]) {
        let until = std::time::Instant::now() + PATIENCE;
        while *self.told.lock().unwrap() != wanted {
            assert!(std::time::Instant::now() < until, "{:?}", self.told.lock().unwrap());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// How many frames the visitor got so far.
fn frames(lab: &Lab) -> u64 {
    lab.sh("cat /sys/class/net/eth0/statistics/rx_packets").trim().parse().unwrap()
}

#[test]
fn addresses_of_others_are_left_alone() {
    let Some(lab) = Lab::new() else { return };
    run(&format!("ip -n {} addr add 10.80.0.9/16 dev u0", lab.lan));
    let asking = Asking::on(&lab);
    let before = frames(&lab);
    let taken = asking.add([10, 80, 0, 2]).unwrap_err();
    assert!(matches!(taken, StepError::RealHost { .. }), "{taken}");
    assert_eq!(frames(&lab) - before, 3, "it is asked three times");
    let protected = asking.add([10, 80, 0, 1]).unwrap_err();
    assert!(matches!(protected, StepError::Protected { .. }), "{protected}");
    let own = asking.add([10, 80, 0, 9]).unwrap_err();
    assert!(matches!(own, StepError::OwnAddress { .. }), "{own}");
    asking.add([10, 80, 0, 3]).unwrap();
}

#[test]
fn many_addresses_are_asked_for_at_once_and_once() {
    let Some(lab) = Lab::new() else { return };
    let taken = 20..30;
    for low in taken.clone() {
        lab.sh(&format!("ip addr add 10.80.0.{low}/16 dev eth0"));
    }
    let asking = Asking::on(&lab);
    let before = frames(&lab);
    let steps: Vec<Step> =
        taken.clone().map(|low| asking.step(low.into(), [10, 80, 0, low])).collect();
    asking.driver.prepare(&steps);
    for nth in 0..steps.len() {
        // As whoever goes on after each that fails.
        let failed = asking.driver.execute_all(&steps[nth..]).unwrap_err();
        assert!(matches!(failed.error, StepError::RealHost { .. }), "{}", failed.error);
        assert_eq!(failed.at, 0);
    }
    assert_eq!(frames(&lab) - before, 3 * taken.count() as u64);
}

#[test]
fn nothing_is_taken_while_nobody_can_be_asked() {
    let Some(lab) = Lab::new() else { return };
    let asking = Asking::on(&lab);
    run(&format!("ip -n {} link set u0 down", lab.lan));
    asking.until_told(&[false]);
    let away = asking.add([10, 80, 0, 3]).unwrap_err();
    assert!(matches!(away, StepError::Unasked { .. }) && away.is_transient(), "{away}");
    run(&format!("ip -n {} link set u0 up", lab.lan));
    asking.until_told(&[false, true]);
    let until = std::time::Instant::now() + PATIENCE;
    while let Err(error) = asking.add([10, 80, 0, 3]) {
        assert!(matches!(error, StepError::Unasked { .. }), "{error}");
        assert!(std::time::Instant::now() < until, "{error}");
    }
    let address = Ipv4Addr::new(10, 80, 0, 3);
    assert_eq!(lab.visit(|| ping(address, 64, PATIENCE)), Some((address, Answer::Echo)));
}

#[test]
fn they_are_asked_for_again_after_the_kill_switch() {
    let Some(lab) = Lab::new() else { return };
    let asking = Asking::on(&lab);
    let (topology, id) = (&asking.topology, asking.topology.id);
    asking.add([10, 80, 0, 3]).unwrap();
    assert!(asking.driver.panic().is_empty());
    let lan = topology.lans.values().next().unwrap().clone();
    let steps = [
        Step::AddLan { topology: id, lan },
        asking.step(3, [10, 80, 0, 3]),
        asking.step(2, [10, 80, 0, 2]),
    ];
    asking.driver.prepare(&steps);
    assert!(asking.driver.report().is_none(), "what may not come switches nothing on");
    let failed = asking.driver.execute_all(&steps).unwrap_err();
    let is_taken = matches!(failed.error, StepError::RealHost { .. });
    assert!(failed.at == 2 && is_taken, "step {}: {}", failed.at, failed.error);
    let address = Ipv4Addr::new(10, 80, 0, 3);
    assert_eq!(lab.visit(|| ping(address, 64, PATIENCE)), Some((address, Answer::Echo)));
}

#[test]
fn a_hardware_address_that_changes_is_known_at_once() {
    let Some(lab) = Lab::new() else { return };
    let asking = Asking::on(&lab);
    let address = [10, 80, 0, 3];
    let lan = asking.topology.lans.values().next().unwrap().id;
    let mut macs = Vec::new();
    for nth in 0..2 {
        let step = asking.step(nth, address);
        let (topology, decky) = (step.topology(), step.decky().unwrap());
        asking.driver.execute(&step).unwrap();
        let mac = asking.driver.mac(decky, lan).unwrap().to_string();
        let until = std::time::Instant::now() + PATIENCE / 2;
        if nth == 0 {
            let address = address.into();
            assert_eq!(lab.visit(|| ping(address, 64, PATIENCE)), Some((address, Answer::Echo)));
        }
        while !lab.sh("ip neigh show dev eth0").contains(&mac) {
            assert!(std::time::Instant::now() < until, "the visitor goes on with {macs:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
        macs.push(mac);
        asking.driver.execute(&Step::RemoveDecky { topology, decky }).unwrap();
    }
    assert_ne!(macs[0], macs[1]);
}

#[test]
fn an_address_that_a_real_host_takes_is_given_up_and_said() {
    let Some(lab) = Lab::new() else { return };
    let asking = Asking::on(&lab);
    let (address, other) = (Ipv4Addr::new(10, 80, 0, 3), Ipv4Addr::new(10, 80, 0, 4));
    asking.add(address.octets()).unwrap();
    asking.add(other.octets()).unwrap();
    let id = asking.topology.id;
    assert_eq!(asking.driver.troubles(id), []);
    let before = asking.driver.figures();
    assert!(before.contains(&("address_conflicts_total".to_owned(), 0)), "{before:?}");

    lab.sh("ip addr add 10.80.0.3/32 dev eth0");
    lab.visit(|| {
        let socket = std::net::UdpSocket::bind("10.80.0.3:0").unwrap();
        socket.send_to(b"who is there", (other, 9)).unwrap();
    });
    let until = std::time::Instant::now() + PATIENCE;
    while asking.driver.troubles(id).is_empty() {
        assert!(std::time::Instant::now() < until, "{:?}", asking.driver.figures());
        std::thread::sleep(Duration::from_millis(10));
    }
    let (decky, trouble) = asking.driver.troubles(id).remove(0);
    assert_eq!(Some(decky), asking.step(3, address.octets()).decky());
    assert!(trouble.contains("10.80.0.3"), "{trouble}");
    lab.sh("ip addr del 10.80.0.3/32 dev eth0");
    lab.sh("ip neigh flush dev eth0");
    assert_eq!(lab.visit(|| ping(address, 64, SILENCE)), None, "it still answers");
    assert_eq!(lab.visit(|| ping(other, 64, PATIENCE)), Some((other, Answer::Echo)));

    asking.driver.execute(&Step::RemoveDecky { topology: id, decky }).unwrap();
    while !asking.driver.troubles(id).is_empty() {
        assert!(std::time::Instant::now() < until, "nobody has the address any more");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_host_that_came_while_the_uplink_was_away_is_found() {
    let Some(lab) = Lab::new() else { return };
    let asking = Asking::on(&lab);
    asking.add([10, 80, 0, 3]).unwrap();
    run(&format!("ip -n {} link set u0 down", lab.lan));
    asking.until_told(&[false]);
    lab.sh("ip addr add 10.80.0.3/32 dev eth0");
    run(&format!("ip -n {} link set u0 up", lab.lan));
    let until = std::time::Instant::now() + PATIENCE;
    while asking.driver.troubles(asking.topology.id).is_empty() {
        assert!(std::time::Instant::now() < until, "{:?}", asking.driver.figures());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn another_vlan_on_the_same_wire_is_another_segment() {
    let Some(lab) = Lab::new() else { return };
    let asking = Asking::on(&lab);
    asking.add([10, 80, 0, 3]).unwrap();
    let answers = || asking.driver.report().unwrap().get(Count::ArpAnswers);
    assert_eq!(answers(), 0);
    // Who has 10.80.0.3? In VLAN 20, in that of the segment with a priority, and without a tag.
    let ask = "import socket\n\
         s=socket.socket(socket.AF_PACKET,socket.SOCK_RAW);s.bind(('eth0',0))\n\
         h=b'\\xff'*6+bytes.fromhex('001b21000001')\n\
         a=bytes.fromhex('0806000108000604000100 1b21000001 0a500063 000000000000 0a500003')\n\
         for t in ('81000014','8100a000',''): s.send(h+bytes.fromhex(t)+a)\n";
    assert!(
        Command::new("ip")
            .args(["netns", "exec", &lab.visitor, "python3", "-c", ask])
            .status()
            .unwrap()
            .success()
    );
    let until = std::time::Instant::now() + PATIENCE;
    while answers() < 2 {
        assert!(std::time::Instant::now() < until, "{} answers", answers());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(answers(), 2, "one was for another segment");
}
