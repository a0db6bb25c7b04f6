//! Deckies that are asked by datagrams.

use std::{
    io::{IoSlice, IoSliceMut},
    net::{SocketAddrV4, UdpSocket},
    os::fd::AsRawFd as _,
    time::Instant,
};

use nix::{
    libc,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt,
        sockopt,
    },
};

use super::*;

/// Tells who was meant, who asked, and what; from the address that was meant.
pub(super) fn answer(socket: &UdpSocket, tag: LanId, bound: &Bindings, stop: &AtomicBool) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    setsockopt(socket, sockopt::Ipv4PacketInfo, &true).unwrap();
    let (fd, port) = (socket.as_raw_fd(), socket.local_addr().unwrap().port());
    let rest = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    let mut buffer = [0; 9000];
    while !stop.load(SeqCst) {
        poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&rest)).unwrap();
        let mut control = nix::cmsg_space!(libc::in_pktinfo);
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let received = recvmsg::<SockaddrIn>(fd, &mut parts, Some(&mut control), MsgFlags::empty());
        let Ok(received) = received else { continue };
        let meant = received.cmsgs().unwrap().find_map(|control| match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => Some(info.ipi_addr),
            _ => None,
        });
        let (meant, from) = (meant.unwrap(), received.address.unwrap());
        let length = received.bytes;
        let at = SocketAddr::from((Ipv4Addr::from_bits(u32::from_be(meant.s_addr)), port));
        let place = (tag, Transport::Udp, at);
        let Some(name) = bound.lock().unwrap().get(&place).cloned() else { continue };
        let heard = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let text = format!("{name} to {}: {heard}", from.ip());
        let info = libc::in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: meant,
            ipi_addr: libc::in_addr { s_addr: 0 },
        };
        let (parts, control) =
            ([IoSlice::new(text.as_bytes())], [ControlMessage::Ipv4PacketInfo(&info)]);
        let to = SockaddrIn::from(SocketAddrV4::new(from.ip(), from.port()));
        sendmsg(fd, &parts, &control, MsgFlags::empty(), Some(&to)).unwrap();
    }
}

/// What comes back from there and nowhere else.
fn ask(address: Ipv4Addr, port: u16, question: &str, wait: Duration) -> io::Result<String> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect((address, port))?;
    socket.set_read_timeout(Some(wait))?;
    socket.send(question.as_bytes())?;
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// The LAN of [`topology`]; every decky speaks SNMP too.
fn asked(count: u16) -> Topology {
    let mut topology = topology(count);
    for decky in topology.deckies.values_mut() {
        Arc::make_mut(decky).services.push(Service::Snmp.into());
    }
    topology
}

fn address(topology: &Topology, name: &str) -> Ipv4Addr {
    named(topology, name).edges[0].address
}

fn count(driver: &Netns, what: Count) -> u64 {
    driver.report().unwrap().get(what)
}

#[test]
fn answers_come_from_the_decky_that_was_asked() {
    let Some(lab) = Lab::new() else { return };
    let (driver, topology) = (lab.driver(), asked(8));
    converge(&driver, &topology);
    for decky in topology.deckies.values() {
        let address = decky.edges[0].address;
        let answer = lab.visit(|| ask(address, 161, "hello", PATIENCE).unwrap());
        assert_eq!(answer, format!("{} snmp to 10.80.0.2: hello", decky.name));
        // What is open for connections only is unreachable, and the other way round.
        let closed = lab.visit(|| ask(address, 22, "hello", PATIENCE).unwrap_err());
        assert_eq!(closed.kind(), io::ErrorKind::ConnectionRefused);
        let closed = lab.visit(|| connect(address, 161).unwrap_err());
        assert_eq!(closed.kind(), io::ErrorKind::ConnectionRefused);
    }
    let last = address(&topology, "decky-7");
    let long = "x".repeat(1400);
    let answer = lab.visit(|| ask(last, 161, &long, PATIENCE).unwrap());
    assert!(answer.ends_with(&long), "{answer}");
    // What came in pieces is heard by nobody.
    let pieces = lab.visit(|| ask(last, 161, &"x".repeat(3000), SILENCE).unwrap_err());
    assert_eq!(pieces.kind(), io::ErrorKind::WouldBlock);
    assert!(count(&driver, Count::Fragments) > 0);
    tear_down(&driver, &topology);
    assert_eq!(count(&driver, Count::EgressDenied), 0);
}

