//! Which of a thread's descriptors has something to read.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::event::{
    Timespec,
    epoll::{self, CreateFlags, Event, EventData, EventFlags},
};

/// Most descriptors that one wait tells of; the others are told of by the next.
const AT_ONCE: usize = 16;

/// Descriptors, each known by a number.
#[derive(Debug)]
pub(super) struct Watch(OwnedFd);

impl Watch {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(CreateFlags::CLOEXEC)?))
    }

    pub(super) fn add(&self, source: impl AsFd, number: u64) -> io::Result<()> {
        Ok(epoll::add(&self.0, source, EventData::new_u64(number), EventFlags::IN)?)
    }

    pub(super) fn remove(&self, source: impl AsFd) {
        // One that is not watched needs no removal.
        let _ = epoll::delete(&self.0, source);
    }

    /// Adds those that are ready, or broke; none when the time is over first, or by a signal.
    pub(super) fn wait(&self, at_most: Timespec, ready: &mut Vec<u64>) {
        let none = Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };
        let mut events = [none; AT_ONCE];
        let count = epoll::wait(&self.0, &mut events, Some(&at_most)).unwrap_or(0);
        ready.extend(events[..count].iter().map(|event| event.data.u64()));
    }
}
