//! Whose addresses are taken: this machine's own, and those of real hosts on the segment, which
//! are asked before any address there is (RFC 5227, 2.1).
//!
//! Owns the answers, for as long as they hold. Everybody is asked at once and nothing stands
//! still meanwhile. Nobody answered only where all questions went out.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::{MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use maze::Step;
use model::{Decky, Edge, LanId};

use super::{Netns, UPLINK, works::Works};
use crate::{
    StepError,
    switch::{Interface, Mac},
};

/// How often each address is asked for.
const PROBES: u32 = 3;
/// How long an answer holds: a deployment asks once, whatever of it fails.
const HOLDS: Duration = Duration::from_secs(10);
/// The same where the question did not get out.
const HOLDS_UNASKED: Duration = Duration::from_millis(300);

/// What is known of addresses that deckies want.
#[derive(Default)]
pub(super) struct Answers {
    by_address: BTreeMap<Ipv4Addr, (Instant, Answer)>,
}

/// What the segment said about an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    /// A real host has it.
    Taken(Mac),
    /// Nobody has it.
    Free,
    /// Nobody could be asked: the uplink is away.
    Unasked,
}

impl Answers {
    fn get(&self, address: Ipv4Addr) -> Option<Answer> {
        self.by_address.get(&address).map(|(_, answer)| *answer)
    }

    fn note(&mut self, address: Ipv4Addr, answer: Answer, now: Instant) {
        let holds = if answer == Answer::Unasked { HOLDS_UNASKED } else { HOLDS };
        self.by_address.insert(address, (now + holds, answer));
    }

    fn forget_old(&mut self, now: Instant) {
        self.by_address.retain(|_, (until, _)| *until > now);
    }
}

impl Netns {
    /// Asks the segment for all the addresses that are to be taken there and were not asked for
    /// just now, and listens once. Steps find the answers. Nobody is asked while all is switched
    /// off.
    pub(super) fn ask(&self, steps: &[Step]) {
        let wanted = self.wanted_outside(steps);
        if wanted.is_empty() {
            return;
        }
        let mut works = self.works();
        if works.is_off() {
            return;
        }
        works.look_at_card();
        drop(works);
        if self.config.listen_first.is_zero() {
            return;
        }
        let mut answers = self.answers();
        answers.forget_old(Instant::now());
        let is_new = |(_, address): &(Mac, Ipv4Addr)| answers.get(*address).is_none();
        let asked: Vec<_> = wanted.into_iter().filter(is_new).collect();
        drop(answers);
        if asked.is_empty() {
            return;
        }
        let all_went = self.probe(&asked);
        let mut works = self.works();
        let mut answer_of = |address| {
            let heard = works.switch().ok()?.take_answer(UPLINK, address);
            Some(heard.map_or(Answer::Free, Answer::Taken))
        };
        let heard: Vec<_> = asked.iter().map(|(_, address)| answer_of(*address)).collect();
        drop(works);
        let (now, mut answers) = (Instant::now(), self.answers());
        for ((_, address), heard) in asked.iter().zip(heard) {
            let answer = match heard {
                Some(taken @ Answer::Taken(_)) => taken,
                Some(free) if all_went => free,
                _ => Answer::Unasked,
            };
            answers.note(*address, answer, now);
        }
    }

    /// Asks in kind as RFC 5227 says, in less time; whether all questions went out.
    fn probe(&self, asked: &[(Mac, Ipv4Addr)]) -> bool {
        (0..PROBES).all(|_| {
            let sent = self.works().runner().map(|runner| runner.probe(UPLINK, asked.to_vec()));
            let all_went = matches!(sent, Ok(Ok(true)));
            if all_went {
                std::thread::sleep(self.config.listen_first / PROBES);
            }
            all_went
        })
    }

    /// The addresses on the uplink that steps take, each with the hardware address that asks.
    fn wanted_outside(&self, steps: &[Step]) -> Vec<(Mac, Ipv4Addr)> {
        let coming_outside = |step: &Step| {
            let Step::AddLan { lan, .. } = step else { return None };
            lan.is_dmz.then_some(lan.id)
        };
        let coming_outside: BTreeSet<LanId> = steps.iter().filter_map(coming_outside).collect();
        let (shared, rows) = (self.works().shared_mac(), self.rows());
        let is_outside = |lan| coming_outside.contains(&lan) || rows.faces_uplink(lan);
        let outside = steps.iter().flat_map(coming).filter(|(_, edge)| is_outside(edge.lan));
        let wanted = |(decky, edge): (&Decky, &Edge)| {
            let own = || self.own_mac(decky, &self.nature(decky), edge.lan, 0);
            (shared.unwrap_or_else(own), edge.address)
        };
        outside.map(wanted).collect()
    }

    /// Whether the address is for deckies.
    pub(super) fn check_protected(&self, works: &Works, edge: &Edge) -> Result<(), StepError> {
        let address = edge.address;
        if self.config.protected.iter().any(|net| net.contains(&address)) {
            return Err(StepError::Protected { address });
        }
        if self.rows().faces_uplink(edge.lan) { works.check_own(address) } else { Ok(()) }
    }

    /// Whether a real host has one of these addresses.
    pub(super) fn check_real_hosts(
        &self,
        works: &mut Works,
        interfaces: &[(LanId, Interface)],
    ) -> Result<(), StepError> {
        self.outside(interfaces).into_iter().try_for_each(|address| {
            let answer = self.answers().get(address);
            let trusts_chance = self.config.listen_first.is_zero();
            let taken = match answer {
                Some(Answer::Taken(mac)) => Some(mac),
                None if trusts_chance => works.switch()?.neighbour(UPLINK, address),
                Some(Answer::Free) => works.switch()?.neighbour(UPLINK, address),
                None | Some(Answer::Unasked) => return Err(StepError::Unasked { address }),
            };
            taken.map_or(Ok(()), |mac| Err(StepError::RealHost { address, mac }))
        })
    }

    /// Those of the addresses that are on the uplink.
    pub(super) fn outside(&self, interfaces: &[(LanId, Interface)]) -> Vec<Ipv4Addr> {
        let rows = self.rows();
        let outside = interfaces.iter().filter(|(lan, _)| rows.faces_uplink(*lan));
        outside.map(|(_, interface)| interface.address).collect()
    }

    /// Nothing is known any more.
    pub(super) fn forget_answers(&self) {
        *self.answers() = Answers::default();
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The machine and the interfaces that a step brings.
fn coming(step: &Step) -> impl Iterator<Item = (&Decky, &Edge)> {
    let (decky, only) = match step {
        Step::AddDecky { decky, .. } => (Some(decky), None),
        Step::AttachDecky { decky, lan, .. } => (Some(decky), Some(*lan)),
        Step::AddLan { .. }
        | Step::RemoveLan { .. }
        | Step::RemoveDecky { .. }
        | Step::DetachDecky { .. }
        | Step::SetForwarding { .. }
        | Step::OpenService { .. }
        | Step::CloseService { .. } => (None, None),
    };
    let edges = decky.into_iter().flat_map(|decky| decky.edges.iter().map(|edge| (&**decky, edge)));
    edges.filter(move |(_, edge)| only.is_none_or(|lan| edge.lan == lan))
}
