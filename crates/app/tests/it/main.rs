//! The binary as its users meet it: real clients against a real process.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod bad_input;
mod bus;
#[cfg(feature = "crash-points")]
mod crash;
mod crate_edges;
mod end_to_end;
mod events;
#[cfg(feature = "crash-points")]
mod facts;
mod hub;
#[cfg(feature = "crash-points")]
mod kills;
mod lifecycle;
mod machine;
mod mutator;
#[cfg(feature = "crash-points")]
mod netns;
mod operations;
mod panic;
mod privilege;
mod relay;
mod snmp;
mod workers;

use std::path::Path;

use testkit::{Prefix, Service, Start};

/// The number in an environment variable.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The demo maze in `data_dir`.
async fn demo(data_dir: &Path, prefix: &Prefix) -> Service {
    with(data_dir, prefix, &["--demo"], &[]).await
}

async fn with(
    data_dir: &Path,
    prefix: &Prefix,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Service {
    let binary = env!("CARGO_BIN_EXE_morgana");
    Start { binary, data_dir, prefix, arguments, environment }.service().await
}
