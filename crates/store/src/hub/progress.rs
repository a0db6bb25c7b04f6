//! The progress log of workstreams and tasks. Entries go with what they are about.

use model::{
    ProgressId, TaskId, WorkstreamId,
    hub::{ProgressEntry, Prose, Stamps, Task, Workstream},
};

use super::{
    HubError, Made, RequestKey, Table,
    table::{self, Condition, Outcome},
    workstreams,
};
use crate::{
    Page, Store, StoreError,
    rows::{Binder, Columns},
    writer::{Fault, Tx},
};

/// What to note.
#[derive(Clone, Debug)]
pub struct NewProgress {
    /// About what.
    pub about: ProgressFilter,
    /// What happened.
    pub text: Prose,
    /// Who says so.
    pub author: String,
}

/// What entries are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressFilter {
    /// A workstream, its tasks included.
    Workstream(WorkstreamId),
    /// One task.
    Task(TaskId),
}

impl ProgressFilter {
    pub(super) fn conditions(self) -> Vec<Condition> {
        table::conditions([match self {
            Self::Workstream(id) => table::equal("r.workstream_id = ?", Some(id)),
            Self::Task(id) => table::equal("r.task_id = ?", Some(id)),
        }])
    }
}

impl Store {
    /// Adds an entry to a progress log.
    ///
    /// # Errors
    /// Where what it is about is not there, or the database fails.
    pub async fn note_progress(
        &self,
        new: NewProgress,
        request: Option<RequestKey>,
    ) -> Result<Made<ProgressEntry>, HubError> {
        self.make("note progress", request, move |tx| note(tx, new)).await
    }

    /// A progress log, newest first, after the place of a cursor.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn progress(
        &self,
        about: ProgressFilter,
        after: Option<ProgressId>,
        limit: usize,
    ) -> Result<Page<ProgressEntry, ProgressId>, StoreError> {
        self.read("read a progress log", move |connection| {
            table::page(connection, about.conditions(), after, limit)
        })
        .await
    }
}

fn note(tx: &mut Tx<'_>, new: NewProgress) -> Outcome<ProgressEntry> {
    let (workstream_id, task_id) = match new.about {
        ProgressFilter::Workstream(id) => {
            let missing = || Fault::Refused(HubError::Unknown { noun: Workstream::NOUN });
            (workstreams::outline(tx.connection, id)?.ok_or_else(missing)?.id, None)
        }
        ProgressFilter::Task(id) => (table::expect::<Task>(tx, id, None)?.workstream_id, Some(id)),
    };
    let entry = ProgressEntry {
        id: tx.ambient().id(),
        workstream_id,
        task_id,
        text: new.text,
        author: new.author,
        at: tx.now(),
    };
    table::put(tx, &entry)?;
    Ok(entry)
}

impl Table for ProgressEntry {
    type Id = ProgressId;
    const NOUN: &'static str = "progress entry";
    const SELECT: &'static str =
        "SELECT r.id, r.workstream_id, r.task_id, r.text, r.author, r.at FROM progress r";
    const INTO: &'static str = "progress (id, workstream_id, task_id, text, author, at)";
    const REFERRERS: &'static [(&'static str, &'static str, &'static str)] = &[];

    fn read(columns: &mut Columns<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: columns.text()?,
            workstream_id: columns.text()?,
            task_id: columns.maybe(Columns::text)?,
            text: columns.text()?,
            author: columns.string()?,
            at: columns.moment()?,
        })
    }

    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        row.put(self.id.to_string())?
            .put(self.workstream_id.to_string())?
            .put(self.task_id.map(|id| id.to_string()))?
            .put(self.text.as_str())?
            .put(self.author.as_str())?
            .put(self.at.as_micros())?;
        Ok(())
    }

    fn id(&self) -> ProgressId {
        self.id
    }

    fn stamps(&mut self) -> Option<&mut Stamps> {
        None
    }
}
