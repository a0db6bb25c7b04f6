//! A network on the loopback interface, without any privilege.

use std::{io, net::Ipv4Addr, sync::Arc};

use maze::{Observed, Step};
use model::{DeckyId, TopologyId};

use crate::{DecoyHost, Driver, Endpoint, StepError};

/// Which ports deckies listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Ports {
    /// Those of the persona; the offset is added where the process may not bind them.
    #[default]
    True,
    /// Always with the offset added.
    Offset,
}

/// How a [`Loopback`] chooses addresses and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopbackConfig {
    /// The first two octets of every address: 127 and anything but 0.
    pub prefix: [u8; 2],
    /// Added to a port that the process may not bind.
    pub port_offset: u16,
    /// Whether the offset is always added.
    pub ports: Ports,
}

impl Default for LoopbackConfig {
    fn default() -> Self {
        Self { prefix: [127, 66], port_offset: 20_000, ports: Ports::True }
    }
}

/// Why the loopback driver cannot work here.
#[derive(Debug, thiserror::Error)]
pub enum LoopbackError {
    /// The prefix is outside 127.0.0.0/8, or the part of it that everybody uses.
    #[error(
        "the loopback prefix {}.{} is not usable: choose one from 127.1 to 127.255", .0[0], .0[1]
    )]
    Prefix([u8; 2]),
    /// The kernel does not give us such addresses.
    #[error(
        "cannot bind {addr}: the loopback driver needs the whole of 127.0.0.0/8 on the loopback \
         interface, as Linux has it"
    )]
    Unavailable {
        /// What was tried.
        addr: Ipv4Addr,
        /// From the kernel.
        #[source]
        source: io::Error,
    },
}

/// Deckies on addresses of their own in 127.0.0.0/8.
pub struct Loopback {
    config: LoopbackConfig,
    host: Arc<dyn DecoyHost>,
}

impl Loopback {
    /// A driver without deckies. Checks by a short bind that the addresses work here.
    pub fn new(config: LoopbackConfig, host: Arc<dyn DecoyHost>) -> Result<Self, LoopbackError> {
        Ok(Self { config, host })
    }
}

impl Driver for Loopback {
    fn observe(&self, topology: TopologyId) -> Observed {
        let _ = (topology, &self.config, &self.host);
        unimplemented!()
    }

    fn execute(&self, _step: &Step) -> Result<(), StepError> {
        unimplemented!()
    }

    fn endpoints(&self, _decky: DeckyId) -> Vec<Endpoint> {
        unimplemented!()
    }

    fn topologies(&self) -> Vec<TopologyId> {
        unimplemented!()
    }
}
