//! Flow *panic*: the kill switch. Everything is off the network, and stays off.
//!
//! It waits for no queue: orders of the mutator are void from the moment that it is thrown, the
//! driver takes everything down, and then the database is told, in one transaction, that nothing
//! is deployed any more. Until it knows, nothing comes up again; where it cannot be told, nothing
//! comes up again before the process ends.

use std::{pin::Pin, sync::Arc, time::Instant};

use api::{PanicError, PanicSwitch, Panicked};
use store::Store;
use tokio::sync::Mutex;
use tracing::{error, warn};

use crate::network::Network;

/// The kill switch of this process. Clones are the same one.
#[derive(Clone)]
pub struct KillSwitch {
    store: Store,
    network: Network,
    /// One at a time: who comes first lets orders be done again when it is through.
    turn: Arc<Mutex<()>>,
}

impl KillSwitch {
    /// For the network that is made of what this store has.
    pub fn new(store: Store, network: Network) -> Self {
        Self { store, network, turn: Arc::default() }
    }

    async fn throw(&self, by: &str) -> Result<Panicked, PanicError> {
        let _turn = self.turn.lock().await;
        let began = Instant::now();
        warn!(by, "panic: the network is being switched off");
        let failures = self.network.panic().await;
        let down_after = began.elapsed();
        let off = self.store.switch_off(&reason(by)).await.map_err(PanicError::NotKept)?;
        self.network.allow();
        let left: Vec<String> = failures.iter().map(ToString::to_string).collect();
        if !left.is_empty() {
            error!(steps = left.len(), first = left[0], "panic: not everything could be removed");
        }
        warn!(by, topologies = off.len(), ?down_after, "panic: the network is off");
        Ok(Panicked { off, left, down_after, took: began.elapsed() })
    }
}

/// Why a topology is off the network.
pub fn reason(by: &str) -> String {
    format!("switched off by `panic` ({by})")
}

impl PanicSwitch for KillSwitch {
    fn throw(
        &self,
        by: &str,
    ) -> Pin<Box<dyn Future<Output = Result<Panicked, PanicError>> + Send + '_>> {
        let by = by.to_owned();
        Box::pin(async move { KillSwitch::throw(self, &by).await })
    }
}
