//! Moves one client's frames into its response body.
//!
//! The body is asked for more only when the socket has room: a client that does not read costs
//! its buffers and nothing else until the connection's write timeout cuts it.

use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Client, Hub, Need, Outbox, Snapshot, StreamFault, Unread};
use crate::permits::Permit;

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Reads the state that a stream begins with.
pub(crate) type Snapshots = Box<dyn Fn() -> Pending<Result<Snapshot, StreamFault>> + Send + Sync>;

/// How often a stream asks again whether its login holds; ends of logins that happen in this
/// process do not wait for it.
const RECHECK: Duration = Duration::from_secs(10);
/// When it asks first: a login may have ended while the stream was being opened.
const FIRST_RECHECK: Duration = Duration::from_millis(500);

/// What keeps a stream open.
pub(crate) struct Guard {
    pub(crate) permit: Permit,
    /// Whether the login behind it still holds.
    pub(crate) still_holds: Box<dyn Fn() -> Pending<bool> + Send + Sync>,
    /// When the login ends at the latest.
    pub(crate) until: Option<Instant>,
}

/// One stream on its way to one client.
pub(crate) struct StreamBody {
    pub(crate) client: Client,
    pub(crate) hub: Arc<Hub>,
    pub(crate) changed: watch::Receiver<()>,
    pub(crate) snapshots: Snapshots,
    pub(crate) guard: Guard,
    pub(crate) stop: CancellationToken,
    recheck_at: Instant,
}

/// The service stops.
const STOPPING: StreamFault = StreamFault {
    code: "SHUTTING_DOWN",
    message: "the service is stopping; connect again",
    retryable: true,
};

impl StreamBody {
    pub(crate) fn new(
        client: Client,
        hub: Arc<Hub>,
        snapshots: Snapshots,
        guard: Guard,
        stop: CancellationToken,
    ) -> Self {
        let changed = hub.watch();
        let recheck_at = Instant::now() + FIRST_RECHECK;
        Self { client, hub, changed, snapshots, guard, stop, recheck_at }
    }

    /// As a response body.
    pub(crate) fn into_body(self) -> Body {
        let chunks = futures_util::stream::unfold(Box::new(self), |mut body| async move {
            let chunk = Box::pin(body.next_chunk()).await?;
            Some((Ok::<Bytes, Infallible>(chunk), body))
        });
        Body::from_stream(chunks)
    }

    /// The next bytes; `None` at the end.
    async fn next_chunk(&mut self) -> Option<Bytes> {
        let mut out = Outbox::default();
        loop {
            self.changed.borrow_and_update(); // before the look, so that no change is missed
            let need = self.poll(&mut out);
            if !out.is_empty() {
                return Some(out.take());
            }
            match need {
                Need::End => return None,
                Need::Room => {}
                Need::Snapshot => self.read_snapshot(&mut out).await,
                Need::Rows { after } => self.read_rows(after, &mut out).await,
                Need::Wait { until } => self.wait(until).await,
            }
        }
    }

    fn poll(&mut self, out: &mut Outbox) -> Need {
        let ring = self.hub.ring();
        if self.guard.permit.revoked.is_cancelled() {
            self.client.revoke(&ring, out);
        } else if self.stop.is_cancelled() {
            self.client.fail(&ring, STOPPING, out);
        }
        self.client.poll(self.hub.now(), &ring, self.hub.health(), out)
    }

    async fn read_snapshot(&mut self, out: &mut Outbox) {
        let revoked = self.guard.permit.revoked.clone();
        // A snapshot that is not waited for is read again or no longer wanted.
        tokio::select! {
            () = revoked.cancelled() => {}
            snapshot = (self.snapshots)() => match snapshot {
                Ok(snapshot) => self.client.snapshot(&self.hub.ring(), &snapshot, out),
                Err(fault) => self.client.fail(&self.hub.ring(), fault, out),
            },
        }
    }

    async fn read_rows(&mut self, after: u64, out: &mut Outbox) {
        match self.hub.page(after).await {
            Ok(page) => self.client.rows(page),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the journal cannot be read for a stream");
                let fault = StreamFault::unread(Unread::Journal);
                self.client.fail(&self.hub.ring(), fault, out);
            }
        }
    }

    /// Waits for something to do. Every branch is cancel-safe: nothing is taken out of them.
    async fn wait(&mut self, until: Duration) {
        let ends = self.guard.until;
        tokio::select! {
            _ = self.changed.changed() => {}
            () = tokio::time::sleep_until(self.hub.instant(until)) => {}
            () = self.guard.permit.revoked.cancelled() => {}
            () = self.stop.cancelled() => {}
            () = async { tokio::time::sleep_until(ends.unwrap_or_else(Instant::now)).await }, if ends.is_some() => {
                self.guard.permit.revoked.cancel();
            }
            () = tokio::time::sleep_until(self.recheck_at) => self.recheck().await,
        }
    }

    async fn recheck(&mut self) {
        self.recheck_at = Instant::now() + RECHECK;
        if !(self.guard.still_holds)().await {
            self.guard.permit.revoked.cancel();
        }
    }
}
