//! Flow *observe*: visitor → decoy session → facts → intel → one transaction per batch → journal.
//!
//! At least once in, once in the store. The queue of facts is bounded and nothing is dropped:
//! while the database is away the batch is tried again, the queue fills, and the decoys stop
//! reading their visitors' sockets.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use bus::Bus;
use intel::{Analyst, Known};
use model::{
    Ambient, DeckyId, DeckyTraffic, Event, Observation, Payload, SessionEvent, SessionFact,
};
use store::{Store, StoreError};
use tokio::sync::mpsc;
use tracing::{error, info};

use crate::workers::Pulse;

/// Facts that wait for the database at most; then the decoys wait.
pub const QUEUE: usize = 4096;
/// Facts of one transaction at most.
const BATCH: usize = 512;
/// Traffic events per decky and second at most; the journal has everything.
const TRAFFIC_PER_SECOND: u32 = 5;
/// Deckies whose rate is remembered at most.
const TRAFFIC_DECKIES: usize = 65_536;
/// Pauses before a batch is tried again.
const RETRY: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(5),
];

/// What the flow works with.
pub struct Observer {
    /// The truth.
    pub store: Store,
    /// Where traffic goes.
    pub bus: Bus,
    /// Its heart.
    pub pulse: Pulse,
    /// Time and randomness.
    pub ambient: Ambient,
    /// Who makes sense of the facts.
    pub analyst: Analyst,
    /// The facts.
    pub facts: mpsc::Receiver<SessionEvent>,
}

impl Observer {
    /// Ends sessions that an earlier life of the process left open. Before the first visitor.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn close_orphans(&mut self) -> Result<(), StoreError> {
        let open = self.store.open_sessions().await?;
        if open.is_empty() {
            return Ok(());
        }
        info!(sessions = open.len(), "sessions of an earlier run end as truncated");
        let addresses: Vec<_> = open
            .iter()
            .filter_map(|s| s.peer.parse::<std::net::SocketAddr>().ok())
            .map(|peer| peer.ip())
            .collect();
        let known = self.store.known(addresses, Vec::new(), Vec::new()).await?;
        self.analyst.learn(known_rows(known));
        let observation = self.analyst.close_orphans(open, self.ambient.now());
        self.store.observe(observation).await.map(drop)
    }

    /// Works until every sender of facts is gone and the last fact is in the store.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut traffic = TrafficRate::default();
        let mut heartbeat = self.pulse.beats();
        let mut facts_total = 0_u64;
        loop {
            // Cancel-safe: recv_many leaves in the queue what it does not hand out.
            let got = tokio::select! {
                got = self.facts.recv_many(&mut batch, BATCH) => got,
                _ = heartbeat.tick() => { self.beat(facts_total); continue }
            };
            if got == 0 {
                return;
            }
            facts_total += got as u64;
            self.tell_traffic(&batch, &mut traffic);
            let observation = self.understand(&batch).await;
            self.keep(observation).await;
            batch.clear();
        }
    }

    async fn understand(&mut self, batch: &[SessionEvent]) -> Observation {
        let needs = self.analyst.needs(batch);
        let known = retried("read what is known", || {
            let needs = needs.clone();
            self.store.known(needs.addresses, needs.credential_hashes, needs.sessions)
        });
        let known = known.await;
        self.analyst.learn(known_rows(known));
        self.analyst.observe(batch)
    }

    async fn keep(&self, observation: Observation) {
        if !observation.is_empty() {
            retried("keep what was observed", || self.store.observe(observation.clone())).await;
        }
    }

    fn tell_traffic(&self, batch: &[SessionEvent], rate: &mut TrafficRate) {
        for event in batch.iter().filter(|event| rate.admits(event.decky_id)) {
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
            self.bus.publish(&Event::at(&self.ambient, event.at, Payload::DeckyTraffic(traffic)));
        }
    }

    fn beat(&self, facts_total: u64) {
        let queued = self.facts.len() as u64;
        self.pulse.beat([("facts_total", facts_total), ("queue_length", queued)]);
    }
}

fn known_rows(known: store::Known) -> Known {
    Known {
        attackers: known.attackers,
        identities: known.identities,
        credentials: known.credentials,
        sessions: known.sessions,
    }
}

/// Tries until the database answers: what was accepted from a visitor is not lost.
async fn retried<T, F>(what: &'static str, mut attempt: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut tries = 0;
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(err) => {
                error!(
                    error = &err as &dyn std::error::Error,
                    what, "database away; visitors wait"
                );
                tokio::time::sleep(RETRY[tries.min(RETRY.len() - 1)]).await;
                tries += 1;
            }
        }
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
struct TrafficRate {
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
        if self.told.len() >= TRAFFIC_DECKIES && !self.told.contains_key(&decky) {
            return false;
        }
        let told = self.told.entry(decky).or_default();
        *told += 1;
        *told <= TRAFFIC_PER_SECOND
    }
}
