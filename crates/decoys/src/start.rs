//! Where a service becomes a session: the one list of protocols.

use std::{net::SocketAddr, sync::Arc};

use model::{Persona, Service};

use crate::{
    DatagramSession, Session, ftp::FtpSession, http::HttpSession, redis::RedisSession,
    snmp::SnmpSession, ssh::SshSession,
};

/// A session that has begun.
pub enum Started {
    /// Of a service over TCP.
    Connection(Box<dyn Session>),
    /// Of a service over UDP.
    Datagrams(Box<dyn DatagramSession>),
}

/// Begins a session of `service` as `persona`. `local` is the persona's own address as the
/// visitor believes it. All randomness of the session comes from `seed`.
///
/// # Panics
/// Not for any input.
pub fn start(
    service: Service,
    persona: Arc<Persona>,
    seed: [u8; 32],
    local: SocketAddr,
    peer: SocketAddr,
) -> Started {
    use Started::{Connection, Datagrams};
    match service {
        Service::Http => Connection(Box::new(HttpSession::new(&persona, seed, local, peer))),
        Service::Redis => Connection(Box::new(RedisSession::new(&persona, seed, local, peer))),
        Service::Ssh => Connection(Box::new(SshSession::new(persona, seed, local, peer))),
        Service::Ftp => Connection(Box::new(FtpSession::new(persona, seed, local, peer))),
        Service::Snmp => Datagrams(Box::new(SnmpSession::new(persona, local, peer))),
    }
}
