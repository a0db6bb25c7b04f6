//! The tables, and how an older database becomes one of today.
//!
//! Portable SQL on purpose: ids, words and hashes are TEXT, moments and counters BIGINT, lists
//! JSON in TEXT. Migrations are only ever added.

use rusqlite::Connection;

/// The n-th entry makes schema n+1 out of schema n.
const MIGRATIONS: &[&str] = &[
    "
CREATE TABLE installation (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch TEXT NOT NULL,
    secret TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    opening TEXT NOT NULL,
    file TEXT NOT NULL
);
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    topic TEXT NOT NULL,
    kind TEXT NOT NULL,
    v INTEGER NOT NULL,
    ts BIGINT NOT NULL,
    payload TEXT NOT NULL
);

CREATE TABLE topologies (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    status TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    status_changed_at BIGINT NOT NULL,
    reason TEXT
);
CREATE UNIQUE INDEX topologies_name ON topologies (name) WHERE status <> 'torn_down';
CREATE TABLE lans (
    id TEXT PRIMARY KEY,
    topology_id TEXT NOT NULL REFERENCES topologies (id),
    name TEXT NOT NULL,
    subnet TEXT NOT NULL,
    is_dmz INTEGER NOT NULL,
    position TEXT,
    UNIQUE (topology_id, name)
);
CREATE TABLE deckies (
    id TEXT PRIMARY KEY,
    topology_id TEXT NOT NULL REFERENCES topologies (id),
    name TEXT NOT NULL,
    archetype TEXT NOT NULL,
    edges TEXT NOT NULL,
    services TEXT NOT NULL,
    rotate_every BIGINT,
    rotated_at BIGINT NOT NULL,
    position TEXT,
    state TEXT NOT NULL,
    reason TEXT,
    UNIQUE (topology_id, name)
);

CREATE TABLE mutations (
    id TEXT PRIMARY KEY,
    topology_id TEXT NOT NULL REFERENCES topologies (id),
    op TEXT NOT NULL,
    state TEXT NOT NULL,
    version BIGINT NOT NULL,
    expected_version BIGINT,
    position BIGINT NOT NULL UNIQUE,
    requested_by TEXT NOT NULL,
    \"trigger\" TEXT NOT NULL,
    requested_at BIGINT NOT NULL,
    ended_at BIGINT,
    reason TEXT,
    attempt BIGINT NOT NULL,
    worker TEXT,
    claimed_at BIGINT,
    lease_until BIGINT,
    inverse TEXT NOT NULL,
    idempotency_key TEXT,
    dedupe_event TEXT
);
CREATE UNIQUE INDEX mutations_key ON mutations (topology_id, requested_by, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX mutations_event ON mutations (dedupe_event) WHERE dedupe_event IS NOT NULL;
CREATE INDEX mutations_open ON mutations (position) WHERE state IN ('pending', 'applying');
CREATE INDEX mutations_in_flight ON mutations (topology_id, position)
    WHERE state IN ('pending', 'applying');
CREATE INDEX mutations_pending ON mutations (topology_id) WHERE state = 'pending';
-- Unique: at most one mutation of a topology runs at a time.
CREATE UNIQUE INDEX mutations_applying ON mutations (topology_id) WHERE state = 'applying';
CREATE INDEX mutations_list ON mutations (topology_id, id);

CREATE TABLE attackers (
    id TEXT PRIMARY KEY,
    address TEXT NOT NULL UNIQUE,
    identity_id TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    score INTEGER NOT NULL,
    reasons TEXT NOT NULL,
    sessions BIGINT NOT NULL,
    logins BIGINT NOT NULL,
    logins_accepted BIGINT NOT NULL,
    commands BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    uploads BIGINT NOT NULL,
    downloads BIGINT NOT NULL,
    deckies TEXT NOT NULL,
    lans TEXT NOT NULL,
    services TEXT NOT NULL,
    fingerprints TEXT NOT NULL
);
CREATE TABLE identities (
    id TEXT PRIMARY KEY,
    formed_at BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    attacker_ids TEXT NOT NULL,
    score INTEGER NOT NULL
);
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    attacker_id TEXT NOT NULL,
    decky_id TEXT NOT NULL,
    topology_id TEXT NOT NULL,
    lan_id TEXT NOT NULL,
    service TEXT NOT NULL,
    peer TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    bytes_in BIGINT NOT NULL,
    bytes_out BIGINT NOT NULL,
    logins BIGINT NOT NULL,
    commands BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    uploads BIGINT NOT NULL,
    truncated TEXT,
    next_index BIGINT NOT NULL
);
CREATE INDEX sessions_attacker ON sessions (attacker_id, id);
CREATE INDEX sessions_decky ON sessions (decky_id, id);
CREATE INDEX sessions_live ON sessions (id) WHERE ended_at IS NULL;
CREATE TABLE activity (
    session_id TEXT NOT NULL,
    place BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (session_id, place)
);
CREATE TABLE credentials (
    id TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    principal TEXT NOT NULL,
    secret TEXT NOT NULL,
    kind TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    tries BIGINT NOT NULL
);

CREATE TABLE setup (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    hash TEXT,
    expires_at BIGINT,
    closed_at BIGINT
);
CREATE TABLE users (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    disabled INTEGER NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE TABLE web_sessions (
    hash TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    idle_until BIGINT NOT NULL,
    absolute_until BIGINT NOT NULL
);
CREATE INDEX web_sessions_user ON web_sessions (user_id);
CREATE INDEX web_sessions_idle ON web_sessions (idle_until);
CREATE TABLE api_tokens (
    id TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    UNIQUE (user_id, name)
);
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    address TEXT,
    outcome TEXT NOT NULL,
    detail TEXT,
    hash TEXT NOT NULL
);
",
    "
