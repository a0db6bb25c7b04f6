//! The machine behind the shell: every figure that two commands or files could contradict each
//! other about, worked out in one place from the persona.

use std::{net::IpAddr, sync::Arc, time::Duration};

use model::{Persona, PersonaAccount, Service, Timestamp};
use sha2::{Digest, Sha256};

use super::calendar::Date;

/// A processor that cloud and rack servers have.
pub(crate) struct Cpu {
    pub(crate) name: &'static str,
    pub(crate) family: u32,
    pub(crate) model: u32,
    pub(crate) stepping: u32,
    pub(crate) mhz: &'static str,
    pub(crate) cache_kib: u32,
    pub(crate) microcode: &'static str,
}

const CPUS: &[Cpu] = &[
    Cpu {
        name: "Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz",
        family: 6,
        model: 79,
        stepping: 1,
        mhz: "2399.996",
        cache_kib: 35_840,
        microcode: "0xb000040",
    },
    Cpu {
        name: "Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz",
        family: 6,
        model: 85,
        stepping: 4,
        mhz: "2095.078",
        cache_kib: 22_528,
        microcode: "0x2007006",
    },
    Cpu {
        name: "Intel(R) Xeon(R) Silver 4210 CPU @ 2.20GHz",
        family: 6,
        model: 85,
        stepping: 7,
        mhz: "2194.843",
        cache_kib: 14_080,
        microcode: "0x5003604",
    },
];

/// Processor flags, common to the processors above.
pub(crate) const CPU_FLAGS: &str = "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov \
pat pse36 clflush mmx fxsr sse sse2 ss ht syscall nx pdpe1gb rdtscp lm constant_tsc arch_perfmon \
rep_good nopl xtopology cpuid tsc_known_freq pni pclmulqdq vmx ssse3 fma cx16 pcid sse4_1 sse4_2 \
x2apic movbe popcnt tsc_deadline_timer aes xsave avx f16c rdrand hypervisor lahf_lm abm \
3dnowprefetch cpuid_fault invpcid_single pti ssbd ibrs ibpb tpr_shadow vnmi flexpriority ept vpid \
ept_ad fsgsbase tsc_adjust bmi1 avx2 smep bmi2 erms invpcid rdseed adx smap xsaveopt arat umip \
md_clear arch_capabilities";

/// A running process.
pub(crate) struct Process {
    pub(crate) user: String,
    pub(crate) pid: u32,
    pub(crate) vsz: u32,
    pub(crate) rss: u32,
    pub(crate) tty: &'static str,
    pub(crate) state: &'static str,
    pub(crate) started: Timestamp,
    pub(crate) command: String,
}

/// Memory as `free` splits it, in KiB.
pub(crate) struct Memory {
    pub(crate) total: u64,
    pub(crate) used: u64,
    pub(crate) free: u64,
    pub(crate) shared: u64,
    pub(crate) cached: u64,
    pub(crate) buffers: u64,
    pub(crate) available: u64,
    pub(crate) swap: u64,
}

/// The root file system, in KiB.
pub(crate) struct Disk {
    pub(crate) total: u64,
    pub(crate) used: u64,
    pub(crate) available: u64,
}

/// One decky as its commands and files describe it.
pub(crate) struct Machine {
    pub(crate) persona: Arc<Persona>,
    pub(crate) address: IpAddr,
    pub(crate) peer: IpAddr,
    pub(crate) login_at: Timestamp,
    pub(crate) login_user: String,
    salt: u64,
}

impl Machine {
    pub(crate) fn new(
        persona: Arc<Persona>,
        address: IpAddr,
        peer: IpAddr,
        login_user: String,
        login_at: Timestamp,
    ) -> Self {
        let seed = persona.seed("shell");
        let salt = u64::from_le_bytes(seed[..8].try_into().expect("32 bytes hold 8"));
        Self { persona, address, peer, login_at, login_user, salt }
    }

