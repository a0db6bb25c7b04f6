//! Where things are: the data directory, and the addresses and ports that are wanted.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use fleet::host::{self, Listener};
use model::Service;

use super::{Check, Driver};
use crate::config::Config;

/// Room below which a database soon stands still.
const LITTLE: u64 = 256 << 20;
/// Room that a sensor should have.
const ENOUGH: u64 = 2 << 30;

/// Everything about files and ports. `is_up` says that a service of ours answers.
pub(super) fn checks(driver: Driver, config: &Config, is_up: bool) -> Vec<Check> {
    let listeners = host::listeners();
    let mut checks = vec![owner(&config.data_dir), room(&config.data_dir)];
    checks.push(console(config, is_up, &listeners));
    if driver == Driver::Loopback {
        checks.push(decoys(config, is_up, &listeners));
    }
    checks
}

fn owner(path: &Path) -> Check {
    const NAME: &str = "data";
    let shown = path.display();
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Check::ok(NAME, format!("{shown} is made at the first start"));
        }
        Err(error) => {
            return Check::change(
                NAME,
                format!("{shown}: {error}"),
                "run as its owner, or as root",
            );
        }
    };
    let (own, mode) = (fleet::privilege::own_uid(), found.mode() & 0o777);
    if !found.is_dir() {
        return Check::change(NAME, format!("{shown} is no directory"), "set data_dir to one");
    }
    let close = format!("chmod 700 {shown}");
    if mode & 0o022 != 0 {
        let found = format!("{shown} has mode {mode:04o}: others can replace what is in it");
        return Check::change(NAME, found, close);
    }
    if mode & 0o055 != 0 {
        let found = format!("{shown} has mode {mode:04o}: others can look into it");
        return Check::warning(NAME, found, close);
    }
    if own != 0 && found.uid() != own {
        let uid = found.uid();
        let advice = "run as that user, or name another directory with data_dir";
        return Check::change(NAME, format!("{shown} belongs to user {uid}"), advice);
    }
    Check::ok(NAME, format!("{shown} belongs to user {}, mode {mode:04o}", found.uid()))
}

fn room(path: &Path) -> Check {
    const NAME: &str = "room";
    let advice = "make room, or set data_dir to a larger disk: without room nothing is recorded";
    match host::free_bytes(path) {
        Err(error) => Check::warning(NAME, format!("unknown: {error}"), "look with df"),
        Ok(free) => {
            let found = format!("{} MiB are free in {}", free >> 20, path.display());
            match free {
                ..LITTLE => Check::change(NAME, found, advice),
                LITTLE..ENOUGH => Check::warning(NAME, found, advice),
                _ => Check::ok(NAME, found),
            }
        }
    }
}

fn console(config: &Config, is_up: bool, listeners: &[Listener]) -> Check {
    const NAME: &str = "console";
    let wanted = config.listen;
    match listeners.iter().find(|listener| listener.covers(wanted.ip(), wanted.port())) {
        _ if is_up => Check::ok(NAME, "the service is up"),
        None => Check::ok(NAME, format!("{wanted} is free")),
        Some(taken) => Check::change(
            NAME,
            format!("{wanted} is taken by {}", program(taken)),
            "stop that program, or set another `listen`",
        ),
    }
}

/// Ports of decoys that another program has on all addresses, or on those of deckies.
fn decoys(config: &Config, is_up: bool, listeners: &[Listener]) -> Check {
    const NAME: &str = "ports";
    if is_up {
        return Check::ok(NAME, "the service is up, and says of each decky where it answers");
    }
    let [first, second] = config.loopback_prefix;
    let is_ours = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip == Ipv4Addr::UNSPECIFIED || ip.octets()[..2] == [first, second],
        IpAddr::V6(ip) => ip.is_unspecified(),
    };
    let ports = Service::ALL.iter().map(|service| service.port());
    let taken: Vec<String> = ports
        .filter_map(|port| {
            let taken = listeners.iter().find(|l| l.at.port() == port && is_ours(l.at.ip()))?;
            Some(format!("{port} by {}", program(taken)))
        })
        .collect();
    if taken.is_empty() {
        return Check::ok(NAME, format!("those of decoys are free on {first}.{second}.0.0/16"));
    }
    let offset = config.port_offset;
    Check::warning(
        NAME,
        format!("taken: {}", taken.join(", ")),
        format!(
            "decoys get these numbers with {offset} added; to have the true ones, let that \
             program listen on its own address only"
        ),
    )
}

fn program(listener: &Listener) -> String {
    listener.program().unwrap_or_else(|| "a program of another user".into())
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, net::TcpListener, os::unix::fs::PermissionsExt as _};

    use super::*;
    use crate::cli::doctor::Verdict;

    #[test]
    fn a_data_directory_is_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        for (mode, verdict) in
            [(0o700, Verdict::Ok), (0o750, Verdict::Warning), (0o707, Verdict::Change)]
        {
            fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
            assert_eq!(owner(dir.path()).verdict, verdict, "{mode:o}");
        }
        fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
        assert_eq!(owner(&dir.path().join("none")).verdict, Verdict::Ok);
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(owner(&file).verdict, Verdict::Change);
    }

    #[test]
    fn a_console_whose_port_is_taken_names_the_program() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = Config::default_for(false, &[]);
        config.listen = taken.local_addr().unwrap();
        let pid = std::process::id().to_string();
        let check = console(&config, false, &host::listeners());
        assert_eq!(check.verdict, Verdict::Change);
        assert!(check.found.contains(&pid), "{check:?}");
        assert_eq!(console(&config, true, &host::listeners()).verdict, Verdict::Ok);
        assert_eq!(console(&config, false, &[]).verdict, Verdict::Ok);
    }
}
