//! What runs on the machine: kernel threads, daemons and the visitor's own session, as `ps`,
//! `top`, `ss` and `/proc` show them. Which servers there are follows from the persona.

use std::time::Duration;

use model::{Service, Timestamp, Transport};

use super::machine::Machine;
use crate::http::Product;

/// A running process.
pub(crate) struct Process {
    pub(crate) user: String,
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) vsz: u32,
    pub(crate) rss: u32,
    pub(crate) tty: &'static str,
    pub(crate) state: &'static str,
    pub(crate) started: Timestamp,
    pub(crate) command: String,
}

impl Process {
    /// The kernel's own name of it, which `top` and `ps -e` show.
    pub(crate) fn name(&self) -> &str {
        if let Some(thread) = self.command.strip_prefix('[') {
            return thread.trim_end_matches(']');
        }
        if self.command == "/sbin/init" {
            return "systemd";
        }
        let program = self.command.split([' ', ':']).next().unwrap_or_default();
        let name = program.rsplit('/').next().unwrap_or_default().trim_start_matches('-');
        &name[..name.len().min(15)]
    }
}

/// A network server among the processes.
pub(crate) struct Server {
    service: Service,
    /// The web server that it is, where it is one.
    product: Option<Product>,
    pub(crate) unit: &'static str,
    pub(crate) describe: &'static str,
    pub(crate) port: u16,
    pub(crate) port_name: &'static str,
    /// Addresses it is bound to, as `ss` writes them.
    pub(crate) binds: &'static [&'static str],
    pub(crate) backlog: u16,
    /// The first file descriptor it listens on.
    pub(crate) descriptor: u16,
    user: &'static str,
    vsz: u32,
    rss: u32,
    state: &'static str,
    command: &'static str,
    worker: Option<Worker>,
}

/// The processes that a server puts to work.
struct Worker {
    /// How many; none where it is one for each processor.
    count: Option<u32>,
    vsz: u32,
    rss: u32,
    state: &'static str,
    command: &'static str,
}

const SERVERS: &[Server] = &[
    Server {
        service: Service::Http,
        product: Some(Product::Nginx),
        unit: "nginx",
        describe: "A high performance web server and a reverse proxy server",
        port: 80,
        port_name: "http",
        binds: &["0.0.0.0", "[::]"],
        backlog: 511,
        descriptor: 5,
        user: "root",
        vsz: 10_368,
        rss: 3_260,
        state: "Ss",
        command: "nginx: master process /usr/sbin/nginx -g daemon on; master_process on;",
        worker: Some(Worker {
            count: None,
            vsz: 12_084,
            rss: 5_344,
            state: "S",
            command: "nginx: worker process",
        }),
    },
    Server {
        service: Service::Http,
        product: Some(Product::Apache),
        unit: "apache2",
        describe: "The Apache HTTP Server",
        port: 80,
        port_name: "http",
        binds: &["*"],
        backlog: 511,
        descriptor: 4,
        user: "root",
        vsz: 6_396,
        rss: 4_600,
        state: "Ss",
        command: "/usr/sbin/apache2 -k start",
        worker: Some(Worker {
            count: Some(2),
            vsz: 1_211_228,
            rss: 5_116,
            state: "Sl",
            command: "/usr/sbin/apache2 -k start",
        }),
    },
    Server {
        service: Service::Ftp,
        product: None,
        unit: "vsftpd",
        describe: "vsftpd FTP server",
        port: 21,
        port_name: "ftp",
        binds: &["*"],
        backlog: 32,
        descriptor: 3,
        user: "root",
        vsz: 8_264,
        rss: 3_716,
        state: "Ss",
        command: "/usr/sbin/vsftpd /etc/vsftpd.conf",
        worker: None,
    },
    Server {
        service: Service::Redis,
        product: None,
        unit: "redis-server",
        describe: "Advanced key-value store",
        port: 6379,
        port_name: "redis",
        binds: &["0.0.0.0"],
        backlog: 511,
        descriptor: 6,
        user: "redis",
        vsz: 66_752,
        rss: 12_980,
        state: "Ssl",
        command: "/usr/bin/redis-server 0.0.0.0:6379",
        worker: None,
    },
    Server {
        service: Service::Snmp,
        product: None,
        unit: "snmpd",
        describe: "Simple Network Management Protocol (SNMP) Daemon.",
        port: 161,
        port_name: "snmp",
        binds: &["0.0.0.0"],
        backlog: 0,
        descriptor: 6,
        user: "Debian-+",
        vsz: 30_644,
        rss: 12_160,
        state: "Ss",
        command: "/usr/sbin/snmpd -LOw -u Debian-snmp -g Debian-snmp -I -smux mteTrigger \
                  mteTriggerConf -f",
        worker: None,
    },
];

