//! Seeded schedules of everything that can happen to streams, in virtual time: connect, drop,
//! resume, lag, compaction, restart, restore. Every peer checks each frame against the journal:
//! nothing missing, nothing twice, nothing out of order, unless a reset was announced; and at
//! the end its state is the journal's.
//!
//! `MORGANA_SCHEDULES` sets how many schedules run (2,000 where unset); a failure names its seed.

use std::{sync::Arc, time::Duration};

use model::{EventContext, EventId, JournalEntry, Role, Timestamp, TypedId};
use serde_json::{Value, json, value::RawValue};

use super::{Client, Frame, Need, Outbox, Page, Ring, Scope, Snapshot, ring::Pushed};

const STEPS: u64 = 160;
const PEERS: usize = 3;
const TOPICS: [&str; 5] = [
    "topology.t1.status",
    "topology.t1.mutation.applied",
    "topology.t2.status",
    "identity.formed",
    "attacker.scored",
];

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// Store, hub and clock.
struct World {
    dice: Dice,
    epoch: Arc<str>,
    lives: u64,
    journal: Vec<JournalEntry>,
    oldest: u64,
    ring: Ring,
    slots: usize,
    now: Duration,
    bus_is_up: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let slots = 2 + dice.below(12) as usize;
        Self {
            epoch: "life-0".into(),
            lives: 0,
            journal: Vec::new(),
            oldest: 1,
            ring: Ring::new(0, slots),
            slots,
            now: Duration::ZERO,
            bus_is_up: true,
            dice,
        }
    }

    fn head(&self) -> u64 {
        self.journal.len() as u64
    }

    fn entry(&mut self, seq: Option<u64>) -> JournalEntry {
        let topic = TOPICS[self.dice.below(TOPICS.len() as u64) as usize];
        let random = (self.dice.below(u64::MAX)).to_be_bytes();
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&random);
        JournalEntry {
            v: 1,
            id: EventId::from_parts(Timestamp::from_micros(0), bytes),
            seq,
            topic: topic.parse().unwrap(),
            kind: "test".into(),
            ts: Timestamp::from_micros(0),
            payload: RawValue::from_string("{}".into()).unwrap().into(),
            context: EventContext::default(),
        }
    }

    fn commit(&mut self) {
        let entry = self.entry(Some(self.head() + 1));
        self.journal.push(entry);
    }

    fn pass(&mut self) {
        let entry = self.entry(None);
        self.ring.push_passing(Frame::new(&self.epoch, &entry));
    }

    /// The hub reads on in the journal.
    fn sync(&mut self, most: u64) {
        let from = (self.ring.head() + 1).max(self.oldest);
        for seq in from..(from + most).min(self.head() + 1) {
            if seq > self.ring.head() + 1 {
                self.ring.skip_to(seq - 1);
            }
            let frame = Frame::new(&self.epoch, &self.journal[seq as usize - 1]);
            assert_eq!(self.ring.push_journalled(seq, frame), Pushed::Added);
        }
    }

    fn compact(&mut self) {
        if self.head() > 0 {
            self.oldest += self.dice.below(self.head() - self.oldest + 1);
        }
    }

    fn restart(&mut self) {
        let floor = self.oldest - 1;
        let after = floor + self.dice.below(self.head() - floor + 1);
        self.ring = Ring::new(after, self.slots);
    }

    /// A backup comes back: the journal is shorter, and another one from here on.
    fn restore(&mut self) {
        self.lives += 1;
        self.epoch = format!("life-{}", self.lives).into();
        let keep = self.dice.below(self.head() + 1);
        self.journal.truncate(keep as usize);
        self.oldest = self.oldest.min(keep.max(1));
        self.restart();
    }

    fn page(&mut self, after: u64) -> Page {
        let from = (after + 1).max(self.oldest) as usize - 1;
        let most = 1 + self.dice.below(4) as usize;
        let entries = self.journal.iter().skip(from).take(most).cloned().collect();
        Page { entries, oldest: self.oldest, head: self.head() }
    }

    /// The state that a journal up to `head` makes, for what `scope` shows.
    fn state(&self, scope: &Scope, head: u64) -> u64 {
        let shown = self.journal.iter().filter(|entry| scope.matches(&entry.topic));
        shown.filter_map(|entry| entry.seq).filter(|seq| *seq <= head).sum()
    }

    fn next_shown(&self, scope: &Scope, after: u64) -> Option<u64> {
        let rest = self.journal.get(after as usize..).unwrap_or_default();
        rest.iter().find(|entry| scope.matches(&entry.topic)).and_then(|entry| entry.seq)
    }
}

