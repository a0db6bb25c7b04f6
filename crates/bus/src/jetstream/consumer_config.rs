//! A consumer's configuration and figures as JetStream's JSON has them.

use serde::{Deserialize, Serialize};

use super::{
    ApiError,
    stream_config::{nanos, span},
};
use crate::stream::{AckPolicy, ConsumerConfig, ConsumerFault, ConsumerInfo, Deliver, Point, Push};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DeliverWord {
    #[default]
    All,
    Last,
    New,
    ByStartSequence,
    ByStartTime,
    LastPerSubject,
}

impl DeliverWord {
    /// As nats-server names it in its errors.
    fn spoken(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Last => "last",
            Self::New => "new",
            Self::ByStartSequence => "by start sequence",
            Self::ByStartTime => "by start time",
            Self::LastPerSubject => "last per subject",
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AckWord {
    #[default]
    None,
    All,
    Explicit,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ReplayWord {
    #[default]
    Instant,
    Original,
}

/// The members of nats-server 2.9; spans are nanoseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ConsumerJson {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) durable_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    deliver_policy: DeliverWord,
    #[serde(skip_serializing_if = "is_zero")]
    opt_start_seq: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    opt_start_time: Option<String>,
    ack_policy: AckWord,
    #[serde(skip_serializing_if = "is_zero")]
    ack_wait: i64,
    #[serde(skip_serializing_if = "is_zero")]
    max_deliver: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    backoff: Vec<i64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) filter_subject: String,
    replay_policy: ReplayWord,
    #[serde(skip_serializing_if = "is_zero")]
    rate_limit_bps: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    sample_freq: String,
    #[serde(skip_serializing_if = "is_zero")]
    max_waiting: i64,
    #[serde(skip_serializing_if = "is_zero")]
    max_ack_pending: i64,
    #[serde(skip_serializing_if = "is_false")]
    flow_control: bool,
    #[serde(skip_serializing_if = "is_false")]
    headers_only: bool,
    #[serde(skip_serializing_if = "is_zero")]
    max_batch: i64,
    #[serde(skip_serializing_if = "is_zero")]
    max_expires: i64,
    #[serde(skip_serializing_if = "is_zero")]
    max_bytes: i64,
    #[serde(skip_serializing_if = "is_zero")]
    inactive_threshold: i64,
    num_replicas: i64,
    #[serde(skip_serializing_if = "is_false")]
    mem_storage: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    deliver_subject: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    deliver_group: String,
    #[serde(skip_serializing_if = "is_zero")]
    idle_heartbeat: i64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the signature that serde asks for
fn is_zero(value: &i64) -> bool {
    *value == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the signature that serde asks for
fn is_false(value: &bool) -> bool {
    !*value
}

fn small(value: i64) -> Option<u32> {
    u32::try_from(value).ok().filter(|value| *value > 0)
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

impl ConsumerJson {
    /// The consumer that this asks for.
    pub(super) fn into_config(self) -> Result<ConsumerConfig, ApiError> {
        let deliver = self.deliver()?;
        let push = self.push()?;
        let ack = match self.ack_policy {
            AckWord::None => AckPolicy::None,
            AckWord::All => AckPolicy::All,
            AckWord::Explicit => AckPolicy::Explicit,
        };
        let defaults = ConsumerConfig::default();
        let backoff: Vec<_> = self.backoff.iter().filter_map(|wait| span(*wait)).collect();
        let ack_wait =
            backoff.first().copied().or(span(self.ack_wait)).unwrap_or(defaults.ack_wait);
        let unlimited = self.max_ack_pending < 0 || ack == AckPolicy::None;
        let max_ack_pending = small(self.max_ack_pending);
        Ok(ConsumerConfig {
            durable: !self.durable_name.is_empty(),
            name: if self.durable_name.is_empty() { self.name } else { self.durable_name },
            description: some(&self.description),
            deliver,
            ack,
            ack_wait,
            max_deliver: small(self.max_deliver),
            backoff,
            filter: some(&self.filter_subject),
            replay_original: self.replay_policy == ReplayWord::Original,
            sample: some(&self.sample_freq),
            max_ack_pending: max_ack_pending.or(defaults.max_ack_pending.filter(|_| !unlimited)),
            max_waiting: small(self.max_waiting).unwrap_or(defaults.max_waiting),
            max_batch: small(self.max_batch),
            max_expires: span(self.max_expires),
            max_bytes: u64::try_from(self.max_bytes).ok().filter(|bytes| *bytes > 0),
            headers_only: self.headers_only,
            inactive_threshold: span(self.inactive_threshold),
            replicas: u32::try_from(self.num_replicas).unwrap_or(0),
            memory: self.mem_storage,
            push,
        })
    }

    fn push(&self) -> Result<Option<Push>, ApiError> {
        let fault = match self.deliver_subject.is_empty() {
            true if self.idle_heartbeat > 0 => Some(ConsumerFault::HeartbeatNeedsPush),
            true if self.flow_control => Some(ConsumerFault::FlowControlNeedsPush),
            true if self.rate_limit_bps > 0 => Some(ConsumerFault::PullRateLimit),
            false if self.max_waiting > 0 => Some(ConsumerFault::PushMaxWaiting),
            true => return Ok(None),
            false => None,
        };
        if let Some(fault) = fault {
            return Err(fault.into());
        }
        Ok(Some(Push {
            subject: self.deliver_subject.clone(),
            group: some(&self.deliver_group),
            flow_control: self.flow_control,
            heartbeat: span(self.idle_heartbeat),
            rate_limit: u64::try_from(self.rate_limit_bps).unwrap_or(0),
        }))
    }

    fn deliver(&self) -> Result<Deliver, ApiError> {
        let word = self.deliver_policy;
        let refuse =
            |why: &str| Err(ApiError::policy(&format!("{}, but optional {why}", word.spoken())));
        let (by_seq, by_time) =
            (word == DeliverWord::ByStartSequence, word == DeliverWord::ByStartTime);
        match (self.opt_start_seq > 0, &self.opt_start_time) {
            (false, _) if by_seq => return refuse("start sequence is not set"),
            (_, None) if by_time => return refuse("start time is not set"),
            (true, _) if !by_seq => return refuse("start sequence is also set"),
            (_, Some(_)) if !by_time => return refuse("start time is also set"),
            _ => {}
        }
        Ok(match word {
            DeliverWord::All => Deliver::All,
            DeliverWord::Last => Deliver::Last,
            DeliverWord::New => Deliver::New,
            DeliverWord::LastPerSubject => Deliver::LastPerSubject,
            DeliverWord::ByStartSequence => {
                Deliver::From(u64::try_from(self.opt_start_seq).unwrap_or(1))
            }
            DeliverWord::ByStartTime => {
                let text = self.opt_start_time.as_deref().unwrap_or_default();
                Deliver::Since(text.parse().map_err(|_| ApiError::INVALID_JSON)?)
            }
        })
    }
}

impl From<&ConsumerConfig> for ConsumerJson {
    fn from(config: &ConsumerConfig) -> Self {
        let mut json = Self {
            description: config.description.clone().unwrap_or_default(),
            max_deliver: config.max_deliver.map_or(-1, i64::from),
            backoff: config.backoff.iter().map(|wait| nanos(*wait)).collect(),
            filter_subject: config.filter.clone().unwrap_or_default(),
            replay_policy: if config.replay_original {
                ReplayWord::Original
            } else {
                ReplayWord::Instant
            },
            sample_freq: config.sample.clone().unwrap_or_default(),
            headers_only: config.headers_only,
            max_batch: config.max_batch.map_or(0, i64::from),
            max_expires: config.max_expires.map_or(0, nanos),
            max_bytes: config.max_bytes.map_or(0, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            inactive_threshold: config.inactive_threshold.map_or(0, nanos),
            num_replicas: i64::from(config.replicas),
            mem_storage: config.memory,
            ..Self::default()
        };
        json.name.clone_from(&config.name);
        if config.durable {
            json.durable_name.clone_from(&config.name);
        }
        json.show_deliver(config.deliver);
        json.show_ack(config);
        json.show_push(config);
        json
    }
}

impl ConsumerJson {
    fn show_deliver(&mut self, deliver: Deliver) {
        self.deliver_policy = match deliver {
            Deliver::All => DeliverWord::All,
            Deliver::Last => DeliverWord::Last,
            Deliver::New => DeliverWord::New,
            Deliver::LastPerSubject => DeliverWord::LastPerSubject,
            Deliver::From(seq) => {
                self.opt_start_seq = i64::try_from(seq).unwrap_or(i64::MAX);
                DeliverWord::ByStartSequence
            }
            Deliver::Since(at) => {
                self.opt_start_time = Some(at.to_string());
                DeliverWord::ByStartTime
            }
        };
    }

    fn show_ack(&mut self, config: &ConsumerConfig) {
        let unlimited = match config.ack {
            AckPolicy::None => 0,
            AckPolicy::All | AckPolicy::Explicit => -1,
        };
        self.max_ack_pending = config.max_ack_pending.map_or(unlimited, i64::from);
        self.ack_policy = match config.ack {
            AckPolicy::None => AckWord::None,
            AckPolicy::All => AckWord::All,
            AckPolicy::Explicit => AckWord::Explicit,
        };
        if config.ack != AckPolicy::None {
            self.ack_wait = nanos(config.ack_wait);
        }
    }

    fn show_push(&mut self, config: &ConsumerConfig) {
        let Some(push) = &config.push else {
            self.max_waiting = i64::from(config.max_waiting);
            return;
        };
        self.deliver_subject.clone_from(&push.subject);
        self.deliver_group = push.group.clone().unwrap_or_default();
        self.flow_control = push.flow_control;
        self.idle_heartbeat = push.heartbeat.map_or(0, nanos);
        self.rate_limit_bps = i64::try_from(push.rate_limit).unwrap_or(i64::MAX);
    }
}

/// A consumer as `CONSUMER.INFO` and its kin show it.
#[derive(Serialize)]
pub(super) struct ConsumerInfoJson {
    stream_name: String,
    name: String,
    created: String,
    config: ConsumerJson,
    delivered: PointJson,
    ack_floor: PointJson,
    num_ack_pending: usize,
    num_redelivered: usize,
    num_waiting: usize,
    num_pending: u64,
    #[serde(skip_serializing_if = "is_false")]
    push_bound: bool,
}

#[derive(Serialize)]
struct PointJson {
    consumer_seq: u64,
    stream_seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_active: Option<String>,
}

impl From<Point> for PointJson {
    fn from(point: Point) -> Self {
        let last_active = point.at.map(|at| at.to_string());
        Self { consumer_seq: point.cseq, stream_seq: point.seq, last_active }
    }
}

impl From<ConsumerInfo> for ConsumerInfoJson {
    fn from(info: ConsumerInfo) -> Self {
        Self {
            config: (&info.config).into(),
            stream_name: info.stream,
            name: info.config.name,
            created: info.created.to_string(),
            delivered: info.state.delivered.into(),
            ack_floor: info.state.ack_floor.into(),
            num_ack_pending: info.state.ack_pending,
            num_redelivered: info.state.redelivered,
            num_waiting: info.state.waiting,
            num_pending: info.state.pending,
            push_bound: info.state.bound,
        }
    }
}
