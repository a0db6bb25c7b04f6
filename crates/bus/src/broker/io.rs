//! The I/O thread: waits, reads, and lets [`router`](super::router) do the rest.
//!
//! A tick: whatever is ready is read once per connection, at most [`READ`] bytes, so that nobody
//! starves the others, and does at most a [turn](super::turns) of work; commands are done; then
//! everything is written, handed over and closed.
//! There is one read buffer for all connections; a connection keeps bytes of its own only while a
//! frame is incomplete. What others ask of it is in [`obey`](super::obey).

use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::epoll::{Event, EventFlags},
    io::Errno,
};
use tokio::sync::watch;

use super::{
    BrokerConfig, StartError, TlsOffer,
    command::{Command, CommandQueue},
    connection::Close,
    credentials::Credentials,
    lame_duck::LameDuck,
    listen::{self, SocketFile},
    poller::{Poller, Token, token},
    router::Router,
    sign_in::Desk,
    sweep,
};
use crate::proto::ServerInfo;

/// Most bytes that are read from a connection in one tick.
const READ: usize = 256 << 10;
/// An incomplete frame up to this size is moved to the front of the shared buffer; a larger one is
/// collected on its own.
const MOVED: usize = 64 << 10;

/// Where the broker listens.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) tcp: Option<TcpListener>,
    pub(super) unix: Option<SocketFile>,
}

impl Listeners {
    pub(super) fn open(config: &BrokerConfig) -> Result<Self, StartError> {
        let tcp = config.tcp.map(listen::tcp).transpose()?;
        let unix = config.unix.as_ref().map(listen::unix).transpose()?;
        Ok(Self { tcp, unix })
    }

    pub(super) fn tcp_addr(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().and_then(|listener| listener.local_addr().ok())
    }
}

/// What the I/O thread owns.
pub(super) struct Io {
    pub(super) router: Router,
    pub(super) listeners: Listeners,
    /// INFO, but for what differs between clients.
    pub(super) info: ServerInfo,
    pub(super) entropy: File,
    pub(super) credentials: Credentials,
    pub(super) next_cid: u64,
    pub(super) since: Instant,
    /// Nothing is accepted until then: there were no descriptors left.
    pub(super) accept_again: Option<Instant>,
    pub(super) lame_duck: Option<LameDuck>,
    pub(super) commands: Vec<Command>,
    buffer: Vec<u8>,
    sweep_interval: Duration,
    next_sweep: Instant,
    pub(super) stopping: bool,
}

/// What must happen however the I/O thread ends.
struct Ending {
    queue: Arc<CommandQueue>,
    _alive: watch::Sender<()>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        // Whoever waits for an answer learns that there is none.
        drop(self.queue.close());
    }
}

/// Starts the I/O thread; `alive` is dropped when it ends.
pub(super) fn spawn(
    config: BrokerConfig,
    listeners: Listeners,
    queue: Arc<CommandQueue>,
    alive: watch::Sender<()>,
) -> std::io::Result<()> {
    let poller = Poller::new()?;
    poller.watch(queue.wake_fd(), Token::Wake, EventFlags::IN)?;
    let accepts = if config.closed { EventFlags::empty() } else { EventFlags::IN };
    if let Some(listener) = &listeners.tcp {
        poller.watch(listener, Token::Tcp, accepts)?;
    }
    if let Some(file) = &listeners.unix {
        poller.watch(&file.listener, Token::Unix, accepts)?;
    }
    let (entropy, credentials) = (File::open("/dev/urandom")?, Credentials::new()?);
    let (desk, sign_in) = Desk::open(config.limits.max_waiting_sign_ins, Arc::clone(&queue))?;
    let thread = std::thread::Builder::new().name("bus-io".into());
    thread.spawn(move || {
        let ending = Ending { queue: Arc::clone(&queue), _alive: alive };
        let info = info(&config, &listeners);
        // What is in it may stay on this thread only, so it is made here.
        let router = Router::new(config.limits, config.auth, queue, desk, poller);
        Io::new(router, listeners, info, (entropy, credentials)).run();
        // Nobody waits for an answer from it any more.
        for thread in sign_in {
            let _ = thread.join();
        }
        drop(ending);
    })?;
    Ok(())
}

fn info(config: &BrokerConfig, listeners: &Listeners) -> ServerInfo {
    let addr = listeners.tcp_addr();
    ServerInfo {
        server_id: server_id(),
        server_name: config.name.clone(),
        version: super::VERSION.into(),
        go: "rust".into(),
        host: addr.map_or_else(|| "0.0.0.0".into(), |addr| addr.ip().to_string()),
        port: addr.map_or(0, |addr| addr.port()),
        max_payload: config.limits.max_payload,
        jetstream: config.jetstream,
        tls_required: config.tls == TlsOffer::Required,
        tls_available: config.tls == TlsOffer::Available,
        ..ServerInfo::default()
    }
}

/// As long, and of the same letters, as nats-server's.
fn server_id() -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let letter = |seed: u64, index: u32| char::from(LETTERS[(seed >> (5 * index)) as usize & 31]);
    let parts = (0..5).map(|_| super::random_seed());
    let tail: String = parts.flat_map(|seed| (0..11).map(move |i| letter(seed, i))).collect();
    format!("N{tail}")
}

