//! A stand-in for nats-server: the same flags, configuration, log and signals.
//!
//! `cargo run -p morgana-bus --features tls --example nats-server -- -p 4222 -m 8222`

use std::process::ExitCode;

fn main() -> ExitCode {
    morgana_bus::launcher::compat::main(std::env::args().skip(1))
}
