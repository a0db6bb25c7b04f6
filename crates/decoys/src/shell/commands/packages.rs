//! Packages: `apt` finds no mirror, `dpkg` knows what is installed.

use super::{
    super::{Shell, run::Io},
    Options, Run,
};

pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "apt" | "apt-get" => apt,
        "dpkg" => dpkg,
        _ => return None,
    })
}

fn apt(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "oq");
    let verb = options.operands.first().cloned().unwrap_or_default();
    let changes = matches!(
        verb.as_str(),
        "install" | "update" | "upgrade" | "remove" | "purge" | "dist-upgrade"
    );
    if !changes {
        shell.say(io, "apt 2.6.1 (amd64)\n");
        return 0;
    }
    if shell.frame.who.uid != 0 {
        if verb == "update" {
            shell.say(io, "Reading package lists... Done\n");
            shell.warn(
                io,
                "E: Could not open lock file /var/lib/apt/lists/lock - open (13: \
                Permission denied)\nE: Unable to lock directory /var/lib/apt/lists/",
            );
        } else {
            shell.warn(
                io,
                "E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: \
                Permission denied)\n\
                E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are \
                you root?",
            );
        }
        return 100;
    }
    if verb == "update" {
        let failure = |url: &str, host: &str| {
            format!("W: Failed to fetch {url}/InRelease  Temporary failure resolving '{host}'")
        };
        shell.say(
            io,
            "Ign:1 http://deb.debian.org/debian bookworm InRelease\n\
            Ign:2 http://security.debian.org/debian-security bookworm-security InRelease\n\
            Err:1 http://deb.debian.org/debian bookworm InRelease\n  Temporary failure resolving \
            'deb.debian.org'\nErr:2 http://security.debian.org/debian-security bookworm-security \
            InRelease\n  Temporary failure resolving 'security.debian.org'\n\
            Reading package lists... Done\n",
        );
        shell.warn(io, failure("http://deb.debian.org/debian/dists/bookworm", "deb.debian.org"));
        shell.warn(
            io,
            failure(
                "http://security.debian.org/debian-security/dists/bookworm-security",
                "security.debian.org",
            ),
        );
        shell.warn(
            io,
            "W: Some index files failed to download. They have been ignored, or old \
            ones used instead.",
        );
        return 0;
    }
    shell.say(
        io,
        "Reading package lists... Done\nBuilding dependency tree... Done\n\
        Reading state information... Done\n",
    );
    let names: Vec<String> = options.operands.iter().skip(1).cloned().collect();
    for name in &names {
        shell.reached_for(&format!("apt {verb} {name}"));
        shell.warn(io, format!("E: Unable to locate package {name}"));
    }
    if names.is_empty() {
        shell.say(io, "0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n");
        return 0;
    }
    100
}

fn dpkg(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    match args.get(1).map(String::as_str) {
        Some("--print-architecture") => shell.say(io, "amd64\n"),
        Some("-i" | "-r" | "-P" | "--install") if shell.frame.who.uid != 0 => {
            shell.warn(io, "dpkg: error: requested operation requires superuser privilege");
            return 2;
        }
        Some("-i" | "--install") => {
            shell.warn(io, "dpkg: error: cannot access archive: No such file or directory");
            return 2;
        }
        Some("-l") => shell.say(
            io,
            "Desired=Unknown/Install/Remove/Purge/Hold\n\
            | Status=Not/Inst/Conf-files/Unpacked/halF-conf/Half-inst/trig-aWait/Trig-pend\n\
            |/ Err?=(none)/Reinst-required (Status,Err: uppercase=bad)\n\
            ||/ Name           Version             Architecture Description\n\
            +++-==============-===================-============-=================================\n\
             ii  base-files     12.4+deb12u5        amd64        \
             Debian base system miscellaneous files\n\
             ii  bash           5.2.15-2+b2         amd64        GNU Bourne Again SHell\n\
             ii  coreutils      9.1-1               amd64        GNU core utilities\n",
        ),
        Some(_) => {}
        None => {
            shell.warn(io, "dpkg: error: need an action option");
            return 2;
        }
    }
    0
}
