//! What domains aim at: at most one active goal each.

use model::{
    DomainId, EventContext, GoalId, Payload,
    hub::{Domain, DomainGoal, DomainGoalActivated, GoalState, Prose, Stamps, Title},
};

use super::{
    HubError, Made, RequestKey, Table,
    table::{self, Condition, Outcome},
};
use crate::{
    Store,
    rows::{Binder, Columns},
    writer::{Fault, Tx},
};

/// A goal to keep; it begins as a draft.
#[derive(Clone, Debug)]
pub struct NewGoal {
    /// Its domain.
    pub domain_id: DomainId,
    /// It in a few words.
    pub title: Title,
    /// It in more words.
    pub description: Prose,
}

/// What to change about the words of a goal; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct GoalChange {
    /// The version that it must have.
    pub version: Option<u64>,
    /// It in a few words.
    pub title: Option<Title>,
    /// It in more words.
    pub description: Option<Prose>,
}

/// What to do with a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoalMove {
    /// Aim at it.
    Activate {
        /// Whether the goal that is active is retired for it; else it is in the way.
        replace: bool,
    },
    /// It is reached.
    Achieve,
    /// Aim at it no longer.
    Retire,
}

impl GoalMove {
    fn state(self) -> GoalState {
        match self {
            Self::Activate { .. } => GoalState::Active,
            Self::Achieve => GoalState::Achieved,
            Self::Retire => GoalState::Retired,
        }
    }
}

/// Which goals.
#[derive(Clone, Copy, Debug, Default)]
pub struct GoalFilter {
    /// Those of this domain.
    pub domain_id: Option<DomainId>,
    /// Those in this state.
    pub state: Option<GoalState>,
}

impl GoalFilter {
    pub(super) fn conditions(self) -> Vec<Condition> {
        table::conditions([
            table::equal("r.domain_id = ?", self.domain_id),
            table::equal("r.state = ?", self.state),
        ])
    }
}

impl Store {
    /// Keeps a new goal, as a draft.
    ///
    /// # Errors
    /// Where its domain is not there or the database fails.
    pub async fn create_domain_goal(
        &self,
        new: NewGoal,
        request: Option<RequestKey>,
    ) -> Result<Made<DomainGoal>, HubError> {
        self.make("create a goal", request, move |tx| create(tx, new)).await
    }

    /// Changes the words of a goal.
    ///
    /// # Errors
    /// Where it is not there or of another version, or the database fails.
    pub async fn change_domain_goal(
        &self,
        id: GoalId,
        change: GoalChange,
    ) -> Result<DomainGoal, HubError> {
        self.write("change a goal", move |tx| {
            let before = table::expect::<DomainGoal>(tx, id, change.version)?;
            let mut after = before.clone();
            table::set(&mut after.title, change.title);
            table::set(&mut after.description, change.description);
            Ok(table::keep(tx, &before, after)?)
        })
        .await
    }

    /// Moves a goal to another state; its activation is published. To where it is already is no
    /// move, and is not published.
    ///
    /// # Errors
    /// Where it is not there or of another version, the move is refused, another goal is active,
    /// or the database fails.
    pub async fn move_domain_goal(
        &self,
        id: GoalId,
        to: GoalMove,
        version: Option<u64>,
        context: EventContext,
    ) -> Result<DomainGoal, HubError> {
        self.write("move a goal", move |tx| {
            let before = table::expect::<DomainGoal>(tx, id, version)?;
            move_to(tx, &before, to, &context)
        })
        .await
    }
}

fn create(tx: &mut Tx<'_>, new: NewGoal) -> Outcome<DomainGoal> {
    let domain = table::referred::<Domain>(tx, "domain", new.domain_id)?;
    let goal = DomainGoal {
        id: tx.ambient().id(),
        domain_id: domain.id,
        domain_slug: domain.slug,
        title: new.title,
        description: new.description,
        state: GoalState::Draft,
        stamps: table::fresh(tx),
    };
    table::put(tx, &goal)?;
    Ok(goal)
}

fn move_to(
    tx: &mut Tx<'_>,
    before: &DomainGoal,
    to: GoalMove,
    context: &EventContext,
) -> Outcome<DomainGoal> {
    let next = to.state();
    if before.state == next {
        return Ok(before.clone());
    }
    shift(before.state, next)?;
    let previous = match to {
        GoalMove::Activate { replace } => make_room(tx, before, replace)?,
        GoalMove::Achieve | GoalMove::Retire => None,
    };
    let after = table::keep(tx, before, DomainGoal { state: next, ..before.clone() })?;
    if next == GoalState::Active {
        let activated = DomainGoalActivated {
            goal_id: after.id,
            domain_id: after.domain_id,
            domain_slug: after.domain_slug.clone(),
            title: after.title.clone(),
            previous_goal_id: previous,
        };
        tx.say_within(Payload::DomainGoalActivated(activated), context);
    }
    Ok(after)
}

fn shift(from: GoalState, to: GoalState) -> Outcome<()> {
    from.check(to).map_err(|why| table::refused::<DomainGoal>(from.as_str(), to.as_str(), why))
}

/// Retires the goal that is active instead, where that is wanted; answers which that was.
fn make_room(tx: &Tx<'_>, goal: &DomainGoal, replace: bool) -> Outcome<Option<GoalId>> {
    let filter = GoalFilter { domain_id: Some(goal.domain_id), state: Some(GoalState::Active) };
    let active = table::page::<DomainGoal>(tx.connection, filter.conditions(), None, 1)?;
    let Some(former) = active.items.into_iter().next() else { return Ok(None) };
    if !replace {
        return Err(Fault::Refused(HubError::GoalAlreadyActive { goal_id: former.id }));
    }
    shift(former.state, GoalState::Retired)?;
    table::keep(tx, &former, DomainGoal { state: GoalState::Retired, ..former.clone() })?;
    Ok(Some(former.id))
}

impl Table for DomainGoal {
    type Id = GoalId;
    const NOUN: &'static str = "goal";
    const SELECT: &'static str = "SELECT r.id, r.domain_id, d.slug, r.title, r.description,
        r.state, r.version, r.created_at, r.updated_at
        FROM domain_goals r JOIN domains d ON d.id = r.domain_id";
    const INTO: &'static str =
        "domain_goals (id, domain_id, title, description, state, version, created_at, updated_at)";
    const REFERRERS: &'static [(&'static str, &'static str, &'static str)] =
        &[("workstreams", "repo_goal_id", "workstreams")];

    fn read(columns: &mut Columns<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: columns.text()?,
            domain_id: columns.text()?,
            domain_slug: columns.text()?,
            title: columns.text()?,
            description: columns.text()?,
            state: columns.text()?,
            stamps: table::read_stamps(columns)?,
        })
    }

    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        row.put(self.id.to_string())?
            .put(self.domain_id.to_string())?
            .put(self.title.as_str())?
            .put(self.description.as_str())?
            .put(self.state.as_str())?;
        table::bind_stamps(row, &self.stamps)
    }

    fn id(&self) -> GoalId {
        self.id
    }

    fn stamps(&mut self) -> Option<&mut Stamps> {
        Some(&mut self.stamps)
    }
}
