//! The OpenAPI document, made from the handlers and their types.

use std::sync::OnceLock;

use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Document,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::routes::{
    access, deckies, documents,
    hub::{decisions, domains, goals, progress, repos, sweep, tasks, topics, workstreams},
    mutations, observed, panic, relay, schemas, service, snapshots, streams, tokens, topologies,
    undo, users, workers,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Morgana",
        description = "The control surface of a deception network. Times are RFC 3339 in UTC; \
                       errors are problem details (RFC 9457) with a stable `code`."
    ),
    paths(
        service::health, service::status, service::audit_log, service::verify_audit,
        service::openapi, panic::throw,
        access::setup_state, access::setup, access::login, access::logout, access::me,
        access::change_password, access::ticket,
        users::list, users::create, users::show, users::change, users::remove,
        tokens::list, tokens::create, tokens::revoke,
        topologies::list, topologies::create, topologies::show, topologies::remove,
        topologies::deploy, topologies::tear_down,
        documents::generate, documents::import, documents::export, documents::validation,
        undo::undo,
        mutations::list, mutations::enqueue, mutations::show,
        deckies::list, deckies::show, deckies::rotate, deckies::start,
        deckies::stop, deckies::retire,
        observed::attackers, observed::attacker, observed::identities, observed::identity,
        observed::sessions, observed::session, observed::credentials,
        relay::list, relay::dead_letters, relay::retry,
        schemas::list, schemas::show,
        workers::list, workers::stop,
        domains::list, domains::create, domains::show, domains::change, domains::remove,
        goals::list, goals::create, goals::show, goals::change, goals::remove,
        repos::list, repos::create, repos::show, repos::change, repos::remove,
        topics::list, topics::create, topics::show, topics::change, topics::remove,
        workstreams::list, workstreams::create, workstreams::show, workstreams::change, workstreams::remove,
        decisions::list, decisions::create, decisions::show, decisions::change, decisions::remove,
        tasks::list, tasks::create, tasks::show, tasks::change, tasks::remove,
        goals::activate, goals::achieve, goals::retire,
        decisions::resolve, decisions::escalate, decisions::supersede,
        progress::of_workstream, progress::note_workstream, progress::of_task,
        progress::note_task, sweep::sweep_stale,
        streams::topology, streams::identities, streams::attackers, streams::events,
    ),
    components(schemas(
        snapshots::LiveFrame, snapshots::ResetFrame, snapshots::DegradedFrame,
        snapshots::EndFrame,
    )),
    security(("session" = []), ("token" = [])),
    modifiers(&Schemes),
)]
struct Api;

/// How one proves who one is.
struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        let cookie = ApiKeyValue::with_description(
            "morgana_session",
            "Set by login; named `__Host-morgana_session` over TLS.",
        );
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API token, `mrg_…`."))
            .build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
        for (path, item) in &mut document.paths.paths {
            let operations = [
                ("get", &mut item.get),
                ("post", &mut item.post),
                ("patch", &mut item.patch),
                ("delete", &mut item.delete),
            ];
            for (method, operation) in operations {
                if let Some(operation) = operation {
                    operation.operation_id = Some(operation_id(method, path));
                }
            }
        }
    }
}

/// `get_topologies_id_events`: handlers of several modules share their short names.
fn operation_id(method: &str, path: &str) -> String {
    let path = path.trim_start_matches("/api/v1").trim_start_matches('/');
    let words = path.replace(['{', '}'], "").replace(['/', '.'], "_");
    format!("{method}_{words}")
}

/// The OpenAPI document, as committed in `openapi.json`.
pub fn openapi_json() -> String {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    let made = || {
        let mut text = Api::openapi().to_pretty_json().expect("the document serialises");
        text.push('\n');
        text
    };
    DOCUMENT.get_or_init(made).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_document_is_the_one_that_the_code_makes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(path, openapi_json()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == openapi_json(),
            "openapi.json differs from the code: run the tests with UPDATE_OPENAPI=1"
        );
    }
}
