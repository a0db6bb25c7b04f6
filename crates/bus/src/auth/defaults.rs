//! What a local program may do that nobody configured.

use super::Permissions;

/// Morgana's own families: what only her roles publish.
pub const FAMILIES: &[&str] = &[
    "topology.>",
    "decky.>",
    "attacker.>",
    "ingest.>",
    "credential.>",
    "identity.>",
    "system.>",
    "org.>",
    "campaign.>",
    "canary.>",
    "ttp.>",
];

/// For whoever can open the UNIX socket and is neither root nor the service: listens to everything
/// but `ingest.>`, `$SYS.>`, `$JS.>`, `$KV.>` and inboxes of others; publishes inboxes,
/// `decky.*.mutate_request` and what is outside of Morgana's families, so that no local program can
/// forge an attacker or stop a worker.
pub fn local_peers() -> Permissions {
    unimplemented!()
}
