//! SIGKILL under load: this test binary runs itself as a writer and kills it.
//!
//! `MORGANA_ROUNDS` says how often (15 without it), `MORGANA_SEED` where the moments come from.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
};

use super::{
    super::{Registry, segment},
    *,
};

const DIR: &str = "MORGANA_KILLED_DIR";
const KEPT: u64 = 500;

fn options() -> LogOptions {
    LogOptions { first_segment_bytes: 16 << 10, segment_bytes: 64 << 10, ..LogOptions::default() }
}

fn body(seq: u64) -> Vec<u8> {
    let mut dice = seq;
    (0..seq % 300).map(|_| step(&mut dice) as u8).collect()
}

/// SplitMix64.
fn step(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn limited(round: u64) -> Option<u64> {
    (round / 5 % 2 == 1).then_some(KEPT)
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// The writer: appends batches until it is killed; says what it is about to write and what is
/// acknowledged.
#[test]
fn writer() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let registry = Registry::open(Path::new(&dir), options()).unwrap();
    let mut log = match registry.open_all(UnixNanos(SECOND)).unwrap().pop() {
        Some(opened) => opened.log.unwrap().0,
        None => registry.create(config(), UnixNanos(SECOND)).unwrap(),
    };
    let max_msgs = limited(variable("MORGANA_ROUND", 0));
    log.update(StreamConfig { max_msgs, ..config() }).unwrap();
    let mut dice = log.committed();
    let mut out = std::io::stdout();
    loop {
        let last = log.state().last_seq + 1 + step(&mut dice) % 64;
        out.write_all(format!("\nwriting {last}\n").as_bytes()).unwrap();
        for seq in log.state().last_seq + 1..=last {
            let (body, id) = (body(seq), format!("id-{seq}"));
            let message = Append {
                subject: b"load.s",
                body: &body,
                msg_id: Some(id.as_bytes()),
                ..Append::default()
            };
            assert_eq!(log.append(&message, UnixNanos(SECOND)).unwrap().seq, seq);
        }
        let committed = log.commit().unwrap();
        out.write_all(format!("\nacknowledged {committed}\n").as_bytes()).unwrap();
    }
}

#[derive(Default)]
struct Said {
    writing: u64,
    acknowledged: u64,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let number = |word: &str| line.strip_prefix(word).map(|number| number.parse().unwrap());
        self.writing = number("writing ").unwrap_or(self.writing);
        self.acknowledged = number("acknowledged ").unwrap_or(self.acknowledged);
    }
}

fn start(dir: &Path, round: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "stream::log::tests::kill::writer"])
        .env(DIR, dir)
        .env("MORGANA_ROUND", round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Lets the writer work for a while after its first acknowledgement and kills it.
fn round(dir: &Path, round: u64, dice: &mut u64, said: &mut Said) {
    let mut child = start(dir, round);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).split(b'\n');
    let before = said.acknowledged;
    let mut hear = |said: &mut Said| match lines.next() {
        Some(line) => said.hear(&String::from_utf8(line.unwrap()).unwrap()),
        None => panic!("the writer ended by itself"),
    };
    while said.acknowledged == before {
        hear(said);
    }
    for _ in 0..step(dice) % 60 {
        hear(said);
    }
    let after = Duration::from_micros(step(dice) % 3000);
    let until = std::time::Instant::now() + after;
    while std::time::Instant::now() < until {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // Each line is one write that fits a pipe: whole or not there.
    while let Some(line) = lines.next().map(Result::unwrap) {
        said.hear(&String::from_utf8(line).unwrap());
    }
}

/// Every acknowledged message is there, once, in order; none that nobody wrote.
fn verify(dir: &Path, max_msgs: Option<u64>, said: &Said, what: &str) {
    let registry = Registry::open(dir, options()).unwrap();
    let opened = registry.open_all(UnixNanos(SECOND)).unwrap().pop().unwrap();
    let (mut log, recovery) = opened.log.unwrap();
    assert_eq!(recovery.damage, Default::default(), "{what}");
    let state = log.state();
    assert!(state.last_seq >= said.acknowledged, "{what}: acknowledged messages are gone");
    assert!(state.last_seq <= said.writing, "{what}: messages that nobody wrote");
    let expected = max_msgs.map_or(state.messages, |most| most.min(state.messages));
    assert_eq!(state.messages, expected, "{what}");
    assert_eq!(state.first_seq + state.messages, state.last_seq + 1, "{what}");
    for seq in state.first_seq..=state.last_seq {
        let stored = log.get(seq).unwrap().unwrap();
        assert_eq!((stored.seq, &stored.subject[..]), (seq, &b"load.s"[..]), "{what}");
        assert_eq!(stored.body, body(seq), "{what}");
    }
    let id = format!("id-{}", said.acknowledged);
    let again = Append { subject: b"load.s", msg_id: Some(id.as_bytes()), ..Append::default() };
    let again = log.append(&again, UnixNanos(SECOND)).unwrap();
    assert_eq!(again, Appended { seq: said.acknowledged, duplicate: true }, "{what}");
}

#[test]
fn nothing_acknowledged_is_lost_by_a_kill() {
    let (rounds, seed) = (variable("MORGANA_ROUNDS", 15), variable("MORGANA_SEED", 1));
    let mut dice = seed;
    let mut dir = tempfile::tempdir().unwrap();
    let mut said = Said::default();
    for number in 0..rounds {
        if number % 10 == 0 {
            (dir, said) = (tempfile::tempdir().unwrap(), Said::default());
        }
        let what = format!("seed {seed}, round {number}");
        round(dir.path(), number, &mut dice, &mut said);
        verify(dir.path(), limited(number), &said, &what);
    }
    let left = std::fs::read_dir(dir.path().join("TEST")).unwrap().map(Result::unwrap);
    let names = left.filter_map(|entry| entry.file_name().into_string().ok());
    assert!(names.filter_map(|name| segment::number_of(&name)).count() > 0);
}
