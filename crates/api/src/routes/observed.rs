//! What was observed.

use std::{net::IpAddr, sync::Arc};

use axum::extract::State;
use model::{AttackerId, IdentityId, SessionId};
use serde::Deserialize;
use store::SessionFilter;
use utoipa::IntoParams;

use crate::{
    extract::{Path, Query, Viewer},
    page::{Page, PageQuery, limit, place},
    problem::{Problem, ProblemBody},
    resolve::{bound, one_of},
    state::App,
    views::{AttackerView, CredentialView, IdentityView, SessionDetail, SessionView},
};

/// Which sessions.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SessionQuery {
    /// Those of this attacker: id, beginning of an id, or address.
    attacker: Option<String>,
    /// Those with this decky: id, beginning of an id, or name.
    decky: Option<String>,
    /// Those that last (`true`) or are over (`false`).
    live: Option<bool>,
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most rows, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

async fn find_attacker(app: &App, text: &str) -> Result<model::Attacker, Problem> {
    let missing = || Problem::not_found("there is no such attacker");
    let found = if let Ok(id) = text.parse::<AttackerId>() {
        app.store.attacker(id).await?
    } else if let Ok(address) = text.parse::<IpAddr>() {
        app.store.attacker_by_address(address).await?
    } else if let Some(bound) = bound(text) {
        let page = app.store.attackers(Some(bound), 2).await?;
        one_of(text, page.items, |row| row.id.to_string())?
    } else {
        None
    };
    found.ok_or_else(missing)
}

async fn find_identity(app: &App, text: &str) -> Result<model::Identity, Problem> {
    let missing = || Problem::not_found("there is no such identity");
    let found = if let Ok(id) = text.parse::<IdentityId>() {
        app.store.identity(id).await?
    } else if let Some(bound) = bound(text) {
        let page = app.store.identities(Some(bound), 2).await?;
        one_of(text, page.items, |row| row.id.to_string())?
    } else {
        None
    };
    found.ok_or_else(missing)
}

async fn find_session(app: &App, text: &str) -> Result<model::Session, Problem> {
    let missing = || Problem::not_found("there is no such session");
    let found = if let Ok(id) = text.parse::<SessionId>() {
        app.store.session(id).await?
    } else if let Some(bound) = bound(text) {
        let page = app.store.sessions(SessionFilter::default(), Some(bound), 2).await?;
        one_of(text, page.items, |row| row.id.to_string())?
    } else {
        None
    };
    found.ok_or_else(missing)
}

/// Attackers, newest first.
#[utoipa::path(get, path = "/api/v1/attackers", tag = "observed", params(PageQuery), responses(
    (status = 200, description = "A page of attackers", body = Page<AttackerView>),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn attackers(
    _: Viewer,
    State(app): State<Arc<App>>,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<AttackerView>>, Problem> {
    let (after, limit) = query.parse()?;
    let page = app.store.attackers(after, limit).await?;
    Ok(axum::Json(Page::of(&page, |row| row.into())))
}

/// One attacker.
#[utoipa::path(get, path = "/api/v1/attackers/{id}", tag = "observed",
    params(("id" = String, Path, description = "Id, beginning of an id, or address")), responses(
    (status = 200, description = "The attacker", body = AttackerView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn attacker(
    _: Viewer,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<axum::Json<AttackerView>, Problem> {
    Ok(axum::Json((&find_attacker(&app, &id).await?).into()))
}

/// Identities, newest first.
#[utoipa::path(get, path = "/api/v1/identities", tag = "observed", params(PageQuery), responses(
    (status = 200, description = "A page of identities", body = Page<IdentityView>),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn identities(
    _: Viewer,
    State(app): State<Arc<App>>,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<IdentityView>>, Problem> {
    let (after, limit) = query.parse()?;
    let page = app.store.identities(after, limit).await?;
    Ok(axum::Json(Page::of(&page, |row| row.into())))
}

/// One identity.
#[utoipa::path(get, path = "/api/v1/identities/{id}", tag = "observed",
    params(("id" = String, Path, description = "Id, or beginning of an id")), responses(
    (status = 200, description = "The identity", body = IdentityView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn identity(
    _: Viewer,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<axum::Json<IdentityView>, Problem> {
    Ok(axum::Json((&find_identity(&app, &id).await?).into()))
}

/// Sessions, newest first.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "observed", params(SessionQuery), responses(
    (status = 200, description = "A page of sessions", body = Page<SessionView>),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn sessions(
    _: Viewer,
    State(app): State<Arc<App>>,
    Query(query): Query<SessionQuery>,
) -> Result<axum::Json<Page<SessionView>>, Problem> {
    let (after, limit) = (place(query.cursor.as_deref())?, limit(query.limit)?);
    let mut filter = SessionFilter { live: query.live, ..SessionFilter::default() };
    if let Some(text) = &query.attacker {
        filter.attacker = Some(find_attacker(&app, text).await?.id);
    }
    if let Some(text) = &query.decky {
        filter.decky = Some(match text.parse() {
            Ok(id) => id, // also of deckies that are gone
            Err(_) => crate::resolve::decky(&app.store, text).await?.1.id,
        });
    }
    let page = app.store.sessions(filter, after, limit).await?;
    Ok(axum::Json(Page::of(&page, |row| row.into())))
}

/// One session with what happened in it.
#[utoipa::path(get, path = "/api/v1/sessions/{id}", tag = "observed",
    params(("id" = String, Path, description = "Id, or beginning of an id")), responses(
    (status = 200, description = "The session", body = SessionDetail),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn session(
    _: Viewer,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<axum::Json<SessionDetail>, Problem> {
    let session = find_session(&app, &id).await?;
    let activity = app.store.activity(session.id).await?;
    let activity = activity.iter().map(Into::into).collect();
    Ok(axum::Json(SessionDetail { session: (&session).into(), activity }))
}

/// Captured credentials, newest first; only administrators see the secrets.
#[utoipa::path(get, path = "/api/v1/credentials", tag = "observed", params(PageQuery), responses(
    (status = 200, description = "A page of credentials", body = Page<CredentialView>),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn credentials(
    Viewer(caller): Viewer,
    State(app): State<Arc<App>>,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<CredentialView>>, Problem> {
    let (after, limit) = query.parse()?;
    let page = app.store.credentials(after, limit).await?;
    Ok(axum::Json(Page::of(&page, |row| CredentialView::new(row, caller.role))))
}
