//! `morgana bus serve`: the broker alone.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use bus::{
    auth::{AuthRules, UnixPeers, local_peers},
    broker::UnixListenAt,
    launcher::{self, Access, Log, Signals},
    tls::TlsFiles,
};
use tokio_util::sync::CancellationToken;

/// Serve a bus alone, without the rest of Morgana.
#[derive(clap::Args)]
pub(super) struct Serve {
    /// The UNIX socket (default: the one that `morgana up` would serve)
    #[arg(long, value_name = "PATH")]
    path: Option<PathBuf>,
    /// No UNIX socket
    #[arg(long, conflicts_with = "path")]
    no_unix: bool,
    /// The group whose members may use the UNIX socket
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Where stock clients connect, such as 127.0.0.1:4222; needs --users or --no-auth
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Speak TLS there: the certificate and those between it and its root (PEM)
    #[arg(long, value_name = "FILE", requires_all = ["tls_key", "listen"])]
    tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Ask clients for a certificate that these have signed (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
    /// Where monitoring is served by HTTP, such as 127.0.0.1:8222: loopback only
    #[arg(long, value_name = "ADDRESS")]
    monitor: Option<SocketAddr>,
    /// The users, in a file that is read again when it changes
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// Everybody may do everything: loopback only
    #[arg(long, conflicts_with = "users")]
    no_auth: bool,
    /// Keep durable streams in this directory
    #[arg(long, value_name = "DIR")]
    store_dir: Option<PathBuf>,
    /// Say more
    #[arg(long)]
    debug: bool,
}

impl Serve {
    pub(super) async fn run(self, socket: &Path) -> anyhow::Result<()> {
        let log = Log::stderr(true, self.debug);
        let options = self.options(socket)?;
        let signals = Signals::of_process().context("cannot listen to signals")?;
        Ok(launcher::run(options, log, signals, CancellationToken::new()).await?)
    }

    fn options(self, socket: &Path) -> anyhow::Result<launcher::Options> {
        if self.no_unix && self.listen.is_none() {
            bail!("nobody could connect: --no-unix needs --listen");
        }
        if self.monitor.is_some_and(|at| !at.ip().is_loopback()) {
            bail!("--monitor is for loopback addresses only: it asks nobody who he is");
        }
        let access = self.access()?;
        let at = self.path.clone().unwrap_or_else(|| socket.to_owned());
        let unix = UnixListenAt { group: self.group, ..UnixListenAt::new(at) };
        Ok(launcher::Options {
            tcp: self.listen,
            unix: (!self.no_unix).then_some(unix),
            monitor: self.monitor,
            access,
            tls: self.tls_cert.zip(self.tls_key).map(|(certificates, key)| TlsFiles {
                client_roots: self.tls_client_ca,
                ..TlsFiles::new(certificates, key)
            }),
            store_dir: self.store_dir,
            ..launcher::Options::default()
        })
    }

    fn access(&self) -> anyhow::Result<Access> {
        let loopback = |at: &SocketAddr| at.ip().is_loopback();
        // The kernel says who is on the UNIX socket.
        let owner = fleet::privilege::own_uid();
        let unix = UnixPeers::Trusted { owner, others: local_peers() };
        match (&self.users, self.no_auth, &self.listen) {
            (Some(users), _, _) => Ok(Access::File { path: users.clone(), unix }),
            (None, true, at) if at.as_ref().is_none_or(loopback) => Ok(Access::Open),
            (None, true, _) => bail!("--no-auth is for loopback addresses only"),
            (None, false, Some(_)) => {
                bail!("who may connect by TCP? Say --users FILE, or --no-auth on loopback")
            }
            (None, false, None) => Ok(Access::Rules {
                rules: AuthRules { unix, ..AuthRules::default() },
                reload: None,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        serve: Serve,
    }

    #[test]
    fn nobody_serves_the_world_by_accident() {
        for (line, expected) in [
            ("", "ok"),
            ("--listen 127.0.0.1:0 --no-auth", "ok"),
            ("--listen 0.0.0.0:4222 --users u.toml", "ok"),
            (
                "--listen 127.0.0.1:0",
                "who may connect by TCP? Say --users FILE, or --no-auth on loopback",
            ),
            ("--listen 0.0.0.0:0 --no-auth", "--no-auth is for loopback addresses only"),
            ("--monitor [::1]:0", "ok"),
            (
                "--monitor 0.0.0.0:8222",
                "--monitor is for loopback addresses only: it asks nobody who he is",
            ),
            ("--no-unix", "nobody could connect: --no-unix needs --listen"),
        ] {
            let words = ["serve"].into_iter().chain(line.split_whitespace());
            let options = Line::parse_from(words).serve.options(Path::new("/s"));
            let shown = options.map_or_else(|error| error.to_string(), |_| "ok".into());
            assert_eq!(shown, expected, "{line}");
        }
    }
}
