//! The useful part of JetStream's API, over [`crate::stream`].
