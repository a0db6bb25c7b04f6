//! Live streams over HTTP. Refusals come in one order: 401, 403, 429, and only then the
//! database is asked.

use std::{future::Future, pin::Pin, sync::Arc};

use axum::{
    extract::{FromRequestParts, State},
    http::{HeaderMap, HeaderName, header, request::Parts},
    response::{IntoResponse, Response},
};
use model::SubjectFilter;
use tokio::time::Instant;

use super::snapshots::{
    self, AttackersSnapshot, EventsSnapshot, IdentitiesSnapshot, TopologySnapshot,
};
use crate::{
    auth::{Principal, authenticate, still_holds},
    extract::{ANYONE, Path, admit, pairs_of, query_of},
    live::{Client, Guard, MAX_FILTERS, Scope, Snapshot, Snapshots, StreamBody, StreamFault},
    peer::Peer,
    permits::Permit,
    problem::{Problem, ProblemBody},
    resolve,
    state::App,
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Somebody who may open a stream, and the permit for it.
pub(crate) struct Viewing {
    principal: Principal,
    permit: Permit,
    last_event_id: Option<String>,
}

impl FromRequestParts<Arc<App>> for Viewing {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let mut query = query_of(parts);
        let principal = match query.remove("token") {
            Some(ticket) => of_ticket(app, &ticket).await?,
            None => authenticate(app, parts).await?,
        };
        let principal = admit(parts, app, principal, ANYONE).await?;
        let peer = Peer::from_request_parts(parts, app).await?;
        let permit = app.permits.acquire(&principal, peer)?;
        let last_event_id = header_text(&parts.headers).or(query.remove("last_event_id"));
        let last_event_id = last_event_id.filter(|id| !id.is_empty());
        Ok(Self { principal, permit, last_event_id })
    }
}

/// Whoever a ticket stands for, where their login still holds. Logins and API tokens are no
/// tickets: an address ends up in logs and histories.
async fn of_ticket(app: &App, ticket: &str) -> Result<Principal, Problem> {
    let refused = || Problem::unauthenticated("the ticket does not hold; make a new one");
    let principal = app.tickets.redeem(ticket).ok_or_else(refused)?;
    if still_holds(app, &principal).await? { Ok(principal) } else { Err(refused()) }
}

fn header_text(headers: &HeaderMap) -> Option<String> {
    // What is no text is no position of ours: it is answered with a reset.
    Some(headers.get(LAST_EVENT_ID)?.to_str().unwrap_or("?").into())
}

type Reading = Pin<Box<dyn Future<Output = Result<Snapshot, StreamFault>> + Send>>;

