//! `morgana topology …`.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    changes::{How, batch, change, payload, read_json},
    key_value,
    render::{self, cell, clock, items},
    segment,
};
use crate::client::Client;

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
    /// Make a topology from a seed: the same seed, the same maze
    ///
    /// Example: morgana topology generate big --depth 3 --branching 2 --seed 7
    #[command(verbatim_doc_comment)]
    Generate(Generate),
    /// Check a topology, or a document before it is imported
    Validate {
        /// Name, id, or the beginning of an id
        #[arg(required_unless_present = "file", conflicts_with = "file")]
        topology: Option<String>,
        /// A document; - for standard input
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Write a topology down: by names, without ids
    Export {
        /// Name, id, or the beginning of an id
        topology: String,
        /// Where to; standard output where absent
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
    /// Make a topology from a document that `export` or a person wrote
    Import {
        /// The document; - for standard input
        file: PathBuf,
        /// Another name than the document's
        #[arg(long)]
        name: Option<String>,
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
    ///   morgana topology mutate demo attach_decky decky=web-01 lan=office forwards_l3=true
    ///   morgana topology mutate demo update_lan name=lab patch.name=den
    ///   morgana topology mutate demo --file changes.json --dry-run
    ///
    /// A file holds one op, or a list of ops that come to pass together or not at all:
    /// [{"op": "add_lan", "payload": {"name": "lab"}}, ...]
    #[command(verbatim_doc_comment)]
    Mutate {
        /// Name, id, or the beginning of an id
        topology: String,
        /// add_lan, remove_lan, update_lan, add_decky, remove_decky, attach_decky, detach_decky,
        /// update_decky, rotate_decky, start_decky, stop_decky or update_topology
        #[arg(required_unless_present = "file", conflicts_with = "file")]
        op: Option<String>,
        /// Fields of the payload; lists with commas
        #[arg(value_name = "KEY=VALUE", value_parser = key_value)]
        fields: Vec<(String, String)>,
        /// Ops from a file; - for standard input
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Refuse unless the topology has this version
        #[arg(long, value_name = "N")]
        expect_version: Option<u64>,
        /// Change nothing; show what would be done
        #[arg(long)]
        dry_run: bool,
        /// Say that it is queued and return
        #[arg(long)]
        no_wait: bool,
    },
    /// Take the last changes back, all of them or none
    Undo {
        /// Name, id, or the beginning of an id
        topology: String,
        /// How many
        #[arg(long, default_value_t = 1)]
        count: u32,
        /// Also where a rotation has changed the same thing since, or a visitor would notice
        #[arg(long)]
        force: bool,
        /// Change nothing; show what would be done
        #[arg(long)]
        dry_run: bool,
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

/// What a generated topology looks like.
#[derive(clap::Args)]
pub(super) struct Generate {
    /// Its name: lower-case letters, digits and hyphens; maze and the seed where absent
    name: Option<String>,
    /// Decides everything that the rest leaves open
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Levels of LANs, the DMZ included: 1 to 16
    #[arg(long, default_value_t = 3)]
    depth: u32,
    /// LANs behind each LAN: 1 to 8
    #[arg(long, default_value_t = 2)]
    branching: u32,
    /// Fewest deckies of a LAN: 0 to 32 (there is always one)
    #[arg(long, default_value_t = 2)]
    deckies_min: u32,
    /// Most deckies of a LAN: 1 to 32
    #[arg(long, default_value_t = 6)]
    deckies_max: u32,
    /// How often the decky between two LANs routes, in percent
    #[arg(long, default_value_t = 50, value_name = "PERCENT")]
    bridge_forward: u32,
    /// How often a LAN has a second way, in percent
    #[arg(long, default_value_t = 10, value_name = "PERCENT")]
    cross_edge: u32,
}

impl Generate {
    fn body(&self) -> Value {
        let name = self.name.clone().unwrap_or_else(|| format!("maze-{}", self.seed));
        json!({
            "name": name,
            "seed": self.seed,
            "depth": self.depth,
            "branching": self.branching,
            "deckies_min": self.deckies_min,
            "deckies_max": self.deckies_max,
            "bridge_forward_percent": self.bridge_forward,
            "cross_edge_percent": self.cross_edge,
        })
    }
}

impl Topology {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::List => list(client).await,
            Self::Show { topology, json } => show(client, &topology, json).await,
            Self::Create { name, template } => {
                let body = json!({ "name": name, "template": template });
                made(&client.post("/api/v1/topologies", &body).await?)
            }
            Self::Generate(generate) => {
                made(&client.post("/api/v1/generator", &generate.body()).await?)
            }
            Self::Validate { topology, file } => validate(client, topology, file).await,
            Self::Export { topology, output } => export(client, &topology, output).await,
            Self::Import { file, name } => {
                let mut document = read_json(&file)?;
                if let Some(name) = name {
                    document["name"] = name.into();
                }
                made(&client.post("/api/v1/import", &document).await?)
            }
            Self::Deploy { topology } => {
                transition(client, &topology, "deploy", &["active", "degraded", "failed"]).await
            }
            Self::Teardown { topology } => {
                transition(client, &topology, "teardown", &["torn_down", "degraded"]).await
            }
            Self::Mutate { topology, op, fields, file, expect_version, dry_run, no_wait } => {
                let mut body = match file {
                    Some(file) => batch(read_json(&file)?)?,
                    None => json!({ "op": op, "payload": payload(&fields)? }),
                };
                if let Some(version) = expect_version {
                    body["expected_version"] = version.into();
                }
                change(client, &topology, "mutations", &body, How { dry_run, no_wait }).await
            }
            Self::Undo { topology, count, force, dry_run } => {
                let body = json!({ "count": count, "force": force });
                change(client, &topology, "undo", &body, How { dry_run, no_wait: false }).await
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
                    addresses(decky),
                    endpoints(decky),
                ]
            }),
        )?;
    }
    Ok(())
}

