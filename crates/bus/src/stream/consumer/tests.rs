//! Scripts: what is done to a consumer on the left margin, what leaves it behind `<`.
//!
//! Time is virtual: `after 500ms` moves it and lets the consumer look at it.

use std::{collections::BTreeMap, time::Duration};

use model::Timestamp;

use super::{
    Ack, AckPolicy, ConsumerConfig, Cursor, Deliver, Head, Outbound, Outlet, PullRequest, Push,
    Requester, Source, Status,
};
use crate::stream::{Filter, UnixNanos};

/// A stream in memory, and all that was said.
#[derive(Default)]
struct Shelf {
    messages: BTreeMap<u64, String>,
    last: u64,
    said: Vec<String>,
}

impl Source for Shelf {
    fn first(&self) -> u64 {
        self.messages.keys().next().copied().unwrap_or(self.last + 1)
    }

    fn last(&self) -> u64 {
        self.last
    }

    fn next(&mut self, from: u64, filter: &Filter) -> Option<Head> {
        let seq = self.matching(filter).into_iter().find(|seq| *seq >= from)?;
        self.head(seq)
    }

    fn head(&mut self, seq: u64) -> Option<Head> {
        let subject = self.messages.get(&seq)?;
        let at = UnixNanos(seq * 1000);
        Some(Head { seq, bytes: 100, at, on_the_wire: subject != "unfit" })
    }

    fn count(&mut self, from: u64, filter: &Filter) -> u64 {
        self.matching(filter).into_iter().filter(|seq| *seq >= from).count() as u64
    }

    fn last_matching(&mut self, filter: &Filter) -> Option<u64> {
        self.matching(filter).last().copied()
    }

    fn since(&mut self, at: Timestamp) -> u64 {
        u64::try_from(at.as_micros()).expect("the tests' times are after 1970")
    }

    fn last_per_subject(&mut self, filter: &Filter) -> Vec<u64> {
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for seq in self.matching(filter) {
            last.insert(&self.messages[&seq], seq);
        }
        let mut found: Vec<u64> = last.into_values().collect();
        found.sort_unstable();
        found
    }
}

impl Shelf {
    fn matching(&self, filter: &Filter) -> Vec<u64> {
        let wanted = self.messages.iter().filter(|(_, subject)| filter.matches(subject.as_bytes()));
        wanted.map(|(seq, _)| *seq).collect()
    }

    fn publish(&mut self, subject: &str) {
        self.last += 1;
        self.messages.insert(self.last, subject.to_owned());
    }
}

impl Outlet for Shelf {
    type Source = Self;

    fn source(&mut self) -> &mut Self {
        self
    }

    fn deliver(&mut self, to: &Requester, delivery: Outbound) {
        let Outbound { head, deliveries, cseq, pending } = delivery;
        let times = if deliveries > 1 { format!(" x{deliveries}") } else { String::new() };
        self.said.push(format!("{} {}{times} #{cseq} +{pending}", name(to), head.seq));
    }

    fn status(&mut self, to: &Requester, status: Status) {
        let mut text = Vec::new();
        status.write(&mut text, "S", "c");
        let text = String::from_utf8(text).expect("statuses are ASCII");
        let text = text.trim_start_matches("NATS/1.0 ").trim_end().replace("\r\n", ", ");
        self.said.push(format!("{} {text}", name(to)));
    }

    fn flow_control(&mut self, to: &Requester, number: u64) {
        self.said.push(format!("{} flow {number}", name(to)));
    }
}

fn name(to: &Requester) -> String {
    match to {
        Requester::Inbox(inbox) => String::from_utf8_lossy(inbox).into_owned(),
        Requester::Call(number) => number.to_string(),
    }
}

struct Play {
    shelf: Shelf,
    cursor: Option<Cursor>,
    config: ConsumerConfig,
    now: Timestamp,
}

impl Play {
    fn cursor(&mut self) -> &mut Cursor {
        self.cursor
            .get_or_insert_with(|| Cursor::new(self.config.clone(), &mut self.shelf, self.now))
    }

