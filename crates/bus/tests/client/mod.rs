//! The client against a nats-server: skipped, with a word, where there is none.

use std::time::Duration;

use morgana_bus::auth::{Account, Auth, AuthRules, Login, Permissions, SubjectRules, UserRule};
use morgana_bus::broker::{Broker, BrokerConfig};
use morgana_bus::client::{
    Client, ClientError, Closed, ConnectError, Credentials, InboxLimits, Message, Options,
    RequestError, Subscriber,
};
use morgana_bus::proto::{HeaderBuilder, Headers};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::nats_server::NatsServer;

const LIMIT: Duration = Duration::from_secs(10);

async fn client(server: &NatsServer) -> Client {
    Client::connect(options(server)).await.unwrap()
}

fn options(server: &NatsServer) -> Options {
    Options::new(server.url("tcp").parse().unwrap())
}

async fn next(subscriber: &mut Subscriber) -> Option<Message> {
    timeout(LIMIT, subscriber.next()).await.expect("a message in time")
}

fn shown(message: &Message) -> String {
    let body = String::from_utf8_lossy(&message.body);
    format!("{} {body}", message.subject_text())
}

#[tokio::test]
async fn what_is_published_reaches_subscribers_in_order() {
    let Some(server) = NatsServer::start(&[]) else { return };
    let (one, other) = (client(&server).await, client(&server).await);
    let mut stars = one.subscribe("orders.*", None).await.unwrap();
    let mut tail = other.subscribe("orders.>", None).await.unwrap();
    for n in 0..1000 {
        other.publish("orders.new", None, &[], n.to_string().as_bytes()).await.unwrap();
    }
    other.publish("orders.a.b", None, &[], b"deep").await.unwrap();
    for n in 0..1000 {
        assert_eq!(shown(&next(&mut stars).await.unwrap()), format!("orders.new {n}"));
        assert_eq!(shown(&next(&mut tail).await.unwrap()), format!("orders.new {n}"));
    }
    assert_eq!(shown(&next(&mut tail).await.unwrap()), "orders.a.b deep");
    other.close().await;
    assert!(next(&mut tail).await.is_none(), "its connection is closed");
    other.close().await;
    assert!(matches!(other.flush().await, Err(ClientError::Closed(Closed::Here))));
}

#[tokio::test]
async fn large_messages_pass_both_ways_at_once() {
    let Some(server) = NatsServer::start(&[]) else { return };
    let client = client(&server).await;
    let mut all = client.subscribe("big", None).await.unwrap();
    let body = vec![b'x'; client.server_info().max_payload];
    for _ in 0..40 {
        client.publish("big", None, &[], &body).await.unwrap();
    }
    for _ in 0..40 {
        assert_eq!(next(&mut all).await.unwrap().body.len(), body.len());
    }
    let refused = client.publish("big", None, b"NATS/1.0\r\n\r\n", &body).await;
    assert!(matches!(refused, Err(ClientError::TooLarge { .. })));
}

#[tokio::test]
async fn requests_get_their_answers_or_a_reason() {
    let Some(server) = NatsServer::start(&[]) else { return };
    let (asks, answers) = (client(&server).await, client(&server).await);
    let mut echo = answers.subscribe("echo", Some("workers")).await.unwrap();
    let _mute = answers.subscribe("mute", None).await.unwrap();
    let replies = answers.clone();
    let served = tokio::spawn(async move {
        while let Some(asked) = echo.next().await {
            let reply = String::from_utf8(asked.reply.unwrap().to_vec()).unwrap();
            replies.publish(&reply, None, &asked.headers, &asked.body).await.unwrap();
        }
    });
    let block = HeaderBuilder::new().add("Trace", "7").finish();
    let made = (0..50).map(|n| {
        let (asks, block) = (asks.clone(), block.clone());
        tokio::spawn(
            async move { asks.request("echo", &block, format!("{n}").as_bytes(), LIMIT).await },
        )
    });
    for (n, one) in made.collect::<Vec<_>>().into_iter().enumerate() {
        let answer = one.await.unwrap().unwrap();
        assert_eq!(answer.body, n.to_string());
        let headers = Headers::parse(&answer.headers).unwrap();
        assert_eq!(headers.get(b"Trace"), Some(&b"7"[..]));
    }
    let nobody = asks.request("nobody", &[], b"", LIMIT).await;
    assert!(matches!(nobody, Err(RequestError::NoResponders(subject)) if subject == "nobody"));
    let mute = asks.request("mute", &[], b"", Duration::from_millis(20)).await;
    assert!(matches!(mute, Err(RequestError::Timeout { .. })));
    answers.close().await;
    served.await.unwrap();
}

