//! Ports for second connections, such as those of FTP's passive transfers.
//!
//! Every class that has a decky with such a service listens at the same few ports, as if one
//! administrator had set `pasv_min_port` everywhere alike. The switch lets nobody in there but the
//! visitor whom a session expects, at the decky that the session is with, while it waits: one
//! listener serves all deckies and visitors at once, and a transfer costs no change of the kernel.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
};

use crate::switch::{Guest, Guests, Slot};

/// How many ports: as many transfers of one visitor can wait at one decky.
pub const DATA_PORTS: u16 = 64;
/// Where the lowest range begins, the distance of two, and how many there are.
const RANGES: (u16, u16, u64) = (30_000, 100, 300);

/// Where deckies have second connections, and who comes there.
#[derive(Clone, Debug)]
pub struct DataPorts {
    first: u16,
    guests: Guests,
}

impl DataPorts {
    /// The ports of this installation; `seed` chooses them.
    pub(super) fn new(seed: u64) -> Self {
        let (lowest, distance, count) = RANGES;
        let nth = (seed % count) as u16;
        Self { first: lowest + nth * distance, guests: Guests::default() }
    }

    /// The ports at which a visitor may be asked to come.
    pub fn range(&self) -> RangeInclusive<u16> {
        self.first..=self.first + (DATA_PORTS - 1)
    }

    /// Lets connections of `peer` in at `at`, an address behind a gate, until what comes back is
    /// dropped. `None` where somebody waits for him there already, and for other ports.
    pub fn expect(&self, at: SocketAddr, peer: IpAddr) -> Option<Guest> {
        let (IpAddr::V4(decky), IpAddr::V4(peer)) = (at.ip(), peer) else { return None };
        let slot = Slot::of_inside(decky).filter(|_| self.range().contains(&at.port()))?;
        self.guests.expect(slot, at.port(), peer)
    }

    /// Whom the switch has to let through.
    pub(super) fn guests(&self) -> Guests {
        self.guests.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_differ_and_stay_below_the_last_port() {
        for seed in [0, 299, 300, u64::MAX] {
            let range = DataPorts::new(seed).range();
            assert_eq!((range.len(), range.start() % 100), (64, 0));
        }
        assert_ne!(DataPorts::new(1).range(), DataPorts::new(2).range());
    }

    #[test]
    fn nobody_is_expected_but_at_those_ports_of_deckies() {
        let ports = DataPorts::new(7);
        let (at, peer) = (Slot(3).inside(), "10.0.0.9".parse().unwrap());
        let (first, beyond) = (*ports.range().start(), ports.range().end() + 1);
        let waiting = ports.expect((at, first).into(), peer).unwrap();
        assert!(ports.expect((at, first).into(), peer).is_none(), "twice");
        assert!(ports.expect((at, beyond).into(), peer).is_none());
        assert!(ports.expect(([10, 0, 0, 1], first).into(), peer).is_none());
        assert!(ports.expect((at, first).into(), "fe80::1".parse().unwrap()).is_none());
        drop(waiting);
        assert!(ports.expect((at, first).into(), peer).is_some());
    }
}
