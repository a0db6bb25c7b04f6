//! Who else is on the real segments: hosts that were heard of by chance, and who answered what
//! was asked.
//!
//! Anybody on a segment can claim to be anybody. What is heard by chance is bounded, grows old,
//! and never crowds out an answer to a question. Must not know frames, nor what the table holds.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    net::Ipv4Addr,
};

use super::{frame::Mac, table::UplinkId};

/// Most hosts that are remembered by chance; beyond it the oldest gives way.
const MAX_HEARD: usize = 4096;
/// How long what was heard by chance counts, in milliseconds.
const HEARD_FOR: u64 = 5 * 60_000;

/// An address on a real segment.
pub(super) type Place = (UplinkId, Ipv4Addr);

type Fast = foldhash::fast::FixedState;

/// What is known of others.
#[derive(Debug)]
pub(super) struct Neighbours {
    heard: HashMap<Place, (Mac, u64), Fast>,
    /// What is in `heard`, the oldest first; some of it has gone already.
    order: VecDeque<Place>,
    /// As many as were asked for and not taken.
    asked: HashMap<Place, Option<Mac>, Fast>,
}

impl Neighbours {
    pub(super) fn new(seed: u64) -> Self {
        let fast = || Fast::with_seed(seed);
        Self {
            heard: HashMap::with_hasher(fast()),
            order: VecDeque::new(),
            asked: HashMap::with_hasher(fast()),
        }
    }

    /// From now on answers from there are kept; what was heard before does not count.
    pub(super) fn ask(&mut self, place: Place) {
        if let Entry::Vacant(question) = self.asked.entry(place) {
            question.insert(None);
            self.heard.remove(&place);
        }
    }

    /// Who answered; the question is over.
    pub(super) fn take_answer(&mut self, place: Place) -> Option<Mac> {
        self.asked.remove(&place).flatten()
    }

    /// Takes note of an answer, where there is a question.
    pub(super) fn answer(&mut self, place: Place, mac: Mac) {
        if let Some(answer) = self.asked.get_mut(&place) {
            *answer = Some(mac);
        }
    }

    /// Takes note of a host that was heard by chance.
    pub(super) fn hear(&mut self, place: Place, mac: Mac, now: u64) {
        if let Some(known) = self.heard.get_mut(&place) {
            *known = (mac, now);
            return;
        }
        if self.order.len() >= MAX_HEARD
            && let Some(oldest) = self.order.pop_front()
        {
            self.heard.remove(&oldest);
        }
        self.order.push_back(place);
        self.heard.insert(place, (mac, now));
    }

    /// The host that was heard of there lately.
    pub(super) fn heard(&self, place: Place, now: u64) -> Option<Mac> {
        let (mac, at) = self.heard.get(&place)?;
        (now < at + HEARD_FOR).then_some(*mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    fn place(nth: usize) -> Place {
        (UplinkId(0), Ipv4Addr::from(0x0a00_0000 + nth as u32))
    }

    #[test]
    fn a_spray_of_addresses_costs_a_bounded_memory_and_no_answer() {
        let mut neighbours = Neighbours::new(1);
        neighbours.ask(place(0));
        (1..=3 * MAX_HEARD).for_each(|nth| neighbours.hear(place(nth), MAC, 0));
        assert_eq!((neighbours.heard.len(), neighbours.order.len()), (MAX_HEARD, MAX_HEARD));
        assert_eq!(neighbours.heard(place(1), 0), None, "the oldest gives way");
        assert_eq!(neighbours.heard(place(3 * MAX_HEARD), 0), Some(MAC));
        neighbours.answer(place(0), MAC);
        neighbours.answer(place(7), MAC);
        assert_eq!(neighbours.take_answer(place(0)), Some(MAC));
        assert_eq!(neighbours.take_answer(place(0)), None, "it is over");
        assert_eq!(neighbours.take_answer(place(7)), None, "nobody asked");
    }

    #[test]
    fn what_was_heard_grows_old_and_a_question_forgets_it() {
        let mut neighbours = Neighbours::new(1);
        neighbours.hear(place(1), MAC, 1000);
        neighbours.hear(place(2), MAC, 1000);
        assert_eq!(neighbours.heard(place(1), 1000 + HEARD_FOR - 1), Some(MAC));
        assert_eq!(neighbours.heard(place(1), 1000 + HEARD_FOR), None);
        neighbours.ask(place(2));
        assert_eq!(neighbours.heard(place(2), 1000), None);
        for _ in 0..2 * MAX_HEARD {
            neighbours.hear(place(3), MAC, 1000);
            neighbours.ask(place(3));
            neighbours.take_answer(place(3));
        }
        assert!(neighbours.order.len() <= MAX_HEARD);
    }
}
