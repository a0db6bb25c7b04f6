//! The driver's promises, held against real sockets on loopback and a session that does what
//! its visitor says.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use model::{
    Ambient, Archetype, DeckyId, LanId, Persona, Service, SessionEvent, SessionFact, Timestamp,
    TopologyId, Transport, Truncation,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{Admission, DataPorts, Driver, DriverHandle, Limits, ListenError};
use crate::{
    DataAction, DataEvent, Flow, Output, Session, Started,
    directory::{Entry, Interface, LazyPersona, Place},
    testing::{START, persona},
};

const PATIENCE: Duration = Duration::from_secs(10);

/// Obeys single letters.
#[derive(Default)]
struct Obedient {
    deadline: Option<Timestamp>,
}

impl Session for Obedient {
    fn open(&mut self, now: Timestamp, out: &mut Output) -> Flow {
        out.send(b"hello\n");
        self.deadline = Some(now.plus(Duration::from_secs(3600)));
        Flow::Continue
    }

    fn receive(&mut self, now: Timestamp, bytes: &[u8], out: &mut Output) -> Flow {
        for byte in bytes {
            match byte {
                b'f' => out.record(SessionFact::Command { text: "f".into() }),
                b'p' => panic!("as the visitor wished"),
                b'b' => out.send(&vec![b'x'; 1 << 20]),
                b'c' => return Flow::Close,
                b'l' => {
                    out.send(b"bye\n");
                    return Flow::Linger;
                }
                b'd' => self.deadline = Some(now),
                b'L' => out.data(DataAction::Listen),
                b'S' => out.data(DataAction::Send(b"listing".to_vec())),
                b'C' => out.data(DataAction::Close),
                _ => out.send(&[*byte]),
            }
        }
        Flow::Continue
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    fn expire(&mut self, _now: Timestamp, out: &mut Output) -> Flow {
        out.send(b"expired\n");
        Flow::Close
    }

    fn data(&mut self, _now: Timestamp, event: DataEvent, out: &mut Output) -> Flow {
        match event {
            DataEvent::Listening { port, .. } => out.send(format!("port {port}\n").as_bytes()),
            DataEvent::Connected => out.send(b"connected\n"),
            DataEvent::Received(bytes) => out.send(&bytes),
            DataEvent::Closed => out.send(b"closed\n"),
        }
        Flow::Continue
    }
}

fn place(lan: LanId, at: SocketAddr) -> Place {
    Place { lan, transport: Transport::Tcp, at }
}

struct World {
    handle: DriverHandle,
    facts: mpsc::Receiver<SessionEvent>,
    stop: CancellationToken,
    running: JoinHandle<()>,
    lan: LanId,
    decky: DeckyId,
    at: SocketAddr,
}

fn at_hand(persona: Arc<Persona>) -> LazyPersona {
    LazyPersona::new(Box::new(move || persona))
}

/// The web server of a LAN.
fn entry(lan: LanId) -> Entry {
    let persona = persona(1, "web-01", Archetype::WebServer);
    let interface = Interface {
        topology_id: Ambient::seeded(1, START).id(),
        lan_id: lan,
        decky_id: persona.decky,
        address: "10.66.1.10".parse().expect("an address"),
        persona: at_hand(persona),
    };
    Entry { interface: Arc::new(interface), service: Service::Http, port: 80 }
}

impl World {
    async fn new(limits: Limits) -> Self {
        Self::with_channel(limits, 1024).await
    }

    async fn with_channel(limits: Limits, capacity: usize) -> Self {
        let ambient = Ambient::system();
        let (sender, facts) = mpsc::channel(capacity);
        let (driver, handle) =
            Driver::with_factory(limits, ambient.clone(), sender, |_, _, _, _, _| {
                Started::Connection(Box::new(Obedient::default()))
            });
        let stop = CancellationToken::new();
        let running = tokio::spawn(driver.run(stop.clone()));
        let lan = ambient.id();
        let entry = entry(lan);
        let decky = entry.interface.decky_id;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = listener.local_addr().expect("bound");
        handle.bind(place(lan, at), entry);
        handle.listen(lan, listener).await.expect("accepts");
        Self { handle, facts, stop, running, lan, decky, at }
    }

