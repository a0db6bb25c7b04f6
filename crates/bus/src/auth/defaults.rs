//! What a local program may do that nobody configured.

use super::{Permissions, SubjectRules};

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

/// Interfaces of the server; through them streams could be read or removed.
const SERVER: &[&str] = &["$SYS.>", "$JS.>", "$KV.>"];

/// What is never shown to viewers: raw sessions.
const UNSEEN: &str = "ingest.>";

/// What every local program may ask for.
const REQUESTS: &[&str] = &["decky.*.mutate_request"];

/// For whoever can open the UNIX socket and is neither root nor the service: listens to everything
/// but `ingest.>`, `$SYS.>`, `$JS.>`, `$KV.>` and the inboxes of others; publishes inboxes,
/// `decky.*.mutate_request` and what is outside of Morgana's families, so that no local program can
/// forge an attacker or stop a worker.
pub fn local_peers() -> Permissions {
    let unpublished = [FAMILIES, SERVER].concat();
    let unheard = [&[UNSEEN], SERVER].concat();
    let publish = SubjectRules::all().deny(&unpublished).and_then(|r| r.unless(REQUESTS));
    let subscribe = SubjectRules::all().deny(&unheard).map(SubjectRules::private_inboxes);
    publish
        .and_then(|publish| Permissions::new(publish, subscribe?, None))
        .expect("every constant above is a subject: tested")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_program_cannot_forge_what_the_roles_publish() {
        let local = local_peers();
        for (subject, expected) in [
            ("attacker.observed", false),
            ("attacker.scored", false),
            ("system.mutator.control", false),
            ("system.bus.health", false),
            ("ingest.session.d1", false),
            ("topology.t1.status", false),
            ("decky.d1.state", false),
            ("decky.d1.mutate_request", true),
            ("decky.d1.mutate_request.x", false),
            ("decky.mutate_request", false),
            ("org.morgana.attacker.scored", false),
            ("$JS.API.STREAM.DELETE.SESSIONS", false),
            ("$SYS.REQ.SERVER.PING", false),
            ("_INBOX.abc", true),
            ("mine.anything", true),
            ("attacker", true),
        ] {
            assert_eq!(local.may_publish(subject.as_bytes()), expected, "{subject}");
        }
    }

    #[test]
    fn a_local_program_hears_everything_but_raw_sessions_and_inboxes_of_others() {
        let local = local_peers();
        for (filter, expected) in [
            ("topology.>", true),
            ("attacker.*", true),
            (">", true),
            ("ingest.>", false),
            ("ingest.session.*", false),
            ("$JS.API.>", false),
            ("_INBOX.>", false),
            ("_INBOX.*", false),
            ("_INBOX.*.x", false),
            ("_INBOX.abc", true),
            ("_INBOX.abc.*", true),
        ] {
            assert_eq!(local.may_subscribe(filter.as_bytes(), None), expected, "{filter}");
        }
        for (filter, expected) in
            [(">", true), ("*.session.*", true), ("topology.>", false), ("_INBOX.abc.*", false)]
        {
            assert_eq!(local.checks_delivery(filter.as_bytes()), expected, "{filter}");
        }
        assert!(local.may_receive(b"attacker.scored"));
        for unheard in ["ingest.session.d1", "_INBOX.other.1", "$JS.API.INFO"] {
            assert!(!local.may_receive(unheard.as_bytes()), "{unheard} through `>`");
        }
    }
}
