//! `morgana watch`: events as they happen, one a line.

use anyhow::bail;
use model::SubjectFilter;
use serde_json::Value;

use super::{
    render::{self, cell, clock},
    segment,
};
use crate::client::{Client, Frame};

/// Follow events as they happen.
#[derive(clap::Args)]
pub(super) struct Watch {
    /// Subjects to follow: `*` is one token, `>` the rest
    #[arg(default_value = ">")]
    filter: SubjectFilter,
    /// Print each event as one line of JSON
    #[arg(long)]
    json: bool,
    /// Heartbeats and traffic too
    #[arg(long, short)]
    all: bool,
}

impl Watch {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        let path = format!("/api/v1/events?filter={}", segment(self.filter.as_str()));
        let mut frames = client.stream(&path).await?;
        while let Some(frame) = frames.next().await? {
            self.show(&frame)?;
        }
        bail!("the service ended the stream")
    }

    fn show(&self, frame: &Frame) -> anyhow::Result<()> {
        match frame.event.as_str() {
            "snapshot" => return Ok(()),
            "stream-error" | "auth-revoked" => bail!("the stream ended: {}", frame.data),
            "reset" | "degraded" if !self.json => {
                return render::line(&format!("-- {}: {}", frame.event, frame.data));
            }
            _ => {}
        }
        if self.json {
            return render::line(&frame.data);
        }
        let event: Value = serde_json::from_str(&frame.data)?;
        let topic = cell(&event, "topic");
        let is_noise = frame.id.is_none();
        if is_noise && !self.all && self.filter.as_str() == ">" {
            return Ok(());
        }
        let ts = cell(&event, "ts");
        render::line(&format!(
            "{}  {:<28} {}",
            clock(&ts),
            cell(&event, "type"),
            sentence(&topic, &event["payload"])
        ))
    }
}

/// An event in a few words.
fn sentence(topic: &str, payload: &Value) -> String {
    let field = |name: &str| cell(payload, name);
    let kind: Vec<&str> = topic.split('.').collect();
    match kind.as_slice() {
        ["topology", _, "mutation", _] => {
            let op = format!("{} {}", field("op"), payload["payload"]);
            let reason = field("reason");
            let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
            format!("{op} (version {}, by {}){reason}", field("version"), field("requested_by"))
        }
        ["topology", _, "status"] => {
            format!("{} → {} {}", field("from"), field("status"), field("reason"))
        }
        ["decky", _, "state"] => format!(
            "{}: {} → {} [{}] {}",
            field("name"),
            field("from"),
            field("state"),
            field("services"),
            field("reason")
        ),
        ["decky", _, "mutation"] => format!(
            "{}: [{}] → [{}] ({})",
            field("name"),
            field("old_services"),
            field("new_services"),
            field("trigger")
        ),
        ["decky", _, "traffic"] => format!(
            "{} {} {}: {}",
            field("peer"),
            field("service"),
            field("kind"),
            field("summary")
        ),
        ["attacker", "observed"] => {
            format!("{} for the first time, on {}", field("address"), field("service"))
        }
        ["attacker", "scored"] => format!(
            "{} {} → {} ({}): {}",
            render::short_id(&field("attacker_id")),
            field("previous"),
            field("score"),
            field("level"),
            listed(&payload["reasons"])
        ),
        ["attacker", "fingerprinted"] => format!("{} {}", field("kind"), field("value")),
        ["attacker", "session", "started"] => format!(
            "{} {} from {}",
            render::short_id(&field("session_id")),
            field("service"),
            field("peer")
        ),
        ["attacker", "session", "activity"] => format!(
            "{} {}: {}",
            render::short_id(&field("session_id")),
            field("kind"),
            field("text")
        ),
        ["attacker", "session", "ended"] => format!(
            "{} {}: {}, {}, {}, {} bytes in, {} out {}",
            render::short_id(&field("session_id")),
            field("service"),
            counted(payload, "logins"),
            counted(payload, "commands"),
            counted(payload, "requests"),
            field("bytes_in"),
            field("bytes_out"),
            field("truncated")
        ),
        ["credential", "captured"] => format!("{} by {}", field("principal"), field("kind")),
        ["identity", "formed"] => format!(
            "{} of {}",
            render::short_id(&field("identity_id")),
            short_ids(&payload["attacker_ids"])
        ),
        ["identity", "observation", "linked"] => format!(
            "{} ← {} {}",
            render::short_id(&field("identity_id")),
            render::short_id(&field("attacker_id")),
            listed(&payload["reasons"])
        ),
        _ => payload.to_string(),
    }
}

fn short_ids(ids: &Value) -> String {
    let each = ids.as_array().into_iter().flatten().filter_map(Value::as_str);
    each.map(render::short_id).collect::<Vec<_>>().join(" ")
}

/// Words of a list, with commas.
fn listed(words: &Value) -> String {
    words.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

/// `1 login`, `2 logins`.
fn counted(payload: &Value, field: &str) -> String {
    let count = payload[field].as_u64().unwrap_or(0);
    let noun = if count == 1 { field.trim_end_matches('s') } else { field };
    format!("{count} {noun}")
}
