//! Changes to a topology: read from the command line or a file, asked for, followed to their end.

use std::{io::Read as _, path::Path, time::Duration};

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use super::{
    render::{self, cell, clock},
    segment,
};
use crate::client::{Client, Frame, Frames};

/// Time without news after which a person is told that it takes long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest file that is read.
const MAX_FILE_BYTES: u64 = 8 << 20;

/// `services=http,ssh` is a list, `is_dmz=true` a boolean, numbers are numbers; `patch.name=lab`
/// is `name` within `patch`.
pub(super) fn payload(fields: &[(String, String)]) -> anyhow::Result<Value> {
    let mut payload = Map::new();
    for (key, text) in fields {
        match key.split_once('.') {
            Some((outer, inner)) => {
                let within = payload.entry(outer).or_insert_with(|| json!({}));
                within[inner] = field(inner, text)?;
            }
            None => {
                payload.insert(key.clone(), field(key, text)?);
            }
        }
    }
    Ok(payload.into())
}

fn field(key: &str, text: &str) -> anyhow::Result<Value> {
    Ok(match key {
        "services" => text.split(',').map(str::trim).collect::<Vec<_>>().into(),
        "is_dmz" | "forwards_l3" | "force" => {
            text.parse::<bool>().with_context(|| format!("{key} is true or false"))?.into()
        }
        "rotate_every_seconds" => {
            text.parse::<u64>().with_context(|| format!("{key} is a whole number"))?.into()
        }
        "position" if text == "none" => Value::Null,
        "position" => {
            let (x, y) = text.split_once(',').context("position is X,Y or none")?;
            json!({ "x": x.parse::<i32>()?, "y": y.parse::<i32>()? })
        }
        _ => text.into(),
    })
}

/// One op, or several as one batch.
pub(super) fn batch(read: Value) -> anyhow::Result<Value> {
    match read {
        Value::Array(ops) => Ok(json!({ "op": "batch", "payload": { "ops": ops } })),
        Value::Object(op) => Ok(op.into()),
        _ => bail!("the file holds neither an op nor a list of ops"),
    }
}

/// JSON from a file, or from standard input by the name `-`.
pub(super) fn read_json(path: &Path) -> anyhow::Result<Value> {
    let named = || format!("cannot read {}", path.display());
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().take(MAX_FILE_BYTES).read_to_string(&mut text).with_context(named)?;
    } else {
        let file = std::fs::File::open(path).with_context(named)?;
        file.take(MAX_FILE_BYTES).read_to_string(&mut text).with_context(named)?;
    }
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))
}

/// How a change is asked for.
pub(super) struct How {
    /// Only say what would be done.
    pub(super) dry_run: bool,
    /// Return once it is queued.
    pub(super) no_wait: bool,
}

/// Posts a change and, unless told not to, follows it to its end.
pub(super) async fn change(
    client: &Client,
    topology: &str,
    resource: &str,
    body: &Value,
    how: How,
) -> anyhow::Result<()> {
    let base = format!("/api/v1/topologies/{}", segment(topology));
    if how.dry_run {
        let plan = client.post(&format!("{base}/{resource}?dry_run=true"), body).await?;
        return show_plan(&plan);
    }
    // Subscribed before it is queued: nothing of it can be missed.
    let mut frames = client.stream(&format!("{base}/events")).await?;
    let queued = client.post(&format!("{base}/{resource}"), body).await?;
    let id = cell(&queued, "mutation_id");
    if how.no_wait {
        return render::line(&format!(
            "mutation {id} is queued at position {}",
            cell(&queued, "position")
        ));
    }
    follow(&mut frames, &id).await
}

fn show_plan(plan: &Value) -> anyhow::Result<()> {
    let (op, version) = (cell(plan, "op"), cell(plan, "version"));
    render::line(&format!("{op} would make version {version}; nothing is changed"))?;
    for (name, head) in [("changes", "Changes:"), ("steps", "Steps in the network:")] {
        let lines = plan[name].as_array().map_or(&[][..], Vec::as_slice);
        if !lines.is_empty() {
            render::line(head)?;
        }
        for line in lines {
            render::line(&format!("  {}", line.as_str().unwrap_or_default()))?;
        }
    }
    Ok(())
}

pub(super) async fn follow(frames: &mut Frames, id: &str) -> anyhow::Result<()> {
    while let Some(frame) = next_patiently(frames).await? {
        if !frame.event.starts_with("mutation.") {
            continue;
        }
        let event: Value = serde_json::from_str(&frame.data)?;
        let payload = &event["payload"];
        if payload["mutation_id"] != id {
            continue;
        }
        let state = frame.event.trim_start_matches("mutation.");
        render::line(&format!(
            "{}  {state:<9} {} (version {})",
            clock(&cell(&event, "ts")),
            cell(payload, "op"),
            cell(payload, "version")
        ))?;
        match state {
            "applied" => return Ok(()),
            "failed" => bail!("the mutation failed: {}", cell(payload, "reason")),
            _ => {}
        }
    }
    bail!("the service ended the stream")
}

/// The next frame; says that it takes long while it does.
async fn next_patiently(frames: &mut Frames) -> anyhow::Result<Option<Frame>> {
    loop {
        // Cancel-safe: what was read stays with the frames.
        match tokio::time::timeout(PATIENCE, frames.next()).await {
            Ok(frame) => return frame,
            Err(_) => render::line(
                "still not ended; it goes on without this command (Ctrl-C), and the service's log says why it waits",
            )?,
        }
    }
}
