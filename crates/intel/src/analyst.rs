//! The analyst: what it holds in memory, and how one batch of facts passes through it.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
};

use model::{
    Activity, ActivityKind, ActivityPayload, Ambient, Attacker, AttackerObserved, AttackerScored,
    Credential, CredentialCaptured, Event, Fingerprinted, Identity, IdentityFormed, IdentityId,
    InstallationSecret, Observation, ObservationLinked, Payload, ScoreLevel, Session, SessionEvent,
    SessionFact, SessionId, SessionStarted, Timestamp, Truncation,
};

use crate::{recent::Recent, score::score, sessions, words};

/// Most deckies, LANs and fingerprints that an attacker's row keeps of each.
const MAX_KEPT: usize = 64;

/// How much an analyst keeps in memory between batches. What falls out is asked for again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Attackers, with their identities.
    pub attackers: usize,
    /// Credentials.
    pub credentials: usize,
    /// Sessions that have not ended.
    pub sessions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { attackers: 16_384, credentials: 16_384, sessions: 65_536 }
    }
}

/// Rows that a batch refers to and that are not in memory. The store need not have them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Source addresses: load the attacker of each, and that attacker's identity.
    pub addresses: Vec<IpAddr>,
    /// Hashes of credentials.
    pub credential_hashes: Vec<String>,
    /// Sessions.
    pub sessions: Vec<SessionId>,
}

/// What the store had of the needs.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Attackers of the needed addresses.
    pub attackers: Vec<Attacker>,
    /// The identities of these attackers.
    pub identities: Vec<Identity>,
    /// Credentials of the needed hashes.
    pub credentials: Vec<Credential>,
    /// The needed sessions.
    pub sessions: Vec<Session>,
}

/// Turns facts into rows and events. Its memory is a bounded copy of rows that the store has.
pub struct Analyst {
    secret: InstallationSecret,
    ambient: Ambient,
    attackers: Recent<IpAddr, Attacker>,
    /// Those of the attackers above.
    identities: HashMap<IdentityId, Identity>,
    credentials: Recent<String, Credential>,
    sessions: Recent<SessionId, Session>,
}

/// What a batch has changed so far: keys of rows in memory, and what is only ever added.
#[derive(Default)]
struct Changes {
    addresses: BTreeSet<IpAddr>,
    identities: BTreeSet<IdentityId>,
    credentials: BTreeSet<String>,
    sessions: BTreeSet<SessionId>,
    activity: Vec<Activity>,
    events: Vec<Event>,
}