    async fn visit(&self) -> Visitor {
        Visitor(TcpStream::connect(self.at).await.expect("connects"))
    }

    async fn fact(&mut self) -> SessionEvent {
        timeout(PATIENCE, self.facts.recv()).await.expect("in time").expect("a fact")
    }

    /// The facts up to and with the next `Ended`.
    async fn record(&mut self) -> Vec<SessionEvent> {
        let mut record = Vec::new();
        loop {
            record.push(self.fact().await);
            if matches!(record.last().expect("just pushed").fact, SessionFact::Ended { .. }) {
                return record;
            }
        }
    }

    async fn check_ends(&mut self, expected: Option<Truncation>) -> Vec<SessionEvent> {
        let record = self.record().await;
        let indices: Vec<u32> = record.iter().map(|event| event.index).collect();
        assert_eq!(indices, (0..record.len() as u32).collect::<Vec<_>>());
        assert_eq!(record[0].fact, SessionFact::Started);
        assert!(record.iter().all(|event| event.decky_id == self.decky));
        let Some(SessionFact::Ended { truncated, .. }) = record.last().map(|event| &event.fact)
        else {
            panic!("ends with Ended")
        };
        assert_eq!(*truncated, expected);
        record
    }
}

struct Visitor(TcpStream);

impl Visitor {
    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("sent");
    }

    async fn expect(&mut self, expected: &str) {
        let mut got = vec![0; expected.len()];
        timeout(PATIENCE, self.0.read_exact(&mut got)).await.expect("in time").expect("read");
        assert_eq!(String::from_utf8_lossy(&got), expected);
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        while !line.ends_with('\n') {
            let byte = timeout(PATIENCE, self.0.read_u8()).await.expect("in time").expect("read");
            line.push(char::from(byte));
        }
        line
    }

    /// Reads to the end; whether that was FIN.
    async fn ends_with_fin(&mut self) -> bool {
        let mut rest = Vec::new();
        timeout(PATIENCE, self.0.read_to_end(&mut rest)).await.expect("in time").is_ok()
    }
}

#[tokio::test]
async fn a_session_is_recorded_from_first_to_last_byte() {
    let mut world = World::new(Limits::default()).await;
    let mut visitor = world.visit().await;
    visitor.expect("hello\n").await;
    visitor.send(b"af").await;
    visitor.expect("a").await;
    assert_eq!(world.handle.live_sessions(world.decky), 1);
    drop(visitor);
    let record = world.check_ends(None).await;
    assert_eq!(record.len(), 3);
    assert_eq!(record[2].fact, SessionFact::Ended { bytes_in: 2, bytes_out: 7, truncated: None });
}

#[tokio::test]
async fn a_panic_ends_one_session_only() {
    let mut world = World::new(Limits::default()).await;
    let mut other = world.visit().await;
    other.expect("hello\n").await;
    assert_eq!(world.fact().await.fact, SessionFact::Started);
    let mut visitor = world.visit().await;
    visitor.send(b"p").await;
    world.check_ends(Some(Truncation::Panic)).await;
    other.send(b"z").await;
    other.expect("z").await;
}

#[tokio::test]
async fn bytes_in_are_limited() {
    let mut world = World::new(Limits { bytes_in: 1 << 20, ..Limits::default() }).await;
    let mut visitor = world.visit().await;
    // A visitor who would send a gigabyte; the driver stops reading long before.
    let flood = tokio::spawn(async move {
        let block = vec![b'f'; 1];
        let noise = vec![b'S'; 1 << 16];
        let _ = visitor.0.write_all(&block).await;
        for _ in 0..16_384 {
            if visitor.0.write_all(&noise).await.is_err() {
                return true;
            }
        }
        false
    });
    let record = world.check_ends(Some(Truncation::Bytes)).await;
    let Some(SessionFact::Ended { bytes_in, .. }) = record.last().map(|event| &event.fact) else {
        panic!("ends with Ended")
    };
    assert!(*bytes_in <= (1 << 20) + (16 << 10), "{bytes_in}");
    assert!(flood.await.expect("ran"), "the flood was cut off");
}

