//! Which configurations of streams are accepted; texts as nats-server words them.

use std::time::Duration;

use super::super::{Discard, StreamConfig, types::StreamsError};
use crate::matcher;

const MIN_MAX_AGE: Duration = Duration::from_millis(100);
/// Subjects of one stream at most: they are compared with each other and with those of all others.
const MAX_SUBJECTS: usize = 1024;
const API_SUBJECTS: [&[u8]; 1] = [b"$JS.API.>"];

pub(super) fn check(config: &StreamConfig) -> Result<(), StreamsError> {
    match fault(config) {
        Some(why) => Err(StreamsError::StreamConfig(why)),
        None => Ok(()),
    }
}

/// A stream cannot begin sealed: nothing could ever get in.
pub(super) fn check_new(config: &StreamConfig) -> Result<(), StreamsError> {
    if config.sealed {
        let why = "stream configuration for create can not be sealed";
        return Err(StreamsError::StreamConfig(why.into()));
    }
    check(config)
}

/// What a seal means for the rest of the configuration.
pub(super) fn as_sealed(config: StreamConfig) -> StreamConfig {
    if !config.sealed {
        return config;
    }
    StreamConfig {
        max_age: None,
        discard: Discard::New,
        deny_delete: true,
        deny_purge: true,
        allow_rollup_hdrs: false,
        ..config
    }
}

fn fault(config: &StreamConfig) -> Option<String> {
    if config.num_replicas > 5 {
        return Some("maximum replicas is 5".into());
    }
    if config.max_age.is_some_and(|age| age < MIN_MAX_AGE) {
        return Some("max age needs to be >= 100ms".into());
    }
    if config.max_age.is_some_and(|age| config.duplicate_window > age) {
        return Some("duplicates window can not be larger then max age".into());
    }
    if config.deny_purge && config.allow_rollup_hdrs {
        return Some("roll-ups require the purge permission".into());
    }
    discard_fault(config).map(Into::into).or_else(|| subjects_fault(&config.subjects))
}

fn discard_fault(config: &StreamConfig) -> Option<&'static str> {
    if !config.discard_new_per_subject {
        return None;
    }
    if config.discard != Discard::New {
        return Some("discard new per subject requires discard new policy to be set");
    }
    let unlimited = config.max_msgs_per_subject.is_none();
    unlimited.then_some("discard new per subject requires max msgs per subject > 0")
}

fn subjects_fault(subjects: &[String]) -> Option<String> {
    if subjects.len() > MAX_SUBJECTS {
        return Some(format!("a stream can have {MAX_SUBJECTS} subjects"));
    }
    for (index, subject) in subjects.iter().enumerate() {
        let bytes = subject.as_bytes();
        if !matcher::valid_filter(bytes) || bytes.iter().any(u8::is_ascii_whitespace) {
            return Some("invalid subject".into());
        }
        if API_SUBJECTS.iter().any(|api| bytes != b">" && matcher::overlaps(bytes, api)) {
            return Some("subjects overlap with jetstream api".into());
        }
        for other in &subjects[index + 1..] {
            if other == subject {
                return Some("duplicate subjects detected".into());
            }
            if matcher::overlaps(bytes, other.as_bytes()) {
                return Some(format!("subject {subject:?} overlaps with {other:?}"));
            }
        }
    }
    None
}

pub(super) fn check_update(old: &StreamConfig, new: &StreamConfig) -> Result<(), StreamsError> {
    let fixed = [
        (old.max_consumers != new.max_consumers, "change MaxConsumers"),
        (old.storage != new.storage, "change storage type"),
        (old.retention != new.retention, "change retention policy"),
        (old.deny_delete && !new.deny_delete, "cancel deny message deletes"),
        (old.sealed && !new.sealed, "unseal a sealed stream"),
        (old.deny_purge && !new.deny_purge, "cancel deny purge"),
    ];
    match fixed.iter().find(|(broken, _)| *broken) {
        Some((_, what)) => {
            let why = format!("stream configuration update can not {what}");
            Err(StreamsError::StreamConfig(why))
        }
        None => Ok(()),
    }
}
