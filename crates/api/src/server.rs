//! Listeners and connections: our own accept loops, so that limits hold and peers are known.

use std::{
    io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    ApiConfig, Handles, answer::answer, auth::Hosts, live::Hub, peer::Peer, routes, state::App,
    write_deadline::WriteDeadline,
};

/// Most bytes that a connection buffers in each direction.
const BUFFER_BYTES: usize = 64 * 1024;
/// Time for the head of a request to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Pause after `accept` failed, which it does when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the control surface cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The TCP address cannot be used.
    #[error("cannot listen on {addr}")]
    Tcp {
        /// Which.
        addr: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The UNIX socket cannot be used.
    #[error("cannot listen on the socket `{path}`")]
    Socket {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The state cannot be read.
    #[error("cannot read the journal")]
    Store(#[from] store::StoreError),
}

/// The control surface before it listens.
pub struct Server {
    config: ApiConfig,
    handles: Handles,
}

impl Server {
    /// Nothing happens before [`Server::bind`].
    pub fn new(config: ApiConfig, handles: Handles) -> Self {
        Self { config, handles }
    }

    /// Opens the listeners. A socket file that nobody answers on is replaced.
    ///
    /// # Errors
    /// Where an address or the socket cannot be used, or the journal cannot be read.
    pub async fn bind(self) -> Result<Bound, BindError> {
        let tcp = match self.config.listen {
            Some(addr) => Some(
                TcpListener::bind(addr).await.map_err(|source| BindError::Tcp { addr, source })?,
            ),
            None => None,
        };
        let addr = tcp.as_ref().and_then(|listener| listener.local_addr().ok());
        let hosts = Hosts::new(addr, self.config.public_url.as_deref());
        let hub = Hub::new(self.handles.store.clone(), self.handles.bus.clone()).await?;
        let app = Arc::new(App::new(self.config, hosts, self.handles, Arc::new(hub)));
        let socket = match app.config.socket.clone() {
            Some(path) => {
                let opened = bind_socket(&path).await;
                let (listener, owner) =
                    opened.map_err(|source| BindError::Socket { path: path.clone(), source })?;
                app.set_owner(owner);
                Some((listener, path))
            }
            None => None,
        };
        Ok(Bound { addr, tcp, socket, app })
    }
}

/// The socket and the user that it belongs to: the one that this process runs as.
async fn bind_socket(path: &Path) -> io::Result<(UnixListener, u32)> {
    if let Ok(found) = std::fs::symlink_metadata(path) {
        let abandoned = found.file_type().is_socket() && UnixStream::connect(path).await.is_err();
        if !abandoned {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    // Others may connect, and then have to log in.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    Ok((listener, std::fs::symlink_metadata(path)?.uid()))
}

/// The control surface with its listeners open; it answers once [`Bound::run`] runs.
pub struct Bound {
    addr: Option<SocketAddr>,
    tcp: Option<TcpListener>,
    socket: Option<(UnixListener, PathBuf)>,
    app: Arc<App>,
}

impl Bound {
    /// The TCP address, with the port that the system chose where 0 was asked for.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.addr
    }

    /// Answers until `stop`; then ends the streams, lets requests finish within the grace
    /// period and cuts the rest.
    pub async fn run(self, stop: CancellationToken) {
        let Self { tcp, socket, app, .. } = self;
        let mut feeds = JoinSet::new();
        let (hub, until) = (app.hub.clone(), stop.clone());
        feeds.spawn(async move { hub.follow_journal(until).await });
        let (hub, until) = (app.hub.clone(), stop.clone());
        feeds.spawn(async move { hub.follow_bus(until).await });

        let door = Door {
            router: routes::router(app.clone()),
            room: Arc::new(Semaphore::new(app.config.limits.connections)),
            app: app.clone(),
            stop: stop.clone(),
        };
        let path = socket.as_ref().map(|(_, path)| path.clone());
        let end_streams = async {
            stop.cancelled().await;
            app.stop.cancel();
        };
        let tcp = async {
            if let Some(listener) = tcp {
                door.serve_tcp(listener).await;
            }
        };
        let unix = async {
            if let Some((listener, _)) = socket {
                door.serve_unix(listener).await;
            }
        };
        tokio::join!(tcp, unix, end_streams);
        if let Some(path) = path {
            let _ = std::fs::remove_file(path); // a left-over is replaced at the next start
        }
        feeds.shutdown().await;
    }
}

/// What accepts connections.
struct Door {
    router: Router,
    room: Arc<Semaphore>,
    app: Arc<App>,
    stop: CancellationToken,
}

impl Door {
    async fn serve_tcp(&self, listener: TcpListener) {
        let mut open = JoinSet::new();
        while let Some((stream, addr)) = self.accept(&mut open, || listener.accept()).await {
            let _ = stream.set_nodelay(true); // costs latency only
            self.serve(&mut open, stream, Peer::Tcp(addr)).await;
        }
        drop(listener);
        self.drain(open).await;
    }

    async fn serve_unix(&self, listener: UnixListener) {
        let mut open = JoinSet::new();
        while let Some((stream, _)) = self.accept(&mut open, || listener.accept()).await {
            match stream.peer_cred() {
                Ok(peer) => self.serve(&mut open, stream, Peer::Unix { uid: peer.uid() }).await,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::debug!(error, "peer without credentials turned away");
                }
            }
        }
        drop(listener);
        self.drain(open).await;
    }

    /// The next connection; `None` at the end.
    async fn accept<S, A, F>(
        &self,
        open: &mut JoinSet<()>,
        accept: impl Fn() -> F,
    ) -> Option<(S, A)>
    where
        F: Future<Output = io::Result<(S, A)>>,
    {
        loop {
            // `accept` and `join_next` are cancel-safe.
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return None,
                Some(_) = open.join_next(), if !open.is_empty() => continue,
                accepted = accept() => accepted,
            };
            match accepted {
                Ok(connection) => return Some(connection),
                Err(error) => {
                    not_accepted(&error);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves a connection in a task of its own. Where as many are open as may be, waits: others
    /// queue in the kernel.
    async fn serve<S>(&self, open: &mut JoinSet<()>, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let room = tokio::select! {
            () = self.stop.cancelled() => return,
            room = self.room.clone().acquire_owned() => room,
        };
        let (router, app, stop) = (self.router.clone(), self.app.clone(), self.stop.clone());
        open.spawn(async move {
            let _room = room;
            let stream = WriteDeadline::new(stream, app.config.limits.write_timeout);
            serve_connection(stream, peer, router, app, stop).await;
        });
    }

    async fn drain(&self, mut open: JoinSet<()>) {
        let all_done = async { while open.join_next().await.is_some() {} };
        if tokio::time::timeout(self.app.config.limits.grace, all_done).await.is_err() {
            tracing::warn!(connections = open.len(), "connections cut at shutdown");
            open.shutdown().await;
        }
    }
}

fn not_accepted(error: &io::Error) {
    tracing::warn!(error = error as &dyn std::error::Error, "a connection could not be accepted");
}

/// Answers the requests of a connection until it ends.
///
/// A request that may change something is a task of its own, which is waited for: it is carried
/// to its end where its caller goes away in the midst of it, so that no change is without its
/// audit record. One that outlasts the grace period of a stop is refused by the store, which
/// closes next.
async fn serve_connection<S>(
    stream: S,
    peer: Peer,
    router: Router,
    app: Arc<App>,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let changes = TaskTracker::new();
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let (router, app, changes) = (router.clone(), app.clone(), changes.clone());
        async move {
            if request.method().is_safe() {
                return Ok(answer(&app, router, request.map(Body::new)).await);
            }
            let change = async move { answer(&app, router, request.map(Body::new)).await };
            changes.spawn(change).await
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = &error as &dyn std::error::Error, "connection ended early");
    }
    changes.close();
    changes.wait().await;
}