/// The keyed hash under which a credential is kept: lower-case hex, the same for the same
/// principal and secret of one installation, of no use to another.
pub fn credential_hash(key: &InstallationSecret, principal: &str, secret: &str) -> String {
    let mac = key.mac(&[b"credential", principal.as_bytes(), secret.as_bytes()]);
    mac.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Analyst {
    /// An analyst without memory. `secret` keys the hashes of credentials, `ambient` gives ids.
    pub fn new(secret: InstallationSecret, ambient: Ambient) -> Self {
        Self::with_limits(secret, ambient, Limits::default())
    }

    /// An analyst that keeps at most so much in memory.
    pub fn with_limits(secret: InstallationSecret, ambient: Ambient, limits: Limits) -> Self {
        Self {
            secret,
            ambient,
            attackers: Recent::new(limits.attackers),
            identities: HashMap::new(),
            credentials: Recent::new(limits.credentials),
            sessions: Recent::new(limits.sessions),
        }
    }

    /// What must be loaded and learned before [`Analyst::observe`] sees `batch`. Nothing else may
    /// be observed in between.
    pub fn needs(&self, batch: &[SessionEvent]) -> Needs {
        let mut addresses = BTreeSet::new();
        let mut credential_hashes = BTreeSet::new();
        let mut sessions = BTreeSet::new();
        for event in batch {
            addresses.insert(event.peer.ip().to_canonical());
            sessions.insert(event.session_id);
            if let SessionFact::Login { principal, secret, .. } = &event.fact {
                credential_hashes.insert(credential_hash(&self.secret, principal, secret));
            }
        }
        addresses.retain(|address| !self.attackers.contains(address));
        credential_hashes.retain(|hash| !self.credentials.contains(hash));
        sessions.retain(|id| !self.sessions.contains(id));
        Needs {
            addresses: addresses.into_iter().collect(),
            credential_hashes: credential_hashes.into_iter().collect(),
            sessions: sessions.into_iter().collect(),
        }
    }

    /// Takes in what the store had of the needs. Rows that are in memory already stay.
    pub fn learn(&mut self, known: Known) {
        for attacker in known.attackers {
            let address = attacker.address.to_canonical();
            if !self.attackers.contains(&address) {
                self.attackers.put(address, attacker);
            }
        }
        for identity in known.identities {
            self.identities.entry(identity.id).or_insert(identity);
        }
        for credential in known.credentials {
            if !self.credentials.contains(&credential.hash) {
                self.credentials.put(credential.hash.clone(), credential);
            }
        }
        for session in known.sessions {
            if !self.sessions.contains(&session.id) {
                self.sessions.put(session.id, session);
            }
        }
    }

    /// Drops all memory: for after a failed write, when memory is ahead of the store. The same
    /// batch can then be observed again.
    pub fn forget(&mut self) {
        self.attackers.clear();
        self.identities.clear();
        self.credentials.clear();
        self.sessions.clear();
    }

    /// What `batch` changes: whole rows, and events in order, each with the time of its fact.
    /// Facts that were seen before change nothing; a missing fact marks its session as truncated.
    pub fn observe(&mut self, batch: &[SessionEvent]) -> Observation {
        let mut changes = Changes::default();
        for event in batch {
            if !self.was_seen(event) {
                self.take_in(event, &mut changes);
            }
        }
        let observation = self.rows(changes);
        for session in observation.sessions.iter().filter(|session| session.ended_at.is_some()) {
            self.sessions.remove(&session.id);
        }
        self.trim();
        observation
    }

    /// Ends, as of `at`, sessions that a crash left open: truncated by the shutdown.
    pub fn close_orphans(&mut self, mut open: Vec<Session>, at: Timestamp) -> Observation {
        open.retain(|session| session.ended_at.is_none());
        open.sort_by_key(|session| session.id);
        let mut observation = Observation::default();
        for mut session in open {
            self.sessions.remove(&session.id);
            session.ended_at = Some(at.max(session.started_at));
            session.truncated = Some(Truncation::Shutdown);
            observation.events.push(self.event(at, sessions::ended(&session)));
            observation.sessions.push(session);
        }
        observation
    }

    fn was_seen(&self, event: &SessionEvent) -> bool {
        self.sessions
            .get(&event.session_id)
            .is_some_and(|session| session.ended_at.is_some() || event.index < session.next_index)
    }

    fn take_in(&mut self, event: &SessionEvent, changes: &mut Changes) {
        let address = event.peer.ip().to_canonical();
        changes.addresses.insert(address);
        changes.sessions.insert(event.session_id);
        self.meet(address, event, changes);
        self.begin_session(address, event, changes);
        self.apply(address, event, changes);
        self.rescore(address, event.at, changes);
    }

    fn event(&self, at: Timestamp, payload: Payload) -> Event {
        Event::at(&self.ambient, at, payload)
    }

    /// Makes sure that the attacker is known, with an identity of its own.
    fn meet(&mut self, address: IpAddr, event: &SessionEvent, changes: &mut Changes) {
        if self.attackers.contains(&address) {
            return;
        }
        let (id, identity_id) = (self.ambient.id(), self.ambient.id());
        self.attackers.put(address, new_attacker(id, identity_id, address, event.at));
        let identity = Identity {
            id: identity_id,
            formed_at: event.at,
            last_seen: event.at,
            attacker_ids: vec![id],
            score: 0,
        };
        self.identities.insert(identity_id, identity);
        let observed = AttackerObserved {
            attacker_id: id,
            identity_id: Some(identity_id),
            address: address.to_string(),
            decky_id: event.decky_id,
            service: event.service,
            first_seen: event.at,
        };
        let reasons = vec![format!("first seen from {address}")];
        let payloads = [
            Payload::Observed(observed),
            Payload::IdentityFormed(IdentityFormed { identity_id, attacker_ids: vec![id] }),
            Payload::ObservationLinked(ObservationLinked { identity_id, attacker_id: id, reasons }),
        ];
        changes.events.extend(payloads.map(|payload| self.event(event.at, payload)));
    }

    /// Makes sure that the session is known, whichever of its facts is the first to come.
    fn begin_session(&mut self, address: IpAddr, event: &SessionEvent, changes: &mut Changes) {
        if self.sessions.contains(&event.session_id) {
            return;
        }
        let Some(attacker) = self.attackers.touch(&address) else { return };
        attacker.sessions += 1;
        let peer = SocketAddr::new(address, event.peer.port()).to_string();
        let session = sessions::begun(event, attacker.id, peer);
        let started = SessionStarted {
            session_id: session.id,
            attacker_id: session.attacker_id,
            decky_id: session.decky_id,
            topology_id: session.topology_id,
            service: session.service,
            peer: session.peer.clone(),
            started_at: session.started_at,
        };
        self.sessions.put(session.id, session);
        changes.events.push(self.event(event.at, Payload::SessionStarted(started)));
    }

    /// Counts the fact in session and attacker, and says what it adds.
    fn apply(&mut self, address: IpAddr, event: &SessionEvent, changes: &mut Changes) {
        let Some(attacker) = self.attackers.touch(&address) else { return };
        let Some(session) = self.sessions.touch(&event.session_id) else { return };
        sessions::count(session, event);
        touch(attacker, event);
        let is_new_fingerprint = count(attacker, &event.fact);
        let session = session.clone();
        match &event.fact {
            SessionFact::Started => {}
            SessionFact::Fingerprint { name, value } => {
                if is_new_fingerprint {
                    let found = Fingerprinted {
                        attacker_id: session.attacker_id,
                        kind: name.clone(),
                        value: words::line(value),
                        session_id: session.id,
                    };
                    changes.events.push(self.event(event.at, Payload::Fingerprinted(found)));
                }
            }
            SessionFact::Login { principal, secret, method, accepted } => {
                let text = words::login(principal, method, *accepted);
                self.record(&session, event, ActivityKind::Login, text, changes);
                self.capture(&session, event.at, [principal, secret, method], changes);
            }
            SessionFact::Command { text } => {
                let text = words::line(text);
                self.record(&session, event, ActivityKind::Command, text, changes);
            }
            SessionFact::Request { text } => {
                let text = words::line(text);
                self.record(&session, event, ActivityKind::Request, text, changes);
            }
            SessionFact::Upload { name, sha256, bytes } => {
                let text = words::upload(name, *bytes, sha256);
                self.record(&session, event, ActivityKind::Upload, text, changes);
            }
            SessionFact::Ended { .. } => {
                changes.events.push(self.event(event.at, sessions::ended(&session)));
            }
        }
    }

    fn record(
        &self,
        session: &Session,
        event: &SessionEvent,
        kind: ActivityKind,
        text: String,
        changes: &mut Changes,
    ) {
        let payload = ActivityPayload {
            session_id: session.id,
            attacker_id: session.attacker_id,
            decky_id: session.decky_id,
            topology_id: session.topology_id,
            index: event.index,
            kind,
            text: text.clone(),
        };
        changes.events.push(self.event(event.at, Payload::SessionActivity(payload)));
        let (session_id, index, at) = (session.id, event.index, event.at);
        changes.activity.push(Activity { session_id, index, at, kind, text });
    }

    fn capture(
        &mut self,
        session: &Session,
        at: Timestamp,
        [principal, secret, method]: [&String; 3],
        changes: &mut Changes,
    ) {
        let hash = credential_hash(&self.secret, principal, secret);
        if !self.credentials.contains(&hash) {
            let credential = Credential {
                id: self.ambient.id(),
                hash: hash.clone(),
                principal: words::line(principal),
                secret: words::line(secret),
                kind: method.clone(),
                first_seen: at,
                last_seen: at,
                tries: 0,
            };
            self.credentials.put(hash.clone(), credential);
        }
        let Some(credential) = self.credentials.touch(&hash) else { return };
        credential.tries += 1;
        credential.first_seen = credential.first_seen.min(at);
        credential.last_seen = credential.last_seen.max(at);
        let captured = CredentialCaptured {
            credential_id: credential.id,
            attacker_id: session.attacker_id,
            session_id: session.id,
            decky_id: session.decky_id,
            kind: method.clone(),
            hash: hash.clone(),
            principal: credential.principal.clone(),
        };
        changes.credentials.insert(hash);
        changes.events.push(self.event(at, Payload::CredentialCaptured(captured)));
    }

    /// Brings the score of the attacker and of its identity up to date; says so where the level
    /// is another one.
    fn rescore(&mut self, address: IpAddr, at: Timestamp, changes: &mut Changes) {
        let Some(attacker) = self.attackers.touch(&address) else { return };
        let now = score(attacker);
        let previous = std::mem::replace(&mut attacker.score, now.value);
        attacker.reasons = now.reasons;
        let (id, identity_id, last_seen) = (attacker.id, attacker.identity_id, attacker.last_seen);
        let level = ScoreLevel::of(now.value);
        if level != ScoreLevel::of(previous) {
            let reasons = attacker.reasons.clone();
            let scored =
                AttackerScored { attacker_id: id, score: now.value, previous, level, reasons };
            changes.events.push(self.event(at, Payload::Scored(scored)));
        }
        if let Some(identity) = self.identities.get_mut(&identity_id) {
            identity.last_seen = identity.last_seen.max(last_seen);
            identity.score = identity.score.max(now.value);
            changes.identities.insert(identity_id);
        }
    }

    fn rows(&self, changes: Changes) -> Observation {
        let Changes { addresses, identities, credentials, sessions, activity, events } = changes;
        Observation {
            attackers: addresses
                .iter()
                .filter_map(|key| self.attackers.get(key))
                .cloned()
                .collect(),
            identities: identities
                .iter()
                .filter_map(|id| self.identities.get(id))
                .cloned()
                .collect(),
            sessions: sessions.iter().filter_map(|id| self.sessions.get(id)).cloned().collect(),
            activity,
            credentials: credentials
                .iter()
                .filter_map(|hash| self.credentials.get(hash))
                .cloned()
                .collect(),
            events,
        }
    }

    fn trim(&mut self) {
        self.sessions.trim();
        self.credentials.trim();
        if self.attackers.trim() {
            let kept: BTreeSet<_> = self.attackers.values().map(|a| a.identity_id).collect();
            self.identities.retain(|id, _| kept.contains(id));
        }
    }
}

fn new_attacker(
    id: model::AttackerId,
    identity_id: IdentityId,
    address: IpAddr,
    at: Timestamp,
) -> Attacker {
    Attacker {
        id,
        address,
        identity_id,
        first_seen: at,
        last_seen: at,
        score: 0,
        reasons: vec![],
        sessions: 0,
        logins: 0,
        logins_accepted: 0,
        commands: 0,
        downloads: 0,
        requests: 0,
        uploads: 0,
        deckies: vec![],
        lans: vec![],
        services: vec![],
        fingerprints: vec![],
    }
}

/// Notes when and where an attacker was.
fn touch(attacker: &mut Attacker, event: &SessionEvent) {
    attacker.first_seen = attacker.first_seen.min(event.at);
    attacker.last_seen = attacker.last_seen.max(event.at);
    insert_sorted(&mut attacker.deckies, event.decky_id);
    insert_sorted(&mut attacker.lans, event.lan_id);
    insert_sorted(&mut attacker.services, event.service);
}

/// Counts what an attacker did; whether it was a fingerprint that is new for this attacker.
fn count(attacker: &mut Attacker, fact: &SessionFact) -> bool {
    match fact {
        SessionFact::Started | SessionFact::Ended { .. } => {}
        SessionFact::Login { accepted, .. } => {
            attacker.logins += 1;
            attacker.logins_accepted += u64::from(*accepted);
        }
        SessionFact::Command { .. } => {
            attacker.commands += 1;
            attacker.downloads += u64::from(words::downloads(fact));
        }
        SessionFact::Request { .. } => attacker.requests += 1,
        SessionFact::Upload { .. } => attacker.uploads += 1,
        SessionFact::Fingerprint { name, value } => {
            let kept = words::fingerprint(name, value);
            return insert_sorted(&mut attacker.fingerprints, kept);
        }
    }
    false
}

/// Keeps `row` sorted and without duplicates, up to [`MAX_KEPT`]; whether `value` was added.
fn insert_sorted<T: Ord>(row: &mut Vec<T>, value: T) -> bool {
    match row.binary_search(&value) {
        Err(at) if row.len() < MAX_KEPT => {
            row.insert(at, value);
            true
        }
        Ok(_) | Err(_) => false,
    }
}
