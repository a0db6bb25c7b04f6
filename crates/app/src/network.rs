//! The network as the flows see it: bring it to a topology, and ask where deckies answer.
//!
//! Owns the fleet's driver. Steps run on a thread that may block; who waits for them waits for
//! the network to be really so. Owns the kill switch, too: what was ordered before it was thrown
//! is void, so that nothing comes back which somebody read as desired a moment earlier.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use api::{EndpointView, NetworkView};
use fleet::{Driver, FailedStep, StepError};
use maze::{Change, Observed, Step};
use model::{DeckyId, LanId, Topology, TopologyId};
use tracing::debug;

/// Most steps that the driver is given at once; between them it lets others in, and the kill
/// switch takes effect.
const AT_ONCE: usize = 512;

/// From so many steps on, what planning and doing them needed is given back to the machine.
const MANY: usize = 1000;

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
enum OnFailure {
    /// Leave the rest undone: a candidate is restored anyway.
    Stop,
    /// Go on with what does not need the failed step: a degraded network is better than none.
    GoOn,
}

/// Says since when its holder knows what is desired: to be had before desired state is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order(u64);

/// The order is from before the kill switch was thrown, or from while it was.
#[derive(Debug, thiserror::Error)]
#[error("the network was switched off meanwhile")]
pub struct Void;

/// The fleet's driver, shared.
#[derive(Clone)]
pub struct Network {
    driver: Arc<dyn Driver>,
    /// Held to look or to move it, never while something is done.
    switch: Arc<Mutex<Switch>>,
    /// Read while steps are done, written by the kill switch: it waits for one batch at most.
    steps: Arc<RwLock<()>>,
    /// Whether many steps were done since the last rest.
    is_bloated: Arc<AtomicBool>,
}

/// The kill switch.
#[derive(Default)]
struct Switch {
    is_off: bool,
    /// How often it was moved; orders from before the last move are void.
    moves: u64,
}

impl Switch {
    fn set_off(&mut self, is_off: bool) {
        self.is_off = is_off;
        self.moves += 1;
    }

    fn check(&self, order: Order) -> Result<(), Void> {
        if self.is_off || order.0 != self.moves { Err(Void) } else { Ok(()) }
    }
}

impl Network {
    /// Over this driver.
    pub fn new(driver: Arc<dyn Driver>) -> Self {
        let (switch, steps, is_bloated) = Default::default();
        Self { driver, switch, steps, is_bloated }
    }

    /// What exists of a topology.
    pub fn observe(&self, topology: TopologyId) -> Observed {
        self.driver.observe(topology)
    }

    /// What is wrong with deckies that are there, in words for operators.
    pub fn troubles(&self, topology: TopologyId) -> Vec<(DeckyId, String)> {
        self.driver.troubles(topology)
    }

    /// What the driver did so far and has now, by name.
    pub async fn figures(&self) -> Vec<(String, u64)> {
        let driver = self.driver.clone();
        blocking(move || driver.figures()).await
    }

    /// Gives memory back that a large deployment or teardown needed; quick where there was none.
    /// To be called when nobody waits.
    pub async fn rest(&self) {
        if self.is_bloated.swap(false, Ordering::Relaxed) {
            blocking(fleet::host::give_memory_back).await;
        }
    }

    /// The topologies of which anything exists.
    pub fn topologies(&self) -> Vec<TopologyId> {
        self.driver.topologies()
    }

    /// An order for what is about to be read.
    pub fn order(&self) -> Order {
        Order(self.switch().moves)
    }

    /// Whether what was read under this order is still desired.
    ///
    /// # Errors
    /// Where the kill switch was thrown since.
    pub fn check(&self, order: Order) -> Result<(), Void> {
        self.switch().check(order)
    }

