//! HTTP/1.1 decoy: a web server of Debian 12 with a small site behind a login.

use std::{net::SocketAddr, sync::Arc};

use model::{Persona, Timestamp};

use crate::{Flow, Output, Session};

/// One connection of a web client.
pub struct HttpSession {}

impl HttpSession {
    /// A session of `persona`'s web server.
    pub fn new(
        _persona: Arc<Persona>,
        _seed: [u8; 32],
        _local: SocketAddr,
        _peer: SocketAddr,
    ) -> Self {
        Self {}
    }
}

impl Session for HttpSession {
    fn open(&mut self, _now: Timestamp, _out: &mut Output) -> Flow {
        Flow::Continue
    }

    fn receive(&mut self, _now: Timestamp, _bytes: &[u8], _out: &mut Output) -> Flow {
        Flow::Close
    }
}
