//! Durable streams: append-only segments, group commit, consumers.
//!
//! [`log`] owns the files of one stream and knows neither clients nor threads; [`consumer`] is
//! what was delivered and settled, as plain state; the engine above them owns the logs, the
//! clock and the acknowledgements.

pub(crate) mod catalogue;
pub mod config;
pub mod consumer;
pub(crate) mod engine;
pub mod log;
pub mod state;
pub(crate) mod types;

pub use config::{Discard, Retention, Storage, StreamConfig, StreamName, StreamNameError};
pub use consumer::{AckPolicy, ConsumerConfig, CursorState, Deliver, Point, Push};
pub use engine::{Consumer, Streams};
pub use log::{
    Append, AppendError, Appended, Damage, Expected, Filter, Full, LogError, LogOptions, Opened,
    Peeked, Purge, Recovery, Registry, RegistryError, StoredConsumer, StreamLog,
};
pub use state::{Stored, StreamState, UnixNanos};
pub use types::{
    AccountLimits, ConsumerFault, ConsumerInfo, Delivered, OpenError, OverAccount, PubAck, Publish,
    PublishError, StreamInfo, StreamsConfig, StreamsError,
};
