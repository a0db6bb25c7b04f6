//! A bounded queue in which nobody keeps others waiting by standing in it often.
//!
//! Pure. Who waits is known by where he comes from; sources take turns, and when the queue is full
//! the one that fills it most loses its latest.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv6Addr},
};

use crate::auth::PeerAddress;

/// Where somebody comes from, as far as he cannot choose it freely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// A user of this machine.
    User(u32),
    /// An address; of IPv6, the network of it that one host has.
    Address(IpAddr),
}

impl From<PeerAddress> for Source {
    fn from(peer: PeerAddress) -> Self {
        const NETWORK: u128 = u128::MAX << 64;
        match peer {
            PeerAddress::Unix { uid, .. } => Self::User(uid),
            PeerAddress::Tcp(address) => Self::Address(match address.ip() {
                IpAddr::V6(ip) if ip.to_ipv4_mapped().is_none() => {
                    Ipv6Addr::from_bits(ip.to_bits() & NETWORK).into()
                }
                ip => ip.to_canonical(),
            }),
        }
    }
}

/// The queue.
#[derive(Debug)]
pub(super) struct Fair<T> {
    /// Each that waits, once; the first is served next.
    turns: VecDeque<Source>,
    waiting: HashMap<Source, VecDeque<T>>,
    len: usize,
    most: usize,
}

impl<T> Fair<T> {
    /// For at most `most`.
    pub(super) fn new(most: usize) -> Self {
        Self { turns: VecDeque::new(), waiting: HashMap::new(), len: 0, most }
    }

    /// Adds one; returns the one for which there is no room: of the source with most, or this one.
    pub(super) fn push(&mut self, source: Source, item: T) -> Option<T> {
        let own = self.waiting.get(&source).map_or(0, VecDeque::len);
        let mut refused = None;
        if self.len >= self.most {
            let worst = self.waiting.iter().max_by_key(|(_, waiting)| waiting.len());
            let Some(worst) = worst.filter(|(_, waiting)| waiting.len() > own + 1) else {
                return Some(item);
            };
            let worst = *worst.0;
            refused = self.waiting.get_mut(&worst).and_then(VecDeque::pop_back);
            self.len -= 1;
        }
        if own == 0 {
            self.turns.push_back(source);
        }
        self.waiting.entry(source).or_default().push_back(item);
        self.len += 1;
        refused
    }

    /// Takes the one whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        let source = self.turns.pop_front()?;
        let waiting = self.waiting.get_mut(&source)?;
        let item = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&source);
        } else {
            self.turns.push_back(source);
        }
        self.len -= 1;
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        PeerAddress::Tcp(text.parse().unwrap()).into()
    }

    /// Those of `waiting` are pushed, in a queue of `most`; who is refused, and the order in which
    /// the others come out.
    fn check(most: usize, waiting: &[&str], refused: &[&str], order: &[&str]) {
        let mut queue = Fair::new(most);
        let of = |name: &str| Source::User(name.as_bytes()[0].into());
        let out = waiting.iter().filter_map(|name| queue.push(of(name), *name));
        assert_eq!(out.collect::<Vec<_>>(), refused);
        assert_eq!(std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(), order);
        assert_eq!((queue.len, queue.turns.len(), queue.waiting.len()), (0, 0, 0));
    }

    #[test]
    fn sources_take_turns() {
        check(9, &["a1", "a2", "a3", "b1"], &[], &["a1", "b1", "a2", "a3"]);
        check(9, &["a1", "b1", "a2", "c1", "b2"], &[], &["a1", "b1", "c1", "a2", "b2"]);
    }

    #[test]
    fn who_fills_the_queue_makes_room() {
        check(3, &["a1", "a2", "a3", "a4"], &["a4"], &["a1", "a2", "a3"]);
        check(3, &["a1", "a2", "a3", "b1"], &["a3"], &["a1", "b1", "a2"]);
        check(2, &["a1", "b1", "c1"], &["c1"], &["a1", "b1"]);
        check(2, &["a1", "a2", "b1", "b2"], &["a2", "b2"], &["a1", "b1"]);
    }

    #[test]
    fn an_address_is_what_one_host_has() {
        assert_eq!(source("[2001:db8::1]:5"), source("[2001:db8::2:3]:6"));
        assert_ne!(source("[2001:db8:0:1::1]:5"), source("[2001:db8:0:2::1]:5"));
        assert_eq!(source("[::ffff:10.0.0.1]:5"), source("10.0.0.1:6"));
        assert_ne!(source("10.0.0.1:5"), source("10.0.0.2:5"));
    }
}
