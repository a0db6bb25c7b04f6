//! Decoy protocols as pure sessions, and the one driver that owns their sockets.
//!
//! A protocol module holds a [`Session`], or a [`DatagramSession`] where it is carried by UDP:
//! bytes and the time go in, bytes and facts come out.
//! The driver owns everything else: listeners, sockets, limits, timeouts, the isolation of
//! panics. Nothing here knows SQL, the bus, the fleet or the API, and no protocol opens a socket.

pub mod datagram;
pub mod directory;
pub mod driver;
pub mod ftp;
pub mod http;
pub mod redis;
pub mod session;
pub mod shell;
pub mod snmp;
pub mod ssh;
mod start;
#[cfg(test)]
mod testing;

pub use datagram::{Answers, DatagramSession};
pub use directory::{Directory, Entry, Interface, LazyPersona, Place};
pub use driver::{Admission, DataPorts, Driver, DriverHandle, Limits, ListenError};
pub use session::{DataAction, DataEvent, Flow, Output, Session};
pub use start::{Started, start};