    fn act(&mut self, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        self.cursor_unless(verb == "pub");
        let (now, number) = (self.now, rest.split(' ').next().and_then(|n| n.parse().ok()));
        let cursor = self.cursor.as_mut();
        match (verb, cursor) {
            ("pub", _) => rest.split(' ').for_each(|subject| self.shelf.publish(subject)),
            ("rm", Some(cursor)) => {
                self.shelf.messages.remove(&number.expect("rm has a number"));
                cursor.trimmed(self.shelf.first());
                cursor.recount();
            }
            ("after", _) => self.now = now.plus(span(rest)),
            ("restart", Some(cursor)) => {
                let saved = cursor.save();
                let restored = Cursor::restore(&saved, &self.shelf, now);
                self.cursor = Some(restored.expect("what was saved is readable"));
            }
            ("unheard", Some(cursor)) => {
                let n: Vec<u64> = rest.split(' ').map(|n| n.parse().expect("a number")).collect();
                cursor.undelivered(n[0], n[1], u32::try_from(n[2]).expect("small"), now);
            }
            ("silent", Some(cursor)) => {
                cursor.unheard(&[rest.to_owned().into()].into(), now);
            }
            ("unused", Some(cursor)) => {
                let unused = cursor.inactive_at().is_some_and(|at| at <= now);
                self.shelf.said.push(unused.to_string());
            }
            ("confirm", Some(cursor)) => cursor.confirm_flow(number.expect("confirm has a number")),
            ("state", Some(cursor)) => {
                let state = cursor.state(&mut self.shelf);
                let (d, f) = (state.delivered, state.ack_floor);
                self.shelf.said.push(format!(
                    "delivered {}/{} floor {}/{} open {} again {} waiting {} pending {}",
                    d.cseq,
                    d.seq,
                    f.cseq,
                    f.seq,
                    state.ack_pending,
                    state.redelivered,
                    state.waiting,
                    state.pending
                ));
            }
            ("ack", Some(cursor)) => {
                let (seq, word) = rest.split_once(' ').unwrap_or((rest, "+ACK"));
                let ack = Ack::parse(word.as_bytes()).expect("a word of acknowledgement");
                if !cursor.ack(seq.parse().expect("a number"), &ack, now) {
                    self.shelf.said.push("not delivered yet".to_owned());
                }
            }
            (inbox, Some(cursor)) => {
                let to = Requester::Inbox(inbox.to_owned().into());
                let request = PullRequest::parse(rest.as_bytes()).expect("a request");
                cursor.request(to, &request, &mut self.shelf, now);
            }
            (other, None) => panic!("`{other}` comes before the consumer"),
        }
        if let Some(cursor) = &mut self.cursor {
            cursor.pump(&mut self.shelf, self.now, &mut 1_000_000);
        }
    }

    fn cursor_unless(&mut self, publishing: bool) {
        if !publishing {
            self.cursor();
        }
    }
}

fn span(text: &str) -> Duration {
    let millis = text.strip_suffix("ms").expect("spans are in ms");
    Duration::from_millis(millis.parse().expect("a number"))
}

#[track_caller]
fn check(config: &ConsumerConfig, script: &str) {
    let now = Timestamp::from_micros(1_000_000_000);
    let mut play = Play { shelf: Shelf::default(), cursor: None, config: config.clone(), now };
    let mut got = String::new();
    let mut wanted = String::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        wanted.push_str(line);
        wanted.push('\n');
        if !line.starts_with('<') {
            play.act(line);
            got.push_str(line);
            got.push('\n');
            play.shelf.said.drain(..).for_each(|said| got.push_str(&format!("< {said}\n")));
        }
    }
    assert_eq!(got, wanted, "\n{got}");
}

fn explicit() -> ConsumerConfig {
    ConsumerConfig::durable("c")
}

#[test]
fn pulls_are_served_in_order_and_settled_one_by_one() {
    check(
        &explicit(),
        "
        pub a b a
        A
        < A 1 #1 +2
        B 5
        < B 2 #2 +1
        < B 3 #3 +0
        pub a
        < B 4 #4 +0
        ack 1
        ack 3
        state
        < delivered 4/4 floor 1/1 open 2 again 0 waiting 1 pending 0
        ack 2
        ack 4
        state
        < delivered 4/4 floor 4/4 open 0 again 0 waiting 1 pending 0
        ack 4
        ack 99
        < not delivered yet",
    );
}

#[test]
fn requests_take_turns() {
    check(
        &explicit(),
        "
        A 2
        B 2
        pub a a a
        < A 1 #1 +2
        < B 2 #2 +1
        < A 3 #3 +0",
    );
}

