//! What the driver promises about datagrams, held against real sockets on loopback and a session
//! that does what its visitor says.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use model::{
    Ambient, Archetype, DeckyId, LanId, Service, SessionEvent, SessionFact, Timestamp, TopologyId,
    Transport, Truncation,
};
use tokio::{net::UdpSocket, sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{Bucket, Driver, DriverHandle, Limits, ListenError};
use crate::{
    Answers, DatagramSession, Started,
    directory::{Entry, Interface, LazyPersona, Place},
    testing::persona,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// How long what must not come is waited for.
const SILENCE: Duration = Duration::from_millis(150);

/// Obeys the first letter; counts what it heard.
struct Obedient {
    local: SocketAddr,
    heard: usize,
}

impl DatagramSession for Obedient {
    fn receive(&mut self, _now: Timestamp, datagram: &[u8], answers: &mut Answers) {
        self.heard += 1;
        match datagram.first() {
            Some(b'f') => answers.record(SessionFact::Request { text: "f".into() }),
            Some(b'p') => panic!("as the visitor wished"),
            Some(b'b') => answers.send(vec![b'x'; 1_000]),
            Some(b'i') => answers.send(self.local.ip().to_string().into_bytes()),
            Some(b'L') => answers.send(vec![b'x'; 5_000]),
            _ => answers.send(self.heard.to_string().into_bytes()),
        }
    }
}

struct World {
    handle: DriverHandle,
    facts: mpsc::Receiver<SessionEvent>,
    stop: CancellationToken,
    running: JoinHandle<()>,
    lan: LanId,
    at: SocketAddr,
    deckies: Vec<DeckyId>,
}

impl World {
    /// Deckies on 127.0.0.1, 127.0.0.2, … behind one socket that is bound to all addresses.
    async fn new(limits: Limits, deckies: u8) -> Self {
        let ambient = Ambient::system();
        let (sender, facts) = mpsc::channel(1024);
        let (driver, handle) =
            Driver::with_factory(limits, ambient.clone(), sender, |_, _, _, local, _| {
                Started::Datagrams(Box::new(Obedient { local, heard: 0 }))
            });
        let stop = CancellationToken::new();
        let running = tokio::spawn(driver.run(stop.clone()));
        let lan = ambient.id();
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a free port");
        let at = socket.local_addr().expect("bound");
        let mut ids = Vec::new();
        for n in 1..=deckies {
            let persona = persona(n.into(), "printer-01", Archetype::Printer);
            ids.push(persona.decky);
            let interface = Interface {
                topology_id: ambient.id::<TopologyId>(),
                lan_id: lan,
                decky_id: persona.decky,
                address: [10, 66, 1, n].into(),
                persona: LazyPersona::new(Box::new(move || persona)),
            };
            let interface = Arc::new(interface);
            let entry = Entry { interface, service: Service::Snmp, port: 161 };
            handle.bind(place(lan, n, at.port()), entry);
        }
        handle.listen_datagrams(lan, socket).await.expect("reads");
        Self { handle, facts, stop, running, lan, at, deckies: ids }
    }

    async fn visitor(&self) -> Visitor {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        Visitor { socket, port: self.at.port() }
    }

    async fn fact(&mut self) -> SessionEvent {
        timeout(PATIENCE, self.facts.recv()).await.expect("in time").expect("a fact")
    }

    /// The record up to and with the next `Ended`, which must say `expected`.
    async fn check_ends(&mut self, expected: Option<Truncation>) -> Vec<SessionEvent> {
        let mut record = vec![self.fact().await];
        while !matches!(record[record.len() - 1].fact, SessionFact::Ended { .. }) {
            record.push(self.fact().await);
        }
        let indices: Vec<u32> = record.iter().map(|event| event.index).collect();
        assert_eq!(indices, (0..record.len() as u32).collect::<Vec<_>>());
        assert_eq!(record[0].fact, SessionFact::Started);
        let Some(SessionFact::Ended { truncated, .. }) = record.last().map(|event| &event.fact)
        else {
            panic!("ends with Ended")
        };
        assert_eq!(*truncated, expected);
        record
    }
}

fn place(lan: LanId, n: u8, port: u16) -> Place {
    let at = SocketAddr::from(([127, 0, 0, n], port));
    Place { lan, transport: Transport::Udp, at }
}

struct Visitor {
    socket: UdpSocket,
    port: u16,
}

impl Visitor {
    /// Sends to the decky on 127.0.0.`n`.
    async fn send(&self, n: u8, datagram: &[u8]) {
        let to = (Ipv4Addr::new(127, 0, 0, n), self.port);
        self.socket.send_to(datagram, to).await.expect("sent");
    }

    /// What it answers; it must come from there.
    async fn ask(&self, n: u8, datagram: &[u8]) -> String {
        self.send(n, datagram).await;
        let (answer, from) = timeout(PATIENCE, self.receive()).await.expect("in time");
        assert_eq!(from, SocketAddr::from(([127, 0, 0, n], self.port)));
        answer
    }

    async fn receive(&self) -> (String, SocketAddr) {
        let mut buffer = vec![0; 65_536];
        let (bytes, from) = self.socket.recv_from(&mut buffer).await.expect("received");
        (String::from_utf8_lossy(&buffer[..bytes]).into_owned(), from)
    }

    async fn hears_nothing(&self) {
        assert!(timeout(SILENCE, self.receive()).await.is_err());
    }
}

/// Ends sessions soon after the last datagram.
fn hasty() -> Limits {
    Limits { datagram_idle: Duration::from_millis(100), ..Limits::default() }
}

#[tokio::test]
async fn one_socket_serves_many_deckies_from_their_own_addresses() {
    let mut world = World::new(hasty(), 3).await;
    let visitor = world.visitor().await;
    for n in 1..=3 {
        assert_eq!(visitor.ask(n, b"i").await, format!("10.66.1.{n}"));
    }
    visitor.send(9, b"nobody there").await;
    visitor.hears_nothing().await;
    let mut touched = Vec::new();
    while touched.len() < 6 {
        touched.push(world.fact().await);
    }
    for decky in &world.deckies {
        let of_decky = touched.iter().filter(|event| event.decky_id == *decky);
        let ended = SessionFact::Ended { bytes_in: 1, bytes_out: 9, truncated: None };
        let facts: Vec<_> = of_decky.map(|event| event.fact.clone()).collect();
        assert_eq!(facts, [SessionFact::Started, ended]);
    }
}

#[tokio::test]
async fn a_session_lasts_until_its_source_falls_silent() {
    let mut world = World::new(hasty(), 1).await;
    let (one, other) = (world.visitor().await, world.visitor().await);
    assert_eq!(one.ask(1, b"a").await, "1");
    assert_eq!(one.ask(1, b"a").await, "2");
    assert_eq!(other.ask(1, b"a").await, "1", "another port is another session");
    assert_eq!(world.handle.live_sessions(world.deckies[0]), 2);
    let started = [world.fact().await, world.fact().await];
    assert!(started.iter().all(|event| event.fact == SessionFact::Started));
    for _ in 0..2 {
        let ended = world.fact().await.fact;
        assert!(matches!(ended, SessionFact::Ended { truncated: None, .. }), "{ended:?}");
    }
    assert_eq!(one.ask(1, b"a").await, "1", "a new one");
}

#[tokio::test]
async fn a_panic_ends_one_session_only() {
    let mut world = World::new(Limits::default(), 1).await;
    let (one, other) = (world.visitor().await, world.visitor().await);
    assert_eq!(other.ask(1, b"a").await, "1");
    assert_eq!(world.fact().await.fact, SessionFact::Started);
    one.send(1, b"p").await;
    world.check_ends(Some(Truncation::Panic)).await;
    assert_eq!(other.ask(1, b"a").await, "2");
    assert_eq!(one.ask(1, b"a").await, "1");
}

#[tokio::test]
async fn who_forges_an_address_gets_no_more_sent_there_than_the_allowance() {
    let limits =
        Limits { answers_per_peer: Bucket { burst: 2_500, per_second: 0 }, ..Limits::default() };
    let world = World::new(limits, 1).await;
    let visitor = world.visitor().await;
    assert_eq!(visitor.ask(1, b"b").await.len(), 1_000);
    assert_eq!(visitor.ask(1, b"b").await.len(), 1_000);
    let again = world.visitor().await;
    again.send(1, b"b").await;
    again.hears_nothing().await;
    // What is no larger than the question costs nothing.
    assert_eq!(again.ask(1, &[b'b'; 1_000]).await.len(), 1_000);
    assert_eq!(again.ask(1, b"a").await, "3");
}

#[tokio::test]
async fn what_is_too_long_is_neither_read_nor_sent() {
    let mut world = World::new(hasty(), 1).await;
    let visitor = world.visitor().await;
    visitor.send(1, &vec![b'a'; 9_000]).await;
    visitor.send(1, b"L").await;
    visitor.hears_nothing().await;
    let record = world.check_ends(None).await;
    let ended = SessionFact::Ended { bytes_in: 1, bytes_out: 0, truncated: None };
    assert_eq!(record[1].fact, ended);
}

#[tokio::test]
async fn sessions_are_limited_per_source_and_in_all() {
    for limits in [
        Limits { datagram_sessions: 2, ..Limits::default() },
        Limits { datagram_sessions_per_peer: 2, ..Limits::default() },
    ] {
        let world = World::new(limits, 1).await;
        let (one, other, third) =
            (world.visitor().await, world.visitor().await, world.visitor().await);
        assert_eq!(one.ask(1, b"a").await, "1");
        assert_eq!(other.ask(1, b"a").await, "1");
        third.send(1, b"a").await;
        third.hears_nothing().await;
        assert_eq!(world.handle.refused_datagrams(), 1);
        assert_eq!(world.handle.refused_connections(), 0);
        assert_eq!(one.ask(1, b"a").await, "2");
    }
}

#[tokio::test]
async fn facts_bytes_and_duration_are_limited() {
    let mut world = World::new(Limits { facts: 5, ..Limits::default() }, 1).await;
    let visitor = world.visitor().await;
    for _ in 0..6 {
        visitor.send(1, b"f").await;
    }
    assert_eq!(world.check_ends(Some(Truncation::Facts)).await.len(), 5);

    let mut world = World::new(Limits { bytes_in: 2_000, ..Limits::default() }, 1).await;
    let visitor = world.visitor().await;
    for _ in 0..3 {
        visitor.send(1, &[b'a'; 1_000]).await;
    }
    world.check_ends(Some(Truncation::Bytes)).await;

    let limits = Limits {
        duration: Duration::from_millis(50),
        datagram_idle: Duration::from_millis(400),
        ..Limits::default()
    };
    let mut world = World::new(limits, 1).await;
    assert_eq!(world.visitor().await.ask(1, b"a").await, "1");
    world.check_ends(Some(Truncation::Duration)).await;
}

#[tokio::test]
async fn sessions_of_one_decky_can_be_ended() {
    let mut world = World::new(Limits::default(), 2).await;
    let visitor = world.visitor().await;
    assert_eq!(visitor.ask(2, b"a").await, "1");
    assert_eq!(world.fact().await.fact, SessionFact::Started);
    assert_eq!(visitor.ask(1, b"a").await, "1");
    world.handle.end_sessions(world.deckies[0], Truncation::Mutation);
    world.check_ends(Some(Truncation::Mutation)).await;
    assert_eq!(world.handle.all_live_sessions(), 1);
    assert_eq!(visitor.ask(2, b"a").await, "2");
}

#[tokio::test]
async fn an_unbound_decky_falls_silent_and_a_closed_socket_is_free_again() {
    let mut world = World::new(Limits::default(), 2).await;
    let visitor = world.visitor().await;
    assert_eq!(visitor.ask(1, b"a").await, "1");
    world.handle.unbind(place(world.lan, 1, world.at.port()));
    visitor.send(1, b"a").await;
    visitor.hears_nothing().await;
    assert_eq!(visitor.ask(2, b"a").await, "1");
    world.handle.unlisten(world.lan, Transport::Udp, world.at).await;
    let again = std::net::UdpSocket::bind(world.at).expect("its port is free");
    let mut ended = 0;
    while ended < 2 {
        if let SessionFact::Ended { truncated, .. } = world.fact().await.fact {
            assert_eq!(truncated, Some(Truncation::Mutation));
            ended += 1;
        }
    }
    let twin = again.try_clone().expect("cloned");
    world.handle.listen_datagrams(world.lan, again).await.expect("reads");
    let refused = world.handle.listen_datagrams(world.lan, twin).await;
    assert!(matches!(refused, Err(ListenError::Taken { .. })));
    assert_eq!(visitor.ask(2, b"a").await, "1");
    // The same port of the other transport is another place.
    let listener = std::net::TcpListener::bind(world.at).expect("TCP has its own ports");
    world.handle.listen(world.lan, listener).await.expect("accepts");
}

#[tokio::test]
async fn stopping_ends_every_session_with_a_record() {
    let mut world = World::new(Limits::default(), 3).await;
    let visitor = world.visitor().await;
    for n in 1..=3 {
        visitor.ask(n, b"a").await;
    }
    world.stop.cancel();
    timeout(PATIENCE, world.running).await.expect("in time").expect("ran");
    let mut ended = Vec::new();
    while let Some(event) = world.facts.recv().await {
        if let SessionFact::Ended { truncated, .. } = event.fact {
            ended.push(truncated);
        }
    }
    assert_eq!(ended, [Some(Truncation::Shutdown); 3]);
}

#[tokio::test]
async fn a_service_of_connections_gets_no_datagrams() {
    let ambient = Ambient::system();
    let (sender, mut facts) = mpsc::channel(16);
    let (driver, handle) = Driver::new(Limits::default(), ambient.clone(), sender);
    let running = tokio::spawn(driver.run(CancellationToken::new()));
    let persona = persona(1, "web-01", Archetype::WebServer);
    let lan = ambient.id();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let port = socket.local_addr().expect("bound").port();
    let interface = Interface {
        topology_id: ambient.id::<TopologyId>(),
        lan_id: lan,
        decky_id: persona.decky,
        address: [10, 66, 1, 1].into(),
        persona: LazyPersona::new(Box::new(move || persona)),
    };
    let entry = Entry { interface: Arc::new(interface), service: Service::Http, port: 80 };
    handle.bind(place(lan, 1, port), entry);
    handle.listen_datagrams(lan, socket).await.expect("reads");
    let visitor = Visitor { socket: UdpSocket::bind("127.0.0.1:0").await.expect("bound"), port };
    visitor.send(1, b"a").await;
    let mut last = None;
    for _ in 0..2 {
        last = timeout(PATIENCE, facts.recv()).await.expect("in time");
    }
    let truncated = Some(Truncation::Panic);
    let ended = SessionFact::Ended { bytes_in: 0, bytes_out: 0, truncated };
    assert_eq!(last.expect("a fact").fact, ended);
    drop(handle);
    timeout(PATIENCE, running).await.expect("in time").expect("ran");
}