#[tokio::test]
async fn bytes_out_are_limited() {
    let mut world = World::new(Limits { bytes_out: 1000, ..Limits::default() }).await;
    let mut visitor = world.visit().await;
    visitor.send(b"b").await;
    world.check_ends(Some(Truncation::Bytes)).await;
}

#[tokio::test]
async fn one_call_cannot_fill_the_memory() {
    let mut world = World::new(Limits::default()).await;
    let mut visitor = world.visit().await;
    visitor.send(&[b'b'; 64]).await;
    let reading = tokio::spawn(async move {
        let mut rest = Vec::new();
        let _ = visitor.0.read_to_end(&mut rest).await;
    });
    world.check_ends(Some(Truncation::Bytes)).await;
    reading.await.expect("ran");
}

#[tokio::test]
async fn a_session_lasts_only_so_long() {
    let limits = Limits { duration: Duration::from_millis(80), ..Limits::default() };
    let mut world = World::new(limits).await;
    let _visitor = world.visit().await;
    world.check_ends(Some(Truncation::Duration)).await;
}

#[tokio::test]
async fn a_trickle_lasts_only_so_long() {
    let limits = Limits {
        idle: Duration::from_secs(5),
        duration: Duration::from_millis(200),
        ..Limits::default()
    };
    let mut world = World::new(limits).await;
    let mut visitor = world.visit().await;
    let trickle = tokio::spawn(async move {
        let mut beat = tokio::time::interval(Duration::from_millis(10));
        while visitor.0.write_all(b"a").await.is_ok() {
            beat.tick().await;
        }
    });
    world.check_ends(Some(Truncation::Duration)).await;
    trickle.await.expect("ran");
}

#[tokio::test]
async fn silence_ends_a_session() {
    let limits = Limits { idle: Duration::from_millis(80), ..Limits::default() };
    let mut world = World::new(limits).await;
    let _visitor = world.visit().await;
    world.check_ends(Some(Truncation::Idle)).await;
}

#[tokio::test]
async fn a_visitor_who_never_reads_is_let_go() {
    let limits = Limits { write_stall: Duration::from_millis(80), ..Limits::default() };
    let mut world = World::new(limits).await;
    let mut visitor = world.visit().await;
    visitor.send(&[b'b'; 8]).await;
    world.check_ends(Some(Truncation::Idle)).await;
}

#[tokio::test]
async fn facts_of_a_session_are_limited() {
    let mut world = World::new(Limits { facts: 5, ..Limits::default() }).await;
    let mut visitor = world.visit().await;
    visitor.send(&[b'f'; 100]).await;
    let record = world.check_ends(Some(Truncation::Facts)).await;
    assert_eq!(record.len(), 5);
}

#[tokio::test]
async fn connections_of_a_peer_are_limited() {
    let world = World::new(Limits { connections_per_peer: 2, ..Limits::default() }).await;
    let mut first = world.visit().await;
    first.expect("hello\n").await;
    let mut second = world.visit().await;
    second.expect("hello\n").await;
    let mut third = world.visit().await;
    third.ends_with_fin().await;
    assert_eq!(world.handle.refused_connections(), 1);
    first.send(b"a").await;
    first.expect("a").await;
}

#[tokio::test]
async fn connections_in_all_are_limited() {
    let world = World::new(Limits { connections: 1, ..Limits::default() }).await;
    let mut first = world.visit().await;
    first.expect("hello\n").await;
    world.visit().await.ends_with_fin().await;
    assert_eq!(world.handle.all_live_sessions(), 1);
}

#[tokio::test]
async fn a_full_facts_channel_stops_reading_and_drops_nothing() {
    let mut world = World::with_channel(Limits::default(), 1).await;
    let mut visitor = world.visit().await;
    visitor.send(&[b'f'; 500]).await;
    visitor.expect("hello\n").await;
    drop(visitor);
    let record = world.check_ends(None).await;
    assert_eq!(record.len(), 502);
}

