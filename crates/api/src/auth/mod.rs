//! Who is asking: logins by cookie, API tokens, tickets for streams, and the peers of the UNIX
//! socket.
//!
//! Secrets are hashed before they are kept or compared; only the store's rows decide.

mod limits;
mod password;
mod secrets;
mod site;
mod tickets;

use std::time::Duration;

use axum::http::{HeaderMap, header, request::Parts};
use model::{Timestamp, TokenId, UserId};
use store::{Store, TokenHash};

pub(crate) use model::Role;

pub(crate) use limits::Throttle;
pub(crate) use password::{Passwords, check_new_password};
pub(crate) use secrets::{hash_token, new_api_token, new_session_token, new_setup_secret};
pub(crate) use site::{Hosts, guard_site};
pub(crate) use tickets::Tickets;

use crate::{peer::Peer, problem::Problem, state::App};

/// The actor of the UNIX socket.
pub(crate) const LOCAL: &str = "local";

/// How somebody proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Proof {
    /// A browser's cookie.
    Login(TokenHash),
    /// An API token.
    ApiToken(TokenHash, TokenId),
    /// The credentials of the process behind the UNIX socket.
    Local(u32),
}

/// Somebody who may ask.
#[derive(Clone, Debug)]
pub(crate) struct Principal {
    /// `None` for the UNIX socket.
    pub(crate) user_id: Option<UserId>,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) proof: Proof,
    /// When this ends at the latest.
    pub(crate) until: Option<Timestamp>,
}

impl Principal {
    /// Refuses who has none of these roles.
    pub(crate) fn require(&self, allowed: &[Role]) -> Result<(), Problem> {
        if allowed.contains(&self.role) {
            return Ok(());
        }
        Err(Problem::forbidden(format!("the role {} may not do this", self.role)))
    }
}

/// Whoever is behind a request.
///
/// # Errors
/// Where nobody is, or what they show does not hold.
pub(crate) async fn authenticate(app: &App, parts: &Parts) -> Result<Principal, Problem> {
    if let Some(token) = bearer(&parts.headers) {
        let found = of_api_token(&app.store, hash_token(token)).await?;
        return found.ok_or_else(|| Problem::unauthenticated("the API token does not hold"));
    }
    if let Some(token) = cookie(&parts.headers, app.cookie_name()) {
        let found = of_login(app, hash_token(token)).await?;
        return found.ok_or_else(|| Problem::unauthenticated("the login has ended"));
    }
    match parts.extensions.get::<Peer>() {
        Some(Peer::Unix { uid }) if app.trusts(*uid) => Ok(local(*uid)),
        _ => Err(Problem::unauthenticated("log in, or send an API token")),
    }
}

/// Looks again whether what a stream was opened with still holds, and counts as use of it.
pub(crate) async fn still_holds(app: &App, principal: &Principal) -> Result<bool, Problem> {
    let found = match principal.proof {
        Proof::Login(hash) => of_login(app, hash).await?,
        Proof::ApiToken(hash, _) => of_api_token(&app.store, hash).await?,
        Proof::Local(_) => return Ok(true),
    };
    Ok(found.is_some_and(|now| now.role == principal.role))
}

fn local(uid: u32) -> Principal {
    Principal {
        user_id: None,
        name: LOCAL.into(),
        role: Role::Admin,
        proof: Proof::Local(uid),
        until: None,
    }
}

/// A login's use is written down at most this often.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

async fn of_login(app: &App, hash: TokenHash) -> Result<Option<Principal>, Problem> {
    let Some(session) = app.store.web_session(hash).await? else { return Ok(None) };
    let idle_until = app.ambient.now().plus(app.config.limits.session_idle);
    if idle_until.since(session.idle_until) >= TOUCH_EVERY {
        app.store.touch_web_session(hash, idle_until).await?;
    }
    Ok(Some(Principal {
        user_id: Some(session.user.id),
        name: session.user.name,
        role: session.user.role,
        proof: Proof::Login(hash),
        until: Some(session.absolute_until),
    }))
}

async fn of_api_token(store: &Store, hash: TokenHash) -> Result<Option<Principal>, Problem> {
    let Some((token, user)) = store.api_token(hash).await? else { return Ok(None) };
    Ok(Some(Principal {
        user_id: Some(user.id),
        name: user.name,
        role: narrower(token.role, user.role),
        proof: Proof::ApiToken(hash, token.id),
        until: token.expires_at,
    }))
}

/// What a token may do: never more than its user. Roles that do not contain each other meet in
/// the viewer.
pub(crate) fn narrower(token: Role, user: Role) -> Role {
    match (token, user) {
        (token, user) if token == user => token,
        (token, Role::Admin) => token,
        (Role::Admin, user) => user,
        _ => Role::Viewer,
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_does_more_than_its_user() {
        use Role::{Admin, Auditor, Operator, Viewer};
        for (token, user, both) in [
            (Admin, Admin, Admin),
            (Admin, Operator, Operator),
            (Operator, Admin, Operator),
            (Operator, Auditor, Viewer),
            (Auditor, Viewer, Viewer),
            (Operator, Operator, Operator),
        ] {
            assert_eq!(narrower(token, user), both, "{token} of {user}");
        }
    }

    #[test]
    fn cookies_are_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=1; morgana_session=x=y".parse().unwrap());
        assert_eq!(cookie(&headers, "morgana_session"), Some("x=y"));
        assert_eq!(cookie(&headers, "session"), None);
    }
}