/// What a browser knows.
struct Peer {
    scope: Scope,
    client: Option<Client>,
    need: Option<Need>,
    last_event_id: Option<String>,
    /// `None` while a snapshot is due.
    position: Option<u64>,
    state: u64,
}

impl Peer {
    fn new(number: usize) -> Self {
        let scope = match number {
            0 => Scope::Topology("topology.t1.".into()),
            1 => Scope::Identities,
            _ => Scope::Filters(vec![">".parse().unwrap()]),
        };
        Self { scope, client: None, need: None, last_event_id: None, position: None, state: 0 }
    }

    fn connect(&mut self, world: &mut World) {
        match world.dice.below(8) {
            0 => self.last_event_id = None,
            1 => self.last_event_id = Some("nonsense".into()),
            _ => {}
        }
        // Without an id of ours the browser begins anew; with one it keeps what it knows.
        if self.last_event_id.as_deref().is_none_or(|id| id == "nonsense") {
            self.position = None;
        }
        let id = self.last_event_id.as_deref();
        let scope = self.scope.clone();
        self.client = Some(Client::new(scope, Role::Viewer, world.epoch.clone(), id, 7));
        self.need = None;
    }

    fn hang_up(&mut self) {
        (self.client, self.need) = (None, None);
    }

    /// Lets the stream go on; `lost` bytes never arrive, because the connection breaks.
    fn poll(&mut self, world: &World, room: usize, lost: bool) {
        let Some(client) = &mut self.client else { return };
        let mut out = Outbox::with_room(room);
        let health = if world.bus_is_up { Ok(()) } else { Err("down") };
        self.need = Some(client.poll(world.now, &world.ring, health, &mut out));
        self.arrive(world, &mut out, lost);
    }

    fn answer(&mut self, world: &mut World, lost: bool) {
        let Some(client) = &mut self.client else { return };
        let mut out = Outbox::default();
        match self.need.take() {
            Some(Need::Snapshot) => {
                let head = world.head();
                let state = json!({ "v": 1, "seq": head, "state": world.state(&self.scope, head) });
                let data = serde_json::value::to_raw_value(&state).unwrap();
                client.snapshot(&world.ring, &Snapshot { head, data }, &mut out);
            }
            Some(Need::Rows { after }) => client.rows(world.page(after)),
            Some(Need::Room | Need::Wait { .. } | Need::End) | None => {}
        }
        self.arrive(world, &mut out, lost);
    }

    fn arrive(&mut self, world: &World, out: &mut Outbox, lost: bool) {
        if lost {
            return self.hang_up();
        }
        let text = String::from_utf8(out.take().to_vec()).unwrap();
        for frame in text.split_terminator("\n\n") {
            self.take(world, frame);
        }
    }

    fn take(&mut self, world: &World, frame: &str) {
        let field = |name: &str| {
            let value = |line: &'_ str| -> Option<String> {
                Some(line.strip_prefix(name)?.strip_prefix(':')?.trim_start().to_owned())
            };
            frame.lines().find_map(value)
        };
        let Some(name) = field("event") else {
            assert!(frame.starts_with(": keepalive") || frame.starts_with("retry: "), "{frame}");
            return;
        };
        let data: Value = serde_json::from_str(&field("data").unwrap()).unwrap();
        assert_eq!(data["v"], 1, "{frame}");
        let seq = data["seq"].as_u64();
        match (name.as_str(), field("id")) {
            ("reset", Some(id)) => {
                assert_eq!(id, "", "a reset makes the browser forget its position");
                (self.position, self.last_event_id) = (None, None);
            }
            ("degraded", None) => {}
            ("snapshot", Some(id)) => {
                assert_eq!(self.position, None, "a snapshot that nobody announced: {frame}");
                assert_eq!(id, format!("{}:{}", world.epoch, seq.unwrap()));
                self.position = seq;
                self.state = data["state"].as_u64().unwrap();
                self.last_event_id = Some(id);
            }
            (_, Some(id)) => {
                let position = self.position.expect("events follow a state");
                assert_eq!(seq, world.next_shown(&self.scope, position), "{frame}");
                assert_eq!(id, format!("{}:{}", world.epoch, seq.unwrap()));
                assert_eq!(data["topic"], world.journal[seq.unwrap() as usize - 1].topic.as_str());
                self.position = seq;
                self.state += seq.unwrap();
                self.last_event_id = Some(id);
            }
            (_, None) => assert_eq!(seq, None, "{frame}"),
        }
    }

    /// Everything settles; the peer must know what the journal says.
    fn settle(&mut self, world: &mut World) {
        if self.client.is_none() {
            self.connect(world);
        }
        for _ in 0..1000 {
            self.poll(world, 4096, false);
            match &self.need {
                Some(Need::Wait { .. }) => break,
                _ => self.answer(world, false),
            }
        }
        assert!(matches!(self.need, Some(Need::Wait { .. })), "the stream never settles");
        let position = self.position.expect("a settled stream has a state");
        assert_eq!(world.next_shown(&self.scope, position), None, "events are missing");
        assert_eq!(self.state, world.state(&self.scope, world.head()));
    }
}

