//! The workers of this process: their heartbeats, who hears them, and how they are stopped.
//!
//! Owns names, tokens and the registry. Knows nothing of what a worker does. Heartbeats and
//! control go over the bus, so that they reach across processes and hosts; with the bus off
//! every worker is `unknown` and none can be stopped alone.

mod crew;
mod pulse;
mod registry;
mod warden;

pub use crew::{Crew, Roster};
pub use pulse::Pulse;
pub use registry::{Registry, STALE_AFTER};
pub use warden::{Warden, WorkersHandle};