impl Io {
    pub(super) fn new(
        router: Router,
        listeners: Listeners,
        info: ServerInfo,
        (entropy, credentials): (File, Credentials),
    ) -> Self {
        let sweep_interval = sweep::interval(&router.limits);
        Self {
            since: router.now,
            next_sweep: router.now + sweep_interval,
            router,
            listeners,
            info,
            entropy,
            credentials,
            next_cid: 1,
            accept_again: None,
            lame_duck: None,
            buffer: vec![0; MOVED + READ],
            commands: Vec::new(),
            sweep_interval,
            stopping: false,
        }
    }

    fn run(mut self) {
        let mut ready = Vec::new();
        while !self.stopping {
            if let Err(error) = self.router.poller.wait(&mut ready, self.timeout()) {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the broker's I/O thread cannot wait");
                break;
            }
            self.tick(&ready);
        }
        self.close_all();
    }

    /// Nothing happens by itself while there are no connections.
    fn timeout(&self) -> Option<Duration> {
        if self.router.connections.len() == 0 && self.accept_again.is_none() {
            return None;
        }
        let (stall, turn) = (self.router.stall_ends(), self.router.next_turn());
        let next = [stall, turn].into_iter().flatten().fold(self.next_sweep, Instant::min);
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn tick(&mut self, ready: &[Event]) {
        self.router.now = Instant::now();
        for event in ready {
            match token(event) {
                (Token::Connection(index), flags) => self.connection_ready(index, flags),
                (Token::Wake, _) => self.obey(),
                (Token::Tcp, _) => self.accept_tcp(),
                (Token::Unix, _) => self.accept_unix(),
            }
        }
        self.router.end_stalls();
        self.give_turns();
        if self.router.now >= self.next_sweep {
            self.next_sweep = self.router.now + self.sweep_interval;
            self.router.sweep();
            self.resume_accepting();
            self.thin_out();
        }
        self.router.end_tick();
    }

    fn connection_ready(&mut self, index: u32, flags: EventFlags) {
        if flags.contains(EventFlags::OUT) {
            self.router.writable(index);
        }
        if flags.contains(EventFlags::IN) {
            self.read(index);
        } else if flags.intersects(EventFlags::HUP | EventFlags::ERR) {
            self.hung_up(index);
        }
    }

    /// The client went; what it sent before still counts, unless it never said who it is.
    fn hung_up(&mut self, index: u32) {
        let Some(connection) = self.router.connections.get_mut(index) else { return };
        if connection.turn.is_some() {
            // its turn comes, and then the end of its input
        } else if connection.stalled.take().is_some() {
            self.router.watch(index);
        } else {
            self.router.close(index, Close::Gone);
        }
    }

    fn read(&mut self, index: u32) {
        let Some(connection) = self.router.connections.get_mut(index) else { return };
        if !connection.listens() {
            return;
        }
        if connection.partial.len().max(connection.need) > MOVED {
            return self.read_large(index);
        }
        let kept = connection.partial.len();
        self.buffer[..kept].copy_from_slice(&connection.partial);
        connection.partial.clear();
        let room = &mut self.buffer[kept..kept + READ];
        let read = rustix::io::read(&connection.socket, room);
        let buffer = std::mem::take(&mut self.buffer);
        match self.was_read(index, read) {
            Some(read) => self.digest(index, &buffer[..kept + read]),
            None => self.keep(index, &buffer[..kept]),
        }
        self.buffer = buffer;
    }

    /// Collects a frame that is too large to be moved around.
    fn read_large(&mut self, index: u32) {
        let Some(connection) = self.router.connections.get_mut(index) else { return };
        let mut partial = std::mem::take(&mut connection.partial);
        partial.reserve_exact(connection.need.saturating_sub(partial.len()).max(1));
        let read = rustix::io::read(&connection.socket, spare_capacity(&mut partial));
        let complete = partial.len() >= connection.need;
        match self.was_read(index, read) {
            Some(_) if complete => self.digest(index, &partial),
            _ => {
                if let Some(connection) = self.router.connections.get_mut(index) {
                    connection.partial = partial;
                }
            }
        }
    }

    /// How many bytes came, if any did; closes what ended.
    fn was_read(&mut self, index: u32, read: Result<usize, Errno>) -> Option<usize> {
        match read {
            Ok(0) => self.router.close(index, Close::Gone),
            Ok(read) => {
                if let Some(connection) = self.router.connections.get_mut(index) {
                    connection.clock.last_input = self.router.now;
                }
                return Some(read);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.router.close(index, Close::Gone),
        }
        None
    }

    /// Does what `input` says and keeps the incomplete rest.
    fn digest(&mut self, index: u32, input: &[u8]) {
        if let Some(connection) = self.router.connections.get_mut(index) {
            connection.need = 0;
        }
        let used = self.router.receive(index, input);
        self.router.stall_if_crowding(index);
        self.keep(index, &input[used..]);
    }

    fn keep(&mut self, index: u32, rest: &[u8]) {
        let Some(connection) = self.router.connections.get_mut(index) else { return };
        if connection.is_closing() {
            return;
        }
        if rest.is_empty() {
            connection.partial = Vec::new();
        } else {
            connection.partial.extend_from_slice(rest);
        }
    }

    /// Looks at input that waited, for a sign-in or a turn.
    pub(super) fn resume(&mut self, index: u32) {
        let Some(connection) = self.router.connections.get_mut(index) else { return };
        let partial = std::mem::take(&mut connection.partial);
        self.digest(index, &partial);
    }

    fn close_all(&mut self) {
        self.listeners = Listeners { tcp: None, unix: None };
        self.close_where(&Close::Asked, |_| true);
        self.router.end_tick();
    }
}
