//! The control surface: REST, live streams, authentication, OpenAPI and the embedded console.
//!
//! Owns HTTP: connections on loopback TCP and on a UNIX socket, who is behind them, and what
//! they may ask. Changes go through the store and never wait for the bus or the fleet. Refuses
//! to know SQL, drivers and decoy protocols.
//!
//! ```no_run
//! use morgana_api::{ApiConfig, Handles, Server};
//!
//! # async fn example(handles: Handles, stop: tokio_util::sync::CancellationToken)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! let config = ApiConfig { listen: Some("127.0.0.1:7077".parse()?), ..Default::default() };
//! let bound = Server::new(config, handles).bind().await?;
//! println!("http://{}", bound.addr().ok_or("no TCP listener")?);
//! bound.run(stop).await;
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod answer;
mod auth;
mod config;
mod console;
mod extract;
mod idempotency;
mod live;
mod openapi;
mod page;
mod peer;
mod permits;
mod problem;
mod resolve;
mod routes;
mod server;
mod state;
mod views;
mod words;
mod write_deadline;

use std::time::Duration;

use model::Ambient;
use store::{SetupError, Store};

pub use config::{
    ApiConfig, EndpointView, Handles, Limits, MutatorView, NetworkView, PanicError, PanicSwitch,
    Panicked, RelayView, SinkState, SinkStatus, WorkerState, WorkerStatus, WorkersView,
};
pub use openapi::openapi_json;
pub use server::{BindError, Bound, Server};

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
    let secret = auth::new_setup_secret(ambient);
    let expires_at = ambient.now().plus(SETUP_SECRET_LIFETIME);
    match store.put_setup_secret(auth::hash_token(&secret), expires_at).await {
        Ok(()) => Ok(Some(secret)),
        Err(SetupError::Store(error)) => Err(error),
        Err(SetupError::Closed | SetupError::Wrong | SetupError::Expired) => Ok(None),
    }
}
