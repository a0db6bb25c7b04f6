//! `morgana attacker|session|identity …`: who came, and what they did.

use clap::Subcommand;
use serde_json::Value;

use super::{
    render::{self, cell, items},
    segment,
};
use crate::client::Client;

/// Who is behind the attackers.
#[derive(Subcommand)]
pub(super) enum Identity {
    /// List identities, newest first
    #[command(visible_alias = "ls")]
    List,
    /// Show one
    Show {
        /// Id or its beginning
        id: String,
    },
}

/// Source addresses that touched a decky.
#[derive(Subcommand)]
pub(super) enum Attacker {
    /// List attackers, newest first
    #[command(visible_alias = "ls")]
    List,
    /// Show one
    Show {
        /// Id or its beginning
        id: String,
    },
}

/// What visitors did.
#[derive(Subcommand)]
pub(super) enum Session {
    /// List sessions, newest first
    #[command(visible_alias = "ls")]
    List {
        /// Those that are going on
        #[arg(long)]
        live: bool,
    },
    /// Show one, with what happened in it
    Show {
        /// Id or its beginning
        id: String,
    },
}

impl Identity {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::List => {
                let columns = [
                    ("ID", "identity_id"),
                    ("FORMED", "formed_at"),
                    ("LAST SEEN", "last_seen"),
                    ("SCORE", "score"),
                    ("ATTACKERS", "attacker_ids"),
                ];
                list(client, "/api/v1/identities", &columns).await
            }
            Self::Show { id } => show(client, "identities", &id).await,
        }
    }
}

impl Attacker {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::List => {
                let columns = [
                    ("ADDRESS", "address"),
                    ("SCORE", "score"),
                    ("SESSIONS", "sessions"),
                    ("LOGINS", "logins"),
                    ("COMMANDS", "commands"),
                    ("LAST SEEN", "last_seen"),
                    ("ID", "attacker_id"),
                ];
                list(client, "/api/v1/attackers", &columns).await
            }
            Self::Show { id } => show(client, "attackers", &id).await,
        }
    }
}

impl Session {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::List { live } => {
                let path = if live { "/api/v1/sessions?live=true" } else { "/api/v1/sessions" };
                let columns = [
                    ("STARTED", "started_at"),
                    ("ENDED", "ended_at"),
                    ("PEER", "peer"),
                    ("SERVICE", "service"),
                    ("LOGINS", "logins"),
                    ("COMMANDS", "commands"),
                    ("TRUNCATED", "truncated"),
                    ("ID", "session_id"),
                ];
                list(client, path, &columns).await
            }
            Self::Show { id } => replay(client, &id).await,
        }
    }
}

async fn list(client: &Client, path: &str, columns: &[(&str, &str)]) -> anyhow::Result<()> {
    let answer = client.get(path).await?;
    let head: Vec<&str> = columns.iter().map(|(title, _)| *title).collect();
    let row = |item: &Value| columns.iter().map(|(_, field)| cell(item, field)).collect();
    render::table(&head, items(&answer).iter().map(row))
}

async fn show(client: &Client, family: &str, id: &str) -> anyhow::Result<()> {
    render::json(&client.get(&format!("/api/v1/{family}/{}", segment(id))).await?)
}

async fn replay(client: &Client, id: &str) -> anyhow::Result<()> {
    let session = client.get(&format!("/api/v1/sessions/{}", segment(id))).await?;
    render::line(&format!(
        "{} session of {} from {} to {}",
        cell(&session, "service"),
        cell(&session, "peer"),
        cell(&session, "started_at"),
        cell(&session, "ended_at")
    ))?;
    for activity in session["activity"].as_array().into_iter().flatten() {
        let at = cell(activity, "at");
        render::line(&format!(
            "{}  {:<8} {}",
            render::clock(&at),
            cell(activity, "kind"),
            cell(activity, "text")
        ))?;
    }
    Ok(())
}
