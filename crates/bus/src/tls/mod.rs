//! TLS, ended on the async side.
//!
//! Owns the TCP port where TLS is spoken, handshakes, and the two copies between a TLS connection
//! and its clear side, a socket pair whose other end the broker [adopts](Broker::adopt). It refuses
//! to know the protocol but for its first line: INFO, which the broker sends like to anybody, is
//! taken off, corrected (address, what is asked of clients) and sent in clear before the handshake,
//! or after it where TLS comes first.
//!
//! Bounded: as many connections as the broker takes, [`BUFFER`] bytes each way, a handshake within
//! [`TlsFiles::timeout`].

pub(crate) mod client;

use std::{
    io,
    net::SocketAddr,
    os::unix::net::UnixStream as StdUnixStream,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, RootCertStore, ServerConfig,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject},
        },
        server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    },
};
use tokio_util::sync::CancellationToken;

pub use crate::natsconf::HandshakeFirst;

use crate::{
    broker::{AdoptedPeer, Broker},
    proto::{ServerInfo, write},
};

/// Bytes that are under way in one direction of one connection, besides the kernel's.
pub const BUFFER: usize = 16 * 1024;
/// The longest INFO that is passed on.
const MAX_INFO: usize = 8 * 1024;
/// How long one write to either side may take: the broker's own default.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// For the broker to greet, and for what is left to be sent when one side ended.
const SHORTLY: Duration = Duration::from_secs(2);
/// How long nothing is accepted when descriptors ran out.
const BREATHE: Duration = Duration::from_millis(100);
/// The first byte of every TLS connection: a handshake record (RFC 8446, 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// What TLS is made of, as files.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate and those between it and its root (PEM).
    pub certificates: PathBuf,
    /// Its key (PEM).
    pub key: PathBuf,
    /// Who must have signed the certificates of clients (PEM); none: clients need no certificate.
    pub client_roots: Option<PathBuf>,
    /// How long a handshake may take; 2 s as a rule.
    pub timeout: Duration,
    /// Whether TLS begins before INFO.
    pub handshake_first: HandshakeFirst,
}

impl TlsFiles {
    /// For clients that need no certificate.
    pub fn new(certificates: impl Into<PathBuf>, key: impl Into<PathBuf>) -> TlsFiles {
        TlsFiles {
            certificates: certificates.into(),
            key: key.into(),
            client_roots: None,
            timeout: Duration::from_secs(2),
            handshake_first: HandshakeFirst::No,
        }
    }
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds no such thing.
    #[error("cannot take {what} from `{}`", path.display())]
    Pem {
        /// What was looked for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// Certificate and key are no pair, or not usable.
    #[error("certificate and key cannot be used")]
    Certificate(#[source] rustls::Error),
    /// The roots that certificates are checked against are not usable.
    #[error("the roots of certificates cannot be used: {0}")]
    Roots(String),
    /// The other side did not agree.
    #[error("the TLS handshake failed")]
    Handshake(#[source] io::Error),
    /// The address is taken or not ours.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// TLS, ready for connections.
#[derive(Clone)]
pub struct TlsSettings {
    acceptor: TlsAcceptor,
    verifies: bool,
    timeout: Duration,
    first: HandshakeFirst,
}

impl TlsSettings {
    /// Reads the files.
    ///
    /// # Errors
    /// The first that is no good.
    pub fn load(files: &TlsFiles) -> Result<TlsSettings, TlsError> {
        let chain = certificates(&files.certificates)?;
        let key =
            PrivateKeyDer::from_pem_file(&files.key).map_err(pem_error("a key", &files.key))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = client_verifier(files.client_roots.as_deref(), &provider)?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Certificate)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(TlsError::Certificate)?;
        Ok(TlsSettings {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            verifies: files.client_roots.is_some(),
            timeout: files.timeout,
            first: files.handshake_first,
        })
    }
}

fn pem_error(what: &'static str, path: &Path) -> impl FnOnce(pem::Error) -> TlsError {
    let path = path.into();
    move |source| TlsError::Pem { what, path, source }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let all: Vec<_> = all.map_err(pem_error("certificates", path))?;
    if all.is_empty() {
        return Err(pem_error("certificates", path)(pem::Error::NoItemsFound));
    }
    Ok(all)
}

fn client_verifier(
    roots: Option<&Path>,
    provider: &Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Some(path) = roots else { return Ok(WebPkiClientVerifier::no_client_auth()) };
    let mut store = RootCertStore::empty();
    for root in certificates(path)? {
        store.add(root).map_err(|err| TlsError::Roots(err.to_string()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider))
        .build()
        .map_err(|err| TlsError::Roots(err.to_string()))
}

/// The TCP port where clients speak TLS.
pub struct TlsListener {
    listener: TcpListener,
    door: Arc<Door>,
    room: Arc<Semaphore>,
}

/// What every connection needs to know.
struct Door {
    addr: SocketAddr,
    settings: TlsSettings,
    broker: Broker,
}

impl TlsListener {
    /// Listens on `addr` for at most `max_connections` clients of `broker`; port 0 is any.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub async fn bind(
        addr: SocketAddr,
        settings: TlsSettings,
        max_connections: usize,
        broker: Broker,
    ) -> Result<TlsListener, TlsError> {
        let failed = |source| TlsError::Listen { addr, source };
        let listener = TcpListener::bind(addr).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let room = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
        Ok(TlsListener { listener, door: Arc::new(Door { addr, settings, broker }), room })
    }

    /// Where it listens, with the port that it got.
    pub fn addr(&self) -> SocketAddr {
        self.door.addr
    }

    /// Accepts until `closed`, and serves what it accepted until `stop`.
    pub async fn run(self, closed: CancellationToken, stop: CancellationToken) {
        let TlsListener { listener, door, room } = self;
        let mut serving = JoinSet::new();
        loop {
            while serving.try_join_next().is_some() {}
            // Cancel-safe: nothing that was accepted is lost, it is handed out at once.
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                () = closed.cancelled() => break,
                accepted = accept(&listener, &room) => accepted,
            };
            match accepted {
                Ok((stream, peer, permit)) => {
                    serving.spawn(attend(Arc::clone(&door), stream, peer, permit));
                }
                Err(_) => tokio::time::sleep(BREATHE).await,
            }
        }
        drop(listener);
        // Cancel-safe: whoever is cut here is cut on purpose.
        tokio::select! {
            () = stop.cancelled() => {}
            () = async { while serving.join_next().await.is_some() {} } => {}
        }
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, permit))
}

async fn attend(
    door: Arc<Door>,
    stream: TcpStream,
    peer: SocketAddr,
    _permit: OwnedSemaphorePermit,
) {
    if let Err(err) = door.serve(stream, peer).await {
        let error = &err as &dyn std::error::Error;
        tracing::debug!(error, peer.addr = %peer, "a TLS connection ended early");
    }
}

impl Door {
    async fn serve(&self, mut stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let first = self.begins_with_tls(&stream).await?;
        if first {
            let tls = self.handshake(stream).await?;
            let (mut clear, info) = self.adopted(peer).await?;
            return relay(tls, &mut clear, &info).await;
        }
        let (mut clear, info) = self.adopted(peer).await?;
        send(&mut stream, &info).await?;
        let tls = self.handshake(stream).await?;
        relay(tls, &mut clear, b"").await
    }

