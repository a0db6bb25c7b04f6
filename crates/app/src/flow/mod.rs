//! The flows: what happens in Morgana, one file each. Start reading here.

pub mod mutate;
pub mod observe;
mod outcomes;
pub mod panic;
pub mod reconcile;
pub mod relay;
