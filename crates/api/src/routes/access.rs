//! Set-up, login, logout, tickets, and who one is.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use model::{Role, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use store::{NewUser, NewWebSession, SetupError, SetupState, UserError, UserRecord};
use utoipa::ToSchema;

use super::users::check_name;
use crate::{
    auth::{Principal, Proof, check_new_password, cookie, hash_token, new_session_token},
    extract::{Json, Viewer},
    peer::Peer,
    problem::{Problem, ProblemBody},
    state::{App, Audit},
    words::{Id, Moment, RoleWord},
};

/// Where the set-up stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SetupView {
    /// Whether the first administrator is still to be created.
    open: bool,
}

/// The first administrator.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetupRequest {
    /// As printed on the host.
    secret: String,
    /// Log-in name.
    name: String,
    /// 8 to 128 characters, not a common one.
    password: String,
}

/// A login.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginRequest {
    name: String,
    password: String,
}

/// A new password for oneself.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordRequest {
    current: String,
    /// 8 to 128 characters, not a common one.
    new: String,
}

/// Who one is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Me {
    /// Absent on the UNIX socket.
    #[schema(value_type = Id, nullable, required)]
    user_id: Option<UserId>,
    name: String,
    #[schema(value_type = RoleWord)]
    role: Role,
    /// When the login or token ends at the latest.
    #[schema(value_type = Moment, nullable, required)]
    until: Option<Timestamp>,
}

impl From<&Principal> for Me {
    fn from(principal: &Principal) -> Self {
        Self {
            user_id: principal.user_id,
            name: principal.name.clone(),
            role: principal.role,
            until: principal.until,
        }
    }
}

/// A ticket.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TicketView {
    /// Goes as `?token=` on the address of a live stream; good once.
    ticket: String,
    #[schema(value_type = Moment)]
    expires_at: Timestamp,
}

/// Whether the first administrator is still to be created.
#[utoipa::path(get, path = "/api/v1/setup", tag = "access", security(()), responses(
    (status = 200, description = "Where the set-up stands", body = SetupView),
))]
pub(crate) async fn setup_state(
    State(app): State<Arc<App>>,
) -> Result<axum::Json<SetupView>, Problem> {
    let open = match app.store.setup_state().await? {
        SetupState::Fresh | SetupState::Offered { .. } => true,
        SetupState::Closed => false,
    };
    Ok(axum::Json(SetupView { open }))
}

/// Creates the first administrator, with the secret printed on the host, and logs in. Works
/// once.
#[utoipa::path(post, path = "/api/v1/setup", tag = "access", security(()), request_body = SetupRequest, responses(
    (status = 201, description = "Created and logged in", body = Me),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn setup(
    State(app): State<Arc<App>>,
    peer: Peer,
    headers: HeaderMap,
    Json(request): Json<SetupRequest>,
) -> Result<Response, Problem> {
    const SETUP: &str = "(set-up)";
    slow_down(&app, SETUP, peer)?;
    if matches!(app.store.setup_state().await?, SetupState::Closed) {
        return Err(Problem::setup_closed("the first administrator exists"));
    }
    check_name(&request.name)?;
    check_new_password("password", &request.password)?;
    let password_hash = app.passwords.hash(request.password).await?;
    let user = NewUser { name: request.name, role: Role::Admin, password_hash };
    let secret = hash_token(&request.secret.trim().to_ascii_uppercase());
    let user = match app.store.consume_setup(secret, user).await {
        Ok(user) => user,
        Err(error) => {
            app.throttle.failed(SETUP, peer.address());
            audit_login(&app, SETUP, peer, "access.setup", "denied").await;
            return Err(setup_problem(error));
        }
    };
    audit_login(&app, &user.name, peer, "access.setup", "ok").await;
    let answer = log_in(&app, &user, &headers).await?;
    Ok((StatusCode::CREATED, answer).into_response())
}

fn setup_problem(error: SetupError) -> Problem {
    match error {
        SetupError::Closed => Problem::setup_closed("the first administrator exists"),
        SetupError::Wrong | SetupError::Expired => Problem::setup_secret(error.to_string()),
        SetupError::Store(error) => error.into(),
    }
}

/// Logs in: sets the session cookie.
#[utoipa::path(post, path = "/api/v1/login", tag = "access", security(()), request_body = LoginRequest, responses(
    (status = 200, description = "Logged in", body = Me),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn login(
    State(app): State<Arc<App>>,
    peer: Peer,
    headers: HeaderMap,
    Json(request): Json<LoginRequest>,
) -> Result<Response, Problem> {
    slow_down(&app, &request.name, peer)?;
    let user = app.store.user_by_name(&request.name).await?.filter(|user| !user.disabled);
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    let fits = app.passwords.verify(request.password, hash).await?;
    let Some(user) = user.filter(|_| fits) else {
        app.throttle.failed(&request.name, peer.address());
        audit_login(&app, &request.name, peer, "access.login", "denied").await;
        return Err(Problem::wrong_login("name or password is wrong"));
    };
    app.throttle.succeeded(&user.name);
    audit_login(&app, &user.name, peer, "access.login", "ok").await;
    log_in(&app, &user, &headers).await
}

