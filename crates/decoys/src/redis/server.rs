//! What the server says about itself: INFO, CONFIG, and the table of commands, as captured from
//! Debian's redis 7.0.15.

use std::{fmt::Write, sync::Arc};

use model::{Persona, Timestamp};

use super::{glob::matches_glob, keyspace::Keyspace, reply::Reply};

const COMMANDS: &str = include_str!("commands.txt");
const CONFIG: &str = include_str!("config.txt");

/// Parameters that CONFIG SET refuses without `enable-protected-configs`.
const PROTECTED: &[&str] = &["dir", "dbfilename"];

/// Parameters that cannot be set while the server runs.
const IMMUTABLE: &[&str] = &[
    "databases",
    "daemonize",
    "pidfile",
    "supervised",
    "aclfile",
    "logfile",
    "unixsocket",
    "always-show-logo",
    "cluster-enabled",
    "io-threads",
    "tcp-backlog",
    "rdbchecksum",
    "enable-debug-command",
    "enable-module-command",
    "enable-protected-configs",
];

/// What one server is, the same for every visitor.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) persona: Arc<Persona>,
    pub(super) port: u16,
    /// The password of the default user.
    pub(super) password: Option<String>,
}

/// A command as the server knows it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) arity: i64,
    /// Subcommands with their arity.
    pub(super) subcommands: Vec<(&'static str, i64)>,
}

/// Looks up a command by its lower-case name.
pub(super) fn known(name: &str) -> Option<Known> {
    COMMANDS.lines().find_map(|line| {
        let mut words = line.split(' ');
        if words.next()? != name {
            return None;
        }
        let arity = words.next()?.parse().ok()?;
        let pairs = words.next().unwrap_or_default().split(',');
        let pair = |text: &'static str| {
            let (name, arity) = text.split_once(':')?;
            Some((name, arity.parse().ok()?))
        };
        Some(Known { arity, subcommands: pairs.filter_map(pair).collect() })
    })
}

/// Names and arity of all commands.
pub(super) fn all() -> impl Iterator<Item = (&'static str, i64)> {
    COMMANDS.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?, words.next()?.parse().ok()?))
    })
}

/// Whether so many words, the name included, fit an arity.
pub(super) fn fits(arity: i64, words: usize) -> bool {
    let words = i64::try_from(words).unwrap_or(i64::MAX);
    if arity < 0 { words >= -arity } else { words == arity }
}

/// The password that the redis of `persona` wants: one in two wants one, root's.
pub fn password(persona: &Persona) -> Option<&str> {
    let guarded = persona.draw("redis.password", 2) == 1;
    guarded.then(|| persona.accounts[0].password.as_str())
}

impl Server {
    /// The redis of `persona`, on `port`.
    pub(super) fn of(persona: &Arc<Persona>, port: u16) -> Self {
        let password = password(persona).map(str::to_owned);
        Self { persona: Arc::clone(persona), port, password }
    }

    /// Changes that visitors make with CONFIG SET, on top of the file.
    fn value(&self, changed: &[(String, String)], name: &str) -> Option<String> {
        if let Some((_, value)) = changed.iter().find(|(key, _)| key == name) {
            return Some(value.clone());
        }
        match name {
            "port" => Some(self.port.to_string()),
            "requirepass" => Some(self.password.clone().unwrap_or_default()),
            _ => CONFIG.lines().find_map(|line| {
                let (key, value) = line.split_once(' ').unwrap_or((line, ""));
                (key == name).then(|| value.to_owned())
            }),
        }
    }

    /// CONFIG GET.
    pub(super) fn config_get(&self, changed: &[(String, String)], patterns: &[Vec<u8>]) -> Reply {
        let names = CONFIG.lines().map(|line| line.split(' ').next().unwrap_or_default());
        let wanted = |name: &&str| {
            let wants = |one: &Vec<u8>| matches_glob(&one.to_ascii_lowercase(), name.as_bytes());
            patterns.iter().any(wants)
        };
        let found = names.chain(["port", "requirepass"]).filter(wanted).map(|name| {
            let value = self.value(changed, name).unwrap_or_default();
            (Reply::bulk(name), Reply::bulk(value))
        });
        Reply::Map(found.collect())
    }

    /// CONFIG SET, one or more pairs: all or none.
    pub(super) fn config_set(
        &self,
        changed: &mut Vec<(String, String)>,
        pairs: &[Vec<u8>],
    ) -> Reply {
        let mut next = Vec::new();
        for pair in pairs.chunks(2) {
            let name = String::from_utf8_lossy(&pair[0]).to_ascii_lowercase();
            let now = self.value(changed, &name);
            let (Some(now), Some(value)) = (now, pair.get(1)) else {
                let shown = super::reply::raw(&pair[0]);
                return Reply::error(format!(
                    "Unknown option or number of arguments for CONFIG SET - '{shown}'"
                ));
            };
            let value = String::from_utf8_lossy(value).into_owned();
            let refused = if PROTECTED.contains(&name.as_str()) {
                Some("can't set protected config")
            } else if IMMUTABLE.contains(&name.as_str()) {
                Some("can't set immutable config")
            } else {
                unfit(&name, &now, &value)
            };
            if let Some(why) = refused {
                return Reply::error(format!(
                    "CONFIG SET failed (possibly related to argument '{name}') - {why}"
                ));
            }
            next.push((name, value));
        }
        changed.retain(|(name, _)| !next.iter().any(|(other, _)| other == name));
        changed.extend(next);
        Reply::ok()
    }

