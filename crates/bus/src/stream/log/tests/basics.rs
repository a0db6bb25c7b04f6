//! Each feature once, as a session: commands, and what they answer.

use super::{
    super::{Expected, Filter, LogError, Purge, Registry, RegistryError, segment},
    *,
};
use crate::stream::config::Discard;

/// Runs a session on files and in memory. Lines: `> command`, answers below.
#[track_caller]
fn check(config: impl Fn(StreamConfig) -> StreamConfig, session: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut file = create(dir.path(), config(self::config()));
    let mut memory = create(dir.path().join("none").as_path(), config(in_memory()));
    let mut expected = String::new();
    let mut got = String::new();
    for line in session.lines().map(str::trim).filter(|line| !line.is_empty()) {
        expected += &format!("{line}\n");
        let Some(command) = line.strip_prefix("> ") else { continue };
        if command == "reopen" {
            drop(file);
            (file, _) = open(dir.path());
            got += "> reopen\n";
            continue;
        }
        let (on_file, in_memory) = (run(&mut file, command), run(&mut memory, command));
        assert_eq!(on_file, in_memory, "file and memory differ after `{command}`");
        got += &format!("> {command}\n{on_file}");
    }
    assert_eq!(got, expected);
}

fn run(log: &mut StreamLog, command: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    let number = |at: usize| words[at].parse::<u64>().unwrap();
    let id = |key: &str| words.iter().find_map(|word| word.strip_prefix(key));
    match words[0] {
        "add" => {
            let now = UnixNanos(id("at=").map_or(1, |at| at.parse().unwrap()) * SECOND);
            let message = Append {
                subject: words[1].as_bytes(),
                body: words[2].as_bytes(),
                msg_id: id("id=").map(str::as_bytes),
                expected: Expected {
                    last_seq: id("last=").map(|seq| seq.parse().unwrap()),
                    last_subject_seq: id("subject=").map(|seq| seq.parse().unwrap()),
                    last_msg_id: id("last_id=").map(str::as_bytes),
                },
                ..Append::default()
            };
            match log.append(&message, now) {
                Ok(Appended { seq, duplicate: false }) => format!("{seq}\n"),
                Ok(Appended { seq, .. }) => format!("{seq} again\n"),
                Err(error) => format!("{error}\n"),
            }
        }
        "commit" => format!("{}\n", log.commit().unwrap()),
        "dump" => dump(log),
        "delete" => format!("{}\n", log.delete(number(1), id("erase").is_some()).unwrap()),
        "purge" => {
            let purge = Purge {
                filter: id("filter=").map(|filter| Filter::one(filter.as_bytes())),
                before: id("before=").map(|seq| seq.parse().unwrap()),
                keep: id("keep=").map(|keep| keep.parse().unwrap()),
            };
            format!("{}\n", log.purge(&purge).unwrap())
        }
        "expire" => format!("{}\n", log.expire(UnixNanos(number(1) * SECOND)).unwrap()),
        "expiry" => format!("{:?}\n", log.next_expiry().map(|at| at.0 / SECOND)),
        "since" => format!("{:?}\n", log.first_since(UnixNanos(number(1) * SECOND)).unwrap()),
        "next" => {
            format!("{:?}\n", log.next_matching(number(1), &Filter::one(words[2].as_bytes())))
        }
        "count" => {
            format!("{}\n", log.count_matching(number(1), &Filter::one(words[2].as_bytes())))
        }
        "last" => format!("{:?}\n", log.last_matching(&Filter::one(words[1].as_bytes()))),
        "state" => {
            let state = log.state();
            format!(
                "{} messages {}..{} subjects {} deleted {}\n",
                state.messages, state.first_seq, state.last_seq, state.subjects, state.deleted
            )
        }
        other => panic!("no such command: {other}"),
    }
}

#[test]
fn messages_are_visible_once_committed() {
    check(
        |config| config,
        "> add a.b one
         1
         > dump
         > commit
         1
         > add a.c two
         2
         > dump
         1 a.b one
         > commit
         2
         > reopen
         > dump
         1 a.b one
         2 a.c two
         > state
         2 messages 1..2 subjects 2 deleted 0",
    );
}

#[test]
fn an_id_is_taken_once_within_its_window() {
    check(
        |config| config,
        "> add a one id=x at=10
         1
         > add a two id=x at=11
         1 again
         > commit
         1
         > reopen
         > add a three id=x at=12
         1 again
         > add a four id=x at=131
         2
         > add a five id=y last_id=x at=131
         3
         > add a six last_id=x at=131
         wrong last message id",
    );
}

