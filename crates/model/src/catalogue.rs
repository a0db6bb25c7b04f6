//! The catalogue: which services and archetypes exist, and which fit together.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A word outside a closed vocabulary.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("`{word}` is not a known {kind}; known are {known}")]
pub struct UnknownWord {
    /// The vocabulary.
    pub kind: &'static str,
    /// What was given, cut to 64 characters.
    pub word: String,
    /// What would have been accepted.
    pub known: String,
}

/// Declares an enum whose variants are words: as text, in JSON and in SQL the same.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $kind:literal { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),* }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(self.as_str()) }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    other => Err(UnknownWord {
                        kind: $kind,
                        word: other.chars().take(64).collect(),
                        known: [$($word),*].join(", "),
                    }),
                }
            }
        }
    };
}
pub(crate) use words;

words! {
    /// A decoy protocol.
    Service, "service" {
        /// Secure Shell.
        Ssh = "ssh",
        /// HTTP/1.1, in clear.
        Http = "http",
        /// File Transfer Protocol.
        Ftp = "ftp",
        /// Redis (RESP2).
        Redis = "redis",
        /// Simple Network Management Protocol, v1 and v2c.
        Snmp = "snmp",
    }
}

words! {
    /// What carries a service.
    Transport, "transport" {
        /// Connections.
        Tcp = "tcp",
        /// Datagrams.
        Udp = "udp",
    }
}

impl Service {
    /// The port where the real product listens by default.
    pub const fn port(self) -> u16 {
        match self {
            Self::Ssh => 22,
            Self::Http => 80,
            Self::Ftp => 21,
            Self::Redis => 6379,
            Self::Snmp => 161,
        }
    }

    /// What carries it. A port of one transport says nothing about that port of the other.
    pub const fn transport(self) -> Transport {
        match self {
            Self::Ssh | Self::Http | Self::Ftp | Self::Redis => Transport::Tcp,
            Self::Snmp => Transport::Udp,
        }
    }
}

words! {
    /// What kind of machine a decky pretends to be.
    Archetype, "archetype" {
        /// A general Linux server.
        LinuxServer = "linux-server",
        /// A web server.
        WebServer = "web-server",
        /// A database server.
        DatabaseServer = "database-server",
        /// A file server.
        FileServer = "file-server",
        /// A machine of the operations team.
        DevopsHost = "devops-host",
        /// A network printer.
        Printer = "printer",
        /// A machine that watches others.
        MonitoringNode = "monitoring-node",
    }
}

impl Archetype {
    /// The services that fit this kind of machine: what rotation picks from. The first is the
    /// one that a new decky gets when none is named.
    pub const fn pool(self) -> &'static [Service] {
        match self {
            Self::LinuxServer => &[Service::Ssh, Service::Http, Service::Ftp],
            Self::WebServer => &[Service::Http, Service::Ftp, Service::Ssh],
            Self::DatabaseServer => &[Service::Redis, Service::Ssh],
            Self::FileServer => &[Service::Ftp, Service::Ssh],
            Self::DevopsHost => &[Service::Ssh, Service::Http, Service::Redis],
            Self::Printer => &[Service::Snmp, Service::Ftp],
            Self::MonitoringNode => &[Service::Snmp, Service::Ssh],
        }
    }
}
