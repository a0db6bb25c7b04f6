//! The event bus: a broker that speaks NATS ([`broker`]), durable streams ([`stream`],
//! [`jetstream`]), a client ([`client`]), and one handle over all of it that everything publishes to
//! and subscribes with ([`Bus`]).
//!
//! It refuses to know what events mean, and the store. Nobody may depend on a bus to be there:
//! publishing with the handle never waits and never fails, what is lost is counted, and a subscriber
//! that missed something is told so with a [`Delivery::Gap`] where the missing events would have
//! been.
//!
//! ```
//! use morgana_bus::{Bus, Delivery, OnLag};
//! use model::{Ambient, Event, Payload, SubjectFilter, SystemLog};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bus = Bus::embedded("example");
//! let mut logs = bus.subscribe("system.>".parse()?, 64, OnLag::DropNewest).await;
//!
//! let line = SystemLog::new("doc", "info", "hello");
//! bus.publish(&Event::new(&Ambient::system(), Payload::SystemLog(line)));
//!
//! match logs.next().await {
//!     Some(Delivery::Event(entry)) => assert_eq!(entry.topic.as_str(), "system.log"),
//!     other => panic!("a publisher hears itself, but here came {other:?}"),
//! }
//! bus.close().await;
//! assert!(logs.next().await.is_none());
//! # Ok(())
//! # }
//! ```

pub mod auth;
pub mod broker;
pub mod client;
mod descriptors;
mod handle;
pub mod jetstream;
pub mod launcher;
pub mod matcher;
pub mod monitor;
pub mod natsconf;
pub mod proto;
pub mod stream;
#[cfg(feature = "tls")]
pub mod tls;
pub mod transport;
mod units;

pub use descriptors::raise_descriptor_limit;
pub use handle::{
    BoxFuture, Bus, BusHealth, BusState, Connection, Connector, Delivery, Incoming, LinkError,
    OnLag, Retry, Subscription, SubscriptionId, close_all_shared, close_shared, shared,
};
