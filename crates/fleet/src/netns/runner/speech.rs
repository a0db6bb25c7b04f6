//! What is said on an uplink unasked, so that hosts know who has an address, and deckies whether
//! another has theirs (RFC 5227).

use std::net::Ipv4Addr;

use super::{BATCH, Pump};
use crate::switch::{Count, Mac, Saying, Side, Switch, UplinkId};

/// Between two looks at what is to be said unasked.
pub(super) const SPEAK_EVERY: u64 = 100;
/// How often addresses are announced, and how long after each other in milliseconds (RFC 5227).
const ANNOUNCEMENTS: (u8, u64) = (2, 2000);
/// The same for the questions about what stands on an uplink that came back.
const QUESTIONS: (u8, u64) = (3, 300);

/// Of so many addresses something is said in one go; between two, frames have their turn.
const AT_ONCE: usize = 4 * BATCH;

/// What is said on an uplink more than once.
pub(super) struct Speech {
    uplink: UplinkId,
    saying: Saying,
    about: Vec<Ipv4Addr>,
    /// How many of them it was said of in this turn.
    said: usize,
    left: u8,
    every: u64,
    next: u64,
}

impl Speech {
    fn announcements(uplink: UplinkId, about: Vec<Ipv4Addr>) -> Self {
        let (saying, (left, every)) = (Saying::Announcement, ANNOUNCEMENTS);
        Self { uplink, saying, about, said: 0, left, every, next: 0 }
    }

    /// Whether another has the address of any decky that stands there.
    pub(super) fn questions(switch: &Switch, uplink: UplinkId, now: u64) -> Self {
        let (about, (left, every)) = (switch.standing(uplink), QUESTIONS);
        Self { uplink, saying: Saying::Question, about, said: 0, left, every, next: now }
    }
}

impl Pump<'_> {
    pub(super) fn probe(
        &mut self,
        switch: &mut Switch,
        uplink: UplinkId,
        asked: &[(Mac, Ipv4Addr)],
    ) -> bool {
        let Some(link) = self.link_of(Side::Uplink(uplink)) else { return false };
        let failed = switch.counters().get(Count::SendFailed);
        for chunk in asked.chunks(BATCH) {
            for (index, (mac, address)) in chunk.iter().enumerate() {
                switch.ask(uplink, *address);
                Switch::probe(&mut self.frames[index], *mac, *address);
                self.send(switch, link, index);
            }
            self.flush(switch);
        }
        switch.counters().get(Count::SendFailed) == failed
    }

    pub(super) fn announce(&mut self, uplink: UplinkId, about: Vec<Ipv4Addr>) {
        self.speeches.push(Speech::announcements(uplink, about));
    }

    /// Says what is due, and tells who came to addresses of deckies.
    pub(super) fn speak(&mut self, switch: &mut Switch, now: u64) {
        for (uplink, address) in switch.due_questions() {
            self.say(switch, Saying::Question, uplink, &[address]);
        }
        let news = switch.take_contested();
        if !news.is_empty() {
            (self.contested)(&news);
        }
        for free in news.iter().filter(|news| news.is_over) {
            self.announce(free.uplink, vec![free.address]);
        }
        let mut speeches = std::mem::take(&mut self.speeches);
        for speech in speeches.iter_mut().filter(|speech| speech.next <= now) {
            let rest = &speech.about[speech.said..];
            let some = &rest[..rest.len().min(AT_ONCE)];
            self.say(switch, speech.saying, speech.uplink, some);
            speech.said += some.len();
            if speech.said == speech.about.len() {
                (speech.said, speech.left) = (0, speech.left - 1);
                speech.next = now + speech.every;
            }
        }
        speeches.retain(|speech| speech.left > 0);
        self.speeches = speeches;
    }

    /// Whether something is half said.
    pub(super) fn is_speaking(&self) -> bool {
        self.speeches.iter().any(|speech| speech.said > 0)
    }

    fn say(&mut self, switch: &mut Switch, saying: Saying, uplink: UplinkId, about: &[Ipv4Addr]) {
        let Some(link) = self.link_of(Side::Uplink(uplink)) else { return };
        for chunk in about.chunks(BATCH) {
            for (index, address) in chunk.iter().enumerate() {
                if switch.say(saying, &mut self.frames[index], uplink, *address) {
                    self.send(switch, link, index);
                    let is_announced = saying == Saying::Announcement;
                    switch.count(Count::Announcements, is_announced.into());
                }
            }
            self.flush(switch);
        }
    }
}
