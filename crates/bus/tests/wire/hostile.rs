//! Bad input: the documented error or close, bounded memory, others unharmed.

use std::time::Duration;

use morgana_bus::broker::{Broker, BrokerConfig};

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
