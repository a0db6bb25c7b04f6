//! What a real segment does to packets: it loses, splits and crowds them.

use std::sync::atomic::AtomicU64;

use super::{relay::Relay, *};

/// More visitors on the same wire, each in a namespace with a card of its own.
struct Crowd<'a> {
    lab: &'a Lab,
    names: Vec<String>,
}

impl<'a> Crowd<'a> {
    fn of(lab: &'a Lab, count: u8) -> Self {
        let names = (1..=count).map(|nth| format!("{}{nth}", lab.visitor)).collect();
        let crowd = Self { lab, names };
        for (nth, name) in (3..).zip(&crowd.names) {
            run(&format!("ip netns add {name}"));
            lab.sh(&format!("ip link add m{nth} link eth0 type macvlan mode bridge"));
            lab.sh(&format!("ip link set m{nth} netns {name}"));
            run(&format!("ip -n {name} addr add 10.80.0.{nth}/16 dev m{nth}"));
            run(&format!("ip -n {name} link set m{nth} up"));
        }
        crowd
    }

    /// Everybody does the same at the same time, the first visitor too.
    fn visit(&self, work: impl Fn() + Sync) {
        std::thread::scope(|scope| {
            for name in self.names.iter().chain([&self.lab.visitor]) {
                let namespace = std::fs::File::open(format!("/run/netns/{name}")).unwrap();
                let work = &work;
                scope.spawn(move || within(namespace.as_fd(), work));
            }
        });
    }
}

impl Drop for Crowd<'_> {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

/// Sends so many bytes to a decky that echoes them, and reads them back.
fn echo(address: Ipv4Addr, greeting: &str, length: u32) {
    let stream = connect(address, 22).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let sent: Vec<u8> = (0..length).map(|n| (n * 7 % 251) as u8).collect();
    std::thread::scope(|scope| {
        let (mut writer, mut reader) = (&stream, io::BufReader::new(&stream));
        scope.spawn({
            let sent = &sent;
            move || writer.write_all(sent).unwrap()
        });
        let mut line = String::new();
        io::BufRead::read_line(&mut reader, &mut line).unwrap();
        assert_eq!(line.trim_end(), greeting);
        let mut received = vec![0; sent.len()];
        reader.read_exact(&mut received).unwrap();
        assert!(received == sent, "bytes changed on the way");
    });
}

#[test]
fn several_visitors_at_once_do_not_mix() {
    let Some(lab) = Lab::new() else { return };
    let (driver, topology) = (lab.driver(), topology(4));
    converge(&driver, &topology);
    let crowd = Crowd::of(&lab, 3);
    crowd.visit(|| {
        for round in 0..10_u8 {
            let low = round % 4;
            let address = Ipv4Addr::new(10, 80, 1, low);
            assert_eq!(ping(address, 64, PATIENCE), Some((address, Answer::Echo)));
            echo(address, &format!("decky-{low} ssh"), 200_000);
            assert_eq!(banner(address, 80).unwrap(), format!("decky-{low} http"));
        }
    });
    assert_eq!(driver.report().unwrap().get(Count::EgressDenied), 0);
}

