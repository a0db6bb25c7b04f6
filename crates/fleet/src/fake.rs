//! A network that exists only in memory, for tests of whoever drives one: it records steps and
//! fails where it is told to.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use maze::{Observed, Step, StepKind};
use model::{DeckyId, TopologyId};

use crate::{Driver, Endpoint, StepError};

/// The network behind a [`Fake`]. Clones are the same network: keep one over a simulated crash
/// and hand it to the next driver, or don't, as a network that dies with its process.
#[derive(Clone, Debug, Default)]
pub struct FakeNetwork(Arc<Mutex<BTreeMap<TopologyId, Observed>>>);

impl FakeNetwork {
    /// What exists of the topology.
    pub fn observe(&self, topology: TopologyId) -> Observed {
        self.lock().get(&topology).cloned().unwrap_or_else(|| Observed::empty(topology))
    }

    /// Makes the topology's part of the network what `observed` says, as a meddler would.
    pub fn overwrite(&self, observed: Observed) {
        self.lock().insert(observed.topology, observed);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TopologyId, Observed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a scripted step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing happens; trying again may help.
    Transient,
    /// Nothing happens, and never will.
    Permanent,
    /// The step is done, but its success is never heard of: what a crash looks like.
    AfterDoing,
}

/// A driver of a [`FakeNetwork`].
#[derive(Debug, Default)]
pub struct Fake {
    network: FakeNetwork,
    script: Mutex<Script>,
}

#[derive(Debug, Default)]
struct Script {
    steps: Vec<Step>,
    by_number: BTreeMap<usize, Failure>,
    by_kind: BTreeMap<StepKind, (usize, Failure)>,
    troubles: BTreeMap<DeckyId, String>,
    prepared: Vec<usize>,
}

impl Fake {
    /// A driver of a new, empty network.
    pub fn new() -> Self {
        Self::default()
    }

    /// A driver of a network that is there already.
    pub fn on(network: FakeNetwork) -> Self {
        Self { network, script: Mutex::default() }
    }

    /// The network, to keep over a restart.
    pub fn network(&self) -> FakeNetwork {
        self.network.clone()
    }

    /// Every step so far in order, those that failed too.
    pub fn steps(&self) -> Vec<Step> {
        self.script().steps.clone()
    }

    /// Forgets the steps so far, and counts from 1 again.
    pub fn forget_steps(&self) {
        self.script().steps.clear();
    }

    /// Fails the `number`th step, counted from 1 since the start or [`Fake::forget_steps`]; once.
    pub fn fail_nth(&self, number: usize, failure: Failure) {
        self.script().by_number.insert(number, failure);
    }

    /// Fails the next `times` steps of this kind.
    pub fn fail_kind(&self, kind: StepKind, times: usize, failure: Failure) {
        self.script().by_kind.insert(kind, (times, failure));
    }

    /// Has something be wrong with a decky, or nothing any more.
    pub fn trouble(&self, decky: DeckyId, what: Option<&str>) {
        let mut script = self.script();
        match what {
            Some(what) => script.troubles.insert(decky, what.into()),
            None => script.troubles.remove(&decky),
        };
    }

    /// How many steps were said to come, each time.
    pub fn prepared(&self) -> Vec<usize> {
        self.script().prepared.clone()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Script {
    /// Records the step; says whether it is to fail.
    fn next(&mut self, step: &Step) -> Option<Failure> {
        self.steps.push(step.clone());
        let numbered = self.by_number.remove(&self.steps.len());
        numbered.or_else(|| {
            let (left, failure) = self.by_kind.get_mut(&step.kind())?;
            *left = left.checked_sub(1)?;
            Some(*failure)
        })
    }
}

impl Driver for Fake {
    fn observe(&self, topology: TopologyId) -> Observed {
        self.network.observe(topology)
    }

    fn prepare(&self, steps: &[Step]) {
        self.script().prepared.push(steps.len());
    }

    fn execute(&self, step: &Step) -> Result<(), StepError> {
        let failure = self.script().next(step);
        if matches!(failure, None | Some(Failure::AfterDoing)) {
            let topology = step.topology();
            let mut network = self.network.lock();
            network.entry(topology).or_insert_with(|| Observed::empty(topology)).advance(step);
            network.retain(|_, observed| !observed.is_empty());
        }
        failure.map_or(Ok(()), |failure| {
            let transient = failure != Failure::Permanent;
            Err(StepError::Scripted { kind: step.kind(), transient })
        })
    }

    fn endpoints(&self, decky: DeckyId) -> Vec<Endpoint> {
        let network = self.network.lock();
        let Some(there) = network.values().find_map(|observed| observed.deckies.get(&decky)) else {
            return Vec::new();
        };
        let on_lan = |edge: &model::Edge, open: &model::ServiceConfig| Endpoint {
            lan: edge.lan,
            service: open.service,
            port: open.port,
            listening: SocketAddr::new(IpAddr::V4(edge.address), open.port),
        };
        let edges = there.edges.iter();
        edges.flat_map(|edge| there.services.iter().map(|open| on_lan(edge, open))).collect()
    }

    fn topologies(&self) -> Vec<TopologyId> {
        self.network.lock().keys().copied().collect()
    }

    fn troubles(&self, topology: TopologyId) -> Vec<(DeckyId, String)> {
        let there = self.observe(topology).deckies;
        let all = self.script().troubles.clone();
        all.into_iter().filter(|(decky, _)| there.contains_key(decky)).collect()
    }

    fn figures(&self) -> Vec<(String, u64)> {
        vec![("steps_total".to_owned(), self.script().steps.len() as u64)]
    }
}
