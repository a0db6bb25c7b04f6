//! The calls about single messages: `STREAM.MSG.GET`, `STREAM.MSG.DELETE` and `DIRECT.GET`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{Answer, ApiError, parse, respond, time};
use crate::stream::{Filter, Peeked, Stored, StreamLog, StreamsError, engine::Engine};

pub(super) fn answer(engine: &mut Engine, call: &[&str], body: &[u8]) -> Option<Answer> {
    match call {
        ["GET", name] => Some(respond("stream_msg_get", get(engine, name, body))),
        ["DELETE", name] => Some(respond("stream_msg_delete", delete(engine, name, body))),
        _ => None,
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct GetRequest {
    seq: u64,
    last_by_subj: Option<String>,
    next_by_subj: Option<String>,
}

#[derive(Serialize)]
struct Got {
    message: MessageJson,
}

#[derive(Serialize)]
struct MessageJson {
    subject: String,
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    hdrs: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    time: String,
}

impl From<Stored> for MessageJson {
    fn from(stored: Stored) -> Self {
        let text = |bytes: &[u8]| (!bytes.is_empty()).then(|| STANDARD.encode(bytes));
        Self {
            subject: String::from_utf8_lossy(&stored.subject).into_owned(),
            seq: stored.seq,
            hdrs: text(&stored.headers),
            data: text(&stored.body),
            time: time(stored.at),
        }
    }
}

fn get(engine: &mut Engine, name: &str, body: &[u8]) -> Result<Got, ApiError> {
    let log = &mut engine.catalogue().get(name)?.log;
    if body.trim_ascii().is_empty() {
        return Err(ApiError::BAD_REQUEST);
    }
    let request: GetRequest = parse(body)?;
    let ambiguous =
        request.last_by_subj.is_some() && (request.seq > 0 || request.next_by_subj.is_some());
    if ambiguous || request.is_empty() {
        return Err(ApiError::BAD_REQUEST);
    }
    let seq = request.find(log).ok_or(ApiError::NO_MESSAGE)?;
    let stored = log.get(seq).map_err(StreamsError::from)?.ok_or(ApiError::NO_MESSAGE)?;
    Ok(Got { message: stored.into() })
}

impl GetRequest {
    fn is_empty(&self) -> bool {
        self.seq == 0 && self.last_by_subj.is_none() && self.next_by_subj.is_none()
    }

    fn find(&self, log: &mut StreamLog) -> Option<u64> {
        match (&self.last_by_subj, &self.next_by_subj) {
            (Some(last), _) => log.last_matching(&Filter::one(last.as_bytes())),
            (None, Some(next)) => log.next_matching(self.seq.max(1), &Filter::one(next.as_bytes())),
            (None, None) => Some(self.seq),
        }
    }
}

#[derive(Deserialize)]
struct DeleteRequest {
    seq: u64,
    #[serde(default)]
    no_erase: bool,
}

#[derive(Serialize)]
struct Deleted {
    success: bool,
}

fn delete(engine: &mut Engine, name: &str, body: &[u8]) -> Result<Deleted, ApiError> {
    let request: DeleteRequest = parse(body)?;
    if engine.catalogue().delete_message(name, request.seq, !request.no_erase)? {
        Ok(Deleted { success: true })
    } else {
        Err(ApiError::NOT_DELETED)
    }
}

/// `DIRECT.GET.S` and `DIRECT.GET.S.subject`: the message itself, not JSON about it. Streams
/// that do not allow it do not answer.
pub(super) fn direct(engine: &mut Engine, call: &[&str], body: &[u8]) -> Option<Answer> {
    let (name, subject) = call.split_first()?;
    let log = &mut engine.catalogue().get(name).ok()?.log;
    if !log.config().allow_direct {
        return None;
    }
    let request = match (subject, body.trim_ascii()) {
        ([], []) => return Some(status("408 Empty Request")),
        ([], body) => match parse::<GetRequest>(body) {
            Ok(request) => request,
            Err(_) => return Some(status("408 Malformed Request")),
        },
        (subject, _) => {
            GetRequest { last_by_subj: Some(subject.join(".")), ..GetRequest::default() }
        }
    };
    if request.is_empty() {
        return Some(status("408 Empty Request"));
    }
    let name = log.config().name.to_string();
    let found = request.find(log).and_then(|seq| log.peek(seq).ok().flatten());
    Some(found.map_or_else(|| status("404 Message Not Found"), |message| raw(&name, &message)))
}

fn status(line: &str) -> Answer {
    let headers = format!("NATS/1.0 {line}\r\n\r\n").into_bytes();
    Answer { headers, body: Vec::new(), failed: false }
}

fn raw(stream: &str, message: &Peeked<'_>) -> Answer {
    let mut headers = match message.headers.strip_suffix(b"\r\n") {
        Some(open) => open.to_vec(),
        None => b"NATS/1.0\r\n".to_vec(),
    };
    let (seq, at) = (message.seq.to_string(), time(message.at));
    let fields: [(&str, &[u8]); 4] = [
        ("Nats-Stream", stream.as_bytes()),
        ("Nats-Subject", message.subject),
        ("Nats-Sequence", seq.as_bytes()),
        ("Nats-Time-Stamp", at.as_bytes()),
    ];
    for (name, value) in fields {
        headers.extend_from_slice(name.as_bytes());
        headers.extend_from_slice(b": ");
        headers.extend_from_slice(value);
        headers.extend_from_slice(b"\r\n");
    }
    headers.extend_from_slice(b"\r\n");
    Answer { headers, body: message.body.to_vec(), failed: false }
}