/// Whether each of a hundred frames or so gets lost: SplitMix64 (Steele, Lea and Flood 2014).
fn one_in_a_hundred(mut dice: u64) -> impl FnMut() -> bool {
    move || {
        dice = dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (dice ^ (dice >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).is_multiple_of(100)
    }
}

#[test]
fn a_lossy_wire_loses_no_bytes() {
    let Some(lab) = Lab::new() else { return };
    let (carried, lost) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (carries, loses, mut is_lost) = (carried.clone(), lost.clone(), one_in_a_hundred(1));
    let _relay = Relay::between(&lab, move |_, _| {
        carries.fetch_add(1, SeqCst);
        let is_lost = is_lost();
        loses.fetch_add(is_lost.into(), SeqCst);
        !is_lost
    });
    let (driver, topology) = (lab.driver(), topology(2));
    converge(&driver, &topology);
    let began = std::time::Instant::now();
    for decky in topology.deckies.values() {
        let address = decky.edges[0].address;
        lab.visit(|| echo(address, &format!("{} ssh", decky.name), 4_000_000));
        for _ in 0..50 {
            assert_eq!(lab.visit(|| banner(address, 80).unwrap()), format!("{} http", decky.name));
        }
    }
    let (carried, lost, took) = (carried.load(SeqCst), lost.load(SeqCst), began.elapsed());
    eprintln!("{lost} of {carried} frames were lost in {took:?}");
    assert!(lost * 200 > carried && lost * 50 < carried, "{lost} of {carried} frames were lost");
    // A SYN that is lost costs a second, twice in a row three; anything else is sooner there.
    assert!(took < Duration::from_secs(60), "it stood still: {took:?}");
}

#[test]
fn deckies_send_no_more_at_once_than_the_uplink_takes() {
    let Some(lab) = Lab::new() else { return };
    run(&format!("ip -n {} link set u0 mtu 1400", lab.lan));
    lab.sh("ip link set eth0 mtu 1400");
    // A visitor from afar: it would take more.
    lab.sh("ip route replace 10.80.0.0/16 dev eth0 src 10.80.0.2 advmss 1460");
    for (namespace, link) in [(&lab.visitor, "eth0"), (&lab.lan, "u0")] {
        let namespace = std::fs::File::open(format!("/run/netns/{namespace}")).unwrap();
        within(namespace.as_fd(), || offloads_off(link));
    }
    let config = NetnsConfig { offloads: false, ..lab.config(mixed()) };
    let driver = Netns::new(config, Arc::new(Host::default())).unwrap();
    let topology = topology(2);
    converge(&driver, &topology);
    for decky in topology.deckies.values() {
        let address = decky.edges[0].address;
        lab.visit(|| echo(address, &format!("{} ssh", decky.name), 200_000));
    }
    assert_eq!(driver.report().unwrap().get(Count::SendFailed), 0);
}

#[test]
fn fragments_are_dropped_and_counted() {
    let Some(lab) = Lab::new() else { return };
    let (driver, topology) = (lab.driver(), topology(2));
    converge(&driver, &topology);
    let address = Ipv4Addr::new(10, 80, 1, 1);
    assert_eq!(lab.visit(|| ping(address, 64, PATIENCE)), Some((address, Answer::Echo)));
    let fragments = || driver.report().unwrap().get(Count::Fragments);
    assert_eq!(fragments(), 0);
    lab.visit(|| {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.send_to(&[7; 4000], (address, 161)).unwrap();
    });
    let until = std::time::Instant::now() + PATIENCE;
    while fragments() < 3 {
        assert!(std::time::Instant::now() < until, "{} fragments", fragments());
        std::thread::yield_now();
    }
    assert_eq!(lab.visit(|| ping(address, 64, PATIENCE)), Some((address, Answer::Echo)));
}

#[test]
fn an_uplink_that_vanishes_is_said_once_and_heals() {
    let Some(lab) = Lab::new() else { return };
    let host = Arc::new(Host::default());
    let told = host.uplink.clone();
    let (driver, topology) = (Netns::new(lab.config(mixed()), host).unwrap(), topology(2));
    converge(&driver, &topology);
    let address = Ipv4Addr::new(10, 80, 1, 1);
    assert_eq!(lab.visit(|| banner(address, 22).unwrap()), "decky-1 ssh");
    let until = |count: usize| {
        let until = std::time::Instant::now() + PATIENCE;
        while told.lock().unwrap().len() < count {
            assert!(std::time::Instant::now() < until, "{:?}", told.lock().unwrap());
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    for round in 1..=2 {
        run(&format!("ip -n {} link del u0", lab.lan));
        until(round * 2 - 1);
        // Steps work all the same.
        converge(&driver, &topology);
        std::thread::sleep(SILENCE * 2);
        lab.wire();
        until(round * 2);
        assert_eq!(lab.visit(|| banner(address, 22).unwrap()), "decky-1 ssh");
    }
    run(&format!("ip -n {} link set u0 down", lab.lan));
    until(5);
    std::thread::sleep(SILENCE * 2);
    run(&format!("ip -n {} link set u0 up", lab.lan));
    until(6);
    assert_eq!(lab.visit(|| banner(address, 22).unwrap()), "decky-1 ssh");
    assert_eq!(*told.lock().unwrap(), [false, true, false, true, false, true]);
}

#[test]
fn many_steps_at_once_are_the_same_as_one_by_one() {
    let Some(lab) = Lab::new() else { return };
    let (driver, mut topology) = (lab.driver(), topology(1500));
    driver.execute_all(&maze::plan(Some(&topology), &driver.observe(topology.id))).unwrap();
    assert_eq!(maze::plan(Some(&topology), &driver.observe(topology.id)), []);
    let last = named(&topology, "decky-1499").edges[0].address;
    assert_eq!(lab.visit(|| banner(last, 80).unwrap()), "decky-1499 http");

    // Nobody has the addresses below 10.80.1.0; the second of these three is taken.
    let plan = |count: u16, first: u8| -> Vec<Step> {
        let come = |nth: u8| {
            let mut decky = Decky::clone(named(&topology, "decky-0"));
            let ambient = Ambient::seeded(nth.into(), Timestamp::from_micros(1));
            (decky.id, decky.name) = (ambient.id(), format!("late-{nth}").parse().unwrap());
            decky.edges[0].address = Ipv4Addr::new(10, 80, 0, 10 + nth);
            Step::AddDecky { topology: topology.id, decky: Arc::new(decky) }
        };
        (0..count as u8).map(|nth| come(first + nth)).collect()
    };
    let mut steps = plan(3, 0);
    if let Step::AddDecky { decky, .. } = &mut steps[1] {
        Arc::make_mut(decky).edges[0].address = last;
    }
    let failed = driver.execute_all(&steps).unwrap_err();
    assert_eq!(failed.at, 1);
    assert!(matches!(failed.error, StepError::Switch(_)), "{}", failed.error);
    assert_eq!(
        lab.visit(|| ping("10.80.0.10".parse().unwrap(), 64, PATIENCE)).unwrap().1,
        Answer::Echo
    );
    assert_eq!(lab.visit(|| ping("10.80.0.12".parse().unwrap(), 64, SILENCE)), None);
    assert_eq!(driver.observe(topology.id).deckies.len(), 1501);
    topology.deckies.clear();
    driver.execute_all(&maze::plan(Some(&topology), &driver.observe(topology.id))).unwrap();
    assert!(driver.observe(topology.id).deckies.is_empty());
    tear_down(&driver, &topology);
}
