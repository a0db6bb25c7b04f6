//! Every key: its name, what it means, how its value is taken and shown.

use std::time::Duration;

use exports::Format;
use fleet::MacChoice;

use super::{
    BusSocket, Config, DriverChoice, LogFormat, bus,
    values::{
        choice, list_of, log_filter, loopback, maybe, networks, parsed, path, prefix, shown,
        within, word,
    },
};

/// One key: its name, what it means, and how its value is taken.
pub struct Key {
    /// Dotted, as in the file: `fleet.driver`.
    pub name: &'static str,
    /// One line for the reference.
    pub meaning: &'static str,
    /// Another name by which it may be set.
    pub(super) also: Option<&'static str>,
    pub(super) set: fn(&mut Config, &str) -> Result<(), String>,
    pub(super) show: fn(&Config) -> String,
}

impl Key {
    /// The environment variable of this key: `MORGANA_` and the name in upper case.
    pub fn variable(&self) -> String {
        variable(self.name)
    }

    /// Whether it is set by this name.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.name == name || self.also == Some(name)
    }

    /// The variables that set it, the usual one last: it wins.
    pub(super) fn variables(&self) -> impl Iterator<Item = String> {
        let also = self.also.map(variable);
        // The one that other programs know, too.
        let known = (self.name == "nats_url").then(|| "NATS_URL".to_owned());
        known.into_iter().chain(also).chain([self.variable()])
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
        also: None,
        set: |c, v| path(v).map(|p| c.data_dir = p),
        show: |c| c.data_dir.display().to_string(),
    },
    Key {
        name: "listen",
        meaning: "address and port of the console and the REST API",
        also: None,
        set: |c, v| {
            parsed(v, "an address with a port, such as 127.0.0.1:8470").map(|a| c.listen = a)
        },
        show: |c| c.listen.to_string(),
    },
    Key {
        name: "socket",
        meaning: "path of the API's UNIX socket",
        also: None,
        set: |c, v| path(v).map(|p| c.socket = Some(p)),
        show: |c| c.socket_path().display().to_string(),
    },
    Key {
        name: "nats_url",
        meaning: "NATS server for the lifecycle events, or off: the embedded stream; also NATS_URL; read anew on SIGHUP",
        also: None,
        set: |c, v| maybe(v, bus::server).map(|url| c.nats_url = url),
        show: |c| shown(c.nats_url.as_deref().map(bus::without_secrets)),
    },
    Key {
        name: "events.format",
        meaning: "how lifecycle events stand in messages: structured, binary or older-envelope",
        also: None,
        set: |c, v| {
            let known = Format::ALL.map(|format| (format.name(), format));
            choice(v, &known).map(|format| c.events_format = format)
        },
        show: |c| c.events_format.name().into(),
    },
    Key {
        name: "bus.mode",
        meaning: "the inner bus: embedded, off, or nats://host:port of a NATS server",
        also: Some("bus"),
        set: |c, v| bus::mode(v).map(|m| c.bus.mode = m),
        show: |c| c.bus.mode.to_string(),
    },
    Key {
        name: "bus.socket",
        meaning: "path of the bus's UNIX socket, or off; <data_dir>/bus.sock where unset",
        also: None,
        set: |c, v| maybe(v, path).map(|p| c.bus.socket = p.map_or(BusSocket::Off, BusSocket::At)),
        show: |c| shown(c.bus_socket_path().map(|p| p.display().to_string())),
    },
    Key {
        name: "bus.socket_group",
        meaning: "group whose members may use the bus's socket",
        also: None,
        set: |c, v| maybe(v, word).map(|g| c.bus.socket_group = g),
        show: |c| shown(c.bus.socket_group.as_ref()),
    },
    Key {
        name: "bus.listen",
        meaning: "address and port of the bus for NATS clients, or off; needs bus.users_file",
        also: None,
        set: |c, v| {
            let addr = |v: &str| parsed(v, "an address with a port, such as 127.0.0.1:4222");
            maybe(v, addr).map(|a| c.bus.listen = a)
        },
        show: |c| shown(c.bus.listen),
    },
    Key {
        name: "bus.tls_certificate",
        meaning: "certificate chain of bus.listen (PEM), or off; needed beyond loopback",
        also: None,
        set: |c, v| maybe(v, path).map(|p| c.bus.tls_certificate = p),
        show: |c| shown(c.bus.tls_certificate.as_ref().map(|p| p.display())),
    },
    Key {
        name: "bus.tls_key",
        meaning: "key of that certificate (PEM), or off",
        also: None,
        set: |c, v| maybe(v, path).map(|p| c.bus.tls_key = p),
        show: |c| shown(c.bus.tls_key.as_ref().map(|p| p.display())),
    },
    Key {
        name: "bus.users_file",
        meaning: "file with the users of the bus, or off; read anew when it changes and on SIGHUP",
        also: None,
        set: |c, v| maybe(v, path).map(|p| c.bus.users_file = p),
        show: |c| shown(c.bus.users_file.as_ref().map(|p| p.display())),
    },
    Key {
        name: "bus.monitor",
        meaning: "loopback address and port of /varz, /connz and /healthz, or off",
        also: None,
        set: |c, v| maybe(v, loopback).map(|a| c.bus.monitor = a),
        show: |c| shown(c.bus.monitor),
    },
    Key {
        name: "bus.streams_dir",
        meaning: "directory of the durable streams; <data_dir>/streams where unset",
        also: None,
        set: |c, v| path(v).map(|p| c.bus.streams_dir = Some(p)),
        show: |c| c.streams_dir().display().to_string(),
    },
    Key {
        name: "bus.sessions_bytes",
        meaning: "what the stream SESSIONS may hold before visitors wait (1048576 to 10^12)",
        also: None,
        set: |c, v| within(v, 1 << 20, 1_000_000_000_000).map(|n| c.bus.sessions_bytes = n),
        show: |c| c.bus.sessions_bytes.to_string(),
    },
    Key {
        name: "bus.connections",
        meaning: "clients of the bus at once (1 to 1000000)",
        also: None,
        set: |c, v| within(v, 1, 1_000_000).map(|n| c.bus.limits.connections = n),
        show: |c| c.bus.limits.connections.to_string(),
    },
    Key {
        name: "bus.subscriptions_per_client",
        meaning: "subscriptions of one client of the bus (1 to 10000000)",
        also: None,
        set: |c, v| within(v, 1, 10_000_000).map(|n| c.bus.limits.subscriptions_per_client = n),
        show: |c| c.bus.limits.subscriptions_per_client.to_string(),
    },
    Key {
        name: "bus.payload_bytes",
        meaning: "largest message of a client of the bus (1024 to 67108864)",
        also: None,
        set: |c, v| within(v, 1024, 64 << 20).map(|n| c.bus.limits.payload_bytes = n),
        show: |c| c.bus.limits.payload_bytes.to_string(),
    },
    Key {
        name: "bus.pending_bytes_per_client",
        meaning: "what waits for a client that does not read before it is cut (65536 to 10^12)",
        also: None,
        set: |c, v| {
            within(v, 64 << 10, 1_000_000_000_000)
                .map(|n| c.bus.limits.pending_bytes_per_client = n)
        },
        show: |c| c.bus.limits.pending_bytes_per_client.to_string(),
    },
    Key {
        name: "bus.pending_bytes",
        meaning: "what waits for all clients of the bus together (65536 to 10^12)",
        also: None,
        set: |c, v| within(v, 64 << 10, 1_000_000_000_000).map(|n| c.bus.limits.pending_bytes = n),
        show: |c| c.bus.limits.pending_bytes.to_string(),
    },
    Key {
        name: "fleet.driver",
        meaning: "what makes the network: loopback, netns (needs root) or fake",
        also: None,
        set: |c, v| {
            let known = [
                ("loopback", DriverChoice::Loopback),
                ("netns", DriverChoice::Netns),
                ("fake", DriverChoice::Fake),
            ];
            choice(v, &known).map(|d| c.driver = d)
        },
        show: |c| {
            match c.driver {
                DriverChoice::Loopback => "loopback",
                DriverChoice::Netns => "netns",
                DriverChoice::Fake => "fake",
            }
            .into()
        },
    },
    Key {
        name: "fleet.uplink",
        meaning: "interface where netns deckies meet the network; off makes one, morgana0",
        also: None,
        set: |c, v| maybe(v, word).map(|name| c.netns.uplink = name),
        show: |c| shown(c.netns.uplink.as_ref()),
    },
    Key {
        name: "fleet.uplink_mac",
        meaning: "hardware addresses of netns deckies: own, or host for networks that drop others",
        also: None,
        set: |c, v| {
            let known = [("own", MacChoice::Own), ("host", MacChoice::Host)];
            choice(v, &known).map(|mac| c.netns.uplink_mac = mac)
        },
        show: |c| {
            match c.netns.uplink_mac {
                MacChoice::Own => "own",
                MacChoice::Host => "host",
            }
            .into()
        },
    },
    Key {
        name: "fleet.personalities",
        meaning: "directory with more personalities for netns deckies, or off",
        also: None,
        set: |c, v| maybe(v, path).map(|p| c.netns.personalities = p),
        show: |c| shown(c.netns.personalities.as_ref().map(|p| p.display())),
    },
    Key {
        name: "fleet.protected",
        meaning: "subnets, by commas, of which netns deckies never take an address",
        also: None,
        set: |c, v| networks(v).map(|list| c.netns.protected = list),
        show: |c| list_of(&c.netns.protected),
    },
    Key {
        name: "fleet.listen_millis",
        meaning: "how long to listen for a real host before an address is taken (0 to 5000)",
        also: None,
        set: |c, v| within(v, 0, 5000).map(|n| c.netns.listen_first = Duration::from_millis(n)),
        show: |c| c.netns.listen_first.as_millis().to_string(),
    },
    Key {
        name: "fleet.user",
        meaning: "whom a service with netns deckies becomes, started as root; off finds one",
        also: None,
        set: |c, v| maybe(v, word).map(|name| c.netns.user = name),
        show: |c| shown(c.netns.user.as_ref()),
    },
    Key {
        name: "fleet.loopback_prefix",
        meaning: "first two octets of the loopback driver's addresses: 127.1 to 127.254",
        also: None,
        set: |c, v| prefix(v).map(|p| c.loopback_prefix = p),
        show: |c| format!("{}.{}", c.loopback_prefix[0], c.loopback_prefix[1]),
    },
    Key {
        name: "fleet.port_offset",
        meaning: "added to port numbers that the process may not bind (1024 to 50000)",
        also: None,
        set: |c, v| within(v, 1024, 50_000).map(|n| c.port_offset = n as u16),
        show: |c| c.port_offset.to_string(),
    },
    Key {
        name: "mutator.poll_seconds",
        meaning: "longest time that the mutator sleeps without looking (1 to 3600)",
        also: None,
        set: |c, v| within(v, 1, 3600).map(|n| c.poll = Duration::from_secs(n)),
        show: |c| c.poll.as_secs().to_string(),
    },
    Key {
        name: "mutator.lease_seconds",
        meaning: "how long a claimed mutation belongs to its mutator (2 to 600)",
        also: None,
        set: |c, v| within(v, 2, 600).map(|n| c.lease = Duration::from_secs(n)),
        show: |c| c.lease.as_secs().to_string(),
    },
    Key {
        name: "visitors.connections",
        meaning: "connections of visitors at once, in all (1 to 1000000)",
        also: None,
        set: |c, v| within(v, 1, 1_000_000).map(|n| c.limits.connections = n as usize),
        show: |c| c.limits.connections.to_string(),
    },
    Key {
        name: "visitors.connections_per_peer",
        meaning: "connections at once from one address (1 to 1000000)",
        also: None,
        set: |c, v| within(v, 1, 1_000_000).map(|n| c.limits.connections_per_peer = n as usize),
        show: |c| c.limits.connections_per_peer.to_string(),
    },
    Key {
        name: "visitors.session_bytes",
        meaning: "bytes that one session may send or receive (1024 to 10^12)",
        also: None,
        set: |c, v| within(v, 1024, 1_000_000_000_000).map(|n| c.limits.bytes = n),
        show: |c| c.limits.bytes.to_string(),
    },
    Key {
        name: "visitors.session_seconds",
        meaning: "longest session (1 to 604800)",
        also: None,
        set: |c, v| within(v, 1, 604_800).map(|n| c.limits.duration = Duration::from_secs(n)),
        show: |c| c.limits.duration.as_secs().to_string(),
    },
    Key {
        name: "visitors.idle_seconds",
        meaning: "longest silence within a session (1 to 86400)",
        also: None,
        set: |c, v| within(v, 1, 86_400).map(|n| c.limits.idle = Duration::from_secs(n)),
        show: |c| c.limits.idle.as_secs().to_string(),
    },
    Key {
        name: "log.level",
        meaning: "what is logged: error, warn, info, debug, trace, or by module as in RUST_LOG",
        also: None,
        set: |c, v| log_filter(v).map(|f| c.log = f),
        show: |c| c.log.clone(),
    },
    Key {
        name: "log.format",
        meaning: "how it is logged: text or json",
        also: None,
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

fn variable(name: &str) -> String {
    format!("MORGANA_{}", name.replace('.', "_").to_uppercase())
}
