//! What the deception network sends, `org.morgana.>`: made from the entries of the journal that
//! others can act on. No secret leaves, and nothing that a visitor typed but user names.

use super::{EventType, Kind, Origin, Producer::Morgana, always, maybe};

/// What a visitor or a worker wrote, in bytes: as much as the journal keeps of it, with room for
/// what escaping adds.
const TEXT: Kind = Kind::Text(16 << 10);
/// Longest name, in bytes.
const NAME: Kind = Kind::Text(2048);
/// A decoy protocol.
const SERVICE: Kind = Kind::Text(64);
/// Any count.
const COUNT: Kind = Kind::Count(u64::MAX);
/// Statuses of a topology.
const STATUS: Kind = Kind::OneOf(&[
    "pending",
    "deploying",
    "active",
    "degraded",
    "failed",
    "tearing_down",
    "torn_down",
]);

const TOPOLOGY: (&str, &str) = ("topology", "topology_id");

/// What every change of a topology's status says.
const STATUS_FIELDS: &[super::Field] = &[
    always("topology_id", Kind::Id, "the maze"),
    always("from", STATUS, "its status before"),
    always("status", STATUS, "its status now"),
    always("version", COUNT, "its version"),
    maybe("reason", TEXT, "why, where there is something to say"),
];

/// What the end of every mutation says.
const MUTATION_FIELDS: &[super::Field] = &[
    always("topology_id", Kind::Id, "the maze"),
    always("mutation_id", Kind::Id, "the mutation"),
    always("op", NAME, "what it does, such as `add_decky`"),
    always("version", COUNT, "the maze's version after it"),
    always("requested_by", NAME, "who asked"),
    maybe("reason", TEXT, "why it failed"),
];

const fn status(
    name: &'static str,
    meaning: &'static str,
    with: &'static [(&'static str, &'static str)],
) -> EventType {
    let origin = Origin { kind: "topology.status", with };
    EventType { name, producer: Morgana, meaning, origin, about: TOPOLOGY, fields: STATUS_FIELDS }
}

const fn mutation(name: &'static str, meaning: &'static str, kind: &'static str) -> EventType {
    let origin = Origin { kind, with: &[] };
    EventType { name, producer: Morgana, meaning, origin, about: TOPOLOGY, fields: MUTATION_FIELDS }
}

pub(super) const TYPES: &[EventType] = &[
    EventType {
        name: "org.morgana.attacker.observed",
        producer: Morgana,
        meaning: "A source address touched a decky for the first time.",
        origin: Origin { kind: "attacker.observed", with: &[] },
        about: ("attacker", "attacker_id"),
        fields: &[
            always("attacker_id", Kind::Id, "the attacker"),
            maybe("identity_id", Kind::Id, "its identity, where already formed"),
            always("address", Kind::Address, "the source address"),
            always("decky_id", Kind::Id, "the decky that it touched"),
            always("service", SERVICE, "by which protocol"),
            always("first_seen", Kind::Moment, "when"),
        ],
    },
    EventType {
        name: "org.morgana.attacker.scored",
        producer: Morgana,
        meaning: "An attacker's score crossed into another level.",
        origin: Origin { kind: "attacker.scored", with: &[] },
        about: ("attacker", "attacker_id"),
        fields: &[
            always("attacker_id", Kind::Id, "the attacker"),
            always("score", Kind::Count(100), "its score now"),
            always("previous", Kind::Count(100), "its score before"),
            always("level", Kind::OneOf(&["low", "medium", "high", "critical"]), "the level now"),
            always("reasons", Kind::Texts(64), "what adds up to it"),
        ],
    },
    EventType {
        name: "org.morgana.credential.captured",
        producer: Morgana,
        meaning: "A visitor tried a credential. The secret stays inside.",
        origin: Origin { kind: "credential.captured", with: &[] },
        about: ("credential", "credential_id"),
        fields: &[
            always("credential_id", Kind::Id, "the same for the same user name and secret"),
            always("attacker_id", Kind::Id, "who tried it"),
            always("session_id", Kind::Id, "in which session"),
            always("decky_id", Kind::Id, "on which decky"),
            always("kind", NAME, "how, such as `password`"),
            always("principal", TEXT, "the user name, escaped"),
        ],
    },
    EventType {
        name: "org.morgana.identity.formed",
        producer: Morgana,
        meaning: "An identity came to be: one actor behind attackers.",
        origin: Origin { kind: "identity.formed", with: &[] },
        about: ("identity", "identity_id"),
        fields: &[
            always("identity_id", Kind::Id, "the identity"),
            always("attacker_ids", Kind::Ids(10_000), "who is behind it so far"),
        ],
    },
    EventType {
        name: "org.morgana.identity.linked",
        producer: Morgana,
        meaning: "An attacker was linked to an identity.",
        origin: Origin { kind: "identity.observation.linked", with: &[] },
        about: ("identity", "identity_id"),
        fields: &[
            always("identity_id", Kind::Id, "the identity"),
            always("attacker_id", Kind::Id, "the attacker"),
            always("reasons", Kind::Texts(64), "on what evidence"),
        ],
    },
    mutation(
        "org.morgana.mutation.applied",
        "A queued change is in the network.",
        "topology.mutation.applied",
    ),
    mutation(
        "org.morgana.mutation.failed",
        "A queued change could not be made; the network is as it was before.",
        "topology.mutation.failed",
    ),
    EventType {
        name: "org.morgana.session.started",
        producer: Morgana,
        meaning: "A visitor connected.",
        origin: Origin { kind: "attacker.session.started", with: &[] },
        about: ("session", "session_id"),
        fields: &[
            always("session_id", Kind::Id, "the session"),
            always("attacker_id", Kind::Id, "whose"),
            always("decky_id", Kind::Id, "with which decky"),
            always("topology_id", Kind::Id, "in which maze"),
            always("service", SERVICE, "by which protocol"),
            always("peer", NAME, "the visitor's address and port"),
            always("started_at", Kind::Moment, "when"),
        ],
    },
    EventType {
        name: "org.morgana.session.ended",
        producer: Morgana,
        meaning: "A visitor's session is over.",
        origin: Origin { kind: "attacker.session.ended", with: &[] },
        about: ("session", "session_id"),
        fields: &[
            always("session_id", Kind::Id, "the session"),
            always("attacker_id", Kind::Id, "whose"),
            always("decky_id", Kind::Id, "with which decky"),
            always("topology_id", Kind::Id, "in which maze"),
            always("service", SERVICE, "by which protocol"),
            always("started_at", Kind::Moment, "when it began"),
            always("ended_at", Kind::Moment, "when it ended"),
            always("bytes_in", COUNT, "bytes received from the visitor"),
            always("bytes_out", COUNT, "bytes sent to the visitor"),
            always("logins", COUNT, "logins tried"),
            always("commands", COUNT, "commands given"),
            always("requests", COUNT, "requests made"),
            maybe("truncated", NAME, "which limit cut it short, or why its record is incomplete"),
        ],
    },
    status(
        "org.morgana.topology.deployed",
        "A maze is in the network, whole.",
        &[("status", "active"), ("from", "deploying")],
    ),
    status(
        "org.morgana.topology.degraded",
        "The network is not what it should be; it is repaired by itself.",
        &[("status", "degraded")],
    ),
    status(
        "org.morgana.topology.recovered",
        "A degraded maze is whole again.",
        &[("status", "active"), ("from", "degraded")],
    ),
    status("org.morgana.topology.failed", "A maze could not be deployed.", &[("status", "failed")]),
    status("org.morgana.topology.removed", "A maze was taken down.", &[("status", "torn_down")]),
];
