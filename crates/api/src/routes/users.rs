//! Users, by administrators.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use model::{Role, UserId};
use serde::Deserialize;
use store::{NewUser, UserError, UserRecord};
use utoipa::ToSchema;

use crate::{
    auth::{LOCAL, check_new_password},
    extract::{Admin, Json, Path},
    page::Page,
    peer::Peer,
    problem::{Problem, ProblemBody},
    state::App,
    views::UserView,
    words::RoleWord,
};

/// Longest log-in name, in characters.
const MAX_NAME: usize = 64;

/// A user to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateUser {
    /// 1 to 64 letters, digits and `. _ - @`.
    name: String,
    #[schema(value_type = RoleWord)]
    role: Role,
    /// 8 to 128 characters, not a common one.
    password: String,
}

/// What to change about a user; what is absent stays. Every change ends the user's logins.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeUser {
    #[serde(default)]
    #[schema(value_type = Option<RoleWord>)]
    role: Option<Role>,
    #[serde(default)]
    disabled: Option<bool>,
    #[serde(default)]
    password: Option<String>,
}

/// Refuses log-in names that would confuse.
pub(crate) fn check_name(name: &str) -> Result<(), Problem> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    let fits = (1..=MAX_NAME).contains(&name.len()) && name.chars().all(allowed);
    if !fits {
        let message = "a name has 1 to 64 letters, digits and any of . _ - @";
        return Err(Problem::field("name", "INVALID_NAME", message));
    }
    if name == LOCAL || name == "schedule" {
        return Err(Problem::field("name", "RESERVED_NAME", "the name means something else"));
    }
    Ok(())
}

pub(crate) fn problem(error: UserError) -> Problem {
    match error {
        UserError::NameTaken { .. } => Problem::name_taken(error.to_string()),
        UserError::Unknown { .. } => Problem::not_found("there is no such user"),
        UserError::LastAdmin => Problem::last_admin(error.to_string()),
        UserError::Store(error) => error.into(),
    }
}

async fn find(app: &App, text: &str) -> Result<UserRecord, Problem> {
    let found = match text.parse::<UserId>() {
        Ok(id) => app.store.user(id).await?,
        Err(_) => app.store.user_by_name(text).await?,
    };
    found.ok_or_else(|| Problem::not_found("there is no such user"))
}

/// All users, by name.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", responses(
    (status = 200, description = "All users", body = Page<UserView>),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    _: Admin,
    State(app): State<Arc<App>>,
) -> Result<axum::Json<Page<UserView>>, Problem> {
    let users = app.store.users().await?;
    let items: Vec<UserView> = users.iter().map(Into::into).collect();
    let total = Some(items.len() as u64);
    Ok(axum::Json(Page { items, next_cursor: None, total }))
}

/// One user.
#[utoipa::path(get, path = "/api/v1/users/{id}", tag = "users",
    params(("id" = String, Path, description = "Id or name")), responses(
    (status = 200, description = "The user", body = UserView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn show(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<axum::Json<UserView>, Problem> {
    Ok(axum::Json((&find(&app, &id).await?).into()))
}

/// Creates a user.
#[utoipa::path(post, path = "/api/v1/users", tag = "users", request_body = CreateUser, responses(
    (status = 201, description = "Created", body = UserView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn create(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    peer: Peer,
    Json(wanted): Json<CreateUser>,
) -> Result<Response, Problem> {
    check_name(&wanted.name)?;
    check_new_password("password", &wanted.password)?;
    let password_hash = app.passwords.hash(wanted.password).await?;
    let user = NewUser { name: wanted.name, role: wanted.role, password_hash };
    let user = app.store.create_user(user).await.map_err(problem)?;
    app.audit_ok(&caller, Some(peer), "user.create", format!("user/{}", user.id)).await;
    let location = [(header::LOCATION, format!("/api/v1/users/{}", user.id))];
    Ok((StatusCode::CREATED, location, axum::Json(UserView::from(&user))).into_response())
}

/// Changes a user; ends their logins and live streams.
#[utoipa::path(patch, path = "/api/v1/users/{id}", tag = "users", request_body = ChangeUser,
    params(("id" = String, Path, description = "Id or name")), responses(
    (status = 200, description = "Changed", body = UserView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn change(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(id): Path<String>,
    Json(wanted): Json<ChangeUser>,
) -> Result<axum::Json<UserView>, Problem> {
    if let Some(password) = &wanted.password {
        check_new_password("password", password)?;
    }
    let id = find(&app, &id).await?.id;
    if let Some(password) = wanted.password {
        let hash = app.passwords.hash(password).await?;
        app.store.set_user_password(id, &hash).await.map_err(problem)?;
    }
    if let Some(role) = wanted.role {
        app.store.set_user_role(id, role).await.map_err(problem)?;
    }
    if let Some(disabled) = wanted.disabled {
        app.store.set_user_disabled(id, disabled).await.map_err(problem)?;
    }
    app.permits.revoke_user(id);
    app.audit_ok(&caller, Some(peer), "user.change", format!("user/{id}")).await;
    Ok(axum::Json((&find(&app, &id.to_string()).await?).into()))
}

/// Removes a user with their logins and API tokens.
#[utoipa::path(delete, path = "/api/v1/users/{id}", tag = "users",
    params(("id" = String, Path, description = "Id or name")), responses(
    (status = 204, description = "Removed"),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn remove(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = find(&app, &id).await?.id;
    app.store.delete_user(id).await.map_err(problem)?;
    app.permits.revoke_user(id);
    app.audit_ok(&caller, Some(peer), "user.remove", format!("user/{id}")).await;
    Ok(StatusCode::NO_CONTENT)
}
