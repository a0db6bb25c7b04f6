//! nats-server's configuration format, as far as a launcher that stands in for it needs it.
//!
//! Owns the format ([`parse`]: pure, text in, [`Map`] out) and what the keys mean
//! ([`ServerConf`]). It refuses to know the broker: the launcher turns a [`ServerConf`] into one.
//! Keys that nats-server does not know are errors here too; what it knows and we do not serve is an
//! error that says so, or a warning where a server without it is still of use.
//!
//! Bounded throughout: [`MAX_DEPTH`], [`MAX_VALUES`], [`MAX_TEXT_BYTES`], [`MAX_INCLUDES`].

mod access;
mod parser;
mod server;
mod value;

use std::{fmt, io, path::Path, sync::Arc};

pub use parser::{MAX_DEPTH, MAX_INCLUDES, MAX_TEXT_BYTES, MAX_VALUES, Outside, parse};
pub use server::{HandshakeFirst, JetStreamConf, Listen, ServerConf, TlsConf};
pub use value::{Map, Node, Value};

/// A place in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct ConfFault {
    /// Where.
    pub place: Place,
    /// What.
    pub what: String,
}

/// Reads a configuration file and what it includes, with variables from the environment.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path) -> Result<ServerConf, Vec<ConfFault>> {
    let name = path.display().to_string();
    let unreadable = |err: io::Error| {
        let place = Place { file: name.as_str().into(), line: 0 };
        vec![ConfFault { place, what: format!("cannot be read: {err}") }]
    };
    let text = read(path).map_err(unreadable)?;
    let outside = Outside { include: &read, variable: &|name| std::env::var(name).ok() };
    let map = parse(&name, &text, &outside).map_err(|fault| vec![fault])?;
    ServerConf::new(map)
}

fn read(path: &Path) -> io::Result<String> {
    use io::Read;
    let mut text = String::new();
    let limit = MAX_TEXT_BYTES as u64 + 1;
    std::fs::File::open(path)?.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests;
