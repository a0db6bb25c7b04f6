//! Configuration: defaults, then the file, then the environment, then flags.
//!
//! One table, [`KEYS`], names every key; file, environment and `--set` all go through it, so a
//! key means the same wherever it comes from. Every error is reported, not only the first, and
//! each names its key and where it stood.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
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
    /// The inner bus.
    pub bus: BusChoice,
    /// What makes the network.
    pub driver: DriverChoice,
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

/// `bus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusChoice {
    /// Within the process.
    Embedded,
    /// Publishing is skipped; everything else goes on.
    Off,
}

/// `fleet.driver`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverChoice {
    /// Each decky has its own loopback address.
    Loopback,
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

/// One key: its name, what it means, and how its value is taken.
pub struct Key {
    /// Dotted, as in the file: `fleet.driver`.
    pub name: &'static str,
    /// One line for the reference.
    pub meaning: &'static str,
    set: fn(&mut Config, &str) -> Result<(), String>,
    show: fn(&Config) -> String,
}

impl Key {
    /// The environment variable of this key: `MORGANA_` and the name in upper case.
    pub fn variable(&self) -> String {
        format!("MORGANA_{}", self.name.replace('.', "_").to_uppercase())
    }

    /// The value that it has in `config`.
    pub fn value(&self, config: &Config) -> String {
        (self.show)(config)
    }
}

/// Every key there is.
pub const KEYS: &[Key] = &[
    Key {
        name: "data_dir",
        meaning: "directory of the database, its lock and the API socket",
        set: |c, v| path(v).map(|p| c.data_dir = p),
        show: |c| c.data_dir.display().to_string(),
    },
    Key {
        name: "listen",
        meaning: "address and port of the console and the REST API",
        set: |c, v| {
            parsed(v, "an address with a port, such as 127.0.0.1:8470").map(|a| c.listen = a)
        },
        show: |c| c.listen.to_string(),
    },
    Key {
        name: "socket",
        meaning: "path of the API's UNIX socket",
        set: |c, v| path(v).map(|p| c.socket = Some(p)),
        show: |c| c.socket_path().display().to_string(),
    },
    Key {
        name: "bus",
        meaning: "the inner bus: embedded or off",
        set: |c, v| {
            choice(v, &[("embedded", BusChoice::Embedded), ("off", BusChoice::Off)])
                .map(|b| c.bus = b)
        },
        show: |c| {
            match c.bus {
                BusChoice::Embedded => "embedded",
                BusChoice::Off => "off",
            }
            .into()
        },
    },
    Key {
        name: "fleet.driver",
        meaning: "what makes the network: loopback or fake",
        set: |c, v| {
            choice(v, &[("loopback", DriverChoice::Loopback), ("fake", DriverChoice::Fake)])
                .map(|d| c.driver = d)
        },
        show: |c| {
            match c.driver {
                DriverChoice::Loopback => "loopback",
                DriverChoice::Fake => "fake",
            }
            .into()
        },
    },
    Key {
        name: "fleet.loopback_prefix",
        meaning: "first two octets of the loopback driver's addresses: 127.1 to 127.254",
        set: |c, v| prefix(v).map(|p| c.loopback_prefix = p),
        show: |c| format!("{}.{}", c.loopback_prefix[0], c.loopback_prefix[1]),
    },
    Key {
        name: "fleet.port_offset",
        meaning: "added to port numbers that the process may not bind (1024 to 50000)",
        set: |c, v| within(v, 1024, 50_000).map(|n| c.port_offset = n as u16),
        show: |c| c.port_offset.to_string(),
    },
    Key {
        name: "mutator.poll_seconds",
        meaning: "longest time that the mutator sleeps without looking (1 to 3600)",
        set: |c, v| within(v, 1, 3600).map(|n| c.poll = Duration::from_secs(n)),
        show: |c| c.poll.as_secs().to_string(),
    },
    Key {
        name: "mutator.lease_seconds",
        meaning: "how long a claimed mutation belongs to its mutator (2 to 600)",
        set: |c, v| within(v, 2, 600).map(|n| c.lease = Duration::from_secs(n)),
        show: |c| c.lease.as_secs().to_string(),
    },
    Key {
        name: "visitors.connections",
        meaning: "connections of visitors at once, in all (1 to 1000000)",
        set: |c, v| within(v, 1, 1_000_000).map(|n| c.limits.connections = n as usize),
        show: |c| c.limits.connections.to_string(),
    },
    Key {
        name: "visitors.connections_per_peer",
        meaning: "connections at once from one address (1 to 1000000)",
        set: |c, v| within(v, 1, 1_000_000).map(|n| c.limits.connections_per_peer = n as usize),
        show: |c| c.limits.connections_per_peer.to_string(),
    },
    Key {
        name: "visitors.session_bytes",
        meaning: "bytes that one session may send or receive (1024 to 10^12)",
        set: |c, v| within(v, 1024, 1_000_000_000_000).map(|n| c.limits.bytes = n),
        show: |c| c.limits.bytes.to_string(),
    },
    Key {
        name: "visitors.session_seconds",
        meaning: "longest session (1 to 604800)",
        set: |c, v| within(v, 1, 604_800).map(|n| c.limits.duration = Duration::from_secs(n)),
        show: |c| c.limits.duration.as_secs().to_string(),
    },
    Key {
        name: "visitors.idle_seconds",
        meaning: "longest silence within a session (1 to 86400)",
        set: |c, v| within(v, 1, 86_400).map(|n| c.limits.idle = Duration::from_secs(n)),
        show: |c| c.limits.idle.as_secs().to_string(),
    },
    Key {
        name: "log.level",
        meaning: "what is logged: error, warn, info, debug, trace, or by module as in RUST_LOG",
        set: |c, v| log_filter(v).map(|f| c.log = f),
        show: |c| c.log.clone(),
    },
    Key {
        name: "log.format",
        meaning: "how it is logged: text or json",
        set: |c, v| {
            choice(v, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
                .map(|f| c.log_format = f)
        },
        show: |c| {
            match c.log_format {
                LogFormat::Text => "text",
                LogFormat::Json => "json",
            }
            .into()
        },
    },
];

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
            bus: BusChoice::Embedded,
            driver: DriverChoice::Loopback,
            loopback_prefix: [127, 66],
            port_offset: 20_000,
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
            let variable = key.variable();
            if let Some((_, value)) = sources.environment.iter().find(|(name, _)| *name == variable)
            {
                note(&mut errors, &variable, (key.set)(&mut config, value));
            }
        }
        for (name, value) in &sources.flags {
            config.take(name, value, &format!("--set {name}"), &mut errors);
        }
        if errors.is_empty() { Ok(config) } else { Err(ConfigErrors(errors)) }
    }

    /// Where the API's UNIX socket is.
    pub fn socket_path(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| self.data_dir.join("morgana.sock"))
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
        match KEYS.iter().find(|key| key.name == name) {
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

fn parsed<T: FromStr>(value: &str, wanted: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("`{value}` is not {wanted}"))
}

