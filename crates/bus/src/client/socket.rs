//! A connected socket of either kind, read and written without waiting.

use std::io;

use rustix::net::{Shutdown, shutdown};
use tokio::{
    io::{Interest, Ready},
    net::{TcpStream, UnixStream},
};

use super::Address;

/// Bytes that one read takes at most.
const READ_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    pub(super) async fn connect(address: &Address) -> io::Result<Self> {
        match address {
            Address::Unix(path) => UnixStream::connect(path).await.map(Self::Unix),
            Address::Tcp(at) => {
                let stream = TcpStream::connect(at.as_str()).await?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
        }
    }

    /// The clear side of TLS over it.
    #[cfg(feature = "tls")]
    pub(super) async fn encrypted(
        self,
        address: &Address,
        roots: Option<&std::path::Path>,
    ) -> Result<Self, crate::tls::TlsError> {
        match (self, address) {
            (Self::Tcp(stream), Address::Tcp(at)) => {
                let host = at.rsplit_once(':').map_or(at.as_str(), |(host, _)| host);
                let host = host.trim_start_matches('[').trim_end_matches(']');
                crate::tls::client::upgrade(stream, host, roots).await.map(Self::Unix)
            }
            // The kernel vouches for both ends.
            (socket, _) => Ok(socket),
        }
    }

    /// Returns once the socket may be readable, or writable where `writing`. Cancel-safe.
    pub(super) async fn ready(&self, writing: bool) -> io::Result<Ready> {
        let interest =
            if writing { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        match self {
            Self::Tcp(stream) => stream.ready(interest).await,
            Self::Unix(stream) => stream.ready(interest).await,
        }
    }

    /// Appends what there is to `into`; `None` where there is nothing now, 0 at the end.
    pub(super) fn read(&self, into: &mut bytes::BytesMut) -> io::Result<Option<usize>> {
        into.reserve(READ_BYTES);
        not_now(match self {
            Self::Tcp(stream) => stream.try_read_buf(into),
            Self::Unix(stream) => stream.try_read_buf(into),
        })
    }

    /// Nothing more is written.
    pub(super) fn finish(&self) -> io::Result<()> {
        Ok(match self {
            Self::Tcp(stream) => shutdown(stream, Shutdown::Write),
            Self::Unix(stream) => shutdown(stream, Shutdown::Write),
        }?)
    }

    /// Writes the beginning of `bytes`; `None` where nothing fits now.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<Option<usize>> {
        not_now(match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
        })
    }
}

fn not_now(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
