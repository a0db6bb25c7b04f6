//! What the keys mean.

use std::{path::PathBuf, time::Duration};

use super::{ConfFault, Map, Node, Value, access};
use crate::{
    auth::AuthRules,
    broker::Limits,
    stream::{AccountLimits, config::check_name},
};

/// A server as it is configured. What is absent was not said.
#[derive(Debug, Default)]
pub struct ServerConf {
    /// Where clients connect.
    pub listen: Listen,
    /// Where HTTP monitoring is served; no port: it is not.
    pub monitor: Listen,
    /// `server_name`.
    pub server_name: Option<String>,
    /// Users, where there are any.
    pub auth: Option<AuthRules>,
    /// TLS for clients.
    pub tls: Option<TlsConf>,
    /// What all streams together may take.
    pub stream_limits: AccountLimits,
    /// Durable streams, where they are on.
    pub jetstream: Option<JetStreamConf>,
    /// Where streams are kept, said outside of `jetstream`.
    pub store_dir: Option<PathBuf>,
    /// What clients may take.
    pub limits: Limits,
    /// How long clients are given to go elsewhere, in all.
    pub lame_duck_duration: Option<Duration>,
    /// How long nothing is closed at first.
    pub lame_duck_grace: Option<Duration>,
    /// Where the process id is written to.
    pub pid_file: Option<PathBuf>,
    /// Where the log goes.
    pub log_file: Option<PathBuf>,
    /// Whether lines of the log have a time.
    pub log_time: Option<bool>,
    /// Whether more is logged.
    pub debug: bool,
    /// What is ignored although it was asked for; to be shown at the start.
    pub warnings: Vec<String>,
}

/// An address in two parts, as they may be given apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listen {
    /// A name or an address.
    pub host: Option<String>,
    /// `Some(0)` is any port: -1 in the file.
    pub port: Option<u16>,
}

/// TLS, as it is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConf {
    /// The server's certificates (PEM).
    pub cert_file: Option<PathBuf>,
    /// Its key (PEM).
    pub key_file: Option<PathBuf>,
    /// Who signs clients' certificates (PEM).
    pub ca_file: Option<PathBuf>,
    /// Clients need a certificate.
    pub verify: bool,
    /// How long a handshake may take.
    pub timeout: Option<Duration>,
    /// Whether TLS begins before INFO.
    pub handshake_first: HandshakeFirst,
}

/// Whether TLS begins before INFO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HandshakeFirst {
    /// INFO in clear, then TLS: what every client understands.
    #[default]
    No,
    /// TLS, then INFO: nothing is in clear.
    Yes,
    /// TLS where the client begins with it within this time, else INFO in clear.
    Within(Duration),
}

/// Durable streams, as they are configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JetStreamConf {
    /// The directory that holds `jetstream`.
    pub store_dir: Option<PathBuf>,
    /// Bytes of streams in memory; none: no limit of its own.
    pub max_memory: Option<u64>,
    /// Bytes of streams in files.
    pub max_file: Option<u64>,
    /// By what name the API is served too.
    pub domain: Option<String>,
}

/// Keys of nats-server whose work this server does not do.
const UNSUPPORTED: &[&str] = &[
    "cluster",
    "default_js_domain",
    "gateway",
    "leafnodes",
    "leaf",
    "mappings",
    "maps",
    "mqtt",
    "operator",
    "operators",
    "resolver",
    "resolver_preload",
    "root",
    "roots",
    "trusted",
    "trusted_keys",
    "https",
    "https_port",
];

/// Keys of nats-server without which this server is of the same use.
const IGNORED: &[&str] = &[
    "websocket",
    "ws",
    "prof_port",
    "profile",
    "syslog",
    "remote_syslog",
    "log_size_limit",
    "logfile_size_limit",
    "max_traced_msg_len",
    "disable_sublist_cache",
    "no_sublist_cache",
    "connect_error_reports",
    "reconnect_error_reports",
    "server_tags",
    "tags",
    "strict",
    "no_header_support",
    "ports_file_dir",
    "client_advertise",
    "system_account",
    "system",
    "http_base_path",
    "default_permissions",
    "allow_non_tls",
    "max_closed_clients",
];

