//! The analyst.
use model::{
    Ambient, Attacker, Credential, Identity, InstallationSecret, Observation, Session,
    SessionEvent, SessionId, Timestamp,
};
use std::net::IpAddr;

/// How much an analyst keeps in memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Attackers.
    pub attackers: usize,
    /// Credentials.
    pub credentials: usize,
    /// Sessions that have not ended.
    pub sessions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { attackers: 16_384, credentials: 16_384, sessions: 65_536 }
    }
}

/// Rows that a batch refers to and that are not in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Source addresses: load the attacker of each, and its identity.
    pub addresses: Vec<IpAddr>,
    /// Hashes of credentials.
    pub credential_hashes: Vec<String>,
    /// Sessions.
    pub sessions: Vec<SessionId>,
}

/// Rows that the store had.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Attackers of the needed addresses.
    pub attackers: Vec<Attacker>,
    /// The identities of these attackers.
    pub identities: Vec<Identity>,
    /// Credentials of the needed hashes.
    pub credentials: Vec<Credential>,
    /// The needed sessions.
    pub sessions: Vec<Session>,
}

/// Turns facts into rows and events.
pub struct Analyst {
    secret: InstallationSecret,
    ambient: Ambient,
    limits: Limits,
}

impl Analyst {
    /// An analyst without memory.
    pub fn new(secret: InstallationSecret, ambient: Ambient) -> Self {
        Self::with_limits(secret, ambient, Limits::default())
    }
    /// An analyst that keeps at most so much in memory.
    pub fn with_limits(secret: InstallationSecret, ambient: Ambient, limits: Limits) -> Self {
        Self { secret, ambient, limits }
    }
    /// What must be loaded before [`Analyst::observe`] sees `batch`.
    pub fn needs(&self, _batch: &[SessionEvent]) -> Needs {
        unimplemented!()
    }
    /// Takes in what the store had of the needs.
    pub fn learn(&mut self, _known: Known) {
        unimplemented!()
    }
    /// Drops all memory: after a failed write, when memory is ahead of the store.
    pub fn forget(&mut self) {
        unimplemented!()
    }
    /// What `batch` changes: rows, and events in order.
    pub fn observe(&mut self, _batch: &[SessionEvent]) -> Observation {
        unimplemented!()
    }
    /// Ends the sessions that a crash left open.
    pub fn close_orphans(&mut self, _open: Vec<Session>, _at: Timestamp) -> Observation {
        let _ = (&self.secret, &self.ambient, &self.limits);
        unimplemented!()
    }
}
