//! What is where.

pub(crate) mod access;
pub(crate) mod deckies;
pub(crate) mod documents;
pub(crate) mod hub;
pub(crate) mod mutations;
pub(crate) mod observed;
pub(crate) mod op;
pub(crate) mod panic;
pub(crate) mod plans;
pub(crate) mod relay;
pub(crate) mod schemas;
pub(crate) mod service;
pub(crate) mod snapshots;
pub(crate) mod streams;
pub(crate) mod tokens;
pub(crate) mod topologies;
pub(crate) mod undo;
pub(crate) mod users;
pub(crate) mod workers;

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    routing::{delete, get, patch, post},
};

use crate::{console, problem::Problem, state::App};

/// All routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    let api = Router::new()
        .route("/status", get(service::status))
        .route("/openapi.json", get(service::openapi))
        .route("/schemas", get(schemas::list))
        .route("/schemas/{type}", get(schemas::show))
        .route("/panic", post(panic::throw))
        .route("/audit", get(service::audit_log))
        .route("/audit/verify", post(service::verify_audit))
        .route("/setup", get(access::setup_state).post(access::setup))
        .route("/login", post(access::login))
        .route("/logout", post(access::logout))
        .route("/me", get(access::me))
        .route("/me/password", post(access::change_password))
        .route("/tickets", post(access::ticket))
        .route("/users", get(users::list).post(users::create))
        .route("/users/{id}", patch(users::change).get(users::show).delete(users::remove))
        .route("/tokens", get(tokens::list).post(tokens::create))
        .route("/tokens/{id}", delete(tokens::revoke))
        .route("/topologies", get(topologies::list).post(topologies::create))
        .route("/generator", post(documents::generate))
        .route("/import", post(documents::import))
        .route("/topologies/{id}", get(topologies::show).delete(topologies::remove))
        .route("/topologies/{id}/deploy", post(topologies::deploy))
        .route("/topologies/{id}/teardown", post(topologies::tear_down))
        .route("/topologies/{id}/mutations", get(mutations::list).post(mutations::enqueue))
        .route("/topologies/{id}/mutations/{mutation}", get(mutations::show))
        .route("/topologies/{id}/undo", post(undo::undo))
        .route("/topologies/{id}/export", get(documents::export))
        .route("/topologies/{id}/validation", get(documents::validation))
        .route("/topologies/{id}/events", get(streams::topology))
        .route("/deckies", get(deckies::list))
        .route("/deckies/{id}", get(deckies::show))
        .route("/deckies/{id}/rotate", post(deckies::rotate))
        .route("/deckies/{id}/start", post(deckies::start))
        .route("/deckies/{id}/stop", post(deckies::stop))
        .route("/deckies/{id}/retire", post(deckies::retire))
        .route("/attackers", get(observed::attackers))
        .route("/attackers/events", get(streams::attackers))
        .route("/attackers/{id}", get(observed::attacker))
        .route("/identities", get(observed::identities))
        .route("/identities/events", get(streams::identities))
        .route("/identities/{id}", get(observed::identity))
        .route("/sessions", get(observed::sessions))
        .route("/sessions/{id}", get(observed::session))
        .route("/credentials", get(observed::credentials))
        .route("/relay", get(relay::list))
        .route("/relay/{sink}/dead-letters", get(relay::dead_letters))
        .route("/relay/{sink}/retry", post(relay::retry))
        .route("/workers", get(workers::list))
        .route("/workers/{name}/stop", post(workers::stop))
        .route("/events", get(streams::events))
        .merge(hub::router())
        .fallback(nothing)
        .method_not_allowed_fallback(wrong_method);
    Router::new()
        .route("/healthz", get(service::health))
        .nest("/api/v1", api)
        .fallback(console::serve)
        .method_not_allowed_fallback(wrong_method)
        .with_state(app)
}

async fn nothing() -> Problem {
    Problem::no_route("the API has no such resource")
}

async fn wrong_method(request: Request) -> Problem {
    Problem::method(format!("{} is not possible here", request.method()))
}