#[test]
fn a_wrong_belief_is_refused() {
    check(
        |config| config,
        "> add a one last=0 subject=0
         1
         > add a two last=0
         wrong last sequence: 1
         > add a two subject=0
         wrong last sequence of the subject: 1
         > add b two last=1 subject=0
         2
         > add a three subject=1
         3",
    );
}

#[test]
fn the_oldest_make_room() {
    check(
        |config| StreamConfig { max_msgs: Some(2), ..config },
        "> add a one
         1
         > add a two
         2
         > add a three
         3
         > commit
         3
         > reopen
         > dump
         2 a two
         3 a three",
    );
}

#[test]
fn a_full_subject_refuses_where_it_is_to() {
    check(
        |config| StreamConfig {
            max_msgs_per_subject: Some(1),
            discard: Discard::New,
            discard_new_per_subject: true,
            ..config
        },
        "> add a one
         1
         > add a two
         the stream is full: Subject
         > add b three
         2
         > commit
         2
         > dump
         1 a one
         2 b three",
    );
}

#[test]
fn a_full_stream_refuses_but_replaces_within_a_subject() {
    check(
        |config| StreamConfig {
            max_msgs: Some(2),
            max_msgs_per_subject: Some(1),
            discard: Discard::New,
            ..config
        },
        "> add a one
         1
         > add b two
         2
         > add c three
         the stream is full: Messages
         > add a four
         3
         > commit
         3
         > reopen
         > dump
         2 b two
         3 a four
         > state
         2 messages 2..3 subjects 2 deleted 0",
    );
}

#[test]
fn bytes_are_limited() {
    check(
        |config| StreamConfig { max_bytes: Some(90), max_msg_size: Some(60), ..config },
        "> add a one
         1
         > add a two
         2
         > add a three
         3
         > add a aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
         the stream is full: Bytes
         > add a aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
         a message of 61 bytes is over the limit of 60
         > commit
         3
         > dump
         2 a two
         3 a three",
    );
}

#[test]
fn old_age_removes() {
    check(
        |config| StreamConfig { max_age: Some(Duration::from_secs(10)), ..config },
        "> expiry
         None
         > add a one at=1
         1
         > add a two at=5
         2
         > commit
         2
         > expiry
         Some(11)
         > since 2
         Some(2)
         > since 6
         None
         > expire 10
         0
         > expire 11
         1
         > commit
         2
         > reopen
         > dump
         2 a two
         > expire 100
         1
         > commit
         2
         > reopen
         > state
         0 messages 3..2 subjects 0 deleted 0
         > add a three at=1
         3",
    );
}

#[test]
fn removals_survive() {
    check(
        |config| config,
        "> add a 1
         1
         > add b 2
         2
         > add a 3
         3
         > add b 4
         4
         > add c 5
         5
         > commit
         5
         > delete 3 erase
         true
         > delete 3
         false
         > delete 9
         false
         > commit
         5
         > reopen
         > dump
         1 a 1
         2 b 2
         4 b 4
         5 c 5
         > purge filter=b keep=1
         1
         > purge before=2
         1
         > commit
         5
         > reopen
         > dump
         4 b 4
         5 c 5
         > purge
         2
         > commit
         5
         > reopen
         > state
         0 messages 6..5 subjects 0 deleted 0
         > add a 6
         6",
    );
}

#[test]
fn a_purge_takes_what_waits_for_the_same_commit() {
    check(
        |config| config,
        "> add a 1
         1
         > add b 2
         2
         > add a 3
         3
         > purge filter=a before=3
         1
         > commit
         3
         > reopen
         > dump
         2 b 2
         3 a 3",
    );
}

#[test]
fn readers_find_what_they_want() {
    check(
        |config| config,
        "> add a.x 1
         1
         > add b.x 2
         2
         > add a.y 3
         3
         > add a.x 4
         4
         > next 1 a.x
         None
         > commit
         4
         > next 2 a.x
         Some(4)
         > next 2 a.*
         Some(3)
         > next 3 b.>
         None
         > next 2 >
         Some(2)
         > count 2 a.*
         2
         > count 0 >
         4
         > last b.x
         Some(2)
         > last *.y
         Some(3)
         > last >
         Some(4)
         > delete 4
         true
         > last a.x
         Some(1)",
    );
}