#[test]
fn two_lans_with_the_same_addresses_are_kept_apart() {
    let Some(lab) = Lab::new() else { return };
    let (driver, mut topology) = (lab.driver(), asked(3));
    let ambient = Ambient::seeded(2, Timestamp::from_micros(1_700_000_000_000_000));
    let outer = topology.lans.values().next().unwrap().clone();
    let far = Ipv4Addr::new(10, 90, 0, 7);
    for (name, router) in [("east", "decky-1"), ("west", "decky-2")] {
        let mut lan = Lan::clone(&outer);
        (lan.id, lan.is_dmz, lan.name) = (ambient.id(), false, name.parse().unwrap());
        lan.subnet = "10.90.0.0/24".parse().unwrap();
        let mut router = Decky::clone(named(&topology, router));
        router.edges.push(Edge { forwards_l3: true, ..edge(&lan, [10, 90, 0, 1]) });
        let mut hidden = Decky::clone(named(&topology, "decky-0"));
        let edges = vec![edge(&lan, far.octets())];
        (hidden.id, hidden.name, hidden.edges) = (ambient.id(), name.parse().unwrap(), edges);
        topology.lans.insert(lan.id, Arc::new(lan));
        topology.deckies.insert(router.id, Arc::new(router));
        topology.deckies.insert(hidden.id, Arc::new(hidden));
    }
    converge(&driver, &topology);
    for (name, router) in [("east", "decky-1"), ("west", "decky-2"), ("east", "decky-1")] {
        let router = address(&topology, router);
        lab.sh(&format!("ip route replace 10.90.0.0/24 via {router}"));
        let answer = lab.visit(|| ask(far, 161, "who?", PATIENCE).unwrap());
        assert_eq!(answer, format!("{name} snmp to 10.80.0.2: who?"));
    }
    tear_down(&driver, &topology);
}

/// Opens what was closed a moment ago. A program that another test of this process starts has a
/// copy of every socket until it is that program: so long the port may be in use.
fn reopen(driver: &Netns, step: &Step) {
    let until = Instant::now() + PATIENCE;
    loop {
        match driver.execute(step) {
            Err(StepError::Listen { source, .. })
                if source.kind() == io::ErrorKind::AddrInUse && Instant::now() < until =>
            {
                std::thread::yield_now();
            }
            done => return done.unwrap(),
        }
    }
}

#[test]
fn what_closes_is_unreachable_and_what_goes_is_silent() {
    let Some(lab) = Lab::new() else { return };
    let (driver, topology) = (lab.driver(), asked(3));
    converge(&driver, &topology);
    let (id, at) = (named(&topology, "decky-1").id, address(&topology, "decky-1"));
    let (decky, service) = (id, Service::Snmp.into());
    let open = Step::OpenService { topology: topology.id, decky, service };
    let close = Step::CloseService { topology: topology.id, decky, service };
    for _ in 0..5 {
        driver.execute(&close).unwrap();
        let closed = lab.visit(|| ask(at, 161, "a", PATIENCE).unwrap_err());
        assert_eq!(closed.kind(), io::ErrorKind::ConnectionRefused);
        reopen(&driver, &open);
        let answer = lab.visit(|| ask(at, 161, "b", PATIENCE).unwrap());
        assert_eq!(answer, "decky-1 snmp to 10.80.0.2: b");
    }
    driver.execute(&Step::RemoveDecky { topology: topology.id, decky: id }).unwrap();
    let gone = lab.visit(|| ask(at, 161, "c", SILENCE).unwrap_err());
    assert_eq!(gone.kind(), io::ErrorKind::WouldBlock, "it is silent");
    let other = address(&topology, "decky-2");
    assert!(lab.visit(|| ask(other, 161, "d", PATIENCE)).is_ok());
}