/// How far the process ids of servers lie apart, so that their workers fit between.
const SERVER_GAP: u32 = 40;

impl Machine {
    /// The servers of this kind of machine.
    pub(crate) fn servers(&self) -> Vec<&'static Server> {
        let (pool, product) = (self.persona.archetype.pool(), Product::of(&self.persona));
        SERVERS
            .iter()
            .filter(|server| pool.contains(&server.service))
            .filter(|server| server.product.is_none_or(|served| served == product))
            .collect()
    }

    /// Those of them that this carries.
    pub(crate) fn servers_over(&self, transport: Transport) -> Vec<&'static Server> {
        let mut servers = self.servers();
        servers.retain(|server| server.service.transport() == transport);
        servers
    }

    /// The process ids of a server: itself, then its workers.
    pub(crate) fn server_pids(&self, server: &Server) -> Vec<u32> {
        let index = self.servers().iter().position(|other| other.unit == server.unit);
        let pid = self.first_pid() + 210 + index.unwrap_or(0) as u32 * SERVER_GAP;
        let workers = server
            .worker
            .as_ref()
            .map_or(0, |worker| worker.count.unwrap_or(self.persona.cpus).min(SERVER_GAP - 2));
        (0..=workers).map(|n| pid + n).collect()
    }

    /// The process id of the daemon that listens for logins.
    pub(crate) fn sshd_pid(&self) -> u32 {
        self.first_pid() + 204
    }

    /// The first process id after the kernel's threads.
    fn first_pid(&self) -> u32 {
        230 + (self.draw("pid") % 40) as u32
    }

    /// What `ps` shows, by process id; the visitor's own shell last.
    pub(crate) fn processes(&self, tty: bool, shell_pid: u32, user: &str) -> Vec<Process> {
        let mut list = self.residents();
        list.extend(self.session(tty, shell_pid, user));
        list.sort_by_key(|process| process.pid);
        list
    }

    /// What runs whether or not somebody is logged in.
    pub(crate) fn residents(&self) -> Vec<Process> {
        let mut list = self.kernel_threads();
        list.extend(self.daemons());
        list.extend(self.server_processes());
        list
    }

    fn kernel_threads(&self) -> Vec<Process> {
        let thread = |pid: u32, state: &'static str, name: &str| Process {
            user: "root".into(),
            pid,
            parent: if pid > 2 { 2 } else { 0 },
            vsz: 0,
            rss: 0,
            tty: "?",
            state,
            started: self.persona.booted_at,
            command: format!("[{name}]"),
        };
        let cpus = self.persona.cpus.clamp(1, 16);
        let mut list = Vec::new();
        for (pid, state, name) in KERNEL_THREADS {
            let moved = if *pid > LAST_OF_FIRST_CPU { (cpus - 1) * PER_CPU } else { 0 };
            list.push(thread(pid + moved, state, name));
        }
        for cpu in 1..cpus {
            let pid = LAST_OF_FIRST_CPU + 1 + (cpu - 1) * PER_CPU;
            list.push(thread(pid, "S", &format!("cpuhp/{cpu}")));
            list.push(thread(pid + 1, "S", &format!("migration/{cpu}")));
            list.push(thread(pid + 2, "S", &format!("ksoftirqd/{cpu}")));
            list.push(thread(pid + 4, "I<", &format!("kworker/{cpu}:0H-events_highpri")));
        }
        let late = self.login_at.minus(Duration::from_secs(900));
        let worker = thread(self.shell_pid() - 160, "I", "kworker/u4:1-events_unbound");
        list.push(Process { started: late, ..worker });
        list
    }

    fn daemons(&self) -> Vec<Process> {
        let first = self.first_pid();
        DAEMONS
            .iter()
            .map(|(after, user, vsz, rss, state, seconds, command)| Process {
                user: (*user).into(),
                pid: if *after == 0 { 1 } else { first + after - 1 },
                parent: u32::from(*after != 0),
                vsz: *vsz,
                rss: *rss,
                tty: if command.contains("agetty") { "tty1" } else { "?" },
                state,
                started: self.persona.booted_at.plus(Duration::from_secs(*seconds)),
                command: (*command).into(),
            })
            .collect()
    }

    fn server_processes(&self) -> Vec<Process> {
        let mut list = Vec::new();
        for server in self.servers() {
            let pids = self.server_pids(server);
            let started = self.persona.booted_at.plus(Duration::from_secs(7));
            let master = Process {
                user: server.user.into(),
                pid: pids[0],
                parent: 1,
                vsz: server.vsz,
                rss: server.rss,
                tty: "?",
                state: server.state,
                started,
                command: server.command.into(),
            };
            list.push(master);
            let Some(worker) = &server.worker else { continue };
            list.extend(pids[1..].iter().map(|pid| Process {
                user: "www-data".into(),
                pid: *pid,
                parent: pids[0],
                vsz: worker.vsz,
                rss: worker.rss,
                tty: "?",
                state: worker.state,
                started,
                command: worker.command.into(),
            }));
        }
        list
    }

    /// The visitor's login: sshd keeps a privileged process for everybody but root.
    fn session(&self, tty: bool, shell_pid: u32, user: &str) -> Vec<Process> {
        let (login, started) = (self.login_user.clone(), self.login_at);
        let root = login == "root";
        let (at, name) = if tty { ("pts/0", "pts/0") } else { ("?", "notty") };
        let privileged = Process {
            user: "root".into(),
            pid: shell_pid - 14,
            parent: self.sshd_pid(),
            vsz: 17_724,
            rss: 10_948,
            tty: "?",
            state: "Ss",
            started,
            command: format!("sshd: {login} [priv]"),
        };
        let server = Process {
            user: login.clone(),
            pid: shell_pid - 7,
            parent: if root { self.sshd_pid() } else { shell_pid - 14 },
            vsz: 17_984,
            rss: if root { 10_948 } else { 6_700 },
            tty: "?",
            state: if root { "Ss" } else { "S" },
            started,
            command: format!("sshd: {login}@{name}"),
        };
        let shell = Process {
            user: user.into(),
            pid: shell_pid,
            parent: shell_pid - 7,
            vsz: 7_968,
            rss: 4_704,
            tty: at,
            state: "Ss",
            started,
            command: "-bash".into(),
        };
        let mut list = if root { Vec::new() } else { vec![privileged] };
        list.extend([server, shell]);
        list
    }
}

