//! `morgana relay …`: where the sinks of the journal stand, and what they refused.

use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    render::{self, cell, clock, items},
    segment,
};
use crate::client::Client;

/// Dead letters that are shown at once.
const LETTERS: u32 = 200;

/// Where the journal is told to.
#[derive(Subcommand)]
pub(super) enum Relay {
    /// List sinks: how far each is, what it does, what went wrong
    #[command(alias = "ls")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List what a sink refused for good, newest first
    Dead {
        /// Name of the sink
        sink: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Have a sink deliver its dead letters again
    Retry {
        /// Name of the sink
        sink: String,
        /// One dead letter, by its number
        #[arg(long, value_name = "N", required_unless_present = "all")]
        id: Option<u64>,
        /// All of them
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
}

impl Relay {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::List { json } => list(client, json).await,
            Self::Dead { sink, json } => dead(client, &sink, json).await,
            Self::Retry { sink, id, all: _ } => retry(client, &sink, id).await,
        }
    }
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let relay = client.get("/api/v1/relay").await?;
    if json {
        return render::json(&relay);
    }
    let row = |sink: &Value| {
        vec![
            cell(sink, "sink"),
            state(sink),
            cell(sink, "position"),
            cell(sink, "behind"),
            cell(sink, "delivered"),
            cell(sink, "dead_letters"),
            last_error(sink),
        ]
    };
    let head = ["SINK", "STATE", "POSITION", "BEHIND", "DELIVERED", "DEAD LETTERS", "LAST ERROR"];
    render::table(&head, items(&relay).iter().map(row))
}

fn state(sink: &Value) -> String {
    match sink["retry_at"].as_str() {
        Some(at) => format!("{} until {}", cell(sink, "state"), clock(at)),
        None => cell(sink, "state"),
    }
}

fn last_error(sink: &Value) -> String {
    match sink["last_error_at"].as_str() {
        Some(at) => format!("{} {}", clock(at), cell(sink, "last_error")),
        None => String::new(),
    }
}

async fn dead(client: &Client, sink: &str, json: bool) -> anyhow::Result<()> {
    let path = format!("/api/v1/relay/{}/dead-letters?limit={LETTERS}", segment(sink));
    let page = client.get(&path).await?;
    if json {
        return render::json(&page);
    }
    let row = |letter: &Value| {
        let retrying = if letter["retrying"] == true { "retrying" } else { "" };
        vec![
            cell(letter, "id"),
            cell(letter, "seq"),
            cell(letter, "topic"),
            cell(letter, "attempts"),
            retrying.into(),
            cell(letter, "reason"),
        ]
    };
    let head = ["ID", "SEQ", "TOPIC", "ATTEMPTS", "STATE", "REASON"];
    render::table(&head, items(&page).iter().map(row))?;
    match page["next_cursor"].is_null() {
        true => Ok(()),
        false => render::line(&format!("There are more than these {LETTERS}.")),
    }
}

async fn retry(client: &Client, sink: &str, id: Option<u64>) -> anyhow::Result<()> {
    let body = id.map_or_else(|| json!({}), |id| json!({ "id": id }));
    let path = format!("/api/v1/relay/{}/retry", segment(sink));
    let answer = client.post(&path, &body).await?;
    let letters = match answer["retrying"].as_u64() {
        Some(1) => "1 dead letter is".to_owned(),
        count => format!("{} dead letters are", count.unwrap_or(0)),
    };
    render::line(&format!(
        "{letters} delivered again; `morgana relay dead {sink}` shows what stays"
    ))
}
