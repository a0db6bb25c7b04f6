//! The thread that has the switch: it moves frames, and obeys orders between them.
//!
//! It owns the descriptors of every uplink and every TAP; when it ends they are closed, and with
//! them goes everything that the kernel had of us. An order is answered once it is done. To change
//! the table the switch itself is lent: no frame moves until it is back, so that every later one
//! meets the change, and a thousand changes take one exchange between two threads.

mod speech;

use std::{
    io,
    net::Ipv4Addr,
    os::fd::{AsFd, OwnedFd},
    sync::mpsc::{Receiver, RecvTimeoutError, SendError, SyncSender, TryRecvError, sync_channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::{
    event::{EventfdFlags, Timespec, eventfd},
    io::{Errno, read, retry_on_intr, write},
};

use self::speech::{SPEAK_EVERY, Speech};
use super::{
    sys::{self, BATCH},
    watch::Watch,
};
use crate::switch::{
    ClassId, Contested, Count, Frame, Mac, Side, Switch, UplinkId, VNET_LEN, Verdict,
};

/// Orders that wait; when there are more, who gives them waits.
const ORDERS: usize = 64;
/// How long the thread rests when nothing happens.
const REST: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
const NO_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
/// Bytes of one batch, where frames are long: what a core's cache holds.
const BATCH_BYTES: usize = 256 << 10;
/// The bell, among the links.
const BELL: u64 = u64::MAX;
/// Between two looks for old connections.
const TICK: u64 = 10;
/// Between two tries to open a link that broke.
const MEND_EVERY: u64 = 200;
/// Longest that an order may take; the thread has died when it takes longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How frames come and go.
#[derive(Debug)]
pub(super) enum Link {
    /// A TAP: frames one by one, with virtio headers.
    Tap(OwnedFd),
    /// A packet socket: frames in batches.
    Packet {
        /// The socket.
        socket: OwnedFd,
        /// Whether it has virtio headers.
        headers: bool,
    },
}

/// Is told why the switch does not work any more.
pub(super) type TellFailure = Box<dyn Fn(&str) + Send>;

/// What to do about a link that breaks, as an interface does that is taken away.
pub(super) struct Mend {
    /// Opens it again, once its interface is there and up.
    pub(super) open: Box<dyn Fn() -> io::Result<Link> + Send>,
    /// Is told once that it broke, and once that it is whole.
    pub(super) tell: Box<dyn Fn(bool) + Send>,
}

/// Is told which real hosts came to addresses of deckies, and left them.
pub(super) type TellContested = Box<dyn Fn(&[Contested]) + Send>;

enum Order {
    /// The switch goes, and comes back.
    Lend(SyncSender<Box<Switch>>, Receiver<Box<Switch>>),
    Attach(Side, Link, Option<Mend>, SyncSender<()>),
    /// Asks whether real hosts have these addresses; answers are heard, not waited for. Says
    /// whether all questions went out.
    Probe(UplinkId, Vec<(Mac, Ipv4Addr)>, SyncSender<bool>),
    /// Says that deckies have these addresses; again after a while.
    Announce(UplinkId, Vec<Ipv4Addr>, SyncSender<()>),
    Stop,
}

/// The switch has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the switch has stopped")]
pub(super) struct Stopped;

/// Gives orders to the thread, and ends it.
#[derive(Debug)]
pub(super) struct Runner {
    orders: SyncSender<Order>,
    wake: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Runner {
    /// Starts the thread.
    pub(super) fn start(
        switch: Switch,
        contested: TellContested,
        failed: TellFailure,
    ) -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        let bell = wake.try_clone()?;
        let (orders, received) = sync_channel(ORDERS);
        let watch = Watch::new()?;
        watch.add(&bell, BELL)?;
        let work = move || {
            let failed = &failed;
            let mut pump = Pump::new(bell, watch, received, contested, failed);
            // What it had is closed with it: nothing that is half done is seen by anybody.
            let run = std::panic::AssertUnwindSafe(move || pump.run(Box::new(switch)));
            if std::panic::catch_unwind(run).is_err() {
                failed("the thread that moves frames panicked");
            }
        };
        let thread = Some(std::thread::Builder::new().name("switch".into()).spawn(work)?);
        Ok(Self { orders, wake, thread })
    }

    /// Borrows the switch; no frame moves until it is back.
    pub(super) fn borrow(&self) -> Result<Loan, Stopped> {
        let (back, returned) = sync_channel(1);
        let switch = self.ask(|answer| Order::Lend(answer, returned))?;
        Ok(Loan { switch: Some(switch), back })
    }

    pub(super) fn attach(&self, side: Side, link: Link, mend: Option<Mend>) -> Result<(), Stopped> {
        self.ask(|answer| Order::Attach(side, link, mend, answer))
    }

    pub(super) fn probe(
        &self,
        uplink: UplinkId,
        asked: Vec<(Mac, Ipv4Addr)>,
    ) -> Result<bool, Stopped> {
        self.ask(|answer| Order::Probe(uplink, asked, answer))
    }

    pub(super) fn announce(&self, uplink: UplinkId, all: Vec<Ipv4Addr>) -> Result<(), Stopped> {
        self.ask(|answer| Order::Announce(uplink, all, answer))
    }

    /// Ends the thread; every descriptor is closed when this returns.
    pub(super) fn stop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        // A thread that is gone already needs no order.
        let _ = self.orders.send(Order::Stop);
        ring(&self.wake);
        // It does not panic: what it calls is caught.
        let _ = thread.join();
    }

    fn ask<T>(&self, order: impl FnOnce(SyncSender<T>) -> Order) -> Result<T, Stopped> {
        // Handed over, not left: what nobody waits for stays with the thread.
        let (answer, answered) = sync_channel(0);
        self.orders.send(order(answer)).map_err(|_| Stopped)?;
        ring(&self.wake);
        answered.recv_timeout(PATIENCE).map_err(|_: RecvTimeoutError| Stopped)
    }
}

fn ring(wake: &OwnedFd) {
    // A full counter rings all the same.
    let _ = write(wake, &1_u64.to_ne_bytes());
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The switch, while it is lent; dropped, it goes back.
#[derive(Debug)]
pub(super) struct Loan {
    /// `None` once it is on its way back.
    switch: Option<Box<Switch>>,
    back: SyncSender<Box<Switch>>,
}

impl Loan {
    pub(super) fn switch(&mut self) -> Result<&mut Switch, Stopped> {
        self.switch.as_deref_mut().ok_or(Stopped)
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        // The thread waits for nothing else: only one that died is not there to take it.
        self.switch.take().map(|switch| self.back.send(switch));
    }
}

/// The state of a link that can be mended.
struct Mending {
    /// Which link.
    at: usize,
    mend: Mend,
    /// When to try; `None` while it is whole.
    next_try: Option<u64>,
}

struct Pump<'a> {
    failed: &'a TellFailure,
    wake: OwnedFd,
    /// Knows the bell, and each link that is whole by its index.
    watch: Watch,
    orders: Receiver<Order>,
    links: Vec<(Side, Link)>,
    /// Frames to ask each link for at once.
    wanted: Vec<usize>,
    mends: Vec<Mending>,
    frames: Vec<Frame>,
    /// Indexes of frames that wait to be sent, per link.
    waiting: Vec<Vec<usize>>,
    speeches: Vec<Speech>,
    contested: TellContested,
    began: Instant,
    ticked: u64,
    spoke: u64,
}

impl<'a> Pump<'a> {
    fn new(
        wake: OwnedFd,
        watch: Watch,
        orders: Receiver<Order>,
        contested: TellContested,
        failed: &'a TellFailure,
    ) -> Self {
        Self {
            failed,
            wake,
            watch,
            orders,
            links: Vec::new(),
            wanted: Vec::new(),
            mends: Vec::new(),
            frames: (0..BATCH).map(|_| Frame::new()).collect(),
            waiting: Vec::new(),
            speeches: Vec::new(),
            contested,
            began: Instant::now(),
            ticked: 0,
            spoke: 0,
        }
    }

    fn run(&mut self, mut switch: Box<Switch>) {
        let mut ready = Vec::new();
        loop {
            let rest = if self.is_speaking() { NO_TIME } else { REST };
            self.watch.wait(rest, &mut ready);
            if ready.contains(&BELL) {
                match self.obey(switch) {
                    Some(obeyed) => switch = obeyed,
                    None => return,
                }
            }
            let begun = Instant::now();
            let now = begun.duration_since(self.began).as_millis() as u64;
            for link in ready.drain(..).filter(|number| *number != BELL) {
                self.pump(&mut switch, link as usize, now);
            }
            if now >= self.ticked + TICK {
                self.ticked = now;
                switch.tick(now);
                self.mend(&switch, now);
            }
            if now >= self.spoke + SPEAK_EVERY || self.is_speaking() {
                self.spoke = now;
                self.speak(&mut switch, now);
            }
        }
    }

    /// Does what was ordered; `None` when it is over. Between two loans frames have their turn.
    fn obey(&mut self, mut switch: Box<Switch>) -> Option<Box<Switch>> {
        let mut count = [0; 8];
        // Empty when somebody rang while the orders were being read: they are read all the same.
        let _ = read(&self.wake, &mut count);
        loop {
            match self.orders.try_recv() {
                Ok(Order::Lend(to, back)) => {
                    ring(&self.wake);
                    return match to.send(switch) {
                        Ok(()) => back.recv().ok(),
                        Err(SendError(kept)) => Some(kept),
                    };
                }
                // Whoever does not wait for the answer any more gets none.
                Ok(Order::Attach(side, link, mend, answer)) => {
                    // One that is not watched is not there: who asked hears that all is over.
                    if self.attach(side, link, mend).is_ok() {
                        let _ = answer.send(());
                    }
                }
                Ok(Order::Probe(uplink, asked, answer)) => {
                    let all_went = self.probe(&mut switch, uplink, &asked);
                    let _ = answer.send(all_went);
                }
                Ok(Order::Announce(uplink, about, answer)) => {
                    self.announce(uplink, about);
                    self.speak(&mut switch, self.began.elapsed().as_millis() as u64);
                    let _ = answer.send(());
                }
                Err(TryRecvError::Empty) => return Some(switch),
                Ok(Order::Stop) | Err(TryRecvError::Disconnected) => return None,
            }
        }
    }

    /// Adds a link, in the place of an earlier one to the same side.
    fn attach(&mut self, side: Side, link: Link, mend: Option<Mend>) -> io::Result<()> {
        let at = self.link_of(side).unwrap_or(self.links.len());
        self.watch.add(link.fd(), at as u64)?;
        if let Some(known) = self.links.get_mut(at) {
            self.watch.remove(known.1.fd());
            *known = (side, link);
        } else {
            self.links.push((side, link));
            self.wanted.push(BATCH);
            self.waiting.push(Vec::with_capacity(BATCH));
        }
        self.mends.retain(|mending| mending.at != at);
        self.mends.extend(mend.map(|mend| Mending { at, mend, next_try: None }));
        Ok(())
    }

    /// One batch from a link through the switch.
    fn pump(&mut self, switch: &mut Switch, link: usize, now: u64) {
        let Some((side, source)) = self.links.get(link) else { return };
        let side = *side;
        let wanted = &mut self.frames[..self.wanted[link]];
        let Ok(count) = source.receive(wanted) else { return self.broke(link, now) };
        let bytes: usize = wanted[..count].iter().map(|frame| frame.bytes().len()).sum();
        self.wanted[link] =
            (BATCH_BYTES * count).checked_div(bytes).unwrap_or(BATCH).clamp(4, BATCH);
        for index in 0..count {
            let verdict = switch.receive(side, &mut self.frames[index], now);
            if let Verdict::Send(to) = verdict
                && let Some(to) = self.link_of(to)
            {
                self.send(switch, to, index);
            }
        }
        self.flush(switch);
    }

    /// Nothing is read from the link any more, until it is mended; one that cannot be is the end.
    fn broke(&mut self, link: usize, now: u64) {
        if let Some((_, broken)) = self.links.get(link) {
            self.watch.remove(broken.fd());
        }
        match self.mends.iter_mut().find(|mending| mending.at == link) {
            Some(mending) if mending.next_try.is_none() => {
                mending.next_try = Some(now + MEND_EVERY);
                (mending.mend.tell)(false);
            }
            Some(_) => {}
            None => (self.failed)("the link to a namespace is gone"),
        }
    }

    /// Opens again what broke. Who stands on an uplink that is back asks whether another came to
    /// its address meanwhile.
    fn mend(&mut self, switch: &Switch, now: u64) {
        for mending in &mut self.mends {
            let Some(due) = mending.next_try else { continue };
            if now < due {
                continue;
            }
            let opened = (mending.mend.open)().and_then(|link| {
                self.watch.add(link.fd(), mending.at as u64)?;
                Ok(link)
            });
            match opened {
                Ok(link) => {
                    self.links[mending.at].1 = link;
                    mending.next_try = None;
                    (mending.mend.tell)(true);
                    if let Side::Uplink(uplink) = self.links[mending.at].0 {
                        self.speeches.push(Speech::questions(switch, uplink, now));
                    }
                }
                // Its interface is not there yet.
                Err(_) => mending.next_try = Some(now + MEND_EVERY),
            }
        }
    }

    fn link_of(&self, side: Side) -> Option<usize> {
        self.links.iter().position(|(known, _)| *known == side)
    }

    fn send(&mut self, switch: &mut Switch, link: usize, index: usize) {
        match &self.links[link].1 {
            Link::Tap(tap) => {
                if write(tap, self.frames[index].with_header()).is_err() {
                    switch.count(Count::SendFailed, 1);
                }
            }
            Link::Packet { .. } => self.waiting[link].push(index),
        }
    }

    /// Sends what waits. A frame that the kernel refuses is dropped, as on a wire.
    fn flush(&mut self, switch: &mut Switch) {
        for ((_, link), waiting) in self.links.iter().zip(&mut self.waiting) {
            let Link::Packet { socket, headers } = link else { continue };
            let mut rest = waiting.as_slice();
            while !rest.is_empty() {
                let sent = sys::send(socket.as_fd(), &self.frames, rest, *headers).unwrap_or(0);
                if sent == 0 {
                    switch.count(Count::SendFailed, 1);
                }
                rest = &rest[sent.max(1).min(rest.len())..];
            }
            waiting.clear();
        }
    }
}

impl Link {
    fn fd(&self) -> &OwnedFd {
        match self {
            Self::Tap(fd) | Self::Packet { socket: fd, .. } => fd,
        }
    }

    /// Itself, if its interface is up.
    pub(super) fn if_up(self) -> io::Result<Self> {
        if let Self::Packet { socket, .. } = &self {
            rustix::net::sockopt::socket_error(socket)??;
        }
        Ok(self)
    }

    /// What is there, up to a batch. An error where the interface went away or down: its frames
    /// are lost, and the other links go on.
    fn receive(&self, frames: &mut [Frame]) -> io::Result<usize> {
        match self {
            Self::Packet { socket, headers } => {
                match sys::receive(socket.as_fd(), frames, *headers) {
                    Err(error) if error.kind() == io::ErrorKind::NetworkDown => Err(error),
                    received => Ok(received.unwrap_or(0)),
                }
            }
            Self::Tap(tap) => {
                let mut count = 0;
                for frame in frames {
                    match retry_on_intr(|| read(tap, &mut *frame.buffer())) {
                        Ok(length @ VNET_LEN..) => frame.set_len(length - VNET_LEN),
                        Ok(_) | Err(Errno::AGAIN) => break,
                        // What came before is lost with it.
                        Err(error) => return Err(error.into()),
                    }
                    count += 1;
                }
                Ok(count)
            }
        }
    }
}

/// The class of an index, where there is room for one more.
pub(super) fn class_id(index: usize) -> Option<ClassId> {
    u8::try_from(index).ok().map(ClassId)
}