    /// A number that belongs to this machine and `label`: cheap, for things like inode numbers.
    pub(crate) fn draw(&self, label: &str) -> u64 {
        let hash = label.bytes().fold(self.salt ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        (hash ^ hash >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 16
    }

    /// A UUID-shaped text for one purpose.
    pub(crate) fn uuid(&self, label: &str) -> String {
        let hex = self.hex(label);
        let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32]);
        format!("{a}-{b}-4{c}-a{d}-{e}")
    }

    /// 64 hexadecimal digits for one purpose.
    pub(crate) fn hex(&self, label: &str) -> String {
        let digest = Sha256::new().chain_update(self.salt.to_le_bytes()).chain_update(label);
        hex(&digest.finalize())
    }

    pub(crate) fn cpu(&self) -> &'static Cpu {
        &CPUS[(self.draw("cpu") % CPUS.len() as u64) as usize]
    }

    /// Twice the clock, as the kernel calibrates it.
    pub(crate) fn bogomips(&self) -> String {
        let mhz: f64 = self.cpu().mhz.parse().unwrap_or(2400.0);
        format!("{:.2}", mhz * 2.0)
    }

    /// Seconds since boot.
    pub(crate) fn uptime(&self, now: Timestamp) -> Duration {
        self.persona.uptime(now)
    }

    pub(crate) fn memory(&self, now: Timestamp) -> Memory {
        let total = u64::from(self.persona.memory_mib) * 1024 + self.draw("memory.odd") % 1000;
        let tick = (now.as_micros() / 3_000_000) as u64;
        let wobble = (tick.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % 6000;
        let used = total / 100 * (11 + self.draw("memory.used") % 18) + wobble;
        let buffers = 24_000 + self.draw("memory.buffers") % 60_000;
        let cached = total / 100 * (25 + self.draw("memory.cached") % 25);
        let free = total - used - buffers - cached;
        Memory {
            total,
            used,
            free,
            shared: 620 + self.draw("memory.shared") % 5000,
            cached,
            buffers,
            available: total - used,
            swap: 999_420,
        }
    }

    pub(crate) fn disk(&self) -> Disk {
        const SIZES: &[u64] = &[19_946_096, 30_268_912, 50_610_032, 102_687_672];
        let total = SIZES[(self.draw("disk.size") % SIZES.len() as u64) as usize];
        let used = 1_900_000 + self.draw("disk.used") % (total / 3);
        Disk { total, used, available: total - used - total / 20 }
    }

    /// One, five and fifteen minutes; they move slowly.
    pub(crate) fn load(&self, now: Timestamp) -> [String; 3] {
        let figure = |minutes: i64, most: u64| {
            let tick = now.as_micros() / (minutes * 60_000_000);
            let draw = self.draw(&format!("load.{minutes}.{tick}")) % most;
            format!("0.{draw:02}")
        };
        [figure(1, 19), figure(5, 11), figure(15, 6)]
    }

    /// The interface that is not the loopback.
    pub(crate) fn interface(&self) -> &'static str {
        ["ens18", "ens192", "enp1s0", "eth0"][(self.draw("interface") % 4) as usize]
    }

    /// A hardware address with a vendor that fits a virtual machine of that interface name.
    pub(crate) fn mac(&self) -> String {
        let vendor = match self.interface() {
            "ens192" => "00:50:56",
            "ens18" => "bc:24:11",
            _ => "52:54:00",
        };
        let hex = self.hex("mac");
        format!("{vendor}:{}:{}:{}", &hex[..2], &hex[2..4], &hex[4..6])
    }

    /// Of that address: the first host of its network.
    pub(crate) fn gateway(&self) -> String {
        match self.address {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                format!("{a}.{b}.{c}.1")
            }
            IpAddr::V6(_) => "fe80::1".into(),
        }
    }

    /// The process id of the visitor's shell.
    pub(crate) fn shell_pid(&self) -> u32 {
        let spread = self.login_at.as_micros() as u64 / 1_000_000;
        1_400 + ((spread ^ self.draw("shell.pid")) % 28_000) as u32
    }

    /// The port from which the visitor came, as far as logs and the environment say.
    pub(crate) fn peer_port(&self) -> u16 {
        32_768 + ((self.login_at.as_micros() as u64 ^ self.draw("peer.port")) % 28_000) as u16
    }

    /// The full name.
    pub(crate) fn fqdn(&self) -> String {
        format!("{}.{}", self.persona.host_name, self.persona.domain)
    }

    /// The account with this name.
    pub(crate) fn account(&self, user: &str) -> Option<&PersonaAccount> {
        self.persona.accounts.iter().find(|account| account.user == user)
    }

    /// The person whose home directory shows that somebody works here.
    pub(crate) fn person(&self) -> &str {
        self.persona.accounts.get(1).map_or("user", |account| &account.user)
    }

    /// Whether a server of this kind runs here.
    pub(crate) fn serves(&self, service: Service) -> bool {
        self.persona.archetype.pool().contains(&service)
    }

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

    /// What `ps` shows, by process id; the visitor's own shell last.
    pub(crate) fn processes(&self, tty: bool, shell_pid: u32, user: &str) -> Vec<Process> {
        let boot = self.persona.booted_at;
        let mut list = Vec::new();
        let mut add = |user: &str, pid, vsz, rss, tty, state, started, command: &str| {
            let command = command.to_owned();
            list.push(Process { user: user.into(), pid, vsz, rss, tty, state, started, command });
        };
        add("root", 1, 167_752, 12_140, "?", "Ss", boot, "/sbin/init");
        for (pid, name) in KERNEL_THREADS {
            let state =
                if name.starts_with("kworker") || name.contains("rcu_") { "I" } else { "S" };
            add("root", *pid, 0, 0, "?", state, boot, &format!("[{name}]"));
        }
        let first = 230 + (self.draw("pid") % 40) as u32;
        let later = |n: u64| boot.plus(Duration::from_secs(n));
        add("root", first, 33_044, 13_508, "?", "Ss", later(3), "/lib/systemd/systemd-journald");
        add("root", first + 22, 26_896, 6_284, "?", "Ss", later(3), "/lib/systemd/systemd-udevd");
        add(
            "systemd+",
            first + 61,
            90_080,
            6_572,
            "?",
            "Ssl",
            later(4),
            "/lib/systemd/systemd-timesyncd",
        );
        add("root", first + 158, 6_608, 2_720, "?", "Ss", later(6), "/usr/sbin/cron -f");
        add(
            "message+",
            first + 159,
            9_128,
            4_820,
            "?",
            "Ss",
            later(6),
            "/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile \
             --systemd-activation --syslog-only",
        );
        add("root", first + 163, 49_908, 7_412, "?", "Ss", later(6), "/lib/systemd/systemd-logind");
        for (index, server) in self.servers().iter().enumerate() {
            let pid = first + 210 + index as u32 * 17;
            add(
                server.user,
                pid,
                server.vsz,
                server.rss,
                "?",
                server.state,
                later(7),
                server.command,
            );
        }
        add(
            "root",
            first + 201,
            5_868,
            1_012,
            "tty1",
            "Ss+",
            later(7),
            "/sbin/agetty -o -p -- \\u --noclear - linux",
        );
        add(
            "root",
            first + 204,
            15_432,
            9_216,
            "?",
            "Ss",
            later(7),
            "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups",
        );
        add(
            "root",
            shell_pid.saturating_sub(160),
            0,
            0,
            "?",
            "I",
            self.login_at.minus(Duration::from_secs(900)),
            "[kworker/u4:1-events_unbound]",
        );
        let login = self.login_at;
        let at = if tty { "pts/0" } else { "?" };
        add(
            "root",
            shell_pid - 14,
            17_724,
            10_948,
            "?",
            "Ss",
            login,
            &format!("sshd: {} [priv]", self.login_user),
        );
        let name = if tty { "@pts/0" } else { "@notty" };
        add(
            &self.login_user,
            shell_pid - 7,
            17_984,
            6_700,
            "?",
            "S",
            login,
            &format!("sshd: {}{name}", self.login_user),
        );
        add(user, shell_pid, 7_968, 4_704, at, "Ss", login, "-bash");
        list.sort_by_key(|process| process.pid);
        list
    }

    /// The servers of this kind of machine.
    pub(crate) fn servers(&self) -> Vec<&'static Server> {
        SERVERS.iter().filter(|server| self.serves(server.service)).collect()
    }
}

