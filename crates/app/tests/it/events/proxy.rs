//! A way to a server that can lose what the server says, and break.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

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
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(super) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let way = Arc::new(watch::channel(Way::Open).0);
        let ways = way.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *ways.borrow() != Way::Cut {
                    tokio::spawn(carry(client, server, ways.subscribe()));
                }
            }
        });
        Self { way, port, accepting }
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

async fn carry(client: TcpStream, server: u16, mut way: watch::Receiver<Way>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let mute = way.clone();
    tokio::select! {
        () = copy(from_client, to_server, None) => {}
        () = copy(from_server, to_client, Some(mute)) => {}
        _ = way.wait_for(|way| *way == Way::Cut) => {}
    }
}

/// Copies until an end; drops what comes while the way is mute.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Option<watch::Receiver<Way>>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let is_lost = way.as_ref().is_some_and(|way| *way.borrow() == Way::Mute);
        if !is_lost && to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
