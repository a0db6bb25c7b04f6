//! Live streams: journal in order of `seq` → one shared ring → server-sent events.
//!
//! The core is pure: [`Ring`] holds what was encoded once for all, [`Client`] is one stream's
//! place in it, and neither knows sockets, clocks or SQL. [`Hub`] feeds the ring from journal
//! and bus; [`serve`](body) moves one client's frames into its response body.
//!
//! Order of things on a stream: keep-alive comment, `snapshot` with its position, then every
//! journalled event after that position, once, in order. What cannot go on so says `reset` and
//! begins anew.

mod body;
mod client;
mod frame;
mod hub;
mod ring;
mod scope;

#[cfg(test)]
mod simulation;

pub(crate) use body::{Guard, Snapshots, StreamBody};
pub(crate) use client::{Client, Need, Page, Snapshot, StreamFault, Unread};
pub(crate) use frame::{Frame, Outbox};
pub(crate) use hub::Hub;
pub(crate) use ring::Ring;
pub(crate) use scope::{MAX_FILTERS, Scope};