/// A network server among the processes.
pub(crate) struct Server {
    pub(crate) service: Service,
    pub(crate) unit: &'static str,
    pub(crate) describe: &'static str,
    pub(crate) user: &'static str,
    pub(crate) port: u16,
    vsz: u32,
    rss: u32,
    state: &'static str,
    pub(crate) command: &'static str,
}

const SERVERS: &[Server] = &[
    Server {
        service: Service::Http,
        unit: "nginx",
        describe: "A high performance web server and a reverse proxy server",
        user: "root",
        port: 80,
        vsz: 10_368,
        rss: 3_260,
        state: "Ss",
        command: "nginx: master process /usr/sbin/nginx -g daemon on; master_process on;",
    },
    Server {
        service: Service::Ftp,
        unit: "vsftpd",
        describe: "vsftpd FTP server",
        user: "root",
        port: 21,
        vsz: 8_264,
        rss: 3_716,
        state: "Ss",
        command: "/usr/sbin/vsftpd /etc/vsftpd.conf",
    },
    Server {
        service: Service::Redis,
        unit: "redis-server",
        describe: "Advanced key-value store",
        user: "redis",
        port: 6379,
        vsz: 66_752,
        rss: 12_980,
        state: "Ssl",
        command: "/usr/bin/redis-server 0.0.0.0:6379",
    },
];

