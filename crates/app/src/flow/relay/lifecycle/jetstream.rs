//! What is asked of JetStream, and how its answers read. Pure.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    link::{Answer, Kept},
    stream::{ACTIVITY_EVENTS, DESCRIPTION, Found, MAX_AGE, SUBJECTS, WINDOW},
};

/// Codes of the server's errors (`err_code`) that mean something to us.
const NO_MESSAGE: u64 = 10037;
const TOO_LARGE: u64 = 10054;
const NO_STREAM: u64 = 10059;
const OTHER_STREAM: u64 = 10060;
const WRONG_LAST_MESSAGE: u64 = 10070;

/// An error of JetStream's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    code: u64,
    description: String,
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.description)
    }
}

/// A request: its subject and body.
pub(super) type Request = (String, Value);

/// The names of the streams that capture some of our subjects.
pub(super) fn names() -> Request {
    ("$JS.API.STREAM.NAMES".into(), json!({"subject": SUBJECTS}))
}

pub(super) fn info(stream: &str) -> Request {
    (format!("$JS.API.STREAM.INFO.{stream}"), json!({}))
}

/// The stream as we make it on a server: how much it may hold there is the server's matter.
pub(super) fn create() -> Request {
    let nanos = |duration: std::time::Duration| u64::try_from(duration.as_nanos()).unwrap_or(0);
    let config = json!({
        "name": ACTIVITY_EVENTS,
        "description": DESCRIPTION,
        "subjects": [SUBJECTS],
        "retention": "limits",
        "max_consumers": -1,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": nanos(MAX_AGE),
        "max_msgs_per_subject": -1,
        "max_msg_size": -1,
        "discard": "old",
        "storage": "file",
        "num_replicas": 1,
        "duplicate_window": nanos(WINDOW),
        "allow_direct": true,
    });
    (format!("$JS.API.STREAM.CREATE.{ACTIVITY_EVENTS}"), config)
}

pub(super) fn last(stream: &str, subject: &str) -> Request {
    (format!("$JS.API.STREAM.MSG.GET.{stream}"), json!({"last_by_subj": subject}))
}

pub(super) fn get(stream: &str, seq: u64) -> Request {
    (format!("$JS.API.STREAM.MSG.GET.{stream}"), json!({"seq": seq}))
}

/// An answer without its error.
pub(super) fn answer(body: &[u8]) -> Result<Value, ApiError> {
    let answer: Value = serde_json::from_slice(body)
        .map_err(|_| ApiError { code: 0, description: "its answer is no JSON".into() })?;
    match answer.get("error") {
        Some(error) => Err(ApiError {
            code: error["err_code"].as_u64().unwrap_or(0),
            description: error["description"].as_str().unwrap_or("it says no why").to_owned(),
        }),
        None => Ok(answer),
    }
}

/// The names in an answer to [`names`].
pub(super) fn listed(answer: &Value) -> Vec<String> {
    let names = answer["streams"].as_array().into_iter().flatten();
    names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// The stream in an answer to [`info`] or [`create`].
pub(super) fn found(answer: &Value) -> Found {
    let config = &answer["config"];
    let subjects = config["subjects"].as_array().into_iter().flatten();
    Found {
        name: config["name"].as_str().unwrap_or_default().to_owned(),
        subjects: subjects.filter_map(|s| s.as_str().map(str::to_owned)).collect(),
        acknowledges: config["no_ack"] != true,
    }
}

/// The largest message that the stream takes, where it says so.
pub(super) fn largest(answer: &Value) -> Option<usize> {
    answer["config"]["max_msg_size"].as_u64().and_then(|size| usize::try_from(size).ok())
}

/// The first and the last message in an answer to [`info`].
pub(super) fn range(answer: &Value) -> (u64, u64) {
    let number = |name: &str| answer["state"][name].as_u64().unwrap_or(0);
    (number("first_seq"), number("last_seq"))
}

/// The message in an answer to [`last`] or [`get`]; none where there is none.
pub(super) fn message(answer: Result<Value, ApiError>) -> Result<Option<Kept>, ApiError> {
    match answer {
        Ok(answer) => {
            let decoded = |member: &str| {
                let text = answer["message"][member].as_str().unwrap_or_default();
                STANDARD.decode(text).unwrap_or_default().into()
            };
            Ok(Some(Kept { headers: decoded("hdrs"), body: decoded("data") }))
        }
        Err(error) if error.code == NO_MESSAGE => Ok(None),
        Err(error) => Err(error),
    }
}

/// What an acknowledgement says.
pub(super) fn acknowledged(body: &[u8]) -> Answer {
    match answer(body) {
        Ok(ack) => match (ack["stream"].as_str(), ack["seq"].as_u64()) {
            (Some(stream), Some(seq)) => {
                let duplicate = ack["duplicate"] == true;
                Answer::Stored { stream: stream.to_owned(), seq, duplicate }
            }
            _ => Answer::Failed("its acknowledgement names no stream".into()),
        },
        Err(error) => match error.code {
            TOO_LARGE => Answer::TooLarge(error.description),
            WRONG_LAST_MESSAGE => Answer::OtherLast,
            NO_STREAM | OTHER_STREAM => Answer::Elsewhere(format!("the stream refuses: {error}")),
            _ => Answer::Failed(format!("the stream refuses: {error}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_read_as_what_they_mean() {
        let stored = |seq, duplicate| Answer::Stored { stream: "S".into(), seq, duplicate };
        let error = |code: u64, text: &str| {
            format!(r#"{{"error":{{"code":400,"err_code":{code},"description":"{text}"}}}}"#)
        };
        for (body, expected) in [
            (r#"{"stream":"S","seq":7}"#.to_owned(), stored(7, false)),
            (r#"{"stream":"S","seq":7,"duplicate":true}"#.to_owned(), stored(7, true)),
            (error(10054, "too big"), Answer::TooLarge("too big".into())),
            (error(10070, "wrong last msg ID: x"), Answer::OtherLast),
            (error(10023, "disk full"), Answer::Failed("the stream refuses: disk full".into())),
            (error(10060, "other"), Answer::Elsewhere("the stream refuses: other".into())),
            ("{}".into(), Answer::Failed("its acknowledgement names no stream".into())),
            ("+OK".into(), Answer::Failed("the stream refuses: its answer is no JSON".into())),
        ] {
            assert_eq!(acknowledged(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn a_subject_without_a_message_is_no_error() {
        let none = answer(br#"{"error":{"code":404,"err_code":10037,"description":"none"}}"#);
        assert_eq!(message(none), Ok(None));
        for (members, headers, body) in [
            (r#""data":"aGk=""#, "", "hi"),
            (r#""hdrs":"TkFUUy8xLjANCg0K""#, "NATS/1.0\r\n\r\n", ""),
        ] {
            let found = answer(format!(r#"{{"message":{{"seq":1,{members}}}}}"#).as_bytes());
            let kept = Kept { headers: headers.into(), body: body.into() };
            assert_eq!(message(found), Ok(Some(kept)));
        }
        let gone = answer(br#"{"error":{"code":404,"err_code":10059,"description":"no stream"}}"#);
        assert!(message(gone).is_err());
    }
}
