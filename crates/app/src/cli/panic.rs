//! `morgana panic`: the kill switch, whatever state the service is in.
//!
//! Three ways, each where the one before does not lead to the end: the service does it; its
//! process is killed, and the network goes with it; the database is told, so that the next start
//! brings nothing back. A supervisor may start the service anew between the last two: then it
//! begins again.

use std::{
    ffi::OsStr,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use fleet::host::kill_holder;
use model::Ambient;
use serde_json::{Value, json};
use store::{AuditRecord, Holder, OpenError, Store, SwitchedOff};

use super::render::{self, cell};
use crate::{client::Client, config::Config, flow::panic::reason};

/// Nothing is on the network, and the next start would bring it back.
const NOT_KEPT: u8 = 3;
/// Longest wait for a killed process to be gone.
const GONE: Duration = Duration::from_secs(5);
/// Longest fight with a supervisor that starts the service anew.
const FIGHT: Duration = Duration::from_secs(15);
/// Pause before the lock is tried again that somebody else has just taken.
const AGAIN: Duration = Duration::from_millis(20);
/// Whose name stands in the audit log, as in what comes over the socket.
const ACTOR: &str = "local";

/// The kill switch.
#[derive(clap::Args)]
pub(super) struct Panic {
    /// Time for the service to do it, before its process is killed
    #[arg(long, default_value_t = 1000, value_name = "MILLISECONDS")]
    kill_after: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How the network came down.
struct Done {
    /// The process that was killed last.
    killed: Option<u32>,
    /// What the service answered, or what was written into the database.
    topologies: Vec<Value>,
    /// Why the service did not do it.
    service: Option<String>,
    /// Time until nothing was on the network.
    down_after: Duration,
    /// Why the database was not told.
    not_kept: Option<anyhow::Error>,
}

impl Panic {
    pub(super) async fn run(self, client: &Client, config: &Config) -> anyhow::Result<ExitCode> {
        let began = Instant::now();
        let done = match self.ask(client).await {
            Ok(answer) => Done {
                killed: None,
                topologies: answer["topologies"].as_array().cloned().unwrap_or_default(),
                service: None,
                down_after: Duration::from_micros(
                    answer["down_after_micros"].as_u64().unwrap_or(0),
                ),
                not_kept: None,
            },
            Err(why) => by_force(&config.data_dir, began, why.to_string()).await?,
        };
        let took = began.elapsed();
        if self.json {
            render::json(&done.json(took))
        } else {
            done.print(&config.data_dir, took)
        }?;
        Ok(if done.not_kept.is_none() { ExitCode::SUCCESS } else { ExitCode::from(NOT_KEPT) })
    }

    /// Has the service do it, and all of it.
    async fn ask(&self, client: &Client) -> anyhow::Result<Value> {
        let patience = Duration::from_millis(self.kill_after);
        let nothing = json!({});
        let asked = tokio::time::timeout(patience, client.post("/api/v1/panic", &nothing)).await;
        let late = || format!("the service did not do it within {} ms", self.kill_after);
        let answer = asked.with_context(late)??;
        let left = answer["left"].as_array().map_or(&[][..], Vec::as_slice);
        match left.first() {
            None => Ok(answer),
            Some(first) => bail!("the service could not remove everything: {first}"),
        }
    }
}

/// Does it without the service's help.
async fn by_force(data_dir: &Path, began: Instant, why: String) -> anyhow::Result<Done> {
    let mut killed = None;
    loop {
        killed = kill(data_dir)?.or(killed);
        if killed.is_none() && !data_dir.join("morgana.db").exists() {
            bail!(
                "{why}; and {} holds no database: name the right one with --data-dir",
                data_dir.display()
            );
        }
        let down_after = began.elapsed();
        let (topologies, not_kept) = match keep(data_dir, killed).await {
            Ok(off) => (off.iter().map(view).collect(), None),
            Err(error) if is_in_use(&error) && began.elapsed() < FIGHT => {
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            Err(error) if is_in_use(&error) => {
                return Err(error.context("something starts the service again and again"));
            }
            Err(error) => (Vec::new(), Some(error)),
        };
        return Ok(Done { killed, topologies, service: Some(why), down_after, not_kept });
    }
}

/// Kills the process that has the data directory open; answers which, if there was one.
fn kill(data_dir: &Path) -> anyhow::Result<Option<u32>> {
    let place = data_dir.display();
    let looked = store::holder(data_dir);
    let (holder, lock) = looked.with_context(|| format!("cannot see who has {place} open"))?;
    let pid = match holder {
        Holder::Nobody => return Ok(None),
        Holder::Process(Some(pid)) => pid,
        Holder::Process(None) => bail!(
            "a process has {place} open and does not say which it is: end it by hand, then run \
             this again"
        ),
    };
    let own = std::env::current_exe().unwrap_or_default();
    let programs = [OsStr::new("morgana"), own.file_name().unwrap_or_default()];
    kill_holder(pid, &programs, &lock, GONE).context("the network may still be up")?;
    Ok(Some(pid))
}

/// Writes into the database that nothing is deployed.
async fn keep(data_dir: &Path, killed: Option<u32>) -> anyhow::Result<Vec<SwitchedOff>> {
    let store = Store::open(data_dir, Ambient::system())?;
    let kept = async {
        let off = store.switch_off(&reason(ACTOR)).await?;
        if killed.is_some() || !off.is_empty() {
            store.audit(audited(killed, off.len())).await?;
        }
        anyhow::Ok(off)
    };
    let kept = kept.await;
    store.close().await;
    kept
}

fn is_in_use(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(OpenError::InUse { .. }))
}

fn audited(killed: Option<u32>, topologies: usize) -> AuditRecord {
    let how = match killed {
        Some(pid) => format!("process {pid} was killed"),
        None => "no service ran".into(),
    };
    AuditRecord {
        actor: ACTOR.into(),
        action: "network.panic".into(),
        object: "network".into(),
        address: None,
        outcome: "ok".into(),
        detail: Some(format!("{how}; {topologies} topologies")),
    }
}

/// A topology as the API shows it.
fn view(off: &SwitchedOff) -> Value {
    json!({
        "topology_id": off.id,
        "name": off.name,
        "from": off.from,
        "status": off.to,
        "decky_count": off.deckies,
    })
}

impl Done {
    fn json(&self, took: Duration) -> Value {
        json!({
            "is_off": true,
            "is_kept": self.not_kept.is_none(),
            "by": match (&self.service, self.killed) {
                (None, _) => "service",
                (Some(_), Some(_)) => "kill",
                (Some(_), None) => "nothing ran",
            },
            "killed_pid": self.killed,
            "topologies": self.topologies,
            "down_after_ms": self.down_after.as_millis(),
            "took_ms": took.as_millis(),
            "not_kept": self.not_kept.as_ref().map(|error| format!("{error:#}")),
        })
    }

    fn print(&self, data_dir: &Path, took: Duration) -> anyhow::Result<()> {
        let how = match (&self.service, self.killed) {
            (None, _) => "the service took it down".to_owned(),
            (Some(why), Some(pid)) => format!("process {pid} is killed ({why})"),
            (Some(_), None) => format!("nothing runs on {}", data_dir.display()),
        };
        let down = self.down_after.as_millis();
        render::line(&format!("The network is off after {down} ms: {how}."))?;
        for topology in &self.topologies {
            let (name, from) = (cell(topology, "name"), cell(topology, "from"));
            let (to, deckies) = (cell(topology, "status"), cell(topology, "decky_count"));
            render::line(&format!("  {name}: {from}, now {to} ({deckies} deckies)"))?;
        }
        match &self.not_kept {
            Some(error) => render::line(&format!(
                "The database does not know: {error:#}.\nThe next start brings the network back. \
                 Repair this and run `morgana panic` again first."
            )),
            None => render::line(&format!(
                "All of it took {} ms. It stays off until `morgana topology deploy NAME`.",
                took.as_millis()
            )),
        }
    }
}
