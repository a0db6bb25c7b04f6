//! JetStream's API over the streams: one request's subject and body in, one answer out.
//!
//! Owns the JSON of nats-server 2.9, its error codes and texts, and what each call is named.
//! Keeps no state of its own, and knows neither sockets nor files: the streams do the work.

mod consumer_config;
mod consumers;
mod error;
mod messages;
mod stream_config;
mod streams;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::stream::{AccountLimits, Storage, UnixNanos, engine::Engine};
use error::ApiError;

const PREFIX: &str = "$JS.API.";

/// What a requester of the API gets.
pub(crate) struct Answer {
    pub(crate) headers: Vec<u8>,
    pub(crate) body: Vec<u8>,
    /// It is an error, for the statistics.
    pub(crate) failed: bool,
}

/// Answers one request; none where nobody would.
pub(crate) fn answer(engine: &mut Engine, subject: &[u8], body: &[u8]) -> Option<Answer> {
    let call = std::str::from_utf8(subject).ok()?.strip_prefix(PREFIX)?;
    let tokens: Vec<&str> = call.split('.').collect();
    match tokens.as_slice() {
        ["INFO"] => Some(respond("account_info", Ok(account(engine)))),
        ["STREAM", "MSG", rest @ ..] => messages::answer(engine, rest, body),
        ["STREAM", rest @ ..] => streams::answer(engine, rest, body),
        ["CONSUMER", rest @ ..] => consumers::answer(engine, rest, body),
        ["DIRECT", "GET", rest @ ..] => messages::direct(engine, rest, body),
        _ => None,
    }
}

#[derive(Serialize)]
struct Response<T> {
    r#type: String,
    #[serde(flatten)]
    content: T,
}

#[derive(Serialize)]
struct Failure {
    error: ApiError,
}

/// Puts a call's result into the envelope of its type, `io.nats.jetstream.api.v1.<kind>_response`.
fn respond<T: Serialize>(kind: &str, result: Result<T, ApiError>) -> Answer {
    let r#type = format!("io.nats.jetstream.api.v1.{kind}_response");
    let (body, failed) = match result {
        Ok(content) => (serde_json::to_vec(&Response { r#type, content }), false),
        Err(error) => {
            let content = Failure { error };
            (serde_json::to_vec(&Response { r#type, content }), true)
        }
    };
    let body = body.expect("texts, numbers and lists are always JSON");
    Answer { headers: Vec::new(), body, failed }
}

/// Reads a request's body; members that are null count as absent, as they do in Go.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let mut value = serde_json::from_slice(body).map_err(|_| ApiError::INVALID_JSON)?;
    drop_nulls(&mut value);
    serde_json::from_value(value).map_err(|_| ApiError::INVALID_JSON)
}

/// As [`parse`], where an empty body asks for the defaults, and so does `null`, which async-nats
/// sends where it has nothing to say.
fn parse_or_default<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, ApiError> {
    match body.trim_ascii() {
        b"" | b"null" => Ok(T::default()),
        body => parse(body),
    }
}

fn drop_nulls(value: &mut serde_json::Value) {
    if let Some(members) = value.as_object_mut() {
        members.retain(|_, member| !member.is_null());
        members.values_mut().for_each(drop_nulls);
    }
}

/// A page of a list.
#[derive(Serialize)]
struct Page {
    total: usize,
    offset: usize,
    limit: usize,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PageRequest {
    offset: usize,
    subject: Option<String>,
}

/// Cuts one page out of a list.
fn page<T>(all: Vec<T>, offset: usize, limit: usize) -> (Page, Vec<T>) {
    let total = all.len();
    let offset = offset.min(total);
    let kept = all.into_iter().skip(offset).take(limit).collect();
    (Page { total, offset, limit }, kept)
}

/// RFC 3339; the moment zero is Go's zero time.
fn time(at: UnixNanos) -> String {
    if at.0 == 0 {
        return "0001-01-01T00:00:00Z".to_owned();
    }
    let micros = i64::try_from(at.0 / 1000).unwrap_or(i64::MAX);
    model::Timestamp::from_micros(micros).to_string()
}

#[derive(Serialize)]
struct AccountInfo {
    memory: u64,
    storage: u64,
    /// What streams were promised; newer clients do not read an answer without.
    reserved_memory: u64,
    reserved_storage: u64,
    streams: usize,
    consumers: usize,
    limits: LimitsJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    api: ApiCounts,
}

#[derive(Serialize)]
struct ApiCounts {
    total: u64,
    errors: u64,
}

#[derive(Serialize)]
struct LimitsJson {
    max_memory: i64,
    max_storage: i64,
    max_streams: i64,
    max_consumers: i64,
    max_ack_pending: i64,
    memory_max_stream_bytes: i64,
    storage_max_stream_bytes: i64,
    max_bytes_required: bool,
}

impl From<&AccountLimits> for LimitsJson {
    fn from(limits: &AccountLimits) -> Self {
        fn shown<T: TryInto<i64>>(limit: Option<T>) -> i64 {
            limit.map_or(-1, |limit| limit.try_into().unwrap_or(i64::MAX))
        }
        Self {
            max_memory: shown(limits.max_memory),
            max_storage: shown(limits.max_storage),
            max_streams: shown(limits.max_streams),
            max_consumers: shown(limits.max_consumers),
            max_ack_pending: shown(limits.max_ack_pending),
            memory_max_stream_bytes: shown(limits.memory_max_stream_bytes),
            storage_max_stream_bytes: shown(limits.storage_max_stream_bytes),
            max_bytes_required: limits.max_bytes_required,
        }
    }
}

fn account(engine: &mut Engine) -> AccountInfo {
    let (total, errors) = engine.api_counts();
    let catalogue = engine.catalogue();
    let infos = catalogue.infos();
    AccountInfo {
        memory: catalogue.bytes(Storage::Memory),
        storage: catalogue.bytes(Storage::File),
        reserved_memory: catalogue.reserved(Storage::Memory),
        reserved_storage: catalogue.reserved(Storage::File),
        streams: infos.len(),
        consumers: infos.iter().map(|info| info.consumers).sum(),
        limits: catalogue.account().into(),
        domain: catalogue.domain().map(str::to_owned),
        api: ApiCounts { total: total.saturating_sub(1), errors },
    }
}
