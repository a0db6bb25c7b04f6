//! A service on free ports, and HTTP/1.1 by hand: what is sent is what stands in the test.

use std::{net::SocketAddr, path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use bus::Bus;
use model::{Ambient, DeckyId};
use morgana_api::{
    ApiConfig, EndpointView, Handles, Limits, MutatorView, NetworkView, PanicError, PanicSwitch,
    Panicked, RelayView, Server, SinkState, SinkStatus, WorkerState, WorkerStatus, WorkersView,
};
use serde_json::Value;
use store::Store;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpStream, UnixStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const PASSWORD: &str = "a long enough phrase";

struct NoNetwork;

impl NetworkView for NoNetwork {
    fn endpoints(&self, _: DeckyId) -> Vec<EndpointView> {
        Vec::new()
    }
}

struct NoMutator;

impl MutatorView for NoMutator {
    fn look_at_queue(&self) {}

    fn look_at_everything(&self) {}
}

/// One sink, `siem`, that never does anything.
struct OneSink;

impl RelayView for OneSink {
    fn sinks(&self) -> Vec<SinkStatus> {
        let status = SinkStatus {
            sink: "siem".into(),
            state: SinkState::Running,
            position: 0,
            delivered: 0,
            missed: 0,
            failures: 0,
            last_error: None,
            last_error_at: None,
        };
        vec![status]
    }

    fn wake(&self, _: &str) {}
}

/// A network of which nothing is there; the database is told.
struct DatabaseOnly(Store);

impl PanicSwitch for DatabaseOnly {
    fn throw(
        &self,
        by: &str,
    ) -> Pin<Box<dyn Future<Output = Result<Panicked, PanicError>> + Send + '_>> {
        let reason = format!("by {by}");
        Box::pin(async move {
            let off = self.0.switch_off(&reason).await.map_err(PanicError::NotKept)?;
            let took = Duration::from_micros(7);
            Ok(Panicked { off, left: Vec::new(), down_after: took, took })
        })
    }
}

/// A mutator that is well, an observer that somebody stopped, and the bus.
struct ThreeWorkers;

impl WorkersView for ThreeWorkers {
    fn workers(&self) -> Vec<WorkerStatus> {
        let status = |worker: &str, state, can_stop| WorkerStatus {
            worker: worker.into(),
            state,
            heard_at: None,
            stopped_by: None,
            can_stop,
            figures: [("applied_total".to_owned(), 3)].into(),
        };
        vec![
            status("bus", WorkerState::Ok, false),
            status("mutator", WorkerState::Ok, true),
            status("observer", WorkerState::Stopped, false),
        ]
    }
}

pub(crate) struct Service {
    pub(crate) addr: SocketAddr,
    pub(crate) socket: PathBuf,
    pub(crate) store: Store,
    pub(crate) bus: Bus,
    pub(crate) ambient: Ambient,
    pub(crate) stop: CancellationToken,
    running: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ambient = Ambient::system();
        let store = Store::open(&dir.path().join("data"), ambient.clone()).unwrap();
        let (bus, stop) = (Bus::embedded("test"), CancellationToken::new());
        let socket = dir.path().join("api.sock");
        let config = ApiConfig { socket: Some(socket.clone()), limits, ..ApiConfig::default() };
        let handles = Handles {
            store: store.clone(),
            bus: bus.clone(),
            ambient: ambient.clone(),
            network: Arc::new(NoNetwork),
            relay: Arc::new(OneSink),
            workers: Arc::new(ThreeWorkers),
            panic: Arc::new(DatabaseOnly(store.clone())),
            mutator: Arc::new(NoMutator),
        };
        let bound = Server::new(config, handles).bind().await.unwrap();
        let addr = bound.addr().unwrap();
        let running = tokio::spawn(bound.run(stop.clone()));
        Self { addr, socket, store, bus, ambient, stop, running, _dir: dir }
    }

    /// Stops the service; panics where it does not end.
    pub(crate) async fn shut_down(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.running).await.unwrap().unwrap();
        self.store.close().await;
    }

    /// A request by TCP without credentials.
    pub(crate) fn request(&self, method: &str, path: &str) -> Request<'_> {
        Request {
            service: self,
            head: format!("{method} {path} HTTP/1.1\r\n"),
            body: None,
            local: false,
            host: true,
        }
    }

    pub(crate) fn get(&self, path: &str) -> Request<'_> {
        self.request("GET", path)
    }

    pub(crate) fn post(&self, path: &str, body: Value) -> Request<'_> {
        self.request("POST", path).json(body)
    }

    /// Sets the service up; answers the cookie of its administrator.
    pub(crate) async fn set_up(&self) -> String {
        let secret = morgana_api::offer_setup(&self.store, &self.ambient).await.unwrap().unwrap();
        let body = serde_json::json!({ "secret": secret, "name": "root", "password": PASSWORD });
        let reply = self.post("/api/v1/setup", body).send().await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.cookie()
    }

    /// Creates a user of this role; answers their cookie.
    pub(crate) async fn user(&self, role: &str) -> String {
        let body = serde_json::json!({ "name": role, "role": role, "password": PASSWORD });
        let reply = self.post("/api/v1/users", body).local().send().await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        self.log_in(role).await
    }

    pub(crate) async fn log_in(&self, name: &str) -> String {
        let body = serde_json::json!({ "name": name, "password": PASSWORD });
        let reply = self.post("/api/v1/login", body).send().await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.cookie()
    }
}