    async fn begins_with_tls(&self, stream: &TcpStream) -> io::Result<bool> {
        match self.settings.first {
            HandshakeFirst::No => Ok(false),
            HandshakeFirst::Yes => Ok(true),
            HandshakeFirst::Within(time) => {
                let mut byte = [0];
                match timeout(time, stream.peek(&mut byte)).await {
                    Ok(peeked) => Ok(peeked? == 1 && byte[0] == HANDSHAKE_RECORD),
                    Err(_) => Ok(false),
                }
            }
        }
    }

    async fn handshake(
        &self,
        stream: TcpStream,
    ) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
        timeout(self.settings.timeout, self.settings.acceptor.accept(stream)).await?
    }

    /// A socket pair whose other end the broker has, and its INFO, corrected.
    async fn adopted(&self, peer: SocketAddr) -> io::Result<(UnixStream, Vec<u8>)> {
        let (near, far) = StdUnixStream::pair()?;
        near.set_nonblocking(true)?;
        let mut near = UnixStream::from_std(near)?;
        self.broker.adopt(far, AdoptedPeer { addr: peer, tls: true });
        let line = timeout(SHORTLY, first_line(&mut near)).await??;
        Ok((near, self.corrected(&line)))
    }

    /// What is no INFO (the broker refuses) is passed on as it is.
    fn corrected(&self, line: &[u8]) -> Vec<u8> {
        let json = line.strip_prefix(b"INFO ").map(|json| json.trim_ascii_end());
        let Some(Ok(mut info)) = json.map(ServerInfo::parse) else { return line.to_vec() };
        info.host = self.addr.ip().to_string();
        info.port = self.addr.port();
        info.tls_required = true;
        info.tls_verify = self.settings.verifies;
        let mut out = Vec::new();
        write::info(&mut out, &info.to_json());
        out
    }
}

/// Copies both ways until one side ends; what is left for the far side is still sent. A side that
/// takes nothing for [`WRITE_LIMIT`] has ended: the broker gives such a client up as well, but what
/// it does to the clear side is not seen while a write waits.
async fn relay<S>(tls: S, clear: &mut UnixStream, greeting: &[u8]) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut from_far, mut to_far) = tokio::io::split(tls);
    let (mut from_near, mut to_near) = clear.split();
    send(&mut to_far, greeting).await?;
    let outward = copy(&mut from_near, &mut to_far);
    tokio::pin!(outward);
    // Not cancel-safe, and need not be: each branch that is dropped belongs to a side that
    // nobody listens to any more.
    tokio::select! {
        sent = &mut outward => sent,
        received = copy(&mut from_far, &mut to_near) => {
            let rest = timeout(SHORTLY, outward).await;
            received.and(rest.unwrap_or(Ok(())))
        }
    }
}

/// Copies to the end, which is passed on; nothing is held back between two reads.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return timeout(SHORTLY, to.shutdown()).await?;
        }
        send(to, &buffer[..length]).await?;
    }
}

/// Writes all of it, within the limit.
async fn send(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    timeout(WRITE_LIMIT, async {
        to.write_all(bytes).await?;
        to.flush().await
    })
    .await?
}

/// The first line, with its end, byte by byte so that nothing behind it is taken.
async fn first_line(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        if line.len() == MAX_INFO {
            return Err(io::ErrorKind::InvalidData.into());
        }
        line.push(stream.read_u8().await?);
    }
    Ok(line)
}

#[cfg(test)]
mod tests;