/// `10.66.1.10, office 10.66.2.14 (forwards)`: on its home LAN, then on the others.
fn addresses(decky: &Value) -> String {
    let interfaces = decky["interfaces"].as_array().into_iter().flatten().enumerate();
    let shown = interfaces.map(|(index, interface)| {
        let forwards = interface["forwards_l3"] == true || decky["forwards_l3"] == true;
        let forwards = if forwards { " (forwards)" } else { "" };
        let lan = if index == 0 { String::new() } else { cell(interface, "lan") + " " };
        format!("{lan}{}{forwards}", cell(interface, "address"))
    });
    shown.collect::<Vec<_>>().join(", ")
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

fn made(made: &Value) -> anyhow::Result<()> {
    render::line(&format!(
        "topology {} ({}) is {}: {} LANs, {} deckies",
        cell(made, "name"),
        cell(made, "topology_id"),
        cell(made, "status"),
        cell(made, "lan_count"),
        cell(made, "decky_count")
    ))
}

/// Says what a topology or a document is worth; fails where it breaks a rule.
async fn validate(
    client: &Client,
    topology: Option<String>,
    file: Option<PathBuf>,
) -> anyhow::Result<()> {
    let verdict = match (topology, file) {
        (Some(topology), _) => {
            let path = format!("/api/v1/topologies/{}/validation", segment(&topology));
            client.get(&path).await?
        }
        (None, Some(file)) => {
            client.post("/api/v1/import?dry_run=true", &read_json(&file)?).await?
        }
        (None, None) => bail!("name a topology or a file"),
    };
    for warning in verdict["warnings"].as_array().into_iter().flatten() {
        render::line(&format!("warning: {}", warning.as_str().unwrap_or_default()))?;
    }
    let errors = verdict["errors"].as_array().map_or(&[][..], Vec::as_slice);
    for error in errors {
        let (code, field) = (cell(error, "code"), cell(error, "field"));
        render::line(&format!("{code} {field}: {}", cell(error, "message")))?;
    }
    match errors.len() {
        0 => render::line("valid, and can be deployed"),
        count if verdict["valid"] == true => {
            bail!("valid, but cannot be deployed: {count} reasons")
        }
        count => bail!("not valid: {count} rules are broken"),
    }
}

async fn export(client: &Client, topology: &str, to: Option<PathBuf>) -> anyhow::Result<()> {
    let path = format!("/api/v1/topologies/{}/export", segment(topology));
    let document = client.get(&path).await?;
    match to {
        None => render::json(&document),
        Some(to) => {
            let text = serde_json::to_string_pretty(&document)? + "\n";
            std::fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))
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
