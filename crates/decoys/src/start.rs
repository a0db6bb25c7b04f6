//! Where a service becomes a session: the one list of protocols.

use std::{net::SocketAddr, sync::Arc};

use model::{Persona, Service};

use crate::{Session, ftp::FtpSession, http::HttpSession, redis::RedisSession, ssh::SshSession};

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
) -> Box<dyn Session> {
    match service {
        Service::Http => Box::new(HttpSession::new(persona, seed, local, peer)),
        Service::Redis => Box::new(RedisSession::new(persona, seed, local, peer)),
        Service::Ssh => Box::new(SshSession::new(persona, seed, local, peer)),
        Service::Ftp => Box::new(FtpSession::new(persona, seed, local, peer)),
    }
}