#[test]
fn requests_end_as_they_asked() {
    check(
        &explicit(),
        r#"
        A {"no_wait": true}
        < A 404 No Messages
        A {"no_wait": true, "expires": 1000000000, "batch": 3}
        after 999ms
        pub a a
        < A 1 #1 +1
        < A 2 #2 +0
        < A 408 Request Timeout, Nats-Pending-Messages: 1, Nats-Pending-Bytes: 0
        B {"expires": 1000000000, "batch": 5, "max_bytes": 4096}
        after 1000ms
        < B 408 Request Timeout, Nats-Pending-Messages: 5, Nats-Pending-Bytes: 4096
        C {"expires": 1000000000, "batch": 2, "idle_heartbeat": 400000000}
        after 400ms
        < C 100 Idle Heartbeat, Nats-Last-Consumer: 2, Nats-Last-Stream: 2
        after 600ms
        < C 408 Request Timeout, Nats-Pending-Messages: 2, Nats-Pending-Bytes: 0
        D {"expires": 1000000000, "batch": 9, "max_bytes": 250}
        pub a a a
        < D 3 #3 +2
        < D 4 #4 +1
        < D 409 Message Size Exceeds MaxBytes, Nats-Pending-Messages: 7, Nats-Pending-Bytes: 50"#,
    );
}

#[test]
fn a_request_that_does_not_wait_ends_at_its_first_silence() {
    check(
        &ConsumerConfig { max_ack_pending: Some(1), ..explicit() },
        r#"
        pub a a
        A {"no_wait": true, "expires": 2000000000, "batch": 5, "idle_heartbeat": 400000000}
        < A 1 #1 +1
        after 400ms
        < A 408 Request Timeout, Nats-Pending-Messages: 4, Nats-Pending-Bytes: 0
        B {"expires": 1000000000, "idle_heartbeat": 400000000}
        after 400ms
        < B 100 Idle Heartbeat, Nats-Last-Consumer: 1, Nats-Last-Stream: 1"#,
    );
}

#[test]
fn limits_of_requests_are_told() {
    let limits = ConsumerConfig {
        max_batch: Some(3),
        max_expires: Some(Duration::from_secs(2)),
        max_bytes: Some(1000),
        max_waiting: 1,
        max_ack_pending: Some(1),
        ..explicit()
    };
    check(
        &limits,
        r#"
        A 4
        < A 409 Exceeded MaxRequestBatch of 3
        A {"expires": 3000000000}
        < A 409 Exceeded MaxRequestExpires of 2s
        A {"max_bytes": 2000}
        < A 409 Exceeded MaxRequestMaxBytes of 1000
        pub a a
        A 2
        < A 1 #1 +1
        B
        < B 409 Exceeded MaxWaiting
        ack 1
        < A 2 #2 +0"#,
    );
}

#[test]
fn unsettled_messages_come_again() {
    let twice =
        ConsumerConfig { ack_wait: Duration::from_secs(1), max_deliver: Some(2), ..explicit() };
    check(
        &twice,
        r#"
        pub a a
        A 9
        < A 1 #1 +1
        < A 2 #2 +0
        after 500ms
        ack 2 +WPI
        after 500ms
        < A 1 x2 #3 +0
        state
        < delivered 3/2 floor 0/0 open 2 again 1 waiting 1 pending 0
        ack 2 -NAK {"delay": 100000000}
        after 99ms
        after 1ms
        < A 2 x2 #4 +0
        after 5000ms
        state
        < delivered 4/2 floor 4/2 open 0 again 0 waiting 1 pending 0"#,
    );
}

#[test]
fn backoff_grows_and_stays() {
    let backoff = [100, 300].map(Duration::from_millis).to_vec();
    check(
        &ConsumerConfig { backoff, ..explicit() },
        "
        pub a
        A 9
        < A 1 #1 +0
        after 100ms
        < A 1 x2 #2 +0
        after 299ms
        after 1ms
        < A 1 x3 #3 +0
        after 300ms
        < A 1 x4 #4 +0
        ack 1 -NAK
        < A 1 x5 #5 +0
        ack 1 +TERM
        after 9000ms",
    );
}

#[test]
fn one_acknowledgement_settles_all_before_it() {
    check(
        &ConsumerConfig { ack: AckPolicy::All, ..explicit() },
        "
        pub a a a
        A 9
        < A 1 #1 +2
        < A 2 #2 +1
        < A 3 #3 +0
        ack 2
        state
        < delivered 3/3 floor 2/2 open 1 again 0 waiting 1 pending 0",
    );
}

#[test]
fn filters_skip_and_count() {
    check(
        &ConsumerConfig { filter: Some("a.*".into()), ..explicit() },
        "
        pub a.1 b a.2 b b
        state
        < delivered 0/0 floor 0/0 open 0 again 0 waiting 0 pending 2
        A 3
        < A 1 #1 +1
        < A 3 #2 +0
        pub b a.3
        < A 7 #3 +0",
    );
}

