//! The sweep: open tasks in workstreams that are over are cancelled.
//!
//! A hundred per transaction, so that others get their turn in between; each is published in
//! the transaction that cancels it, the summary and the audit record in the last one. A sweep that
//! is asked to end early sums up what it has done. Where the process dies in between, what was
//! cancelled is cancelled and said, without a summary. The next sweep does the rest.

use std::net::IpAddr;

use model::{
    EventContext, Payload, TaskId, Timestamp,
    hub::{MAX_SWEPT_IDS, Task, TaskStale, TaskState, TaskSweepCompleted},
};

use super::{
    HubError, Table, TaskFilter,
    table::{self, Outcome},
};
use crate::{
    AuditRecord, Store, StoreError, audit,
    rows::{self, Columns},
    writer::Tx,
};

/// Tasks that one transaction cancels at most: others wait for as long as that takes.
const SWEPT_AT_ONCE: usize = 100;

/// What a sweep did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Tasks cancelled.
    pub cancelled: u64,
    /// Which; the first [`MAX_SWEPT_IDS`] only.
    pub task_ids: Vec<TaskId>,
    /// When it ended.
    pub swept_at: Timestamp,
    /// Journal position of the event that sums it up.
    pub position: u64,
}

/// What a sweep would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepPreview {
    /// Tasks that are stale.
    pub stale: u64,
    /// Which; [`MAX_SWEPT_IDS`] at most.
    pub task_ids: Vec<TaskId>,
}

/// What the transactions of a sweep have done so far.
#[derive(Clone, Default)]
struct Swept {
    cancelled: u64,
    task_ids: Vec<TaskId>,
}

impl Store {
    /// Cancels all stale tasks and publishes each, and a summary even where there was none, so
    /// that whoever has it run by a schedule can see that it runs. Once `ends` says so, it sums up
    /// and leaves the rest. The audit log has it as of the actor of `context`, at `address`.
    ///
    /// # Errors
    /// Where the database fails; what was cancelled before stays so.
    pub async fn sweep_stale_tasks(
        &self,
        context: EventContext,
        address: Option<IpAddr>,
        ends: impl Fn() -> bool,
    ) -> Result<Sweep, HubError> {
        let mut swept = Swept::default();
        loop {
            let (so_far, context, ends) = (swept, context.clone(), ends());
            let step = move |tx: &mut Tx<'_>| {
                let (more, so_far) = sweep_some(tx, so_far, &context)?;
                if more && !ends {
                    return Ok(Step::More(so_far));
                }
                sum_up(tx, so_far, &context, address).map(Step::Done)
            };
            match self.write("sweep stale tasks", step).await? {
                Step::More(so_far) => swept = so_far,
                Step::Done(sweep) => return Ok(sweep),
            }
        }
    }

    /// What a sweep would cancel now.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn stale_tasks(&self) -> Result<SweepPreview, StoreError> {
        self.read("look for stale tasks", |connection| {
            let sql = format!(
                "SELECT COUNT(*) FROM tasks r JOIN workstreams w ON w.id = r.workstream_id
                WHERE {}",
                super::tasks::STALE
            );
            let stale = rows::select_one(connection, &sql, [], |row| Columns::of(row).number())?;
            let sql = format!(
                "{} WHERE {} ORDER BY r.id DESC LIMIT ?",
                Task::SELECT,
                super::tasks::STALE
            );
            let task_ids =
                rows::select(connection, &sql, [rows::int(MAX_SWEPT_IDS as u64)], |row| {
                    Columns::of(row).text()
                })?;
            Ok(SweepPreview { stale: stale.unwrap_or(0), task_ids })
        })
        .await
    }
}

enum Step {
    More(Swept),
    Done(Sweep),
}

/// Cancels some, and says whether there are more.
fn sweep_some(tx: &mut Tx<'_>, mut swept: Swept, context: &EventContext) -> Outcome<(bool, Swept)> {
    let filter = TaskFilter { stale: Some(true), ..TaskFilter::default() };
    let stale = table::page::<Task>(tx.connection, filter.conditions(), None, SWEPT_AT_ONCE)?;
    for task in &stale.items {
        cancel(tx, task, context)?;
        swept.cancelled += 1;
        if swept.task_ids.len() < MAX_SWEPT_IDS {
            swept.task_ids.push(task.id);
        }
    }
    Ok((stale.next.is_some(), swept))
}

fn sum_up(
    tx: &mut Tx<'_>,
    swept: Swept,
    context: &EventContext,
    address: Option<IpAddr>,
) -> Outcome<Sweep> {
    let swept_at = tx.now();
    let completed = TaskSweepCompleted {
        cancelled: swept.cancelled,
        task_ids: swept.task_ids.clone(),
        truncated: swept.cancelled > swept.task_ids.len() as u64,
        swept_at,
    };
    let position = tx.say_within(Payload::TaskSweepCompleted(completed), context);
    let Swept { cancelled, task_ids } = swept;
    let record = AuditRecord {
        actor: context.actor.clone().unwrap_or_default(),
        action: "task.sweep".into(),
        object: format!("tasks/{cancelled}"),
        address,
        outcome: "ok".into(),
        detail: None,
    };
    audit::add(tx, record)?;
    Ok(Sweep { cancelled, task_ids, swept_at, position })
}

fn cancel(tx: &mut Tx<'_>, task: &Task, context: &EventContext) -> Outcome<()> {
    let sql = "UPDATE tasks SET state = ?, version = version + 1, updated_at = ? WHERE id = ?";
    let (state, now) = (TaskState::Cancel.as_str(), tx.now().as_micros());
    rows::run(tx.connection, sql, (state, now, task.id.to_string()))?;
    let stale = TaskStale {
        task_id: task.id,
        title: task.title.clone(),
        workstream_id: task.workstream_id,
        workstream_slug: task.workstream_slug.clone(),
        previous_state: task.state,
    };
    tx.say_within(Payload::TaskStale(stale), context);
    Ok(())
}
