//! What the broker tells about itself: the numbers behind `/varz`, `/connz` and `bus top`.

use std::{sync::Arc, time::Duration};

use serde::Serialize;

/// Messages and their bytes (headers and bodies), ever since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Messages that came in.
    pub in_msgs: u64,
    /// Their bytes.
    pub in_bytes: u64,
    /// Messages that went out, once per receiver.
    pub out_msgs: u64,
    /// Their bytes.
    pub out_bytes: u64,
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.in_msgs += other.in_msgs;
        self.in_bytes += other.in_bytes;
        self.out_msgs += other.out_msgs;
        self.out_bytes += other.out_bytes;
    }
}

/// The broker at one moment. Rates are the caller's business: the difference of two of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BrokerStats {
    /// The id in INFO.
    pub server_id: String,
    /// The name in INFO.
    pub server_name: String,
    /// Since the start.
    pub uptime: Duration,
    /// Clients on sockets now.
    pub connections: usize,
    /// Clients on sockets ever.
    pub total_connections: u64,
    /// Subscriptions now, of in-process clients too.
    pub subscriptions: usize,
    /// Of all clients on sockets together.
    pub traffic: Traffic,
    /// Clients closed because they did not take what waited for them.
    pub slow_consumers: u64,
    /// Clients closed because they did not answer pings.
    pub stale_connections: u64,
    /// Sign-ins that failed.
    pub auth_errors: u64,
    /// Clients closed for what they sent.
    pub protocol_errors: u64,
    /// Connections refused because there were `max_connections`.
    pub refused_connections: u64,
    /// Messages that in-process clients did not get because too much waited for them.
    pub dropped_local: u64,
    /// Bytes that wait for clients on sockets.
    pub pending_bytes: usize,
    /// Subjects in the result cache of the match table.
    pub cached_subjects: usize,
    /// The clients on sockets, by connection id.
    pub clients: Vec<ConnectionStats>,
    /// The in-process clients.
    pub locals: Vec<LocalStats>,
}

/// One client on a socket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ConnectionStats {
    /// Its id, never used twice.
    pub cid: u64,
    /// `127.0.0.1:4312`, or `unix:pid=…,uid=…`.
    pub addr: String,
    /// Whether it came by TLS.
    pub tls: bool,
    /// The user that it signed in as.
    pub user: Option<Arc<str>>,
    /// What it calls itself.
    pub name: Option<String>,
    /// The language of its library.
    pub lang: Option<String>,
    /// The version of its library.
    pub version: Option<String>,
    /// Since it came.
    pub uptime: Duration,
    /// Since it last sent something.
    pub idle: Duration,
    /// Round trip of the last ping, where one was answered.
    pub rtt: Option<Duration>,
    /// Its subscriptions.
    pub subscriptions: usize,
    /// What it sent and got.
    pub traffic: Traffic,
    /// Bytes that wait for it.
    pub pending_bytes: usize,
}

/// One in-process client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LocalStats {
    /// Its id, never used twice.
    pub id: u64,
    /// What it calls itself.
    pub name: String,
    /// Its subscriptions.
    pub subscriptions: usize,
    /// What it sent and got.
    pub traffic: Traffic,
    /// Bytes that it got and did not drop yet.
    pub pending_bytes: usize,
    /// Messages that it did not get because too much waited for it.
    pub dropped: u64,
}
