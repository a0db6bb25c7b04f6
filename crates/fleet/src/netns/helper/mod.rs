//! The root helper: one small process that keeps what privilege there is, so that the process
//! which meets visitors has none.
//!
//! It is this binary again, started before anything else. Requests come over a socket pair, one
//! at a time, and are answered with a descriptor or a reason. It knows one uplink, gives out
//! namespaces and sockets in them within named bounds ([`Ledger`]), and ends when the socket closes.
//! It keeps each namespace's link to change the filter there, and never reads from one: it sees no
//! packet, no database, and no byte that a visitor sent.

mod client;
mod ledger;
mod serve;
mod wire;

use std::io;

use crate::StepError;

pub use self::{
    client::Helper,
    ledger::{Ledger, MAX_CLASSES, MAX_PORTS, Refused},
    serve::{LockError, run},
    wire::{BadRequest, MAX_REQUEST, Request},
};

/// That the helper has ended is told as such, whatever it was asked.
pub(super) fn or_gone(
    otherwise: impl FnOnce(io::Error) -> StepError,
) -> impl FnOnce(io::Error) -> StepError {
    |error| match error.kind() {
        io::ErrorKind::BrokenPipe => StepError::HelperGone,
        _ => otherwise(error),
    }
}
