//! What the files of the base image say. Each text that names a figure takes it from
//! [`Machine`], so that no two files or commands disagree.

use std::{fmt::Write, time::Duration};

use model::Timestamp;

use super::image::home_of;
use crate::shell::{
    accounts::{GROUPS, SYSTEM_USERS},
    calendar::Date,
    machine::Machine,
};

pub(super) const OS_RELEASE: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"
NAME=\"Debian GNU/Linux\"
VERSION_ID=\"12\"
VERSION=\"12 (bookworm)\"
VERSION_CODENAME=bookworm
ID=debian
HOME_URL=\"https://www.debian.org/\"
SUPPORT_URL=\"https://www.debian.org/support\"
BUG_REPORT_URL=\"https://bugs.debian.org/\"
";

pub(crate) const MOTD: &str = "
The programs included with the Debian GNU/Linux system are free software;
the exact distribution terms for each program are described in the
individual files in /usr/share/doc/*/copyright.

Debian GNU/Linux comes with ABSOLUTELY NO WARRANTY, to the extent
permitted by applicable law.
";

pub(super) const SHELLS: &str = "# /etc/shells: valid login shells
/bin/sh
/usr/bin/sh
/bin/bash
/usr/bin/bash
/bin/rbash
/usr/bin/rbash
/bin/dash
/usr/bin/dash
";

pub(super) const CRONTAB: &str = "# /etc/crontab: system-wide crontab
SHELL=/bin/sh

17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly
25 6\t* * *\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }
47 6\t* * 7\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.weekly; }
52 6\t1 * *\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.monthly; }
";

pub(super) const PROFILE: &str = "# /etc/profile: system-wide .profile file for the Bourne shell
if [ \"$(id -u)\" -eq 0 ]; then
  PATH=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"
else
  PATH=\"/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games\"
fi
export PATH
";

pub(super) const NSSWITCH: &str = "passwd:         files systemd
group:          files systemd
shadow:         files systemd
gshadow:        files systemd

hosts:          files dns
networks:       files

protocols:      db files
services:       db files
ethers:         db files
rpc:            db files

netgroup:       nis
";

pub(super) const SOURCES: &str = "\
deb http://deb.debian.org/debian/ bookworm main non-free-firmware
deb-src http://deb.debian.org/debian/ bookworm main non-free-firmware

deb http://security.debian.org/debian-security bookworm-security main non-free-firmware
deb-src http://security.debian.org/debian-security bookworm-security main non-free-firmware
";

pub(super) const SSHD_CONFIG: &str = "Include /etc/ssh/sshd_config.d/*.conf

PermitRootLogin yes
KbdInteractiveAuthentication no
UsePAM yes
X11Forwarding yes
PrintMotd no
AcceptEnv LANG LC_*
Subsystem\tsftp\t/usr/lib/openssh/sftp-server
";

pub(super) const SUDOERS: &str = "Defaults\tenv_reset
Defaults\tmail_badpass
Defaults\tsecure_path=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"
Defaults\tuse_pty

root\tALL=(ALL:ALL) ALL
%sudo\tALL=(ALL:ALL) ALL

@includedir /etc/sudoers.d
";

pub(super) const BASH_LOGOUT: &str = "\
# ~/.bash_logout: executed by bash(1) when login shell exits.

# when leaving the console clear the screen to increase privacy

if [ \"$SHLVL\" = 1 ]; then
    [ -x /usr/bin/clear_console ] && /usr/bin/clear_console -q
fi
";

pub(super) const BASHRC: &str = "# ~/.bashrc: executed by bash(1) for non-login shells.
case $- in
    *i*) ;;
      *) return;;
esac

HISTCONTROL=ignoreboth
HISTSIZE=1000
HISTFILESIZE=2000
alias ls='ls --color=auto'
";

pub(super) const HOME_PROFILE: &str = "# ~/.profile: executed by the command interpreter for login
# shells.
if [ -n \"$BASH_VERSION\" ]; then
    if [ -f \"$HOME/.bashrc\" ]; then
\t. \"$HOME/.bashrc\"
    fi
fi
";

pub(super) const ROOT_BASHRC: &str = "# ~/.bashrc: executed by bash(1) for non-login shells.

# Note: PS1 and umask are already set in /etc/profile. You should not
# need this unless you want different defaults for root.
# umask 022
";

pub(super) const ROOT_PROFILE: &str = "# ~/.profile: executed by Bourne-compatible login shells.

if [ \"$BASH\" ]; then
  if [ -f ~/.bashrc ]; then
    . ~/.bashrc
  fi
fi

mesg n 2> /dev/null || true
";

pub(super) fn passwd(machine: &Machine, _: Timestamp) -> String {
    let mut text = "root:x:0:0:root:/root:/bin/bash\n".to_owned();
    for (name, uid, gid, home, shell) in SYSTEM_USERS {
        let line = writeln!(text, "{name}:x:{uid}:{gid}:{}:{home}:{shell}", described(name));
        line.expect("a string takes every line");
    }
    for (user, uid, gid, says, home) in server_users(machine) {
        text.push_str(&format!("{user}:x:{uid}:{gid}:{says}:{home}:/usr/sbin/nologin\n"));
    }
    for account in machine.persona.accounts.iter().filter(|account| account.uid != 0) {
        let (user, uid) = (&account.user, account.uid);
        let line = writeln!(text, "{user}:x:{uid}:{uid}:,,,:{}:/bin/bash", home_of(user));
        line.expect("a string takes every line");
    }
    text
}

/// The comment field of a user that Debian 12 brings.
fn described(user: &str) -> &str {
    match user {
        "list" => "Mailing List Manager",
        "irc" => "ircd",
        "_apt" | "messagebus" | "sshd" => "",
        "systemd-network" => "systemd Network Management",
        "systemd-timesync" => "systemd Time Synchronization",
        user => user,
    }
}

/// Users that come with a server: name, user id, group id, comment, home.
type ServerUser = (&'static str, u32, u32, &'static str, &'static str);

fn server_users(machine: &Machine) -> impl Iterator<Item = ServerUser> {
    machine.servers().into_iter().filter_map(|server| match server.unit {
        "vsftpd" => Some(("ftp", 102, 110, "ftp daemon,,,", "/srv/ftp")),
        "redis-server" => Some(("redis", 103, 111, "", "/var/lib/redis")),
        "snmpd" => Some(("Debian-snmp", 104, 112, "", "/var/lib/snmp")),
        _ => None,
    })
}

pub(super) fn shadow(machine: &Machine, _: Timestamp) -> String {
    let day = machine.persona.installed_at.as_micros() / 86_400_000_000;
    let secret = |user: &str| {
        use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
        let text = STANDARD_NO_PAD.encode(machine.hex(&format!("shadow.{user}")));
        let text = text.replace('+', ".");
        format!("$y$j9T${}${}", &text[..22], &text[22..65])
    };
    let mut text = format!("root:{}:{day}:0:99999:7:::\n", secret("root"));
    for (name, ..) in SYSTEM_USERS {
        let locked = if name.starts_with("systemd") || *name == "sshd" { "!" } else { "*" };
        text.push_str(&format!("{name}:{locked}:{day}:0:99999:7:::\n"));
    }
    for (user, ..) in server_users(machine) {
        text.push_str(&format!("{user}:!:{day}:0:99999:7:::\n"));
    }
    for account in machine.persona.accounts.iter().filter(|account| account.uid != 0) {
        text.push_str(&format!("{}:{}:{day}:0:99999:7:::\n", account.user, secret(&account.user)));
    }
    text
}

pub(super) fn group(machine: &Machine, _: Timestamp) -> String {
    let person = machine.person();
    let mut text = String::new();
    for (name, gid) in GROUPS {
        let members = match *name {
            "sudo" | "cdrom" | "floppy" | "audio" | "dip" | "video" | "plugdev" | "users"
            | "netdev" => person,
            _ => "",
        };
        text.push_str(&format!("{name}:x:{gid}:{members}\n"));
    }
    for (user, _, gid, ..) in server_users(machine) {
        text.push_str(&format!("{user}:x:{gid}:\n"));
    }
    for account in machine.persona.accounts.iter().filter(|account| account.uid != 0) {
        text.push_str(&format!("{}:x:{}:\n", account.user, account.uid));
    }
    text
}

pub(super) fn hostname(machine: &Machine, _: Timestamp) -> String {
    format!("{}\n", machine.persona.host_name)
}

pub(super) fn mailname(machine: &Machine, _: Timestamp) -> String {
    format!("{}\n", machine.fqdn())
}

pub(super) fn hosts(machine: &Machine, _: Timestamp) -> String {
    format!(
        "127.0.0.1\tlocalhost\n127.0.1.1\t{}\t{}\n\n# The following lines are desirable for IPv6 \
         capable hosts\n::1     localhost ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\n\
         ff02::2 ip6-allrouters\n",
        machine.fqdn(),
        machine.persona.host_name
    )
}

pub(super) fn fstab(machine: &Machine, _: Timestamp) -> String {
    format!(
        "# /etc/fstab: static file system information.\n#\n# <file system> <mount point>   \
         <type>  <options>       <dump>  <pass>\n# / was on /dev/sda1 during installation\n\
         UUID={} /               ext4    errors=remount-ro 0       1\n# swap was on /dev/sda5 \
         during installation\nUUID={} none            swap    sw              0       0\n",
        machine.uuid("root"),
        machine.uuid("swap")
    )
}

pub(super) fn machine_id(machine: &Machine, _: Timestamp) -> String {
    format!("{}\n", &machine.hex("machine-id")[..32])
}

pub(super) fn resolv_conf(machine: &Machine, _: Timestamp) -> String {
    let domain = &machine.persona.domain;
    format!("domain {domain}\nsearch {domain}\nnameserver {}\n", machine.gateway())
}

pub(super) fn interfaces(machine: &Machine, _: Timestamp) -> String {
    let interface = machine.interface();
    format!(
        "# This file describes the network interfaces available on your system\n# and how to \
         activate them. For more information, see interfaces(5).\n\nsource \
         /etc/network/interfaces.d/*\n\n# The loopback network interface\nauto lo\niface lo inet \
         loopback\n\n# The primary network interface\nallow-hotplug {interface}\niface \
         {interface} inet static\n\taddress {}/24\n\tgateway {}\n",
        machine.address,
        machine.gateway()
    )
}

pub(super) fn auth_log(machine: &Machine, now: Timestamp) -> String {
    let host = &machine.persona.host_name;
    let mut text = String::new();
    let mut at = now.minus(Duration::from_secs(6 * 3600));
    while at < machine.login_at {
        let date = Date::of(at);
        let (stamp, pid) = (date.format("%Y-%m-%dT%H:17:01+00:00"), date.epoch % 30_000 + 1200);
        text.push_str(&format!(
            "{stamp} {host} CRON[{pid}]: pam_unix(cron:session): session opened for user \
             root(uid=0) by (uid=0)\n{stamp} {host} CRON[{pid}]: pam_unix(cron:session): session \
             closed for user root\n"
        ));
        at = at.plus(Duration::from_secs(3600));
    }
    let stamp = Date::of(machine.login_at).format("%Y-%m-%dT%H:%M:%S+00:00");
    let user = &machine.login_user;
    text.push_str(&format!(
        "{stamp} {host} sshd[{}]: Accepted password for {user} from {} port {} ssh2\n",
        machine.shell_pid() - 14,
        machine.peer,
        machine.peer_port()
    ));
    text
}

pub(super) fn dpkg_log(machine: &Machine, _: Timestamp) -> String {
    let stamp = Date::of(machine.persona.installed_at).format("%F %T");
    ["base-passwd:amd64 3.6.1", "base-files:amd64 12.4+deb12u5", "openssh-server:amd64 1:9.2p1-2"]
        .iter()
        .map(|package| format!("{stamp} status installed {package}\n"))
        .collect()
}

const ROOT_COMMANDS: &[&str] = &[
    "apt update",
    "apt upgrade",
    "systemctl status ssh",
    "df -h",
    "free -m",
    "tail -f /var/log/syslog",
    "journalctl -xe",
    "nano /etc/ssh/sshd_config",
    "systemctl restart ssh",
    "ip a",
    "ss -tlnp",
    "crontab -l",
    "du -sh /var/*",
    "ls -la /var/www/html",
    "passwd",
    "uptime",
    "last",
    "apt install curl vim",
    "tar czf /root/etc-backup.tar.gz /etc",
    "reboot",
];

const USER_COMMANDS: &[&str] = &[
    "ls",
    "ls -la",
    "cd /var/www",
    "sudo -i",
    "cat notes.txt",
    "sudo systemctl status cron",
    "ssh-keygen -t ed25519",
    "nano notes.txt",
    "sudo apt update",
    "df -h",
    "exit",
    "top",
    "history",
];

pub(super) fn root_history(machine: &Machine, _: Timestamp) -> String {
    history(machine, "root", ROOT_COMMANDS, 34)
}

pub(super) fn user_history(machine: &Machine, _: Timestamp) -> String {
    history(machine, machine.person(), USER_COMMANDS, 17)
}

fn history(machine: &Machine, user: &str, commands: &[&str], most: u64) -> String {
    let count = most / 2 + machine.draw(&format!("history.{user}")) % most;
    (0..count)
        .map(|index| {
            let draw = machine.draw(&format!("history.{user}.{index}"));
            format!("{}\n", commands[(draw % commands.len() as u64) as usize])
        })
        .collect()
}

pub(super) fn notes(machine: &Machine, _: Timestamp) -> String {
    format!(
        "- backup job on {} runs at 02:30, check /var/log/apt first if it fails\n- ask for a new \
         certificate before summer\n- remove old accounts\n",
        machine.persona.host_name
    )
}

pub(super) fn authorized_keys(machine: &Machine, _: Timestamp) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let mut key = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
    key.extend_from_slice(&machine.persona.seed("shell.authorized_keys"));
    format!("ssh-ed25519 {} {}@laptop\n", STANDARD.encode(key), machine.person())
}