#[tokio::test]
async fn unlisten_is_acknowledged_once_closed() {
    let mut world = World::new(Limits::default()).await;
    let mut visitor = world.visit().await;
    visitor.expect("hello\n").await;
    let again = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    world.handle.unlisten(world.lan, Transport::Tcp, world.at).await;
    assert!(TcpStream::connect(world.at).await.is_err());
    visitor.send(b"a").await;
    visitor.expect("a").await;
    world.handle.unlisten(world.lan, Transport::Tcp, world.at).await;
    let at = again.local_addr().expect("bound");
    world.handle.bind(place(world.lan, at), entry(world.lan));
    let twin = again.try_clone().expect("cloned");
    world.handle.listen(world.lan, again).await.expect("accepts");
    let refused = world.handle.listen(world.lan, twin).await;
    assert!(matches!(refused, Err(ListenError::Taken { .. })));
    drop(visitor);
    world.check_ends(None).await;
}

#[tokio::test]
async fn an_address_that_nobody_has_is_closed_at_once() {
    let world = World::new(Limits::default()).await;
    world.handle.unbind(place(world.lan, world.at));
    let mut visitor = world.visit().await;
    assert!(visitor.ends_with_fin().await);
    assert_eq!(world.handle.all_live_sessions(), 0);
}

#[tokio::test]
async fn a_replaced_entry_serves_the_next_visitor() {
    let mut world = World::new(Limits::default()).await;
    let mut visitor = world.visit().await;
    visitor.expect("hello\n").await;
    let other: DeckyId = Ambient::seeded(9, START).id();
    let mut entry = entry(world.lan);
    Arc::get_mut(&mut entry.interface).expect("nobody else has it").decky_id = other;
    world.handle.bind(place(world.lan, world.at), entry);
    visitor.send(b"a").await;
    visitor.expect("a").await;
    drop(visitor);
    world.check_ends(None).await;
    let _visitor = world.visit().await;
    assert_eq!(world.fact().await.decky_id, other);
    assert_eq!(world.handle.directory().len(), 1);
}

#[tokio::test]
async fn sessions_of_one_decky_can_be_ended() {
    let mut world = World::new(Limits::default()).await;
    let mut visitor = world.visit().await;
    visitor.expect("hello\n").await;
    world.handle.end_sessions(world.decky, Truncation::Mutation);
    world.check_ends(Some(Truncation::Mutation)).await;
    assert_eq!(world.handle.live_sessions(world.decky), 0);
    assert!(!visitor.ends_with_fin().await, "a machine that is gone says no goodbye");
}

#[tokio::test]
async fn sessions_by_one_interface_can_be_ended() {
    let mut world = World::new(Limits::default()).await;
    let mut visitor = world.visit().await;
    visitor.expect("hello\n").await;
    let other = Ambient::system().id();
    world.handle.end_sessions_by(world.decky, other, Truncation::Mutation);
    // What is to end, ends before it answers.
    visitor.send(b"a").await;
    visitor.expect("a").await;
    world.handle.end_sessions_by(world.decky, world.lan, Truncation::Mutation);
    world.check_ends(Some(Truncation::Mutation)).await;
}

#[tokio::test]
async fn stopping_ends_every_session_with_a_record() {
    let mut world = World::new(Limits::default()).await;
    let mut visitors = Vec::new();
    for _ in 0..5 {
        let mut visitor = world.visit().await;
        visitor.expect("hello\n").await;
        visitors.push(visitor);
    }
    world.stop.cancel();
    timeout(PATIENCE, world.running).await.expect("in time").expect("ran");
    let mut ended = 0;
    while let Some(event) = world.facts.recv().await {
        if let SessionFact::Ended { truncated, .. } = event.fact {
            assert_eq!(truncated, Some(Truncation::Shutdown));
            ended += 1;
        }
    }
    assert_eq!(ended, 5);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let refused = world.handle.listen(world.lan, listener).await;
    assert!(matches!(refused, Err(ListenError::Stopped)));
}

