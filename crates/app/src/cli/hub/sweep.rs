//! `morgana hub sweep-stale`: for cron, whether or not the service runs.
//!
//! A running service holds the lock of its data directory, so there is one way only at a time:
//! its API where it answers, the database itself where nobody does. Where the directory is
//! locked and nobody answers (a service that starts or stops), this fails, and the next run of
//! cron does it.

use anyhow::{Context, bail};
use clap::Args;
use model::{Ambient, EventContext};
use serde_json::{Value, json};
use store::Store;

use super::super::render;
use crate::{client::Client, config::Config};

/// How to sweep.
#[derive(Args)]
pub(in crate::cli) struct SweepStale {
    /// Only say what would be cancelled
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Whose name stands in the events and in the audit log, as with those of the socket.
const ACTOR: &str = "local";

impl SweepStale {
    pub(super) async fn run(self, client: &Client, config: &Config) -> anyhow::Result<()> {
        let (answer, how) = if client.is_answered().await {
            let body = json!({ "dry_run": self.dry_run });
            let answer = client.post("/api/v1/tasks/sweep-stale", &body).await?;
            (answer, "by the service".to_owned())
        } else {
            let answer = self.in_database(config).await?;
            let place = config.data_dir.display();
            (answer, format!("no service answers; in the database of {place}"))
        };
        if self.json { render::json(&answer) } else { render::line(&said(&answer, &how)) }
    }

    /// Does it without the service, under the lock of the data directory.
    async fn in_database(&self, config: &Config) -> anyhow::Result<Value> {
        let place = &config.data_dir;
        if !place.join("morgana.db").exists() {
            bail!(
                "no service answers on {}, and there is no database in {}",
                config.socket_path().display(),
                place.display()
            );
        }
        let store = Store::open(place, Ambient::system())
            .with_context(|| format!("no service answers on {}", config.socket_path().display()))?;
        let answer = self.sweep(&store).await;
        store.close().await;
        answer
    }

    async fn sweep(&self, store: &Store) -> anyhow::Result<Value> {
        let (stale, cancelled, task_ids, swept) = if self.dry_run {
            let found = store.stale_tasks().await?;
            (found.stale, 0, found.task_ids, None)
        } else {
            let swept = store.sweep_stale_tasks(EventContext::of(ACTOR), None, || false).await?;
            let end = Some((swept.swept_at, swept.position));
            (swept.cancelled, swept.cancelled, swept.task_ids, end)
        };
        Ok(json!({
            "dry_run": self.dry_run,
            "stale": stale,
            "cancelled": cancelled,
            "truncated": stale > task_ids.len() as u64,
            "task_ids": task_ids,
            "swept_at": swept.map(|(at, _)| at),
            "position": swept.map(|(_, position)| position),
        }))
    }
}

/// What happened, in a sentence.
fn said(answer: &Value, how: &str) -> String {
    let tasks = |count: u64| format!("{count} stale task{}", if count == 1 { "" } else { "s" });
    let stale = answer["stale"].as_u64().unwrap_or(0);
    match answer["dry_run"].as_bool() {
        Some(true) => format!("{} would be cancelled ({how})", tasks(stale)),
        _ => format!("{} cancelled ({how})", tasks(stale)),
    }
}
