//! What a client may take of the broker: every number in one place.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Limits of the broker. The defaults are nats-server's where it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Longest line of the protocol in bytes, without the payload.
    pub max_control_line: usize,
    /// Largest message in bytes, headers included.
    pub max_payload: usize,
    /// Clients on sockets at one time; fewer where the process may not hold that many files, of
    /// which a quarter is left to others.
    pub max_connections: usize,
    /// Subscriptions of one client on a socket; 0 is no limit.
    pub max_subscriptions_per_client: usize,
    /// Tokens of a filter of a client on a socket; 0 is no limit.
    pub max_filter_tokens: usize,
    /// Bytes that the subscriptions of one client on a socket may take, about.
    pub max_subscription_bytes_per_client: usize,
    /// Bytes that all subscriptions may take, about; those of in-process clients count, but are
    /// never refused.
    pub max_subscription_bytes_total: usize,
    /// Bytes that may wait for one client before it counts as slow and is closed.
    pub max_pending_per_client: usize,
    /// Bytes that may wait for all clients; beyond, the client with most waiting is closed.
    pub max_pending_total: usize,
    /// Bytes that may wait in one direction between the broker and one in-process client.
    pub max_pending_local: usize,
    /// How long a client may take nothing of what waits for it before it counts as slow.
    pub write_deadline: Duration,
    /// How often a client is asked whether it lives.
    pub ping_interval: Duration,
    /// When it is asked first. nats-server: about two seconds.
    pub first_ping: Duration,
    /// Unanswered pings after which a client is stale.
    pub max_pings_out: u32,
    /// How long a client may take to say who it is, where it must; not how long it is checked.
    pub auth_timeout: Duration,
    /// Sign-ins that may wait to be checked; beyond, those fail of who has most of them there.
    pub max_waiting_sign_ins: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1 << 20;
        Self {
            max_control_line: 4096,
            max_payload: MIB,
            max_connections: 65_536,
            max_subscriptions_per_client: 100_000,
            max_filter_tokens: 32,
            max_subscription_bytes_per_client: 128 * MIB,
            max_subscription_bytes_total: 512 * MIB,
            max_pending_per_client: 64 * MIB,
            max_pending_total: 512 * MIB,
            max_pending_local: 256 * MIB,
            write_deadline: Duration::from_secs(10),
            ping_interval: Duration::from_secs(120),
            first_ping: Duration::from_secs(2),
            max_pings_out: 2,
            auth_timeout: Duration::from_secs(2),
            max_waiting_sign_ins: 1024,
        }
    }
}
