//! Tasks: steps of a workstream. In one that is over, none is opened or taken up.

use model::{
    TaskId, WorkstreamId,
    hub::{Prose, Stamps, Task, TaskState, Title},
};

use super::{
    HubError, Made, RequestKey, Table,
    table::{self, Condition, Outcome},
    workstreams::{self, Outline},
};
use crate::{
    Store,
    rows::{Binder, Columns},
    writer::{Fault, Tx},
};

/// A task to keep.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// Its workstream.
    pub workstream_id: WorkstreamId,
    /// It in a few words.
    pub title: Title,
    /// It in more words.
    pub description: Prose,
    /// The state that it begins in; an open one.
    pub state: TaskState,
}

/// What to change about a task; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct TaskChange {
    /// The version that it must have.
    pub version: Option<u64>,
    /// It in a few words.
    pub title: Option<Title>,
    /// It in more words.
    pub description: Option<Prose>,
    /// The state to move to.
    pub state: Option<TaskState>,
}

/// Which tasks.
#[derive(Clone, Copy, Debug, Default)]
pub struct TaskFilter {
    /// Those of this workstream.
    pub workstream_id: Option<WorkstreamId>,
    /// Those in this state.
    pub state: Option<TaskState>,
    /// Whether to show those that are open in a workstream that is over, or the others.
    pub stale: Option<bool>,
}

/// What makes a task stale, of a task `r` in a workstream `w`.
pub(super) const STALE: &str =
    "(r.state IN ('wait', 'todo', 'progress') AND w.state IN ('finished', 'archived'))";
const NOT_STALE: &str =
    "NOT (r.state IN ('wait', 'todo', 'progress') AND w.state IN ('finished', 'archived'))";

impl TaskFilter {
    pub(super) fn conditions(self) -> Vec<Condition> {
        table::conditions([
            table::equal("r.workstream_id = ?", self.workstream_id),
            table::equal("r.state = ?", self.state),
            self.stale.map(|stale| (if stale { STALE } else { NOT_STALE }, None)),
        ])
    }
}

impl Store {
    /// Keeps a new task.
    ///
    /// # Errors
    /// Where its workstream is not there or is over, it cannot begin in that state, or the
    /// database fails.
    pub async fn create_task(
        &self,
        new: NewTask,
        request: Option<RequestKey>,
    ) -> Result<Made<Task>, HubError> {
        self.make("create a task", request, move |tx| create(tx, new)).await
    }

    /// Changes a task.
    ///
    /// # Errors
    /// Where it is not there or of another version, the move is refused, or the database fails.
    pub async fn change_task(&self, id: TaskId, change: TaskChange) -> Result<Task, HubError> {
        self.write("change a task", move |tx| alter(tx, id, change)).await
    }
}

fn create(tx: &mut Tx<'_>, new: NewTask) -> Outcome<Task> {
    let workstream = workstreams::referred(tx, new.workstream_id)?;
    if !new.state.is_open() {
        let why = model::hub::Refusal::NotStarted;
        return Err(table::refused::<Task>("new", new.state.as_str(), why));
    }
    refuse_closed(&workstream)?;
    let task = Task {
        id: tx.ambient().id(),
        workstream_id: workstream.id,
        workstream_slug: workstream.slug,
        title: new.title,
        description: new.description,
        state: new.state,
        stamps: table::fresh(tx),
    };
    table::put(tx, &task)?;
    Ok(task)
}

fn refuse_closed(workstream: &Outline) -> Outcome<()> {
    let state = workstream.state;
    if state.is_closed() {
        return Err(Fault::Refused(HubError::WorkstreamClosed { state }));
    }
    Ok(())
}

fn alter(tx: &mut Tx<'_>, id: TaskId, change: TaskChange) -> Outcome<Task> {
    let before = table::expect::<Task>(tx, id, change.version)?;
    let mut after = before.clone();
    table::set(&mut after.title, change.title);
    table::set(&mut after.description, change.description);
    table::set(&mut after.state, change.state);
    if after.state != before.state {
        let words = (before.state.as_str(), after.state.as_str());
        let checked = before.state.check(after.state);
        checked.map_err(|why| table::refused::<Task>(words.0, words.1, why))?;
        if after.state.is_open() {
            refuse_closed(&workstreams::referred(tx, before.workstream_id)?)?;
        }
    }
    Ok(table::keep(tx, &before, after)?)
}

impl Table for Task {
    type Id = TaskId;
    const NOUN: &'static str = "task";
    const SELECT: &'static str = "SELECT r.id, r.workstream_id, w.slug, r.title, r.description,
        r.state, r.version, r.created_at, r.updated_at
        FROM tasks r JOIN workstreams w ON w.id = r.workstream_id";
    const INTO: &'static str =
        "tasks (id, workstream_id, title, description, state, version, created_at, updated_at)";
    const REFERRERS: &'static [(&'static str, &'static str, &'static str)] = &[];

    fn read(columns: &mut Columns<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: columns.text()?,
            workstream_id: columns.text()?,
            workstream_slug: columns.text()?,
            title: columns.text()?,
            description: columns.text()?,
            state: columns.text()?,
            stamps: table::read_stamps(columns)?,
        })
    }

    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        row.put(self.id.to_string())?
            .put(self.workstream_id.to_string())?
            .put(self.title.as_str())?
            .put(self.description.as_str())?
            .put(self.state.as_str())?;
        table::bind_stamps(row, &self.stamps)
    }

    fn id(&self) -> TaskId {
        self.id
    }

    fn stamps(&mut self) -> Option<&mut Stamps> {
        Some(&mut self.stamps)
    }
}
