//! Traffic as it happens, `decky.{id}.traffic`: a few words a fact, so many a second.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use bus::Bus;
use model::{Ambient, DeckyId, DeckyTraffic, Event, Payload, SessionEvent, SessionFact};

/// Traffic events per decky and second at most; the journal has everything.
const PER_SECOND: u32 = 5;
/// Deckies whose rate is remembered at most.
const DECKIES: usize = 65_536;

/// Tells the bus of these facts, as far as their deckies' rates allow.
pub(super) fn tell(bus: &Bus, ambient: &Ambient, facts: &[SessionEvent], rate: &mut TrafficRate) {
    for event in facts.iter().filter(|event| rate.admits(event.decky_id)) {
        let (kind, summary) = summary(&event.fact);
        let traffic = DeckyTraffic {
            decky_id: event.decky_id,
            topology_id: event.topology_id,
            session_id: event.session_id,
            attacker_id: None,
            service: event.service,
            peer: event.peer.to_string(),
            kind: kind.into(),
            summary,
        };
        bus.publish(&Event::at(ambient, event.at, Payload::DeckyTraffic(traffic)));
    }
}

/// A fact in a few words, without secrets.
fn summary(fact: &SessionFact) -> (&'static str, String) {
    match fact {
        SessionFact::Started => ("started", "connected".into()),
        SessionFact::Login { principal, accepted, .. } => {
            ("login", format!("{principal}: {}", if *accepted { "accepted" } else { "refused" }))
        }
        SessionFact::Command { text } => ("command", short(text)),
        SessionFact::Request { text } => ("request", short(text)),
        SessionFact::Upload { name, bytes, .. } => {
            ("upload", short(&format!("{name} ({bytes} bytes)")))
        }
        SessionFact::Fingerprint { name, value } => {
            ("fingerprint", short(&format!("{name} {value}")))
        }
        SessionFact::Ended { .. } => ("ended", "disconnected".into()),
    }
}

fn short(text: &str) -> String {
    text.chars().take(160).collect()
}

/// A counter per decky and second.
#[derive(Default)]
pub(super) struct TrafficRate {
    second: Option<Instant>,
    told: HashMap<DeckyId, u32>,
}

impl TrafficRate {
    fn admits(&mut self, decky: DeckyId) -> bool {
        let now = Instant::now();
        if self.second.is_none_or(|began| now.duration_since(began) >= Duration::from_secs(1)) {
            self.second = Some(now);
            self.told.clear();
        }
        if self.told.len() >= DECKIES && !self.told.contains_key(&decky) {
            return false;
        }
        let told = self.told.entry(decky).or_default();
        *told += 1;
        *told <= PER_SECOND
    }
}