#[test]
fn deliver_policies_begin_where_they_say() {
    let from = |deliver| ConsumerConfig { deliver, filter: Some(">".into()), ..explicit() };
    let published = "pub a b a b c";
    for (deliver, expected) in [
        (Deliver::All, "< A 1 #1 +4"),
        (Deliver::Last, "< A 5 #1 +0"),
        (Deliver::From(3), "< A 3 #1 +2"),
        (Deliver::Since(Timestamp::from_micros(4)), "< A 4 #1 +1"),
        (Deliver::LastPerSubject, "< A 3 #1 +2"),
    ] {
        check(&from(deliver), &format!("{published}\nA\n{expected}"));
    }
    check(&from(Deliver::New), "pub a\nA\npub b\n< A 2 #1 +0");
    check(&from(Deliver::From(9)), "pub a\nA\npub b\n< A 2 #1 +0");
    let all = "A 9\n< A 3 #1 +2\n< A 4 #2 +1\n< A 5 #3 +0\npub a\n< A 6 #4 +0";
    check(&from(Deliver::LastPerSubject), &format!("{published}\n{all}"));
}

#[test]
fn a_restart_loses_nothing() {
    check(
        &ConsumerConfig { ack_wait: Duration::from_secs(1), ..explicit() },
        "
        pub a a a
        A 2
        < A 1 #1 +2
        < A 2 #2 +1
        ack 1
        restart
        state
        < delivered 2/2 floor 1/1 open 1 again 0 waiting 0 pending 1
        B 9
        < B 3 #3 +0
        after 1000ms
        < B 2 x2 #4 +0
        < B 3 x2 #5 +0",
    );
}

#[test]
fn removed_messages_are_not_waited_for() {
    check(
        &ConsumerConfig { ack_wait: Duration::from_secs(1), ..explicit() },
        "
        pub a a a a
        A 1
        < A 1 #1 +3
        rm 1
        rm 3
        state
        < delivered 1/1 floor 1/1 open 0 again 0 waiting 0 pending 2
        A 9
        < A 2 #2 +1
        < A 4 #3 +0",
    );
}

#[test]
fn a_delivery_that_nobody_got_did_not_happen() {
    check(
        &explicit(),
        "
        pub a a
        A 1
        < A 1 #1 +1
        unheard 1 1 1
        state
        < delivered 0/0 floor 0/0 open 0 again 0 waiting 0 pending 2
        B 2
        < B 1 #1 +1
        < B 2 #2 +0
        unheard 1 1 1
        C 1
        < C 1 #3 +0",
    );
}

#[test]
fn requests_of_an_inbox_that_has_nobody_end() {
    check(
        &explicit(),
        "
        A 1000
        B 9
        A 7
        pub a a
        < A 1 #1 +1
        < B 2 #2 +0
        unheard 1 1 1
        < B 1 #3 +0
        state
        < delivered 3/2 floor 0/0 open 2 again 0 waiting 1 pending 0
        A
        pub a
        < B 3 #4 +0",
    );
    check(
        &ConsumerConfig { ack: AckPolicy::None, ..explicit() },
        "
        pub a a a
        A 4294967295
        < A 1 #1 +2
        < A 2 #2 +1
        < A 3 #3 +0
        unheard 1 1 1
        unheard 2 2 1
        unheard 3 3 1
        state
        < delivered 0/0 floor 0/0 open 0 again 0 waiting 0 pending 3",
    );
}

#[test]
fn what_no_client_can_get_is_given_up() {
    check(
        &explicit(),
        "
        pub unfit a unfit
        A 9
        < A 2 #1 +1
        state
        < delivered 1/3 floor 0/1 open 1 again 0 waiting 1 pending 0",
    );
    check(
        &push(false),
        "
        after 1ms
        pub unfit a
        < p 2 #1 +0",
    );
}

#[test]
fn what_is_yet_to_come_cannot_be_settled() {
    check(
        &ConsumerConfig {
            deliver: Deliver::LastPerSubject,
            filter: Some(">".into()),
            ..explicit()
        },
        "
        pub a b
        A 1
        < A 1 #1 +1
        ack 2
        < not delivered yet
        ack 1
        ack 1
        A 1
        < A 2 #2 +0
        ack 2 +WPI
        ack 2
        ack 3
        < not delivered yet",
    );
}

