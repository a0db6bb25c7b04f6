//! A way to a server that can be long, lose what the server says, and break.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinHandle,
    time::Instant,
};

/// Pieces on their way at most, each way.
const ON_THE_WAY: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Everything passes.
    Open,
    /// What the server says is lost.
    Mute,
    /// Connections end, and none is made.
    Cut,
}

/// The way, until it is dropped.
pub(super) struct Proxy {
    way: Arc<watch::Sender<Way>>,
    port: u16,
    accepted: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(super) async fn to(server: u16) -> Self {
        Self::long(server, Duration::ZERO).await
    }

    /// One on which everything takes this long, each way.
    pub(super) async fn long(server: u16, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let way = Arc::new(watch::channel(Way::Open).0);
        let accepted = Arc::<AtomicUsize>::default();
        let (ways, count) = (way.clone(), accepted.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                if *ways.borrow() != Way::Cut {
                    tokio::spawn(carry(client, server, ways.subscribe(), delay));
                }
            }
        });
        Self { way, port, accepted, accepting }
    }

    /// How many connections came.
    pub(super) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(super) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(super) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn carry(client: TcpStream, server: u16, mut way: watch::Receiver<Way>, delay: Duration) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let mute = way.clone();
    tokio::select! {
        () = copy(from_client, to_server, None, delay) => {}
        () = copy(from_server, to_client, Some(mute), delay) => {}
        _ = way.wait_for(|way| *way == Way::Cut) => {}
    }
}

/// Copies until an end, each piece after its delay; drops what comes while the way is mute.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: Option<watch::Receiver<Way>>,
    delay: Duration,
) {
    let (pieces, mut coming) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    let read = async move {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let is_lost = way.as_ref().is_some_and(|way| *way.borrow() == Way::Mute);
            let piece = (Instant::now() + delay, buffer[..read].to_vec());
            if !is_lost && pieces.send(piece).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = coming.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(read, write);
}
