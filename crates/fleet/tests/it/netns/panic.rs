//! The kill switch: everything goes at once, and can be had again.

use std::{collections::BTreeSet, os::unix::fs::MetadataExt as _, time::Instant};

use super::*;

/// Longest that the kill switch may take.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The namespaces of the driver's classes, by number.
fn namespaces(driver: &Netns) -> BTreeSet<u64> {
    let number = |namespace| std::fs::File::from(namespace).metadata().unwrap().ino();
    driver.namespaces().unwrap().into_iter().map(number).collect()
}

/// Those that this process still holds.
fn held(numbers: &BTreeSet<u64>) -> Vec<u64> {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let links = open.filter_map(|fd| std::fs::read_link(fd.path()).ok());
    let number = |link: std::path::PathBuf| {
        link.to_str()?.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
    };
    links.filter_map(number).filter(|number| numbers.contains(number)).collect()
}

/// Packet sockets where the uplink is.
fn packet_sockets(lab: &Lab) -> usize {
    let table = run(&format!("ip netns exec {} cat /proc/net/packet", lab.lan));
    table.lines().count() - 1
}

#[test]
fn everything_goes_and_a_later_deployment_has_it_again() {
    let Some(lab) = Lab::new() else { return };
    let host = Arc::new(Host::default());
    let (driver, topology) = (lab.driver_with(host.clone()), topology(4));
    let address = named(&topology, "decky-1").edges[0].address;
    for _ in 0..3 {
        converge(&driver, &topology);
        assert_eq!(lab.visit(|| banner(address, 22).unwrap()), "decky-1 ssh");
        let mut session = lab.visit(|| connect(address, 22).unwrap());
        let numbers = namespaces(&driver);
        assert_eq!((numbers.len(), held(&numbers).len(), packet_sockets(&lab)), (2, 2, 1));

        let began = Instant::now();
        let left = driver.panic();
        assert!(left.is_empty(), "{left:?}");
        assert!(began.elapsed() < AT_ONCE, "it took {:?}", began.elapsed());
        assert_eq!((held(&numbers), packet_sockets(&lab)), (vec![], 0));
        assert!(driver.observe(topology.id).is_empty() && driver.topologies().is_empty());
        assert!(host.gates.lock().unwrap().is_empty() && host.bound.lock().unwrap().is_empty());
        assert!(driver.report().is_none() && namespaces(&driver).is_empty());
        assert_eq!(lab.visit(|| ping(address, 64, SILENCE)), None);
        session.set_read_timeout(Some(SILENCE)).unwrap();
        let (mut line, _) = ([0; 64], session.write_all(b"is anybody there?"));
        while let Ok(length @ 1..) = session.read(&mut line) {
            assert!(!line[..length].ends_with(b"there?"), "it is answered");
        }
        assert!(driver.panic().is_empty(), "again is fine");
        tear_down(&driver, &topology);
        assert!(driver.report().is_none(), "taking down nothing switches nothing on");
    }
    // A machine without its LAN has no network to come to.
    let decky = named(&topology, "decky-1").clone();
    let add = Step::AddDecky { topology: topology.id, decky };
    let off = driver.execute(&add).unwrap_err();
    assert!(matches!(off, StepError::Off), "{off}");
}

#[test]
fn four_thousand_deckies_are_gone_within_a_second() {
    let Some(lab) = Lab::new() else { return };
    let (driver, topology) = (lab.driver(), topology(4000));
    driver.execute_all(&maze::plan(Some(&topology), &driver.observe(topology.id))).unwrap();
    let last = named(&topology, "decky-3999").edges[0].address;
    assert_eq!(lab.visit(|| banner(last, 80).unwrap()), "decky-3999 http");
    let began = Instant::now();
    let left = driver.panic();
    let took = began.elapsed();
    eprintln!("4,000 deckies were gone after {took:?}");
    assert!(left.is_empty() && took < AT_ONCE, "{left:?} after {took:?}");
    assert_eq!(lab.visit(|| ping(last, 64, SILENCE)), None);
}

#[test]
fn an_uplink_that_is_gone_is_named_and_had_when_it_is_back() {
    let Some(lab) = Lab::new() else { return };
    let (driver, topology) = (lab.driver(), topology(2));
    converge(&driver, &topology);
    assert!(driver.panic().is_empty());
    run(&format!("ip -n {} link del u0", lab.lan));
    let lan = topology.lans.values().next().unwrap().clone();
    let refused = driver.execute(&Step::AddLan { topology: topology.id, lan }).unwrap_err();
    assert!(refused.to_string().contains("`u0`"), "{refused}");
    assert!(driver.observe(topology.id).is_empty());
    lab.wire();
    converge(&driver, &topology);
    let address = named(&topology, "decky-1").edges[0].address;
    assert_eq!(lab.visit(|| banner(address, 22).unwrap()), "decky-1 ssh");
}
