//! Where a bus is and who we are there: parsed once, from what a person wrote.

use std::{fmt, path::PathBuf, str::FromStr};

/// The port of a NATS server where none is named.
pub const DEFAULT_PORT: u16 = 4222;

/// Where a bus listens.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Address {
    /// A UNIX socket.
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

/// What a client shows to be let in. Never printed.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Credentials {
    /// Nothing: over a UNIX socket the kernel says who we are.
    #[default]
    None,
    /// A user with a password.
    Password {
        /// The user's name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token.
    Token(String),
    /// The seed (`SU…`) of an Ed25519 key, which signs the server's nonce.
    Nkey(String),
}

/// How to talk to a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// `unix://` or a path: our client.
    Unix,
    /// `tcp://`: our client, in clear.
    Tcp,
    /// `nats://`: in clear unless the server demands TLS.
    Nats,
    /// `tls://`: TLS.
    Tls,
}

/// An address with its credentials, as in `nats://user:password@host:4222`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerUrl {
    /// How to talk to it.
    pub scheme: Scheme,
    /// Where it is.
    pub address: Address,
    /// Who we are there.
    pub credentials: Credentials,
}

/// Why a text is no [`ServerUrl`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressError {
    /// Nothing there.
    #[error("the bus's address is empty")]
    Empty,
    /// No scheme that we know.
    #[error("`{0}` is no scheme of a bus: unix, tcp, nats or tls")]
    Scheme(String),
    /// No host.
    #[error("the bus's address names no host")]
    Host,
    /// The port is not 1 to 65535.
    #[error("`{0}` is no port")]
    Port(String),
    /// `%` without two hexadecimal digits behind it.
    #[error("the credentials in the bus's address are not percent-encoded UTF-8")]
    Encoding,
    /// A file of credentials where the transport has no use for one.
    #[error("a file of credentials needs a nats:// or tls:// address and the feature for it")]
    CredentialsFile,
    /// The feature is off.
    #[error("this build cannot speak {0}")]
    NotCompiledIn(&'static str),
}

impl ServerUrl {
    /// The URL as nats clients write it, without credentials.
    pub fn without_credentials(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Unix => "unix",
            Scheme::Tcp => "tcp",
            Scheme::Nats => "nats",
            Scheme::Tls => "tls",
        };
        match &self.address {
            Address::Unix(path) => format!("{scheme}://{}", path.display()),
            Address::Tcp(at) => format!("{scheme}://{at}"),
        }
    }

    /// Whether the server is on this machine, so that nobody else can read along.
    pub fn is_local(&self) -> bool {
        let Address::Tcp(at) = &self.address else {
            return true;
        };
        let host = at.rsplit_once(':').map_or(at.as_str(), |(host, _)| host);
        let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
        host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
    }
}

impl FromStr for ServerUrl {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.starts_with(['/', '.']) {
            return Ok(at_path(text));
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("nats", text));
        match scheme {
            "unix" if rest.is_empty() => Err(AddressError::Host),
            "unix" => Ok(at_path(rest)),
            "tcp" => at_host(Scheme::Tcp, rest),
            "nats" => at_host(Scheme::Nats, rest),
            "tls" => at_host(Scheme::Tls, rest),
            other => Err(AddressError::Scheme(other.to_owned())),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        text.parse::<ServerUrl>().map(|url| url.address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(at) => f.write_str(at),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Password { user, .. } => {
                f.debug_struct("Password").field("user", user).finish_non_exhaustive()
            }
            Self::Token(_) => f.write_str("Token(…)"),
            Self::Nkey(_) => f.write_str("Nkey(…)"),
        }
    }
}

fn at_path(path: &str) -> ServerUrl {
    ServerUrl {
        scheme: Scheme::Unix,
        address: Address::Unix(path.into()),
        credentials: Credentials::None,
    }
}