const KERNEL_THREADS: &[(u32, &str)] = &[
    (2, "kthreadd"),
    (3, "rcu_gp"),
    (4, "rcu_par_gp"),
    (5, "slub_flushwq"),
    (6, "netns"),
    (8, "kworker/0:0H-events_highpri"),
    (10, "mm_percpu_wq"),
    (11, "rcu_tasks_kthread"),
    (12, "rcu_tasks_rude_kthread"),
    (13, "rcu_tasks_trace_kthread"),
    (14, "ksoftirqd/0"),
    (15, "rcu_preempt"),
    (16, "migration/0"),
    (18, "cpuhp/0"),
    (26, "kdevtmpfs"),
    (27, "inet_frag_wq"),
    (28, "kauditd"),
    (29, "khungtaskd"),
    (30, "oom_reaper"),
    (33, "writeback"),
    (34, "kcompactd0"),
    (35, "ksmd"),
    (36, "khugepaged"),
    (37, "kintegrityd"),
    (38, "kblockd"),
    (45, "kswapd0"),
    (51, "kthrotld"),
    (65, "mld"),
    (66, "ipv6_addrconf"),
    (152, "scsi_eh_0"),
    (154, "jbd2/sda1-8"),
    (155, "ext4-rsv-conver"),
];

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

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// How `uptime` says how long: `12 days,  3:04`.
pub(crate) fn uptime_text(up: Duration) -> String {
    let minutes = up.as_secs() / 60;
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    let rest = if hours > 0 { format!("{hours:2}:{minutes:02}") } else { format!("{minutes} min") };
    match days {
        0 => rest,
        1 => format!("1 day, {rest}"),
        _ => format!("{days} days, {rest}"),
    }
}

/// When a process started, as `ps` says it.
pub(crate) fn started_text(at: Timestamp, now: Timestamp) -> String {
    let date = Date::of(at);
    let day = Duration::from_secs(86_400);
    if now.since(at) < day {
        date.format("%H:%M")
    } else if date.year == Date::of(now).year {
        date.format("%b%d")
    } else {
        date.year.to_string()
    }
}
