//! A database to check, and things to put into it.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use model::{
    Ambient, Archetype, Decky, Edge, JournalEntry, Lan, LanId, Name, Op, Service, Timestamp,
    Topology, TopologyId, TopologyStatus, Trigger,
};
use store::{Claim, NewMutation, Store};

/// 2026-01-01.
const START: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

pub(crate) const LEASE: Duration = Duration::from_secs(30);

pub(crate) struct Bench {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) ambient: Ambient,
    open: fn(&Path, Ambient) -> Store,
}

impl Bench {
    pub(crate) fn sqlite() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            ambient: Ambient::seeded(7, START),
            open: |path, ambient| Store::open(path, ambient).unwrap(),
        }
    }

    pub(crate) fn open(&self) -> Store {
        (self.open)(self.directory.path(), self.ambient.clone())
    }

    /// A topology with one LAN and some deckies.
    pub(crate) fn maze(&self, label: &str, deckies: u8) -> Topology {
        let mut topology = Topology::new(self.ambient.id(), name(label));
        let lan = Lan {
            id: self.ambient.id(),
            name: name("dmz"),
            subnet: "10.66.1.0/24".parse().unwrap(),
            is_dmz: true,
            position: Some(model::Position { x: -3, y: 4 }),
        };
        let lan_id = lan.id;
        topology.lans.insert(lan_id, Arc::new(lan));
        for number in 0..deckies {
            self.add_decky(&mut topology, lan_id, &format!("decky-{number}"), number);
        }
        topology
    }

    pub(crate) fn add_decky(&self, topology: &mut Topology, lan: LanId, label: &str, host: u8) {
        let decky = Decky {
            id: self.ambient.id(),
            name: name(label),
            archetype: Archetype::LinuxServer,
            edges: vec![Edge {
                lan,
                address: [10, 66, 1, host].into(),
                forwards_l3: host % 2 == 1,
            }],
            forwards_l3: host % 3 == 1,
            is_stopped: false,
            services: vec![Service::Ssh.into(), Service::Http.into()],
            rotate_every: Some(Duration::from_secs(60)),
            rotated_at: self.ambient.now(),
            position: None,
        };
        topology.deckies.insert(decky.id, Arc::new(decky));
    }

    /// An active topology with one LAN and some deckies.
    pub(crate) async fn active(&self, store: &Store, label: &str, deckies: u8) -> TopologyId {
        let topology = self.maze(label, deckies);
        store.create_topology(&topology, "tester").await.unwrap();
        use TopologyStatus as S;
        for (from, to) in [(S::Pending, S::Deploying), (S::Deploying, S::Active)] {
            store.set_status(topology.id, from, to, None, Vec::new()).await.unwrap();
        }
        topology.id
    }
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn rotate(decky: &str) -> Op {
    Op::RotateDecky { decky: name(decky), services: None }
}

pub(crate) fn mutation(topology_id: TopologyId, op: Op) -> NewMutation {
    NewMutation {
        topology_id,
        op,
        expected_version: None,
        idempotency_key: None,
        requested_by: "tester".into(),
        trigger: Trigger::Operator,
        dedupe_event: None,
    }
}

/// Ends a claim as applied, with nothing but the version changed.
pub(crate) async fn apply(store: &Store, claim: &Claim) -> Result<u64, store::FinishError> {
    let mut after = claim.topology.topology.clone();
    after.version += 1;
    let Claim { mutation, .. } = claim;
    store.finish_applied(mutation.id, mutation.attempt, &after, &[], Vec::new()).await
}

/// The whole journal, checked to be dense.
pub(crate) async fn journal(store: &Store) -> Vec<JournalEntry> {
    let mut all: Vec<JournalEntry> = Vec::new();
    loop {
        let after = all.last().and_then(|entry| entry.seq).unwrap_or(0);
        let more = store.journal_after(after, 1000).await.unwrap();
        if more.is_empty() {
            break;
        }
        all.extend(more);
    }
    for (entry, seq) in all.iter().zip(1..) {
        assert_eq!(entry.seq, Some(seq), "the journal is dense");
    }
    assert_eq!(all.len() as u64, store.journal_head());
    all
}

/// How often each kind stands in the journal.
pub(crate) async fn kinds(store: &Store) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for entry in journal(store).await {
        *kinds.entry(entry.kind).or_default() += 1;
    }
    kinds
}

/// A field of an entry's payload.
pub(crate) fn field(entry: &JournalEntry, name: &str) -> serde_json::Value {
    let payload: serde_json::Value = serde_json::from_str(entry.payload.get()).unwrap();
    payload[name].clone()
}