#[test]
fn what_was_settled_does_not_come_again_with_what_was_not_heard() {
    check(
        &push(false),
        "
        after 1ms
        pub a a a a
        < p 1 #1 +3
        < p 2 #2 +2
        < p 3 #3 +1
        < p 4 #4 +0
        ack 2
        ack 4
        unheard 1 1 1
        unheard 3 3 1
        restart
        < p 1 #1 +3
        < p 3 #2 +1
        ack 2
        ack 4
        ack 1
        unheard 1 1 1
        ack 3
        state
        < delivered 2/4 floor 2/4 open 0 again 0 waiting 0 pending 0",
    );
}

fn push(flow_control: bool) -> ConsumerConfig {
    let heartbeat = Some(Duration::from_secs(1));
    let push = Push { subject: "p".into(), group: None, flow_control, heartbeat, rate_limit: 0 };
    ConsumerConfig { push: Some(push), ..explicit() }
}

#[test]
fn pushes_come_by_themselves_and_say_that_they_live() {
    check(
        &push(false),
        "
        after 999ms
        after 1ms
        < p 100 Idle Heartbeat, Nats-Last-Consumer: 0, Nats-Last-Stream: 0
        pub a a
        < p 1 #1 +1
        < p 2 #2 +0
        after 999ms
        unheard 1 1 1
        unheard 2 2 1
        after 4ms
        after 1ms
        < p 1 #1 +1
        < p 2 #2 +0
        unheard 1 1 1
        after 9ms
        after 1ms
        < p 1 #1 +1
        < p 2 #2 +0",
    );
}

#[test]
fn a_push_consumer_that_nobody_hears_is_unused_after_a_while() {
    let ephemeral = ConsumerConfig {
        inactive_threshold: Some(Duration::from_millis(2500)),
        durable: false,
        ..push(false)
    };
    // In a quiet stream its signs of life tell.
    check(
        &ephemeral,
        "
        after 9000ms
        < p 100 Idle Heartbeat, Nats-Last-Consumer: 0, Nats-Last-Stream: 0
        unused
        < false
        silent q
        after 1000ms
        < p 100 Idle Heartbeat, Nats-Last-Consumer: 0, Nats-Last-Stream: 0
        silent p
        after 1000ms
        < p 100 Idle Heartbeat, Nats-Last-Consumer: 0, Nats-Last-Stream: 0
        silent p
        after 1000ms
        < p 100 Idle Heartbeat, Nats-Last-Consumer: 0, Nats-Last-Stream: 0
        silent p
        after 499ms
        unused
        < false
        after 1ms
        unused
        < true",
    );
    // Somebody who listens again is heard of by silence.
    check(
        &ephemeral,
        "
        after 1000ms
        < p 100 Idle Heartbeat, Nats-Last-Consumer: 0, Nats-Last-Stream: 0
        silent p
        after 1000ms
        < p 100 Idle Heartbeat, Nats-Last-Consumer: 0, Nats-Last-Stream: 0
        after 1000ms
        < p 100 Idle Heartbeat, Nats-Last-Consumer: 0, Nats-Last-Stream: 0
        after 1000ms
        < p 100 Idle Heartbeat, Nats-Last-Consumer: 0, Nats-Last-Stream: 0
        unused
        < false",
    );
    // Messages that nobody gets are no use, however often they are tried.
    check(
        &ephemeral,
        "
        after 1ms
        pub a
        < p 1 #1 +0
        unheard 1 1 1
        after 200ms
        < p 1 #1 +0
        unheard 1 1 1
        after 1300ms
        < p 1 #1 +0
        unheard 1 1 1
        after 1000ms
        < p 1 #1 +0
        unheard 1 1 1
        unused
        < true",
    );
}

#[test]
fn last_messages_that_nobody_got_are_still_the_last() {
    let last = ConsumerConfig {
        deliver: Deliver::LastPerSubject,
        filter: Some("*".into()),
        ack: AckPolicy::None,
        ..push(false)
    };
    check(
        &last,
        "
        pub a a b b
        after 1ms
        < p 2 #1 +1
        < p 4 #2 +0
        pub c
        < p 5 #3 +0
        unheard 2 1 1
        unheard 4 2 1
        unheard 5 3 1
        state
        < delivered 0/1 floor 0/1 open 0 again 0 waiting 0 pending 3
        after 5ms
        < p 2 #1 +2
        < p 4 #2 +1
        < p 5 #3 +0",
    );
}
