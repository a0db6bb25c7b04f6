//! The server as a browser or a test suite sees it.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::auth::{Account, Auth, AuthRules, Login, UserRule};
use crate::broker::{BrokerConfig, ConnectionStats, Limits, Traffic};
use crate::client::{Client, Options};

fn facts() -> Facts {
    Facts {
        version: "2.9.0".into(),
        clients: Some(([127, 0, 0, 1], 4222).into()),
        http: None,
        limits: Limits::default(),
        auth_required: true,
        tls_required: false,
        tls_verify: false,
        store_dir: Some("/streams".into()),
    }
}

fn client(cid: u64, addr: &str) -> ConnectionStats {
    ConnectionStats { cid, addr: addr.into(), name: Some("n".into()), ..Default::default() }
}

fn stats() -> BrokerStats {
    BrokerStats {
        server_id: "ID".into(),
        connections: 3,
        traffic: Traffic { in_msgs: 5, ..Traffic::default() },
        uptime: Duration::from_secs(61),
        clients: vec![
            client(1, "127.0.0.1:9"),
            client(2, "unix:pid=4,uid=7"),
            client(3, "[::1]:8"),
        ],
        ..BrokerStats::default()
    }
}

/// Sends `request` as it is to a server with these numbers; the whole answer.
async fn exchange(numbers: Option<BrokerStats>, request: &str) -> String {
    let numbers = numbers.map(Arc::new);
    let source: Source = Arc::new(move || {
        let numbers = numbers.clone();
        Box::pin(async move { numbers })
    });
    let monitor = Monitor::bind(([127, 0, 0, 1], 0).into(), facts(), source).await.unwrap();
    let addr = monitor.addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(monitor.run(stop.clone()));
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    stop.cancel();
    serving.await.unwrap();
    answer
}

async fn get(path: &str) -> (String, Value) {
    let answer = exchange(Some(stats()), &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.lines().next().unwrap_or_default().to_owned();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn varz_has_the_keys_of_nats_server() {
    let (status, page) = get("/varz").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    for (key, expected) in [
        ("server_id", Value::from("ID")),
        ("port", 4222.into()),
        ("version", "2.9.0".into()),
        ("auth_required", true.into()),
        ("connections", 3.into()),
        ("in_msgs", 5.into()),
        ("uptime", "1m1s".into()),
        ("max_payload", 1_048_576.into()),
        ("ping_interval", 120_000_000_000_u64.into()),
    ] {
        assert_eq!(page[key], expected, "{key}");
    }
    assert_eq!(page["jetstream"]["config"]["store_dir"], "/streams");
    assert!(page.get("tls_required").is_none() && page["mem"].as_u64() > Some(0));
}

#[tokio::test]
async fn connz_pages_through_the_clients() {
    let (_, page) = get("/connz?limit=2&offset=1").await;
    assert_eq!((&page["total"], &page["num_connections"]), (&3.into(), &2.into()));
    let [second, third] = page["connections"].as_array().unwrap().as_slice() else { panic!() };
    assert_eq!((&second["cid"], &second["ip"]), (&2.into(), &"unix:pid=4,uid=7".into()));
    assert_eq!((&third["ip"], &third["port"]), (&"::1".into(), &8.into()));
    assert_eq!(get("/connz?limit=x").await.0, "HTTP/1.1 400 Bad Request");
}

#[tokio::test]
async fn health_is_that_of_the_broker() {
    assert_eq!(get("/healthz").await.1["status"], "ok");
    let gone = exchange(None, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(gone.starts_with("HTTP/1.1 503 "), "{gone}");
}

#[tokio::test]
async fn what_is_not_there_is_refused() {
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(2 * MAX_HEAD_BYTES));
    for (request, status) in [
        ("GET /nope HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 "),
        ("POST /varz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405 "),
        ("nonsense\r\n\r\n", "HTTP/1.1 400 "),
        (&long, "HTTP/1.1 4"),
    ] {
        let answer = exchange(Some(stats()), request).await;
        assert!(answer.starts_with(status), "{request:.20}: {answer:.80}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_broker_is_not_asked_for_every_page() {
    let broker = Broker::start(BrokerConfig::new("asked")).unwrap();
    let source = of(&broker);
    let (first, second) = (source().await.unwrap(), source().await.unwrap());
    assert!(Arc::ptr_eq(&first, &second));
    tokio::time::advance(Duration::from_millis(100)).await;
    assert!(!Arc::ptr_eq(&first, &source().await.unwrap()));
    broker.stop().await;
    tokio::time::advance(Duration::from_millis(100)).await;
    assert!(source().await.is_none());
}

#[tokio::test]
async fn stock_tools_get_their_answers_over_the_bus() {
    let password = Login::Password("secret".into());
    let ann =
        UserRule { name: "ann".into(), login: password, permissions: None, account: Account::MAIN };
    let rules = AuthRules { users: vec![ann], ..AuthRules::default() };
    let broker = Broker::start(BrokerConfig {
        tcp: Some(([127, 0, 0, 1], 0).into()),
        auth: Auth::new(rules).unwrap().into(),
        ..BrokerConfig::new("asked")
    });
    let broker = broker.unwrap();
    let stop = CancellationToken::new();
    let answering = tokio::spawn(Requests::new(&broker, facts()).run(stop.clone()));
    let url = format!("tcp://ann:secret@{}", broker.tcp_addr().unwrap());
    let client = Client::connect(Options::new(url.parse().unwrap())).await.unwrap();
    for (subject, key, value) in [
        ("$SYS.REQ.SERVER.PING", "/statsz/connections", Value::from(1)),
        ("$SYS.REQ.SERVER.PING.STATSZ", "/statsz/active_accounts", 1.into()),
        ("$SYS.REQ.SERVER.PING.VARZ", "/data/port", 4222.into()),
        ("$SYS.REQ.SERVER.PING.CONNZ", "/data/connections/0/authorized_user", "ann".into()),
        ("$SYS.REQ.USER.INFO", "/data/user", "ann".into()),
        ("$SYS.REQ.USER.INFO", "/data/account", "$G".into()),
        ("$SYS.REQ.USER.INFO", "/server/name", "asked".into()),
    ] {
        let answer = client.request(subject, &[], b"", DEADLINE).await.unwrap();
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer.pointer(key), Some(&value), "{subject}: {answer}");
    }
    // one who came after the numbers were taken
    let another = Client::connect(Options::new(url.parse().unwrap())).await.unwrap();
    let answer = another.request("$SYS.REQ.USER.INFO", &[], b"", DEADLINE).await.unwrap();
    assert!(String::from_utf8_lossy(&answer.body).contains(r#""user":"ann""#), "{answer:?}");
    stop.cancel();
    answering.await.unwrap();
}