/// Reads a snapshot with `read`, as often as the stream begins anew.
fn snapshots<F>(read: impl Fn() -> F + Send + Sync + 'static) -> Snapshots
where
    F: Future<Output = Result<Snapshot, StreamFault>> + Send + 'static,
{
    Box::new(move || Box::pin(read()) as Reading)
}

fn open(app: &Arc<App>, viewing: Viewing, scope: Scope, snapshots: Snapshots) -> Response {
    let Viewing { principal, permit, last_event_id } = viewing;
    let jitter = u16::from_be_bytes(app.ambient.bytes());
    let epoch = app.hub.epoch();
    let client = Client::new(scope, principal.role, epoch, last_event_id.as_deref(), jitter);
    let until = principal.until.map(|until| Instant::now() + until.since(app.ambient.now()));
    let checked = app.clone();
    let still_holds = Box::new(move || {
        let (app, principal) = (checked.clone(), principal.clone());
        // Where the store cannot answer, the login is taken to hold until it can.
        let holds = async move { still_holds(&app, &principal).await.unwrap_or(true) };
        Box::pin(holds) as Pin<Box<dyn Future<Output = bool> + Send>>
    });
    let guard = Guard { permit, still_holds, until };
    let body = StreamBody::new(client, app.hub.clone(), snapshots, guard, app.stop.clone());
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store, no-transform"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, body.into_body()).into_response()
}

/// What happens to one topology: `topology.{id}.>`. Begins with `snapshot`; then `status`,
/// `mutation.enqueued`, `mutation.applying`, `mutation.applied`, `mutation.failed`.
#[utoipa::path(get, path = "/api/v1/topologies/{id}/events", tag = "streams",
    params(
        ("id" = String, Path, description = "Id, beginning of an id, or name"),
        ("Last-Event-ID" = Option<String>, Header, description = "Go on after this position"),
        ("last_event_id" = Option<String>, Query, description = "The same, where no header can go"),
        ("token" = Option<String>, Query, description = "A ticket, where neither cookie nor header can go"),
    ), responses(
    (status = 200, description = "Server-sent events; the snapshot has this shape", body = TopologySnapshot, content_type = "text/event-stream"),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn topology(
    viewing: Viewing,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = resolve::topology(&app.store, &id).await?.topology.id;
    let reader = app.clone();
    let read = snapshots(move || snapshots::topology(reader.clone(), id));
    Ok(open(&app, viewing, Scope::topology(id), read))
}

/// What happens to identities: `identity.>`. Begins with `snapshot`; then `formed`,
/// `observation.linked`, `merged`, `unmerged`.
#[utoipa::path(get, path = "/api/v1/identities/events", tag = "streams",
    params(
        ("Last-Event-ID" = Option<String>, Header, description = "Go on after this position"),
        ("last_event_id" = Option<String>, Query, description = "The same, where no header can go"),
        ("token" = Option<String>, Query, description = "A ticket, where neither cookie nor header can go"),
    ), responses(
    (status = 200, description = "Server-sent events; the snapshot has this shape", body = IdentitiesSnapshot, content_type = "text/event-stream"),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn identities(viewing: Viewing, State(app): State<Arc<App>>) -> Response {
    let reader = app.clone();
    let read = snapshots(move || snapshots::identities(reader.clone()));
    open(&app, viewing, Scope::Identities, read)
}

/// What attackers do: `attacker.>`. Begins with `snapshot`; then `observed`, `scored`,
/// `fingerprinted`, `session.started`, `session.activity`, `session.ended`.
#[utoipa::path(get, path = "/api/v1/attackers/events", tag = "streams",
    params(
        ("Last-Event-ID" = Option<String>, Header, description = "Go on after this position"),
        ("last_event_id" = Option<String>, Query, description = "The same, where no header can go"),
        ("token" = Option<String>, Query, description = "A ticket, where neither cookie nor header can go"),
    ), responses(
    (status = 200, description = "Server-sent events; the snapshot has this shape", body = AttackersSnapshot, content_type = "text/event-stream"),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn attackers(viewing: Viewing, State(app): State<Arc<App>>) -> Response {
    let reader = app.clone();
    let read = snapshots(move || snapshots::attackers(reader.clone()));
    open(&app, viewing, Scope::Attackers, read)
}

/// Whatever falls under the filters. Events are named by the rest of their subject: after the
/// id for `topology` and `decky`, else after the first token.
#[utoipa::path(get, path = "/api/v1/events", tag = "streams",
    params(
        ("filter" = Option<Vec<String>>, Query, description = "A subject with `*` for one token and a final `>` for the rest; may be repeated; everything where absent"),
        ("Last-Event-ID" = Option<String>, Header, description = "Go on after this position"),
        ("last_event_id" = Option<String>, Query, description = "The same, where no header can go"),
        ("token" = Option<String>, Query, description = "A ticket, where neither cookie nor header can go"),
    ), responses(
    (status = 200, description = "Server-sent events; the snapshot has this shape", body = EventsSnapshot, content_type = "text/event-stream"),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn events(
    viewing: Viewing,
    State(app): State<Arc<App>>,
    Filters(filters): Filters,
) -> Response {
    let (reader, shown) = (app.clone(), filters.clone());
    let read = snapshots(move || snapshots::events(reader.clone(), shown.clone()));
    open(&app, viewing, Scope::Filters(filters), read)
}

/// The filters of the query; everything where there are none.
pub(crate) struct Filters(Vec<SubjectFilter>);

impl FromRequestParts<Arc<App>> for Filters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &Arc<App>) -> Result<Self, Problem> {
        let wanted = pairs_of(parts).into_iter().filter(|(name, _)| name == "filter");
        let filters: Vec<SubjectFilter> =
            wanted.map(|(_, text)| filter(&text)).collect::<Result<_, _>>()?;
        match filters.len() {
            0 => Ok(Self(vec![SubjectFilter::all()])),
            1..=MAX_FILTERS => Ok(Self(filters)),
            _ => Err(Problem::field("filter", "TOO_MANY", format!("at most {MAX_FILTERS}"))),
        }
    }
}

fn filter(text: &str) -> Result<SubjectFilter, Problem> {
    let filter: SubjectFilter = text
        .parse()
        .map_err(|error| Problem::field("filter", "INVALID_FILTER", format!("{error}")))?;
    if filter.as_str().split('.').next() == Some("ingest") {
        return Err(Problem::forbidden("raw session facts are shown to nobody"));
    }
    Ok(filter)
}