#[test]
fn consumers_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = create(dir.path(), config());
    log.save_consumer("one", b"1", true).unwrap();
    log.save_consumer("one", b"2", false).unwrap();
    log.save_consumer("big", &[7; 10_000], false).unwrap();
    log.save_consumer("zweié", b"x", false).unwrap();
    log.save_consumer("zweié", b"y", true).unwrap();
    log.save_consumer("gone", b"x", true).unwrap();
    log.remove_consumer("gone").unwrap();
    assert!(log.save_consumer("a/b", b"", true).is_err());
    let kept = log.load_consumers().unwrap();
    drop(log);
    let (mut log, _) = open(dir.path());
    assert_eq!(log.load_consumers().unwrap(), kept);
    let states: Vec<_> =
        kept.iter().map(|kept| (kept.name.as_str(), kept.state.as_ref().unwrap().len())).collect();
    assert_eq!(states, [("big", 10_000), ("one", 1), ("zweié", 1)]);
    assert_eq!(kept[1].state.as_deref(), Some(&b"2"[..]));
}

#[test]
fn a_directory_has_one_owner_and_streams_fail_alone() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(dir.path(), small()).unwrap();
    match Registry::open(dir.path(), small()) {
        Err(RegistryError::Held { pid, .. }) => assert_eq!(pid, std::process::id()),
        other => panic!("{other:?}"),
    }
    for name in ["ONE", "TWO", "DREIé"] {
        let config = StreamConfig { name: name.parse().unwrap(), ..config() };
        let mut log = registry.create(config.clone(), UnixNanos(SECOND)).unwrap();
        add(&mut log, "a", "1").unwrap();
        log.close().unwrap();
        assert!(registry.create(config, UnixNanos(SECOND)).is_err());
    }
    unfinished(&dir.path().join("UNFINISHED"), b"morgana makes a stream here\n");
    std::fs::write(dir.path().join("TWO/meta.json"), "{}").unwrap();
    drop(registry);
    let registry = Registry::open(dir.path(), small()).unwrap();
    let mut opened = registry.open_all(UnixNanos(SECOND)).unwrap();
    let seen: Vec<_> = opened.iter().map(|one| (one.name.as_str(), one.log.is_ok())).collect();
    assert_eq!(seen, [("DREIé", true), ("ONE", true), ("TWO", false)]);
    let (log, recovery) = opened.swap_remove(1).log.unwrap();
    assert_eq!(recovery.messages, 1);
    log.destroy().unwrap();
    assert_eq!(registry.open_all(UnixNanos(SECOND)).unwrap().len(), 2);
    assert!(!dir.path().join("UNFINISHED").exists());
}

fn unfinished(dir: &Path, mark: &[u8]) {
    std::fs::create_dir(dir).unwrap();
    std::fs::write(dir.join("making"), mark).unwrap();
    std::fs::write(dir.join("0000000000000001.seg"), [0; 64]).unwrap();
}

/// Every file below a directory, by its path there.
fn tree(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        match entry.is_dir() {
            true => found.extend(tree(&entry).iter().map(|below| format!("{name}/{below}"))),
            false => found.push(name),
        }
    }
    found.sort_unstable();
    found
}

#[test]
fn what_is_no_stream_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let others = [
        "$G/streams/S/meta.inf",
        "FOO.tmp/file",
        "Documents/letter",
        "Documents/x.tmp",
        "=gone.S/file",
        "jobs/making",
        "jobs/other",
        "lone/making",
        "odd/meta.json",
        "odd/x.tmp",
    ];
    for path in others.map(|other| dir.path().join(other)) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "of somebody").unwrap();
    }
    let all = tree(dir.path());
    match Registry::open(dir.path(), small()) {
        Err(RegistryError::Foreign { path }) => assert_eq!(path, dir.path()),
        other => panic!("{other:?}"),
    }
    assert_eq!(tree(dir.path()), all, "it was refused, and nothing is new in it");
    std::fs::write(dir.path().join("lock"), "").unwrap();
    let registry = Registry::open(dir.path(), small()).unwrap();
    let opened = registry.open_all(UnixNanos(SECOND)).unwrap();
    let seen: Vec<_> = opened.iter().map(|one| (one.name.as_str(), one.log.is_ok())).collect();
    assert_eq!(seen, [("odd", false)]);
    let taken = StreamConfig { name: "jobs".parse().unwrap(), ..config() };
    assert!(registry.create(taken, UnixNanos(SECOND)).is_err());
    std::fs::remove_file(dir.path().join("lock")).unwrap();
    assert_eq!(tree(dir.path()), all);
}

