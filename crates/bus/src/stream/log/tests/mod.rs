//! The log against a model, against crashes, and against damage.

mod basics;
mod crash;
mod kill;
mod model;

use std::{path::Path, time::Duration};

use super::{
    super::{
        config::{Storage, StreamConfig},
        state::UnixNanos,
    },
    Append, AppendError, Appended, LogOptions, Recovery, StreamLog,
};

const SECOND: u64 = 1_000_000_000;

/// Segments so small that everything happens in them.
fn small() -> LogOptions {
    LogOptions { segment_bytes: 1024, first_segment_bytes: 512, ..LogOptions::default() }
}

fn config() -> StreamConfig {
    StreamConfig {
        duplicate_window: Duration::from_secs(120),
        ..StreamConfig::new("TEST".parse().unwrap(), vec![">".into()])
    }
}

fn create(dir: &Path, config: StreamConfig) -> StreamLog {
    StreamLog::create(&dir.join("s"), config, &small(), UnixNanos(SECOND)).unwrap()
}

fn open(dir: &Path) -> (StreamLog, Recovery) {
    StreamLog::open(&dir.join("s"), &small(), UnixNanos(SECOND)).unwrap()
}

fn in_memory() -> StreamConfig {
    StreamConfig { storage: Storage::Memory, ..config() }
}

fn add(log: &mut StreamLog, subject: &str, body: &str) -> Result<Appended, AppendError> {
    let message =
        Append { subject: subject.as_bytes(), body: body.as_bytes(), ..Append::default() };
    log.append(&message, UnixNanos(SECOND))
}

/// All messages as text, damaged ones as such.
fn dump(log: &mut StreamLog) -> String {
    let (mut text, last) = (String::new(), log.committed());
    for seq in 1..=last {
        match log.get(seq) {
            Ok(Some(stored)) => {
                let subject = String::from_utf8_lossy(&stored.subject).into_owned();
                let body = String::from_utf8_lossy(&stored.body).into_owned();
                text += &format!("{seq} {subject} {body}\n");
            }
            Ok(None) => {}
            Err(error) => text += &format!("{seq} {error}\n"),
        }
    }
    text
}
