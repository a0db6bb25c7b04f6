//! `morgana up`.

use std::path::Path;

use anyhow::Context;
use model::{Ambient, TopologyStatus};
use tokio::signal::unix::{SignalKind, signal};

use super::render;
use crate::{Morgana, config::Config, deploy_demo, footing::Footing, try_commands};

/// Start the service.
#[derive(clap::Args)]
pub(super) struct Up {
    /// Deploy the demo maze and say how to attack it
    #[arg(long)]
    demo: bool,
    /// Address and port of the console and the API [key: listen]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// What makes the network: loopback, netns (needs root) or fake [key: fleet.driver]
    #[arg(long, value_name = "DRIVER")]
    driver: Option<String>,
    /// The interface where netns deckies meet the network [key: fleet.uplink]
    #[arg(long, value_name = "INTERFACE")]
    uplink: Option<String>,
    /// Hardware addresses of netns deckies: own, or host for networks that drop others
    /// [key: fleet.uplink_mac]
    #[arg(long, value_name = "WHOSE")]
    mac: Option<String>,
}

impl Up {
    pub(super) fn flags(&self) -> Vec<(String, String)> {
        let flags = [
            ("listen", &self.listen),
            ("fleet.driver", &self.driver),
            ("fleet.uplink", &self.uplink),
            ("fleet.uplink_mac", &self.mac),
        ];
        let given = |(key, value): (&str, &Option<String>)| Some((key.to_owned(), value.clone()?));
        flags.into_iter().filter_map(given).collect()
    }

    /// Runs until it is told to stop; `again` reads the configuration anew.
    pub(super) async fn run(
        self,
        config: &Config,
        footing: Footing,
        again: impl Fn() -> anyhow::Result<Config>,
    ) -> anyhow::Result<()> {
        let Footing { lines, helper, was_root } = footing;
        if let Err(error) = bus::raise_descriptor_limit() {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the limit on open files stays as it is");
        }
        let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
        let mut hangup = signal(SignalKind::hangup()).context("cannot watch for SIGHUP")?;
        let mut morgana = Morgana::start_with(config, Ambient::system(), helper).await?;
        morgana.tell_log(lines);
        let environment: Vec<_> = std::env::vars().collect();
        let usual = Config::default_for(was_root, &environment).socket_path();
        let program = std::env::args().next().unwrap_or_else(|| "morgana".into());
        let client = client_command(&program, &config.socket_path(), &usual);
        let welcome = self.welcome(&morgana, &client).await;
        let outcome = match welcome {
            Ok(text) => {
                render::line(&text)?;
                loop {
                    // Cancel-safe: signals and join sets keep what is not taken.
                    tokio::select! {
                        _ = terminate.recv() => break Ok(()),
                        _ = interrupt.recv() => break Ok(()),
                        _ = hangup.recv() => reload(&morgana, again()),
                        name = morgana.broken() => {
                            break Err(anyhow::anyhow!("{name} ended unexpectedly"));
                        }
                    }
                }
            }
            Err(error) => Err(error),
        };
        morgana.stop().await;
        outcome
    }

    async fn welcome(&self, morgana: &Morgana, client: &str) -> anyhow::Result<String> {
        let mut text = String::from("\nMorgana is up.\n\n");
        match &morgana.setup_secret {
            Some(secret) => {
                text += &format!(
                    "Open the console and set it up (the link works once, for 24 hours):\n  {}/#setup={secret}\n",
                    morgana.url
                );
            }
            None => text += &format!("Console:\n  {}\n", morgana.url),
        }
        if self.demo {
            let record = deploy_demo(morgana).await?;
            let (lans, deckies) = (record.topology.lans.len(), record.topology.deckies.len());
            text += &format!("\nThe demo maze has {lans} LANs and {deckies} deckies. ");
            text += &match record
                .reason
                .as_ref()
                .filter(|_| record.status == TopologyStatus::Pending)
            {
                Some(reason) => format!(
                    "It is off the network: {reason}.\nBring it back:\n  {client} topology deploy demo\n"
                ),
                None => format!("Be the intruder:\n{}", try_commands(morgana, &record)),
            };
            text += &format!(
                "\nWatch it happen in the console, or in another terminal:\n  {client} watch\n"
            );
            text += &format!(
                "Change the maze:\n  {client} topology mutate demo add_decky name=web-09 lan=dmz archetype=web-server\n"
            );
        }
        if let Some(url) = morgana.bus_url() {
            text += &format!("\nNATS clients reach the bus at {url}\n");
        }
        text += "\nStop with Ctrl-C.";
        Ok(text)
    }
}

/// Takes what may change while it runs; a configuration with errors changes nothing.
fn reload(morgana: &Morgana, config: anyhow::Result<Config>) {
    match config {
        Ok(config) => morgana.reload(&config),
        Err(error) => tracing::error!(error = %error, "the configuration is not taken"),
    }
}

/// How a client's command line begins so that it reaches this service: the program as it was
/// called, and the socket unless that is where the client looks by itself.
fn client_command(program: &str, socket: &Path, usual: &Path) -> String {
    if socket == usual {
        program.into()
    } else {
        format!("{program} --socket {}", socket.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_where_an_unusual_socket_is() {
        let command = |socket| client_command("./morgana", Path::new(socket), Path::new("/a/s"));
        assert_eq!(command("/a/s"), "./morgana");
        assert_eq!(command("/b/s"), "./morgana --socket /b/s");
    }
}
