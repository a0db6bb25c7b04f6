//! `morgana service`: Morgana as a service of systemd.
//!
//! Writes one unit file and runs nothing: what to run next is printed. The unit has the rights of
//! the chosen driver and no other; where the process may not be root, it is not.

mod unit;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::render;
use unit::{Driver, MARK, Unit};

/// Where the unit lives.
const PLACE: &str = "etc/systemd/system/morgana.service";
/// What the unit hides from the service.
const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];
/// There where systemd runs the machine.
const RUNNING: &str = "/run/systemd/system";

/// Run as a service of systemd.
#[derive(Subcommand)]
pub(super) enum Service {
    /// Write the unit file, and say what to run next
    Install(Install),
    /// Remove the unit file; the data stays
    Uninstall(Root),
    /// Say whether it is installed and what systemd thinks of it
    Status(Root),
}

#[derive(Args)]
pub(super) struct Root {
    /// Below this directory instead of /, for packages and images
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct Install {
    #[command(flatten)]
    root: Root,
    /// Print the unit instead
    #[arg(long)]
    print: bool,
    /// What is to make the network: decides over the rights
    #[arg(long, default_value = "loopback")]
    driver: Driver,
    /// The interface that deckies are to be on (netns)
    #[arg(long, value_name = "INTERFACE", value_parser = unit::interface)]
    uplink: Option<String>,
    /// The program; this one where absent
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Where the database lives, below /var/lib
    #[arg(long, default_value = "morgana", value_name = "NAME", value_parser = unit::name)]
    state_directory: String,
}

impl Service {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Install(install) => install.run(),
            Self::Uninstall(root) => root.uninstall(),
            Self::Status(root) => root.status(),
        }
    }
}

impl Install {
    fn run(self) -> anyhow::Result<()> {
        let program = match self.program {
            Some(program) => program,
            None => std::env::current_exe().context("cannot tell where this program is")?,
        };
        if HIDDEN.iter().any(|place| program.starts_with(place)) {
            bail!(
                "a service does not see {}: put the program elsewhere, such as /usr/local/bin, and \
                 name it with --program",
                program.display()
            );
        }
        if self.uplink.is_some() && self.driver == Driver::Loopback {
            bail!("--uplink is for --driver netns");
        }
        let unit = Unit {
            program: &program,
            driver: self.driver,
            uplink: self.uplink.as_deref(),
            state_directory: &self.state_directory,
        };
        let text = unit.text()?;
        if self.print {
            return render::line(text.trim_end());
        }
        let file = self.root.file()?;
        if fs::read_to_string(&file).is_ok_and(|there| !there.starts_with(MARK)) {
            bail!("{} was not written by this command; move it away first", file.display());
        }
        write(&file, &text).with_context(|| format!("cannot write {}", file.display()))?;
        render::line(&format!("{} is written.{}", file.display(), verified(&file)))?;
        if self.root.root.is_some() {
            return render::line("On the machine itself:\n  systemctl enable --now morgana");
        }
        render::line(
            "Start it now and at every boot, then see what it says:\n  systemctl daemon-reload\n  \
             systemctl enable --now morgana\n  journalctl -u morgana -f",
        )
    }
}

impl Root {
    /// The unit file's place.
    fn file(&self) -> anyhow::Result<PathBuf> {
        match &self.root {
            Some(root) => Ok(root.join(PLACE)),
            None if Path::new(RUNNING).exists() => Ok(Path::new("/").join(PLACE)),
            None => bail!(
                "systemd does not run this machine ({RUNNING} is missing): write the unit \
                 elsewhere with --root DIR, see it with `service install --print`, or run \
                 `morgana up` from what runs the services here"
            ),
        }
    }

    fn uninstall(&self) -> anyhow::Result<()> {
        let file = self.file()?;
        let there = match fs::read_to_string(&file) {
            Ok(there) => there,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return render::line(&format!("{} is not there", file.display()));
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", file.display()));
            }
        };
        if !there.starts_with(MARK) {
            bail!("{} was not written by this command", file.display());
        }
        if self.root.is_none() && asked("is-active").as_deref() == Some("active") {
            bail!("it runs; first: systemctl disable --now morgana");
        }
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        render::line(&format!(
            "{} is removed; the data stays. To finish:\n  systemctl daemon-reload",
            file.display()
        ))
    }

    fn status(&self) -> anyhow::Result<()> {
        let file = self.file()?;
        let installed = match fs::read_to_string(&file) {
            Ok(there) if there.starts_with(MARK) => "installed",
            Ok(_) => "there, but not written by this command",
            Err(_) => "not installed",
        };
        render::line(&format!("{}: {installed}", file.display()))?;
        if self.root.is_none() {
            for question in ["is-enabled", "is-active"] {
                let answer = asked(question).unwrap_or_else(|| "systemctl does not answer".into());
                render::line(&format!("{question}: {answer}"))?;
            }
        }
        Ok(())
    }
}

/// What systemctl says of the unit.
fn asked(question: &str) -> Option<String> {
    let output = Command::new("systemctl").args([question, "morgana"]).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// All of it or nothing: systemd never reads half a unit.
fn write(file: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    let new = file.with_extension("service.new");
    fs::write(&new, text)?;
    fs::rename(&new, file)
}

/// What `systemd-analyze verify` has against it; nothing where it is content or not installed.
fn verified(file: &Path) -> String {
    match Command::new("systemd-analyze").arg("verify").arg(file).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let own: Vec<&str> =
                said.lines().filter(|line| line.contains("morgana.service")).collect();
            if own.is_empty() { String::new() } else { format!("\n{}", own.join("\n")) }
        }
        Err(_) => String::new(),
    }
}