impl ServerConf {
    /// Reads what the keys mean.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn new(map: Map) -> Result<ServerConf, Vec<ConfFault>> {
        let mut conf = ServerConf::default();
        let mut faults = Vec::new();
        let mut access = access::Access::default();
        for (key, node, variable) in map.settings() {
            let outcome = match conf.set(&key, &node).transpose() {
                Some(outcome) => outcome,
                None => access.set(&key, node, variable),
            };
            outcome.unwrap_or_else(|fault| faults.push(fault));
        }
        conf.take_access(access, &mut faults);
        if faults.is_empty() { Ok(conf) } else { Err(faults) }
    }

    fn take_access(&mut self, access: access::Access, faults: &mut Vec<ConfFault>) {
        if let Some(timeout) = access.timeout {
            self.limits.auth_timeout = timeout;
        }
        self.stream_limits = access.stream_limits.clone();
        match access.rules() {
            Ok(rules) => self.auth = rules,
            Err(fault) => faults.push(fault),
        }
    }

    /// Takes a key; `None` where it is not one of these.
    fn set(&mut self, key: &str, node: &Node) -> Result<Option<()>, ConfFault> {
        let limits = &mut self.limits;
        match key {
            "host" | "net" => self.listen.host = Some(node.clone().text()?),
            "port" => self.listen.port = Some(port(node)?),
            "listen" => self.listen = listen(node)?,
            "http_port" | "monitor_port" => self.monitor.port = Some(port(node)?),
            "http" => self.monitor = listen(node)?,
            "server_name" => self.server_name = Some(node.clone().text()?),
            "tls" => self.tls = Some(tls(node.clone())?),
            "store_dir" | "storedir" => self.store_dir = Some(node.clone().text()?.into()),
            "jetstream" => self.jetstream = jetstream(node.clone())?,
            "max_control_line" => limits.max_control_line = node.number()?,
            "max_payload" => limits.max_payload = node.number()?,
            "max_pending" | "max_pending_size" => limits.max_pending_per_client = node.number()?,
            "max_connections" | "max_conn" => {
                limits.max_connections = unlimited(node, limits.max_connections)?;
            }
            "max_subscriptions" | "max_subs" => {
                limits.max_subscriptions_per_client = unlimited(node, 0)?;
            }
            "max_subscription_tokens" | "max_sub_tokens" => {
                limits.max_filter_tokens = unlimited(node, limits.max_filter_tokens)?;
            }
            "ping_interval" => limits.ping_interval = node.duration()?,
            "ping_max" => limits.max_pings_out = node.number()?,
            "write_deadline" => limits.write_deadline = node.duration()?,
            "lame_duck_duration" => self.lame_duck_duration = Some(node.duration()?),
            "lame_duck_grace_period" => self.lame_duck_grace = Some(node.duration()?),
            "pidfile" | "pid_file" => self.pid_file = Some(node.clone().text()?.into()),
            "logfile" | "log_file" => self.log_file = Some(node.clone().text()?.into()),
            "logtime" => self.log_time = Some(node.bool()?),
            "debug" => self.debug = node.bool()?,
            "trace" | "trace_verbose" => self.trace(node)?,
            _ if IGNORED.contains(&key) => {
                self.warnings.push(format!("{}: `{key}` has no effect here", node.place));
            }
            _ if UNSUPPORTED.contains(&key) => {
                return Err(node.fault(format!("`{key}` is not supported")));
            }
            _ => return Ok(None),
        }
        Ok(Some(()))
    }

    fn trace(&mut self, node: &Node) -> Result<(), ConfFault> {
        if node.bool()? {
            self.warnings.push(format!("{}: messages are not traced", node.place));
        }
        Ok(())
    }
}

/// -1 is any.
fn port(node: &Node) -> Result<u16, ConfFault> {
    match node.integer()? {
        -1 => Ok(0),
        number => u16::try_from(number).map_err(|_| node.fault("is no port")),
    }
}

