//! Reads the journal: every mutation came in, was taken up and ended exactly once, in this order,
//! versions count exactly what was applied, and each transition has its one event.

use std::collections::{BTreeMap, BTreeSet};

use model::JournalEntry;
use serde_json::Value;
use store::Store;

use super::player::Outcome;

/// Entries read at once.
const PAGE: usize = 5000;

/// What the journal has told so far.
#[derive(Default)]
pub(crate) struct Audit {
    seen: u64,
    /// The states of each mutation, of those that have not ended.
    unfinished: BTreeMap<String, Vec<String>>,
    /// Of those that have ended, as the journal tells.
    ended: BTreeMap<String, Outcome>,
    statuses: BTreeMap<String, String>,
    versions: BTreeMap<String, u64>,
    /// Whose events stand behind the last applied mutation.
    applied: Option<String>,
    sessions: BTreeSet<String>,
    ended_sessions: BTreeSet<String>,
}

impl Audit {
    /// Reads what is new; answers it.
    pub(crate) async fn read(&mut self, store: &Store) -> Vec<JournalEntry> {
        let mut all = Vec::new();
        loop {
            let entries = store.journal_after(self.seen, PAGE).await.unwrap();
            if entries.is_empty() {
                return all;
            }
            for entry in &entries {
                assert_eq!(entry.seq, Some(self.seen + 1), "the journal is dense");
                self.seen += 1;
                self.take(entry);
            }
            all.extend(entries);
        }
    }

    fn take(&mut self, entry: &JournalEntry) {
        let payload: Value = serde_json::from_str(entry.payload.get()).unwrap();
        let text = |name: &str| payload[name].as_str().map(str::to_owned);
        match entry.kind.as_str() {
            "decky.state" | "decky.mutation" => {
                if let Some(outcome) = self.applied.as_ref().and_then(|id| self.ended.get_mut(id)) {
                    outcome.told.push((entry.kind.clone(), text("name").unwrap()));
                    outcome.told.sort();
                }
                return;
            }
            "topology.status" => self.take_status(&payload),
            "attacker.session.started" => {
                let id = text("session_id").unwrap();
                assert!(self.sessions.insert(id), "it began twice: {payload:#}");
            }
            "attacker.session.ended" => {
                let id = text("session_id").unwrap();
                assert!(self.sessions.contains(&id), "it never began: {payload:#}");
                assert!(self.ended_sessions.insert(id), "it ended twice: {payload:#}");
            }
            kind if kind.starts_with("topology.mutation.") || kind.starts_with("mutation.") => {
                self.take_mutation(&payload);
                return;
            }
            _ => {}
        }
        self.applied = None;
    }

    fn take_status(&mut self, payload: &Value) {
        let text = |name: &str| payload[name].as_str().unwrap().to_owned();
        let (topology, from, to) = (text("topology_id"), text("from"), text("status"));
        let before = self.statuses.insert(topology, to.clone());
        assert_eq!(before.unwrap_or("pending".into()), from, "{payload:#}");
    }

    fn take_mutation(&mut self, payload: &Value) {
        let text = |name: &str| payload[name].as_str().unwrap().to_owned();
        let (id, state) = (text("mutation_id"), text("state"));
        let before = self.unfinished.remove(&id).unwrap_or_default();
        let came = match state.as_str() {
            "enqueued" | "pending" => before.is_empty() && !self.ended.contains_key(&id),
            "applying" => before.len() == 1,
            // What nobody took up may fail: its topology was taken down.
            "failed" => matches!(before.len(), 1 | 2),
            _ => before.len() == 2,
        };
        assert!(came, "{state} after {before:?}: {payload:#}");
        let version = payload["version"].as_u64().unwrap();
        let is_applied = state == "applied";
        self.applied = is_applied.then(|| id.clone());
        if is_applied {
            let counted = self.versions.entry(text("topology_id")).or_insert(1);
            *counted += 1;
            assert_eq!(version, *counted, "{payload:#}");
        }
        if is_applied || state == "failed" {
            let told = Vec::new();
            self.ended.insert(id, Outcome { is_applied, version, told });
        } else {
            self.unfinished.insert(id, [before, vec![state]].concat());
        }
    }

    /// What the journal tells is what these have to have come to.
    pub(crate) fn settle(&mut self, expected: &mut BTreeMap<String, Outcome>) {
        for (id, outcome) in std::mem::take(expected) {
            assert_eq!(self.ended.remove(&id), Some(outcome), "mutation {id}");
        }
    }

    /// Nothing is under way, and nothing ended that nobody knows of.
    pub(crate) fn assert_settled(&mut self) {
        assert_eq!(self.unfinished, BTreeMap::new(), "these never ended");
        assert_eq!(self.ended, BTreeMap::new(), "nobody asked for these");
        self.applied = None;
    }

    /// How many sessions began, and those that have not ended.
    pub(crate) fn sessions(&self) -> (usize, Vec<&String>) {
        (self.sessions.len(), self.sessions.difference(&self.ended_sessions).collect())
    }

    /// Whether the session began and ended.
    pub(crate) fn is_whole(&self, session: &str) -> bool {
        self.ended_sessions.contains(session)
    }
}
