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
