//! The command line's way to the service: HTTP over its UNIX socket, and its event streams.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

/// Longest answer that is read into memory.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// Longest frame of a stream.
const MAX_FRAME_BYTES: usize = 16 << 20;

/// A client of the service on one socket.
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// Nothing is opened before the first request.
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Whether somebody listens on the socket. A socket that may not be opened counts as
    /// answered: its service is there, and a request says what is wrong.
    pub async fn is_answered(&self) -> bool {
        use std::io::ErrorKind::{ConnectionRefused, NotFound};
        match UnixStream::connect(&self.socket).await {
            Ok(_) => true,
            Err(error) => !matches!(error.kind(), NotFound | ConnectionRefused),
        }
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.request(Method::GET, path, None, None).await
    }

    /// `POST path`, with an idempotency key of its own.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let key = format!("{:032x}", rand::random::<u128>());
        self.request(Method::POST, path, Some(body), Some(&key)).await
    }

    /// `PATCH path`.
    pub async fn patch(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.request(Method::PATCH, path, Some(body), None).await
    }

    /// `DELETE path`.
    pub async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.request(Method::DELETE, path, None, None).await
    }

    /// An event stream: frames as they come.
    pub async fn stream(&self, path: &str) -> anyhow::Result<Frames> {
        let response = self.send(Method::GET, path, None, None).await?;
        if response.status() != StatusCode::OK {
            return Err(refusal(response).await);
        }
        Ok(Frames { body: response.into_body(), buffer: Vec::new() })
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> anyhow::Result<Value> {
        let response = self.send(method, path, body, key).await?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let bytes = read_all(response.into_body()).await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).context("the service sent no JSON")
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> anyhow::Result<Response<Incoming>> {
        let stream = UnixStream::connect(&self.socket).await.with_context(|| {
            let path = self.socket.display();
            format!("no service answers on {path}: is `morgana up` running as this user, with the same data_dir?")
        })?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the response: the connection is this request's alone.
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let bytes = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Bytes::from(serde_json::to_vec(body)?)
            }
            None => Bytes::new(),
        };
        Ok(sender.send_request(request.body(Full::new(bytes))?).await?)
    }
}

async fn read_all(body: Incoming) -> anyhow::Result<Bytes> {
    let limited = http_body_util::Limited::new(body, MAX_ANSWER_BYTES);
    match limited.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => bail!("the answer was cut off: {error}"),
    }
}

/// A problem of the service (RFC 9457) as an error that a person can act on.
async fn refusal(response: Response<Incoming>) -> anyhow::Error {
    let status = response.status();
    let problem: Value = match read_all(response.into_body()).await {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
        Err(error) => return error,
    };
    let errors = problem["errors"].as_array().map_or(&[][..], Vec::as_slice);
    if !errors.is_empty() {
        let part = |error: &Value, name: &str| error[name].as_str().unwrap_or_default().to_owned();
        let line = |e: &Value| {
            format!("{}: {} ({})", part(e, "field"), part(e, "message"), part(e, "code"))
        };
        return anyhow::anyhow!(errors.iter().map(line).collect::<Vec<_>>().join("\n  "));
    }
    let said = ["detail", "title"].iter().filter_map(|name| problem[*name].as_str());
    let message =
        said.into_iter().find(|text| !text.is_empty()).map_or(status.to_string(), str::to_owned);
    anyhow::anyhow!(message)
}

/// One frame of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The event's name.
    pub event: String,
    /// Its `id:`, where it has one.
    pub id: Option<String>,
    /// Its data.
    pub data: String,
}

/// The frames of one stream.
pub struct Frames {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Frames {
    /// The next frame; `None` when the stream has ended. Comments are skipped. Cancel-safe: what
    /// was read stays in the buffer.
    pub async fn next(&mut self) -> anyhow::Result<Option<Frame>> {
        loop {
            if let Some(frame) = take_frame(&mut self.buffer) {
                if frame.event.is_empty() && frame.data.is_empty() {
                    continue;
                }
                return Ok(Some(frame));
            }
            if self.buffer.len() > MAX_FRAME_BYTES {
                bail!("a frame of the stream is longer than {MAX_FRAME_BYTES} bytes");
            }
            match self.body.frame().await {
                Some(Ok(part)) => self.buffer.extend(part.into_data().unwrap_or_default()),
                Some(Err(error)) => return Err(error).context("the stream broke off"),
                None => return Ok(None),
            }
        }
    }
}

/// Takes one whole frame (up to its empty line) off the front.
fn take_frame(buffer: &mut Vec<u8>) -> Option<Frame> {
    let end = buffer.windows(2).position(|pair| pair == b"\n\n")?;
    let block: Vec<u8> = buffer.drain(..end + 2).collect();
    let mut frame = Frame::default();
    for line in String::from_utf8_lossy(&block).lines() {
        match line.split_once(": ").or(line.split_once(':')) {
            Some(("event", value)) => frame.event = value.into(),
            Some(("id", value)) => frame.id = Some(value.into()),
            Some(("data", value)) => frame.data += value,
            _ => {}
        }
    }
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_whole_wherever_the_stream_is_cut() {
        let text = b": keepalive\n\nevent: status\nid: e:7\ndata: {\"v\":1}\n\n";
        for cut in 0..text.len() {
            let mut frames = Vec::new();
            let mut buffer = Vec::new();
            for part in [&text[..cut], &text[cut..]] {
                buffer.extend_from_slice(part);
                frames.extend(std::iter::from_fn(|| take_frame(&mut buffer)));
            }
            let want =
                Frame { event: "status".into(), id: Some("e:7".into()), data: "{\"v\":1}".into() };
            assert_eq!(frames, [Frame::default(), want], "cut at {cut}");
        }
    }
}