    /// INFO, whole or some sections.
    pub(super) fn info(&self, now: Timestamp, keyspace: &Keyspace, wanted: &[Vec<u8>]) -> String {
        let wanted: Vec<String> =
            wanted.iter().map(|one| String::from_utf8_lossy(one).to_ascii_lowercase()).collect();
        let all = wanted.is_empty()
            || wanted.iter().any(|one| matches!(one.as_str(), "all" | "default" | "everything"));
        let mut text = String::new();
        for (name, section) in self.sections(now, keyspace) {
            if all || wanted.iter().any(|one| one.eq_ignore_ascii_case(name)) {
                if !text.is_empty() {
                    text.push_str("\r\n");
                }
                // Writing to a String cannot fail.
                let _ = write!(text, "# {name}\r\n");
                text.push_str(&section);
            }
        }
        text
    }

    fn sections(&self, now: Timestamp, keyspace: &Keyspace) -> Vec<(&'static str, String)> {
        let persona = &self.persona;
        let since = now.since(self.started_at());
        let uptime = since.as_secs();
        let draw = |label: &str, below: u64| persona.draw(label, below);
        let used = 900_000 + draw("redis.used", 3_000_000);
        let rss = used * 4 + 4_000_000 + draw("redis.rss", 4_000_000);
        let peak = used + draw("redis.peak", 400_000);
        let total = u64::from(persona.memory_mib) * 1_048_576;
        let seconds = now.as_micros() / 1_000_000;
        let connections = uptime / 40 + draw("redis.connections", 5000);
        let commands = connections * 23 + uptime / 7;
        let cpu = |label: &str| uptime as f64 * (0.001 + draw(label, 900) as f64 / 1e6);
        let replication = hex(&persona.seed("redis.replication"))[..40].to_owned();
        let lines = |lines: Vec<String>| lines.iter().map(|line| format!("{line}\r\n")).collect();
        let server = lines(vec![
            "redis_version:7.0.15".into(),
            "redis_git_sha1:00000000".into(),
            "redis_git_dirty:0".into(),
            "redis_build_id:ae4d7c971a948f0".into(),
            "redis_mode:standalone".into(),
            format!("os:Linux {} x86_64", persona.kernel_release),
            "arch_bits:64".into(),
            "monotonic_clock:POSIX clock_gettime".into(),
            "multiplexing_api:epoll".into(),
            "atomicvar_api:c11-builtin".into(),
            "gcc_version:12.2.0".into(),
            format!("process_id:{}", 400 + draw("redis.pid", 900)),
            "process_supervised:systemd".into(),
            format!("run_id:{}", &hex(&persona.seed("redis.run_id"))[..40]),
            format!("tcp_port:{}", self.port),
            format!("server_time_usec:{}", now.as_micros()),
            format!("uptime_in_seconds:{uptime}"),
            format!("uptime_in_days:{}", uptime / 86_400),
            "hz:10".into(),
            "configured_hz:10".into(),
            format!("lru_clock:{}", seconds & 0x00ff_ffff),
            "executable:/usr/bin/redis-server".into(),
            "config_file:/etc/redis/redis.conf".into(),
            "io_threads_active:0".into(),
        ]);
        let clients = lines(vec![
            format!("connected_clients:{}", 1 + draw("redis.clients", 4)),
            "cluster_connections:0".into(),
            "maxclients:10000".into(),
            "client_recent_max_input_buffer:20480".into(),
            "client_recent_max_output_buffer:0".into(),
            "blocked_clients:0".into(),
            "tracking_clients:0".into(),
            "clients_in_timeout_table:0".into(),
        ]);
        let memory = lines(vec![
            format!("used_memory:{used}"),
            format!("used_memory_human:{}", human(used)),
            format!("used_memory_rss:{rss}"),
            format!("used_memory_rss_human:{}", human(rss)),
            format!("used_memory_peak:{peak}"),
            format!("used_memory_peak_human:{}", human(peak)),
            format!("used_memory_peak_perc:{:.2}%", used as f64 * 100.0 / peak as f64),
            "used_memory_overhead:876504".into(),
            "used_memory_startup:876080".into(),
            format!("used_memory_dataset:{}", used - 876_504),
            format!("total_system_memory:{total}"),
            format!("total_system_memory_human:{}", human(total)),
            "used_memory_lua:31744".into(),
            "used_memory_lua_human:31.00K".into(),
            "number_of_cached_scripts:0".into(),
            "maxmemory:0".into(),
            "maxmemory_human:0B".into(),
            "maxmemory_policy:noeviction".into(),
            format!("mem_fragmentation_ratio:{:.2}", rss as f64 / used as f64),
            format!("mem_fragmentation_bytes:{}", rss - used),
            "mem_allocator:jemalloc-5.3.0".into(),
            "active_defrag_running:0".into(),
            "lazyfree_pending_objects:0".into(),
            "lazyfreed_objects:0".into(),
        ]);
        let persistence = lines(vec![
            "loading:0".into(),
            "async_loading:0".into(),
            format!("rdb_changes_since_last_save:{}", uptime / 60 % 90),
            "rdb_bgsave_in_progress:0".into(),
            format!("rdb_last_save_time:{}", self.last_save(now)),
            "rdb_last_bgsave_status:ok".into(),
            "rdb_last_bgsave_time_sec:0".into(),
            "rdb_current_bgsave_time_sec:-1".into(),
            format!("rdb_saves:{}", uptime / 3600),
            "aof_enabled:0".into(),
            "aof_rewrite_in_progress:0".into(),
            "aof_last_bgrewrite_status:ok".into(),
            "aof_last_write_status:ok".into(),
        ]);
        let stats = lines(vec![
            format!("total_connections_received:{connections}"),
            format!("total_commands_processed:{commands}"),
            "instantaneous_ops_per_sec:0".into(),
            format!("total_net_input_bytes:{}", commands * 41),
            format!("total_net_output_bytes:{}", commands * 160),
            "rejected_connections:0".into(),
            "sync_full:0".into(),
            "sync_partial_ok:0".into(),
            "sync_partial_err:0".into(),
            "expired_keys:0".into(),
            "evicted_keys:0".into(),
            format!("keyspace_hits:{}", commands / 3),
            format!("keyspace_misses:{}", commands / 19),
            "pubsub_channels:0".into(),
            "pubsub_patterns:0".into(),
            "latest_fork_usec:312".into(),
            format!("total_forks:{}", uptime / 3600),
            format!("total_error_replies:{}", commands / 4000),
        ]);
        let replication = lines(vec![
            "role:master".into(),
            "connected_slaves:0".into(),
            "master_failover_state:no-failover".into(),
            format!("master_replid:{replication}"),
            format!("master_replid2:{}", "0".repeat(40)),
            "master_repl_offset:0".into(),
            "second_repl_offset:-1".into(),
            "repl_backlog_active:0".into(),
            "repl_backlog_size:1048576".into(),
            "repl_backlog_first_byte_offset:0".into(),
            "repl_backlog_histlen:0".into(),
        ]);
        let cpu = lines(vec![
            format!("used_cpu_sys:{:.6}", cpu("redis.cpu.sys")),
            format!("used_cpu_user:{:.6}", cpu("redis.cpu.user")),
            "used_cpu_sys_children:0.000000".into(),
            "used_cpu_user_children:0.000000".into(),
        ]);
        let keys = keyspace.sizes().into_iter().map(|(database, keys, expires)| {
            format!("db{database}:keys={keys},expires={expires},avg_ttl=0\r\n")
        });
        vec![
            ("Server", server),
            ("Clients", clients),
            ("Memory", memory),
            ("Persistence", persistence),
            ("Stats", stats),
            ("Replication", replication),
            ("CPU", cpu),
            ("Modules", String::new()),
            ("Errorstats", format!("errorstat_ERR:count={}\r\n", commands / 4000)),
            ("Cluster", "cluster_enabled:0\r\n".into()),
            ("Keyspace", keys.collect()),
        ]
    }

