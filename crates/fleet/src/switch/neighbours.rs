//! Who else is on the real segments: hosts that were heard of by chance, who answered what was
//! asked, and who has an address that a decky has, too.
//!
//! Anybody on a segment can claim to be anybody. What is heard by chance is bounded, grows old,
//! and never crowds out an answer to a question; there are as many contests as deckies at most.
//! Must not know frames, nor what the table holds.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    net::Ipv4Addr,
};

use super::{frame::Mac, table::UplinkId};

/// Most hosts that are remembered by chance; beyond it the oldest gives way.
const MAX_HEARD: usize = 4096;
/// How long what was heard by chance counts, in milliseconds.
const HEARD_FOR: u64 = 5 * 60_000;

/// How long a host that has an address of a decky counts as there since it was heard.
const CONTESTED_FOR: u64 = 60_000;
/// How often it is asked for meanwhile, for a host may have nothing to say.
const ASKED_EVERY: u64 = 10_000;

/// A real host came to an address of a decky, or is gone from there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contested {
    /// Where.
    pub uplink: UplinkId,
    /// The address.
    pub address: Ipv4Addr,
    /// The hardware address of the host.
    pub by: Mac,
    /// Whether it is gone, and the address the decky's alone.
    pub is_over: bool,
}

#[derive(Debug)]
struct Contest {
    by: Mac,
    heard_at: u64,
    asked_at: u64,
}

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
    contests: HashMap<Place, Contest, Fast>,
    /// What of the contests nobody was told yet.
    news: Vec<Contested>,
}

impl Neighbours {
    pub(super) fn new(seed: u64) -> Self {
        let fast = || Fast::with_seed(seed);
        Self {
            heard: HashMap::with_hasher(fast()),
            order: VecDeque::new(),
            asked: HashMap::with_hasher(fast()),
            contests: HashMap::with_hasher(fast()),
            news: Vec::new(),
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

    /// Takes note of a real host that has a decky's address.
    pub(super) fn contest(&mut self, place: Place, by: Mac, now: u64) {
        if let Some(contest) = self.contests.get_mut(&place) {
            contest.heard_at = now;
            return;
        }
        self.contests.insert(place, Contest { by, heard_at: now, asked_at: now });
        self.news.push(contested(place, by, false));
    }

    pub(super) fn is_contested(&self, place: Place) -> bool {
        !self.contests.is_empty() && self.contests.contains_key(&place)
    }

    /// Ends the contests about addresses that no decky has any more.
    pub(super) fn keep_contests(&mut self, is_ours: impl Fn(Place) -> bool) {
        self.end_contests(|place, _| !is_ours(place));
    }

    /// Ends the contests whose host is silent; at which places it is to be asked for again.
    pub(super) fn due(&mut self, now: u64) -> Vec<Place> {
        self.end_contests(|_, contest| contest.heard_at + CONTESTED_FOR <= now);
        let is_due = |contest: &Contest| contest.asked_at + ASKED_EVERY <= now;
        let due = self.contests.iter_mut().filter(|(_, contest)| is_due(contest));
        due.map(|(place, contest)| {
            contest.asked_at = now;
            *place
        })
        .collect()
    }

    /// What of the contests nobody was told yet.
    pub(super) fn take_news(&mut self) -> Vec<Contested> {
        std::mem::take(&mut self.news)
    }

    fn end_contests(&mut self, is_over: impl Fn(Place, &Contest) -> bool) {
        let news = &mut self.news;
        self.contests.retain(|place, contest| {
            let is_over = is_over(*place, contest);
            if is_over {
                news.push(contested(*place, contest.by, true));
            }
            !is_over
        });
    }
}

fn contested((uplink, address): Place, by: Mac, is_over: bool) -> Contested {
    Contested { uplink, address, by, is_over }
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
    #[test]
    fn a_contest_ends_when_the_host_is_silent_or_the_decky_gone() {
        let mut neighbours = Neighbours::new(1);
        let told = |is_over| vec![contested(place(1), MAC, is_over)];
        neighbours.contest(place(1), MAC, 0);
        neighbours.contest(place(1), MAC, 5_000);
        assert_eq!(neighbours.take_news(), told(false));
        assert_eq!(neighbours.due(9_999), []);
        assert_eq!(neighbours.due(10_000), [place(1)]);
        assert_eq!(neighbours.due(10_001), []);
        neighbours.contest(place(1), MAC, 10_010);
        neighbours.due(70_009);
        assert!(neighbours.is_contested(place(1)));
        assert_eq!((neighbours.due(70_010), neighbours.take_news()), (vec![], told(true)));
        assert!(!neighbours.is_contested(place(1)));

        neighbours.contest(place(1), MAC, 80_000);
        neighbours.keep_contests(|at| at == place(1));
        assert_eq!(neighbours.take_news(), told(false));
        neighbours.keep_contests(|_| false);
        assert_eq!((neighbours.take_news(), neighbours.due(90_000)), (told(true), vec![]));
    }
}
