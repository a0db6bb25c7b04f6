//! The thread that has the switch: it moves frames, and obeys orders between them.
//!
//! It owns the descriptors of every uplink and every TAP; when it ends they are closed, and with
//! them goes everything that the kernel had of us. An order is answered once it is done, so that
//! who waits for the answer knows that every later frame meets the change.

use std::{
    io,
    net::Ipv4Addr,
    os::fd::{AsFd, OwnedFd},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::{read, retry_on_intr, write},
};

use super::sys::{self, BATCH};
use crate::switch::{
    ClassId, Count, Counters, Frame, Mac, Refusal, Side, Switch, Update, UplinkId, VNET_LEN,
    Verdict,
};

/// Orders that wait; when there are more, who gives them waits.
const ORDERS: usize = 64;
/// How long the thread rests when nothing happens.
const REST: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// Between two looks for old connections.
const TICK: u64 = 10;
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

enum Order {
    Apply(Vec<Update>, SyncSender<Result<(), Refusal>>),
    Attach(Side, Link, SyncSender<()>),
    /// Asks whether real hosts have these addresses; answers are heard, not waited for.
    Probe(UplinkId, Vec<(Mac, Ipv4Addr)>, SyncSender<()>),
    /// Those of these addresses that a real host was heard at.
    Heard(UplinkId, Vec<Ipv4Addr>, SyncSender<Vec<(Ipv4Addr, Mac)>>),
    Look(SyncSender<(Counters, usize)>),
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
    pub(super) fn start(switch: Switch) -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        let bell = wake.try_clone()?;
        let (orders, received) = sync_channel(ORDERS);
        let work = move || Pump::new(switch, bell, received).run();
        let thread = Some(std::thread::Builder::new().name("switch".into()).spawn(work)?);
        Ok(Self { orders, wake, thread })
    }

    /// Changes the table: all of it, or nothing after the change that was refused.
    pub(super) fn apply(&self, updates: Vec<Update>) -> Result<Result<(), Refusal>, Stopped> {
        self.ask(|answer| Order::Apply(updates, answer))
    }

    pub(super) fn attach(&self, side: Side, link: Link) -> Result<(), Stopped> {
        self.ask(|answer| Order::Attach(side, link, answer))
    }

    pub(super) fn probe(
        &self,
        uplink: UplinkId,
        asked: Vec<(Mac, Ipv4Addr)>,
    ) -> Result<(), Stopped> {
        self.ask(|answer| Order::Probe(uplink, asked, answer))
    }

    pub(super) fn heard(
        &self,
        uplink: UplinkId,
        of: Vec<Ipv4Addr>,
    ) -> Result<Vec<(Ipv4Addr, Mac)>, Stopped> {
        self.ask(|answer| Order::Heard(uplink, of, answer))
    }

    /// What it counted, and how many connections it knows.
    pub(super) fn look(&self) -> Result<(Counters, usize), Stopped> {
        self.ask(Order::Look)
    }

    /// Ends the thread; every descriptor is closed when this returns.
    pub(super) fn stop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        // A thread that is gone already needs no order.
        let _ = self.orders.send(Order::Stop);
        self.ring();
        if thread.join().is_err() {
            // Its panic was printed; the descriptors went with it.
        }
    }

    fn ask<T>(&self, order: impl FnOnce(SyncSender<T>) -> Order) -> Result<T, Stopped> {
        let (answer, answered) = sync_channel(1);
        self.orders.send(order(answer)).map_err(|_| Stopped)?;
        self.ring();
        answered.recv_timeout(PATIENCE).map_err(|_: RecvTimeoutError| Stopped)
    }

    fn ring(&self) {
        // A full counter rings all the same.
        let _ = write(&self.wake, &1_u64.to_ne_bytes());
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether the thread goes on.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Over,
}

struct Pump {
    switch: Switch,
    wake: OwnedFd,
    orders: Receiver<Order>,
    links: Vec<(Side, Link)>,
    frames: Vec<Frame>,
    /// Indexes of frames that wait to be sent, per link.
    waiting: Vec<Vec<usize>>,
    began: Instant,
    ticked: u64,
}

impl Pump {
    fn new(switch: Switch, wake: OwnedFd, orders: Receiver<Order>) -> Self {
        let frames = (0..BATCH).map(|_| Frame::new()).collect();
        let (links, waiting, began) = (Vec::new(), Vec::new(), Instant::now());
        Self { switch, wake, orders, links, frames, waiting, began, ticked: 0 }
    }

    fn run(mut self) {
        let mut ready = Vec::new();
        loop {
            if self.wait(&mut ready) && self.obey() == Flow::Over {
                return;
            }
            let now = self.began.elapsed().as_millis() as u64;
            for link in ready.drain(..) {
                self.pump(link, now);
            }
            if now >= self.ticked + TICK {
                self.ticked = now;
                self.switch.tick(now);
            }
        }
    }

