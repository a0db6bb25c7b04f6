//! `morgana decky …`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    changes::follow,
    render::{self, cell, items},
    segment,
    topology::endpoints,
};
use crate::client::Client;

/// Look at deckies and rotate them.
#[derive(Subcommand)]
pub(super) enum Decky {
    /// List deckies and where they answer
    #[command(visible_alias = "ls")]
    List,
    /// Show one
    Show {
        /// `demo/web-01`, an unambiguous name, an id or its beginning
        decky: String,
    },
    /// Give it other services of its kind, now
    Rotate {
        /// `demo/web-01`, an unambiguous name, an id or its beginning
        decky: String,
        /// Exactly these; picked by the mutator where absent
        #[arg(long, value_delimiter = ',')]
        services: Option<Vec<String>>,
    },
    /// Bring a stopped one back
    Start {
        /// `demo/web-01`, an unambiguous name, an id or its beginning
        decky: String,
    },
    /// Take it off the network and keep it in its topology
    Stop {
        /// `demo/web-01`, an unambiguous name, an id or its beginning
        decky: String,
    },
    /// Remove it from its topology
    Retire {
        /// `demo/web-01`, an unambiguous name, an id or its beginning
        decky: String,
    },
}

impl Decky {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::List => list(client).await,
            Self::Show { decky } => render::json(&get(client, &decky).await?),
            Self::Rotate { decky, services } => rotate(client, &decky, services).await,
            Self::Start { decky } => ask(client, &decky, "start").await,
            Self::Stop { decky } => ask(client, &decky, "stop").await,
            Self::Retire { decky } => ask(client, &decky, "retire").await,
        }
    }
}

async fn get(client: &Client, decky: &str) -> anyhow::Result<Value> {
    client.get(&format!("/api/v1/deckies/{}", segment(decky))).await
}

async fn list(client: &Client) -> anyhow::Result<()> {
    let answer = client.get("/api/v1/deckies?limit=200").await?;
    render::table(
        &["DECKY", "STATE", "ARCHETYPE", "ANSWERS AT"],
        items(&answer).iter().map(|d| {
            let name = format!("{}/{}", cell(d, "topology"), cell(d, "name"));
            vec![name, cell(d, "state"), cell(d, "archetype"), endpoints(d)]
        }),
    )
}

async fn rotate(client: &Client, decky: &str, services: Option<Vec<String>>) -> anyhow::Result<()> {
    let found = get(client, decky).await?;
    let events = format!("/api/v1/topologies/{}/events", cell(&found, "topology_id"));
    let mut frames = client.stream(&events).await?;
    let body = services.map_or_else(|| json!({}), |services| json!({ "services": services }));
    let queued =
        client.post(&format!("/api/v1/deckies/{}/rotate", cell(&found, "decky_id")), &body).await?;
    follow(&mut frames, &cell(&queued, "mutation_id")).await?;
    render::line(&format!(
        "{} now answers at: {}",
        cell(&found, "name"),
        endpoints(&get(client, &cell(&found, "decky_id")).await?)
    ))
}

/// Asks for something that needs no more than its name, and follows it to its end.
async fn ask(client: &Client, decky: &str, verb: &str) -> anyhow::Result<()> {
    let found = get(client, decky).await?;
    let events = format!("/api/v1/topologies/{}/events", cell(&found, "topology_id"));
    let mut frames = client.stream(&events).await?;
    let path = format!("/api/v1/deckies/{}/{verb}", cell(&found, "decky_id"));
    let queued = client.post(&path, &json!({})).await?;
    follow(&mut frames, &cell(&queued, "mutation_id")).await
}
