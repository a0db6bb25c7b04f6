//! Decisions: what is, or was, to be decided.

use model::{
    DecisionId, EventContext, Payload, Timestamp, TopicId, WorkstreamId,
    hub::{Decision, DecisionResolved, DecisionStatus, DecisionType, Prose, Stamps, Title, Topic},
};

use super::{
    HubError, Made, RequestKey, Table,
    table::{self, Condition, Outcome},
    workstreams,
};
use crate::{
    Store,
    rows::{Binder, Columns},
    writer::{Fault, Tx},
};

/// How and by whom something was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// How and why.
    pub rationale: Prose,
    /// By whom.
    pub decided_by: Title,
}

/// A decision to keep.
#[derive(Clone, Debug)]
pub struct NewDecision {
    /// What is to be decided.
    pub title: Title,
    /// The question in more words.
    pub description: Prose,
    /// The workstream that it belongs to.
    pub workstream_id: Option<WorkstreamId>,
    /// The topic that it belongs to.
    pub topic_id: Option<TopicId>,
    /// Set where it was made before it was written down: kept as resolved, and not published,
    /// since nothing of it happens now.
    pub made: Option<Resolution>,
}

/// What to change about the words and the place of a decision; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct DecisionChange {
    /// The version that it must have.
    pub version: Option<u64>,
    /// What is to be decided.
    pub title: Option<Title>,
    /// The question in more words.
    pub description: Option<Prose>,
    /// The workstream that it belongs to; `Some(None)` means none.
    pub workstream_id: Option<Option<WorkstreamId>>,
    /// The topic that it belongs to; `Some(None)` means none.
    pub topic_id: Option<Option<TopicId>>,
}

/// Which decisions.
#[derive(Clone, Copy, Debug, Default)]
pub struct DecisionFilter {
    /// Those of this workstream.
    pub workstream_id: Option<WorkstreamId>,
    /// Those of this topic.
    pub topic_id: Option<TopicId>,
    /// Those of this type.
    pub kind: Option<DecisionType>,
    /// Those of this status.
    pub status: Option<DecisionStatus>,
}

impl DecisionFilter {
    pub(super) fn conditions(self) -> Vec<Condition> {
        table::conditions([
            table::equal("r.workstream_id = ?", self.workstream_id),
            table::equal("r.topic_id = ?", self.topic_id),
            table::equal("r.kind = ?", self.kind),
            table::equal("r.status = ?", self.status),
        ])
    }
}

impl Store {
    /// Keeps a new decision.
    ///
    /// # Errors
    /// Where something that it refers to is not there, or the database fails.
    pub async fn create_decision(
        &self,
        new: NewDecision,
        request: Option<RequestKey>,
    ) -> Result<Made<Decision>, HubError> {
        self.make("create a decision", request, move |tx| create(tx, new)).await
    }

    /// Changes the words and the place of a decision.
    ///
    /// # Errors
    /// Where it is not there or of another version, something that it refers to is not there, or
    /// the database fails.
    pub async fn change_decision(
        &self,
        id: DecisionId,
        change: DecisionChange,
    ) -> Result<Decision, HubError> {
        self.write("change a decision", move |tx| alter(tx, id, change)).await
    }

    /// Resolves a decision, and publishes that.
    ///
    /// # Errors
    /// Where it is not there or of another version, cannot be resolved any more, or the database
    /// fails.
    pub async fn resolve_decision(
        &self,
        id: DecisionId,
        resolution: Resolution,
        version: Option<u64>,
        context: EventContext,
    ) -> Result<Decision, HubError> {
        self.write("resolve a decision", move |tx| {
            let before = table::expect::<Decision>(tx, id, version)?;
            resolve(tx, &before, resolution, &context)
        })
        .await
    }

    /// Hands a decision to somebody higher.
    ///
    /// # Errors
    /// Where it is not there or of another version, cannot be escalated, or the database fails.
    pub async fn escalate_decision(
        &self,
        id: DecisionId,
        version: Option<u64>,
    ) -> Result<Decision, HubError> {
        self.write("escalate a decision", move |tx| {
            let before = table::expect::<Decision>(tx, id, version)?;
            shift(&before, DecisionStatus::Escalated)?;
            let after = Decision { status: DecisionStatus::Escalated, ..before.clone() };
            Ok(table::keep(tx, &before, after)?)
        })
        .await
    }

    /// Marks a decision as superseded, by another one where that is known.
    ///
    /// # Errors
    /// Where it is not there or of another version, is superseded already, the other one is not
    /// there, is itself or is superseded, or the database fails.
    pub async fn supersede_decision(
        &self,
        id: DecisionId,
        by: Option<DecisionId>,
        version: Option<u64>,
    ) -> Result<Decision, HubError> {
        self.write("supersede a decision", move |tx| {
            let before = table::expect::<Decision>(tx, id, version)?;
            shift(&before, DecisionStatus::Superseded)?;
            supersede(tx, &before, by)
        })
        .await
    }
}

