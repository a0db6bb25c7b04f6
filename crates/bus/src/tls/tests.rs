//! Clients that speak TLS, or do not, to a broker behind it.

use std::{io::ErrorKind, sync::Arc};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, pki_types::ServerName},
};

use super::*;
use crate::broker::BrokerConfig;

const DEADLINE: Duration = Duration::from_secs(10);

fn certs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certs").join(name)
}

fn files() -> TlsFiles {
    TlsFiles::new(certs("server.pem"), certs("server.key"))
}

struct Served {
    broker: Broker,
    addr: SocketAddr,
    closed: CancellationToken,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<()>,
}

impl Served {
    async fn start(files: &TlsFiles) -> Served {
        let broker = Broker::start(BrokerConfig::new("behind TLS")).unwrap();
        let settings = TlsSettings::load(files).unwrap();
        let any = ([127, 0, 0, 1], 0).into();
        let listener = TlsListener::bind(any, settings, 16, broker.clone()).await.unwrap();
        let (closed, stop) = (CancellationToken::new(), CancellationToken::new());
        let addr = listener.addr();
        let running = tokio::spawn(listener.run(closed.clone(), stop.clone()));
        Served { broker, addr, closed, stop, running }
    }

    async fn end(self) {
        self.stop.cancel();
        self.running.await.unwrap();
        self.broker.stop().await;
    }
}

fn connector(with_certificate: bool) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for root in certificates(&certs("ca.pem")).unwrap() {
        roots.add(root).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = if with_certificate {
        let key = PrivateKeyDer::from_pem_file(certs("client.key")).unwrap();
        let chain = certificates(&certs("client.pem")).unwrap();
        config.with_client_auth_cert(chain, key).unwrap()
    } else {
        config.with_no_client_auth()
    };
    TlsConnector::from(Arc::new(config))
}

type Tls = tokio_rustls::client::TlsStream<TcpStream>;

async fn upgrade(stream: TcpStream, with_certificate: bool) -> io::Result<Tls> {
    let name = ServerName::try_from("localhost").unwrap();
    timeout(DEADLINE, connector(with_certificate).connect(name, stream)).await.unwrap()
}

/// The INFO line in clear, and the stream behind it.
async fn info_in_clear(addr: SocketAddr) -> (ServerInfo, TcpStream) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        line.push(timeout(DEADLINE, stream.read_u8()).await.unwrap().unwrap());
    }
    (ServerInfo::parse(&line[5..]).unwrap(), stream)
}

/// Publishes a large message to itself.
async fn echo(mut stream: BufReader<impl AsyncRead + AsyncWrite + Unpin>) {
    let body = "x".repeat(300_000);
    let request = format!("CONNECT {{\"verbose\":false}}\r\nSUB a 1\r\nPUB a 300000\r\n{body}\r\n");
    let mut answer = String::new();
    let exchange = async {
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        stream.read_line(&mut answer).await.unwrap();
        assert_eq!(answer, "MSG a 1 300000\r\n");
        answer.clear();
        stream.read_line(&mut answer).await.unwrap();
        assert_eq!(answer.trim_end(), body);
    };
    timeout(DEADLINE, exchange).await.unwrap();
}

#[tokio::test]
async fn info_comes_in_clear_and_the_rest_by_tls() {
    let served = Served::start(&files()).await;
    let (info, stream) = info_in_clear(served.addr).await;
    assert_eq!((info.host.as_str(), info.port), ("127.0.0.1", served.addr.port()));
    assert!(info.tls_required && !info.tls_verify && info.client_id > 0);
    let local = stream.local_addr().unwrap();
    let tls = BufReader::new(upgrade(stream, false).await.unwrap());
    let stats = served.broker.stats().await.unwrap();
    let [client] = stats.clients.as_slice() else { panic!("{stats:?}") };
    assert_eq!((client.addr.as_str(), client.tls), (local.to_string().as_str(), true));
    echo(tls).await;
    served.end().await;
}

