//! An analyst at work: facts written as lines, a store in memory, events told as lines.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use model::{
    Activity, Ambient, Attacker, Credential, Event, Identity, InstallationSecret, Observation,
    Payload, Service, Session, SessionEvent, SessionFact, SessionId, Timestamp, TypedId,
};
use morgana_intel::{Analyst, Known, Limits};

/// What a store keeps of observations.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Rows {
    pub(crate) attackers: BTreeMap<IpAddr, Attacker>,
    pub(crate) identities: BTreeMap<model::IdentityId, Identity>,
    pub(crate) credentials: BTreeMap<String, Credential>,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) activity: BTreeMap<(SessionId, u32), Activity>,
    pub(crate) events: Vec<String>,
}

pub(crate) struct Desk {
    pub(crate) analyst: Analyst,
    pub(crate) rows: Rows,
    pub(crate) events: Vec<Event>,
}

pub(crate) fn secret() -> InstallationSecret {
    InstallationSecret::new([7; 32])
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + seconds * 1_000_000)
}

/// An id that is the same in every test.
pub(crate) fn id<I: TypedId>(n: u8) -> I {
    I::from_parts(at(0), [n; 10])
}

impl Desk {
    pub(crate) fn new(limits: Limits) -> Self {
        let ambient = Ambient::seeded(1, at(0));
        let analyst = Analyst::with_limits(secret(), ambient, limits);
        Self { analyst, rows: Rows::default(), events: vec![] }
    }

    /// One batch, the way the app does it.
    pub(crate) fn observe(&mut self, batch: &[SessionEvent]) -> Observation {
        let needs = self.analyst.needs(batch);
        let rows = &self.rows;
        let attackers: Vec<_> =
            needs.addresses.iter().filter_map(|a| rows.attackers.get(a)).cloned().collect();
        let identity = |a: &Attacker| rows.identities.get(&a.identity_id).cloned();
        self.analyst.learn(Known {
            identities: attackers.iter().filter_map(identity).collect(),
            attackers,
            credentials: needs
                .credential_hashes
                .iter()
                .filter_map(|hash| rows.credentials.get(hash))
                .cloned()
                .collect(),
            sessions: needs
                .sessions
                .iter()
                .filter_map(|id| rows.sessions.get(id))
                .cloned()
                .collect(),
        });
        let observation = self.analyst.observe(batch);
        self.keep(&observation);
        observation
    }

    pub(crate) fn keep(&mut self, new: &Observation) {
        let rows = &mut self.rows;
        rows.attackers.extend(new.attackers.iter().map(|a| (a.address, a.clone())));
        rows.identities.extend(new.identities.iter().map(|i| (i.id, i.clone())));
        rows.credentials.extend(new.credentials.iter().map(|c| (c.hash.clone(), c.clone())));
        rows.sessions.extend(new.sessions.iter().map(|s| (s.id, s.clone())));
        for activity in &new.activity {
            rows.activity.entry((activity.session_id, activity.index)).or_insert(activity.clone());
        }
        rows.events
            .extend(new.events.iter().map(|e| serde_json::to_string(&e.to_entry(None)).unwrap()));
        self.events.extend(new.events.iter().cloned());
    }

    /// The events so far, a line each; ids as short names in order of appearance.
    pub(crate) fn told(&self) -> String {
        let mut names = Names::default();
        self.events.iter().map(|event| line(event, &mut names) + "\n").collect()
    }
}

/// Reads facts: `session.index peer decky/service fact…`, one a line, a second apart.
pub(crate) fn facts(text: &str) -> Vec<SessionEvent> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.enumerate().map(|(n, line)| fact(n as i64, line)).collect()
}