#[test]
fn what_a_crash_left_of_a_stream_goes() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(dir.path(), small()).unwrap();
    for (name, mark) in [("S", &b"morgana makes"[..]), ("T", b"")] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
        std::fs::write(dir.path().join(name).join("making"), mark).unwrap();
    }
    std::fs::create_dir(dir.path().join("U")).unwrap();
    for name in ["S", "U"] {
        let config = StreamConfig { name: name.parse().unwrap(), ..config() };
        registry.create(config, UnixNanos(SECOND)).unwrap();
    }
    std::fs::rename(dir.path().join("S"), dir.path().join("=gone.S")).unwrap();
    let opened = registry.open_all(UnixNanos(SECOND)).unwrap();
    assert_eq!(opened.len(), 1);
    let below = tree(dir.path());
    assert_eq!(below, ["U/0000000000000001.seg", "U/meta.json", "lock"]);
}

#[test]
fn after_a_failed_write_a_log_only_reads() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = create(dir.path(), config());
    add(&mut log, "a", "one").unwrap();
    log.commit().unwrap();
    log.break_files();
    add(&mut log, "a", "two").unwrap();
    assert!(log.commit().unwrap_err().to_string().starts_with("cannot write"));
    let refused = add(&mut log, "a", "three").unwrap_err();
    assert!(matches!(refused, AppendError::Log(LogError::Poisoned)), "{refused}");
    assert!(matches!(log.commit(), Err(LogError::Poisoned)));
    assert!(log.is_poisoned());
    assert_eq!(dump(&mut log), "1 a one\n");
    drop(log);
    let (mut log, _) = open(dir.path());
    assert_eq!(add(&mut log, "a", "two").unwrap().seq, 2);
}

#[test]
fn a_log_whose_files_failed_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = create(dir.path(), StreamConfig { max_msgs: Some(3), ..config() });
    for body in ["one", "two", "three"] {
        add(&mut log, "a", body).unwrap();
    }
    log.commit().unwrap();
    log.break_files();
    add(&mut log, "a", "four").unwrap();
    assert!(log.remove(2).unwrap());
    log.commit().unwrap_err();
    assert!(log.is_poisoned());
    log.reopen(UnixNanos(SECOND)).unwrap();
    let left = "1 a one\n3 a three\n";
    assert_eq!(dump(&mut log), left, "the first one goes with the fourth or not at all");
    log.commit().unwrap();
    drop(log);
    let (mut log, recovery) = open(dir.path());
    assert_eq!((dump(&mut log), recovery.torn_bytes), (left.to_owned(), 0));
    assert_eq!(add(&mut log, "a", "four").unwrap().seq, 4);
}

/// A log whose only segment of so many bytes is full, and which cannot make another one.
fn full(dir: &Path, bytes: u32) -> StreamLog {
    let options = LogOptions { first_segment_bytes: bytes, segment_bytes: bytes, ..small() };
    let mut log = StreamLog::create(&dir.join("s"), config(), &options, UnixNanos(SECOND)).unwrap();
    // In its place the next segment cannot be made.
    std::fs::create_dir(dir.join("s").join(segment::file_name(2))).unwrap();
    let mut subjects = ["a", "b"].iter().cycle();
    let refused = subjects.find_map(|subject| add(&mut log, subject, "").err()).unwrap();
    assert!(matches!(refused, AppendError::Log(LogError::Io { .. })), "{refused}");
    log.commit().unwrap();
    log
}

/// There is room again: the log takes a message, and is the same when it is opened again.
#[track_caller]
fn check_goes_on(dir: &Path, mut log: StreamLog) {
    std::fs::remove_dir(dir.join("s").join(segment::file_name(2))).unwrap();
    let last = log.committed();
    assert_eq!(add(&mut log, "a", "more").unwrap().seq, last + 1);
    assert_eq!(log.commit().unwrap(), last + 1);
    let there = dump(&mut log);
    assert!(there.ends_with(&format!("{} a more\n", last + 1)), "{there}");
    drop(log);
    assert_eq!(dump(&mut open(dir).0), there);
}

#[test]
fn a_full_disk_stops_messages_and_not_removals() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = full(dir.path(), 4096);
    let last = log.committed();
    for seq in [1, 3, 4, 9] {
        assert!(log.remove(seq).unwrap());
        assert_eq!(log.commit().unwrap(), last);
    }
    assert!(!log.is_dirty());
    check_goes_on(dir.path(), log);
}

#[test]
fn removals_wait_for_room() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = full(dir.path(), 512 << 10);
    let half = log.state().messages / 2;
    let every_other = Purge { filter: Some(Filter::one(b"b")), ..Purge::default() };
    assert_eq!(log.purge(&every_other).unwrap(), half);
    log.commit().unwrap_err();
    assert!(log.is_dirty() && !log.is_poisoned());
    check_goes_on(dir.path(), log);
}
