//! Configuration: defaults, then the file, then the environment, then flags.
//!
//! One table, [`KEYS`], names every key; file, environment and `--set` all go through it, so a
//! key means the same wherever it comes from. Every error is reported, not only the first, and
//! each names its key and where it stood.

mod bus;
mod keys;
#[cfg(test)]
mod tests;
mod values;

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use exports::Format;

pub use self::{
    bus::{BusConfig, BusLimits, BusMode, BusSocket},
    keys::{KEYS, Key},
};

/// Everything that an operator can set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the database, its lock and the API socket live.
    pub data_dir: PathBuf,
    /// Where the console and the REST API listen.
    pub listen: SocketAddr,
    /// The API's UNIX socket; `None` means `<data_dir>/morgana.sock`.
    pub socket: Option<PathBuf>,
    /// The NATS server that takes the lifecycle events; without one the embedded stream does.
    pub nats_url: Option<String>,
    /// How those events stand in messages.
    pub events_format: Format,
    /// The inner bus.
    pub bus: BusConfig,
    /// What makes the network.
    pub driver: DriverChoice,
    /// `fleet.uplink` and what else the netns driver is told.
    pub netns: NetnsKeys,
    /// First two octets of the loopback driver's addresses.
    pub loopback_prefix: [u8; 2],
    /// Added to port numbers that the process may not bind.
    pub port_offset: u16,
    /// Longest time that the mutator sleeps without looking.
    pub poll: Duration,
    /// How long a claimed mutation belongs to its mutator.
    pub lease: Duration,
    /// Limits on visitors.
    pub limits: VisitorLimits,
    /// What is logged, in the syntax of `RUST_LOG`.
    pub log: String,
    /// How it is logged.
    pub log_format: LogFormat,
}

/// Limits on visitors; the rest of the decoys' limits are fixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisitorLimits {
    /// Connections at once, in all.
    pub connections: usize,
    /// Connections at once from one address.
    pub connections_per_peer: usize,
    /// Bytes that one session may send or receive.
    pub bytes: u64,
    /// Longest session.
    pub duration: Duration,
    /// Longest silence within a session.
    pub idle: Duration,
}

/// What the netns driver is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetnsKeys {
    /// The interface where deckies meet the real network; `None` makes one for a demo.
    pub uplink: Option<String>,
    /// Which hardware addresses deckies show there.
    pub uplink_mac: fleet::MacChoice,
    /// A directory with more personalities.
    pub personalities: Option<PathBuf>,
    /// Addresses that no decky takes.
    pub protected: Vec<ipnet::Ipv4Net>,
    /// How long to listen for a real host before an address is taken.
    pub listen_first: Duration,
    /// Whom the service becomes when it is started as root; `None` finds one.
    pub user: Option<String>,
}

impl Default for NetnsKeys {
    fn default() -> Self {
        Self {
            uplink: None,
            uplink_mac: fleet::MacChoice::Own,
            personalities: None,
            protected: Vec::new(),
            listen_first: Duration::from_millis(200),
            user: None,
        }
    }
}

impl NetnsKeys {
    /// What cannot work together.
    fn contradiction(&self) -> Option<String> {
        let is_shared = self.uplink_mac == fleet::MacChoice::Host;
        (is_shared && self.uplink.is_none()).then(|| {
            "fleet.uplink_mac: `host` is the hardware address of an interface that is there: set \
             fleet.uplink"
                .into()
        })
    }
}

/// `fleet.driver`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverChoice {
    /// Each decky has its own loopback address.
    Loopback,
    /// Real machines on a real segment; needs root.
    Netns,
    /// No network at all: for tests and for trying the API.
    Fake,
}

/// `log.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<String>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "configuration: {one}"),
            many => {
                write!(f, "configuration has {} errors:", many.len())?;
                many.iter().try_for_each(|error| write!(f, "\n  {error}"))
            }
        }
    }
}

impl std::error::Error for ConfigErrors {}

/// Where the parts of a configuration come from.
#[derive(Default)]
pub struct Sources {
    /// A file that must be readable.
    pub file: Option<PathBuf>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// `key=value` of flags, as given.
    pub flags: Vec<(String, String)>,
}

