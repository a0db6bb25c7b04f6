//! The control surface: REST, live streams, authentication, OpenAPI and the embedded console.
//!
//! Owns HTTP: connections on loopback TCP and on a UNIX socket, who is behind them, and what
//! they may ask. Changes go through the store and never wait for the bus or the fleet. Refuses
//! to know SQL, drivers and decoy protocols.
//!
//! ```no_run
//! # async fn example(handles: api::Handles, stop: tokio_util::sync::CancellationToken)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! let config = api::ApiConfig { listen: Some("127.0.0.1:7077".parse()?), ..Default::default() };
//! let bound = api::Server::new(config, handles).bind().await?;
//! println!("http://{}", bound.addr().ok_or("no TCP listener")?);
//! bound.run(stop).await;
//! # Ok(())
//! # }
//! ```

mod config;
mod server;

pub use config::{ApiConfig, EndpointView, Handles, Limits, NetworkView};
pub use server::{BindError, Bound, Server};

use std::time::Duration;

use model::Ambient;
use store::Store;

/// How long a set-up secret is good.
pub const SETUP_SECRET_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Makes the one-time secret with which the first administrator is created, in place of any
/// earlier one; the caller shows it on the host. `None` where the set-up is done.
///
/// # Errors
/// Where the store fails.
pub async fn offer_setup(
    store: &Store,
    ambient: &Ambient,
) -> Result<Option<String>, store::StoreError> {
    let _ = (store, ambient);
    unimplemented!()
}

/// The OpenAPI document, as committed in `openapi.json`.
pub fn openapi_json() -> String {
    unimplemented!()
}
