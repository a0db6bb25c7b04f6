//! Who may come in, and how.

use serde_json::json;

use crate::client::{PASSWORD, Service};

#[tokio::test]
async fn the_setup_secret_makes_one_administrator_and_closes_the_setup() {
    let service = Service::start().await;
    assert_eq!(service.get("/api/v1/setup").send().await.json()["open"], true);
    let wrong = json!({ "secret": "AAAA", "name": "root", "password": PASSWORD });
    assert_eq!(service.post("/api/v1/setup", wrong.clone()).send().await.code(), "SETUP_SECRET");
    let cookie = service.set_up().await;
    let me = service.get("/api/v1/me").cookie(&cookie).send().await.json();
    assert_eq!((&me["name"], &me["role"]), (&json!("root"), &json!("admin")));
    assert_eq!(service.get("/api/v1/setup").send().await.json()["open"], false);
    assert_eq!(service.post("/api/v1/setup", wrong).send().await.code(), "SETUP_CLOSED");
    assert!(morgana_api::offer_setup(&service.store, &service.ambient).await.unwrap().is_none());
    service.shut_down().await;
}

#[tokio::test]
async fn logins_are_rotated_ended_and_slowed_down() {
    let service = Service::start().await;
    let first = service.set_up().await;
    let body = json!({ "name": "root", "password": PASSWORD });
    let again = service.post("/api/v1/login", body).cookie(&first).send().await;
    assert_eq!(again.status, 200);
    let old = service.get("/api/v1/me").cookie(&first).send().await;
    assert_eq!((old.status, old.code()), (401, "UNAUTHENTICATED".into()));
    let second = service.log_in("root").await;
    let out = service.post("/api/v1/logout", json!({})).cookie(&second).send().await;
    assert_eq!(out.status, 204);
    assert_eq!(service.get("/api/v1/me").cookie(&second).send().await.status, 401);

    let wrong = |name: &str| json!({ "name": name, "password": "not it at all" });
    for name in ["root", "nobody", "root"] {
        let reply = service.post("/api/v1/login", wrong(name)).send().await;
        assert_eq!((reply.status, reply.code()), (401, "WRONG_CREDENTIALS".into()));
    }
    let slow = service.post("/api/v1/login", wrong("root")).send().await;
    assert_eq!((slow.status, slow.header("retry-after")), (429, Some("1")), "{}", slow.body);
    service.shut_down().await;
}

#[tokio::test]
async fn the_owner_needs_no_login_on_the_unix_socket() {
    let service = Service::start().await;
    let me = service.get("/api/v1/me").local().send().await.json();
    assert_eq!((&me["name"], &me["role"]), (&json!("local"), &json!("admin")));
    assert_eq!(service.get("/api/v1/me").send().await.status, 401);
    service.shut_down().await;
}

#[tokio::test]
async fn api_tokens_are_bearer_only_and_never_do_more_than_their_user() {
    let service = Service::start().await;
    service.set_up().await;
    let cookie = service.user("operator").await;
    let body = json!({ "name": "ci", "role": "admin" });
    let made = service.post("/api/v1/tokens", body).cookie(&cookie).send().await;
    assert_eq!(made.status, 201, "{}", made.body);
    let (token, id) = (made.json()["token"].clone(), made.json()["token_id"].clone());
    let token = token.as_str().unwrap();
    assert!(token.starts_with("mrg_") && made.json()["role"] == "operator");
    let bearer = format!("Bearer {token}");
    let me = service.get("/api/v1/me").header("authorization", &bearer).send().await;
    assert_eq!(me.json()["role"], "operator");
    for path in ["/api/v1/me", "/api/v1/identities/events"] {
        let reply = service.get(&format!("{path}?token={token}")).send().await;
        assert!(matches!(reply.status, 400 | 401), "{path}: {}", reply.body);
    }
    let path = format!("/api/v1/tokens/{}", id.as_str().unwrap());
    assert_eq!(service.request("DELETE", &path).cookie(&cookie).send().await.status, 204);
    let me = service.get("/api/v1/me").header("authorization", &bearer).send().await;
    assert_eq!(me.status, 401);
    service.shut_down().await;
}

#[tokio::test]
async fn other_sites_hosts_and_media_types_are_refused() {
    let service = Service::start().await;
    let cookie = service.set_up().await;
    let body = json!({ "name": "maze" });
    let create = || service.post("/api/v1/topologies", body.clone()).cookie(&cookie);
    let refused = create().header("origin", "https://evil.example").send().await;
    assert_eq!((refused.status, refused.code()), (403, "CROSS_SITE".into()));
    let refused = create().header("sec-fetch-site", "cross-site").send().await;
    assert_eq!(refused.code(), "CROSS_SITE");
    let stream = service.get("/api/v1/events").cookie(&cookie);
    assert_eq!(stream.header("sec-fetch-site", "same-site").send().await.code(), "CROSS_SITE");
    let refused = service.get("/healthz").header("host", "evil.example").send().await;
    assert_eq!((refused.status, refused.code()), (421, "UNKNOWN_HOST".into()));
    let form = service.request("POST", "/api/v1/topologies").cookie(&cookie);
    let refused = form.raw("text/plain", r#"{"name":"maze"}"#).send().await;
    assert_eq!((refused.status, refused.code()), (415, "JSON_REQUIRED".into()));
    let own = format!("http://{}", service.addr);
    let accepted = create().header("origin", &own).send().await;
    assert_eq!(accepted.status, 201, "{}", accepted.body);
    service.shut_down().await;
}

#[tokio::test]
async fn what_people_do_stands_in_the_audit_log_denials_too() {
    let service = Service::start().await;
    service.set_up().await;
    let viewer = service.user("viewer").await;
    let refused = service.get("/api/v1/users").cookie(&viewer).send().await;
    assert_eq!((refused.status, refused.code()), (403, "FORBIDDEN".into()));
    assert_eq!(service.get("/api/v1/audit").cookie(&viewer).send().await.status, 403);
    let log = service.get("/api/v1/audit").local().send().await.json();
    let said: Vec<String> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| format!("{} {} {}", e["actor"], e["action"], e["outcome"]).replace('"', ""))
        .collect();
    for wanted in ["viewer request.denied denied", "local user.create ok", "root access.setup ok"] {
        assert!(said.iter().any(|line| line == wanted), "{wanted} is not in {said:?}");
    }
    let check = service.request("POST", "/api/v1/audit/verify").local().send().await.json();
    assert_eq!(check["intact"], true);
    service.shut_down().await;
}
