//! The real router over real loopback sockets, with a real store.

mod access;
mod client;
mod document;
mod streams;
mod topologies;
