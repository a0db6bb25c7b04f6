//! Errors of the API: nats-server's codes and texts.

use std::borrow::Cow;

use serde::Serialize;

use crate::stream::{ConsumerFault, OverAccount, StreamsError};

/// An error as a requester sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ApiError {
    pub(super) code: u16,
    pub(super) err_code: u16,
    pub(super) description: Cow<'static, str>,
}

impl ApiError {
    pub(super) const INVALID_JSON: Self = Self::fixed(400, 10025, "invalid JSON");
    pub(super) const BAD_REQUEST: Self = Self::fixed(400, 10003, "bad request");
    pub(super) const NO_MESSAGE: Self = Self::fixed(404, 10037, "no message found");
    pub(super) const NOT_DELETED: Self = Self::fixed(500, 10057, "no message found");
    pub(super) const STREAM_MISMATCH: Self =
        Self::fixed(400, 10056, "stream name in subject does not match request");
    pub(super) const REPLICAS: Self =
        Self::fixed(500, 10074, "replicas > 1 not supported in non-clustered mode");
    pub(super) const NO_CLUSTER: Self =
        Self::fixed(503, 10010, "JetStream clustering support required");
    pub(super) const DURABLE_MISMATCH: Self =
        Self::fixed(400, 10017, "consumer name in subject does not match durable name in request");
    pub(super) const NOT_DURABLE: Self =
        Self::fixed(400, 10018, "consumer expected to be durable but a durable name was not set");
    pub(super) const NOT_EPHEMERAL: Self = Self::fixed(
        400,
        10020,
        "consumer expected to be ephemeral but a durable name was set in request",
    );
    pub(super) const FILTER_MISMATCH: Self = Self::fixed(
        400,
        10131,
        "Consumer create request did not match filtered subject from create subject",
    );

    pub(super) const CONSUMER_EXISTS: Self = Self::fixed(400, 10148, "consumer already exists");
    pub(super) const NO_CONSUMER_TO_UPDATE: Self =
        Self::fixed(400, 10149, "consumer does not exist");

    pub(super) const fn fixed(code: u16, err_code: u16, description: &'static str) -> Self {
        Self { code, err_code, description: Cow::Borrowed(description) }
    }

    fn told(code: u16, err_code: u16, description: String) -> Self {
        Self { code, err_code, description: Cow::Owned(description) }
    }

    /// A stream's configuration that is refused.
    pub(super) fn stream_config(why: impl Into<Cow<'static, str>>) -> Self {
        Self { code: 500, err_code: 10052, description: why.into() }
    }

    /// A delivery policy and a start that do not fit together.
    pub(super) fn policy(why: &str) -> Self {
        Self::told(400, 10094, format!("consumer delivery policy is deliver {why}"))
    }
}

impl From<ConsumerFault> for ApiError {
    fn from(fault: ConsumerFault) -> Self {
        let err_code = match fault {
            ConsumerFault::DeliverToWildcards => 10079,
            ConsumerFault::PushMaxWaiting => 10080,
            ConsumerFault::DeliverCycle => 10081,
            ConsumerFault::SmallHeartbeat => 10083,
            ConsumerFault::PullRequiresAck => 10084,
            ConsumerFault::PullRateLimit => 10086,
            ConsumerFault::HeartbeatNeedsPush => 10088,
            ConsumerFault::FlowControlNeedsPush => 10089,
            ConsumerFault::FilterNotSubset => 10093,
            ConsumerFault::LastPerSubjectNeedsFilter => 10094,
            ConsumerFault::WorkQueueExplicitAck => 10098,
            ConsumerFault::WorkQueueNotUnique => 10099,
            ConsumerFault::WorkQueueFilterNotUnique => 10100,
            ConsumerFault::WorkQueueDeliverAll => 10101,
            ConsumerFault::Name => 10103,
            ConsumerFault::StillActive => 10105,
            ConsumerFault::FlowControlNeedsHeartbeat => 10108,
            ConsumerFault::MaxDeliverBackoff => 10116,
        };
        Self::told(400, err_code, fault.to_string())
    }
}

impl From<StreamsError> for ApiError {
    fn from(error: StreamsError) -> Self {
        match error {
            StreamsError::NoStream(_) => Self::fixed(404, 10059, "stream not found"),
            StreamsError::NoConsumer(_) => Self::fixed(404, 10014, "consumer not found"),
            StreamsError::Different(_) => {
                Self::fixed(400, 10058, "stream name already in use with a different configuration")
            }
            StreamsError::Overlap(_) => {
                Self::fixed(400, 10065, "subjects overlap with an existing stream")
            }
            StreamsError::StreamConfig(why) => Self::stream_config(why),
            StreamsError::ConsumerConfig(fault) => fault.into(),
            StreamsError::FixedConsumer(_) => Self::told(500, 10012, error.to_string()),
            StreamsError::TooMany("streams") => {
                Self::fixed(400, 10027, "maximum number of streams reached")
            }
            StreamsError::TooMany(_) => Self::fixed(400, 10026, "maximum consumers limit reached"),
            StreamsError::Forbidden("stream purge") => {
                Self::fixed(500, 10110, "stream purge not permitted")
            }
            StreamsError::Forbidden(_) => Self::told(500, 10057, error.to_string()),
            StreamsError::FetchRefused(_) => Self::told(409, 10003, error.to_string()),
            StreamsError::OverAccount(what) => {
                let (code, err_code) = match what {
                    OverAccount::MaxBytesRequired => (400, 10113),
                    OverAccount::StreamBytes => (400, 10122),
                    OverAccount::Memory => (500, 10028),
                    OverAccount::Storage => (500, 10047),
                };
                Self::told(code, err_code, what.to_string())
            }
            StreamsError::Sealed => Self::told(400, 10109, error.to_string()),
            StreamsError::Closed => {
                Self::fixed(503, 10008, "JetStream system temporarily unavailable")
            }
            StreamsError::Log(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "request failed on the stream's files"
                );
                Self::fixed(500, 10049, "the stream's files failed")
            }
        }
    }
}
