//! The network as the flows see it: bring it to a topology, and ask where deckies answer.
//!
//! Owns the fleet's driver. Steps run on a thread that may block; who waits for them waits for
//! the network to be really so.

use std::sync::Arc;

use api::{EndpointView, NetworkView};
use fleet::{Driver, StepError};
use maze::{Observed, Step};
use model::{DeckyId, Topology, TopologyId};

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
    let mut failures: Vec<Failure> = Vec::new();
    for step in maze::plan(desired, &driver.observe(id)) {
        if failures.iter().any(|failed| needs(&step, &failed.step)) {
            continue;
        }
        crate::crash_point("step");
        if let Err(error) = driver.execute(&step) {
            failures.push(Failure { step, error });
            if on_failure == OnFailure::Stop {
                break;
            }
        }
    }
    failures
}

/// Whether `step` cannot work because `failed` did not.
fn needs(step: &Step, failed: &Step) -> bool {
    match failed {
        Step::AddLan { lan, .. } => match step {
            Step::AddDecky { decky, .. } => decky.edges.iter().any(|edge| edge.lan == lan.id),
            Step::AttachDecky { lan: on, .. } => *on == lan.id,
            Step::AddLan { .. }
            | Step::RemoveLan { .. }
            | Step::RemoveDecky { .. }
            | Step::DetachDecky { .. }
            | Step::SetForwarding { .. }
            | Step::OpenService { .. }
            | Step::CloseService { .. } => false,
        },
        Step::AddDecky { decky, .. } => step.decky() == Some(decky.id),
        Step::RemoveLan { .. }
        | Step::RemoveDecky { .. }
        | Step::AttachDecky { .. }
        | Step::DetachDecky { .. }
        | Step::SetForwarding { .. }
        | Step::OpenService { .. }
        | Step::CloseService { .. } => false,
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