impl Config {
    /// The defaults for a user with this environment: root keeps data in `/var/lib/morgana`,
    /// others below `$XDG_DATA_HOME` or `~/.local/share`.
    pub fn default_for(is_root: bool, environment: &[(String, String)]) -> Self {
        Self {
            data_dir: default_data_dir(is_root, environment),
            listen: SocketAddr::from(([127, 0, 0, 1], 8470)),
            socket: None,
            nats_url: None,
            events_format: Format::default(),
            bus: BusConfig::default(),
            driver: DriverChoice::Loopback,
            loopback_prefix: [127, 66],
            port_offset: 20_000,
            netns: NetnsKeys::default(),
            poll: Duration::from_secs(10),
            lease: Duration::from_secs(30),
            limits: VisitorLimits {
                connections: 4096,
                connections_per_peer: 512,
                bytes: 16 << 20,
                duration: Duration::from_secs(3600),
                idle: Duration::from_secs(300),
            },
            log: "info".into(),
            log_format: LogFormat::Text,
        }
    }

    /// Puts a configuration together.
    ///
    /// # Errors
    /// All of them at once: unknown keys, bad values, an unreadable file.
    pub fn load(is_root: bool, sources: &Sources) -> Result<Self, ConfigErrors> {
        let mut config = Self::default_for(is_root, &sources.environment);
        let mut errors = Vec::new();
        if let Some(file) = &sources.file {
            config.take_file(file, &mut errors);
        }
        for key in KEYS {
            for variable in key.variables() {
                let found = sources.environment.iter().find(|(name, _)| *name == variable);
                if let Some((_, value)) = found {
                    note(&mut errors, &variable, (key.set)(&mut config, value));
                }
            }
        }
        for (name, value) in &sources.flags {
            config.take(name, value, &format!("--set {name}"), &mut errors);
        }
        errors.extend(config.bus.contradictions(config.bus_socket_path().as_ref()));
        errors.extend(config.netns.contradiction());
        if errors.is_empty() { Ok(config) } else { Err(ConfigErrors(errors)) }
    }

    /// Where the API's UNIX socket is.
    pub fn socket_path(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| self.data_dir.join("morgana.sock"))
    }

    /// Where the bus's UNIX socket is, if it has one.
    pub fn bus_socket_path(&self) -> Option<PathBuf> {
        match &self.bus.socket {
            BusSocket::InDataDir => Some(self.data_dir.join("bus.sock")),
            BusSocket::At(path) => Some(path.clone()),
            BusSocket::Off => None,
        }
    }

    /// Where the durable streams live.
    pub fn streams_dir(&self) -> PathBuf {
        self.bus.streams_dir.clone().unwrap_or_else(|| self.data_dir.join("streams"))
    }

    fn take_file(&mut self, file: &Path, errors: &mut Vec<String>) {
        let shown = file.display();
        let table = match std::fs::read_to_string(file) {
            Ok(text) => match text.parse::<toml::Table>() {
                Ok(table) => table,
                Err(error) => return errors.push(format!("{shown}: {}", error.to_string().trim())),
            },
            Err(error) => return errors.push(format!("{shown}: {error}")),
        };
        for (name, value) in flatten(&table) {
            self.take(&name, &value, &format!("{shown}: {name}"), errors);
        }
    }

    fn take(&mut self, name: &str, value: &str, place: &str, errors: &mut Vec<String>) {
        match KEYS.iter().find(|key| key.is_named(name)) {
            Some(key) => note(errors, place, (key.set)(self, value)),
            None => errors.push(format!("{place}: unknown key{}", nearest(name))),
        }
    }
}

fn note(errors: &mut Vec<String>, place: &str, result: Result<(), String>) {
    if let Err(error) = result {
        errors.push(format!("{place}: {error}"));
    }
}

/// `[fleet] driver = "x"` as `fleet.driver`, `x`.
fn flatten(table: &toml::Table) -> Vec<(String, String)> {
    let mut flat = Vec::new();
    for (name, value) in table {
        match value {
            toml::Value::Table(inner) => {
                flat.extend(flatten(inner).into_iter().map(|(k, v)| (format!("{name}.{k}"), v)));
            }
            toml::Value::String(text) => flat.push((name.clone(), text.clone())),
            other => flat.push((name.clone(), other.to_string())),
        }
    }
    flat
}

fn nearest(name: &str) -> String {
    let leaf = name.rsplit('.').next().unwrap_or(name);
    match KEYS.iter().find(|key| key.name.ends_with(leaf) || leaf.ends_with(key.name)) {
        Some(key) => format!(" (did you mean `{}`?)", key.name),
        None => {
            format!("; known are {}", KEYS.iter().map(|k| k.name).collect::<Vec<_>>().join(", "))
        }
    }
}

fn default_data_dir(is_root: bool, environment: &[(String, String)]) -> PathBuf {
    let variable = |name: &str| {
        environment.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| PathBuf::from(v))
    };
    if is_root {
        return "/var/lib/morgana".into();
    }
    variable("XDG_DATA_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local/share")))
        .unwrap_or_else(|| ".".into())
        .join("morgana")
}
