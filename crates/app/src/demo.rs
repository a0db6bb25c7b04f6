//! The demo maze, and the commands with which to touch it.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Context, bail};
use api::NetworkView;
use model::{Decky, Persona, Service, TopologyStatus};
use store::{CreateError, TopologyRecord, TransitionError};

use crate::Morgana;

/// Name of the demo maze.
pub const DEMO: &str = "demo";

/// Longest wait for the demo maze to answer.
const DEPLOY: Duration = Duration::from_secs(20);

/// Makes sure that the demo maze is there and deployed. A maze of that name that the operator
/// has changed, is taking down, or has switched off, stays as it is.
///
/// # Errors
/// Where the database fails or the maze does not come up.
pub async fn deploy_demo(morgana: &Morgana) -> anyhow::Result<TopologyRecord> {
    let name = DEMO.parse().context("the demo's name")?;
    let record = match morgana.store.topology_named(&name).await? {
        Some(record) => record,
        None => {
            let topology = maze::demo(name.clone(), &morgana.ambient);
            match morgana.store.create_topology(&topology, "demo").await {
                Ok(_) | Err(CreateError::NameTaken { .. }) => {}
                Err(error @ CreateError::Store(_)) => return Err(error.into()),
            }
            morgana.store.topology_named(&name).await?.context("the demo was just created")?
        }
    };
    let id = record.topology.id;
    // One that is new has no reason; one with a reason was switched off.
    if record.status == TopologyStatus::Pending && record.reason.is_none() {
        let pending = TopologyStatus::Pending;
        let deploy =
            morgana.store.set_status(id, pending, TopologyStatus::Deploying, None, Vec::new());
        match deploy.await {
            Ok(_) | Err(TransitionError::Conflict { .. }) => morgana.wake_mutator(),
            Err(error) => return Err(error.into()),
        }
    }
    tokio::time::timeout(DEPLOY, settled(morgana, id))
        .await
        .context("the demo maze did not come up")?
}

/// Waits until the maze is no longer being deployed.
async fn settled(morgana: &Morgana, id: model::TopologyId) -> anyhow::Result<TopologyRecord> {
    let mut head = morgana.store.watch_journal();
    loop {
        head.borrow_and_update();
        let record = morgana.store.topology(id).await?.context("the demo is gone")?;
        match record.status {
            TopologyStatus::Deploying => head.changed().await.context("the database is closed")?,
            TopologyStatus::Failed => {
                bail!("the demo maze failed: {}", record.reason.unwrap_or_default())
            }
            TopologyStatus::Pending
            | TopologyStatus::Active
            | TopologyStatus::Degraded
            | TopologyStatus::TearingDown
            | TopologyStatus::TornDown => return Ok(record),
        }
    }
}

/// Commands that touch a maze exactly as printed: `curl` first, then `ssh` with a login that
/// gets in, then the rest.
pub fn try_commands(morgana: &Morgana, record: &TopologyRecord) -> String {
    let mut text = String::new();
    let mut deckies: Vec<_> = record.topology.deckies.values().collect();
    // From the outside in: web servers stand in front.
    deckies.sort_by(|a, b| b.name.cmp(&a.name));
    for service in [Service::Http, Service::Ssh, Service::Redis, Service::Ftp, Service::Snmp] {
        let found = deckies.iter().find_map(|decky| {
            let endpoints = morgana.network.endpoints(decky.id);
            Some((*decky, endpoints.into_iter().find(|e| e.service == service)?))
        });
        if let Some((decky, endpoint)) = found {
            let (host, port) = (endpoint.listening.ip(), endpoint.listening.port());
            writeln!(text, "{}", command(morgana, decky, service, &host.to_string(), port))
                .expect("a String takes all that is written");
        }
    }
    text
}

fn command(morgana: &Morgana, decky: &Decky, service: Service, host: &str, port: u16) -> String {
    let secret = &morgana.store.installation().secret;
    let persona = Persona::derive(secret, decky.id, &decky.name, decky.archetype);
    // Debian's ftpusers keeps root out of FTP.
    let (root, person) = (&persona.accounts[0], &persona.accounts[1]);
    let account = if service == Service::Ftp { person } else { root };
    let (user, password) = (&account.user, &account.password);
    match service {
        Service::Http => format!("  curl -i http://{host}:{port}/    # {}", decky.name),
        Service::Ssh => format!(
            "  ssh -p {port} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR {user}@{host}    # {}, password: {password}",
            decky.name
        ),
        Service::Redis => {
            let login = decoys::redis::password(&persona)
                .map(|password| format!("-a {password} --no-auth-warning "))
                .unwrap_or_default();
            format!("  redis-cli -h {host} -p {port} {login}info server    # {}", decky.name)
        }
        Service::Ftp => format!("  ftp {host} {port}    # {}, {user} / {password}", decky.name),
        Service::Snmp => {
            format!("  snmpwalk -v 2c -c public -O n {host}:{port} .1    # {}", decky.name)
        }
    }
}
