//! The kill switch.

use std::sync::Arc;

use axum::extract::State;
use model::{TopologyId, TopologyStatus};
use serde::Serialize;
use utoipa::ToSchema;

use super::service::Nothing;
use crate::{
    PanicError, Panicked,
    extract::{Operator, OptionalJson},
    peer::Peer,
    problem::{Problem, ProblemBody},
    state::{App, Audit},
    words::{Id, TopologyStatusWord},
};

/// A topology that is off the network now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SwitchedOffView {
    #[schema(value_type = Id)]
    topology_id: TopologyId,
    name: String,
    /// Its status before.
    #[schema(value_type = TopologyStatusWord)]
    from: TopologyStatus,
    /// Its status now: `pending`, or `torn_down` where it was being torn down.
    #[schema(value_type = TopologyStatusWord)]
    status: TopologyStatus,
    /// How many deckies it has.
    decky_count: usize,
}

/// What the kill switch did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Panic)]
pub(crate) struct PanicView {
    /// The topologies that were deployed; empty where none was.
    topologies: Vec<SwitchedOffView>,
    /// What could not be removed, in words. Empty means that nothing is left on the network.
    left: Vec<String>,
    /// Microseconds until nothing answered any more.
    down_after_micros: u64,
    /// Microseconds until the database knew.
    took_micros: u64,
}

impl From<Panicked> for PanicView {
    fn from(panicked: Panicked) -> Self {
        let view = |off: store::SwitchedOff| SwitchedOffView {
            topology_id: off.id,
            name: off.name,
            from: off.from,
            status: off.to,
            decky_count: off.deckies,
        };
        Self {
            topologies: panicked.off.into_iter().map(view).collect(),
            left: panicked.left,
            down_after_micros: micros(panicked.down_after),
            took_micros: micros(panicked.took),
        }
    }
}

fn micros(took: std::time::Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

/// The kill switch: takes all deckies of all topologies off the network at once. They stay off,
/// over restarts too, until their topologies are deployed again; changes that wait, or are being
/// applied, fail.
#[utoipa::path(post, path = "/api/v1/panic", tag = "service", responses(
    (status = 200, description = "The network is off", body = PanicView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn throw(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    OptionalJson(Nothing {}): OptionalJson<Nothing>,
) -> Result<axum::Json<PanicView>, Problem> {
    // A task of its own: whoever asked may hang up, and it is finished all the same.
    let thrown = tokio::spawn(async move {
        let done = app.panic.throw(&caller.name).await;
        let (outcome, detail) = told(&done);
        let (actor, object) = (caller.name.as_str(), "network".to_owned());
        let entry =
            Audit { actor, action: "network.panic", object, peer: Some(peer), outcome, detail };
        app.audit(entry).await;
        done
    });
    match thrown.await {
        Ok(Ok(panicked)) => Ok(axum::Json(panicked.into())),
        Ok(Err(error @ PanicError::NotKept(_))) => {
            tracing::error!(error = &error as &dyn std::error::Error, "panic was not kept");
            Err(Problem::unavailable(error.to_string()))
        }
        Err(error) => Err(Problem::internal(error.to_string())),
    }
}

/// How it ended, for the audit log.
fn told(done: &Result<Panicked, PanicError>) -> (&'static str, Option<String>) {
    match done {
        Ok(panicked) if panicked.left.is_empty() => {
            let deckies: usize = panicked.off.iter().map(|off| off.deckies).sum();
            let topologies = panicked.off.len();
            ("ok", Some(format!("{topologies} topologies with {deckies} deckies")))
        }
        Ok(panicked) => ("failed", Some(panicked.left.join("; "))),
        Err(error) => ("failed", Some(error.to_string())),
    }
}
