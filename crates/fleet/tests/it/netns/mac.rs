//! Networks that deliver to the hardware addresses only that they know: there deckies share that
//! of the uplink.

use super::{
    relay::{Relay, To},
    *,
};

/// What a port with security does: one hardware address is behind it, that of the card.
fn port_security(lab: &Lab) -> Relay {
    let known = Arc::new(Mutex::new(None::<[u8; 6]>));
    let filter = known.clone();
    let relay = Relay::between(lab, move |way, frame| {
        let (to, from) = (&frame[..6], &frame[6..12]);
        let Some(known) = *filter.lock().unwrap() else { return false };
        match way {
            To::Visitor => *from == known,
            To::Uplink => *to == known || to[0] & 1 == 1,
        }
    });
    *known.lock().unwrap() = Some(card(lab).0);
    relay
}

/// The uplink's hardware address.
fn card(lab: &Lab) -> fleet::switch::Mac {
    let text = run(&format!("ip netns exec {} cat /sys/class/net/u0/address", lab.lan));
    let bytes: Vec<u8> =
        text.trim().split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    fleet::switch::Mac(bytes.try_into().unwrap())
}

/// The demo's shape: two machines on the segment, a third that routes to a LAN with a fourth.
fn with_a_lan_behind() -> (Topology, Ipv4Addr) {
    let mut topology = topology(3);
    let ambient = Ambient::seeded(5, Timestamp::from_micros(1_700_000_000_000_000));
    let inner = Lan {
        id: ambient.id(),
        name: "inner".parse().unwrap(),
        subnet: "10.90.0.0/24".parse().unwrap(),
        is_dmz: false,
        position: None,
    };
    let mut hidden = Decky::clone(named(&topology, "decky-0"));
    (hidden.id, hidden.name) = (ambient.id(), "hidden".parse().unwrap());
    hidden.edges = vec![edge(&inner, [10, 90, 0, 7])];
    let router = named(&topology, "decky-1").id;
    let router = Arc::make_mut(topology.deckies.get_mut(&router).unwrap());
    router.edges.push(Edge { forwards_l3: true, ..edge(&inner, [10, 90, 0, 1]) });
    topology.deckies.insert(hidden.id, Arc::new(hidden));
    topology.lans.insert(inner.id, Arc::new(inner));
    (topology, Ipv4Addr::new(10, 90, 0, 7))
}

#[test]
fn deckies_that_share_the_uplink_s_address_are_reached_where_others_are_not() {
    let Some(lab) = Lab::new() else { return };
    let _relay = port_security(&lab);
    run(&format!("ip -n {} addr add 10.80.0.77/16 dev u0", lab.lan));
    let (topology, far) = with_a_lan_behind();
    lab.sh("ip route add 10.90.0.0/24 via 10.80.1.1");
    let outside = [0, 1, 2].map(|low| Ipv4Addr::new(10, 80, 1, low));

    let own = lab.driver();
    converge(&own, &topology);
    for address in outside {
        assert_eq!(lab.visit(|| ping(address, 64, SILENCE)), None, "foreign addresses are dropped");
    }
    drop(own);
    lab.sh("ip neigh flush dev eth0");

    let config = NetnsConfig {
        mac: MacChoice::Host,
        listen_first: Duration::from_millis(100),
        ..lab.config(mixed())
    };
    let driver = Netns::new(config, Arc::new(Host::default())).unwrap();
    driver.execute_all(&maze::plan(Some(&topology), &driver.observe(topology.id))).unwrap();
    let shared = card(&lab).to_string();
    for (nth, address) in outside.into_iter().enumerate() {
        assert_eq!(lab.visit(|| ping(address, 64, PATIENCE)), Some((address, Answer::Echo)));
        let neighbour = lab.sh(&format!("ip neigh show {address} dev eth0"));
        assert!(neighbour.contains(&shared), "{neighbour}");
        let found = lab.visit(|| banner(address, 22).unwrap());
        assert_eq!(found, format!("decky-{nth} ssh"));
    }
    assert_eq!(lab.visit(|| ping(far, 1, PATIENCE)), Some((outside[1], Answer::Expired)));
    assert_eq!(lab.visit(|| banner(far, 80).unwrap()), "hidden http");
    let counted = |what| driver.report().unwrap().get(what);
    assert_eq!((counted(Count::AddressConflicts), counted(Count::EgressDenied)), (0, 0));

    // This machine is a neighbour of theirs, with services of its own, and stays what it was.
    let own: Ipv4Addr = "10.80.0.77".parse().unwrap();
    let lan = std::fs::File::open(format!("/run/netns/{}", lab.lan)).unwrap();
    let listener = within(lan.as_fd(), || TcpListener::bind((own, 22)).unwrap());
    let answers = || [Count::EchoAnswers, Count::Flows, Count::Resets].map(counted);
    let before = answers();
    assert_eq!(lab.visit(|| ping(own, 64, PATIENCE)), Some((own, Answer::Echo)));
    let visitor = lab.visit(|| connect(own, 22).unwrap());
    assert_eq!(listener.accept().unwrap().1, visitor.local_addr().unwrap());
    let closed = lab.visit(|| connect(own, 81).unwrap_err().kind());
    assert_eq!(closed, io::ErrorKind::ConnectionRefused);
    assert_eq!(answers(), before, "the switch has no part in it");
    let mut decky = Decky::clone(named(&topology, "decky-0"));
    decky.id = Ambient::seeded(6, Timestamp::from_micros(1)).id();
    decky.edges[0].address = own;
    let taken = Step::AddDecky { topology: topology.id, decky: Arc::new(decky) };
    let taken = driver.execute(&taken).unwrap_err();
    assert!(matches!(taken, StepError::OwnAddress { .. }), "{taken}");

    // One that goes takes nothing from the others.
    let gone = named(&topology, "decky-2").id;
    driver.execute(&Step::RemoveDecky { topology: topology.id, decky: gone }).unwrap();
    assert_eq!(lab.visit(|| ping(outside[2], 64, SILENCE)), None);
    assert_eq!(lab.visit(|| banner(far, 80).unwrap()), "hidden http");
    tear_down(&driver, &topology);
}

#[test]
fn an_uplink_without_an_address_to_share_is_refused() {
    let Some(lab) = Lab::new() else { return };
    let uplink = Uplink::InterfaceWithin {
        netns: format!("/run/netns/{}", lab.lan).into(),
        name: "lo".into(),
    };
    let config = NetnsConfig { uplink, mac: MacChoice::Host, ..lab.config(mixed()) };
    let Err(refused) = Netns::new(config, Arc::new(Host::default())) else {
        panic!("deckies have an address of the loopback interface");
    };
    assert!(refused.to_string().contains("fleet.uplink_mac"), "{refused}");
}
