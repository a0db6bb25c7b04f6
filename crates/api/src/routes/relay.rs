//! The relay: where each sink of the journal stands, and what it refused.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use model::Timestamp;
use serde::{Deserialize, Serialize};
use store::DeadLetter;
use utoipa::ToSchema;

use crate::{
    SinkState, SinkStatus,
    extract::{Operator, OptionalJson, Path, Query, Viewer},
    page::{Page, PageQuery},
    peer::Peer,
    problem::{Problem, ProblemBody},
    state::App,
    words::Moment,
};

/// What a sink does.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SinkState)]
pub(crate) enum SinkStateWord {
    /// It delivers what there is.
    Running,
    /// It failed and is tried again.
    Waiting,
    /// It has ended.
    Stopped,
}

/// A sink of the journal.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sink)]
pub(crate) struct SinkView {
    sink: String,
    state: SinkStateWord,
    /// Everything up to here is delivered, not wanted, or a dead letter.
    position: u64,
    /// Entries of the journal after that.
    behind: u64,
    /// Since the process began.
    delivered: u64,
    /// Pruned from the journal before their turn came.
    missed: u64,
    /// How often it could not be reached since the process began.
    failures: u64,
    /// Refused for good, and kept.
    dead_letters: u64,
    /// When it is tried again, where it waits.
    #[schema(value_type = Moment, nullable, required)]
    retry_at: Option<Timestamp>,
    #[schema(required)]
    last_error: Option<String>,
    #[schema(value_type = Moment, nullable, required)]
    last_error_at: Option<Timestamp>,
}

impl SinkView {
    fn new(status: SinkStatus, head: u64, dead_letters: u64) -> Self {
        let (state, retry_at) = match status.state {
            SinkState::Running => (SinkStateWord::Running, None),
            SinkState::Waiting { until } => (SinkStateWord::Waiting, Some(until)),
            SinkState::Stopped => (SinkStateWord::Stopped, None),
        };
        Self {
            sink: status.sink,
            state,
            position: status.position,
            behind: head.saturating_sub(status.position),
            delivered: status.delivered,
            missed: status.missed,
            failures: status.failures,
            dead_letters,
            retry_at,
            last_error: status.last_error,
            last_error_at: status.last_error_at,
        }
    }
}

/// All sinks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Relay)]
pub(crate) struct RelayBody {
    /// The newest entry of the journal.
    journal_head: u64,
    items: Vec<SinkView>,
}

/// An entry that a sink refused for good.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub(crate) struct DeadLetterView {
    id: u64,
    sink: String,
    /// Its place in the journal.
    #[schema(required)]
    seq: Option<u64>,
    topic: String,
    #[serde(rename = "type")]
    kind: String,
    attempts: u32,
    /// Why it was refused.
    reason: String,
    #[schema(value_type = Moment)]
    buried_at: Timestamp,
    /// Whether it waits to be delivered again.
    retrying: bool,
    /// What it says.
    #[schema(value_type = Object)]
    payload: Arc<serde_json::value::RawValue>,
}

impl From<&DeadLetter> for DeadLetterView {
    fn from(letter: &DeadLetter) -> Self {
        Self {
            id: letter.id,
            sink: letter.sink.clone(),
            seq: letter.entry.seq,
            topic: letter.entry.topic.to_string(),
            kind: letter.entry.kind.clone(),
            attempts: letter.attempts,
            reason: letter.reason.clone(),
            buried_at: letter.buried_at,
            retrying: letter.retrying,
            payload: letter.entry.payload.clone(),
        }
    }
}

/// What to deliver again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retry {
    /// One dead letter; all of the sink where absent.
    #[serde(default)]
    id: Option<u64>,
}

/// What will be delivered again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Retrying {
    sink: String,
    /// How many dead letters wait now that did not before.
    retrying: u64,
}

/// Where every sink of the journal stands.
#[utoipa::path(get, path = "/api/v1/relay", tag = "service", responses(
    (status = 200, description = "All sinks", body = RelayBody),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    _: Viewer,
    State(app): State<Arc<App>>,
) -> Result<axum::Json<RelayBody>, Problem> {
    let dead = app.store.dead_letter_counts().await?;
    let journal_head = app.store.journal_head();
    let show = |status: SinkStatus| {
        let letters = dead.get(&status.sink).copied().unwrap_or(0);
        SinkView::new(status, journal_head, letters)
    };
    let items = app.relay.sinks().into_iter().map(show).collect();
    Ok(axum::Json(RelayBody { journal_head, items }))
}

/// What a sink refused for good, newest first.
#[utoipa::path(get, path = "/api/v1/relay/{sink}/dead-letters", tag = "service",
    params(("sink" = String, Path, description = "Name of the sink"), PageQuery), responses(
    (status = 200, description = "A page of dead letters", body = Page<DeadLetterView>),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn dead_letters(
    _: Viewer,
    State(app): State<Arc<App>>,
    Path(sink): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<DeadLetterView>>, Problem> {
    let (after, limit) = query.parse()?;
    known(&app, &sink)?;
    let page = app.store.dead_letters(&sink, after, limit).await?;
    Ok(axum::Json(Page::of(&page, |letter| letter.into())))
}

/// Has a sink deliver its dead letters again, or one of them.
#[utoipa::path(post, path = "/api/v1/relay/{sink}/retry", tag = "service",
    params(("sink" = String, Path, description = "Name of the sink")), request_body = Retry, responses(
    (status = 202, description = "They wait for their turn", body = Retrying),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn retry(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(sink): Path<String>,
    OptionalJson(wanted): OptionalJson<Retry>,
) -> Result<(StatusCode, axum::Json<Retrying>), Problem> {
    known(&app, &sink)?;
    let retrying = app.store.retry_dead_letters(&sink, wanted.id).await?;
    if let (0, Some(id)) = (retrying, wanted.id) {
        let detail = format!("the sink has no dead letter {id}, or it is tried again already");
        return Err(Problem::not_found(detail));
    }
    app.relay.wake(&sink);
    app.audit_ok(&caller, Some(peer), "relay.retry", format!("sink/{sink}")).await;
    Ok((StatusCode::ACCEPTED, axum::Json(Retrying { sink, retrying })))
}

fn known(app: &App, sink: &str) -> Result<(), Problem> {
    let is_known = app.relay.sinks().iter().any(|status| status.sink == sink);
    is_known.then_some(()).ok_or_else(|| Problem::not_found("there is no such sink"))
}