fn path(value: &str) -> Result<PathBuf, String> {
    if value.is_empty() { Err("a path must not be empty".into()) } else { Ok(value.into()) }
}

fn within(value: &str, low: u64, high: u64) -> Result<u64, String> {
    match value.parse() {
        Ok(number) if (low..=high).contains(&number) => Ok(number),
        _ => Err(format!("`{value}` is not a whole number from {low} to {high}")),
    }
}

fn choice<T: Copy>(value: &str, words: &[(&str, T)]) -> Result<T, String> {
    let known = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
    words
        .iter()
        .find(|(word, _)| *word == value)
        .map(|(_, meaning)| *meaning)
        .ok_or_else(|| format!("`{value}` is not {}", known()))
}

fn prefix(value: &str) -> Result<[u8; 2], String> {
    match value.split_once('.').map(|(a, b)| (a, b.parse::<u8>())) {
        Some(("127", Ok(second @ 1..=254))) => Ok([127, second]),
        _ => Err(format!("`{value}` is not a prefix from 127.1 to 127.254")),
    }
}

fn log_filter(value: &str) -> Result<String, String> {
    match value.parse::<tracing_subscriber::EnvFilter>() {
        Ok(_) => Ok(value.into()),
        Err(error) => Err(format!("`{value}` is no log filter: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(
        file: Option<&str>,
        environment: &[(&str, &str)],
        flags: &[(&str, &str)],
    ) -> Result<Config, String> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("m.toml");
        let pairs = |list: &[(&str, &str)]| {
            list.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect()
        };
        let sources = Sources {
            file: file.map(|text| {
                std::fs::write(&path, text).expect("a file in it");
                path.clone()
            }),
            environment: pairs(environment),
            flags: pairs(flags),
        };
        let place = format!("{}", path.display());
        Config::load(false, &sources).map_err(|e| e.to_string().replace(&place, "FILE"))
    }

    #[test]
    fn later_sources_win() {
        let file =
            "listen = '127.0.0.1:1'\nbus = 'off'\n[fleet]\ndriver = 'fake'\nport_offset = 3000\n";
        let config = load(Some(file), &[("MORGANA_LISTEN", "127.0.0.1:2")], &[("bus", "embedded")]);
        let config = config.expect("all of it is right");
        assert_eq!(config.listen.port(), 2);
        assert_eq!(config.bus, BusChoice::Embedded);
        assert_eq!(config.driver, DriverChoice::Fake);
        assert_eq!(config.port_offset, 3000);
    }

    #[test]
    fn every_error_names_its_key() {
        let file = "lisen = 'x'\n[fleet]\ndriver = 'docker'\nloopback_prefix = '10.1'\n";
        let error =
            load(Some(file), &[("MORGANA_MUTATOR_POLL_SECONDS", "0")], &[("log.level", "[")])
                .expect_err("wrong");
        for part in [
            "configuration has 5 errors",
            "FILE: lisen: unknown key",
            "FILE: fleet.driver: `docker` is not loopback or fake",
            "FILE: fleet.loopback_prefix: `10.1` is not a prefix",
            "MORGANA_MUTATOR_POLL_SECONDS: `0` is not a whole number from 1 to 3600",
            "--set log.level: `[` is no log filter",
        ] {
            assert!(error.contains(part), "{part:?} is missing in {error}");
        }
    }

    #[test]
    fn a_file_that_is_no_toml_is_one_error() {
        let error = load(Some("listen = "), &[], &[]).expect_err("wrong");
        assert!(error.starts_with("configuration: FILE: "), "{error}");
    }

    #[test]
    fn every_default_is_accepted_as_a_value() {
        let defaults = Config::default_for(false, &[]);
        for key in KEYS {
            let mut config = defaults.clone();
            (key.set)(&mut config, &key.value(&defaults)).expect(key.name);
        }
    }

    #[test]
    fn data_goes_where_the_user_keeps_data() {
        let home = [("HOME".to_owned(), "/home/a".to_owned())];
        assert_eq!(Config::default_for(true, &home).data_dir, Path::new("/var/lib/morgana"));
        assert_eq!(
            Config::default_for(false, &home).data_dir,
            Path::new("/home/a/.local/share/morgana")
        );
    }
}
