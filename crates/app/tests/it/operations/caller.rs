//! Requests as a client that repeats them sends them: with keys of its own, and with an ear for
//! every answer.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Nobody answers any more.
#[derive(Debug)]
pub(crate) struct Gone;

/// Asks the service on one socket.
pub(crate) struct Caller {
    socket: PathBuf,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether an earlier request had this answer already.
    pub(crate) is_replayed: bool,
    pub(crate) body: Value,
}

impl Answer {
    /// Why it was refused: the codes of the fields, or that of the whole.
    pub(crate) fn codes(&self) -> BTreeSet<&str> {
        let fields = self.body["errors"].as_array().into_iter().flatten();
        let codes: BTreeSet<&str> = fields.filter_map(|error| error["code"].as_str()).collect();
        if codes.is_empty() { self.body["code"].as_str().into_iter().collect() } else { codes }
    }
}

impl Caller {
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self { socket: data_dir.join("morgana.sock") }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Gone> {
        let answer = self.ask(Method::GET, path, None, None).await?;
        assert_eq!(answer.status, 200, "GET {path}: {:#}", answer.body);
        Ok(answer.body)
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        body: &Value,
        key: Option<&str>,
    ) -> Result<Answer, Gone> {
        self.ask(Method::POST, path, Some(body), key).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<Answer, Gone> {
        let asking = self.ask_without_limit(method, path, body, key);
        let answer = tokio::time::timeout(PATIENCE, asking).await;
        answer.unwrap_or_else(|_| panic!("{path} is not answered")).map_err(|_: Failed| Gone)
    }

    async fn ask_without_limit(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<Answer, Failed> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the answer: the connection is this request's alone.
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let response = sender.send_request(request.body(Full::new(bytes))?).await?;
        let status = response.status().as_u16();
        let is_replayed = response.headers().contains_key("idempotency-replayed");
        let bytes = response.into_body().collect().await?.to_bytes();
        Ok(Answer { status, is_replayed, body: serde_json::from_slice(&bytes)? })
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;
