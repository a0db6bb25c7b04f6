//! epoll, with tokens that say what became ready.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
    },
    io::Errno,
};

/// Events of one wait.
const MAX_EVENTS: usize = 1024;
/// Tokens from here on are not connections.
const OTHERS: u64 = 1 << 32;

/// What became ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// The connection at this place.
    Connection(u32),
    /// The command queue.
    Wake,
    /// The TCP listener.
    Tcp,
    /// The UNIX listener.
    Unix,
}

impl Token {
    fn data(self) -> EventData {
        EventData::new_u64(match self {
            Self::Connection(index) => u64::from(index),
            Self::Wake => OTHERS,
            Self::Tcp => OTHERS + 1,
            Self::Unix => OTHERS + 2,
        })
    }

    fn of(event: &Event) -> Self {
        let data = event.data;
        match data.u64() {
            OTHERS => Self::Wake,
            data if data == OTHERS + 1 => Self::Tcp,
            data if data == OTHERS + 2 => Self::Unix,
            data => Self::Connection(u32::try_from(data).unwrap_or(u32::MAX)),
        }
    }
}

/// An epoll instance, level-triggered.
#[derive(Debug)]
pub(super) struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)? })
    }

    pub(super) fn watch(&self, fd: impl AsFd, token: Token, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, token.data(), flags)?)
    }

    pub(super) fn change(&self, fd: impl AsFd, token: Token, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, fd, token.data(), flags)?)
    }

    pub(super) fn forget(&self, fd: impl AsFd) {
        // It fails only where the descriptor is not watched, which is what is wanted.
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Waits for what becomes ready, at most for `timeout`.
    pub(super) fn wait(&self, ready: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        ready.clear();
        ready.reserve(MAX_EVENTS);
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        match epoll::wait(&self.epoll, spare_capacity(ready), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// What an event says.
pub(super) fn token(event: &Event) -> (Token, EventFlags) {
    (Token::of(event), event.flags)
}
