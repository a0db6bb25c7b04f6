//! Names and numbers of users and groups: the persona's accounts and those that Debian 12 brings.

use super::machine::Machine;

impl Machine {
    /// Login name, or the number where there is none.
    pub(crate) fn user_name(&self, uid: u32) -> String {
        if let Some(account) = self.persona.accounts.iter().find(|account| account.uid == uid) {
            return account.user.clone();
        }
        SYSTEM_USERS
            .iter()
            .find(|(_, id, ..)| *id == uid)
            .map_or_else(|| uid.to_string(), |(name, ..)| (*name).into())
    }

    /// Group name, or the number where there is none.
    pub(crate) fn group_name(&self, gid: u32) -> String {
        GROUPS
            .iter()
            .find(|(_, id)| *id == gid)
            .map_or_else(|| self.user_name(gid), |(name, _)| (*name).into())
    }

    /// User id of a name.
    pub(crate) fn uid(&self, user: &str) -> Option<u32> {
        if let Some(account) = self.account(user) {
            return Some(account.uid);
        }
        SYSTEM_USERS.iter().find(|(name, ..)| *name == user).map(|(_, id, ..)| *id)
    }

    /// Group id of a name.
    pub(crate) fn gid(&self, group: &str) -> Option<u32> {
        GROUPS
            .iter()
            .find(|(name, _)| *name == group)
            .map(|(_, id)| *id)
            .or_else(|| self.account(group).map(|account| account.uid))
    }
}

/// Name, user id, group id, home and shell of the accounts that Debian 12 brings.
pub(crate) const SYSTEM_USERS: &[(&str, u32, u32, &str, &str)] = &[
    ("daemon", 1, 1, "/usr/sbin", "/usr/sbin/nologin"),
    ("bin", 2, 2, "/bin", "/usr/sbin/nologin"),
    ("sys", 3, 3, "/dev", "/usr/sbin/nologin"),
    ("sync", 4, 65534, "/bin", "/bin/sync"),
    ("games", 5, 60, "/usr/games", "/usr/sbin/nologin"),
    ("man", 6, 12, "/var/cache/man", "/usr/sbin/nologin"),
    ("lp", 7, 7, "/var/spool/lpd", "/usr/sbin/nologin"),
    ("mail", 8, 8, "/var/mail", "/usr/sbin/nologin"),
    ("news", 9, 9, "/var/spool/news", "/usr/sbin/nologin"),
    ("uucp", 10, 10, "/var/spool/uucp", "/usr/sbin/nologin"),
    ("proxy", 13, 13, "/bin", "/usr/sbin/nologin"),
    ("www-data", 33, 33, "/var/www", "/usr/sbin/nologin"),
    ("backup", 34, 34, "/var/backups", "/usr/sbin/nologin"),
    ("list", 38, 38, "/var/list", "/usr/sbin/nologin"),
    ("irc", 39, 39, "/run/ircd", "/usr/sbin/nologin"),
    ("_apt", 42, 65534, "/nonexistent", "/usr/sbin/nologin"),
    ("nobody", 65534, 65534, "/nonexistent", "/usr/sbin/nologin"),
    ("systemd-network", 998, 998, "/", "/usr/sbin/nologin"),
    ("systemd-timesync", 997, 997, "/", "/usr/sbin/nologin"),
    ("messagebus", 100, 107, "/nonexistent", "/usr/sbin/nologin"),
    ("sshd", 101, 65534, "/run/sshd", "/usr/sbin/nologin"),
];

/// The groups that Debian 12 brings.
pub(crate) const GROUPS: &[(&str, u32)] = &[
    ("root", 0),
    ("daemon", 1),
    ("bin", 2),
    ("sys", 3),
    ("adm", 4),
    ("tty", 5),
    ("disk", 6),
    ("lp", 7),
    ("mail", 8),
    ("news", 9),
    ("uucp", 10),
    ("man", 12),
    ("proxy", 13),
    ("kmem", 15),
    ("dialout", 20),
    ("fax", 21),
    ("voice", 22),
    ("cdrom", 24),
    ("floppy", 25),
    ("tape", 26),
    ("sudo", 27),
    ("audio", 29),
    ("dip", 30),
    ("www-data", 33),
    ("backup", 34),
    ("operator", 37),
    ("list", 38),
    ("irc", 39),
    ("src", 40),
    ("shadow", 42),
    ("utmp", 43),
    ("video", 44),
    ("sasl", 45),
    ("plugdev", 46),
    ("staff", 50),
    ("games", 60),
    ("users", 100),
    ("nogroup", 65534),
    ("systemd-journal", 999),
    ("systemd-network", 998),
    ("systemd-timesync", 997),
    ("input", 104),
    ("sgx", 105),
    ("kvm", 106),
    ("messagebus", 107),
    ("netdev", 108),
    ("crontab", 101),
    ("_ssh", 109),
];
