//! Clients in the broker's own process.

use std::sync::mpsc::{Receiver, Sender, channel};

use bytes::Bytes;
use morgana_bus::broker::{Batch, Broker, LocalOptions, LocalSink, Outgoing, OutgoingBatch};

use super::{PATIENCE, block_on, config, script::Talker, wait_for};

/// Sends on what it gets, as text.
struct Sink(Sender<String>);

impl LocalSink for Sink {
    fn deliver(&mut self, batch: Batch) {
        for message in batch.iter() {
            let reply = message.reply.map(|reply| format!(" {}", reply.escape_ascii()));
            let _ = self.0.send(format!(
                "{} {}{} {}{}",
                message.subscription,
                message.subject.escape_ascii(),
                reply.unwrap_or_default(),
                message.headers.escape_ascii(),
                message.body.escape_ascii()
            ));
        }
    }

    fn undeliverable(&mut self, reply: &[u8]) {
        let _ = self.0.send(format!("undeliverable {}", reply.escape_ascii()));
    }
}

fn sink() -> (Box<Sink>, Receiver<String>) {
    let (sender, receiver) = channel();
    (Box::new(Sink(sender)), receiver)
}

fn next(receiver: &Receiver<String>) -> String {
    receiver.recv_timeout(PATIENCE).unwrap()
}

fn message(route: &str, body: &str) -> Outgoing {
    let route = Bytes::copy_from_slice(route.as_bytes());
    Outgoing { route, body: Bytes::copy_from_slice(body.as_bytes()), ..Outgoing::default() }
}

#[test]
fn sockets_and_local_clients_hear_each_other() {
    let broker = Broker::start(config()).unwrap();
    let (sink, heard) = sink();
    let local = broker.local("engine", sink);
    local.subscribe(7, b"in.>", None);
    assert!(block_on(local.flush()));
    assert!(!local.has_remote_interest());

    let mut talker = Talker::new(&broker);
    talker.send(b"CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB out.* 1\r\n");
    talker.send(b"HPUB in.a r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n");
    assert_eq!(next(&heard), "7 in.a r NATS/1.0\\r\\n\\r\\nhi");
    assert!(local.has_remote_interest());

    let mut batch = OutgoingBatch::default();
    batch.push(b"out.1", Some(b"shown"), Some(b"ack.1"), b"", b"one", false);
    batch.push(b"out.2", None, None, b"NATS/1.0\r\n\r\n", b"two", false);
    assert!(local.publish_batch(batch));
    for line in ["MSG shown 1 ack.1 3", "one", "HMSG out.2 1 12 15", "NATS/1.0", "", "two"] {
        assert_eq!(talker.line().unwrap(), line);
    }
}

#[test]
fn what_a_client_may_publish_is_delivered_from_in_process_too() {
    let broker = Broker::start(config()).unwrap();
    let (sink, heard) = sink();
    let local = broker.local_with(LocalOptions { echo: false, ..LocalOptions::named("x") }, sink);
    local.subscribe(7, b"in.>", None);
    assert!(block_on(local.flush()));
    let mut talker = Talker::new(&broker);
    talker.send(b"CONNECT {\"verbose\":false}\r\nSUB out.> 1\r\nPUB in.\x0c 2\r\nhi\r\n");
    assert_eq!(next(&heard), "7 in.\\x0c hi");
    let again =
        Outgoing { subject: Some(Bytes::from_static(b"in.\x0c")), ..message("out.1", "hi") };
    assert!(local.publish(again));
    assert_eq!(talker.line().unwrap(), "MSG in.\\x0c 1 2");
}

#[test]
fn a_publish_that_nobody_gets_is_told_where_wanted() {
    let broker = Broker::start(config()).unwrap();
    let (sink, heard) = sink();
    let local = broker.local("engine", sink);
    let tracked = |reply| Outgoing { track: true, reply, ..message("nobody", "x") };
    local.publish(message("nobody", "x"));
    local.publish(tracked(Some(Bytes::from_static(b"inbox"))));
    local.publish(tracked(None));
    assert_eq!(next(&heard), "undeliverable inbox");
    assert_eq!(next(&heard), "undeliverable nobody");
}

#[test]
fn echo_is_a_choice() {
    let broker = Broker::start(config()).unwrap();
    for (echo, expected) in [(true, "1 a mine"), (false, "1 a other")] {
        let (sink, heard) = sink();
        let local = broker.local_with(LocalOptions { echo, ..LocalOptions::named("x") }, sink);
        local.subscribe(1, b"a", None);
        local.publish(message("a", "mine"));
        assert!(block_on(local.flush()));
        let other = broker.local("other", sink_of_nobody());
        other.publish(message("a", "other"));
        assert_eq!(next(&heard), expected);
    }
}

#[test]
fn who_only_listens_is_nobody_to_a_request() {
    let broker = Broker::start(config()).unwrap();
    for (answers, expected) in [(false, "HMSG inbox 1 16 16"), (true, "PONG")] {
        let (sink, heard) = sink();
        let local = broker.local_with(LocalOptions { answers, ..LocalOptions::named("x") }, sink);
        local.subscribe(1, b">", None);
        assert!(block_on(local.flush()));
        let mut talker = Talker::new(&broker);
        talker.send(b"CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n");
        talker.send(b"SUB inbox 1\r\nPUB service inbox 1\r\nx\r\nPING\r\n");
        assert_eq!(talker.line().unwrap(), expected, "answers: {answers}");
        assert_eq!(next(&heard), "1 service inbox x");
        local.close();
    }
}

fn sink_of_nobody() -> Box<Sink> {
    sink().0
}

