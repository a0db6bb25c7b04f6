//! Redis decoy: a Redis 7.0.15 of Debian 12 (RESP2 and RESP3).

use std::{net::SocketAddr, sync::Arc};

use model::{Persona, Timestamp};

use crate::{Flow, Output, Session};

/// One connection of a redis client.
pub struct RedisSession {}

impl RedisSession {
    /// A session of `persona`'s redis server.
    pub fn new(
        _persona: Arc<Persona>,
        _seed: [u8; 32],
        _local: SocketAddr,
        _peer: SocketAddr,
    ) -> Self {
        Self {}
    }
}

impl Session for RedisSession {
    fn open(&mut self, _now: Timestamp, _out: &mut Output) -> Flow {
        Flow::Continue
    }

    fn receive(&mut self, _now: Timestamp, _bytes: &[u8], _out: &mut Output) -> Flow {
        Flow::Close
    }
}
