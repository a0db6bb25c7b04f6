//! Workstreams: pieces of work with an end. What is derived from their tasks and progress is
//! counted when they are read.

use model::{
    EventContext, GoalId, Payload, RepoId, TopicId, WorkstreamId,
    hub::{
        DomainGoal, Prose, Repo, Slug, Stamps, Title, Topic, Workstream, WorkstreamCompleted,
        WorkstreamState, WorkstreamTally,
    },
};
use rusqlite::Connection;

use super::{
    HubError, Made, Named, RequestKey, Table,
    table::{self, Condition, Outcome},
};
use crate::{
    Store,
    rows::{self, Binder, Columns},
    writer::{Fault, Tx},
};

/// A workstream to keep.
#[derive(Clone, Debug)]
pub struct NewWorkstream {
    /// Its short name, free among workstreams.
    pub slug: Slug,
    /// Its topic.
    pub topic_id: TopicId,
    /// The repository that it works on.
    pub repo_id: Option<RepoId>,
    /// The goal that it serves.
    pub repo_goal_id: Option<GoalId>,
    /// It in a few words.
    pub title: Title,
    /// It in more words.
    pub description: Prose,
    /// The state that it begins in.
    pub state: WorkstreamState,
}

/// What to change about a workstream; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct WorkstreamChange {
    /// The version that it must have.
    pub version: Option<u64>,
    /// Its short name.
    pub slug: Option<Slug>,
    /// Its topic.
    pub topic_id: Option<TopicId>,
    /// The repository that it works on; `Some(None)` means none.
    pub repo_id: Option<Option<RepoId>>,
    /// The goal that it serves; `Some(None)` means none.
    pub repo_goal_id: Option<Option<GoalId>>,
    /// It in a few words.
    pub title: Option<Title>,
    /// It in more words.
    pub description: Option<Prose>,
    /// The state to move to.
    pub state: Option<WorkstreamState>,
}

/// Which workstreams.
#[derive(Clone, Copy, Debug, Default)]
pub struct WorkstreamFilter {
    /// Those of this topic.
    pub topic_id: Option<TopicId>,
    /// Those that work on this repository.
    pub repo_id: Option<RepoId>,
    /// Those that serve this goal.
    pub repo_goal_id: Option<GoalId>,
    /// Those in this state.
    pub state: Option<WorkstreamState>,
}

impl WorkstreamFilter {
    pub(super) fn conditions(self) -> Vec<Condition> {
        table::conditions([
            table::equal("r.topic_id = ?", self.topic_id),
            table::equal("r.repo_id = ?", self.repo_id),
            table::equal("r.repo_goal_id = ?", self.repo_goal_id),
            table::equal("r.state = ?", self.state),
        ])
    }
}

impl Store {
    /// Keeps a new workstream.
    ///
    /// # Errors
    /// Where its slug is taken, something that it refers to is not there, it cannot begin in that
    /// state, or the database fails.
    pub async fn create_workstream(
        &self,
        new: NewWorkstream,
        request: Option<RequestKey>,
    ) -> Result<Made<Workstream>, HubError> {
        self.make("create a workstream", request, move |tx| create(tx, new)).await
    }

    /// Changes a workstream. Its move to `finished` is published.
    ///
    /// # Errors
    /// Where it is not there or of another version, the slug is taken, something that it refers
    /// to is not there, the move is refused, or the database fails.
    pub async fn change_workstream(
        &self,
        id: WorkstreamId,
        change: WorkstreamChange,
        context: EventContext,
    ) -> Result<Workstream, HubError> {
        self.write("change a workstream", move |tx| alter(tx, id, change, &context)).await
    }
}

