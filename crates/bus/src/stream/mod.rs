//! Durable streams: append-only segments, group commit, consumers.

pub mod consumer;
