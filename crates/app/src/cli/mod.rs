//! The command line. `up` is the service; everything else is a client of its API over the UNIX
//! socket, where the owner of the service and root need no login. `hub sweep-stale` and `panic`
//! also work without a service; `doctor` and `service` look at the machine.

mod bus;
mod changes;
mod decky;
mod doctor;
mod hub;
mod panic;
mod relay;
mod render;
mod service;
mod status;
mod topology;
mod up;
mod user;
mod visitors;
mod watch;
mod worker;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use tokio::runtime::Runtime;

use crate::{
    client::Client,
    config::{Config, KEYS, Sources},
    footing::Footing,
};

/// Where the configuration file is looked for when none is named.
const DEFAULT_FILE: &str = "/etc/morgana/morgana.toml";

/// A deception network: decoy machines that change while an intruder maps them.
#[derive(Parser)]
#[command(name = "morgana", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
struct Global {
    /// Configuration file (default: /etc/morgana/morgana.toml if it exists)
    #[arg(long, global = true, env = "MORGANA_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory of the database and the API socket [key: data_dir]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Path of the API's UNIX socket [key: socket]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Any configuration key: --set fleet.port_offset=30000 (may be repeated)
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
}

#[derive(Subcommand)]
enum Command {
    /// Start the service: decoys, mutator, console and API in one process
    Up(up::Up),
    /// Show what runs: topologies, visitors, workers
    Status(status::Status),
    /// Follow events as they happen; `morgana watch 'attacker.>'` for some of them
    Watch(watch::Watch),
    /// Make, deploy and change mazes
    #[command(subcommand, visible_alias = "topo")]
    Topology(topology::Topology),
    /// Look at deckies; rotate, start, stop and retire them
    #[command(subcommand)]
    Decky(decky::Decky),
    /// Who is behind the attackers
    #[command(subcommand)]
    Identity(visitors::Identity),
    /// Source addresses that touched a decky
    #[command(subcommand)]
    Attacker(visitors::Attacker),
    /// What visitors did
    #[command(subcommand)]
    Session(visitors::Session),
    /// Look at the bus and talk on it
    Bus(Box<bus::Bus>),
    /// The work around the network: repositories, workstreams, decisions, tasks
    #[command(subcommand)]
    Hub(hub::Hub),
    /// Who may use the console
    #[command(subcommand)]
    User(user::User),
    /// Where the journal is told to: sinks, their cursors, their dead letters
    #[command(subcommand)]
    Relay(relay::Relay),
    /// Who does the work: heartbeats, and how one is stopped
    #[command(subcommand)]
    Worker(worker::Worker),
    /// Take everything off the network at once, and keep it off: the kill switch
    ///
    /// The service does it where it answers in time; else its process is killed, and the network
    /// goes with it. Ends with 0 when nothing is left on the network and nothing comes back, with
    /// 1 where something may still be up, with 3 where it is down but the database could not be
    /// told, so that the next start would bring it back.
    Panic(panic::Panic),
    /// Check whether this machine and this configuration fit
    ///
    /// Ends with 0 where nothing has to be changed, with 1 where something has to.
    Doctor(doctor::Doctor),
    /// Run as a service of systemd
    #[command(subcommand)]
    Service(service::Service),
    /// Show every configuration key with its value and meaning
    Config,
    /// What keeps root's privilege for `up`; nobody types this
    #[command(hide = true)]
    RootHelper {
        /// What of the network it may touch
        reach: Vec<String>,
    },
    /// Print completions for a shell: `morgana completions bash`
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Runs one command to its end.
///
/// # Errors
/// Where it fails; the error is for the person at the terminal.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Command::Completions { shell } = cli.command {
        clap_complete::generate(shell, &mut Cli::command(), "morgana", &mut std::io::stdout());
        return Ok(ExitCode::SUCCESS);
    }
    if let Command::RootHelper { reach } = &cli.command {
        fleet::helper::run(reach)?;
        return Ok(ExitCode::SUCCESS);
    }
    let flags = cli.command.flags();
    // What is found now holds for a reload, too: by then the process may be another user.
    let (is_root, file) = (fleet::privilege::is_root(), cli.global.file());
    let config = match cli.global.load(is_root, file.clone(), flags.clone()) {
        Err(error) if matches!(cli.command, Command::Panic(_)) => cli.global.at_worst(error)?,
        loaded => loaded?,
    };
    match cli.command {
        Command::Up(up) => {
            // Before there are threads.
            let footing = Footing::find(&config)?;
            let again = move || cli.global.load(is_root, file.clone(), flags.clone());
            threads()?.block_on(up.run(&config, footing, again))?;
            Ok(ExitCode::SUCCESS)
        }
        command => threads()?.block_on(dispatch(command, config)),
    }
}