#[tokio::test]
async fn a_slow_reader_loses_the_newest_and_can_count_them() {
    let Some(server) = NatsServer::start(&[]) else { return };
    let inbox = InboxLimits { messages: 10, bytes: 1 << 20 };
    let client = Client::connect(Options { inbox, ..options(&server) }).await.unwrap();
    let mut slow = client.subscribe("a", None).await.unwrap();
    for n in 0..25 {
        client.publish("a", None, &[], n.to_string().as_bytes()).await.unwrap();
    }
    client.flush().await.unwrap();
    assert_eq!(slow.dropped(), 15);
    for n in 0..10 {
        assert_eq!(next(&mut slow).await.unwrap().body, n.to_string());
    }
}

#[tokio::test]
async fn a_limited_subscription_ends_by_itself() {
    let Some(server) = NatsServer::start(&[]) else { return };
    let client = client(&server).await;
    let mut three = client.subscribe("a", None).await.unwrap();
    three.limit(3).unwrap();
    for _ in 0..5 {
        client.publish("a", None, &[], b"").await.unwrap();
    }
    client.flush().await.unwrap();
    for expected in [true, true, true, false] {
        assert_eq!(next(&mut three).await.is_some(), expected);
    }
}

#[tokio::test]
async fn what_would_break_the_protocol_is_not_sent() {
    let Some(server) = NatsServer::start(&[]) else { return };
    let client = client(&server).await;
    for subject in ["", "a b", "a\r\nPUB x 0", "a..b", ".a", "a.*", ">", "a\u{7f}"] {
        let published = client.publish(subject, None, &[], b"").await;
        assert!(matches!(published, Err(ClientError::Subject(_))), "{subject:?}");
    }
    for filter in ["", "a b", "a..b", ">.a", "a\n"] {
        let made = client.subscribe(filter, None).await;
        assert!(matches!(made, Err(ClientError::Subject(_))), "{filter:?}");
    }
    assert!(client.subscribe("a", Some("q q")).await.is_err());
    client.flush().await.unwrap();
}

const USERS: &str = r#"
    accounts: { A: { users: [
        { user: ann, password: secret, permissions: { publish: "ok.>", subscribe: [ "ok.>", "_INBOX.>" ] } }
    ] } }
"#;

#[tokio::test]
async fn credentials_and_permissions() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("users.conf");
    std::fs::write(&file, USERS).unwrap();
    let Some(server) = NatsServer::start(&["-c", file.to_str().unwrap()]) else { return };
    let as_whom = |credentials| {
        let mut options = options(&server);
        options.server.credentials = credentials;
        Client::connect(options)
    };
    let password =
        |password: &str| Credentials::Password { user: "ann".into(), password: password.into() };
    for wrong in [Credentials::None, password("guess"), Credentials::Token("t".into())] {
        let refused = as_whom(wrong).await;
        assert!(
            matches!(&refused, Err(ConnectError::Refused { text, .. }) if text == "Authorization Violation"),
            "{refused:?}"
        );
    }
    let ann = as_whom(password("secret")).await.unwrap();
    let refused = ann.subscribe("secret.>", None).await;
    assert!(matches!(refused, Err(ClientError::Refused(_))), "{refused:?}");
    ann.subscribe("ok.a", Some("group")).await.unwrap();
    let refused = ann.request("secret.a", &[], b"", LIMIT).await;
    assert!(matches!(refused, Err(RequestError::Client(ClientError::Refused(_)))), "{refused:?}");
    assert_eq!(
        ann.take_errors(),
        [
            "Permissions Violation for Subscription to \"secret.>\"",
            "Permissions Violation for Publish to \"secret.a\"",
        ]
    );
    let bad_seed = as_whom(Credentials::Nkey("SUno".into())).await;
    assert!(matches!(bad_seed, Err(ConnectError::Nkey { .. })));
}

