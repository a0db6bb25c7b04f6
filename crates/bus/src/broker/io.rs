//! The I/O thread: waits, reads, and lets [`router`](super::router) do the rest.
//!
//! A tick: whatever is ready is read once per connection, at most [`READ`] bytes, so that nobody
//! starves the others; commands are done; then everything is written, handed over and closed.
//! There is one read buffer for all connections; a connection keeps bytes of its own only while a
//! frame is incomplete.

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
    batch::OutgoingRef,
    command::{Command, CommandQueue},
    connection::{Blame, Close, Phase},
    lame_duck::LameDuck,
    listen::{self, SocketFile},
    locals::Local,
    poller::{Poller, Token, token},
    router::Router,
    sign_in::Desk,
    sweep,
    table::{Owner, Subscription},
};
use crate::{
    matcher::valid_filter,
    proto::{ErrText, ServerInfo, write},
};

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
    pub(super) next_cid: u64,
    pub(super) since: Instant,
    /// Nothing is accepted until then: there were no descriptors left.
    pub(super) accept_again: Option<Instant>,
    lame_duck: Option<LameDuck>,
    buffer: Vec<u8>,
    commands: Vec<Command>,
    sweep_interval: Duration,
    next_sweep: Instant,
    stopping: bool,
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
    if let Some(listener) = &listeners.tcp {
        poller.watch(listener, Token::Tcp, EventFlags::IN)?;
    }
    if let Some(file) = &listeners.unix {
        poller.watch(&file.listener, Token::Unix, EventFlags::IN)?;
    }
    let entropy = File::open("/dev/urandom")?;
    let (desk, sign_in) = Desk::open(config.limits.max_waiting_sign_ins, Arc::clone(&queue))?;
    let thread = std::thread::Builder::new().name("bus-io".into());
    thread.spawn(move || {
        let ending = Ending { queue: Arc::clone(&queue), _alive: alive };
        let info = info(&config, &listeners);
        // What is in it may stay on this thread only, so it is made here.
        let router = Router::new(config.limits, config.auth, queue, desk, poller);
        Io::new(router, listeners, info, entropy).run();
        // Nobody waits for an answer from it any more.
        let _ = sign_in.join();
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
    fn new(router: Router, listeners: Listeners, info: ServerInfo, entropy: File) -> Self {
        let sweep_interval = sweep::interval(&router.limits);
        Self {
            since: router.now,
            next_sweep: router.now + sweep_interval,
            router,
            listeners,
            info,
            entropy,
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
        let idle = self.router.connections.len() == 0 && self.accept_again.is_none();
        (!idle).then(|| self.next_sweep.saturating_duration_since(Instant::now()))
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

    /// Looks at input that waited for a sign-in.
    fn resume(&mut self, index: u32) {
        let Some(connection) = self.router.connections.get_mut(index) else { return };
        let partial = std::mem::take(&mut connection.partial);
        self.digest(index, &partial);
    }

    fn obey(&mut self) {
        let queue = Arc::clone(&self.router.queue);
        queue.woken();
        let mut commands = std::mem::take(&mut self.commands);
        queue.take(&mut commands);
        for command in commands.drain(..) {
            self.obey_one(command);
        }
        self.commands = commands;
    }

    fn obey_one(&mut self, command: Command) {
        match command {
            Command::Publish { id, message } => self.publish_local(id, [message.borrowed()]),
            Command::PublishBatch { id, batch } => self.publish_local(id, batch.iter()),
            Command::Subscribe { id, sid, filter, group } => {
                self.subscribe_local(id, sid, filter, group);
            }
            Command::Unsubscribe { id, sid, max } => self.unsubscribe_local(id, sid, max),
            Command::OpenLocal { id, options, sink } => {
                let local = Local::new(id, options, sink, self.router.limits.max_pending_local);
                let place = self.router.locals.insert(local);
                self.router.local_places.insert(id, place);
            }
            Command::CloseLocal { id } => self.close_local(id),
            // Commands are done in order, so whoever hears this knows that all before are done.
            Command::Flush { done } => drop(done.send(())),
            Command::Adopt { stream, peer } => self.adopt(stream, peer),
            Command::SignedIn { index, cid, options, outcome } => {
                let awaited = self
                    .router
                    .connections
                    .get(index)
                    .is_some_and(|c| c.cid == cid && matches!(c.phase, Phase::SigningIn(_)));
                if awaited {
                    self.router.signed_in(index, *options, outcome);
                    self.resume(index);
                }
            }
            Command::Stats { reply } => drop(reply.send(self.report())),
            Command::SetAuth { auth } => {
                self.router.auth = auth;
                self.close_where(
                    &Close::told(Blame::Auth, &ErrText::AuthorizationViolation),
                    |io, c| c.user.as_ref().is_some_and(|user| !io.router.auth.still_valid(user)),
                );
            }
            Command::LameDuck { grace, spread } => self.begin_lame_duck(grace, spread),
            Command::CloseConnection { cid } => {
                self.close_where(&Close::Asked, |_, c| c.cid == cid)
            }
            Command::Stop => self.stopping = true,
        }
    }

    fn publish_local<'a>(&mut self, id: u64, messages: impl IntoIterator<Item = OutgoingRef<'a>>) {
        let Some(&place) = self.router.local_places.get(&id) else { return };
        for message in messages {
            self.router.publish_local(place, &message);
        }
    }

    fn subscribe_local(&mut self, id: u64, sid: u64, filter: Box<[u8]>, group: Option<Box<[u8]>>) {
        let Some(&index) = self.router.local_places.get(&id) else { return };
        let Some(local) = self.router.locals.get_mut(index) else { return };
        if local.sids.contains_key(&sid) || !valid_filter(&filter) {
            return;
        }
        let owner = Owner::Local { index, sid };
        let (sid_text, delivered, max, checked) = (Box::default(), 0, 0, false);
        let new = Subscription { owner, sid: sid_text, filter, group, delivered, max, checked };
        local.sids.insert(sid, self.router.table.insert(new));
    }

    fn unsubscribe_local(&mut self, id: u64, sid: u64, max: Option<u64>) {
        let Some(&index) = self.router.local_places.get(&id) else { return };
        let Some(local) = self.router.locals.get(index) else { return };
        if let Some(&route) = local.sids.get(&sid) {
            self.router.unsubscribe_after(route, max);
        }
    }

    fn close_local(&mut self, id: u64) {
        let Some(index) = self.router.local_places.remove(&id) else { return };
        let Some(mut local) = self.router.locals.remove(index) else { return };
        local.hand_over();
        for route in std::mem::take(&mut local.sids).into_values() {
            self.router.table.remove(route);
        }
    }

    fn close_where(
        &mut self,
        why: &Close,
        goes: impl Fn(&Self, &super::connection::Connection) -> bool,
    ) {
        let all = self.router.connections.iter().filter(|(_, connection)| goes(self, connection));
        for index in all.map(|(index, _)| index).collect::<Vec<_>>() {
            self.router.close(index, why.clone());
        }
    }

    /// Stops listening, and tells clients that know what that means.
    fn begin_lame_duck(&mut self, grace: Duration, spread: Duration) {
        self.listeners = Listeners { tcp: None, unix: None };
        self.info.ldm = true;
        let mut line = Vec::new();
        write::info(&mut line, &self.info.to_json());
        let told = self.router.connections.iter().filter(|(_, c)| c.options.protocol > 0);
        for index in told.map(|(index, _)| index).collect::<Vec<_>>() {
            self.router.say(index, &line);
        }
        let clients = self.router.connections.len();
        self.lame_duck = Some(LameDuck::new(self.router.now, grace, spread, clients));
    }

    /// Closes the clients whose turn it is, those with the oldest connections first.
    fn thin_out(&mut self) {
        let now = self.router.now;
        let Some(due) = self.lame_duck.as_mut().map(|duck| duck.due(now)) else { return };
        let mut clients: Vec<_> =
            self.router.connections.iter().map(|(index, c)| (c.cid, index)).collect();
        clients.sort_unstable();
        for (_, index) in clients.into_iter().take(due) {
            self.router.close(index, Close::Asked);
        }
    }

    fn close_all(&mut self) {
        self.listeners = Listeners { tcp: None, unix: None };
        self.close_where(&Close::Asked, |_, _| true);
        self.router.end_tick();
    }
}