#[tokio::test]
async fn a_deadline_calls_the_session() {
    let mut world = World::new(Limits::default()).await;
    let mut visitor = world.visit().await;
    visitor.send(b"d").await;
    visitor.expect("hello\nexpired\n").await;
    assert!(visitor.ends_with_fin().await);
    world.check_ends(None).await;
}

#[tokio::test]
async fn what_was_read_to_the_end_is_closed_with_fin() {
    let mut world = World::new(Limits::default()).await;
    let mut visitor = world.visit().await;
    visitor.send(b"c").await;
    assert!(visitor.ends_with_fin().await);
    world.check_ends(None).await;
    let mut visitor = world.visit().await;
    visitor.send(b"l").await;
    visitor.expect("hello\nbye\n").await;
    visitor.send(b"still talking").await;
    assert!(visitor.ends_with_fin().await);
    drop(visitor);
    world.check_ends(None).await;
}

#[tokio::test]
async fn what_was_left_unread_is_closed_with_reset() {
    let mut world = World::new(Limits::default()).await;
    let mut visitor = world.visit().await;
    visitor.expect("hello\n").await;
    let mut bytes = vec![b'c'];
    bytes.resize(1 << 20, b'x');
    let _ = visitor.0.write_all(&bytes).await;
    assert!(!visitor.ends_with_fin().await);
    world.check_ends(None).await;
}

#[tokio::test]
async fn a_data_connection_goes_through_the_driver() {
    let mut world = World::new(Limits::default()).await;
    let mut visitor = world.visit().await;
    visitor.send(b"LS").await;
    visitor.expect("hello\n").await;
    let line = visitor.line().await;
    let port: u16 = line.trim().trim_start_matches("port ").parse().expect("a port");
    let mut data = Visitor(TcpStream::connect((world.at.ip(), port)).await.expect("connects"));
    data.expect("listing").await;
    data.send(b"upload").await;
    visitor.expect("connected\nupload").await;
    visitor.send(b"C").await;
    visitor.expect("closed\n").await;
    assert!(data.ends_with_fin().await);
    assert!(TcpStream::connect((world.at.ip(), port)).await.is_err());
    drop(visitor);
    let record = world.check_ends(None).await;
    let Some(SessionFact::Ended { bytes_in, .. }) = record.last().map(|event| &event.fact) else {
        panic!("ends with Ended")
    };
    assert_eq!(*bytes_in, 3 + 6);
}

#[tokio::test]
async fn a_data_connection_that_never_comes_is_given_up() {
    let limits = Limits { data_accept: Duration::from_millis(50), ..Limits::default() };
    let mut world = World::new(limits).await;
    let mut visitor = world.visit().await;
    visitor.send(b"L").await;
    visitor.expect("hello\n").await;
    visitor.line().await;
    visitor.expect("closed\n").await;
    drop(visitor);
    world.check_ends(None).await;
}

/// Lets one visitor at a time in, and says how many are let in.
fn one_by_one(range: std::ops::RangeInclusive<u16>) -> (DataPorts, Arc<AtomicUsize>) {
    struct In(Arc<AtomicUsize>);
    impl Drop for In {
        fn drop(&mut self) {
            self.0.fetch_sub(1, SeqCst);
        }
    }
    let inside = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&inside);
    let admit = move |_: SocketAddr, _: IpAddr| {
        let is_free = count.compare_exchange(0, 1, SeqCst, SeqCst).is_ok();
        is_free.then(|| Box::new(In(Arc::clone(&count))) as Admission)
    };
    (DataPorts { range, admit: Arc::new(admit) }, inside)
}

