//! Bad input: the documented error or close, bounded memory, others unharmed.

use std::time::Duration;

use model::Ambient;
use morgana_bus::{
    broker::{Broker, BrokerConfig},
    stream::{StreamConfig, Streams, StreamsConfig},
};

use super::{
    config,
    script::{Talker, check},
    wait_for,
};

#[test]
fn bad_frames_end_the_connection_as_documented() {
    let long = "a".repeat(5000);
    for (sent, answer) in [
        ("FOO", "Unknown Protocol Operation"),
        ("\\x00\\xff", "Unknown Protocol Operation"),
        ("PUB a 5\\r\\nhelloX", "Unknown Protocol Operation"),
        ("PUB a 1048577", "Maximum Payload Violation"),
        ("HPUB a 12 99999999", "Maximum Payload Violation"),
        (&format!("SUB {long} 1"), "maximum control line exceeded"),
        ("CONNECT {\"protocol\":2}", "invalid client protocol"),
        ("CONNECT {\"protocol\":-1}", "invalid client protocol"),
        ("CONNECT {\"no_responders\":true}", "no responders requires headers support"),
        ("PUB a", ""),
        ("PUB a b c 1\\r\\nx", ""),
        ("PUB a -1", ""),
        ("SUB a", ""),
        ("SUB a b c d", ""),
        ("UNSUB", "Unknown Protocol Operation"),
        ("HPUB a 20 10", ""),
        ("CONNECT {", ""),
        ("PUB a 99999999999999999999", ""),
        ("HPUB a 1", ""),
        ("HPUB a r s 1 2 3", ""),
        ("UNSUB 1 2 3", ""),
        ("PUBLISH a 1\\r\\nx", "Unknown Protocol Operation"),
        ("GET / HTTP/1.1", "Unknown Protocol Operation"),
        ("-ERR 'no'", ""),
        ("HPUB a 12 12\\r\\nNATS/1.0\\r\\n\\r\\n", ""),
    ] {
        let error = if answer.is_empty() { String::new() } else { format!("a< -ERR '{answer}'") };
        check(
            config(),
            &format!(
                "a> CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":false}}
                 b> CONNECT {{\"verbose\":false}}
                 a> {sent}
                 {error}
                 a closed
                 b> PING
                 b< PONG"
            ),
        );
    }
}

#[test]
fn a_flood_of_subscriptions_is_refused_and_the_client_stays() {
    let mut config = config();
    config.limits.max_subscriptions_per_client = 2;
    check(
        config,
        "a> CONNECT {\"verbose\":false}
         a> SUB one 1
         a> SUB two 2
         a> SUB three 3
         a< -ERR 'maximum subscriptions exceeded'
         a> UNSUB 1
         a> SUB three 3
         a> PUB three 1\\r\\nx
         a< MSG three 3 1
         a< x",
    );
}

#[test]
fn a_filter_has_only_so_many_tokens() {
    let mut config = config();
    config.limits.max_filter_tokens = 3;
    check(
        config,
        "a> CONNECT {\"verbose\":false}
         a> SUB a.b.c.d 1
         a< -ERR 'Invalid Subject'
         a> SUB a.*.c.> 1
         a< -ERR 'Invalid Subject'
         a> SUB a.*.> 1
         a> PUB a.b.c.d 1\\r\\nx
         a< MSG a.b.c.d 1 1
         a< x",
    );
}