fn run(seed: u64) {
    let mut world = World::new(seed);
    let mut peers: Vec<Peer> = (0..PEERS).map(Peer::new).collect();
    for _ in 0..STEPS {
        let number = world.dice.below(PEERS as u64) as usize;
        let peer = &mut peers[number];
        match world.dice.below(64) {
            0..=15 => world.commit(),
            16..=25 => {
                let most = 1 + world.dice.below(6);
                world.sync(most);
            }
            26..=28 => world.pass(),
            29..=32 if peer.client.is_none() => peer.connect(&mut world),
            29..=33 => peer.hang_up(),
            34..=47 => {
                let (room, lost) = (1 + world.dice.below(900) as usize, world.dice.below(20) == 0);
                peer.poll(&world, room, lost);
            }
            48..=57 => {
                let lost = world.dice.below(20) == 0;
                peer.answer(&mut world, lost);
            }
            58 => world.compact(),
            59 => {
                peers.iter_mut().for_each(Peer::hang_up);
                world.restart();
            }
            60 if world.dice.below(4) == 0 => {
                peers.iter_mut().for_each(Peer::hang_up);
                world.restore();
            }
            61 => world.bus_is_up = !world.bus_is_up,
            _ => world.now += Duration::from_secs(world.dice.below(20)),
        }
    }
    world.sync(u64::MAX / 2);
    for peer in &mut peers {
        peer.settle(&mut world);
    }
}

#[test]
fn schedules_make_no_gap_no_double_and_no_reorder() {
    let schedules = std::env::var("MORGANA_SCHEDULES").ok().and_then(|n| n.parse().ok());
    for seed in 0..schedules.unwrap_or(2_000) {
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("schedule {seed} failed");
            std::panic::resume_unwind(panic);
        }
    }
}

/// A peer for tests of single features, without a world.
fn stream(id: Option<&str>) -> Client {
    let scope = Scope::Filters(vec![">".parse().unwrap()]);
    Client::new(scope, Role::Viewer, "e".into(), id, 0)
}

#[test]
fn a_stream_begins_with_a_keepalive_and_says_how_it_ends() {
    let (ring, mut client, mut out) = (Ring::new(3, 4), stream(None), Outbox::default());
    assert_eq!(client.poll(Duration::ZERO, &ring, Ok(()), &mut out), Need::Snapshot);
    let text = String::from_utf8(out.take().to_vec()).unwrap();
    assert_eq!(text, ": keepalive e:3\n\nretry: 1000\n\n");
    client.revoke(&ring, &mut out);
    client.revoke(&ring, &mut out);
    assert_eq!(client.poll(Duration::ZERO, &ring, Ok(()), &mut out), Need::End);
    let text = String::from_utf8(out.take().to_vec()).unwrap();
    assert!(text.starts_with("event: auth-revoked\ndata: {\"v\":1,\"seq\":3,"), "{text}");
    assert_eq!(text.matches("event:").count(), 1);
}

#[test]
fn keepalives_carry_the_head_and_the_bus_is_told_of_once() {
    let (ring, mut client, mut out) = (Ring::new(3, 4), stream(Some("e:3")), Outbox::default());
    let wait = |secs| Need::Wait { until: Duration::from_secs(secs) };
    let mut poll = |secs, health| {
        let need = client.poll(Duration::from_secs(secs), &ring, health, &mut out);
        (need, String::from_utf8(out.take().to_vec()).unwrap())
    };
    assert_eq!(poll(0, Ok(())).0, wait(15));
    assert_eq!(poll(14, Ok(())), (wait(15), String::new()));
    assert_eq!(poll(15, Ok(())), (wait(30), ": keepalive e:3\n\n".into()));
    let (_, told) = poll(16, Err("the bus is off"));
    assert!(told.starts_with("event: degraded\ndata: {"), "{told}");
    assert_eq!(poll(17, Err("the bus is off")).1, "");
    assert!(poll(18, Ok(())).1.contains("\"degraded\":false"));
}