/// Place after the kernel's threads (init is 0), user, sizes, state, seconds after boot, command.
type Daemon = (u32, &'static str, u32, u32, &'static str, u64, &'static str);

const DAEMONS: &[Daemon] = &[
    (0, "root", 167_752, 12_140, "Ss", 0, "/sbin/init"),
    (1, "root", 33_044, 13_508, "Ss", 3, "/lib/systemd/systemd-journald"),
    (23, "root", 26_896, 6_284, "Ss", 3, "/lib/systemd/systemd-udevd"),
    (62, "systemd+", 90_080, 6_572, "Ssl", 4, "/lib/systemd/systemd-timesyncd"),
    (159, "root", 6_608, 2_720, "Ss", 6, "/usr/sbin/cron -f"),
    (
        160,
        "message+",
        9_128,
        4_820,
        "Ss",
        6,
        "/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile \
         --systemd-activation --syslog-only",
    ),
    (164, "root", 49_908, 7_412, "Ss", 6, "/lib/systemd/systemd-logind"),
    (202, "root", 5_868, 1_012, "Ss+", 7, "/sbin/agetty -o -p -- \\u --noclear - linux"),
    (
        205,
        "root",
        15_432,
        9_216,
        "Ss",
        7,
        "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups",
    ),
];

/// Threads up to this process id are there once; those of other processors follow it.
const LAST_OF_FIRST_CPU: u32 = 18;

/// Process ids that each further processor takes.
const PER_CPU: u32 = 5;

/// As on a machine with one processor.
const KERNEL_THREADS: &[(u32, &str, &str)] = &[
    (2, "S", "kthreadd"),
    (3, "I<", "rcu_gp"),
    (4, "I<", "rcu_par_gp"),
    (5, "I<", "slub_flushwq"),
    (6, "I<", "netns"),
    (8, "I<", "kworker/0:0H-events_highpri"),
    (10, "I<", "mm_percpu_wq"),
    (11, "I", "rcu_tasks_kthread"),
    (12, "I", "rcu_tasks_rude_kthread"),
    (13, "I", "rcu_tasks_trace_kthread"),
    (14, "S", "ksoftirqd/0"),
    (15, "I", "rcu_preempt"),
    (16, "S", "migration/0"),
    (18, "S", "cpuhp/0"),
    (20, "S", "kdevtmpfs"),
    (21, "I<", "inet_frag_wq"),
    (22, "S", "kauditd"),
    (23, "S", "khungtaskd"),
    (24, "S", "oom_reaper"),
    (27, "I<", "writeback"),
    (28, "S", "kcompactd0"),
    (29, "SN", "ksmd"),
    (30, "SN", "khugepaged"),
    (31, "I<", "kintegrityd"),
    (32, "I<", "kblockd"),
    (39, "S", "kswapd0"),
    (45, "I<", "kthrotld"),
    (59, "I<", "mld"),
    (60, "I<", "ipv6_addrconf"),
    (122, "S", "scsi_eh_0"),
    (144, "S", "jbd2/sda1-8"),
    (145, "I<", "ext4-rsv-conver"),
];
