//! What a change would do, without doing it.

use axum::response::{IntoResponse, Response};
use maze::Stage;
use model::{Op, Topology};
use serde::{Deserialize, Serialize};
use store::{TopologyRecord, TopologySnapshot};
use utoipa::{IntoParams, ToSchema};

use crate::{problem::Problem, state::App};

/// Whether to look only.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DryRun {
    /// Change nothing; answer what would be done.
    #[serde(default)]
    #[param(required = false)]
    pub(crate) dry_run: bool,
}

/// What a change would do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Plan)]
pub(crate) struct PlanView {
    /// What it does, such as `add_decky`.
    op: String,
    /// The version that it would make.
    version: u64,
    /// LANs and deckies that come, change and go.
    changes: Vec<String>,
    /// What would be done in the network, in order; nothing where the topology is not deployed.
    steps: Vec<String>,
}

/// Whether visitors may see the topology.
pub(crate) fn stage(record: &TopologyRecord) -> Stage {
    if record.status.is_deployed() { Stage::Live } else { Stage::Drawn }
}

/// The topology as it will be once what is queued has been applied; `None` where that is as in
/// `record`: nothing is queued, and nothing was applied since that was read.
pub(crate) async fn ahead(app: &App, record: &TopologyRecord) -> Result<Option<Topology>, Problem> {
    let snapshot = app.store.topology_snapshot(record.topology.id).await?;
    let is_other = |now: &TopologySnapshot| {
        !now.in_flight.is_empty() || now.record.topology.version != record.topology.version
    };
    let Some(snapshot) = snapshot.filter(is_other) else { return Ok(None) };
    let mut ahead = snapshot.record.topology;
    for mutation in &snapshot.in_flight {
        let applied = maze::apply_on(stage(record), &ahead, &mutation.op, &app.ambient);
        ahead = applied.map_or(ahead, |applied| applied.topology);
    }
    Ok(Some(ahead))
}

/// What `op` would do after what is queued already.
pub(crate) async fn preview(
    app: &App,
    record: &TopologyRecord,
    op: &Op,
) -> Result<Response, Problem> {
    let before = ahead(app, record).await?.unwrap_or_else(|| record.topology.clone());
    let preview = maze::preview(stage(record), &before, op, &app.ambient);
    let preview = preview.map_err(Problem::violations)?;
    let after = &preview.applied.topology;
    let steps = preview.steps.iter().map(|step| step.in_words(&[&before, after]));
    let view = PlanView {
        op: op.word().into(),
        version: after.version,
        steps: steps.collect(),
        changes: preview.changes,
    };
    Ok(axum::Json(view).into_response())
}
