//! The real router over real loopback sockets, with a real store.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::needless_pass_by_value, reason = "bodies read better as values")]

mod access;
mod client;
mod document;
mod hub;
mod panic;
mod relay;
mod streams;
mod topologies;
mod workers;
