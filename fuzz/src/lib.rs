//! Hostile input for every parser, on the stable toolchain.
//!
//! A [`Target`] takes any bytes and panics where something that must always hold does not. The
//! [`engine`] mutates a corpus, keeps what makes a target behave as it never did before, and
//! holds every single input to a budget of time and memory. Nothing here is part of the product,
//! and no target touches the network.

mod budget;
mod check;
pub mod corpus;
pub mod engine;
pub mod mutate;
pub mod targets;
mod trace;
mod watchdog;

pub use check::{Failure, check};
pub use targets::{TARGETS, Target};
pub use trace::Trace;