fn create(tx: &mut Tx<'_>, new: NewDecision) -> Outcome<Decision> {
    check_references(tx, new.workstream_id, new.topic_id)?;
    let (kind, status) = match new.made {
        Some(_) => (DecisionType::Made, DecisionStatus::Resolved),
        None => (DecisionType::Pending, DecisionStatus::Open),
    };
    let decided_at = new.made.is_some().then(|| tx.now());
    let (rationale, decided_by) = new.made.map(|made| (made.rationale, made.decided_by)).unzip();
    let decision = Decision {
        id: tx.ambient().id(),
        title: new.title,
        description: new.description,
        kind,
        status,
        workstream_id: new.workstream_id,
        topic_id: new.topic_id,
        rationale,
        decided_by,
        decided_at,
        superseded_by: None,
        stamps: table::fresh(tx),
    };
    table::put(tx, &decision)?;
    Ok(decision)
}

fn check_references(
    tx: &Tx<'_>,
    workstream: Option<WorkstreamId>,
    topic: Option<TopicId>,
) -> Outcome<()> {
    if let Some(id) = workstream {
        workstreams::referred(tx, id)?;
    }
    if let Some(id) = topic {
        table::referred::<Topic>(tx, "topic", id)?;
    }
    Ok(())
}

fn alter(tx: &mut Tx<'_>, id: DecisionId, change: DecisionChange) -> Outcome<Decision> {
    let before = table::expect::<Decision>(tx, id, change.version)?;
    check_references(tx, change.workstream_id.flatten(), change.topic_id.flatten())?;
    let mut after = before.clone();
    table::set(&mut after.title, change.title);
    table::set(&mut after.description, change.description);
    table::set(&mut after.workstream_id, change.workstream_id);
    table::set(&mut after.topic_id, change.topic_id);
    Ok(table::keep(tx, &before, after)?)
}

fn shift(decision: &Decision, to: DecisionStatus) -> Outcome<()> {
    let from = decision.status;
    from.check(to).map_err(|why| table::refused::<Decision>(from.as_str(), to.as_str(), why))
}

fn resolve(
    tx: &mut Tx<'_>,
    before: &Decision,
    resolution: Resolution,
    context: &EventContext,
) -> Outcome<Decision> {
    shift(before, DecisionStatus::Resolved)?;
    let now: Timestamp = tx.now();
    let resolved = DecisionResolved {
        decision_id: before.id,
        title: before.title.clone(),
        rationale: resolution.rationale.to_string(),
        decided_by: resolution.decided_by.to_string(),
        workstream_id: before.workstream_id,
        topic_id: before.topic_id,
    };
    let after = Decision {
        kind: DecisionType::Made,
        status: DecisionStatus::Resolved,
        rationale: Some(resolution.rationale),
        decided_by: Some(resolution.decided_by),
        decided_at: Some(now),
        ..before.clone()
    };
    let after = table::keep(tx, before, after)?;
    tx.say_within(Payload::DecisionResolved(resolved), context);
    Ok(after)
}

fn supersede(tx: &Tx<'_>, before: &Decision, by: Option<DecisionId>) -> Outcome<Decision> {
    if let Some(other) = by {
        let by = table::referred::<Decision>(tx, "by", other)?;
        // What is superseded itself stands for nothing; so there are no circles either.
        if by.id == before.id || by.status == DecisionStatus::Superseded {
            let (noun, id) = ("other decision that stands", other.to_string());
            return Err(Fault::Refused(HubError::NoSuch { field: "by", noun, id }));
        }
    }
    let after =
        Decision { status: DecisionStatus::Superseded, superseded_by: by, ..before.clone() };
    Ok(table::keep(tx, before, after)?)
}

impl Table for Decision {
    type Id = DecisionId;
    const NOUN: &'static str = "decision";
    const SELECT: &'static str = "SELECT r.id, r.title, r.description, r.kind, r.status,
        r.workstream_id, r.topic_id, r.rationale, r.decided_by, r.decided_at, r.superseded_by,
        r.version, r.created_at, r.updated_at FROM decisions r";
    const INTO: &'static str = "decisions (id, title, description, kind, status, workstream_id, topic_id, rationale, decided_by, decided_at, superseded_by, version, created_at, updated_at)";
    const REFERRERS: &'static [(&'static str, &'static str, &'static str)] =
        &[("decisions", "superseded_by", "decisions")];

    fn read(columns: &mut Columns<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: columns.text()?,
            title: columns.text()?,
            description: columns.text()?,
            kind: columns.text()?,
            status: columns.text()?,
            workstream_id: columns.maybe(Columns::text)?,
            topic_id: columns.maybe(Columns::text)?,
            rationale: columns.maybe(Columns::text)?,
            decided_by: columns.maybe(Columns::text)?,
            decided_at: columns.maybe(Columns::moment)?,
            superseded_by: columns.maybe(Columns::text)?,
            stamps: table::read_stamps(columns)?,
        })
    }

    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        row.put(self.id.to_string())?
            .put(self.title.as_str())?
            .put(self.description.as_str())?
            .put(self.kind.as_str())?
            .put(self.status.as_str())?
            .put(self.workstream_id.map(|id| id.to_string()))?
            .put(self.topic_id.map(|id| id.to_string()))?
            .put(self.rationale.as_ref().map(Prose::as_str))?
            .put(self.decided_by.as_ref().map(Title::as_str))?
            .put(self.decided_at.map(Timestamp::as_micros))?
            .put(self.superseded_by.map(|id| id.to_string()))?;
        table::bind_stamps(row, &self.stamps)
    }

    fn id(&self) -> DecisionId {
        self.id
    }

    fn stamps(&mut self) -> Option<&mut Stamps> {
        Some(&mut self.stamps)
    }
}
