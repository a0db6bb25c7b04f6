//! A broker as a process of its own.
//!
//! [`Options`] say what to serve, [`run`] serves it until it is told to stop: broker, TLS,
//! monitoring, reloads, signals. It refuses to know where options come from. [`compat`] makes them
//! from nats-server's flags and configuration, so that a binary called `nats-server` can stand in
//! for it where a test suite or a script starts one.

pub mod compat;
mod flags;
mod log;
mod server;
mod signals;

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use crate::{
    auth::{AuthFileError, AuthRules, RuleError, UnixPeers},
    broker::{Limits, StartError, UnixListenAt},
    stream::{OpenError, StreamsConfig, StreamsError},
};

pub use log::Log;
pub use server::{Server, run};
pub use signals::{Order, Signals};

/// Everything that a broker of its own serves.
#[derive(Debug)]
pub struct Options {
    /// `server_name` in INFO; none: made up.
    pub name: Option<String>,
    /// Where stock clients connect; port 0 is any.
    pub tcp: Option<SocketAddr>,
    /// The socket file for our own clients.
    pub unix: Option<UnixListenAt>,
    /// Where HTTP monitoring is served.
    pub monitor: Option<SocketAddr>,
    /// What clients may take.
    pub limits: Limits,
    /// Who may connect.
    pub access: Access,
    /// TLS on the TCP port.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::tls::TlsFiles>,
    /// Where durable streams are kept; none: they are not served.
    pub store_dir: Option<PathBuf>,
    /// How large they may become.
    pub streams: StreamsConfig,
    /// Where the process id is written to, and removed from in the end.
    pub pid_file: Option<PathBuf>,
    /// How long nobody is closed once the server is about to go.
    pub lame_duck_grace: Duration,
    /// Over how long clients are closed after that.
    pub lame_duck_spread: Duration,
}

impl Default for Options {
    /// Serves nobody: no socket, credentials needed, no streams.
    fn default() -> Options {
        Options {
            name: None,
            tcp: None,
            unix: None,
            monitor: None,
            limits: Limits::default(),
            access: Access::Rules { rules: AuthRules::default(), reload: None },
            #[cfg(feature = "tls")]
            tls: None,
            store_dir: None,
            streams: StreamsConfig::default(),
            pid_file: None,
            lame_duck_grace: Duration::from_secs(10),
            lame_duck_spread: Duration::from_secs(110),
        }
    }
}

/// Who may connect.
#[derive(Debug)]
pub enum Access {
    /// Everybody may do everything.
    Open,
    /// Users of a [users file](crate::auth::AuthFile), which is read again when it changes.
    File {
        /// The file.
        path: PathBuf,
        /// Who needs no credentials on the UNIX socket.
        unix: UnixPeers,
    },
    /// These.
    Rules {
        /// The users.
        rules: AuthRules,
        /// nats-server's configuration that they come from: read again when asked to.
        reload: Option<PathBuf>,
    },
}

/// Why a broker of its own did not start.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Users that make no sense; one line each.
    #[error("the users are wrong: {}", lines(.0))]
    Users(Vec<RuleError>),
    /// The users file was not taken.
    #[error("the users file is not taken")]
    File(#[source] AuthFileError),
    /// The broker did not start.
    #[error("the broker does not start")]
    Broker(#[source] StartError),
    /// Monitoring did not start.
    #[error("cannot serve monitoring on {addr}")]
    Monitor {
        /// Where.
        addr: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// TLS did not start.
    #[cfg(feature = "tls")]
    #[error("TLS does not start")]
    Tls(#[source] crate::tls::TlsError),
    /// The streams cannot be had.
    #[error("JetStream does not start")]
    Streams(#[source] OpenError),
    /// The streams ended at once.
    #[error("JetStream does not run")]
    StreamsEnded(#[source] StreamsError),
    /// The process id cannot be written.
    #[error("cannot write `{}`", path.display())]
    PidFile {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn lines(errors: &[RuleError]) -> String {
    let line = |error: &RuleError| match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    errors.iter().map(line).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
