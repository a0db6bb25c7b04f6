//! What all handlers share.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use bus::Bus;
use model::{Ambient, Timestamp};
use store::{AuditRecord, Store};
use tokio_util::sync::CancellationToken;

use crate::{
    ApiConfig, Handles, MutatorView, NetworkView, PanicSwitch, RelayView, WorkersView,
    auth::{Hosts, Passwords, Principal, Throttle, Tickets},
    live::Hub,
    peer::Peer,
    permits::Permits,
};

/// The user id that no process has: nobody is trusted before the socket is bound.
const NOBODY: u32 = u32::MAX;

pub(crate) struct App {
    pub(crate) config: ApiConfig,
    pub(crate) hosts: Hosts,
    pub(crate) store: Store,
    pub(crate) bus: Bus,
    pub(crate) ambient: Ambient,
    pub(crate) network: Arc<dyn NetworkView>,
    pub(crate) relay: Arc<dyn RelayView>,
    pub(crate) workers: Arc<dyn WorkersView>,
    pub(crate) panic: Arc<dyn PanicSwitch>,
    pub(crate) mutator: Arc<dyn MutatorView>,
    pub(crate) passwords: Passwords,
    pub(crate) throttle: Throttle,
    pub(crate) tickets: Tickets,
    pub(crate) permits: Arc<Permits>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) started_at: Timestamp,
    /// Ends the live streams.
    pub(crate) stop: CancellationToken,
    owner: AtomicU32,
}

impl App {
    pub(crate) fn new(config: ApiConfig, hosts: Hosts, handles: Handles, hub: Arc<Hub>) -> Self {
        let Handles { store, bus, ambient, network, relay, workers, panic, mutator } = handles;
        Self {
            passwords: Passwords::new(ambient.clone()),
            throttle: Throttle::new(ambient.clone()),
            tickets: Tickets::new(ambient.clone()),
            permits: Arc::new(Permits::new(config.limits.clone())),
            started_at: ambient.now(),
            stop: CancellationToken::new(),
            owner: AtomicU32::new(NOBODY),
            config,
            hosts,
            store,
            bus,
            ambient,
            network,
            relay,
            workers,
            panic,
            mutator,
            hub,
        }
    }

    /// Sets whose processes need no login on the UNIX socket.
    pub(crate) fn set_owner(&self, uid: u32) {
        self.owner.store(uid, Ordering::Relaxed);
    }

    /// Whether processes of this user need no login on the UNIX socket.
    pub(crate) fn trusts(&self, uid: u32) -> bool {
        uid == 0 || uid == self.owner.load(Ordering::Relaxed)
    }

    /// Browsers keep a `__Host-` cookie to this very host, and only over TLS.
    pub(crate) fn cookie_name(&self) -> &'static str {
        if self.hosts.secure { "__Host-morgana_session" } else { "morgana_session" }
    }

    /// Writes down what somebody did. The request has had its effect, so a failure is logged,
    /// not answered.
    pub(crate) async fn audit(&self, entry: Audit<'_>) {
        let record = AuditRecord {
            actor: entry.actor.into(),
            action: entry.action.into(),
            object: entry.object,
            address: entry.peer.and_then(Peer::address),
            outcome: entry.outcome.into(),
            detail: entry.detail,
        };
        if let Err(error) = self.store.audit(record).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                action = entry.action,
                "an audit record was not kept"
            );
        }
    }

    /// Writes down that `principal` did something.
    pub(crate) async fn audit_ok(
        &self,
        principal: &Principal,
        peer: Option<Peer>,
        action: &str,
        object: String,
    ) {
        let actor = &principal.name;
        self.audit(Audit { actor, action, object, peer, outcome: "ok", detail: None }).await;
    }
}

/// Something for the audit log.
pub(crate) struct Audit<'a> {
    pub(crate) actor: &'a str,
    pub(crate) action: &'a str,
    pub(crate) object: String,
    pub(crate) peer: Option<Peer>,
    pub(crate) outcome: &'a str,
    pub(crate) detail: Option<String>,
}
