//! The other end: this crate's own client, to a server that demands TLS.
//!
//! Handshake and copies run in a task of their own; the client has the clear side, a socket pair.
//! That task ends with either side, and when the client lets go of the pair.

use std::{io, path::Path, sync::Arc};

use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{
    TlsConnector,
    rustls::{self, ClientConfig, RootCertStore, pki_types::ServerName},
};

use super::{TlsError, certificates, relay};

/// Makes TLS of a connection to `host` (a name or an address, without a port) and answers the clear
/// side of it. The server's certificate must be for `host` and signed by one of `roots` (PEM), or
/// of the system where there are none.
///
/// # Errors
/// No usable roots, or the handshake fails: its reason is the server's certificate as a rule.
pub(crate) async fn upgrade(
    stream: TcpStream,
    host: &str,
    roots: Option<&Path>,
) -> Result<UnixStream, TlsError> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| TlsError::Handshake(io::Error::other(error)))?;
    let tls = connector(roots)?.connect(name, stream).await.map_err(TlsError::Handshake)?;
    let (near, mut far) = UnixStream::pair().map_err(TlsError::Handshake)?;
    tokio::spawn(async move {
        if let Err(error) = relay(tls, &mut far, b"").await {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, "a TLS connection to a bus ended early");
        }
    });
    Ok(near)
}

fn connector(roots: Option<&Path>) -> Result<TlsConnector, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Certificate)?
        .with_root_certificates(store(roots)?)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn store(roots: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    match roots {
        Some(path) => {
            for root in certificates(path)? {
                store.add(root).map_err(|error| TlsError::Roots(error.to_string()))?;
            }
        }
        // Systems have roots that nobody can use; the others count.
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    match store.is_empty() {
        true => Err(TlsError::Roots("this system has none; name a file".into())),
        false => Ok(store),
    }
}
