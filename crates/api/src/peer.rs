//! The other end of a connection.

use std::net::{IpAddr, SocketAddr};

/// Who is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// By TCP.
    Tcp(SocketAddr),
    /// By the UNIX socket; the kernel vouches for the user.
    Unix {
        /// Effective user id of the process that connected.
        uid: u32,
    },
}

impl Peer {
    /// The address, where there is one.
    pub(crate) fn address(self) -> Option<IpAddr> {
        match self {
            Self::Tcp(addr) => Some(addr.ip()),
            Self::Unix { .. } => None,
        }
    }
}
