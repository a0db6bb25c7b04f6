//! Flow *observe*: visitor → decoy session → facts → the durable stream `SESSIONS` → intel → one
//! transaction per batch, with the stream's position in it → journal.
//!
//! At least once in, once in the store: a fact is on disk before anything is made of it, and what
//! is read again after a crash lies before the position that the store has. Nothing is dropped:
//! while the database is away the stream fills, and when it is full the decoys stop reading their
//! visitors' sockets (`ingest.rs`).

mod ingest;
mod sessions;
mod traffic;

use std::time::Duration;

use bus::{Bus, stream::StreamsError};
use intel::{Analyst, Known};
use model::{Ambient, Observation, SessionEvent};
use store::{Store, StoreError};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub use self::{
    ingest::{Ingest, QUEUE},
    sessions::{SESSIONS, Sessions},
};
use self::{sessions::StoredFact, traffic::TrafficRate};
use crate::{crash_point, workers::Pulse};

/// Facts of one transaction at most.
const BATCH: u32 = 512;
/// Longest wait for a fact, before it looks whether it is still wanted.
const LOOK: Duration = Duration::from_secs(10);
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
    pub sessions: Sessions,
}

/// When the observer ends.
pub struct Ending {
    /// It ends after the batch at hand.
    pub stop: CancellationToken,
    /// Beside `stop`: everything ends, so it first empties the stream,
    pub closing: CancellationToken,
    /// once nothing more comes in.
    pub ingested: CancellationToken,
}

/// What it remembers between two batches.
#[derive(Default)]
struct Memory {
    /// The last message that the store has understood.
    position: u64,
    facts_total: u64,
    traffic: TrafficRate,
}

impl Observer {
    /// Understands what an earlier run of the process left in the stream, then ends the sessions
    /// that it left open. Before the first visitor.
    ///
    /// # Errors
    /// Where the database or the stream fails.
    pub async fn catch_up(&mut self) -> Result<(), CatchUpError> {
        let mut memory = self.recall().await?;
        let waiting = self.sessions.waiting().await?;
        if waiting > 0 {
            info!(facts = waiting, "facts of an earlier run are understood first");
        }
        self.empty(&mut memory).await?;
        Ok(self.close_orphans().await?)
    }

    async fn recall(&self) -> Result<Memory, StoreError> {
        let incarnation = self.sessions.incarnation();
        let position = self.store.stream_position(SESSIONS, incarnation).await?;
        Ok(Memory { position, ..Memory::default() })
    }

    async fn close_orphans(&mut self) -> Result<(), StoreError> {
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

    /// Works until it is stopped; where everything ends, until the last fact is in the store.
    pub async fn run(mut self, ending: Ending) {
        let mut memory = retried("read the position", || self.recall()).await;
        if let Err(failure) = self.work(&ending, &mut memory).await {
            let error = &failure as &dyn std::error::Error;
            error!(error, "the stream of facts failed; it is read again at the next start");
        }
    }

    async fn work(&mut self, ending: &Ending, memory: &mut Memory) -> Result<(), StreamsError> {
        let mut heartbeat = self.pulse.beats();
        while !ending.stop.is_cancelled() {
            // Cancel-safe: a fetch that is dropped gives its messages back.
            tokio::select! {
                () = ending.stop.cancelled() => {}
                _ = heartbeat.tick() => self.beat(memory).await?,
                got = self.sessions.fetch(BATCH, LOOK) => self.understand(got?, memory).await?,
            }
        }
        if ending.closing.is_cancelled() {
            ending.ingested.cancelled().await;
            self.empty(memory).await?;
        }
        Ok(())
    }

    /// Understands what is in the stream, until nothing is.
    async fn empty(&mut self, memory: &mut Memory) -> Result<(), StreamsError> {
        loop {
            let facts = self.sessions.fetch(BATCH, Duration::ZERO).await?;
            if facts.is_empty() {
                return Ok(());
            }
            self.understand(facts, memory).await?;
        }
    }

    /// Keeps what a batch says together with its position, then lets go of it.
    async fn understand(
        &mut self,
        batch: Vec<StoredFact>,
        memory: &mut Memory,
    ) -> Result<(), StreamsError> {
        crash_point("facts-fetched");
        let (known, mut fresh): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|stored| stored.seq <= memory.position);
        fresh.sort_unstable_by_key(|stored| stored.seq);
        let fresh = self.whole_part(memory.position, fresh).await?;
        let seqs: Vec<u64> = known.iter().chain(&fresh).map(|stored| stored.seq).collect();
        if let Some(last) = fresh.last().map(|stored| stored.seq) {
            let facts: Vec<SessionEvent> = fresh.into_iter().filter_map(|s| s.fact).collect();
            traffic::tell(&self.bus, &self.ambient, &facts, &mut memory.traffic);
            let observation = self.analyse(&facts).await;
            self.keep(observation, last).await;
            crash_point("facts-kept");
            memory.position = last;
            memory.facts_total += facts.len() as u64;
        }
        self.sessions.acknowledge(seqs).await
    }

    /// The part of a batch after which the position may stand: up to the first message that is
    /// missing here and is still in the stream, since whoever got that one gives it back.
    async fn whole_part(
        &self,
        position: u64,
        mut batch: Vec<StoredFact>,
    ) -> Result<Vec<StoredFact>, StreamsError> {
        let mut expected = position + 1;
        for place in 0..batch.len() {
            let seq = batch[place].seq;
            let is_missing = seq != expected
                && (self.sessions.holds(expected).await? || self.sessions.holds(seq - 1).await?);
            if is_missing {
                warn!(expected, seq, "a message of SESSIONS is waited for");
                batch.truncate(place);
                return Ok(batch);
            }
            expected = seq + 1;
        }
        Ok(batch)
    }

    async fn analyse(&mut self, batch: &[SessionEvent]) -> Observation {
        let needs = self.analyst.needs(batch);
        let known = retried("read what is known", || {
            let needs = needs.clone();
            self.store.known(needs.addresses, needs.credential_hashes, needs.sessions)
        });
        let known = known.await;
        self.analyst.learn(known_rows(known));
        self.analyst.observe(batch)
    }

    async fn keep(&self, observation: Observation, upto: u64) {
        let position = self.sessions.position(upto);
        let keep = || self.store.observe_from(observation.clone(), position.clone());
        retried("keep what was observed", keep).await;
    }

    async fn beat(&self, memory: &Memory) -> Result<(), StreamsError> {
        let waiting = self.sessions.waiting().await?;
        self.pulse.beat([("facts_total", memory.facts_total), ("facts_waiting", waiting)]);
        Ok(())
    }
}

/// Why what an earlier run left could not be understood.
#[derive(Debug, thiserror::Error)]
pub enum CatchUpError {
    /// The database failed.
    #[error("cannot keep what an earlier run left")]
    Store(#[from] StoreError),
    /// The stream failed.
    #[error("cannot read what an earlier run left")]
    Streams(#[from] StreamsError),
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
