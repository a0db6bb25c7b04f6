//! The pages: numbers in, JSON with nats-server's keys out.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use serde::Serialize;

use super::process;
use crate::broker::{BrokerStats, ConnectionStats, Limits};

/// How many connections `/connz` shows where nobody asks for another number, as in nats-server.
const USUAL_LIMIT: usize = 1024;

/// The page at `/`.
pub(super) const INDEX: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>bus</title>\
<ul><li><a href=/varz>varz</a>: the server<li><a href=/connz>connz</a>: its clients \
(limit, offset, cid, auth)<li><a href=/healthz>healthz</a></ul></html>\n";

/// What does not change while a server runs.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What it announces to clients.
    pub version: String,
    /// Where clients connect.
    pub clients: Option<SocketAddr>,
    /// Where these pages are; filled in when they are served.
    pub http: Option<SocketAddr>,
    /// What clients may take.
    pub limits: Limits,
    /// Clients need credentials.
    pub auth_required: bool,
    /// Clients need TLS.
    pub tls_required: bool,
    /// Clients need a certificate.
    pub tls_verify: bool,
    /// Where streams are stored, where there are any.
    pub store_dir: Option<String>,
}

#[derive(Serialize)]
struct Varz<'a> {
    server_id: &'a str,
    server_name: &'a str,
    version: &'a str,
    proto: u8,
    go: &'a str,
    host: String,
    port: u16,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    auth_required: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tls_required: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tls_verify: bool,
    max_connections: usize,
    max_subscriptions: usize,
    ping_interval: u128,
    ping_max: u32,
    http_host: String,
    http_port: u16,
    http_base_path: &'a str,
    https_port: u16,
    auth_timeout: f64,
    max_control_line: usize,
    max_payload: usize,
    max_pending: usize,
    cluster: Nothing,
    gateway: Nothing,
    leaf: Nothing,
    mqtt: Nothing,
    websocket: Nothing,
    jetstream: JetStream<'a>,
    write_deadline: u128,
    start: String,
    now: String,
    uptime: String,
    mem: u64,
    cores: usize,
    gomaxprocs: usize,
    cpu: f64,
    connections: usize,
    total_connections: u64,
    routes: usize,
    remotes: usize,
    leafnodes: usize,
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
    slow_consumers: u64,
    subscriptions: usize,
    // ours
    stale_connections: u64,
    auth_errors: u64,
    protocol_errors: u64,
    refused_connections: u64,
    pending_bytes: usize,
}

/// `{}`
#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct JetStream<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<JetStreamConfig<'a>>,
}

#[derive(Serialize)]
struct JetStreamConfig<'a> {
    store_dir: &'a str,
}

/// `/varz`.
pub(super) fn varz(facts: &Facts, stats: &BrokerStats) -> Vec<u8> {
    let now = SystemTime::now();
    let limits = &facts.limits;
    let host = |addr: Option<SocketAddr>| addr.map(|a| a.ip().to_string()).unwrap_or_default();
    let port = |addr: Option<SocketAddr>| addr.map(|a| a.port()).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    json(&Varz {
        server_id: &stats.server_id,
        server_name: &stats.server_name,
        version: &facts.version,
        proto: 1,
        go: "rust",
        host: host(facts.clients),
        port: port(facts.clients),
        auth_required: facts.auth_required,
        tls_required: facts.tls_required,
        tls_verify: facts.tls_verify,
        max_connections: limits.max_connections,
        max_subscriptions: limits.max_subscriptions_per_client,
        ping_interval: limits.ping_interval.as_nanos(),
        ping_max: limits.max_pings_out,
        http_host: host(facts.http),
        http_port: port(facts.http),
        http_base_path: "",
        https_port: 0,
        auth_timeout: limits.auth_timeout.as_secs_f64(),
        max_control_line: limits.max_control_line,
        max_payload: limits.max_payload,
        max_pending: limits.max_pending_per_client,
        cluster: Nothing {},
        gateway: Nothing {},
        leaf: Nothing {},
        mqtt: Nothing {},
        websocket: Nothing {},
        jetstream: JetStream {
            config: facts.store_dir.as_deref().map(|store_dir| JetStreamConfig { store_dir }),
        },
        write_deadline: limits.write_deadline.as_nanos(),
        start: moment(now.checked_sub(stats.uptime).unwrap_or(now)),
        now: moment(now),
        uptime: uptime(stats.uptime),
        mem: process::memory_bytes(),
        cores,
        gomaxprocs: cores,
        cpu: load(stats.uptime),
        connections: stats.connections,
        total_connections: stats.total_connections,
        routes: 0,
        remotes: 0,
        leafnodes: 0,
        in_msgs: stats.traffic.in_msgs,
        out_msgs: stats.traffic.out_msgs,
        in_bytes: stats.traffic.in_bytes,
        out_bytes: stats.traffic.out_bytes,
        slow_consumers: stats.slow_consumers,
        subscriptions: stats.subscriptions,
        stale_connections: stats.stale_connections,
        auth_errors: stats.auth_errors,
        protocol_errors: stats.protocol_errors,
        refused_connections: stats.refused_connections,
        pending_bytes: stats.pending_bytes,
    })
}

