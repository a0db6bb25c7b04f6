//! Visitors that are expected: each at one port that is otherwise closed, from one address.
//!
//! The one thing of the switch that others hold, too: who waits for a visitor says so here, and
//! the next frame finds it. Bounded; the lock is held for set operations only.

use std::{
    collections::HashSet,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Slot;

/// Most visitors that are expected at once.
pub const MAX_GUESTS: usize = 1 << 16;

/// Where, and who.
type Place = (Slot, u16, Ipv4Addr);
type Places = HashSet<Place, foldhash::fast::RandomState>;

/// Everybody who is expected. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Guests(Arc<Mutex<Places>>);

/// A visitor who is expected, until this is dropped.
#[derive(Debug)]
pub struct Guest {
    guests: Guests,
    place: Place,
}

impl Guests {
    /// Lets connections of `peer` through to a port of the slot, from now on. `None` where that is
    /// so already, or there are [`MAX_GUESTS`].
    pub fn expect(&self, slot: Slot, port: u16, peer: Ipv4Addr) -> Option<Guest> {
        let (mut places, place) = (self.lock(), (slot, port, peer));
        let is_new = places.len() < MAX_GUESTS && places.insert(place);
        is_new.then(|| Guest { guests: self.clone(), place })
    }

    /// Whether this connection is expected.
    pub(super) fn expects(&self, slot: Slot, port: u16, peer: Ipv4Addr) -> bool {
        self.lock().contains(&(slot, port, peer))
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.guests.lock().remove(&self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_expected_once_and_for_as_long_as_somebody_waits() {
        let guests = Guests::default();
        let (slot, peer) = (Slot(1), Ipv4Addr::new(10, 0, 0, 9));
        let waiting = guests.expect(slot, 40_000, peer).unwrap();
        assert!(guests.expect(slot, 40_000, peer).is_none(), "somebody waits for him there");
        let other = guests.expect(slot, 40_000, Ipv4Addr::new(10, 0, 0, 8)).unwrap();
        assert!(guests.expects(slot, 40_000, peer) && !guests.expects(Slot(2), 40_000, peer));
        drop(waiting);
        assert!(!guests.expects(slot, 40_000, peer));
        drop(other);
        assert!(guests.lock().is_empty());
    }

    #[test]
    fn they_are_bounded() {
        let guests = Guests::default();
        let expect = |nth: usize| guests.expect(Slot(nth as u32), 40_000, Ipv4Addr::LOCALHOST);
        let all: Vec<Guest> = (0..MAX_GUESTS).map(|nth| expect(nth).unwrap()).collect();
        assert!(expect(MAX_GUESTS).is_none());
        drop(all);
        assert!(expect(MAX_GUESTS).is_some());
    }
}
