//! `morgana bus`: the bus by hand. A NATS client like any other, so that it works against
//! Morgana's own broker and against any nats-server.

mod bench;
mod serve;
mod show;
mod stream;
mod talk;
mod top;

use std::{path::Path, time::Duration};

use anyhow::Context;
use bus::client::{
    AddressError, Client, ConnectError, Credentials, Options, RequestError, Scheme, ServerUrl,
};

use serve::Serve;

/// Look at the bus and talk on it.
#[derive(clap::Args)]
pub(in crate::cli) struct Bus {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

/// Which bus, and as whom.
#[derive(clap::Args)]
struct Server {
    /// The bus: unix:///path, nats://host:port or tls://… (default: the socket of `morgana up`)
    #[arg(long, short, global = true, env = "MORGANA_BUS_URL", value_name = "URL")]
    server: Option<String>,
    /// Sign in as this user
    #[arg(
        long,
        global = true,
        env = "MORGANA_BUS_USER",
        value_name = "NAME",
        requires = "password"
    )]
    user: Option<String>,
    /// The user's password
    #[arg(
        long,
        global = true,
        env = "MORGANA_BUS_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD"
    )]
    password: Option<String>,
    /// Sign in with a token
    #[arg(
        long,
        global = true,
        env = "MORGANA_BUS_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        conflicts_with = "user"
    )]
    token: Option<String>,
    /// Sign in with the nkey whose seed (SU…) is in this file
    #[arg(long, global = true, value_name = "FILE", conflicts_with_all = ["user", "token"])]
    nkey: Option<std::path::PathBuf>,
    /// Trust the certificates that these have signed (PEM), not those that the system trusts
    #[arg(long, global = true, value_name = "FILE")]
    tls_ca: Option<std::path::PathBuf>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Serve a bus alone, without the rest of Morgana
    Serve(Serve),
    /// Print messages as they come
    Sub(talk::Sub),
    /// Publish a message
    Pub(talk::Pub),
    /// Ask for an answer and print it
    Req(talk::Req),
    /// Who is connected and how busy they are
    Top(top::Top),
    /// Look into durable streams
    #[command(subcommand)]
    Stream(stream::Stream),
    /// Measure how many messages go through
    Bench(bench::Bench),
}

impl Bus {
    /// Runs one command; `socket` is where the service on this machine has its bus.
    pub(in crate::cli) async fn run(self, socket: &Path) -> anyhow::Result<()> {
        let server = &self.server;
        match self.command {
            Command::Serve(serve) => serve.run(socket).await,
            Command::Sub(sub) => sub.run(&server.connect(socket).await?).await,
            Command::Pub(publish) => publish.run(&server.connect(socket).await?).await,
            Command::Req(req) => req.run(&server.connect(socket).await?).await,
            Command::Top(top) => top.run(&server.connect(socket).await?).await,
            Command::Stream(stream) => stream.run(&server.connect(socket).await?).await,
            Command::Bench(bench) => bench.run(async || server.connect(socket).await).await,
        }
    }
}

impl Server {
    fn url(&self, socket: &Path) -> anyhow::Result<ServerUrl> {
        let mut url = match &self.server {
            Some(text) => text.parse().map_err(|error: AddressError| {
                anyhow::anyhow!("--server: {error}; write unix:///path or nats://host:4222")
            })?,
            None => ServerUrl {
                scheme: Scheme::Unix,
                address: bus::client::Address::Unix(socket.to_owned()),
                credentials: Credentials::None,
            },
        };
        if let Some(credentials) = self.credentials()? {
            url.credentials = credentials;
        }
        Ok(url)
    }

    fn credentials(&self) -> anyhow::Result<Option<Credentials>> {
        Ok(match (&self.user, &self.password, &self.token, &self.nkey) {
            (Some(user), Some(password), _, _) => {
                Some(Credentials::Password { user: user.clone(), password: password.clone() })
            }
            (_, _, Some(token), _) => Some(Credentials::Token(token.clone())),
            (_, _, _, Some(file)) => {
                let seed = std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read the seed in `{}`", file.display()))?;
                Some(Credentials::Nkey(seed.trim().to_owned()))
            }
            _ => None,
        })
    }

    async fn connect(&self, socket: &Path) -> anyhow::Result<Client> {
        let url = self.url(socket)?;
        let advice = advice(&url);
        let options = Options {
            name: "morgana bus".into(),
            tls_roots: self.tls_ca.clone(),
            timeout: Duration::from_secs(5),
            ..Options::new(url)
        };
        Client::connect(options).await.map_err(|error| match advice_for(&error, advice) {
            Some(advice) => anyhow::Error::new(error).context(advice),
            None => error.into(),
        })
    }
}

/// What to look at where nobody is there.
fn advice(url: &ServerUrl) -> String {
    let at = url.without_credentials();
    match url.scheme {
        Scheme::Unix => format!(
            "no bus at {at}: is `morgana up` running? With another data directory say --data-dir, \
             for another bus --server"
        ),
        Scheme::Tcp | Scheme::Nats | Scheme::Tls => {
            format!("no bus at {at}: is it running, and is the port right?")
        }
    }
}

fn advice_for(error: &ConnectError, nobody: String) -> Option<String> {
    use std::io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
    match error {
        ConnectError::Connect { source, .. } => match source.kind() {
            NotFound | ConnectionRefused => Some(nobody),
            PermissionDenied => Some("the socket's group may connect: are you in it?".into()),
            _ => None,
        },
        ConnectError::Refused { .. } => {
            Some("say who you are: --user and --password, --token or --nkey".into())
        }
        ConnectError::Tls { .. } => {
            Some("with a certificate of your own authority say --tls-ca".into())
        }
        ConnectError::Timeout { .. }
        | ConnectError::Protocol { .. }
        | ConnectError::NoTls { .. }
        | ConnectError::Nkey { .. } => None,
    }
}

/// Why a request failed, for the person who made it.
fn explained(error: RequestError, subject: &str) -> anyhow::Error {
    let advice = match &error {
        RequestError::NoResponders(_) => format!("nobody is subscribed to `{subject}`"),
        RequestError::Timeout { .. } => "somebody may be busy: try a longer --timeout".into(),
        RequestError::Client(_) => return error.into(),
    };
    anyhow::Error::new(error).context(advice)
}

/// Seconds as people write them: `2`, `0.5`.
fn seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| format!("`{text}` is not a number of seconds"))
}
