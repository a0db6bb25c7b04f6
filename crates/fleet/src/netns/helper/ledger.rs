//! How much the helper gives out: the last word on a request that is well formed. Pure.

use std::{collections::BTreeSet, num::NonZeroU16};

use model::Transport;

use super::Request;

/// Most namespaces.
pub const MAX_CLASSES: usize = 64;
/// Most different ports of one namespace, of both transports, over its life.
pub const MAX_PORTS: usize = 8192;

/// Why a request is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There are [`MAX_CLASSES`].
    #[error("the helper makes no more than {MAX_CLASSES} namespaces")]
    Classes,
    /// Nobody made it.
    #[error("the helper has no such namespace")]
    NoClass,
    /// There were [`MAX_PORTS`].
    #[error("the helper opens no more than {MAX_PORTS} different ports of a namespace")]
    Ports,
}

/// What was given out so far.
#[derive(Debug, Default)]
pub struct Ledger {
    ports: Vec<BTreeSet<(Transport, NonZeroU16)>>,
}

impl Ledger {
    /// Whether the request may be tried.
    ///
    /// # Errors
    /// Where it is beyond what the helper gives.
    pub fn check(&self, request: &Request) -> Result<(), Refused> {
        match request {
            Request::Class(_) if self.ports.len() >= MAX_CLASSES => Err(Refused::Classes),
            Request::Uplink | Request::Class(_) | Request::Release => Ok(()),
            Request::Open { class, transport, port } => {
                let ports = self.ports.get(usize::from(*class)).ok_or(Refused::NoClass)?;
                let has_room = ports.len() < MAX_PORTS || ports.contains(&(*transport, *port));
                if has_room { Ok(()) } else { Err(Refused::Ports) }
            }
        }
    }

    /// Takes note of a request that was granted.
    pub fn granted(&mut self, request: &Request) {
        match request {
            Request::Uplink => {}
            Request::Release => self.ports.clear(),
            Request::Class(_) => self.ports.push(BTreeSet::new()),
            Request::Open { class, transport, port } => {
                if let Some(ports) = self.ports.get_mut(usize::from(*class)) {
                    ports.insert((*transport, *port));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switch::Kernel;

    const KERNEL: Kernel = Kernel {
        tcp_timestamps: 1,
        tcp_rmem_max: 1 << 20,
        tcp_sack: 1,
        tcp_window_scaling: 1,
        tcp_ecn: 2,
    };

    fn listen(class: u8, port: usize) -> Request {
        let port = NonZeroU16::new(port as u16).unwrap();
        Request::Open { class, transport: Transport::Tcp, port }
    }

    #[test]
    fn everything_is_bounded() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.check(&listen(0, 80)), Err(Refused::NoClass));
        let class = Request::Class(KERNEL);
        for _ in 0..MAX_CLASSES {
            assert_eq!(ledger.check(&class), Ok(()));
            ledger.granted(&class);
        }
        assert_eq!(ledger.check(&class), Err(Refused::Classes));
        assert_eq!(ledger.check(&Request::Uplink), Ok(()), "it may come back");
        for port in 1..=MAX_PORTS {
            assert_eq!(ledger.check(&listen(3, port)), Ok(()));
            ledger.granted(&listen(3, port));
        }
        assert_eq!(ledger.check(&listen(3, MAX_PORTS + 1)), Err(Refused::Ports));
        assert_eq!(ledger.check(&listen(3, 22)), Ok(()), "a port may come back");
        let port = NonZeroU16::new(22).unwrap();
        let datagrams = Request::Open { class: 3, transport: Transport::Udp, port };
        assert_eq!(ledger.check(&datagrams), Err(Refused::Ports), "another port it is");
        assert_eq!(ledger.check(&listen(4, 22)), Ok(()), "others are not affected");
        assert_eq!(ledger.check(&listen(MAX_CLASSES as u8, 22)), Err(Refused::NoClass));
        assert_eq!(ledger.check(&Request::Release), Ok(()));
        ledger.granted(&Request::Release);
        assert_eq!(ledger.check(&listen(3, 22)), Err(Refused::NoClass), "it is gone");
        assert_eq!(ledger.check(&class), Ok(()), "there is room again");
    }
}
