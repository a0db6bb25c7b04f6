//! Durable streams: append-only segments, group commit, consumers.