    /// Waits until something can be done; whether there may be orders.
    fn wait(&self, ready: &mut Vec<usize>) -> bool {
        let mut fds = vec![PollFd::new(&self.wake, PollFlags::IN)];
        fds.extend(self.links.iter().map(|(_, link)| PollFd::new(link.fd(), PollFlags::IN)));
        if poll(&mut fds, Some(&REST)).is_err() {
            return true;
        }
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        ready.extend(fds[1..].iter().enumerate().filter(|(_, fd)| is_ready(fd)).map(|(at, _)| at));
        is_ready(&fds[0])
    }

    fn obey(&mut self) -> Flow {
        let mut count = [0; 8];
        // Empty when somebody rang while the orders were being read: they are read all the same.
        let _ = read(&self.wake, &mut count);
        loop {
            match self.orders.try_recv() {
                Ok(Order::Stop) | Err(TryRecvError::Disconnected) => return Flow::Over,
                Ok(order) => self.do_it(order),
                Err(TryRecvError::Empty) => return Flow::On,
            }
        }
    }

    /// Whoever does not wait for the answer any more gets none.
    fn do_it(&mut self, order: Order) {
        match order {
            Order::Apply(updates, answer) => {
                let applied = updates.into_iter().try_for_each(|u| self.switch.apply(u));
                let _ = answer.send(applied);
            }
            Order::Attach(side, link, answer) => {
                self.links.push((side, link));
                self.waiting.push(Vec::with_capacity(BATCH));
                let _ = answer.send(());
            }
            Order::Probe(uplink, asked, answer) => {
                self.probe(uplink, &asked);
                let _ = answer.send(());
            }
            Order::Heard(uplink, of, answer) => {
                let heard = |at: Ipv4Addr| Some((at, self.switch.neighbour(uplink, at)?));
                let _ = answer.send(of.into_iter().filter_map(heard).collect());
            }
            Order::Look(answer) => {
                let _ = answer.send((*self.switch.counters(), self.switch.flows()));
            }
            Order::Stop => {}
        }
    }

    fn probe(&mut self, uplink: UplinkId, asked: &[(Mac, Ipv4Addr)]) {
        let Some(link) = self.link_of(Side::Uplink(uplink)) else { return };
        for chunk in asked.chunks(BATCH) {
            for (index, (mac, address)) in chunk.iter().enumerate() {
                self.switch.forget_neighbour(uplink, *address);
                Switch::probe(&mut self.frames[index], *mac, *address);
                self.send(link, index);
            }
            self.flush();
        }
    }

    /// One batch from a link through the switch.
    fn pump(&mut self, link: usize, now: u64) {
        let Some((side, source)) = self.links.get(link) else { return };
        let side = *side;
        let count = source.receive(&mut self.frames);
        for index in 0..count {
            let verdict = self.switch.receive(side, &mut self.frames[index], now);
            if let Verdict::Send(to) = verdict
                && let Some(to) = self.link_of(to)
            {
                self.send(to, index);
            }
        }
        self.flush();
    }

    fn link_of(&self, side: Side) -> Option<usize> {
        self.links.iter().position(|(known, _)| *known == side)
    }

    fn send(&mut self, link: usize, index: usize) {
        match &self.links[link].1 {
            Link::Tap(tap) => {
                if write(tap, self.frames[index].with_header()).is_err() {
                    self.switch.count(Count::SendFailed, 1);
                }
            }
            Link::Packet { .. } => self.waiting[link].push(index),
        }
    }

    /// Sends what waits. A frame that the kernel refuses is dropped, as on a wire.
    fn flush(&mut self) {
        for ((_, link), waiting) in self.links.iter().zip(&mut self.waiting) {
            let Link::Packet { socket, headers } = link else { continue };
            let mut rest = waiting.as_slice();
            while !rest.is_empty() {
                let sent = sys::send(socket.as_fd(), &self.frames, rest, *headers).unwrap_or(0);
                if sent == 0 {
                    self.switch.count(Count::SendFailed, 1);
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

    /// What is there, up to a batch. A link that fails gives nothing: its frames are lost, and
    /// the others go on.
    fn receive(&self, frames: &mut [Frame]) -> usize {
        match self {
            Self::Packet { socket, headers } => {
                sys::receive(socket.as_fd(), frames, *headers).unwrap_or(0)
            }
            Self::Tap(tap) => {
                let mut count = 0;
                for frame in frames {
                    let length = retry_on_intr(|| read(tap, &mut *frame.buffer()));
                    let Ok(length @ VNET_LEN..) = length else { break };
                    frame.set_len(length - VNET_LEN);
                    count += 1;
                }
                count
            }
        }
    }
}

/// The class of an index, where there is room for one more.
pub(super) fn class_id(index: usize) -> Option<ClassId> {
    u8::try_from(index).ok().map(ClassId)
}
