//! The ways to a bus elsewhere: each makes connections for [`Bus`](crate::Bus) and knows one wire.
//!
//! What all of them share is in `wire`: how an event is written down, and that its topic is the
//! subject that it came under, never what its sender claims in the payload. They do not reconnect
//! and keep no subscriptions beyond a connection: the handle does.

mod client;
#[cfg(feature = "nats")]
mod nats;
pub(crate) mod wire;

use model::Ambient;

use crate::{
    Connector,
    client::{AddressError, Scheme, ServerUrl},
};
pub use client::ClientConnector;
#[cfg(feature = "nats")]
pub use nats::NatsConnector;
pub(crate) use wire::MAX_PAYLOAD_BYTES;

/// The connector for an address, see [`Bus::connect`](crate::Bus::connect). `name` is what the
/// server shows.
///
/// # Errors
/// Where `url` is no address, or one for which nothing is compiled in.
pub fn connector(
    url: &str,
    name: &str,
    ambient: &Ambient,
) -> Result<Box<dyn Connector>, AddressError> {
    let (plain, file) = split_creds(url);
    let server: ServerUrl = plain.parse()?;
    match server.scheme {
        Scheme::Unix | Scheme::Tcp if file.is_none() => {
            Ok(Box::new(ClientConnector::new(server, name, ambient.clone())))
        }
        Scheme::Unix | Scheme::Tcp => Err(AddressError::CredentialsFile),
        Scheme::Nats | Scheme::Tls => nats_connector(server, file, name, ambient),
    }
}

/// A URL without its `?creds=` and the path behind that.
fn split_creds(url: &str) -> (&str, Option<&str>) {
    url.split_once("?creds=").map_or((url, None), |(url, file)| (url, Some(file)))
}

#[cfg(feature = "nats")]
fn nats_connector(
    server: ServerUrl,
    file: Option<&str>,
    name: &str,
    _: &Ambient,
) -> Result<Box<dyn Connector>, AddressError> {
    Ok(Box::new(NatsConnector::new(server, file.map(Into::into), name)))
}

/// Without async-nats our own client speaks to a server in clear.
#[cfg(not(feature = "nats"))]
fn nats_connector(
    server: ServerUrl,
    file: Option<&str>,
    name: &str,
    ambient: &Ambient,
) -> Result<Box<dyn Connector>, AddressError> {
    match (server.scheme, file) {
        (Scheme::Tls, _) => Err(AddressError::NotCompiledIn("tls")),
        (_, Some(_)) => Err(AddressError::CredentialsFile),
        (_, None) => Ok(Box::new(ClientConnector::new(server, name, ambient.clone()))),
    }
}