fn slow_down(app: &App, account: &str, peer: Peer) -> Result<(), Problem> {
    let Some(wait) = app.throttle.wait(account, peer.address()) else { return Ok(()) };
    let seconds = wait.as_secs() + 1;
    Err(Problem::throttled(format!("try again in {seconds} s")).retry_after(seconds))
}

async fn audit_login(app: &App, actor: &str, peer: Peer, action: &str, outcome: &str) {
    let actor: String = model::escape_text(actor.as_bytes()).chars().take(64).collect();
    let object = "access".into();
    app.audit(Audit { actor: &actor, action, object, peer: Some(peer), outcome, detail: None })
        .await;
}

/// Begins a browser session in place of the one that the request came with.
async fn log_in(app: &App, user: &UserRecord, headers: &HeaderMap) -> Result<Response, Problem> {
    if let Some(old) = cookie(headers, app.cookie_name()) {
        end_login(app, Proof::Login(hash_token(old))).await?;
    }
    let (token, now) = (new_session_token(&app.ambient), app.ambient.now());
    let limits = &app.config.limits;
    let session = NewWebSession {
        hash: hash_token(&token),
        user_id: user.id,
        idle_until: now.plus(limits.session_idle),
        absolute_until: now.plus(limits.session_lifetime),
    };
    let until = session.absolute_until;
    app.store.put_web_session(session).await.map_err(|error| match error {
        UserError::Store(error) => error.into(),
        _ => Problem::wrong_login("name or password is wrong"),
    })?;
    let me =
        Me { user_id: Some(user.id), name: user.name.clone(), role: user.role, until: Some(until) };
    let cookie = set_cookie(app, &token, limits.session_lifetime.as_secs());
    Ok(([(header::SET_COOKIE, cookie)], axum::Json(me)).into_response())
}

fn set_cookie(app: &App, token: &str, max_age: u64) -> HeaderValue {
    let secure = if app.hosts.secure { "; Secure" } else { "" };
    let name = app.cookie_name();
    let text =
        format!("{name}={token}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&text).expect("tokens and names are of base64url and letters")
}

/// Ends a login and its streams.
async fn end_login(app: &App, proof: Proof) -> Result<(), Problem> {
    if let Proof::Login(hash) = proof {
        app.store.delete_web_session(hash).await?;
        app.permits.revoke_proof(proof);
    }
    Ok(())
}

/// Ends the login and its live streams.
#[utoipa::path(post, path = "/api/v1/logout", tag = "access", responses(
    (status = 204, description = "Logged out"),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn logout(
    Viewer(caller): Viewer,
    State(app): State<Arc<App>>,
    peer: Peer,
) -> Result<Response, Problem> {
    end_login(&app, caller.proof).await?;
    audit_login(&app, &caller.name, peer, "access.logout", "ok").await;
    let cleared = [(header::SET_COOKIE, set_cookie(&app, "", 0))];
    Ok((StatusCode::NO_CONTENT, cleared).into_response())
}

/// Who one is.
#[utoipa::path(get, path = "/api/v1/me", tag = "access", responses(
    (status = 200, description = "Who one is", body = Me),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn me(Viewer(caller): Viewer) -> axum::Json<Me> {
    axum::Json((&caller).into())
}

/// Changes one's password; ends all logins of the user and begins a new one.
#[utoipa::path(post, path = "/api/v1/me/password", tag = "access", request_body = PasswordRequest, responses(
    (status = 200, description = "Changed and logged in anew", body = Me),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn change_password(
    Viewer(caller): Viewer,
    State(app): State<Arc<App>>,
    peer: Peer,
    headers: HeaderMap,
    Json(request): Json<PasswordRequest>,
) -> Result<Response, Problem> {
    let (Some(id), Proof::Login(_)) = (caller.user_id, caller.proof) else {
        return Err(Problem::forbidden("only a login by password can change the password"));
    };
    slow_down(&app, &caller.name, peer)?;
    check_new_password("new", &request.new)?;
    let user = app.store.user(id).await?;
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    let fits = app.passwords.verify(request.current, hash).await?;
    let Some(user) = user.filter(|_| fits) else {
        app.throttle.failed(&caller.name, peer.address());
        return Err(Problem::field("current", "WRONG_PASSWORD", "this is not the password"));
    };
    let hash = app.passwords.hash(request.new).await?;
    app.store.set_user_password(id, &hash).await.map_err(super::users::problem)?;
    app.permits.revoke_user(id);
    app.audit_ok(&caller, Some(peer), "user.password", format!("user/{id}")).await;
    log_in(&app, &user, &headers).await
}

/// Makes a ticket for a live stream, for clients that can send neither cookie nor header.
#[utoipa::path(post, path = "/api/v1/tickets", tag = "access", responses(
    (status = 201, description = "Good once, for 60 s", body = TicketView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn ticket(
    Viewer(caller): Viewer,
    State(app): State<Arc<App>>,
) -> Result<Response, Problem> {
    let Some((ticket, expires_at)) = app.tickets.issue(caller) else {
        return Err(Problem::unavailable("too many tickets wait to be used").retry_after(60));
    };
    Ok((StatusCode::CREATED, axum::Json(TicketView { ticket, expires_at })).into_response())
}