/// What nats-server tells of itself now and then, and when it is pinged.
#[derive(Serialize)]
struct Statsz {
    start: String,
    mem: u64,
    cores: usize,
    cpu: f64,
    connections: usize,
    total_connections: u64,
    active_accounts: usize,
    subscriptions: usize,
    sent: Passed,
    received: Passed,
    slow_consumers: u64,
}

#[derive(Serialize)]
struct Passed {
    msgs: u64,
    bytes: u64,
}

/// The `statsz` of an answer to a ping.
pub(super) fn statsz(stats: &BrokerStats) -> Vec<u8> {
    let now = SystemTime::now();
    let traffic = &stats.traffic;
    json(&Statsz {
        start: moment(now.checked_sub(stats.uptime).unwrap_or(now)),
        mem: process::memory_bytes(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        cpu: load(stats.uptime),
        connections: stats.connections,
        total_connections: stats.total_connections,
        active_accounts: 1,
        subscriptions: stats.subscriptions,
        sent: Passed { msgs: traffic.out_msgs, bytes: traffic.out_bytes },
        received: Passed { msgs: traffic.in_msgs, bytes: traffic.in_bytes },
        slow_consumers: stats.slow_consumers,
    })
}

/// Per cent of one core since the start of the broker.
fn load(uptime: Duration) -> f64 {
    let seconds = uptime.as_secs_f64().max(0.01);
    (process::processor_seconds() / seconds * 1000.0).round() / 10.0
}

#[derive(Serialize)]
struct Connz<'a> {
    server_id: &'a str,
    now: String,
    num_connections: usize,
    total: usize,
    offset: usize,
    limit: usize,
    connections: Vec<Conn<'a>>,
}

#[derive(Serialize)]
struct Conn<'a> {
    cid: u64,
    kind: &'a str,
    #[serde(rename = "type")]
    protocol: &'a str,
    ip: &'a str,
    port: u16,
    start: String,
    last_activity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt: Option<String>,
    uptime: String,
    idle: String,
    pending_bytes: usize,
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
    subscriptions: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lang: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tls: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorized_user: Option<&'a str>,
}

/// What `/connz` was asked for. What this server has no answer to (`subs`, `sort`, …) is skipped.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    limit: usize,
    offset: usize,
    cid: Option<u64>,
    auth: bool,
}

/// `/connz`.
pub(super) fn connz(query: &str, stats: &BrokerStats) -> Result<Vec<u8>, String> {
    let wanted = Wanted::parse(query)?;
    let now = SystemTime::now();
    let chosen: Vec<&ConnectionStats> = stats
        .clients
        .iter()
        .filter(|client| wanted.cid.is_none_or(|cid| client.cid == cid))
        .collect();
    let shown = chosen.iter().skip(wanted.offset).take(wanted.limit);
    let connections: Vec<Conn<'_>> = shown.map(|client| conn(client, now, wanted.auth)).collect();
    Ok(json(&Connz {
        server_id: &stats.server_id,
        now: moment(now),
        num_connections: connections.len(),
        total: chosen.len(),
        offset: wanted.offset,
        limit: wanted.limit,
        connections,
    }))
}