fn create(tx: &mut Tx<'_>, new: NewWorkstream) -> Outcome<Workstream> {
    table::free::<Workstream>(tx, &new.slug, None)?;
    if !new.state.may_begin() {
        let why = model::hub::Refusal::NotStarted;
        return Err(table::refused::<Workstream>("new", new.state.as_str(), why));
    }
    let topic = table::referred::<Topic>(tx, "topic", new.topic_id)?;
    check_references(tx, new.repo_id, new.repo_goal_id)?;
    let stamps = table::fresh(tx);
    let tally = WorkstreamTally { tasks_open: 0, tasks: 0, last_activity_at: stamps.created_at };
    let workstream = Workstream {
        id: tx.ambient().id(),
        slug: new.slug,
        topic_id: topic.id,
        topic_slug: topic.slug,
        repo_id: new.repo_id,
        repo_goal_id: new.repo_goal_id,
        title: new.title,
        description: new.description,
        state: new.state,
        tally,
        stamps,
    };
    table::put(tx, &workstream)?;
    Ok(workstream)
}

fn check_references(tx: &Tx<'_>, repo: Option<RepoId>, goal: Option<GoalId>) -> Outcome<()> {
    if let Some(id) = repo {
        table::referred::<Repo>(tx, "repo", id)?;
    }
    if let Some(id) = goal {
        table::referred::<DomainGoal>(tx, "repo_goal", id)?;
    }
    Ok(())
}

fn alter(
    tx: &mut Tx<'_>,
    id: WorkstreamId,
    change: WorkstreamChange,
    context: &EventContext,
) -> Outcome<Workstream> {
    let before = table::expect::<Workstream>(tx, id, change.version)?;
    let mut after = before.clone();
    if let Some(slug) = change.slug {
        table::free::<Workstream>(tx, &slug, Some(id))?;
        after.slug = slug;
    }
    if let Some(topic_id) = change.topic_id {
        let topic = table::referred::<Topic>(tx, "topic", topic_id)?;
        (after.topic_id, after.topic_slug) = (topic.id, topic.slug);
    }
    check_references(tx, change.repo_id.flatten(), change.repo_goal_id.flatten())?;
    table::set(&mut after.repo_id, change.repo_id);
    table::set(&mut after.repo_goal_id, change.repo_goal_id);
    table::set(&mut after.title, change.title);
    table::set(&mut after.description, change.description);
    table::set(&mut after.state, change.state);
    if after.state != before.state {
        let words = (before.state.as_str(), after.state.as_str());
        let checked = before.state.check(after.state);
        checked.map_err(|why| table::refused::<Workstream>(words.0, words.1, why))?;
    }
    let after = table::keep(tx, &before, after)?;
    if after.state == WorkstreamState::Finished && before.state != after.state {
        tx.say_within(Payload::WorkstreamCompleted(completed(&after)), context);
    }
    Ok(after)
}

/// What tasks, notes and decisions have to know of their workstream. Nothing is counted for it, so
/// that they cost the same however many there are.
pub(super) struct Outline {
    pub(super) id: WorkstreamId,
    pub(super) slug: Slug,
    pub(super) state: WorkstreamState,
}

pub(super) fn outline(
    connection: &Connection,
    id: WorkstreamId,
) -> rusqlite::Result<Option<Outline>> {
    let sql = "SELECT slug, state FROM workstreams WHERE id = ?";
    rows::select_one(connection, sql, [id.to_string()], |row| {
        let mut columns = Columns::of(row);
        Ok(Outline { id, slug: columns.text()?, state: columns.text()? })
    })
}

/// The workstream that the field `workstream` refers to.
pub(super) fn referred(tx: &Tx<'_>, id: WorkstreamId) -> Outcome<Outline> {
    let noun = Workstream::NOUN;
    let missing = || HubError::NoSuch { field: "workstream", noun, id: id.to_string() };
    outline(tx.connection, id)?.ok_or_else(|| Fault::Refused(missing()))
}

fn completed(workstream: &Workstream) -> WorkstreamCompleted {
    WorkstreamCompleted {
        workstream_id: workstream.id,
        slug: workstream.slug.clone(),
        title: workstream.title.clone(),
        topic_id: workstream.topic_id,
        repo_id: workstream.repo_id,
        repo_goal_id: workstream.repo_goal_id,
    }
}

