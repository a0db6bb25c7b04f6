//! `morgana topology …`.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::{
    key_value,
    render::{self, cell, clock, items},
    segment,
};
use crate::client::{Client, Frame, Frames};

/// Time without news after which a person is told that it takes long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Make, deploy and change mazes.
#[derive(Subcommand)]
pub(super) enum Topology {
    /// List topologies
    #[command(visible_alias = "ls")]
    List,
    /// Show a topology: its LANs and deckies, and where they answer
    Show {
        /// Name, id, or the beginning of an id
        topology: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a topology: empty, or with the demo's LANs and deckies
    Create {
        /// Its name: lower-case letters, digits and hyphens
        name: String,
        /// What is in it from the start: empty or demo
        #[arg(long, default_value = "empty")]
        template: String,
    },
    /// Bring a topology up
    Deploy {
        /// Name, id, or the beginning of an id
        topology: String,
    },
    /// Take a topology down, for good
    Teardown {
        /// Name, id, or the beginning of an id
        topology: String,
    },
    /// Queue a change and follow it until it is applied or has failed
    ///
    /// Examples:
    ///   morgana topology mutate demo add_lan name=lab
    ///   morgana topology mutate demo add_decky name=web-09 lan=dmz services=http,ssh
    ///   morgana topology mutate demo update_decky decky=web-09 services=http
    ///   morgana topology mutate demo rotate_decky decky=web-09
    ///   morgana topology mutate demo remove_decky decky=web-09
    ///   morgana topology mutate demo remove_lan name=lab
    #[command(verbatim_doc_comment)]
    Mutate {
        /// Name, id, or the beginning of an id
        topology: String,
        /// add_lan, remove_lan, add_decky, remove_decky, update_decky or rotate_decky
        op: String,
        /// Fields of the payload; lists with commas
        #[arg(value_name = "KEY=VALUE", value_parser = key_value)]
        fields: Vec<(String, String)>,
        /// Refuse unless the topology has this version
        #[arg(long, value_name = "N")]
        expect_version: Option<u64>,
        /// Say that it is queued and return
        #[arg(long)]
        no_wait: bool,
    },
    /// List changes, newest first
    Mutations {
        /// Name, id, or the beginning of an id
        topology: String,
        /// Of this state only: pending, applying, applied or failed
        #[arg(long)]
        state: Option<String>,
    },
}

impl Topology {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::List => list(client).await,
            Self::Show { topology, json } => show(client, &topology, json).await,
            Self::Create { name, template } => {
                let body = json!({ "name": name, "template": template });
                let made = client.post("/api/v1/topologies", &body).await?;
                render::line(&format!(
                    "topology {} ({}) is {}",
                    cell(&made, "name"),
                    cell(&made, "topology_id"),
                    cell(&made, "status")
                ))
            }
            Self::Deploy { topology } => {
                transition(client, &topology, "deploy", &["active", "degraded", "failed"]).await
            }
            Self::Teardown { topology } => {
                transition(client, &topology, "teardown", &["torn_down", "degraded"]).await
            }
            Self::Mutate { topology, op, fields, expect_version, no_wait } => {
                let mut body = json!({ "op": op, "payload": payload(&fields)? });
                if let Some(version) = expect_version {
                    body["expected_version"] = version.into();
                }
                mutate(client, &topology, &body, no_wait).await
            }
            Self::Mutations { topology, state } => {
                mutations(client, &topology, state.as_deref()).await
            }
        }
    }
}

async fn list(client: &Client) -> anyhow::Result<()> {
    let answer = client.get("/api/v1/topologies").await?;
    render::table(
        &["NAME", "STATUS", "VERSION", "ID", "REASON"],
        items(&answer).iter().map(|t| {
            vec![
                cell(t, "name"),
                cell(t, "status"),
                cell(t, "version"),
                cell(t, "topology_id"),
                cell(t, "reason"),
            ]
        }),
    )
}

