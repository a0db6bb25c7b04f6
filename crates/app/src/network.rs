//! The network as the flows see it: bring it to a topology, and ask where deckies answer.
//!
//! Owns the fleet's driver. Steps run on a thread that may block; who waits for them waits for
//! the network to be really so.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use api::{EndpointView, NetworkView};
use fleet::{Driver, FailedStep, StepError};
use maze::{Observed, Step};
use model::{DeckyId, LanId, Topology, TopologyId};
use tracing::debug;

/// Most steps that the driver is given at once; between them it lets others in.
const AT_ONCE: usize = 4096;

/// A step that failed.
#[derive(Debug)]
pub struct Failure {
    /// What was tried.
    pub step: Step,
    /// Why it did not work.
    pub error: StepError,
}

/// What to do when a step fails.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Leave the rest undone: a candidate is restored anyway.
    Stop,
    /// Go on with what does not need the failed step: a degraded network is better than none.
    GoOn,
}

/// The fleet's driver, shared.
#[derive(Clone)]
pub struct Network(Arc<dyn Driver>);

impl Network {
    /// Over this driver.
    pub fn new(driver: Arc<dyn Driver>) -> Self {
        Self(driver)
    }

    /// What exists of a topology.
    pub fn observe(&self, topology: TopologyId) -> Observed {
        self.0.observe(topology)
    }

    /// The topologies of which anything exists.
    pub fn topologies(&self) -> Vec<TopologyId> {
        self.0.topologies()
    }

    /// Makes the network of `id` what `desired` says; `None` takes it down. Answers the steps
    /// that failed: nothing there means that it is really so.
    pub async fn bring_to(
        &self,
        id: TopologyId,
        desired: Option<Topology>,
        on_failure: OnFailure,
    ) -> Vec<Failure> {
        let driver = self.0.clone();
        let work = move || bring(&*driver, id, desired.as_ref(), on_failure);
        match tokio::task::spawn_blocking(work).await {
            Ok(failures) => failures,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

fn bring(
    driver: &dyn Driver,
    id: TopologyId,
    desired: Option<&Topology>,
    on_failure: OnFailure,
) -> Vec<Failure> {
    let began = Instant::now();
    let steps = maze::plan(desired, &driver.observe(id));
    let planned = began.elapsed();
    let (mut failures, mut missing, mut done) = (Vec::new(), Missing::default(), 0);
    while let Some(next) = steps.get(done) {
        if missing.prevents(next) {
            done += 1;
            continue;
        }
        let rest = steps[done..].iter().take(AT_ONCE);
        let possible = rest.take_while(|step| !missing.prevents(step)).count();
        let together = crate::crash_points("step", possible);
        let Err(FailedStep { at, error }) = driver.execute_all(&steps[done..done + together])
        else {
            done += together;
            continue;
        };
        let step = steps[done + at].clone();
        missing.note(&step);
        failures.push(Failure { step, error });
        done += at + 1;
        if on_failure == OnFailure::Stop {
            break;
        }
    }
    let (all, done_in) = (steps.len(), began.elapsed() - planned);
    debug!(topology.id = %id, steps = all, failed = failures.len(), ?planned, ?done_in, "steps done");
    failures
}

/// What is not there because a step failed.
#[derive(Default)]
struct Missing {
    lans: BTreeSet<LanId>,
    deckies: BTreeSet<DeckyId>,
}

impl Missing {
    fn note(&mut self, failed: &Step) {
        match failed {
            Step::AddLan { lan, .. } => drop(self.lans.insert(lan.id)),
            Step::AddDecky { decky, .. } => drop(self.deckies.insert(decky.id)),
            Step::RemoveLan { .. }
            | Step::RemoveDecky { .. }
            | Step::AttachDecky { .. }
            | Step::DetachDecky { .. }
            | Step::SetForwarding { .. }
            | Step::OpenService { .. }
            | Step::CloseService { .. } => {}
        }
    }

    /// Whether the step cannot work for that.
    fn prevents(&self, step: &Step) -> bool {
        let is_lan_missing = match step {
            Step::AddDecky { decky, .. } => decky.edges.iter().any(|e| self.lans.contains(&e.lan)),
            Step::AttachDecky { lan, .. } => self.lans.contains(lan),
            Step::AddLan { .. }
            | Step::RemoveLan { .. }
            | Step::RemoveDecky { .. }
            | Step::DetachDecky { .. }
            | Step::SetForwarding { .. }
            | Step::OpenService { .. }
            | Step::CloseService { .. } => false,
        };
        is_lan_missing || step.decky().is_some_and(|decky| self.deckies.contains(&decky))
    }
}

impl NetworkView for Network {
    fn endpoints(&self, decky: DeckyId) -> Vec<EndpointView> {
        let view = |endpoint: fleet::Endpoint| EndpointView {
            lan: endpoint.lan,
            service: endpoint.service,
            port: endpoint.port,
            listening: endpoint.listening,
        };
        self.0.endpoints(decky).into_iter().map(view).collect()
    }
}
