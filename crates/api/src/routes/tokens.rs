//! API tokens: one's own; administrators see and end all.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use model::{Role, Timestamp, TokenId, UserId};
use serde::{Deserialize, Serialize};
use store::{ApiTokenRecord, NewApiToken};
use utoipa::ToSchema;

use crate::{
    auth::{Principal, hash_token, narrower, new_api_token},
    extract::{Json, Path, Viewer},
    page::Page,
    peer::Peer,
    problem::{Problem, ProblemBody},
    state::App,
    words::{Id, Moment, RoleWord},
};

/// Longest name of a token, in characters.
const MAX_NAME: usize = 64;
/// Longest life of a token, in days.
const MAX_DAYS: u32 = 366;
/// Life of a token where nothing is asked for, in days.
const DEFAULT_DAYS: u32 = 90;

/// A token to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateToken {
    /// What it is for.
    name: String,
    /// What it may do, never more than its user; the user's role where absent.
    #[serde(default)]
    #[schema(value_type = Option<RoleWord>)]
    role: Option<Role>,
    /// Days until it ends, 1 to 366; 90 where absent.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 366)]
    expires_in_days: Option<u32>,
    /// Whose it is, by name; one's own where absent. Only on the UNIX socket, and there needed.
    #[serde(default)]
    user: Option<String>,
}

/// An API token, without its secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub(crate) struct TokenView {
    #[schema(value_type = Id)]
    token_id: TokenId,
    name: String,
    #[schema(value_type = Id)]
    user_id: UserId,
    #[schema(value_type = RoleWord)]
    role: Role,
    #[schema(value_type = Moment)]
    created_at: Timestamp,
    #[schema(value_type = Moment, nullable, required)]
    expires_at: Option<Timestamp>,
}

/// A new API token. The only time that it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NewToken {
    #[serde(flatten)]
    view: TokenView,
    /// Goes as `Authorization: Bearer …`.
    token: String,
}

impl From<&ApiTokenRecord> for TokenView {
    fn from(token: &ApiTokenRecord) -> Self {
        Self {
            token_id: token.id,
            name: token.name.clone(),
            user_id: token.user_id,
            role: token.role,
            created_at: token.created_at,
            expires_at: token.expires_at,
        }
    }
}

/// Whose tokens the caller sees: `None` means everyone's.
fn scope(caller: &Principal) -> Option<UserId> {
    match caller.role {
        Role::Admin => None,
        Role::Viewer | Role::Operator | Role::Auditor => caller.user_id,
    }
}

/// One's API tokens; all for administrators.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "access", responses(
    (status = 200, description = "Tokens without their secrets", body = Page<TokenView>),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    Viewer(caller): Viewer,
    State(app): State<Arc<App>>,
) -> Result<axum::Json<Page<TokenView>>, Problem> {
    let tokens = app.store.api_tokens(scope(&caller)).await?;
    let items: Vec<TokenView> = tokens.iter().map(Into::into).collect();
    let total = Some(items.len() as u64);
    Ok(axum::Json(Page { items, next_cursor: None, total }))
}

/// Makes an API token; the answer is the only place where it is shown.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "access", request_body = CreateToken, responses(
    (status = 201, description = "Made", body = NewToken),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn create(
    Viewer(caller): Viewer,
    State(app): State<Arc<App>>,
    peer: Peer,
    Json(wanted): Json<CreateToken>,
) -> Result<Response, Problem> {
    let (user_id, role) = owner(&app, &caller, wanted.user.as_deref()).await?;
    if wanted.name.is_empty() || wanted.name.chars().count() > MAX_NAME {
        return Err(Problem::field("name", "INVALID_NAME", "1 to 64 characters"));
    }
    let days = wanted.expires_in_days.unwrap_or(DEFAULT_DAYS);
    if !(1..=MAX_DAYS).contains(&days) {
        return Err(Problem::field("expires_in_days", "OUT_OF_RANGE", "1 to 366"));
    }
    let token = new_api_token(&app.ambient);
    let expires = app.ambient.now().plus(Duration::from_secs(u64::from(days) * 86_400));
    let new = NewApiToken {
        hash: hash_token(&token),
        name: wanted.name,
        user_id,
        role: narrower(wanted.role.unwrap_or(role), role),
        expires_at: Some(expires),
    };
    let kept = app.store.put_api_token(new).await.map_err(super::users::problem)?;
    app.audit_ok(&caller, Some(peer), "token.create", format!("token/{}", kept.id)).await;
    let body = axum::Json(NewToken { view: (&kept).into(), token });
    Ok((StatusCode::CREATED, body).into_response())
}

async fn owner(
    app: &App,
    caller: &Principal,
    named: Option<&str>,
) -> Result<(UserId, Role), Problem> {
    match (caller.user_id, named) {
        (Some(id), None) => Ok((id, caller.role)),
        (Some(_), Some(_)) => {
            Err(Problem::field("user", "NOT_ALLOWED", "tokens are made for oneself"))
        }
        (None, None) => Err(Problem::field("user", "MISSING_FIELD", "name the token's user")),
        (None, Some(name)) => {
            let user = app.store.user_by_name(name).await?;
            let unknown = || Problem::field("user", "UNKNOWN_USER", "there is no such user");
            let user = user.ok_or_else(unknown)?;
            Ok((user.id, user.role))
        }
    }
}

/// Ends an API token and its live streams.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "access",
    params(("id" = String, Path, description = "Id of the token")), responses(
    (status = 204, description = "Ended"),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn revoke(
    Viewer(caller): Viewer,
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let missing = || Problem::not_found("there is no such token");
    let id: TokenId = id.parse().map_err(|_| missing())?;
    let tokens = app.store.api_tokens(scope(&caller)).await?;
    let known = tokens.iter().any(|token| token.id == id);
    if !known || !app.store.revoke_api_token(id).await? {
        return Err(missing());
    }
    app.permits.revoke_token(id);
    app.audit_ok(&caller, Some(peer), "token.revoke", format!("token/{id}")).await;
    Ok(StatusCode::NO_CONTENT)
}