fn threads() -> anyhow::Result<Runtime> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().build().context("cannot start threads")
}

async fn dispatch(command: Command, config: Config) -> anyhow::Result<ExitCode> {
    let client = Client::new(&config.socket_path());
    match command {
        Command::Status(status) => status.run(&client).await,
        Command::Watch(watch) => watch.run(&client).await,
        Command::Topology(command) => command.run(&client).await,
        Command::Decky(command) => command.run(&client).await,
        Command::Identity(command) => command.run(&client).await,
        Command::Attacker(command) => command.run(&client).await,
        Command::Session(command) => command.run(&client).await,
        Command::Bus(command) => {
            let usual = || config.data_dir.join("bus.sock");
            command.run(&config.bus_socket_path().unwrap_or_else(usual)).await
        }
        Command::Hub(command) => command.run(&client, &config).await,
        Command::User(command) => command.run(&client).await,
        Command::Relay(command) => command.run(&client).await,
        Command::Worker(command) => command.run(&client).await,
        Command::Panic(panic) => return panic.run(&client, &config).await,
        Command::Doctor(doctor) => return doctor.run(&client, &config).await,
        Command::Service(command) => command.run(),
        Command::Config => show_config(&config),
        // Done before there were threads.
        Command::Up(_) | Command::Completions { .. } | Command::RootHelper { .. } => Ok(()),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn show_config(config: &Config) -> anyhow::Result<()> {
    let rows = KEYS.iter().map(|key| {
        vec![key.name.to_owned(), key.value(config), key.variable(), key.meaning.to_owned()]
    });
    render::table(&["KEY", "VALUE", "ENVIRONMENT", "MEANING"], rows)
}

impl Command {
    /// Configuration that stands in flags of the command itself.
    fn flags(&self) -> Vec<(String, String)> {
        match self {
            Self::Up(up) => up.flags(),
            _ => Vec::new(),
        }
    }
}

impl Global {
    /// The configuration file, where there is one.
    fn file(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| {
            let default = PathBuf::from(DEFAULT_FILE);
            default.exists().then_some(default)
        })
    }

    fn load(
        &self,
        is_root: bool,
        file: Option<PathBuf>,
        command_flags: Vec<(String, String)>,
    ) -> anyhow::Result<Config> {
        let mut flags = self.set.clone();
        let path = |p: &PathBuf| p.display().to_string();
        flags.extend(self.data_dir.as_ref().map(|p| ("data_dir".to_owned(), path(p))));
        flags.extend(self.socket.as_ref().map(|p| ("socket".to_owned(), path(p))));
        flags.extend(command_flags);
        let sources = Sources { file, environment: std::env::vars().collect(), flags };
        Ok(Config::load(is_root, &sources)?)
    }

    /// The configuration of the kill switch where the usual one has errors: it needs no more than
    /// the data directory, which has to be named then, so that it is surely the right one.
    fn at_worst(&self, error: anyhow::Error) -> anyhow::Result<Config> {
        let Some(data_dir) = &self.data_dir else {
            return Err(error.context("name the data directory with --data-dir"));
        };
        eprintln!("morgana: {error:#}; going on with {}", data_dir.display());
        let environment: Vec<_> = std::env::vars().collect();
        let mut config = Config::default_for(fleet::privilege::is_root(), &environment);
        config.data_dir.clone_from(data_dir);
        config.socket.clone_from(&self.socket);
        Ok(config)
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not KEY=VALUE")),
    }
}

/// A word for a path segment: percent-encoded where it has to be (RFC 3986 section 2.1).
fn segment(word: &str) -> String {
    let mut encoded = String::with_capacity(word.len());
    for byte in word.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(byte as char);
            }
            other => encoded += &format!("%{other:02X}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_arguments_of_a_command_share_a_name() {
        Cli::command().debug_assert();
    }
}
