//! HTTP monitoring: `/varz`, `/connz`, `/healthz`, with the keys of nats-server.
//!
//! Owns the listener and what the pages look like; refuses to know where the numbers come from
//! (a [`Source`], the broker's `stats()` as a rule). Reads only, says nothing about users' secrets,
//! and is meant for loopback: it asks nobody who he is.
//!
//! Bounded: [`MAX_CONNECTIONS`] at a time, one request each, [`MAX_HEAD_BYTES`] of it, ten seconds
//! for all of it.

mod pages;
mod process;
mod recent;
mod requests;

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    BoxFuture,
    broker::{Broker, BrokerStats},
};

pub use pages::Facts;
use recent::Recent;
pub use requests::Requests;

/// Connections at a time; more wait to be accepted.
pub const MAX_CONNECTIONS: usize = 64;
/// The longest request line with headers.
pub const MAX_HEAD_BYTES: usize = 16 * 1024;
/// For one request and its answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long nothing is accepted when descriptors ran out.
const BREATHE: Duration = Duration::from_millis(100);

/// Where the numbers come from; nothing once the broker ended.
pub type Source = Arc<dyn Fn() -> BoxFuture<'static, Option<Arc<BrokerStats>>> + Send + Sync>;

/// The monitoring server, listening.
pub struct Monitor {
    listener: TcpListener,
    pages: Arc<Pages>,
}

struct Pages {
    facts: Facts,
    source: Source,
}

impl Monitor {
    /// Listens on `addr`; port 0 is any.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub async fn bind(addr: SocketAddr, facts: Facts, source: Source) -> io::Result<Monitor> {
        let listener = TcpListener::bind(addr).await?;
        let facts = Facts { http: Some(listener.local_addr()?), ..facts };
        Ok(Monitor { listener, pages: Arc::new(Pages { facts, source }) })
    }

    /// Where it listens, with the port that it got.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.pages.facts.http
    }

    /// Serves until `stop`. What is under way then is cut: it is numbers.
    pub async fn run(self, stop: CancellationToken) {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut serving = JoinSet::new();
        loop {
            while serving.try_join_next().is_some() {}
            // Cancel-safe: a permit or a connection that was not handed out yet is not lost.
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = accept(&self.listener, &room) => accepted,
            };
            match accepted {
                Ok((stream, permit)) => {
                    let pages = Arc::clone(&self.pages);
                    serving.spawn(async move {
                        serve(stream, pages).await;
                        drop(permit);
                    });
                }
                Err(_) => tokio::time::sleep(BREATHE).await,
            }
        }
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

async fn serve(stream: TcpStream, pages: Arc<Pages>) {
    let service = service_fn(|request: Request<Incoming>| {
        let pages = Arc::clone(&pages);
        async move { Ok::<_, Infallible>(pages.answer(&request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    // Whoever went away or sent no HTTP has nothing to be told.
    let _ = tokio::time::timeout(DEADLINE, connection).await;
}

impl Pages {
    async fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered");
        }
        let query = request.uri().query().unwrap_or_default();
        match request.uri().path() {
            "/" => html(pages::INDEX),
            "/varz" => self.with_stats(|stats| Ok(pages::varz(&self.facts, stats))).await,
            "/connz" => self.with_stats(|stats| pages::connz(query, stats)).await,
            "/healthz" => self.with_stats(|_| Ok(pages::healthy())).await,
            _ => text(StatusCode::NOT_FOUND, "404 page not found"),
        }
    }

    async fn with_stats(
        &self,
        page: impl FnOnce(&BrokerStats) -> Result<Vec<u8>, String>,
    ) -> Response<Full<Bytes>> {
        match (self.source)().await.as_deref().map(page) {
            Some(Ok(json)) => with_type(StatusCode::OK, "application/json", json),
            Some(Err(fault)) => text(StatusCode::BAD_REQUEST, fault),
            None => {
                let json = pages::unavailable();
                with_type(StatusCode::SERVICE_UNAVAILABLE, "application/json", json)
            }
        }
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    with_type(status, "text/plain; charset=utf-8", body)
}

fn html(body: &'static str) -> Response<Full<Bytes>> {
    with_type(StatusCode::OK, "text/html; charset=utf-8", body)
}

fn with_type(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// The numbers of a broker, at most a tenth of a second old.
pub fn of(broker: &Broker) -> Source {
    let recent = Arc::new(Recent::new(broker));
    Arc::new(move || {
        let recent = Arc::clone(&recent);
        Box::pin(async move { recent.stats().await })
    })
}

#[cfg(test)]
mod tests;
