//! Durable streams: append-only segments, group commit, consumers.
//!
//! [`log`] owns the files of one stream and knows neither clients nor threads; the engine above
//! it owns the logs, the clock and the acknowledgements.

pub mod config;
pub mod log;
pub mod state;

pub use config::{Discard, Retention, Storage, StreamConfig, StreamName, StreamNameError};
pub use log::{
    Append, AppendError, Appended, Damage, Expected, Filter, Full, LogError, LogOptions, Opened,
    Peeked, Purge, Recovery, Registry, RegistryError, StoredConsumer, StreamLog,
};
pub use state::{Stored, StreamState, UnixNanos};
