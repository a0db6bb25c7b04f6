//! The machine that Morgana runs on: the process that holds a data directory.

mod process;

pub use process::{KillError, kill_holder};