fn at_host(scheme: Scheme, rest: &str) -> Result<ServerUrl, AddressError> {
    let rest = rest.trim_end_matches('/');
    let (credentials, host) = match rest.rsplit_once('@') {
        Some((who, host)) => (credentials(who)?, host),
        None => (Credentials::None, rest),
    };
    Ok(ServerUrl { scheme, address: Address::Tcp(with_port(host)?), credentials })
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`, with the default port where none is there.
fn with_port(host: &str) -> Result<String, AddressError> {
    let bracket = host.rfind(']').map_or(0, |at| at + 1);
    let (name, port) = match host[bracket..].rfind(':') {
        Some(colon) => (&host[..bracket + colon], &host[bracket + colon + 1..]),
        None => (host, ""),
    };
    if name.is_empty() {
        return Err(AddressError::Host);
    }
    match port {
        "" => Ok(format!("{name}:{DEFAULT_PORT}")),
        port => match port.parse::<u16>() {
            Ok(number) if number > 0 => Ok(format!("{name}:{number}")),
            _ => Err(AddressError::Port(port.to_owned())),
        },
    }
}

fn credentials(who: &str) -> Result<Credentials, AddressError> {
    match who.split_once(':') {
        Some((user, password)) => Ok(Credentials::Password {
            user: percent_decoded(user)?,
            password: percent_decoded(password)?,
        }),
        None => percent_decoded(who).map(Credentials::Token),
    }
}

fn percent_decoded(text: &str) -> Result<String, AddressError> {
    let (mut decoded, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digits = rest.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let value = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        decoded.push(value.ok_or(AddressError::Encoding)?);
        rest = &rest[2..];
    }
    String::from_utf8(decoded).map_err(|_| AddressError::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_a_person_writes() {
        for (text, expected) in [
            ("/run/bus.sock", "unix:///run/bus.sock None"),
            ("./bus.sock", "unix://./bus.sock None"),
            ("unix:///run/bus.sock", "unix:///run/bus.sock None"),
            ("nats://h", "nats://h:4222 None"),
            ("h", "nats://h:4222 None"),
            ("h:4333", "nats://h:4333 None"),
            ("tcp://127.0.0.1:1/", "tcp://127.0.0.1:1 None"),
            ("tls://[::1]", "tls://[::1]:4222 None"),
            ("nats://[::1]:5", "nats://[::1]:5 None"),
            ("nats://ann:p%40ss@h", "nats://h:4222 Password { user: \"ann\", .. }"),
            ("nats://secret@h:1", "nats://h:1 Token(…)"),
            ("", "the bus's address is empty"),
            ("nats://", "the bus's address names no host"),
            ("unix://", "the bus's address names no host"),
            ("nats://:4222", "the bus's address names no host"),
            ("nats://h:x", "`x` is no port"),
            ("nats://h:0", "`0` is no port"),
            ("http://h", "`http` is no scheme of a bus: unix, tcp, nats or tls"),
            (
                "nats://a:%zz@h",
                "the credentials in the bus's address are not percent-encoded UTF-8",
            ),
        ] {
            let shown = match text.parse::<ServerUrl>() {
                Ok(url) => format!("{} {:?}", url.without_credentials(), url.credentials),
                Err(error) => error.to_string(),
            };
            assert_eq!(shown, expected, "{text}");
        }
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let url: ServerUrl = "nats://ann:p%40s%3As@h".parse().unwrap();
        let expected = Credentials::Password { user: "ann".into(), password: "p@s:s".into() };
        assert_eq!(url.credentials, expected);
        assert!(!format!("{url:?}").contains("p@s"));
    }

    #[test]
    fn loopback_and_sockets_are_local() {
        for (text, local) in [
            ("/s", true),
            ("nats://localhost", true),
            ("nats://127.9.9.9:1", true),
            ("nats://[::1]:1", true),
            ("nats://10.0.0.1", false),
            ("nats://example.org", false),
        ] {
            assert_eq!(text.parse::<ServerUrl>().unwrap().is_local(), local, "{text}");
        }
    }
}
