//! Torn tails at every byte, flipped bytes everywhere: what was acknowledged is there or is
//! reported, what was never written never appears.

use std::{fs, path::PathBuf};

use super::{
    super::{scan, segment},
    *,
};

/// The bodies of a log that is about to suffer: message `n` is `bodies[n - 1]`.
fn fill(log: &mut StreamLog, from: u64, to: u64) {
    for seq in from..=to {
        let subject = format!("s.{}", seq % 3);
        let appended = add(log, &subject, &body(seq)).unwrap();
        assert_eq!(appended.seq, seq);
    }
}

fn body(seq: u64) -> String {
    format!("body {seq} {}", "x".repeat(seq as usize % 23))
}

fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join("s").join(segment::file_name(number))
}

fn roomy() -> LogOptions {
    LogOptions { first_segment_bytes: 4096, segment_bytes: 4096, ..LogOptions::default() }
}

fn reopened(dir: &Path) -> (StreamLog, Recovery) {
    StreamLog::open(&dir.join("s"), &roomy(), UnixNanos(SECOND)).unwrap()
}

/// A log with five acknowledged messages and a batch of three, and where the batch begins and
/// ends in its segment.
fn batched(dir: &Path) -> (usize, usize) {
    let mut log = StreamLog::create(&dir.join("s"), config(), &roomy(), UnixNanos(SECOND)).unwrap();
    fill(&mut log, 1, 5);
    log.commit().unwrap();
    let start = log.tail.end();
    fill(&mut log, 6, 8);
    log.commit().unwrap();
    (start as usize, log.tail.end() as usize)
}

/// Opens a log whose last batch was damaged by a crash: the five acknowledged messages are
/// there, of the batch a prefix, and it goes on.
#[track_caller]
fn check_torn(dir: &Path) {
    let (mut log, recovery) = reopened(dir);
    let last = log.committed();
    assert!((5..=8).contains(&last), "{last}");
    assert_eq!(recovery.messages, last);
    assert_eq!(recovery.damage, Default::default());
    for seq in 1..=last {
        assert_eq!(log.get(seq).unwrap().unwrap().body, body(seq));
    }
    fill(&mut log, last + 1, last + 2);
    assert_eq!(log.commit().unwrap(), last + 2);
    drop(log);
    let (mut log, recovery) = reopened(dir);
    assert_eq!((recovery.torn_bytes, recovery.messages), (0, last + 2));
    assert_eq!(log.get(last + 2).unwrap().unwrap().body, body(last + 2));
}

#[test]
fn a_torn_tail_is_cut_at_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (start, end) = batched(dir.path());
    let path = path(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    for cut in start..=end {
        fs::write(&path, &whole[..cut]).unwrap();
        check_torn(dir.path());
        let mut zeroed = whole.clone();
        zeroed[cut..].fill(0);
        fs::write(&path, zeroed).unwrap();
        check_torn(dir.path());
    }
}

#[test]
fn what_follows_a_torn_record_never_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (start, end) = batched(dir.path());
    let path = path(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    for hole in (start..end).step_by(8) {
        let mut torn = whole.clone();
        torn[hole..hole + 8].fill(0xa5);
        fs::write(&path, torn).unwrap();
        check_torn(dir.path());
    }
}

/// A closed log over several segments, with removals: what each message must be.
fn closed(dir: &Path) -> Vec<Option<String>> {
    let mut log = create(dir, config());
    fill(&mut log, 1, 30);
    log.commit().unwrap();
    for seq in [2, 3, 17] {
        log.delete(seq, false).unwrap();
    }
    log.commit().unwrap();
    fill(&mut log, 31, 40);
    log.close().unwrap();
    (1..=40).map(|seq| (![2, 3, 17].contains(&seq)).then(|| body(seq))).collect()
}

