//! Requests that came over the bus alone: each is queued as an operator's rotation.
//!
//! The one kind of message that carries work, so it is read whatever the mutator is busy with,
//! and waits for nothing but the database. Nobody is answered, and nothing is kept before it is
//! queued: what comes while [`MOST_WAITING`] wait is lost, and so is what comes while the bus or
//! the database is away. Knows nothing of networks.

use std::sync::Arc;

use api::MutatorView as _;
use bus::{Delivery, Subscription};
use model::{DeckyId, EventId, JournalEntry, MutateRequest, Name, Op, Topology, Trigger};
use store::{NewMutation, Store};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Wake, log_refusal};

/// What the mutator asks the bus for.
pub(super) const FILTER: &str = "decky.*.mutate_request";
/// Most requests that wait for the database; newer ones are lost, and the log says how many.
pub(super) const MOST_WAITING: usize = 1024;

/// Who reads them.
pub(super) struct Requests<'a> {
    pub(super) store: &'a Store,
    /// Told when there is something in the queue.
    pub(super) wake: &'a Wake,
}

impl Requests<'_> {
    /// Reads until `stop`, or until the bus is closed.
    pub(super) async fn run(self, mut asked: Subscription, stop: &CancellationToken) {
        loop {
            // Cancel-safe: the subscription keeps what is not taken.
            let delivery = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                delivery = asked.next() => delivery,
            };
            match delivery {
                Some(Delivery::Event(entry)) => self.take(entry).await,
                Some(Delivery::Gap { missed: 0 }) => {
                    info!("the bus was away; mutate_requests of that time may be lost");
                }
                Some(Delivery::Gap { missed }) => {
                    warn!(missed, "mutate_requests were lost: more came than could be queued");
                }
                None => return,
            }
        }
    }

    async fn take(&self, entry: Arc<JournalEntry>) {
        match serde_json::from_str::<MutateRequest>(entry.payload.get()) {
            Ok(request) => self.queue(entry.id, &request).await,
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "mutate_request has no payload of its kind"
            ),
        }
    }

    /// Under its event id; one that was queued under that id already is not queued twice.
    async fn queue(&self, event: EventId, request: &MutateRequest) {
        let found = match self.store.topologies().await {
            Ok(records) => records
                .into_iter()
                .find_map(|r| Some((r.topology.id, named(&r.topology, request.decky_id)?))),
            Err(error) => {
                return warn!(
                    error = &error as &dyn std::error::Error,
                    "mutate_request could not be looked up"
                );
            }
        };
        let Some((topology_id, decky)) = found else {
            return info!(decky.id = %request.decky_id, "mutate_request names no decky");
        };
        let rotation = NewMutation {
            topology_id,
            op: Op::RotateDecky { decky, services: None },
            expected_version: None,
            idempotency_key: None,
            requested_by: request.requested_by.clone(),
            trigger: Trigger::Operator,
            dedupe_event: Some(event),
        };
        match self.store.enqueue(rotation).await {
            Ok(_) => self.wake.look_at_queue(),
            Err(error) => log_refusal(&error, request.decky_id),
        }
    }
}

fn named(topology: &Topology, decky: DeckyId) -> Option<Name> {
    topology.deckies.get(&decky).map(|decky| decky.name.clone())
}
