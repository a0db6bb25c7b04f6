//! Morgana, put together: configuration, the flows, the command line, start and stop.
//!
//! Read `flow/` first. [`Morgana::start`] boots everything in one process; tests boot the same.

mod bus_host;
pub mod cli;
pub mod client;
pub mod config;
mod crash;
mod demo;
pub mod flow;
mod footing;
mod host;
pub mod log;
pub mod network;
mod up;
pub mod workers;

pub use bus::launcher::compat::main as as_nats_server;
pub use bus_host::BusError;
pub(crate) use crash::{crash_point, crash_points};
pub use demo::{DEMO, deploy_demo, try_commands};
pub use up::{Morgana, StartError};
