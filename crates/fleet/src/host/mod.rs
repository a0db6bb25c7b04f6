//! The machine that Morgana runs on: what it allows, what stands in the way, and the process
//! that holds a data directory.
//!
//! Looks and tries, and changes nothing that lasts. Knows no topology and no database: what a
//! fact means for an installation is said by whoever asks.

mod facts;
mod interfaces;
mod probe;
mod process;
mod sys;

pub use facts::{
    Capabilities, Capability, cloud_of, descriptor_limit, firmware, free_bytes,
    is_clock_synchronised, kernel, try_namespace, try_packet_socket, try_tun, user_namespaces,
};
pub use interfaces::{Interface, Listener, listeners};
pub use probe::{Reach, mac_probe};
pub use process::{KillError, give_memory_back, kill_holder};
