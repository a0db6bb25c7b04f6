//! `morgana worker …`: who is alive, and how one is stopped.

use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    render::{self, cell, items},
    segment,
    status::ago,
};
use crate::client::Client;

/// The parts that do the work.
#[derive(Subcommand)]
pub(super) enum Worker {
    /// List workers: whether each is alive, with its figures
    #[command(alias = "ls")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Have a worker finish what it has begun and end; it starts again with the service
    Stop {
        /// Name of the worker
        name: String,
    },
}

impl Worker {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::List { json } => {
                let workers = client.get("/api/v1/workers").await?;
                if json { render::json(&workers) } else { table(client, &workers).await }
            }
            Self::Stop { name } => {
                let path = format!("/api/v1/workers/{}/stop", segment(&name));
                client.post(&path, &json!({})).await?;
                render::line(&format!(
                    "{name} is told to stop; `morgana worker list` shows when it has"
                ))
            }
        }
    }
}

async fn table(client: &Client, workers: &Value) -> anyhow::Result<()> {
    let status = client.get("/api/v1/status").await?;
    print(workers, &cell(&status, "now"))
}

/// The workers as rows, as of `now`.
pub(super) fn print(workers: &Value, now: &str) -> anyhow::Result<()> {
    let row = |worker: &Value| {
        let state = match worker["stopped_by"].as_str() {
            Some(by) => format!("stopped by {by}"),
            None => cell(worker, "state"),
        };
        vec![cell(worker, "worker"), state, ago(now, &cell(worker, "heard_at")), figures(worker)]
    };
    render::table(&["WORKER", "STATE", "HEARD", "FIGURES"], items(workers).iter().map(row))
}

/// `applied 3, failed 1`: what is not zero.
fn figures(worker: &Value) -> String {
    let figures = worker["figures"].as_object().into_iter().flatten();
    let counted = figures.filter(|(_, count)| count.as_u64() != Some(0));
    let words = counted.map(|(name, count)| {
        format!("{} {count}", name.trim_end_matches("_total").replace('_', " "))
    });
    words.collect::<Vec<_>>().join(", ")
}