pub(crate) struct Request<'a> {
    service: &'a Service,
    head: String,
    body: Option<String>,
    local: bool,
    host: bool,
}

impl Request<'_> {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.host &= !name.eq_ignore_ascii_case("host");
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub(crate) fn cookie(self, cookie: &str) -> Self {
        self.header("cookie", cookie)
    }

    pub(crate) fn json(mut self, body: Value) -> Self {
        self.body = Some(body.to_string());
        self.header("content-type", "application/json")
    }

    pub(crate) fn raw(mut self, media_type: &str, body: &str) -> Self {
        self.body = Some(body.into());
        self.header("content-type", media_type)
    }

    /// By the UNIX socket.
    pub(crate) fn local(mut self) -> Self {
        self.local = true;
        self
    }

    fn text(&self) -> String {
        let body = self.body.as_deref().unwrap_or_default();
        let host =
            if self.host { format!("host: {}\r\n", self.service.addr) } else { String::new() };
        format!("{}{host}content-length: {}\r\n\r\n{body}", self.head, body.len())
    }

    pub(crate) async fn open(self) -> Stream {
        let text = self.text();
        let opening = async {
            if self.local {
                let stream = UnixStream::connect(&self.service.socket).await.unwrap();
                Stream::begin(Box::new(stream), text).await
            } else {
                let stream = TcpStream::connect(self.service.addr).await.unwrap();
                Stream::begin(Box::new(stream), text).await
            }
        };
        tokio::time::timeout(PATIENCE, opening).await.unwrap()
    }

    /// Sends it by the UNIX socket and goes away before the answer.
    pub(crate) async fn send_and_leave(self) {
        let mut stream = UnixStream::connect(&self.service.socket).await.unwrap();
        stream.write_all(self.text().as_bytes()).await.unwrap();
    }

    pub(crate) async fn send(self) -> Reply {
        let mut stream = self.open().await;
        let length = stream.reply.header("content-length").map(|n| n.parse().unwrap());
        let mut body = vec![0; length.unwrap_or(0)];
        let read = stream.input.read_exact(&mut body);
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        Reply { body: String::from_utf8(body).unwrap(), ..stream.reply }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}", self.body))
    }

    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.body);
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["request_id"], *self.header("x-request-id").unwrap());
        problem["code"].as_str().unwrap().into()
    }

    fn cookie(&self) -> String {
        let cookie = self.header("set-cookie").unwrap();
        assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
        cookie.split(';').next().unwrap().into()
    }
}

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// An answer whose body is still coming.
pub(crate) struct Stream {
    pub(crate) reply: Reply,
    input: BufReader<Box<dyn Wire>>,
    text: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) event: String,
    pub(crate) id: Option<String>,
    pub(crate) data: Value,
}

impl Stream {
    async fn begin(mut wire: Box<dyn Wire>, text: String) -> Self {
        wire.write_all(text.as_bytes()).await.unwrap();
        let mut input = BufReader::new(wire);
        let (mut lines, mut line) = (Vec::new(), String::new());
        while input.read_line(&mut line).await.unwrap() > 2 {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
        }
        let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines[1..].iter().filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(key, value)| (key.to_lowercase(), value.to_owned())).collect();
        Self { reply: Reply { status, headers, body: String::new() }, input, text: String::new() }
    }

    /// The next block of the stream, comments included; `None` at its end.
    pub(crate) async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.chunk()).await;
            self.text.push_str(&chunk.expect("nothing came")?);
        }
    }

    async fn chunk(&mut self) -> Option<String> {
        let mut size = String::new();
        self.input.read_line(&mut size).await.ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok().filter(|size| *size > 0)?;
        let mut chunk = vec![0; size + 2];
        self.input.read_exact(&mut chunk).await.ok()?;
        chunk.truncate(size);
        String::from_utf8(chunk).ok()
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> Option<Frame> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
            if let Some(event) = field("event: ") {
                let data: Value = serde_json::from_str(field("data: ").unwrap()).unwrap();
                assert!(data["v"] == 1 && data.get("seq").is_some(), "{block}");
                let id = field("id: ").map(Into::into);
                return Some(Frame { event: event.into(), id, data });
            }
        }
    }

    /// The next event, which must have this name.
    pub(crate) async fn expect(&mut self, name: &str) -> Frame {
        let frame = self.event().await.unwrap_or_else(|| panic!("the stream ended before {name}"));
        assert_eq!(frame.event, name, "{frame:?}");
        frame
    }
}