/// `4222`, `:4222`, `host:4222`.
fn listen(node: &Node) -> Result<Listen, ConfFault> {
    if let Value::Integer(_) = node.value {
        return Ok(Listen { host: None, port: Some(port(node)?) });
    }
    let text = node.clone().text()?;
    let wrong = || node.fault(format!("`{text}` is no address with a port"));
    let (host, number) = text.rsplit_once(':').ok_or_else(wrong)?;
    let number = if number == "-1" { "0" } else { number };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok(Listen {
        host: (!host.is_empty()).then(|| host.into()),
        port: Some(number.parse().map_err(|_| wrong())?),
    })
}

/// A limit; 0 and below are `none`.
fn unlimited(node: &Node, none: usize) -> Result<usize, ConfFault> {
    match node.integer()? {
        ..=0 => Ok(none),
        _ => node.number(),
    }
}

fn tls(node: Node) -> Result<TlsConf, ConfFault> {
    let mut tls = TlsConf::default();
    for (key, node, variable) in node.map()?.settings() {
        match key.as_str() {
            "cert_file" => tls.cert_file = Some(node.text()?.into()),
            "key_file" => tls.key_file = Some(node.text()?.into()),
            "ca_file" => tls.ca_file = Some(node.text()?.into()),
            "verify" => tls.verify = node.bool()?,
            "timeout" => tls.timeout = Some(node.duration()?),
            "handshake_first" | "first" | "immediate" => tls.handshake_first = first(&node)?,
            _ if variable => {}
            _ => return Err(node.fault(format!("`tls.{key}` is unknown or not supported"))),
        }
    }
    Ok(tls)
}

fn first(node: &Node) -> Result<HandshakeFirst, ConfFault> {
    /// nats-server's, where it says `auto`.
    const AUTO: Duration = Duration::from_millis(50);
    match &node.value {
        Value::Bool(true) => Ok(HandshakeFirst::Yes),
        Value::Bool(false) => Ok(HandshakeFirst::No),
        Value::Text(text) if text.eq_ignore_ascii_case("auto") => Ok(HandshakeFirst::Within(AUTO)),
        _ => node.duration().map(HandshakeFirst::Within),
    }
}

/// `true`, `enabled`, or a map, where an empty one means on as well.
fn jetstream(node: Node) -> Result<Option<JetStreamConf>, ConfFault> {
    let usual = JetStreamConf::default();
    match &node.value {
        Value::Bool(on) => Ok(on.then_some(usual)),
        Value::Text(word) if word.eq_ignore_ascii_case("enabled") => Ok(Some(usual)),
        Value::Text(word) if word.eq_ignore_ascii_case("disabled") => Ok(None),
        _ => jetstream_map(node),
    }
}

fn jetstream_map(node: Node) -> Result<Option<JetStreamConf>, ConfFault> {
    let mut conf = JetStreamConf::default();
    let mut on = true;
    for (key, node, variable) in node.map()?.settings() {
        match key.as_str() {
            "enabled" | "enable" => on = node.bool()?,
            "store" | "store_dir" | "storedir" => conf.store_dir = Some(node.text()?.into()),
            "max_memory_store" | "max_mem_store" | "max_mem" => conf.max_memory = bytes(&node)?,
            "max_file_store" | "max_file" => conf.max_file = bytes(&node)?,
            "domain" => conf.domain = Some(domain(node)?),
            // Every write is synced.
            "sync"
            | "sync_interval"
            | "strict"
            | "max_outstanding_catchup"
            | "request_queue_limit"
            | "unique_tag" => {}
            _ if variable => {}
            _ => return Err(node.fault(format!("`jetstream.{key}` is unknown or not supported"))),
        }
    }
    Ok(on.then_some(conf))
}

/// A name that can stand in a subject.
fn domain(node: Node) -> Result<String, ConfFault> {
    let at = node.clone();
    let name = node.text()?;
    check_name(&name).map(|()| name).map_err(|fault| at.fault(fault.to_string()))
}

/// A number of bytes; below 0 is no limit.
pub(super) fn bytes(node: &Node) -> Result<Option<u64>, ConfFault> {
    node.integer().map(|number| u64::try_from(number).ok())
}
