//! `morgana user …`.

use std::io::{BufRead, IsTerminal};

use anyhow::Context;
use clap::Subcommand;
use serde_json::json;

use super::{
    render::{self, cell, items},
    segment,
};
use crate::client::Client;

/// Who may use the console.
#[derive(Subcommand)]
pub(super) enum User {
    /// List users
    #[command(visible_alias = "ls")]
    List,
    /// Add a user; the password is read from standard input
    Add {
        /// Log-in name
        name: String,
        /// viewer, operator, admin or auditor
        #[arg(long, default_value = "operator")]
        role: String,
    },
    /// Set a password, read from standard input; ends the user's logins
    Passwd {
        /// Log-in name
        name: String,
    },
    /// Lock a user out at once, streams included
    Disable {
        /// Log-in name
        name: String,
    },
    /// Let a user in again
    Enable {
        /// Log-in name
        name: String,
    },
    /// Make an API token of a user and print it, once
    Token {
        /// Whose: the token ends with its user
        user: String,
        /// What it is for
        purpose: String,
        /// viewer, operator, admin or auditor, never more than the user; theirs where absent
        #[arg(long)]
        role: Option<String>,
        /// Days until it expires, 1 to 366
        #[arg(long, default_value_t = 90)]
        days: u32,
    },
}

impl User {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::List => {
                let users = client.get("/api/v1/users").await?;
                let row = |u: &serde_json::Value| {
                    vec![
                        cell(u, "name"),
                        cell(u, "role"),
                        cell(u, "disabled"),
                        cell(u, "created_at"),
                    ]
                };
                render::table(
                    &["NAME", "ROLE", "DISABLED", "CREATED"],
                    items(&users).iter().map(row),
                )
            }
            Self::Add { name, role } => {
                let body = json!({ "name": name, "role": role, "password": password()? });
                client.post("/api/v1/users", &body).await?;
                render::line(&format!("user {name} ({role}) can log in"))
            }
            Self::Passwd { name } => {
                change(client, &name, &json!({ "password": password()? }), "has a new password")
                    .await
            }
            Self::Disable { name } => {
                change(client, &name, &json!({ "disabled": true }), "is locked out").await
            }
            Self::Enable { name } => {
                change(client, &name, &json!({ "disabled": false }), "can log in again").await
            }
            Self::Token { user, purpose, role, days } => {
                let mut body = json!({ "name": purpose, "user": user, "expires_in_days": days });
                if let Some(role) = role {
                    body["role"] = role.into();
                }
                let made = client.post("/api/v1/tokens", &body).await?;
                render::line(&cell(&made, "token"))
            }
        }
    }
}

async fn change(
    client: &Client,
    name: &str,
    body: &serde_json::Value,
    done: &str,
) -> anyhow::Result<()> {
    client.patch(&format!("/api/v1/users/{}", segment(name)), body).await?;
    render::line(&format!("user {name} {done}"))
}

/// One line of standard input.
fn password() -> anyhow::Result<String> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprint!("Password (shown as typed): ");
    }
    let mut line = String::new();
    stdin.lock().read_line(&mut line).context("cannot read the password")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
