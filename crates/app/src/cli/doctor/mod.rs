//! `morgana doctor`: whether this machine and this configuration fit, and what to change.
//!
//! The facts come from `fleet::host`; what they mean for an installation is said here.

mod machine;
mod place;
mod uplink;

use std::{net::Ipv4Addr, process::ExitCode};

use clap::ValueEnum;
use serde_json::{Value, json};

use super::render;
use crate::{
    client::Client,
    config::{Config, KEYS},
};

/// Check the machine.
#[derive(clap::Args)]
pub(super) struct Doctor {
    /// The driver to check for; the configured one where absent
    #[arg(long = "for", value_name = "DRIVER")]
    driver: Option<Driver>,
    /// The interface that deckies are to be on [key: fleet.uplink]
    #[arg(long, value_name = "INTERFACE")]
    uplink: Option<String>,
    /// Find out which hardware addresses the network of the uplink delivers to, by asking for
    /// its router from a made-up one
    #[arg(long)]
    mac_probe: bool,
    /// Whom to ask for instead of the router
    #[arg(long, value_name = "ADDRESS", requires = "mac_probe")]
    probe_address: Option<Ipv4Addr>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What makes the network.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Driver {
    Loopback,
    Netns,
}

/// How a check came out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Ok,
    /// It works, but not as well as it could, or not everywhere.
    Warning,
    /// It will not work before something is changed.
    Change,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Change => "change",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    /// What was found.
    found: String,
    /// What to do; empty where nothing is to be done.
    advice: String,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, found: found.into(), advice: String::new() }
    }

    fn warning(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        let (found, advice) = (found.into(), advice.into());
        Self { name, verdict: Verdict::Warning, found, advice }
    }

    fn change(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Change, ..Self::warning(name, found, advice) }
    }

    fn json(&self) -> Value {
        json!({
            "check": self.name,
            "verdict": self.verdict.as_str(),
            "found": self.found,
            "advice": self.advice,
        })
    }
}

impl Doctor {
    pub(super) async fn run(self, client: &Client, config: &Config) -> anyhow::Result<ExitCode> {
        let uplink = self.uplink.clone().or_else(|| setting(config, "fleet.uplink"));
        let driver = self.driver.unwrap_or_else(|| {
            let configured = setting(config, "fleet.driver").is_some_and(|name| name == "netns");
            if configured || self.uplink.is_some() { Driver::Netns } else { Driver::Loopback }
        });
        let mut checks = machine::checks(driver, needs(client, driver, config).await);
        let is_up = client.is_answered().await;
        checks.extend(place::checks(driver, config, is_up));
        if driver == Driver::Netns {
            match &uplink {
                Some(name) => checks.extend(uplink::checks(name, config.netns.uplink_mac)),
                None => checks.push(Check::warning(
                    "uplink",
                    "none is named",
                    "name the interface of the real segment with --uplink, or fleet.uplink; \
                     without one, deckies are reachable from this machine only",
                )),
            }
        }
        if self.mac_probe {
            checks.push(uplink::probe(uplink.as_deref(), self.probe_address).await?);
        }
        let worst = checks.iter().any(|check| check.verdict == Verdict::Change);
        if self.json {
            let all: Vec<Value> = checks.iter().map(Check::json).collect();
            render::json(&json!({ "fits": !worst, "checks": all }))?;
        } else {
            print(&checks)?;
        }
        Ok(ExitCode::from(u8::from(worst)))
    }
}

/// The value of a key, where there is such a key and it is set.
fn setting(config: &Config, name: &str) -> Option<String> {
    let key = KEYS.iter().find(|key| key.name == name)?;
    Some(key.value(config)).filter(|value| !value.is_empty() && value != "off")
}

/// Descriptors that the configured limits and the topologies of a running service may take; the
/// second figure says for how many services of deckies.
async fn needs(client: &Client, driver: Driver, config: &Config) -> (u64, u64) {
    /// Database, streams, sockets, threads.
    const OWN: u64 = 256;
    let services = match driver {
        Driver::Loopback => services(client).await.unwrap_or(0),
        // Deckies share the listeners of their class; of few classes some have FTP.
        Driver::Netns => 4 * u64::from(fleet::DATA_PORTS),
    };
    (OWN + config.limits.connections as u64 + services, services)
}

/// How many listeners the topologies of a running service take, each on an address of its own.
async fn services(client: &Client) -> Option<u64> {
    let topologies = client.get("/api/v1/topologies").await.ok()?;
    let mut all = 0;
    for topology in render::items(&topologies) {
        if matches!(render::cell(topology, "status").as_str(), "torn_down" | "failed") {
            continue;
        }
        let path = format!("/api/v1/topologies/{}", render::cell(topology, "topology_id"));
        let shown = client.get(&path).await.ok()?;
        let count = |decky: &Value, field: &str| decky[field].as_array().map_or(0, Vec::len) as u64;
        let deckies = shown["deckies"].as_array().into_iter().flatten();
        all += deckies
            .map(|decky| count(decky, "services") * count(decky, "interfaces").max(1))
            .sum::<u64>();
    }
    Some(all)
}

fn print(checks: &[Check]) -> anyhow::Result<()> {
    for check in checks {
        let verdict = check.verdict.as_str();
        render::line(&format!("{verdict:<9}{:<14}{}", check.name, check.found))?;
        if !check.advice.is_empty() {
            render::line(&format!("{:23}→ {}", "", check.advice))?;
        }
    }
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    render::line(&match (count(Verdict::Change), count(Verdict::Warning)) {
        (0, 0) => "\nEverything fits.".to_owned(),
        (0, warnings) => format!("\nIt works; {warnings} to think about."),
        (changes, _) => format!("\n{changes} to change before it works."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_off_or_unknown_is_not_set() {
        let config = Config::default_for(false, &[]);
        assert_eq!(setting(&config, "fleet.driver").as_deref(), Some("loopback"));
        assert_eq!(setting(&config, "nats_url"), None);
        assert_eq!(setting(&config, "fleet.nosuch"), None);
    }
}