#[tokio::test]
async fn tls_may_come_first() {
    for first in [HandshakeFirst::Yes, HandshakeFirst::Within(DEADLINE)] {
        let served = Served::start(&TlsFiles { handshake_first: first, ..files() }).await;
        let stream = TcpStream::connect(served.addr).await.unwrap();
        let mut tls = BufReader::new(upgrade(stream, false).await.unwrap());
        let mut info = String::new();
        timeout(DEADLINE, tls.read_line(&mut info)).await.unwrap().unwrap();
        assert!(info.starts_with("INFO {"), "{info}");
        echo(tls).await;
        served.end().await;
    }
    let patient = HandshakeFirst::Within(Duration::from_millis(1));
    let served = Served::start(&TlsFiles { handshake_first: patient, ..files() }).await;
    let (_, stream) = info_in_clear(served.addr).await;
    echo(BufReader::new(upgrade(stream, false).await.unwrap())).await;
    served.end().await;
}

#[tokio::test]
async fn clients_need_a_certificate_where_it_is_asked_for() {
    let roots = Some(certs("ca.pem"));
    let served = Served::start(&TlsFiles { client_roots: roots, ..files() }).await;
    let (info, stream) = info_in_clear(served.addr).await;
    assert!(info.tls_verify);
    echo(BufReader::new(upgrade(stream, true).await.unwrap())).await;
    let (_, stream) = info_in_clear(served.addr).await;
    let refused = async {
        // With TLS 1.3 the client learns it when it reads.
        let mut tls = upgrade(stream, false).await?;
        tls.read_u8().await
    };
    timeout(DEADLINE, refused).await.unwrap().unwrap_err();
    served.end().await;
}

#[tokio::test]
async fn who_speaks_no_tls_is_closed() {
    let hurry = TlsFiles { timeout: Duration::from_millis(50), ..files() };
    let served = Served::start(&hurry).await;
    for said in [&b"CONNECT {}\r\nPING\r\n"[..], b""] {
        let (_, mut stream) = info_in_clear(served.addr).await;
        stream.write_all(said).await.unwrap();
        let mut rest = Vec::new();
        let ended = timeout(DEADLINE, stream.read_to_end(&mut rest)).await.unwrap();
        let reset = |err: &io::Error| err.kind() == ErrorKind::ConnectionReset;
        assert!(ended.as_ref().map_or_else(reset, |_| true), "{ended:?}");
        assert!(!rest.starts_with(b"PONG"));
    }
    served.end().await;
}

#[tokio::test]
async fn what_the_broker_says_last_still_arrives() {
    let served = Served::start(&files()).await;
    let (_, stream) = info_in_clear(served.addr).await;
    let mut tls = upgrade(stream, false).await.unwrap();
    tls.write_all(b"CONNECT {}\r\nNONSENSE\r\n").await.unwrap();
    let mut last = Vec::new();
    timeout(DEADLINE, tls.read_to_end(&mut last)).await.unwrap().unwrap();
    let last = String::from_utf8(last).unwrap();
    assert!(last.ends_with("-ERR 'Unknown Protocol Operation'\r\n"), "{last}");
    served.end().await;
}

#[tokio::test]
async fn once_closed_it_serves_only_who_is_there() {
    let served = Served::start(&files()).await;
    let (_, stream) = info_in_clear(served.addr).await;
    let tls = upgrade(stream, false).await.unwrap();
    served.closed.cancel();
    let refused = async { while TcpStream::connect(served.addr).await.is_ok() {} };
    timeout(DEADLINE, refused).await.unwrap();
    echo(BufReader::new(tls)).await;
    timeout(DEADLINE, served.running).await.unwrap().unwrap();
    served.broker.stop().await;
}

#[test]
fn files_that_are_no_good_are_named() {
    for (files, expected) in [
        (TlsFiles { key: certs("none"), ..files() }, "cannot take a key from"),
        (TlsFiles { certificates: certs("server.key"), ..files() }, "cannot take certificates"),
        (TlsFiles { key: certs("client.key"), ..files() }, "certificate and key cannot be used"),
        (TlsFiles { client_roots: Some(certs("none")), ..files() }, "cannot take certificates"),
    ] {
        let error = TlsSettings::load(&files).err().expect("it is no good").to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_is_let_go() {
    for (from_broker, from_client) in [(1 << 10, 0), (0, 1 << 20)] {
        let (mut near, broker) = UnixStream::pair().unwrap();
        let (tls, mut client) = tokio::io::duplex(from_client.max(64));
        broker.writable().await.unwrap();
        broker.try_write(&vec![b'x'; from_broker]).unwrap();
        client.write_all(&vec![b'x'; from_client]).await.unwrap();
        let ended = timeout(Duration::from_secs(3600), relay(tls, &mut near, b"")).await;
        assert_eq!(ended.expect("it ends").unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
