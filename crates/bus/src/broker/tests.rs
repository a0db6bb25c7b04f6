//! The I/O thread's state without its thread: what a tick leaves behind.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr},
    os::unix::net::UnixStream,
    sync::Arc,
};

use super::{
    AdoptedPeer, Limits,
    command::CommandQueue,
    connection::Close,
    credentials::Credentials,
    io::{Io, Listeners},
    poller::Poller,
    router::Router,
    sign_in::Desk,
};
use crate::{auth::Auth, proto::ServerInfo};

fn io(limits: Limits) -> Io {
    let queue = Arc::new(CommandQueue::new(limits.max_pending_local).unwrap());
    let (desk, _thread) = Desk::open(1, Arc::clone(&queue)).unwrap();
    let auth = Arc::new(Auth::open());
    let router = Router::new(limits, auth, queue, desk, Poller::new().unwrap());
    let listeners = Listeners { tcp: None, unix: None };
    let odds = (File::open("/dev/zero").unwrap(), Credentials::new().unwrap());
    Io::new(router, listeners, ServerInfo::default(), odds)
}

/// A client; the first one is at place 0. The socket is its other end.
fn client(io: &mut Io) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    io.adopt(ours, AdoptedPeer { addr, tls: false });
    theirs
}

#[test]
fn nobody_pays_for_subscriptions_of_a_client_that_is_closed() {
    let mut io = io(Limits::default());
    let _socket = client(&mut io);
    let input = b"CONNECT {\"verbose\":false}\r\nSUB a 1\r\nSUB a.b q 2\r\n";
    assert_eq!(io.router.receive(0, input), input.len());
    assert_eq!(io.router.table.len(), 2);
    io.router.close(0, Close::Slow);
    assert_eq!(io.router.table.len(), 0);
    io.router.end_tick();
    assert_eq!((io.router.connections.len(), io.router.remote_subscriptions), (0, 0));
}

#[test]
fn what_waits_for_all_is_bounded_whatever_it_is() {
    const TOTAL: usize = 100 << 10;
    let mut io = io(Limits { max_pending_total: TOTAL, ..Limits::default() });
    let _sockets: Vec<_> = (0..3).map(|_| client(&mut io)).collect();
    for _ in 0..30 {
        for index in 0..3 {
            io.router.receive(index, &b"PING\r\n".repeat(5000));
        }
        io.router.end_tick();
        assert!(io.router.pending <= TOTAL, "{}", io.router.pending);
    }
    assert!(io.router.counters.slow_consumers > 0);
}
