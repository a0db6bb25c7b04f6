//! Conversations that go well; the answers are those of nats-server 2.9.10.

use super::{
    config,
    script::{Talker, check, play},
    wait_for,
};
use morgana_bus::broker::{Broker, BrokerConfig, Limits};
use std::{collections::HashMap, time::Duration};

#[test]
fn clients_wait_until_the_broker_opens() {
    let broker = Broker::start(BrokerConfig { closed: true, ..config() }).unwrap();
    let mut early = std::net::TcpStream::connect(broker.tcp_addr().unwrap()).unwrap();
    assert_eq!(super::stats(&broker).connections, 0);
    broker.open();
    early.set_read_timeout(Some(super::PATIENCE)).unwrap();
    let mut first = [0; 5];
    std::io::Read::read_exact(&mut early, &mut first).unwrap();
    assert_eq!(&first, b"INFO ");
}

#[test]
fn conversations_are_those_of_nats_server() {
    for script in [
        // a client that says nothing of itself is verbose and pedantic
        "a> CONNECT {}
         a< +OK
         a> PING
         a< PONG
         a> SUB a.. 1
         a< -ERR 'Invalid Subject'
         a> SUB a.* 1
         a< +OK
         a> PUB a.* 2\\r\\nhi
         a< -ERR 'Invalid Publish Subject'
         a< +OK
         a< MSG a.* 1 2
         a< hi
         a> PUB a..b 2\\r\\nhi
         a< -ERR 'Invalid Publish Subject'
         a< +OK
         a> UNSUB 9
         a< +OK",
        // plain and queue subscribers both receive; one of each group
        "a> CONNECT {\"verbose\":false}
         a> SUB q 1
         a> SUB q g 2
         a> SUB q h 3
         a> PUB q 2\\r\\nhi
         a< MSG q 1 2
         a< hi
         a< MSG q 2 2
         a< hi
         a< MSG q 3 2
         a< hi",
        // a reused sid keeps the first subscription
        "a> CONNECT {\"verbose\":false}
         a> SUB first 1
         a> SUB second 1
         a> PUB second 1\\r\\nx
         a> PUB first 1\\r\\ny
         a< MSG first 1 1
         a< y",
        // UNSUB max counts from the beginning
        "a> CONNECT {\"verbose\":false}
         a> SUB a 1
         a> UNSUB 1 2
         a> PUB a 1\\r\\n1
         a> PUB a 1\\r\\n2
         a> PUB a 1\\r\\n3
         a> PING
         a< MSG a 1 1
         a< 1
         a< MSG a 1 1
         a< 2
         a< PONG
         a> SUB b 2
         a> PUB b 1\\r\\n1
         a> UNSUB 2 1
         a> PUB b 1\\r\\n2
         a> PING
         a< MSG b 2 1
         a< 1
         a< PONG",
        // no echo
        "a> CONNECT {\"verbose\":false,\"echo\":false}
         a> SUB a 1
         a> PUB a 1\\r\\nx
         a> PING
         a< PONG",
        // nobody hears a request: the first own subscription to the reply subject is told
        "a> CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}
         a> SUB inbox.* 7
         a> PUB nobody inbox.1 2\\r\\nhi
         a< HMSG inbox.1 7 16 16
         a< NATS/1.0 503
         a< 
         a< 
         a> PUB nobody elsewhere 2\\r\\nhi
         a> PING
         a< PONG",
        // a request and its answer
        "a> CONNECT {\"verbose\":false}
         b> CONNECT {\"verbose\":false}
         b> SUB service 1
         b> PING
         b< PONG
         a> SUB inbox 1
         a> PUB service inbox 3\\r\\nask
         b< MSG service 1 inbox 3
         b< ask
         b> PUB inbox 6\\r\\nanswer
         a< MSG inbox 1 6
         a< answer",
        // headers, and for those that know none, none
        "a> CONNECT {\"verbose\":false,\"headers\":true}
         b> CONNECT {\"verbose\":false,\"headers\":false}
         b> SUB h 1
         b> PING
         b< PONG
         a> SUB h 1
         a> HPUB h r 18 20\\r\\nNATS/1.0\\r\\nA: b\\r\\n\\r\\nhi
         a< HMSG h 1 r 18 20
         a< NATS/1.0
         a< A: b
         a< 
         a< hi
         b< MSG h 1 r 2
         b< hi",
        // verbs in any case, tabs, lone line feeds, pieces
        "a> CONNECT {\"verbose\":false}
         a> sub\\ta\\t1
         a> pub a\\tr\\t3\\r\\nabc
         a< MSG a 1 r 3
         a< abc
         a>> PI
         a>> NG\\nPUB a 00
         a>> 3\\r\\nxy
         a< PONG
         a>> z\\r
         a>> \\n
         a< MSG a 1 3
         a< xyz",
        // a carriage return is a blank to the broker and nothing that receivers ever see
        "a> CONNECT {\"verbose\":false,\"headers\":true}
         a> SUB a.b 1
         a> PUB a.b r\\r10\\r\\n0123456789
         a< MSG a.b 1 r 10
         a< 0123456789
         a> HPUB a.b 12\\r12\\r\\nNATS/1.0\\r\\n\\r\\n
         a< HMSG a.b 1 12 12
         a< NATS/1.0
         a< 
         a< ",
        // subjects are bytes
        "a> CONNECT {\"verbose\":false,\"pedantic\":false}
         a> SUB a.* 1
         a> PUB a.\\xff\\xfe 2\\r\\n\\x00\\x01
         a< MSG a.\\xff\\xfe 1 2
         a< \\x00\\x01",
        // what servers say has no meaning from a client
        "a> CONNECT {\"verbose\":false}
         a> INFO {}
         a> +OK
         a> PONG
         a> PING
         a< PONG",
        // CONNECT again
        "a> CONNECT {\"verbose\":false}
         a> CONNECT {\"verbose\":true}
         a< +OK
         a> PING
         a< PONG",
    ] {
        check(config(), script);
    }
}

#[test]
fn info_says_what_clients_look_for() {
    let mut config = config();
    config.jetstream = true;
    let broker = Broker::start(config).unwrap();
    let info = Talker::new(&broker).info;
    for part in [
        "\"server_id\":\"N",
        "\"server_name\":\"wire\"",
        "\"version\":\"2.9.",
        "\"proto\":1",
        "\"headers\":true",
        "\"max_payload\":1048576",
        "\"client_id\":1",
        "\"client_ip\":\"127.0.0.1\"",
        "\"jetstream\":true",
        &format!("\"port\":{}", broker.tcp_addr().unwrap().port()),
    ] {
        assert!(info.contains(part), "{part} in {info}");
    }
    for absent in ["auth_required", "tls", "nonce", "ldm", "connect_urls"] {
        assert!(!info.contains(absent), "{absent} in {info}");
    }
}

#[test]
fn one_of_a_group_gets_each_message() {
    let broker = Broker::start(config()).unwrap();
    let mut talkers = HashMap::new();
    for member in ["a", "b", "c"] {
        let script = format!(
            "{member}> CONNECT {{\"verbose\":false}}
             {member}> SUB work.> g 1
             {member}> PING
             {member}< PONG"
        );
        play(&broker, &mut talkers, &script);
    }
    let mut publisher = Talker::new(&broker);
    publisher.send(&b"PUB work.now 1\r\nx\r\n".repeat(300));
    let stats = wait_for(&broker, |stats| stats.traffic.out_msgs >= 300);
    assert_eq!(stats.traffic.out_msgs, 300);
    assert!(stats.clients[..3].iter().all(|member| member.traffic.out_msgs > 50), "{stats:?}");
}

#[test]
fn large_payloads_reach_everyone_whole() {
    let broker = Broker::start(config()).unwrap();
    let mut receivers: Vec<_> = (0..4).map(|_| Talker::new(&broker)).collect();
    for (index, receiver) in receivers.iter_mut().enumerate() {
        let headers = index % 2 == 0;
        let connect = format!("CONNECT {{\"verbose\":false,\"headers\":{headers}}}\r\n");
        receiver.send(&[connect.as_bytes(), b"SUB big.* 1\r\nPING\r\n"].concat());
        assert_eq!(receiver.line().unwrap(), "PONG");
    }
    let mut publisher = Talker::new(&broker);
    publisher.send(b"CONNECT {\"verbose\":false,\"headers\":true}\r\n");
    for (number, size) in [4096, 4097, 100_000, 1_048_000].into_iter().enumerate() {
        let body = vec![b'a' + u8::try_from(number).unwrap(); size];
        let head = format!("HPUB big.{number} 12 {}\r\nNATS/1.0\r\n\r\n", size + 12);
        publisher.send(&[head.as_bytes(), &body, b"\r\n"].concat());
        let text = String::from_utf8(body).unwrap();
        for (index, receiver) in receivers.iter_mut().enumerate() {
            if index % 2 == 0 {
                assert_eq!(
                    receiver.line().unwrap(),
                    format!("HMSG big.{number} 1 12 {}", size + 12)
                );
                assert_eq!(receiver.line().unwrap(), "NATS/1.0");
                assert_eq!(receiver.line().unwrap(), "");
            } else {
                assert_eq!(receiver.line().unwrap(), format!("MSG big.{number} 1 {size}"));
            }
            assert!(receiver.line().unwrap() == text);
        }
    }
}

#[test]
fn a_lame_duck_says_so_and_lets_clients_go() {
    let broker = Broker::start(config()).unwrap();
    let mut talker = Talker::new(&broker);
    talker.send(b"CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n");
    assert_eq!(talker.line().unwrap(), "PONG");
    broker.lame_duck(Duration::ZERO, Duration::ZERO);
    assert!(talker.line().unwrap().contains("\"ldm\":true"));
    assert_eq!(talker.line(), None);
    assert!(std::net::TcpStream::connect(broker.tcp_addr().unwrap()).is_err());
}

#[test]
fn stopping_closes_and_twice_is_harmless() {
    let broker = Broker::start(config()).unwrap();
    let mut talker = Talker::new(&broker);
    super::block_on(broker.stop());
    super::block_on(broker.stop());
    assert_eq!(talker.line(), None);
    assert_eq!(super::block_on(broker.stats()), None);
}

#[test]
fn the_first_ping_comes_early_and_measures() {
    let mut config = config();
    config.limits = Limits { first_ping: Duration::from_millis(20), ..config.limits };
    let broker = Broker::start(config).unwrap();
    play(
        &broker,
        &mut HashMap::new(),
        "a> CONNECT {\"verbose\":false}
         a> PING
         a< PONG
         a< PING
         a> PONG
         a> PING
         a< PONG",
    );
    wait_for(&broker, |stats| stats.total_connections == 1);
}