    /// Makes the network of `id` what `desired` says. Answers the steps that failed: nothing
    /// there means that it is really so.
    ///
    /// # Errors
    /// Where the kill switch was thrown since the order; then nothing more is done.
    pub async fn bring_to(
        &self,
        order: Order,
        id: TopologyId,
        desired: Topology,
    ) -> Result<Vec<Failure>, Void> {
        let network = self.clone();
        blocking(move || {
            let plan = || maze::plan(Some(&desired), &network.driver.observe(id));
            network.bring(Some(order), id, plan, OnFailure::GoOn)
        })
        .await
    }

    /// Makes of the network what a change desires; what the change does not touch is not looked
    /// at. Answers the step that failed: nothing there means that it is really so.
    ///
    /// # Errors
    /// Where the kill switch was thrown since the order; then nothing more is done.
    pub async fn change_to(&self, order: Order, change: Change) -> Result<Vec<Failure>, Void> {
        let network = self.clone();
        blocking(move || {
            let id = change.topology();
            let there = || network.driver.observe_some(id, change.deckies());
            network.bring(Some(order), id, || change.plan(there()), OnFailure::Stop)
        })
        .await
    }

    /// Takes down all that there is of `id`. Answers the steps that failed.
    pub async fn take_down(&self, id: TopologyId) -> Vec<Failure> {
        let network = self.clone();
        let down = blocking(move || {
            let plan = || maze::plan(None, &network.driver.observe(id));
            network.bring(None, id, plan, OnFailure::GoOn)
        });
        // Going away needs no order, so that none can be void.
        down.await.unwrap_or_default()
    }

    /// Throws the kill switch: every order is void, and nothing is on the network when this
    /// returns, but for what the answered errors name. Stays so until [`Network::allow`].
    pub async fn panic(&self) -> Vec<StepError> {
        let network = self.clone();
        blocking(move || {
            network.switch().set_off(true);
            // What was begun before is through when this can be had.
            drop(network.steps.write().unwrap_or_else(PoisonError::into_inner));
            network.driver.panic()
        })
        .await
    }

    /// Lets new orders be done. To be called when the database says that nothing is desired.
    pub fn allow(&self) {
        self.switch().set_off(false);
    }

    fn switch(&self) -> MutexGuard<'_, Switch> {
        self.switch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bring(
        &self,
        order: Option<Order>,
        id: TopologyId,
        plan: impl FnOnce() -> Vec<Step>,
        on_failure: OnFailure,
    ) -> Result<Vec<Failure>, Void> {
        let began = Instant::now();
        let steps = plan();
        let planned = began.elapsed();
        order.map_or(Ok(()), |order| self.check(order))?;
        if !steps.is_empty() {
            self.driver.prepare(&steps);
        }
        let (mut failures, mut missing, mut done) = (Vec::new(), Missing::default(), 0);
        while let Some(next) = steps.get(done) {
            if missing.prevents(next) {
                done += 1;
                continue;
            }
            let rest = steps[done..].iter().take(AT_ONCE);
            let possible = rest.take_while(|step| !missing.prevents(step)).count();
            let together = crate::crash_points("step", possible);
            let outcome = self.execute(order, &steps[done..done + together])?;
            let Err(FailedStep { at, error }) = outcome else {
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
        self.is_bloated.fetch_or(steps.len() >= MANY, Ordering::Relaxed);
        let (all, done_in) = (steps.len(), began.elapsed() - planned);
        debug!(topology.id = %id, steps = all, failed = failures.len(), ?planned, ?done_in, "steps done");
        // What was done until the switch was thrown is gone again, or will be.
        order.map_or(Ok(()), |order| self.check(order))?;
        Ok(failures)
    }

    /// Does steps, unless their order is void. The kill switch waits for them.
    fn execute(
        &self,
        order: Option<Order>,
        steps: &[Step],
    ) -> Result<Result<(), FailedStep>, Void> {
        let _steps = self.steps.read().unwrap_or_else(PoisonError::into_inner);
        order.map_or(Ok(()), |order| self.check(order))?;
        Ok(self.driver.execute_all(steps))
    }
}

/// Runs what may block on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
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
        self.driver.endpoints(decky).into_iter().map(view).collect()
    }
}