#[test]
fn a_flipped_byte_is_reported_and_costs_what_it_hit() {
    let dir = tempfile::tempdir().unwrap();
    let expected = closed(dir.path());
    let mut damaged = 0;
    for number in 1.. {
        let path = path(dir.path(), number);
        let Ok(whole) = fs::read(&path) else { break };
        let content = scan::content_end(&whole) + 8;
        for place in (number as usize % 7..content.min(whole.len())).step_by(7) {
            let mut flipped = whole.clone();
            flipped[place] ^= 1 << (place % 8);
            fs::write(&path, &flipped).unwrap();
            damaged += check_flipped(dir.path(), &expected, &format!("{number} {place}"));
            fs::write(&path, &whole).unwrap();
        }
        assert_eq!(check_flipped(dir.path(), &expected, "whole"), 0);
    }
    assert!(damaged > 100, "{damaged}");
}

/// Every message is what it was, or an error; a removed one may be back only where damage is
/// reported. Returns how many are errors.
#[track_caller]
fn check_flipped(dir: &Path, expected: &[Option<String>], what: &str) -> usize {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("s")).unwrap();
    for entry in fs::read_dir(dir.join("s")).unwrap().map(Result::unwrap) {
        if entry.path().is_file() {
            fs::copy(entry.path(), copy.path().join("s").join(entry.file_name())).unwrap();
        }
    }
    let (mut log, recovery) = open(copy.path());
    let mut damaged = 0;
    for (seq, expected) in (1..).zip(expected) {
        match (log.get(seq), expected) {
            (Ok(Some(stored)), Some(expected)) => assert_eq!(stored.body, *expected, "{what}"),
            (Ok(None), None) => {}
            (Err(_), _) => {
                assert!(recovery.damage.places > 0, "{what}");
                damaged += 1;
            }
            (Ok(Some(_)), None) => assert!(recovery.damage.places > 0, "{what}: {seq} is back"),
            (Ok(None), Some(_)) => panic!("{what}: {seq} is gone without a word"),
        }
    }
    assert_eq!(log.committed(), expected.len() as u64, "{what}");
    let next = add(&mut log, "a", "next").unwrap().seq;
    assert_eq!(log.commit().unwrap(), next);
    damaged
}

#[test]
fn damage_while_open_is_one_message() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = create(dir.path(), config());
    fill(&mut log, 1, 30);
    log.commit().unwrap();
    let path = path(dir.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(6).position(|bytes| bytes == b"body 2").unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(log.get(2).unwrap_err().to_string(), "message 2 is damaged on disk");
    assert_eq!(log.get(1).unwrap().unwrap().body, body(1));
    assert_eq!(log.get(3).unwrap().unwrap().body, body(3));
}

#[test]
fn damaged_metadata_are_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path(), config()).close().unwrap();
    let path = dir.path().join("s/meta.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("120", "121")).unwrap();
    let error = StreamLog::open(&dir.path().join("s"), &small(), UnixNanos(0)).unwrap_err();
    assert!(matches!(error, super::super::LogError::DamagedMeta { .. }), "{error}");
}

/// The last whole record of an interrupted write is the only one that says how far the segment was
/// durable. It is cut off; what it said stays known.
#[test]
fn damage_before_a_torn_tail_stays_damage() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = create(dir.path(), config());
    for batch in [["damaged", "kept"], ["torn", "whole"]] {
        for body in batch {
            add(&mut log, "a", body).unwrap();
        }
        log.commit().unwrap();
    }
    drop(log);
    let path = dir.path().join("s").join(segment::file_name(1));
    let mut bytes = fs::read(&path).unwrap();
    for body in ["damaged", "torn"] {
        let at = bytes.windows(body.len()).position(|part| part == body.as_bytes()).unwrap();
        bytes[at] ^= 1;
    }
    fs::write(&path, bytes).unwrap();
    for time in 1..=3 {
        let (mut log, recovery) = open(dir.path());
        assert_eq!((recovery.messages, recovery.damage.places), (1, 1), "time {time}");
        assert_eq!(recovery.torn_bytes > 0, time == 1);
        assert!(dump(&mut log).ends_with("2 a kept\n"), "{}", dump(&mut log));
    }
    let (mut log, _) = open(dir.path());
    assert_eq!(add(&mut log, "a", "more").unwrap().seq, 3);
    log.commit().unwrap();
    drop(log);
    assert!(dump(&mut open(dir.path()).0).ends_with("2 a kept\n3 a more\n"));
}