fn fact(second: i64, line: &str) -> SessionEvent {
    let mut words = line.splitn(4, ' ');
    let (session, index) = words.next().unwrap().split_once('.').unwrap();
    let address: IpAddr = words.next().unwrap().parse().unwrap();
    let (decky, service) = words.next().unwrap().split_once('/').unwrap();
    let decky: u8 = decky.parse().unwrap();
    SessionEvent {
        session_id: id(session.parse().unwrap()),
        index: index.parse().unwrap(),
        at: at(second),
        topology_id: id(1),
        lan_id: id(decky / 10),
        decky_id: id(decky),
        service: service.parse::<Service>().unwrap(),
        peer: SocketAddr::new(address, 40_000),
        fact: what(words.next().unwrap()),
    }
}

fn what(text: &str) -> SessionFact {
    let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
    let words: Vec<&str> = rest.split(' ').collect();
    match kind {
        "started" => SessionFact::Started,
        "accepted" | "refused" => SessionFact::Login {
            principal: words[0].into(),
            secret: words[1].into(),
            method: "password".into(),
            accepted: kind == "accepted",
        },
        "command" => SessionFact::Command { text: rest.into() },
        "request" => SessionFact::Request { text: rest.into() },
        "upload" => SessionFact::Upload {
            name: words[0].into(),
            sha256: "ab".repeat(32),
            bytes: words[1].parse().unwrap(),
        },
        "fingerprint" => SessionFact::Fingerprint { name: words[0].into(), value: words[1].into() },
        "ended" => SessionFact::Ended {
            bytes_in: words[0].parse().unwrap(),
            bytes_out: words[1].parse().unwrap(),
            truncated: words.get(2).map(|word| word.parse().unwrap()),
        },
        other => panic!("no such fact: {other}"),
    }
}

/// Short names for ids that the analyst makes.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    fn of(&mut self, letter: &str, id: &impl ToString) -> String {
        let next = self.0.values().filter(|name| name.starts_with(letter)).count() + 1;
        self.0.entry(id.to_string()).or_insert(format!("{letter}{next}")).clone()
    }
}

fn line(event: &Event, names: &mut Names) -> String {
    let second = (event.ts.as_micros() - at(0).as_micros()) / 1_000_000;
    let rest = match &event.payload {
        Payload::Observed(b) => {
            let attacker = names.of("attacker", &b.attacker_id);
            let identity = names.of("identity", &b.identity_id.unwrap());
            format!("{attacker} {identity} {} {}", b.address, b.service)
        }
        Payload::IdentityFormed(b) => names.of("identity", &b.identity_id),
        Payload::ObservationLinked(b) => {
            let attacker = names.of("attacker", &b.attacker_id);
            format!("{attacker} {} {:?}", names.of("identity", &b.identity_id), b.reasons)
        }
        Payload::SessionStarted(b) => {
            let attacker = names.of("attacker", &b.attacker_id);
            format!("{} {attacker} {}", names.of("session", &b.session_id), b.peer)
        }
        Payload::Fingerprinted(b) => {
            format!("{} {}={}", names.of("attacker", &b.attacker_id), b.kind, b.value)
        }
        Payload::SessionActivity(b) => {
            format!("{} {} {}: {}", names.of("session", &b.session_id), b.index, b.kind, b.text)
        }
        Payload::CredentialCaptured(b) => {
            let credential = names.of("credential", &b.credential_id);
            format!("{credential} {} {} {}…", b.kind, b.principal, &b.hash[..8])
        }
        Payload::Scored(b) => format!(
            "{} {} to {} {} {:?}",
            names.of("attacker", &b.attacker_id),
            b.previous,
            b.score,
            b.level,
            b.reasons
        ),
        Payload::SessionEnded(b) => format!(
            "{} in={} out={} logins={} commands={} requests={} truncated={}",
            names.of("session", &b.session_id),
            b.bytes_in,
            b.bytes_out,
            b.logins,
            b.commands,
            b.requests,
            b.truncated.map_or("no", |why| why.as_str()),
        ),
        other => panic!("not of intel: {}", other.kind()),
    };
    format!("{second} {} {rest}", event.topic)
}