#[test]
fn forged_sources_reach_nobody_else() {
    let Some(lab) = Lab::new() else { return };
    let (driver, topology) = (lab.driver(), asked(2));
    converge(&driver, &topology);
    let decky = named(&topology, "decky-1");
    let (at, other) = (decky.edges[0].address, address(&topology, "decky-0"));
    let mac = driver.mac(decky.id, decky.edges[0].lan).unwrap();
    let forge = |source: &str| {
        let script = format!(
            "import socket,struct\n\
             s=socket.socket(socket.AF_PACKET,socket.SOCK_RAW);s.bind(('eth0',0))\n\
             m=bytes.fromhex('{}');v=bytes.fromhex('001b21000001')\n\
             q,d=socket.inet_aton('{source}'),socket.inet_aton('{at}')\n\
             h=struct.pack('>BBHHHBBH4s4s',0x45,0,33,7,0x4000,64,17,0,q,d)\n\
             t=sum(struct.unpack('>10H',h))\n\
             t=(t&0xffff)+(t>>16);t=(t&0xffff)+(t>>16)\n\
             h=h[:10]+struct.pack('>H',(~t)&0xffff)+h[12:]\n\
             s.send(m+v+b'\\x08\\x00'+h+struct.pack('>HHHH',161,161,13,0)+b'hello')\n",
            mac.to_string().replace(':', "")
        );
        let arguments = ["netns", "exec", &lab.visitor, "python3", "-c", &script];
        assert!(Command::new("ip").args(arguments).status().unwrap().success());
    };
    let until = |what: Count, wanted: u64| {
        let deadline = std::time::Instant::now() + PATIENCE;
        while count(&driver, what) < wanted {
            assert!(std::time::Instant::now() < deadline, "{what:?}: {:?}", driver.report());
            std::thread::yield_now();
        }
    };
    forge(&other.to_string());
    until(Count::Malformed, 1);
    assert_eq!(count(&driver, Count::Datagrams), 0, "a decky asks nothing");
    // The answer goes back the way that the question came, whatever the source says.
    let sent = count(&driver, Count::Sent);
    forge("10.80.0.77");
    until(Count::Datagrams, 1);
    until(Count::Sent, sent + 2);
    assert_eq!(
        lab.visit(|| ask(other, 161, "e", PATIENCE).unwrap()),
        "decky-0 snmp to 10.80.0.2: e"
    );
    assert_eq!(count(&driver, Count::EgressDenied), 0);
}

#[test]
fn what_nobody_asked_for_does_not_come_out() {
    let Some(lab) = Lab::new() else { return };
    let (driver, topology) = (lab.driver(), asked(1));
    converge(&driver, &topology);
    let decky = named(&topology, "decky-0");
    let at = decky.edges[0].address;
    assert!(lab.visit(|| ask(at, 161, "a", PATIENCE)).is_ok());
    let visitor = lab.visit(|| UdpSocket::bind("10.80.0.2:9999").unwrap());
    visitor.set_nonblocking(true).unwrap();
    // The port is free then, and its packets still come as far as the switch.
    let service = Service::Snmp.into();
    driver
        .execute(&Step::CloseService { topology: topology.id, decky: decky.id, service })
        .unwrap();
    let denied = count(&driver, Count::EgressDenied);
    for namespace in driver.namespaces().unwrap() {
        within(namespace.as_fd(), || {
            for (port, wanted) in [(53, 0), (161, 1)] {
                let socket = UdpSocket::bind(("240.0.0.1", port)).unwrap();
                socket.send_to(b"hello", "10.80.0.2:9999").unwrap();
                std::thread::sleep(SILENCE);
                assert_eq!(count(&driver, Count::EgressDenied), denied + wanted, "from {port}");
            }
        });
    }
    assert_eq!(visitor.recv(&mut [0; 16]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}