    /// The daemon starts a little after the machine.
    fn started_at(&self) -> Timestamp {
        let delay = 6 + self.persona.draw("redis.start", 20);
        self.persona.booted_at.plus(std::time::Duration::from_secs(delay))
    }

    /// When the database was last written to disk: within the hour before `now`.
    pub(super) fn last_save(&self, now: Timestamp) -> u64 {
        let seconds = now.as_millis() / 1000;
        let phase = self.persona.draw("redis.save", 3600);
        seconds - (seconds + phase) % 3600
    }
}

/// Why a value does not fit a parameter, judged by the value that it has.
fn unfit(name: &str, now: &str, value: &str) -> Option<&'static str> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if matches!(now, "yes" | "no") && !matches!(value, "yes" | "no") {
        return Some("argument must be 'yes' or 'no'");
    }
    if name.starts_with("maxmemory") && is_number(now) {
        let lower = value.to_ascii_lowercase();
        let digits = lower.trim_end_matches(['k', 'm', 'g', 'b']);
        return (!is_number(digits)).then_some("argument must be a memory value");
    }
    let wants_number = is_number(now) && !is_number(value);
    wants_number.then_some("argument couldn't be parsed into an integer")
}

fn human(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        b if b >= 1_073_741_824.0 => format!("{:.2}G", b / 1_073_741_824.0),
        b if b >= 1_048_576.0 => format!("{:.2}M", b / 1_048_576.0),
        b => format!("{:.2}K", b / 1024.0),
    }
}

/// Bytes in lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