CREATE TABLE sink_cursors (
    sink TEXT PRIMARY KEY,
    position BIGINT NOT NULL,
    saved_at BIGINT NOT NULL
);
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sink TEXT NOT NULL,
    seq BIGINT NOT NULL,
    entry TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    reason TEXT NOT NULL,
    buried_at BIGINT NOT NULL,
    retrying INTEGER NOT NULL,
    -- An entry that is delivered again after a crash is buried once.
    UNIQUE (sink, seq)
);
CREATE INDEX dead_letters_retrying ON dead_letters (sink, id) WHERE retrying = 1;
CREATE TABLE stream_positions (
    stream TEXT PRIMARY KEY,
    incarnation TEXT NOT NULL,
    position BIGINT NOT NULL
);
",
    "
ALTER TABLE journal ADD COLUMN context TEXT;
",
    "
CREATE TABLE domains (
    id TEXT PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE TABLE domain_goals (
    id TEXT PRIMARY KEY,
    domain_id TEXT NOT NULL REFERENCES domains (id),
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    state TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX domain_goals_domain ON domain_goals (domain_id, id);
-- Unique: a domain aims at one thing at a time.
CREATE UNIQUE INDEX domain_goals_active ON domain_goals (domain_id) WHERE state = 'active';
CREATE TABLE repos (
    id TEXT PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    domain_id TEXT NOT NULL REFERENCES domains (id),
    description TEXT NOT NULL,
    remote_url TEXT,
    local_path TEXT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX repos_domain ON repos (domain_id, id);
CREATE TABLE topics (
    id TEXT PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    domain_id TEXT NOT NULL REFERENCES domains (id),
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX topics_domain ON topics (domain_id, id);
CREATE TABLE workstreams (
    id TEXT PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    topic_id TEXT NOT NULL REFERENCES topics (id),
    repo_id TEXT REFERENCES repos (id),
    repo_goal_id TEXT REFERENCES domain_goals (id),
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    state TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX workstreams_topic ON workstreams (topic_id, id);
CREATE INDEX workstreams_repo ON workstreams (repo_id, id);
CREATE INDEX workstreams_goal ON workstreams (repo_goal_id, id);
CREATE INDEX workstreams_state ON workstreams (state, id);
CREATE TABLE decisions (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    workstream_id TEXT REFERENCES workstreams (id),
    topic_id TEXT REFERENCES topics (id),
    rationale TEXT,
    decided_by TEXT,
    decided_at BIGINT,
    superseded_by TEXT REFERENCES decisions (id),
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX decisions_workstream ON decisions (workstream_id, id);
CREATE INDEX decisions_topic ON decisions (topic_id, id);
CREATE INDEX decisions_superseded ON decisions (superseded_by);
CREATE TABLE tasks (
    id TEXT PRIMARY KEY,
    workstream_id TEXT NOT NULL REFERENCES workstreams (id),
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    state TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX tasks_workstream ON tasks (workstream_id, id);
CREATE INDEX tasks_open ON tasks (workstream_id) WHERE state IN ('wait', 'todo', 'progress');
CREATE TABLE progress (
    id TEXT PRIMARY KEY,
    workstream_id TEXT NOT NULL REFERENCES workstreams (id) ON DELETE CASCADE,
    task_id TEXT REFERENCES tasks (id) ON DELETE CASCADE,
    text TEXT NOT NULL,
    author TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX progress_workstream ON progress (workstream_id, id);
CREATE INDEX progress_task ON progress (task_id, id);
",
    "
ALTER TABLE topologies ADD COLUMN rotate_every BIGINT;
ALTER TABLE deckies ADD COLUMN forwards_l3 INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deckies ADD COLUMN is_stopped INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mutations ADD COLUMN undone_by TEXT;
CREATE INDEX mutations_applied ON mutations (topology_id, version) WHERE state = 'applied';
",
    "
-- What is derived for a workstream, and lists by state, from indices alone.
DROP INDEX tasks_open;
CREATE INDEX tasks_state ON tasks (state, id);
CREATE INDEX tasks_workstream_state ON tasks (workstream_id, state, id);
CREATE INDEX tasks_workstream_touched ON tasks (workstream_id, updated_at);
CREATE INDEX progress_workstream_at ON progress (workstream_id, at);
CREATE INDEX decisions_status ON decisions (status, id);
CREATE INDEX decisions_kind ON decisions (kind, id);
",
    "
CREATE TABLE hub_requests (
    requested_by TEXT NOT NULL,
    key TEXT NOT NULL,
    digest TEXT NOT NULL,
    made TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (requested_by, key)
);
CREATE INDEX hub_requests_at ON hub_requests (at);
",
];

/// Why a database was not brought up to date.
pub(crate) enum MigrateError {
    /// A newer program has changed it.
    TooNew { found: i64, known: i64 },
    /// A statement failed.
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for MigrateError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// Brings the schema up to date, each step in a transaction of its own.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), MigrateError> {
    connection
        .execute_batch("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY)")?;
    let found: i64 = connection.query_row(
        "SELECT COALESCE(MAX(version), 0) FROM schema_version",
        [],
        |row| row.get(0),
    )?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(MigrateError::TooNew { found, known });
    }
    for (sql, version) in MIGRATIONS.iter().zip(1..).filter(|(_, version)| *version > found) {
        let step = connection.transaction()?;
        step.execute_batch(sql)?;
        step.execute("INSERT INTO schema_version (version) VALUES (?)", [version])?;
        step.commit()?;
    }
    Ok(())
}
