//! Runs the real binary on free ports and addresses, visits it with real clients, and follows
//! its events. For tests only: failures panic with what was seen.

mod events;
mod process;
pub mod segment;
mod visit;

pub use events::Events;
pub use process::{Output, Prefix, Service, Start};
pub use visit::{run, run_line};
