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

use crate::stream::{UnixNanos, engine::Engine};
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

/// As [`parse`], where an empty body asks for the defaults.
fn parse_or_default<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, ApiError> {
    if body.trim_ascii().is_empty() { Ok(T::default()) } else { parse(body) }
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
    streams: usize,
    consumers: usize,
    limits: AccountLimits,
    api: ApiCounts,
}

#[derive(Serialize)]
struct ApiCounts {
    total: u64,
    errors: u64,
}

#[derive(Serialize)]
struct AccountLimits {
    max_memory: i64,
    max_storage: i64,
    max_streams: i64,
    max_consumers: i64,
    max_ack_pending: i64,
    memory_max_stream_bytes: i64,
    storage_max_stream_bytes: i64,
    max_bytes_required: bool,
}

const UNLIMITED: AccountLimits = AccountLimits {
    max_memory: -1,
    max_storage: -1,
    max_streams: -1,
    max_consumers: -1,
    max_ack_pending: -1,
    memory_max_stream_bytes: -1,
    storage_max_stream_bytes: -1,
    max_bytes_required: false,
};

fn account(engine: &mut Engine) -> AccountInfo {
    use crate::stream::Storage;
    let (total, errors) = engine.api_counts();
    let infos = engine.catalogue().infos();
    let bytes = |storage: Storage| {
        infos
            .iter()
            .filter(|info| info.config.storage == storage)
            .map(|info| info.state.bytes)
            .sum()
    };
    AccountInfo {
        memory: bytes(Storage::Memory),
        storage: bytes(Storage::File),
        streams: infos.len(),
        consumers: infos.iter().map(|info| info.consumers).sum(),
        limits: UNLIMITED,
        api: ApiCounts { total: total.saturating_sub(1), errors },
    }
}