impl Table for Workstream {
    type Id = WorkstreamId;
    const NOUN: &'static str = "workstream";
    const SELECT: &'static str = "SELECT r.id, r.slug, r.topic_id, t.slug, r.repo_id,
        r.repo_goal_id, r.title, r.description, r.state, r.version, r.created_at, r.updated_at,
        (SELECT COUNT(*) FROM tasks k
            WHERE k.workstream_id = r.id AND k.state IN ('wait', 'todo', 'progress')),
        (SELECT COUNT(*) FROM tasks k WHERE k.workstream_id = r.id),
        (SELECT MAX(k.updated_at) FROM tasks k WHERE k.workstream_id = r.id),
        (SELECT MAX(p.at) FROM progress p WHERE p.workstream_id = r.id)
        FROM workstreams r JOIN topics t ON t.id = r.topic_id";
    const INTO: &'static str = "workstreams (id, slug, topic_id, repo_id, repo_goal_id, title, description, state, version, created_at, updated_at)";
    const REFERRERS: &'static [(&'static str, &'static str, &'static str)] =
        &[("tasks", "workstream_id", "tasks"), ("decisions", "workstream_id", "decisions")];

    fn read(columns: &mut Columns<'_>) -> rusqlite::Result<Self> {
        let mut workstream = Self {
            id: columns.text()?,
            slug: columns.text()?,
            topic_id: columns.text()?,
            topic_slug: columns.text()?,
            repo_id: columns.maybe(Columns::text)?,
            repo_goal_id: columns.maybe(Columns::text)?,
            title: columns.text()?,
            description: columns.text()?,
            state: columns.text()?,
            stamps: table::read_stamps(columns)?,
            tally: WorkstreamTally {
                tasks_open: columns.number()?,
                tasks: columns.number()?,
                last_activity_at: columns.maybe(Columns::moment)?.unwrap_or_default(),
            },
        };
        let noted = columns.maybe(Columns::moment)?.unwrap_or_default();
        let last = &mut workstream.tally.last_activity_at;
        *last = (*last).max(noted).max(workstream.stamps.updated_at);
        Ok(workstream)
    }

    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        row.put(self.id.to_string())?
            .put(self.slug.as_str())?
            .put(self.topic_id.to_string())?
            .put(self.repo_id.map(|id| id.to_string()))?
            .put(self.repo_goal_id.map(|id| id.to_string()))?
            .put(self.title.as_str())?
            .put(self.description.as_str())?
            .put(self.state.as_str())?;
        table::bind_stamps(row, &self.stamps)
    }

    fn id(&self) -> WorkstreamId {
        self.id
    }

    fn stamps(&mut self) -> Option<&mut Stamps> {
        Some(&mut self.stamps)
    }
}

impl Named for Workstream {}

#[cfg(test)]
mod tests {
    use model::Ambient;

    use super::*;

    fn database() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        assert!(crate::schema::migrate(&mut connection).is_ok());
        connection
    }

    #[test]
    fn what_is_derived_is_read_from_indices_alone() {
        let connection = database();
        let sql = format!("EXPLAIN QUERY PLAN {} WHERE r.id = ?", Workstream::SELECT);
        let plan = rows::select(&connection, &sql, ["x"], |row| row.get::<_, String>(3)).unwrap();
        let derived: Vec<_> =
            plan.iter().filter(|step| step.contains(" k ") || step.contains(" p ")).collect();
        assert_eq!(derived.len(), 4, "{plan:#?}");
        assert!(derived.iter().all(|step| step.contains("USING COVERING INDEX")), "{plan:#?}");
    }

    #[test]
    fn an_outline_counts_nothing() {
        let connection = database();
        connection.execute_batch("DROP TABLE progress; DROP TABLE tasks").unwrap();
        let id = Ambient::system().id();
        assert!(outline(&connection, id).unwrap().is_none());
        assert!(table::load::<Workstream>(&connection, id).is_err(), "that counts");
    }
}