/// Keeps every batch: what it got stays outstanding.
struct Hoarder(Vec<Batch>);

impl LocalSink for Hoarder {
    fn deliver(&mut self, batch: Batch) {
        self.0.push(batch);
    }
}

#[test]
fn a_local_client_that_hoards_gets_no_more_and_requests_hear_of_it() {
    let broker = Broker::start(config()).unwrap();
    let options = LocalOptions { max_pending: Some(1000), ..LocalOptions::named("hoarder") };
    let hoarder = broker.local_with(options, Box::new(Hoarder(Vec::new())));
    hoarder.subscribe(1, b"service", None);
    assert!(block_on(hoarder.flush()));
    let mut talker = Talker::new(&broker);
    talker.send(b"CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n");
    let body = "x".repeat(600);
    talker.send(format!("SUB inbox 1\r\nPUB service 600\r\n{body}\r\n").as_bytes());
    talker.send(format!("PUB service inbox 600\r\n{body}\r\n").as_bytes());
    assert_eq!(talker.line().unwrap(), "HMSG inbox 1 16 16");
    assert_eq!(talker.line().unwrap(), "NATS/1.0 503");
    let stats = wait_for(&broker, |stats| stats.dropped_local == 1);
    assert_eq!(stats.locals[0].dropped, 1);
    assert_eq!(stats.locals[0].traffic.out_msgs, 1);
}

#[test]
fn empty_messages_take_room_as_well() {
    let broker = Broker::start(config()).unwrap();
    let options = LocalOptions { max_pending: Some(1000), ..LocalOptions::named("hoarder") };
    let hoarder = broker.local_with(options, Box::new(Hoarder(Vec::new())));
    hoarder.subscribe(1, b"a", None);
    for _ in 0..1000 {
        hoarder.publish(message("a", ""));
    }
    assert!(block_on(hoarder.flush()));
    let stats = super::stats(&broker);
    assert!(stats.dropped_local > 900 && stats.locals[0].pending_bytes <= 1000, "{stats:?}");
}

/// Tells how many messages each tick brought.
struct Counter(Sender<usize>);

impl LocalSink for Counter {
    fn deliver(&mut self, batch: Batch) {
        let _ = self.0.send(batch.len());
    }
}

#[test]
fn one_client_cannot_have_a_tick_for_itself() {
    const TOKENS: u32 = 10;
    const MESSAGES: usize = 1000;
    let broker = Broker::start(config()).unwrap();
    let (sender, ticks) = channel();
    let local = broker.local("engine", Box::new(Counter(sender)));
    local.subscribe(1, b"a.>", None);
    assert!(block_on(local.flush()));
    let mut talker = Talker::new(&broker);
    talker.send(b"CONNECT {\"verbose\":false}\r\n");
    for choice in 0..1_u32 << TOKENS {
        let tokens: String =
            (0..TOKENS).map(|bit| if choice >> bit & 1 == 0 { "a." } else { "*." }).collect();
        talker.send(format!("SUB {tokens}zz {choice}\r\n").as_bytes());
    }
    talker.send(b"PING\r\n");
    assert_eq!(talker.line().unwrap(), "PONG");
    // each looks at two thousand nodes of the match table
    let message = |number| format!("PUB {}{number} 0\r\n\r\n", "a.".repeat(TOKENS as usize));
    talker.send((0..MESSAGES).map(message).collect::<String>().as_bytes());
    talker.send(b"PING\r\n");
    assert_eq!(talker.line().unwrap(), "PONG");
    assert!(block_on(local.flush()));
    let batches: Vec<usize> = ticks.try_iter().collect();
    assert_eq!(batches.iter().sum::<usize>(), MESSAGES);
    assert!(batches.iter().all(|batch| *batch <= 20), "{batches:?}");
}

#[test]
fn what_a_client_sent_before_it_went_still_counts() {
    const SUBSCRIPTIONS: usize = 1000;
    const MESSAGES: usize = 200;
    let broker = Broker::start(config()).unwrap();
    let (sender, ticks) = channel();
    let local = broker.local("engine", Box::new(Counter(sender)));
    for number in 0..SUBSCRIPTIONS {
        local.subscribe(number as u64, b"a", None);
    }
    assert!(block_on(local.flush()));
    let mut talker = Talker::new(&broker);
    talker.send(
        &[b"CONNECT {\"verbose\":false}\r\n", &*b"PUB a 0\r\n\r\n".repeat(MESSAGES)].concat(),
    );
    drop(talker);
    let mut heard = 0;
    while heard < SUBSCRIPTIONS * MESSAGES {
        heard += ticks.recv_timeout(PATIENCE).unwrap();
    }
    wait_for(&broker, |stats| stats.connections == 0);
}

#[test]
fn large_bodies_are_whole_and_subscriptions_end() {
    let broker = Broker::start(config()).unwrap();
    let (sink, heard) = sink();
    let local = broker.local("engine", sink);
    local.subscribe(1, b"big", None);
    local.subscribe(2, b"big", Some(b"group"));
    local.unsubscribe(1, Some(1));
    let body = "y".repeat(10_000);
    local.publish(message("big", &body));
    local.publish(message("big", "z"));
    assert_eq!(next(&heard), format!("1 big {body}"));
    assert_eq!(next(&heard), format!("2 big {body}"));
    assert_eq!(next(&heard), "2 big z");
    drop(local);
    wait_for(&broker, |stats| stats.locals.is_empty() && stats.subscriptions == 0);
    assert_eq!(heard.recv(), Err(std::sync::mpsc::RecvError));
}
