//! Units: `systemctl` and `service`.

use super::{
    super::{Shell, calendar::Date, machine::uptime_text, run::Io},
    Options, Run,
};

pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "systemctl" => systemctl,
        "service" => service,
        _ => return None,
    })
}

/// The units that `systemctl` knows here, with what they say of themselves.
fn unit(shell: &Shell, name: &str) -> Option<(&'static str, &'static str)> {
    let name = name.trim_end_matches(".service");
    let name = if name == "sshd" { "ssh" } else { name };
    let server = shell.machine.servers().into_iter().find(|server| server.unit == name);
    let server = server.map(|server| (server.unit, server.describe));
    server.or_else(|| UNITS.iter().copied().find(|(unit, _)| *unit == name))
}

fn systemctl(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "");
    let (verb, name) = match options.operands.as_slice() {
        [verb, name, ..] => (verb.clone(), name.clone()),
        [verb] => (verb.clone(), String::new()),
        [] => ("list-units".to_owned(), String::new()),
    };
    if name.is_empty() {
        if matches!(verb.as_str(), "list-units" | "list-unit-files") {
            list_units(shell, io);
        }
        return 0;
    }
    let full = if name.contains('.') { name.clone() } else { format!("{name}.service") };
    let known = unit(shell, &name);
    match (verb.as_str(), known) {
        ("is-active", known) => {
            shell.say(io, if known.is_some() { "active\n" } else { "inactive\n" });
            if known.is_some() { 0 } else { 3 }
        }
        ("is-enabled", Some(_)) => {
            shell.say(io, "enabled\n");
            0
        }
        ("status", Some((unit, describe))) => {
            let since = Date::of(shell.machine.persona.booted_at).format("%a %F %T UTC");
            let ago = uptime_text(shell.machine.uptime(shell.now));
            let ago = ago.split(',').next().unwrap_or_default().to_owned();
            shell.say(
                io,
                format!(
                    "● {unit}.service - {describe}\n     Loaded: loaded \
                (/lib/systemd/system/{unit}.service; enabled; preset: enabled)\n     Active: \
                active (running) since {since}; {ago} ago\n      Tasks: 1\n     CGroup: \
                /system.slice/{unit}.service\n"
                ),
            );
            0
        }
        ("status", None) => {
            shell.warn(io, format!("Unit {full} could not be found."));
            4
        }
        ("start" | "stop" | "restart" | "reload" | "enable" | "disable" | "mask", _)
            if shell.frame.who.uid != 0 =>
        {
            shell.warn(io, format!("Failed to {verb} {full}: Access denied"));
            shell.warn(io, format!("See system logs and 'systemctl status {full}' for details."));
            1
        }
        ("start" | "restart" | "reload", None) => {
            shell.warn(io, format!("Failed to {verb} {full}: Unit {full} not found."));
            5
        }
        ("stop", None) => {
            shell.warn(io, format!("Failed to stop {full}: Unit {full} not loaded."));
            5
        }
        ("enable" | "disable" | "mask" | "is-enabled", None) => {
            shell.warn(io, format!("Failed to {verb} unit: Unit file {full} does not exist."));
            1
        }
        (_, _) => 0,
    }
}

/// Units that every machine runs, with what they say of themselves.
const UNITS: &[(&str, &str)] = &[
    ("cron", "Regular background program processing daemon"),
    ("dbus", "D-Bus System Message Bus"),
    ("getty@tty1", "Getty on tty1"),
    ("ssh", "OpenBSD Secure Shell server"),
    ("systemd-journald", "Journal Service"),
    ("systemd-logind", "User Login Management"),
    ("systemd-timesyncd", "Network Time Synchronization"),
    ("systemd-udevd", "Rule-based Manager for Device Events and Files"),
];

fn list_units(shell: &mut Shell, io: Io) {
    let mut units = UNITS.to_vec();
    units.extend(shell.machine.servers().iter().map(|server| (server.unit, server.describe)));
    units.sort_unstable();
    let mut text = format!("  {:<25} LOAD   ACTIVE SUB     DESCRIPTION\n", "UNIT");
    for (unit, describe) in &units {
        let unit = format!("{unit}.service");
        text.push_str(&format!("  {unit:<25} loaded active running {describe}\n"));
    }
    text.push_str(&format!(
        "\nLOAD   = Reflects whether the unit definition was properly loaded.\n\
         ACTIVE = The high-level unit activation state, i.e. generalization of SUB.\n\
         SUB    = The low-level unit activation state, values depend on unit type.\n\
         {} loaded units listed. Pass --all to see loaded but inactive units, too.\n\
         To show all installed unit files use 'systemctl list-unit-files'.\n",
        units.len()
    ));
    shell.say(io, text);
}

fn service(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    match (args.get(1), args.get(2)) {
        (Some(all), None) if all == "--status-all" => {
            let mut names = vec!["cron", "dbus", "procps", "ssh", "udev"];
            names.extend(shell.machine.servers().iter().map(|server| server.unit));
            names.sort_unstable();
            let text: String = names.iter().map(|name| format!(" [ + ]  {name}\n")).collect();
            shell.say(io, text);
            0
        }
        (Some(name), Some(verb)) => {
            let args = ["systemctl".to_owned(), verb.clone(), name.clone()];
            systemctl(shell, &args, io)
        }
        _ => {
            shell.warn(
                io,
                "Usage: service < option > | --status-all | [ service_name [ command \
                | --full-restart ] ]",
            );
            1
        }
    }
}
