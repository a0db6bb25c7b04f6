//! Second connections: a visitor who is expected comes in at a port that is closed for all others,
//! at the one decky that expects them.

use super::*;

/// Where a decky's connections arrive, behind its class's gates.
fn place(host: &Host, name: &str) -> (LanId, SocketAddr) {
    let bound = host.bound.lock().unwrap();
    let found = bound.iter().find(|(_, bound)| *bound == name);
    let (tag, _, at) = found.expect("it is bound").0;
    (*tag, *at)
}

#[test]
fn who_is_expected_comes_in_and_nobody_else() {
    let Some(lab) = Lab::new() else { return };
    lab.sh("ip addr add 10.80.0.9/16 dev eth0");
    let host = Arc::new(Host::default());
    let (driver, mut plain) = (lab.driver_with(host.clone()), topology(4));
    converge(&driver, &plain);
    assert!(host.data_ports.lock().unwrap().is_empty(), "nobody has a service that needs them");
    let before = host.gates.lock().unwrap().len();
    for name in ["decky-1", "decky-3"] {
        let id = named(&plain, name).id;
        Arc::make_mut(plain.deckies.get_mut(&id).unwrap()).services.push(Service::Ftp.into());
    }
    let topology = plain;
    converge(&driver, &topology);
    let (tag, at) = place(&host, "decky-1 ftp");
    let ports = host.data_ports.lock().unwrap()[&tag].clone();
    let gates = host.gates.lock().unwrap().len() - before;
    assert_eq!(gates, 1 + usize::from(fleet::DATA_PORTS), "both share them");

    let visitor: Ipv4Addr = "10.80.0.2".parse().unwrap();
    let address = |name: &str| named(&topology, name).edges[0].address;
    let port = *ports.range().start();
    let refused = |address, port| {
        let error = lab.visit(|| connect(address, port).unwrap_err().kind());
        assert_eq!(error, io::ErrorKind::ConnectionRefused, "{address}:{port}");
    };
    refused(address("decky-1"), port);
    let expected = ports.expect((at.ip(), port).into(), visitor.into()).unwrap();
    let mut data = lab.visit(|| connect(address("decky-1"), port).unwrap());
    refused(address("decky-3"), port);
    refused(address("decky-0"), port);
    refused(address("decky-1"), port + 1);
    let from_elsewhere = lab.visit(|| {
        use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&socket, &"10.80.0.9:0".parse::<SocketAddr>().unwrap()).unwrap();
        connect(&socket, &SocketAddr::from((address("decky-1"), port))).unwrap_err()
    });
    assert_eq!(from_elsewhere, rustix::io::Errno::CONNREFUSED);
    // The same port of another decky, for the same visitor, at the same time.
    let other = place(&host, "decky-3 ftp").1;
    let second = ports.expect((other.ip(), port).into(), visitor.into()).unwrap();
    assert_eq!(lab.visit(|| banner(address("decky-3"), port).unwrap()), "a second connection");

    drop((expected, second));
    refused(address("decky-1"), port);
    refused(address("decky-3"), port);
    let mut line = [0; 20];
    data.read_exact(&mut line).unwrap();
    data.write_all(b"it still goes on now").unwrap();
    data.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"it still goes on now");

    for name in ["decky-1", "decky-3"] {
        let (decky, service) = (named(&topology, name).id, Service::Ftp.into());
        let close = Step::CloseService { topology: topology.id, decky, service };
        driver.execute(&close).unwrap();
    }
    assert_eq!(host.gates.lock().unwrap().len(), before, "the last one closes them");
    assert_eq!(driver.report().unwrap().get(Count::EgressDenied), 0);
}