fn conn(client: &ConnectionStats, now: SystemTime, auth: bool) -> Conn<'_> {
    let (ip, port) = match client.addr.rsplit_once(':') {
        Some((ip, port)) if !client.addr.starts_with("unix") => (ip, port.parse().unwrap_or(0)),
        _ => (client.addr.as_str(), 0),
    };
    Conn {
        cid: client.cid,
        kind: "Client",
        protocol: "nats",
        ip: ip.trim_start_matches('[').trim_end_matches(']'),
        port,
        start: moment(now.checked_sub(client.uptime).unwrap_or(now)),
        last_activity: moment(now.checked_sub(client.idle).unwrap_or(now)),
        rtt: client.rtt.map(|rtt| format!("{}µs", rtt.as_micros())),
        uptime: uptime(client.uptime),
        idle: uptime(client.idle),
        pending_bytes: client.pending_bytes,
        in_msgs: client.traffic.in_msgs,
        out_msgs: client.traffic.out_msgs,
        in_bytes: client.traffic.in_bytes,
        out_bytes: client.traffic.out_bytes,
        subscriptions: client.subscriptions,
        name: client.name.as_deref(),
        lang: client.lang.as_deref(),
        version: client.version.as_deref(),
        tls: client.tls,
        authorized_user: client.user.as_deref().filter(|_| auth),
    }
}

impl Wanted {
    fn parse(query: &str) -> Result<Wanted, String> {
        let mut wanted = Wanted { limit: USUAL_LIMIT, offset: 0, cid: None, auth: false };
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match key {
                "limit" => wanted.limit = number(key, value)?,
                "offset" => wanted.offset = number(key, value)?,
                "cid" => wanted.cid = Some(number(key, value)?),
                "auth" => wanted.auth = matches!(value, "1" | "true"),
                _ => {}
            }
        }
        Ok(wanted)
    }
}

fn number<N: std::str::FromStr>(key: &str, value: &str) -> Result<N, String> {
    value.parse().map_err(|_| format!("`{key}` is no number"))
}

#[derive(Serialize)]
struct Health<'a> {
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// `/healthz` of a server that answers.
pub(super) fn healthy() -> Vec<u8> {
    json(&Health { status: "ok", error: None })
}

/// Any page of a server that ended.
pub(super) fn unavailable() -> Vec<u8> {
    json(&Health { status: "unavailable", error: Some("the broker ended") })
}

fn json(page: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(page).unwrap_or_default()
}

fn moment(at: SystemTime) -> String {
    Timestamp::try_from(at).unwrap_or(Timestamp::MAX).to_string()
}

/// `1d2h3m4s`, without what is nought in front, as nats-server writes it.
fn uptime(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{seconds}s"),
        (0, ..) => format!("{hours}h{minutes}m{seconds}s"),
        _ => format!("{days}d{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_by_nats_server() {
        for (seconds, text) in [(0, "0s"), (61, "1m1s"), (3600, "1h0m0s"), (90_061, "1d1h1m1s")] {
            assert_eq!(uptime(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn what_connz_is_asked_for() {
        let wanted = |limit, offset, cid, auth| Ok(Wanted { limit, offset, cid, auth });
        for (query, expected) in [
            ("", wanted(1024, 0, None, false)),
            ("limit=2&offset=1&subs=1&sort=cid", wanted(2, 1, None, false)),
            ("cid=7&auth=true&auth", wanted(1024, 0, Some(7), true)),
            ("limit=x", Err("`limit` is no number".into())),
            ("offset=-1", Err("`offset` is no number".into())),
        ] {
            assert_eq!(Wanted::parse(query), expected, "{query}");
        }
    }
}
