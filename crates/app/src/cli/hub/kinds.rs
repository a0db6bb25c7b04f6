//! The kinds of things of the hub: where they are, and what of them is shown in a line.

use serde_json::Value;

use super::super::{render::cell, segment};

/// A kind of thing.
pub(super) struct Kind {
    /// What one is called.
    pub(super) noun: &'static str,
    /// The last part of its path.
    pub(super) collection: &'static str,
    /// The field with what a person calls one: its slug, or its title where it has none.
    pub(super) label: &'static str,
    /// The field with its id.
    pub(super) id: &'static str,
    /// The field with where it stands, where it has one.
    pub(super) state: Option<&'static str>,
    /// Head and field of each column of a list.
    pub(super) columns: &'static [(&'static str, &'static str)],
}

impl Kind {
    /// Where all are.
    pub(super) fn path(&self) -> String {
        format!("/api/v1/{}", self.collection)
    }

    /// Where one is.
    pub(super) fn path_of(&self, which: &str) -> String {
        format!("{}/{}", self.path(), segment(which))
    }

    /// One in a line: `workstream ssh (0192…) is active, version 2`.
    pub(super) fn line(&self, thing: &Value) -> String {
        let state = self.state.map(|field| format!(" is {},", cell(thing, field)));
        format!(
            "{} {} ({}){} version {}",
            self.noun,
            cell(thing, self.label),
            cell(thing, self.id),
            state.unwrap_or_else(|| " has".into()),
            cell(thing, "version")
        )
    }
}

pub(super) const DOMAIN: Kind = Kind {
    noun: "domain",
    collection: "domains",
    label: "slug",
    id: "domain_id",
    state: None,
    columns: &[("SLUG", "slug"), ("TITLE", "title"), ("ID", "domain_id")],
};

pub(super) const GOAL: Kind = Kind {
    noun: "goal",
    collection: "domain-goals",
    label: "title",
    id: "goal_id",
    state: Some("state"),
    columns: &[
        ("DOMAIN", "domain_slug"),
        ("STATE", "state"),
        ("TITLE", "title"),
        ("ID", "goal_id"),
    ],
};

pub(super) const REPO: Kind = Kind {
    noun: "repo",
    collection: "repos",
    label: "slug",
    id: "repo_id",
    state: None,
    columns: &[
        ("SLUG", "slug"),
        ("DOMAIN", "domain_slug"),
        ("REMOTE", "remote_url"),
        ("PATH", "local_path"),
        ("ID", "repo_id"),
    ],
};

pub(super) const TOPIC: Kind = Kind {
    noun: "topic",
    collection: "topics",
    label: "slug",
    id: "topic_id",
    state: None,
    columns: &[("SLUG", "slug"), ("DOMAIN", "domain_slug"), ("TITLE", "title"), ("ID", "topic_id")],
};

pub(super) const WORKSTREAM: Kind = Kind {
    noun: "workstream",
    collection: "workstreams",
    label: "slug",
    id: "workstream_id",
    state: Some("state"),
    columns: &[
        ("SLUG", "slug"),
        ("STATE", "state"),
        ("SIGN", "sign"),
        ("OPEN", "tasks_open"),
        ("TASKS", "tasks"),
        ("TOPIC", "topic_slug"),
        ("TITLE", "title"),
    ],
};

pub(super) const DECISION: Kind = Kind {
    noun: "decision",
    collection: "decisions",
    label: "title",
    id: "decision_id",
    state: Some("status"),
    columns: &[
        ("STATUS", "status"),
        ("TITLE", "title"),
        ("DECIDED BY", "decided_by"),
        ("ID", "decision_id"),
    ],
};

pub(super) const TASK: Kind = Kind {
    noun: "task",
    collection: "tasks",
    label: "title",
    id: "task_id",
    state: Some("state"),
    columns: &[
        ("STATE", "state"),
        ("WORKSTREAM", "workstream_slug"),
        ("TITLE", "title"),
        ("ID", "task_id"),
    ],
};