#[tokio::test]
async fn who_may_not_hear_answers_learns_it_at_once() {
    let subscribe = SubjectRules::all().deny(&["_INBOX.>"]).unwrap();
    let deaf = UserRule {
        name: "deaf".into(),
        login: Login::Password("secret".into()),
        permissions: Some(Permissions::new(SubjectRules::all(), subscribe, None).unwrap()),
        account: Account::MAIN,
    };
    let rules = AuthRules { users: vec![deaf], ..AuthRules::default() };
    let mut config = BrokerConfig::new("test");
    config.auth = Auth::new(rules).unwrap().into();
    config.tcp = Some(([127, 0, 0, 1], 0).into());
    let broker = Broker::start(config).unwrap();
    let url = format!("tcp://deaf:secret@{}", broker.tcp_addr().unwrap());
    let client = Client::connect(Options::new(url.parse().unwrap())).await.unwrap();
    let service = client.subscribe("service", None).await.unwrap();
    for _ in 0..2 {
        let refused = client.request("service", &[], b"", 10 * LIMIT).await;
        assert!(
            matches!(&refused, Err(RequestError::Client(ClientError::Refused(text)))
                if text.contains("_INBOX.")),
            "{refused:?}"
        );
    }
    drop(service);
    broker.stop().await;
}

#[tokio::test]
async fn an_nkey_signs_the_nonce() {
    let pair = nkeys::KeyPair::new_user();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("nkey.conf");
    let users = format!("authorization: {{ users: [ {{ nkey: {} }} ] }}", pair.public_key());
    std::fs::write(&file, users).unwrap();
    let Some(server) = NatsServer::start(&["-c", file.to_str().unwrap()]) else { return };
    let mut options = options(&server);
    options.server.credentials = Credentials::Nkey(pair.seed().unwrap());
    Client::connect(options).await.unwrap().flush().await.unwrap();
}

#[tokio::test]
async fn a_server_that_goes_ends_everything_on_the_connection() {
    let Some(mut server) = NatsServer::start(&[]) else { return };
    let client = client(&server).await;
    let mut all = client.subscribe("mute", None).await.unwrap();
    let asks = client.clone();
    let asked = tokio::spawn(async move { asks.request("mute", &[], b"", LIMIT).await });
    next(&mut all).await.unwrap();
    server.stop();
    assert!(next(&mut all).await.is_none());
    assert!(matches!(asked.await.unwrap(), Err(RequestError::Client(ClientError::Closed(_)))));
    client.closed_by_anyone().await;
    assert!(client.publish("a", None, &[], b"").await.is_err());
    let nobody = Client::connect(options(&server)).await;
    assert!(matches!(nobody, Err(ConnectError::Connect { .. })));
}

/// A server that says `greeting`, answers `replies` PINGs, and then nothing.
async fn odd_server(greeting: &'static str, replies: usize) -> Options {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(greeting.as_bytes()).await.unwrap();
        for _ in 0..replies {
            until_ping(&mut socket).await;
            socket.write_all(b"PONG\r\n").await.unwrap();
        }
        let _ = socket.read_to_end(&mut vec![]).await;
    });
    Options::new(format!("tcp://{address}").parse().unwrap())
}

async fn until_ping(socket: &mut TcpStream) {
    let mut said = vec![];
    while !said.ends_with(b"PING\r\n") {
        said.push(socket.read_u8().await.unwrap());
    }
}

#[tokio::test]
async fn odd_servers_are_told_apart() {
    // with TLS, this one is waited for in the handshake
    let tls = if cfg!(feature = "tls") { "did not answer within 200ms" } else { "demands TLS" };
    for (greeting, expected) in [
        ("", "did not answer within 200ms"),
        ("INFO {}\r\n", "did not answer within 200ms"),
        ("HTTP/1.1 400 Bad Request\r\n", "that is no frame of a server"),
        ("PING\r\n", "it does not begin with INFO"),
        ("INFO []\r\n", "its INFO cannot be read"),
        ("INFO {\"tls_required\":true}\r\n", tls),
        ("-ERR 'maximum connections exceeded'\r\n", "refused the connection: maximum connections"),
    ] {
        let options =
            Options { timeout: Duration::from_millis(200), ..odd_server(greeting, 0).await };
        let error = Client::connect(options).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{greeting:?}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_any_more_is_noticed() {
    let greeting = "INFO {\"max_payload\":1048576,\"headers\":true}\r\n";
    let options = Options { timeout: Duration::from_secs(600), ..odd_server(greeting, 1).await };
    let client = Client::connect(options).await.unwrap();
    let began = tokio::time::Instant::now();
    assert!(matches!(client.closed_by_anyone().await, Closed::Stale));
    assert_eq!(began.elapsed().as_secs(), 360, "two pings without an answer");
    assert!(matches!(client.flush().await, Err(ClientError::Closed(Closed::Stale))));
}
