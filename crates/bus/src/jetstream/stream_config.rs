//! A stream's configuration and figures as JetStream's JSON has them.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{ApiError, time};
use crate::stream::{Discard, Retention, Storage, StreamConfig, StreamInfo};

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RetentionWord {
    #[default]
    Limits,
    Interest,
    WorkQueue,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DiscardWord {
    #[default]
    Old,
    New,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StorageWord {
    #[default]
    File,
    Memory,
}

/// The members of nats-server 2.9. Zero and negative limits are none; spans are nanoseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct StreamJson {
    pub(super) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    subjects: Vec<String>,
    retention: RetentionWord,
    max_consumers: i64,
    max_msgs: i64,
    max_bytes: i64,
    max_age: i64,
    max_msgs_per_subject: i64,
    max_msg_size: i64,
    discard: DiscardWord,
    storage: StorageWord,
    #[serde(skip_serializing_if = "is_false")]
    discard_new_per_subject: bool,
    num_replicas: i64,
    duplicate_window: i64,
    allow_direct: bool,
    mirror_direct: bool,
    sealed: bool,
    deny_delete: bool,
    deny_purge: bool,
    allow_rollup_hdrs: bool,
    #[serde(skip_serializing)]
    no_ack: bool,
    #[serde(skip_serializing)]
    mirror: Option<serde::de::IgnoredAny>,
    #[serde(skip_serializing)]
    sources: Option<serde::de::IgnoredAny>,
    #[serde(skip_serializing)]
    republish: Option<serde::de::IgnoredAny>,
}

fn limit(value: i64) -> Option<u64> {
    u64::try_from(value).ok().filter(|value| *value > 0)
}

fn shown<T: TryInto<i64>>(limit: Option<T>) -> i64 {
    limit.map_or(-1, |limit| limit.try_into().unwrap_or(i64::MAX))
}

pub(super) fn span(nanos: i64) -> Option<Duration> {
    limit(nanos).map(Duration::from_nanos)
}

pub(super) fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

impl StreamJson {
    /// What of it no stream here can be.
    fn unsupported(&self) -> Option<ApiError> {
        let refused = [
            (self.mirror.is_some(), "mirrors are not supported"),
            (self.sources.is_some(), "sources are not supported"),
            (self.republish.is_some(), "republishing is not supported"),
            (
                self.mirror_direct && self.mirror.is_none(),
                "stream has no mirror but does have mirror direct",
            ),
            (self.no_ack, "streams without acknowledgements are not supported"),
        ];
        if let Some((_, why)) = refused.iter().find(|(is, _)| *is) {
            return Some(ApiError::stream_config(*why));
        }
        (2..=5).contains(&self.num_replicas).then_some(ApiError::REPLICAS)
    }

    /// The stream that this asks for.
    pub(super) fn into_config(mut self) -> Result<StreamConfig, ApiError> {
        if let Some(error) = self.unsupported() {
            return Err(error);
        }
        let name = self.name.parse().map_err(|_| {
            ApiError::stream_config("stream name is required and can not contain '.', '*', '>'")
        })?;
        if self.subjects.is_empty() {
            self.subjects.push(self.name.clone());
        }
        let max_age = span(self.max_age);
        let longest = StreamConfig::DEFAULT_DUPLICATE_WINDOW.min(max_age.unwrap_or(Duration::MAX));
        Ok(StreamConfig {
            name,
            subjects: self.subjects,
            description: Some(self.description).filter(|text| !text.is_empty()),
            retention: match self.retention {
                RetentionWord::Limits => Retention::Limits,
                RetentionWord::Interest => Retention::Interest,
                RetentionWord::WorkQueue => Retention::WorkQueue,
            },
            max_msgs: limit(self.max_msgs),
            max_bytes: limit(self.max_bytes),
            max_age,
            max_msg_size: limit(self.max_msg_size).and_then(|limit| u32::try_from(limit).ok()),
            max_msgs_per_subject: limit(self.max_msgs_per_subject),
            max_consumers: limit(self.max_consumers).and_then(|limit| u32::try_from(limit).ok()),
            discard: match self.discard {
                DiscardWord::Old => Discard::Old,
                DiscardWord::New => Discard::New,
            },
            discard_new_per_subject: self.discard_new_per_subject,
            sealed: self.sealed,
            duplicate_window: span(self.duplicate_window).unwrap_or(longest),
            allow_direct: self.allow_direct,
            allow_rollup_hdrs: self.allow_rollup_hdrs,
            deny_delete: self.deny_delete,
            deny_purge: self.deny_purge,
            num_replicas: u32::try_from(self.num_replicas.max(1)).unwrap_or(u32::MAX),
            storage: match self.storage {
                StorageWord::File => Storage::File,
                StorageWord::Memory => Storage::Memory,
            },
        })
    }
}

impl From<StreamConfig> for StreamJson {
    fn from(config: StreamConfig) -> Self {
        Self {
            name: config.name.into(),
            description: config.description.unwrap_or_default(),
            subjects: config.subjects,
            retention: match config.retention {
                Retention::Limits => RetentionWord::Limits,
                Retention::Interest => RetentionWord::Interest,
                Retention::WorkQueue => RetentionWord::WorkQueue,
            },
            max_consumers: shown(config.max_consumers),
            max_msgs: shown(config.max_msgs),
            max_bytes: shown(config.max_bytes),
            max_age: config.max_age.map_or(0, nanos),
            max_msgs_per_subject: shown(config.max_msgs_per_subject),
            max_msg_size: shown(config.max_msg_size),
            discard: match config.discard {
                Discard::Old => DiscardWord::Old,
                Discard::New => DiscardWord::New,
            },
            storage: match config.storage {
                Storage::File => StorageWord::File,
                Storage::Memory => StorageWord::Memory,
            },
            discard_new_per_subject: config.discard_new_per_subject,
            sealed: config.sealed,
            num_replicas: i64::from(config.num_replicas),
            duplicate_window: nanos(config.duplicate_window),
            allow_direct: config.allow_direct,
            deny_delete: config.deny_delete,
            deny_purge: config.deny_purge,
            allow_rollup_hdrs: config.allow_rollup_hdrs,
            ..Self::default()
        }
    }
}

/// A stream as `STREAM.INFO` and its kin show it.
#[derive(Serialize)]
pub(super) struct StreamInfoJson {
    config: StreamJson,
    created: String,
    pub(super) state: StateJson,
}

#[derive(Serialize)]
pub(super) struct StateJson {
    messages: u64,
    bytes: u64,
    first_seq: u64,
    first_ts: String,
    last_seq: u64,
    last_ts: String,
    #[serde(skip_serializing_if = "is_zero")]
    num_subjects: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subjects: Option<BTreeMap<String, u64>>,
    #[serde(skip_serializing_if = "is_zero")]
    num_deleted: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) deleted: Vec<u64>,
    consumer_count: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the signature that serde asks for
fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the signature that serde asks for
fn is_false(value: &bool) -> bool {
    !*value
}

impl From<StreamInfo> for StreamInfoJson {
    fn from(info: StreamInfo) -> Self {
        let state = info.state;
        Self {
            config: info.config.into(),
            created: time(info.created),
            state: StateJson {
                messages: state.messages,
                bytes: state.bytes,
                first_seq: if state.last_seq == 0 { 0 } else { state.first_seq },
                first_ts: time(state.first_at),
                last_seq: state.last_seq,
                last_ts: time(state.last_at),
                num_subjects: state.subjects,
                subjects: None,
                num_deleted: state.deleted,
                deleted: Vec::new(),
                consumer_count: info.consumers,
            },
        }
    }
}
