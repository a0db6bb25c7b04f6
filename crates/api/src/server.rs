//! Listeners and connections.

use std::{io, net::SocketAddr, path::PathBuf};

use tokio_util::sync::CancellationToken;

use crate::{ApiConfig, Handles};

/// Why the control surface cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The TCP address cannot be used.
    #[error("cannot listen on {addr}")]
    Tcp {
        /// Which.
        addr: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The UNIX socket cannot be used.
    #[error("cannot listen on the socket `{path}`")]
    Socket {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The state cannot be read.
    #[error("cannot read the journal")]
    Store(#[from] store::StoreError),
}

/// The control surface before it listens.
pub struct Server {
    config: ApiConfig,
    handles: Handles,
}

impl Server {
    /// Nothing happens before [`Server::bind`].
    pub fn new(config: ApiConfig, handles: Handles) -> Self {
        Self { config, handles }
    }

    /// Opens the listeners.
    ///
    /// # Errors
    /// Where an address or the socket cannot be used, or the journal cannot be read.
    pub async fn bind(self) -> Result<Bound, BindError> {
        let _ = (self.config, self.handles);
        unimplemented!()
    }
}

/// The control surface with its listeners open; it answers once [`Bound::run`] runs.
pub struct Bound {
    addr: Option<SocketAddr>,
}

impl Bound {
    /// The TCP address, with the port that the system chose where 0 was asked for.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.addr
    }

    /// Answers until `stop`; then lets requests finish within the grace period and ends streams.
    pub async fn run(self, stop: CancellationToken) {
        stop.cancelled().await;
    }
}