#[test]
fn what_subscriptions_take_is_bounded_for_one_and_for_all() {
    let mut one = config();
    one.limits.max_subscription_bytes_per_client = 1000;
    let mut all = config();
    all.limits.max_subscription_bytes_total = 1300;
    for (config, other) in [(one, ""), (all, "b< -ERR 'maximum subscriptions exceeded'")] {
        let long = "x".repeat(2000);
        check(
            config,
            &format!(
                "a> CONNECT {{\"verbose\":false,\"pedantic\":false}}
                 b> CONNECT {{\"verbose\":false,\"pedantic\":false}}
                 a> SUB one {long}
                 a< -ERR 'maximum subscriptions exceeded'
                 a> SUB {long} 1
                 a< -ERR 'maximum subscriptions exceeded'
                 a> SUB one {long} 1
                 a< -ERR 'maximum subscriptions exceeded'
                 a> SUB one 1
                 a> SUB a.b.c 2
                 a< -ERR 'maximum subscriptions exceeded'
                 b> SUB one.two 1
                 {other}
                 b> PING
                 b< PONG
                 a> UNSUB 1
                 a> SUB one 2
                 a> PUB one 1\\r\\nx
                 a< MSG one 2 1
                 a< x"
            ),
        );
    }
}

#[test]
fn more_connections_than_may_be_are_told_so() {
    let mut config = config();
    config.limits.max_connections = 1;
    check(
        config,
        "a> CONNECT {\"verbose\":false}
         a> PING
         a< PONG
         b< -ERR 'maximum connections exceeded'
         b closed
         a> PING
         a< PONG",
    );
}

#[test]
fn who_does_not_answer_pings_is_stale() {
    let mut config = config();
    config.limits.first_ping = Duration::from_millis(10);
    config.limits.ping_interval = Duration::from_millis(20);
    check(
        config,
        "a> CONNECT {\"verbose\":false}
         a< PING
         a< PING
         a< -ERR 'Stale Connection'
         a closed",
    );
}

/// A broker with little room for what waits, a client that never reads, one that does.
fn wedged(config: BrokerConfig) -> (Broker, Talker, Talker) {
    let broker = Broker::start(config).unwrap();
    let (mut deaf, mut keen) = (Talker::new(&broker), Talker::new(&broker));
    for talker in [&mut deaf, &mut keen] {
        talker.send(b"CONNECT {\"verbose\":false}\r\nSUB flood 1\r\nPING\r\n");
        assert_eq!(talker.line().unwrap(), "PONG");
    }
    (broker, deaf, keen)
}

/// Publishes until the broker counts a slow consumer; every message reaches the keen client.
fn flood(broker: &Broker, keen: &mut Talker) {
    let mut publisher = Talker::new(broker);
    let body = "x".repeat(8000);
    let message = format!("PUB flood {}\r\n{body}\r\n", body.len()).repeat(8);
    for _ in 0..2000 {
        publisher.send(message.as_bytes());
        for _ in 0..8 {
            assert_eq!(keen.line().unwrap(), "MSG flood 1 8000");
            assert!(keen.line().unwrap() == body);
        }
        if super::stats(broker).slow_consumers > 0 {
            return;
        }
    }
    panic!("nobody was too slow");
}

#[test]
fn a_client_that_never_reads_is_closed_and_others_get_everything() {
    let mut config = config();
    config.limits.max_pending_per_client = 1 << 20;
    let (broker, _deaf, mut keen) = wedged(config);
    flood(&broker, &mut keen);
    let stats = wait_for(&broker, |stats| stats.connections <= 2);
    assert_eq!(stats.slow_consumers, 1);
    assert!(stats.pending_bytes <= 1 << 20, "{stats:?}");
}

#[test]
fn too_much_waiting_for_all_closes_the_worst() {
    let mut config = config();
    config.limits.max_pending_total = 1 << 20;
    let (broker, _deaf, mut keen) = wedged(config);
    flood(&broker, &mut keen);
    let stats = wait_for(&broker, |stats| stats.connections <= 2);
    assert_eq!(stats.slow_consumers, 1);
}

#[test]
fn a_client_that_takes_nothing_for_too_long_is_closed() {
    let mut config = config();
    config.limits.write_deadline = Duration::from_millis(50);
    let (broker, _deaf, mut keen) = wedged(config);
    flood(&broker, &mut keen);
}

#[test]
fn a_client_can_be_closed_from_outside() {
    let broker = Broker::start(config()).unwrap();
    let mut talker = Talker::new(&broker);
    broker.close_connection(1);
    assert_eq!(talker.line(), None);
    assert_eq!(super::stats(&broker).connections, 0);
}

#[test]
fn a_peer_that_is_half_gone_leaves_nothing_behind() {
    let mut config = config();
    config.limits.first_ping = Duration::from_millis(10);
    config.limits.ping_interval = Duration::from_millis(20);
    let broker = Broker::start(config).unwrap();
    let mut gone = Talker::new(&broker);
    gone.send(b"CONNECT {\"verbose\":false}\r\nSUB a.> 1\r\nSUB b.> g 2\r\nPING\r\n");
    let stats = wait_for(&broker, |stats| stats.subscriptions == 2);
    assert_eq!(stats.connections, 1);
    // It says nothing more, and nothing tells the broker that nobody is there.
    wait_for(&broker, |stats| stats.connections == 0 && stats.subscriptions == 0);
}

#[test]
fn a_full_flood_of_subscriptions_costs_others_nothing() {
    let most = config().limits.max_subscriptions_per_client;
    let broker = Broker::start(config()).unwrap();
    let (mut flood, mut other) = (Talker::new(&broker), Talker::new(&broker));
    for talker in [&mut flood, &mut other] {
        talker.send(b"CONNECT {\"verbose\":false}\r\nSUB own 1\r\nPING\r\n");
        assert_eq!(talker.line().unwrap(), "PONG");
    }
    let filters = (0..most).map(|n| format!("SUB flood.{n} {n}0\r\n"));
    flood.send(filters.collect::<String>().as_bytes());
    assert_eq!(flood.line().unwrap(), "-ERR 'maximum subscriptions exceeded'");
    other.send(b"PUB own 1\r\nx\r\nPUB flood.7 1\r\ny\r\n");
    assert_eq!((other.line().unwrap(), other.line().unwrap()), ("MSG own 1 1".into(), "x".into()));
    assert_eq!((flood.line().unwrap(), flood.line().unwrap()), ("MSG own 1 1".into(), "x".into()));
    assert_eq!(flood.line().unwrap(), "MSG flood.7 70 1");
    drop(flood);
    wait_for(&broker, |stats| stats.subscriptions == 1);
}

#[test]
fn wildcards_in_publishes_are_literal_and_the_pedantic_are_told() {
    check(
        config(),
        "a> CONNECT {\"verbose\":false,\"pedantic\":true}
         a> SUB a.b 1
         a> SUB a.* 2
         a> PUB a.* 1\\r\\nx
         a< -ERR 'Invalid Publish Subject'
         a< MSG a.* 2 1
         a< x
         a> PING
         a< PONG
         b> CONNECT {\"verbose\":false,\"pedantic\":false}
         b> SUB a.b 1
         b> PUB a.> 1\\r\\nx
         b> PING
         b< PONG
         a< MSG a.> 2 1
         a< x
         a> PUB * 8\\r\\nnot eight bytes
         a< -ERR 'Invalid Publish Subject'
         a< -ERR 'Unknown Protocol Operation'
         a closed
         b> PUB * 8\\r\\nnot eight bytes
         b< -ERR 'Unknown Protocol Operation'
         b closed",
    );
}

/// A stream behind a broker, and one who talks to both.
fn with_a_stream(dir: &std::path::Path) -> (Broker, Streams, Talker) {
    let streams = Streams::open(dir, StreamsConfig::default(), Ambient::system()).unwrap();
    let broker = Broker::start(BrokerConfig { closed: true, ..config() }).unwrap();
    streams.attach(&broker);
    super::block_on(async {
        let all = StreamConfig::new("S".parse().unwrap(), vec!["s.*".into()]);
        streams.ensure(all).await.unwrap();
        streams.ready().await.unwrap();
    });
    broker.open();
    let mut talker = Talker::new(&broker);
    talker.send(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB r 1\r\n");
    (broker, streams, talker)
}

#[test]
fn subjects_that_are_no_text_are_stored_and_read_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, streams, mut talker) = with_a_stream(dir.path());
    talker.send(b"PUB s.\xff\xfe r 2\r\nhi\r\n");
    assert_eq!(talker.line().unwrap(), "MSG r 1 23");
    assert_eq!(talker.line().unwrap(), "{\"stream\":\"S\", \"seq\":1}");
    talker.send(b"PUB $JS.API.STREAM.MSG.GET.S r 9\r\n{\"seq\":1}\r\n");
    assert!(talker.line().unwrap().starts_with("MSG r 1 "));
    assert!(talker.line().unwrap().contains("aGk="));
    super::block_on(async {
        streams.close().await;
        broker.stop().await;
    });
    let (_broker, streams, _talker) = with_a_stream(dir.path());
    let stored = super::block_on(streams.get("S", 1)).unwrap().unwrap();
    assert_eq!((&stored.subject[..], &stored.body[..]), (&b"s.\xff\xfe"[..], &b"hi"[..]));
}

#[test]
fn wildcards_in_stored_subjects_are_literal() {
    let dir = tempfile::tempdir().unwrap();
    let (_broker, streams, mut talker) = with_a_stream(dir.path());
    talker.send(b"PUB s.a r 1\r\nx\r\nPUB s.* r 1\r\ny\r\n");
    for _ in 0..4 {
        talker.line().unwrap();
    }
    for (seq, subject) in [(1, b"s.a"), (2, b"s.*")] {
        let stored = super::block_on(streams.get("S", seq)).unwrap().unwrap();
        assert_eq!(&stored.subject[..], subject);
    }
    let last = super::block_on(streams.last_by_subject("S", b"s.a")).unwrap().unwrap();
    assert_eq!(last.seq, 1);
}
