//! What the state hub sends, `org.statehub.>`: as it stands in the journal.

use super::{EventType, Kind, Origin, Producer::StateHub, always, maybe};

/// Longest title, in bytes: 200 characters.
const TITLE: Kind = Kind::Text(800);
/// Longest text, in bytes.
const TEXT: Kind = Kind::Text(16 << 10);
/// Longest name of a user, path or URL, in bytes.
const NAME: Kind = Kind::Text(2048);
/// Most tasks that a summary names.
const TASKS: u32 = 1000;

pub(super) const TYPES: &[EventType] = &[
    EventType {
        name: "org.statehub.repo.registered",
        producer: StateHub,
        meaning: "A repository was registered with the hub.",
        origin: Origin { kind: "statehub.repo.registered", with: &[] },
        about: ("repo", "repo_id"),
        fields: &[
            always("repo_id", Kind::Id, "the repository"),
            always("repo_slug", Kind::Slug, "its name"),
            always("domain_slug", Kind::Slug, "the domain that it belongs to"),
            maybe("remote_url", NAME, "where it is fetched from"),
            maybe("local_path", NAME, "where it lies on the hub's machine"),
        ],
    },
    EventType {
        name: "org.statehub.workstream.completed",
        producer: StateHub,
        meaning: "A workstream became `finished`; on that transition only.",
        origin: Origin { kind: "statehub.workstream.completed", with: &[] },
        about: ("workstream", "workstream_id"),
        fields: &[
            always("workstream_id", Kind::Id, "the workstream"),
            always("slug", Kind::Slug, "its name"),
            always("title", TITLE, "its title"),
            always("topic_id", Kind::Id, "the topic that it belongs to"),
            maybe("repo_id", Kind::Id, "the repository that it works on"),
            maybe("repo_goal_id", Kind::Id, "the goal that it serves"),
        ],
    },
    EventType {
        name: "org.statehub.decision.resolved",
        producer: StateHub,
        meaning: "A decision was made.",
        origin: Origin { kind: "statehub.decision.resolved", with: &[] },
        about: ("decision", "decision_id"),
        fields: &[
            always("decision_id", Kind::Id, "the decision"),
            always("title", TITLE, "what was to decide"),
            always("rationale", TEXT, "why it was decided so"),
            always("decided_by", NAME, "who decided"),
            maybe("workstream_id", Kind::Id, "the workstream that it was about"),
            maybe("topic_id", Kind::Id, "the topic that it was about"),
        ],
    },
    EventType {
        name: "org.statehub.domain.goal.activated",
        producer: StateHub,
        meaning: "A goal became the active one of its domain.",
        origin: Origin { kind: "statehub.domain.goal.activated", with: &[] },
        about: ("domain-goal", "goal_id"),
        fields: &[
            always("goal_id", Kind::Id, "the goal"),
            always("domain_id", Kind::Id, "its domain"),
            always("domain_slug", Kind::Slug, "the domain's name"),
            always("title", TITLE, "its title"),
            maybe("previous_goal_id", Kind::Id, "the goal that was active before"),
        ],
    },
    EventType {
        name: "org.statehub.task.stale",
        producer: StateHub,
        meaning: "The sweep cancelled an open task of a finished or archived workstream.",
        origin: Origin { kind: "statehub.task.stale", with: &[] },
        about: ("task", "task_id"),
        fields: &[
            always("task_id", Kind::Id, "the task"),
            always("title", TITLE, "its title"),
            always("workstream_id", Kind::Id, "its workstream"),
            always("workstream_slug", Kind::Slug, "the workstream's name"),
            always(
                "previous_state",
                Kind::OneOf(&["wait", "todo", "progress"]),
                "its state before",
            ),
        ],
    },
    EventType {
        name: "org.statehub.task.sweep.completed",
        producer: StateHub,
        meaning: "A sweep for stale tasks is over; also where it found none.",
        origin: Origin { kind: "statehub.task.sweep.completed", with: &[] },
        about: ("sweep", "swept_at"),
        fields: &[
            always("cancelled", Kind::Count(u64::MAX), "how many tasks it cancelled"),
            always("task_ids", Kind::Ids(TASKS), "which; the first thousand"),
            always("truncated", Kind::Flag, "whether there were more than are named"),
            always("swept_at", Kind::Moment, "when it ended"),
        ],
    },
];