#[tokio::test]
async fn a_second_connection_to_a_shared_listener_finds_its_session() {
    let limits = Limits { data_accept: Duration::from_secs(2), ..Limits::default() };
    let mut world = World::new(limits).await;
    let shared = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = shared.local_addr().expect("bound");
    let (ports, inside) = one_by_one(at.port()..=at.port());
    world.handle.listen(world.lan, shared).await.expect("accepts");
    world.handle.set_data_ports(world.lan, ports);
    let mut stray = Visitor(TcpStream::connect(at).await.expect("connects"));
    assert!(stray.ends_with_fin().await, "nobody waits for anybody");

    for _ in 0..2 {
        let (mut first, mut second) = (world.visit().await, world.visit().await);
        for _ in 0..2 {
            assert_eq!(world.fact().await.fact, SessionFact::Started);
        }
        first.send(b"LS").await;
        first.expect(&format!("hello\nport {}\n", at.port())).await;
        assert_eq!(inside.load(SeqCst), 1);
        second.send(b"L").await;
        second.expect("hello\nclosed\n").await;
        let other = tokio::net::TcpSocket::new_v4().expect("a socket");
        other.bind("127.0.0.3:0".parse().expect("an address")).expect("bound");
        let mut other = Visitor(other.connect(at).await.expect("connects"));
        assert!(other.ends_with_fin().await, "another visitor is not waited for");
        let mut data = Visitor(TcpStream::connect(at).await.expect("connects"));
        data.expect("listing").await;
        first.expect("connected\n").await;
        assert_eq!(inside.load(SeqCst), 0, "nobody is let in any more");
        let mut late = Visitor(TcpStream::connect(at).await.expect("connects"));
        assert!(late.ends_with_fin().await);
        data.send(b"upload").await;
        first.expect("upload").await;
        second.send(b"L").await;
        second.expect(&format!("port {}\n", at.port())).await;
        for visitor in [second, first] {
            drop(visitor);
            let ended = world.fact().await.fact;
            assert!(matches!(ended, SessionFact::Ended { truncated: None, .. }), "{ended:?}");
            assert_eq!(inside.load(SeqCst), 0, "who goes waits no longer");
        }
    }
    // A service that came meanwhile has the port.
    world.handle.bind(Place { lan: world.lan, transport: Transport::Tcp, at }, entry(world.lan));
    let mut visitor = world.visit().await;
    visitor.send(b"L").await;
    visitor.expect("hello\nclosed\n").await;
    drop(visitor);
    world.check_ends(None).await;
}

#[tokio::test]
async fn every_service_answers_in_its_own_voice() {
    let ambient = Ambient::system();
    let (sender, mut facts) = mpsc::channel(64);
    let (driver, handle) = Driver::new(Limits::default(), ambient.clone(), sender);
    let running = tokio::spawn(driver.run(CancellationToken::new()));
    let persona = persona(1, "web-01", Archetype::WebServer);
    let lan = ambient.id();
    for service in Service::ALL.iter().filter(|s| s.transport() == Transport::Tcp) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = listener.local_addr().expect("bound");
        let interface = Interface {
            topology_id: ambient.id::<TopologyId>(),
            lan_id: lan,
            decky_id: persona.decky,
            address: "10.66.1.10".parse().expect("an address"),
            persona: at_hand(Arc::clone(&persona)),
        };
        let (interface, port) = (Arc::new(interface), service.port());
        let entry = Entry { interface, service: *service, port };
        handle.bind(place(lan, at), entry);
        handle.listen(lan, listener).await.expect("accepts");
        let mut visitor = Visitor(TcpStream::connect(at).await.expect("connects"));
        let (said, heard) = match service {
            Service::Ssh => ("", "SSH-2.0-OpenSSH_9.2p1"),
            Service::Http => ("HEAD / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n"),
            Service::Ftp => ("", "220 "),
            Service::Redis => ("QUIT\r\n", "+OK\r\n"),
            Service::Snmp => unreachable!("it has no connections"),
        };
        visitor.send(said.as_bytes()).await;
        visitor.expect(heard).await;
        let started = timeout(PATIENCE, facts.recv()).await.expect("in time").expect("a fact");
        assert_eq!((started.service, started.fact), (*service, SessionFact::Started));
        drop(visitor);
        while let Some(event) = timeout(PATIENCE, facts.recv()).await.expect("in time") {
            if matches!(event.fact, SessionFact::Ended { .. }) {
                break;
            }
        }
    }
    drop(handle);
    timeout(PATIENCE, running).await.expect("in time").expect("ran");
}
