//! The section `[bus]`, and what its keys have to do with each other.

use std::{fmt, net::SocketAddr, path::PathBuf};

/// Longest path of a UNIX socket that the kernel takes, in bytes.
const MAX_SOCKET_PATH: usize = 107;

/// `[bus]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusConfig {
    /// Which bus.
    pub mode: BusMode,
    /// Its UNIX socket.
    pub socket: BusSocket,
    /// Whose members may use the socket, besides the service's own user and root.
    pub socket_group: Option<String>,
    /// Where NATS clients reach it by TCP; only with users, and beyond loopback only with TLS.
    pub listen: Option<SocketAddr>,
    /// The certificate of that port and those between it and its root (PEM), and its key.
    pub tls_certificate: Option<PathBuf>,
    /// The key of the certificate (PEM).
    pub tls_key: Option<PathBuf>,
    /// Its users.
    pub users_file: Option<PathBuf>,
    /// Where its figures are served by HTTP.
    pub monitor: Option<SocketAddr>,
    /// Where the durable streams live; `None` means `<data_dir>/streams`.
    pub streams_dir: Option<PathBuf>,
    /// What the stream `SESSIONS` may hold, in bytes, before visitors wait.
    pub sessions_bytes: u64,
    /// What its clients may take.
    pub limits: BusLimits,
}

/// `bus.mode`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusMode {
    /// Within the process, served to others on the socket.
    Embedded,
    /// Publishing is skipped; everything else goes on.
    Off,
    /// On a NATS server: its URL.
    Nats(String),
}

/// `bus.socket`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusSocket {
    /// `<data_dir>/bus.sock`.
    InDataDir,
    /// Here.
    At(PathBuf),
    /// None.
    Off,
}

/// Limits on clients of the bus; its other limits are fixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusLimits {
    /// Clients at once.
    pub connections: u64,
    /// Subscriptions of one client.
    pub subscriptions_per_client: u64,
    /// Largest message, headers included, in bytes.
    pub payload_bytes: u64,
    /// What waits for one client before it is cut, in bytes.
    pub pending_bytes_per_client: u64,
    /// What waits for all of them, in bytes.
    pub pending_bytes: u64,
}

impl Default for BusConfig {
    fn default() -> Self {
        Self {
            mode: BusMode::Embedded,
            socket: BusSocket::InDataDir,
            socket_group: None,
            listen: None,
            tls_certificate: None,
            tls_key: None,
            users_file: None,
            monitor: None,
            streams_dir: None,
            sessions_bytes: 1 << 30,
            limits: BusLimits {
                connections: 65_536,
                subscriptions_per_client: 100_000,
                payload_bytes: 1 << 20,
                pending_bytes_per_client: 64 << 20,
                pending_bytes: 512 << 20,
            },
        }
    }
}

impl BusConfig {
    /// What single keys cannot tell: each error names the key that has to change.
    pub(super) fn contradictions(&self, socket: Option<&PathBuf>) -> Vec<String> {
        let mut found = Vec::new();
        if self.listen.is_some() && self.users_file.is_none() {
            found.push(
                "bus.listen: the bus is reached by TCP only with users: set bus.users_file".into(),
            );
        }
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            found.push("bus.tls_certificate: it and bus.tls_key go together".into());
        }
        if self.listen.is_some_and(|at| !at.ip().is_loopback()) && self.tls_certificate.is_none() {
            found.push(
                "bus.listen: other machines reach the bus only with TLS: set bus.tls_certificate \
                 and bus.tls_key, or a loopback address"
                    .into(),
            );
        }
        if self.socket_group.is_some() && self.socket == BusSocket::InDataDir {
            found.push(
                "bus.socket_group: its members cannot enter the data directory, which is its \
                 owner's alone: set bus.socket to a path elsewhere, such as /run/morgana/bus.sock"
                    .into(),
            );
        }
        if let Some(path) = socket.filter(|path| path.as_os_str().len() > MAX_SOCKET_PATH) {
            found.push(format!(
                "bus.socket: `{}` is longer than the {MAX_SOCKET_PATH} bytes of a socket's path; \
                 set a shorter one, or off",
                path.display()
            ));
        }
        if self.limits.pending_bytes < self.limits.pending_bytes_per_client {
            found.push(
                "bus.pending_bytes: less than bus.pending_bytes_per_client, so no client could \
                 have its share"
                    .into(),
            );
        }
        found
    }
}

impl fmt::Display for BusMode {
    /// As it is set, without a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::Off => f.write_str("off"),
            Self::Nats(url) => f.write_str(&without_secrets(url)),
        }
    }
}

/// Reads `bus.mode`.
pub(super) fn mode(value: &str) -> Result<BusMode, String> {
    let is_url = ["nats://", "tls://"].iter().any(|scheme| {
        value.strip_prefix(scheme).is_some_and(|rest| rest.chars().any(char::is_alphanumeric))
    });
    match value {
        "embedded" => Ok(BusMode::Embedded),
        "off" => Ok(BusMode::Off),
        url if is_url && !url.chars().any(char::is_whitespace) => Ok(BusMode::Nats(url.into())),
        other => {
            Err(format!("`{}` is not embedded, off or nats://host:port", without_secrets(other)))
        }
    }
}

/// Reads the URL of a NATS server.
pub(super) fn server(value: &str) -> Result<String, String> {
    match mode(value) {
        Ok(BusMode::Nats(url)) => Ok(url),
        _ => Err(format!("`{}` is not off or nats://host:port", without_secrets(value))),
    }
}

/// A URL whose user information is covered.
pub(super) fn without_secrets(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let between = if rest.len() == url.len() { "" } else { "://" };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}{between}***@{host}"),
        None => url.into(),
    }
}
