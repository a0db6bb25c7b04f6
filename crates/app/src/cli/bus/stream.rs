//! `morgana bus stream`: durable streams, through JetStream's API, whichever server has them.

use std::time::Duration;

use anyhow::{Context, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use bus::client::{Client, RequestError};
use bus::proto::Headers;
use serde_json::{Value, json};

use super::show::{bytes, escaped};
use crate::cli::render::{self, cell};

/// How long the server may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Streams that are listed at most.
const MAX_STREAMS: usize = 10_000;

/// Look into durable streams.
#[derive(clap::Subcommand)]
pub(super) enum Stream {
    /// All streams
    Ls {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// One stream: configuration and state
    Info {
        /// Its name
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// One message of a stream
    Get {
        /// The stream's name
        name: String,
        /// The message's number
        seq: u64,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl Stream {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::Ls { json } => list(client, json).await,
            Self::Info { name, json } => info(client, &name, json).await,
            Self::Get { name, seq, json } => get(client, &name, seq, json).await,
        }
    }
}

async fn list(client: &Client, as_json: bool) -> anyhow::Result<()> {
    let mut streams = Vec::new();
    loop {
        let page = api(client, "STREAM.LIST", &json!({ "offset": streams.len() })).await?;
        let total = page["total"].as_u64().unwrap_or(0) as usize;
        let found = page["streams"].as_array().map_or(&[][..], Vec::as_slice);
        streams.extend_from_slice(found);
        if found.is_empty() || streams.len() >= total.min(MAX_STREAMS) {
            break;
        }
    }
    if as_json {
        return render::json(&streams.into());
    }
    let head = ["NAME", "SUBJECTS", "MESSAGES", "SIZE", "CONSUMERS", "LAST"];
    render::table(&head, streams.iter().map(row))
}

fn row(stream: &Value) -> Vec<String> {
    let (config, state) = (&stream["config"], &stream["state"]);
    [
        cell(config, "name"),
        cell(config, "subjects"),
        cell(state, "messages"),
        bytes(state["bytes"].as_u64().unwrap_or(0)),
        cell(state, "consumer_count"),
        cell(state, "last_ts"),
    ]
    .map(|text| escaped(text.as_bytes()))
    .to_vec()
}

async fn info(client: &Client, name: &str, as_json: bool) -> anyhow::Result<()> {
    let info = api(client, &named("STREAM.INFO", name)?, &Value::Null).await?;
    if as_json {
        return render::json(&info);
    }
    let (config, state) = (&info["config"], &info["state"]);
    let rows = [
        ("name", cell(config, "name")),
        ("subjects", cell(config, "subjects")),
        ("retention", cell(config, "retention")),
        ("discard", cell(config, "discard")),
        ("storage", cell(config, "storage")),
        ("created", cell(&info, "created")),
        ("messages", cell(state, "messages")),
        ("size", bytes(state["bytes"].as_u64().unwrap_or(0))),
        ("first", format!("{} at {}", cell(state, "first_seq"), cell(state, "first_ts"))),
        ("last", format!("{} at {}", cell(state, "last_seq"), cell(state, "last_ts"))),
        ("consumers", cell(state, "consumer_count")),
        ("max messages", limit(config, "max_msgs")),
        ("max size", limit(config, "max_bytes")),
        ("max age", age(config)),
    ];
    for (key, value) in rows {
        render::line(&format!("{key:<14}{}", escaped(value.as_bytes())))?;
    }
    Ok(())
}

/// A limit of JetStream, where anything below 1 is none.
fn limit(config: &Value, field: &str) -> String {
    match config[field].as_i64() {
        Some(limit) if limit > 0 => limit.to_string(),
        _ => "none".into(),
    }
}

/// `max_age` is in nanoseconds.
fn age(config: &Value) -> String {
    match config["max_age"].as_u64() {
        Some(nanos) if nanos > 0 => format!("{:?}", Duration::from_nanos(nanos)),
        _ => "none".into(),
    }
}

async fn get(client: &Client, name: &str, seq: u64, as_json: bool) -> anyhow::Result<()> {
    let answer = api(client, &named("STREAM.MSG.GET", name)?, &json!({ "seq": seq })).await?;
    let message = &answer["message"];
    if as_json {
        return render::json(message);
    }
    let decoded = |field: &str| STANDARD.decode(cell(message, field));
    let (head, body) = (decoded("hdrs")?, decoded("data")?);
    let (subject, time) = (cell(message, "subject"), cell(message, "time"));
    render::line(&format!(
        "[#{seq}] {}  {}",
        escaped(subject.as_bytes()),
        escaped(time.as_bytes())
    ))?;
    if let Ok(headers) = Headers::parse(&head) {
        for (key, value) in headers.iter() {
            render::line(&format!("{}: {}", escaped(key), escaped(value)))?;
        }
    }
    render::line(&escaped(&body))
}

/// `{call}.{stream}`, where the name can stand in a subject.
fn named(call: &str, stream: &str) -> anyhow::Result<String> {
    let is_name = |c: char| !c.is_whitespace() && !c.is_control() && !".*>/\\".contains(c);
    if stream.is_empty() || !stream.chars().all(is_name) {
        bail!("`{stream}` is no name of a stream");
    }
    Ok(format!("{call}.{stream}"))
}

/// Asks JetStream; its errors become ours.
async fn api(client: &Client, call: &str, body: &Value) -> anyhow::Result<Value> {
    let subject = format!("$JS.API.{call}");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = client.request(&subject, &[], body.as_bytes(), TIMEOUT).await;
    let answer = answer.map_err(|error| match error {
        RequestError::NoResponders(_) => anyhow::anyhow!("this bus has no durable streams"),
        other => other.into(),
    })?;
    let answer: Value = serde_json::from_slice(&answer.body).context("the answer is no JSON")?;
    match answer["error"]["description"].as_str() {
        Some(why) => bail!("{} (error {})", escaped(why.as_bytes()), answer["error"]["err_code"]),
        None => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_stream_stays_one_token() {
        assert_eq!(named("STREAM.INFO", "SESSIONS").unwrap(), "STREAM.INFO.SESSIONS");
        for name in ["", "a.b", "a b", "*", ">", "a/b", "a\n"] {
            assert!(named("STREAM.INFO", name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn limits_are_numbers_or_none() {
        let config = json!({ "max_msgs": -1, "max_bytes": 5, "max_age": 2_000_000_000_u64 });
        assert_eq!(
            (limit(&config, "max_msgs"), limit(&config, "max_bytes")),
            ("none".into(), "5".into())
        );
        assert_eq!((age(&config), age(&json!({}))), ("2s".into(), "none".into()));
    }
}
