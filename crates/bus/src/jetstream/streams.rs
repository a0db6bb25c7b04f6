//! The calls `STREAM.*`, but for those about single messages.

use serde::{Deserialize, Serialize};

use super::{
    Answer, ApiError, Page, PageRequest, page, parse, parse_or_default, respond,
    stream_config::{StreamInfoJson, StreamJson},
};
use crate::stream::{Filter, Purge, StreamLog, engine::Engine};

const NAMES_PER_PAGE: usize = 1024;
const STREAMS_PER_PAGE: usize = 256;
const SUBJECTS_PER_PAGE: usize = 100_000;
const MAX_DELETED: usize = 100_000;

pub(super) fn answer(engine: &mut Engine, call: &[&str], body: &[u8]) -> Option<Answer> {
    Some(match call {
        ["NAMES"] => respond("stream_names", names(engine, body)),
        ["LIST"] => respond("stream_list", list(engine, body)),
        ["CREATE", name] => respond("stream_create", create(engine, name, body)),
        ["UPDATE", name] => respond("stream_update", update(engine, name, body)),
        ["INFO", name] => respond("stream_info", info(engine, name, body)),
        ["DELETE", name] => respond("stream_delete", delete(engine, name)),
        ["PURGE", name] => respond("stream_purge", purge(engine, name, body)),
        ["SNAPSHOT", _] => refuse("stream_snapshot", ApiError::BAD_REQUEST),
        ["RESTORE", _] => refuse("stream_restore", ApiError::BAD_REQUEST),
        ["LEADER", "STEPDOWN", _] => refuse("stream_leader_stepdown", ApiError::NO_CLUSTER),
        ["PEER", "REMOVE", _] => refuse("stream_remove_peer", ApiError::NO_CLUSTER),
        _ => return None,
    })
}

fn refuse(kind: &str, error: ApiError) -> Answer {
    respond::<()>(kind, Err(error))
}

#[derive(Serialize)]
struct Names {
    #[serde(flatten)]
    page: Page,
    streams: Option<Vec<String>>,
}

fn names(engine: &mut Engine, body: &[u8]) -> Result<Names, ApiError> {
    let request: PageRequest = parse_or_default(body)?;
    let names = engine.catalogue().names(request.subject.as_deref());
    let names = names.into_iter().map(str::to_owned).collect();
    let (page, streams) = page(names, request.offset, NAMES_PER_PAGE);
    Ok(Names { page, streams: Some(streams).filter(|streams| !streams.is_empty()) })
}

#[derive(Serialize)]
struct List {
    #[serde(flatten)]
    page: Page,
    streams: Vec<StreamInfoJson>,
}

fn list(engine: &mut Engine, body: &[u8]) -> Result<List, ApiError> {
    let request: PageRequest = parse_or_default(body)?;
    let names: Vec<String> = engine
        .catalogue()
        .names(request.subject.as_deref())
        .into_iter()
        .map(str::to_owned)
        .collect();
    let (page, names) = page(names, request.offset, STREAMS_PER_PAGE);
    let streams = names.iter().filter_map(|name| engine.catalogue().info(name).ok());
    Ok(List { page, streams: streams.map(StreamInfoJson::from).collect() })
}

#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    info: StreamInfoJson,
    did_create: bool,
}

fn requested(name: &str, body: &[u8]) -> Result<crate::stream::StreamConfig, ApiError> {
    let wanted: StreamJson = parse(body)?;
    if wanted.name != name {
        return Err(ApiError::STREAM_MISMATCH);
    }
    wanted.into_config()
}

fn create(engine: &mut Engine, name: &str, body: &[u8]) -> Result<Created, ApiError> {
    engine.catalogue().create(requested(name, body)?)?;
    let info = engine.catalogue().info(name)?.into();
    Ok(Created { info, did_create: true })
}

fn update(engine: &mut Engine, name: &str, body: &[u8]) -> Result<StreamInfoJson, ApiError> {
    engine.catalogue().update(requested(name, body)?)?;
    Ok(engine.catalogue().info(name)?.into())
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct InfoRequest {
    offset: usize,
    deleted_details: bool,
    subjects_filter: Option<String>,
}

#[derive(Serialize)]
struct Info {
    #[serde(flatten)]
    page: Page,
    #[serde(flatten)]
    info: StreamInfoJson,
}

fn info(engine: &mut Engine, name: &str, body: &[u8]) -> Result<Info, ApiError> {
    let request: InfoRequest = parse_or_default(body)?;
    let stream = engine.catalogue().get(name)?;
    let mut info = StreamInfoJson::from(stream.info());
    let mut shown = Page { total: 0, offset: 0, limit: 0 };
    if let Some(filter) = request.subjects_filter.filter(|filter| !filter.is_empty()) {
        let filter = Filter::one(filter.as_bytes());
        let mut found = stream.log.subjects(&filter, usize::MAX);
        found.sort_unstable();
        let (page, found) = page(found, request.offset, SUBJECTS_PER_PAGE);
        let text = |(subject, count): (bytes::Bytes, u64)| {
            (String::from_utf8_lossy(&subject).into_owned(), count)
        };
        info.state.subjects = (!found.is_empty()).then(|| found.into_iter().map(text).collect());
        shown = page;
    }
    if request.deleted_details {
        info.state.deleted = deleted(&mut stream.log);
    }
    Ok(Info { page: shown, info })
}

/// The numbers between the first and the last message that are gone, as far as they fit.
fn deleted(log: &mut StreamLog) -> Vec<u64> {
    let all = Filter::all();
    let mut gone = Vec::new();
    let mut expected = log.state().first_seq;
    while gone.len() < MAX_DELETED
        && let Some(seq) = log.next_matching(expected, &all)
    {
        gone.extend((expected..seq).take(MAX_DELETED - gone.len()));
        expected = seq + 1;
    }
    gone
}

#[derive(Serialize)]
struct Done {
    success: bool,
}

fn delete(engine: &mut Engine, name: &str) -> Result<Done, ApiError> {
    engine.remove_stream(name)?;
    Ok(Done { success: true })
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PurgeRequest {
    filter: Option<String>,
    seq: u64,
    keep: u64,
}

#[derive(Serialize)]
struct Purged {
    success: bool,
    purged: u64,
}

fn purge(engine: &mut Engine, name: &str, body: &[u8]) -> Result<Purged, ApiError> {
    let request: PurgeRequest = parse_or_default(body)?;
    engine.catalogue().get(name)?;
    if request.seq > 0 && request.keep > 0 {
        return Err(ApiError::BAD_REQUEST);
    }
    let filter = request.filter.filter(|filter| !filter.is_empty());
    let purge = Purge {
        filter: filter.map(|filter| Filter::one(filter.as_bytes())),
        before: (request.seq > 0).then_some(request.seq),
        keep: (request.keep > 0).then_some(request.keep),
    };
    let purged = engine.catalogue().purge(name, &purge)?;
    Ok(Purged { success: true, purged })
}
