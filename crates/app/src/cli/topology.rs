//! `morgana topology …`.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

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
    /// Its name: lower-case letters, digits and hyphens
    #[arg(default_value = "maze")]
    name: String,
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
        json!({
            "name": self.name,
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

/// `services=http,ssh` is a list, `is_dmz=true` a boolean, numbers are numbers; `patch.name=lab`
/// is `name` within `patch`.
fn payload(fields: &[(String, String)]) -> anyhow::Result<Value> {
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
fn batch(read: Value) -> anyhow::Result<Value> {
    match read {
        Value::Array(ops) => Ok(json!({ "op": "batch", "payload": { "ops": ops } })),
        Value::Object(op) => Ok(op.into()),
        _ => bail!("the file holds neither an op nor a list of ops"),
    }
}

/// Longest file that is read.
const MAX_FILE_BYTES: u64 = 8 << 20;

/// JSON from a file, or from standard input by the name `-`.
fn read_json(path: &Path) -> anyhow::Result<Value> {
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

/// How a change is asked for.
struct How {
    dry_run: bool,
    no_wait: bool,
}

/// Posts a change and, unless told not to, follows it to its end.
async fn change(
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