async fn show(client: &Client, topology: &str, as_json: bool) -> anyhow::Result<()> {
    let answer = client.get(&format!("/api/v1/topologies/{}", segment(topology))).await?;
    if as_json {
        return render::json(&answer);
    }
    render::line(&format!(
        "{} is {} at version {} ({})",
        cell(&answer, "name"),
        cell(&answer, "status"),
        cell(&answer, "version"),
        cell(&answer, "topology_id")
    ))?;
    let mut lans = answer["lans"].as_array().cloned().unwrap_or_default();
    lans.sort_by_key(|lan| (lan["is_dmz"] != true, cell(lan, "name")));
    let deckies = answer["deckies"].as_array().map_or(&[][..], Vec::as_slice);
    for lan in &lans {
        let dmz = if lan["is_dmz"] == true { " (dmz)" } else { "" };
        render::line(&format!("\nLAN {} {}{dmz}", cell(lan, "name"), cell(lan, "subnet")))?;
        let home = |decky: &&Value| decky["interfaces"][0]["lan_id"] == lan["lan_id"];
        render::table(
            &["  DECKY", "STATE", "ARCHETYPE", "ADDRESS", "ANSWERS AT"],
            deckies.iter().filter(home).map(|decky| {
                vec![
                    format!("  {}", cell(decky, "name")),
                    cell(decky, "state"),
                    cell(decky, "archetype"),
                    cell(&decky["interfaces"][0], "address"),
                    endpoints(decky),
                ]
            }),
        )?;
    }
    Ok(())
}

/// `ssh 127.66.1.10:22, http …`.
pub(super) fn endpoints(decky: &Value) -> String {
    let each = decky["endpoints"].as_array().into_iter().flatten();
    let shown = each.map(|e| format!("{} {}", cell(e, "service"), cell(e, "listening")));
    shown.collect::<Vec<_>>().join(", ")
}

/// Asks for a deploy or teardown and follows the status.
async fn transition(
    client: &Client,
    topology: &str,
    verb: &str,
    ends: &[&str],
) -> anyhow::Result<()> {
    let base = format!("/api/v1/topologies/{}", segment(topology));
    let mut frames = client.stream(&format!("{base}/events")).await?;
    client.post(&format!("{base}/{verb}"), &json!({})).await?;
    while let Some(frame) = frames.next().await? {
        if frame.event != "status" {
            continue;
        }
        let event: Value = serde_json::from_str(&frame.data)?;
        let payload = &event["payload"];
        let status = cell(payload, "status");
        render::line(&format!(
            "{}  {status} {}",
            clock(&cell(&event, "ts")),
            cell(payload, "reason")
        ))?;
        if status == "failed" {
            bail!("the topology failed: {}", cell(payload, "reason"));
        }
        if ends.contains(&status.as_str()) {
            return Ok(());
        }
    }
    bail!("the service ended the stream")
}

/// `services=http,ssh` is a list, `is_dmz=true` a boolean, numbers are numbers.
fn payload(fields: &[(String, String)]) -> anyhow::Result<Value> {
    let mut payload = Map::new();
    for (key, text) in fields {
        let value = match key.as_str() {
            "services" => text.split(',').map(str::trim).collect::<Vec<_>>().into(),
            "is_dmz" => {
                text.parse::<bool>().with_context(|| format!("{key} is true or false"))?.into()
            }
            "rotate_every_seconds" => {
                text.parse::<u64>().with_context(|| format!("{key} is a whole number"))?.into()
            }
            "position" => {
                let (x, y) = text.split_once(',').context("position is X,Y")?;
                json!({ "x": x.parse::<i32>()?, "y": y.parse::<i32>()? })
            }
            _ => text.as_str().into(),
        };
        payload.insert(key.clone(), value);
    }
    Ok(payload.into())
}

/// Posts a change and, unless told not to, follows it to its end.
pub(super) async fn mutate(
    client: &Client,
    topology: &str,
    body: &Value,
    no_wait: bool,
) -> anyhow::Result<()> {
    let base = format!("/api/v1/topologies/{}", segment(topology));
    // Subscribed before it is queued: nothing of it can be missed.
    let mut frames = client.stream(&format!("{base}/events")).await?;
    let queued = client.post(&format!("{base}/mutations"), body).await?;
    let id = cell(&queued, "mutation_id");
    if no_wait {
        return render::line(&format!(
            "mutation {id} is queued at position {}",
            cell(&queued, "position")
        ));
    }
    follow(&mut frames, &id).await
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

async fn mutations(client: &Client, topology: &str, state: Option<&str>) -> anyhow::Result<()> {
    let mut path = format!("/api/v1/topologies/{}/mutations", segment(topology));
    if let Some(state) = state {
        path += &format!("?state={}", segment(state));
    }
    let answer = client.get(&path).await?;
    render::table(
        &["REQUESTED", "STATE", "OP", "PAYLOAD", "BY", "REASON"],
        items(&answer).iter().map(|m| {
            vec![
                cell(m, "requested_at"),
                cell(m, "state"),
                cell(m, "op"),
                m["payload"].to_string(),
                cell(m, "requested_by"),
                cell(m, "reason"),
            ]
        }),
    )
}
