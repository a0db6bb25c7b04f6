//! Every operation of the OpenAPI document, without and with each role.

use serde_json::{Value, json};

use crate::client::Service;

/// Operations that need no login.
const PUBLIC: [&str; 8] = [
    "get /healthz",
    "get /api/v1/openapi.json",
    "get /api/v1/schemas",
    "get /api/v1/schemas/{type}",
    "get /api/v1/setup",
    "post /api/v1/setup",
    "post /api/v1/login",
    "",
];

/// Who may not do what, by the beginning of the operation.
fn denied(operation: &str, role: &str) -> bool {
    let is = |part: &str| operation.contains(part);
    const OPERATED: [&str; 13] = [
        "/generator",
        "/import",
        "/topologies",
        "/deckies",
        "/panic",
        "/relay",
        "/domain",
        "/repos",
        "/topics",
        "/workstreams",
        "/decisions",
        "/tasks",
        "/domain-goals",
    ];
    let operates = !operation.starts_with("get")
        && OPERATED.iter().any(|part| is(part))
        && !operation.ends_with("events");
    let administers = is("/users") || (is("/workers") && !operation.starts_with("get"));
    match role {
        "admin" => false,
        "operator" => administers || is("/audit"),
        "auditor" => administers || operates,
        "viewer" => administers || is("/audit") || operates,
        other => panic!("{other}"),
    }
}

fn operations(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    let methods = |(path, item): (&String, &Value)| {
        let methods: Vec<String> = item.as_object().unwrap().keys().cloned().collect();
        let path = path.clone();
        methods.into_iter().map(move |method| (method, path.clone()))
    };
    paths.iter().flat_map(methods).collect()
}

#[tokio::test]
async fn every_operation_asks_who_one_is_and_what_one_may_do() {
    let service = Service::start().await;
    service.set_up().await;
    let document = service.get("/api/v1/openapi.json").send().await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let operations = operations(&document);
    assert!(operations.len() > 35, "{}", operations.len());
    let request = |method: &str, path: &str| {
        let path = path.replace("{id}", "none").replace("{mutation}", "none");
        let path =
            path.replace("{sink}", "none").replace("{type}", "none").replace("{name}", "none");
        let request = service.request(&method.to_uppercase(), &path);
        if method == "get" { request } else { request.json(json!({})) }
    };
    for (method, path) in &operations {
        let operation = format!("{method} {path}");
        let status = request(method, path).send().await.status;
        assert_ne!(status, 405, "{operation}");
        let public = PUBLIC.contains(&operation.as_str());
        assert_eq!(status == 401, !public, "{operation} answers {status}");
    }
    for role in ["viewer", "operator", "auditor", "admin"] {
        let cookie = service.user(role).await;
        for (method, path) in &operations {
            let operation = format!("{method} {path}");
            if PUBLIC.contains(&operation.as_str()) || path.ends_with("/logout") {
                continue;
            }
            let reply = request(method, path).cookie(&cookie).open().await.reply;
            let expected = denied(&operation, role);
            assert_eq!(
                reply.status == 403 && !path.ends_with("/password"),
                expected,
                "{operation} as {role} answers {}",
                reply.status
            );
        }
    }
    service.shut_down().await;
}

#[tokio::test]
async fn schemas_are_served_to_everybody() {
    let service = Service::start().await;
    let types = service.get("/api/v1/schemas").send().await.json();
    let envelope = types["envelope"].as_str().unwrap().to_owned();
    let places: Vec<String> = types["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["schema"].as_str().unwrap().to_owned())
        .chain([envelope, "/api/v1/schemas/older-envelope".into()])
        .collect();
    assert!(places.len() > 15, "{places:?}");
    for place in places {
        let reply = service.get(&place).send().await;
        assert_eq!(reply.status, 200, "{place}");
        let name = place.strip_prefix("/api/v1/schemas/").unwrap();
        let committed = format!("{}/../../schemas/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let committed: Value =
            serde_json::from_str(&std::fs::read_to_string(committed).unwrap()).unwrap();
        assert_eq!(reply.json(), committed);
    }
    let missing = service.get("/api/v1/schemas/org.nobody.has.this").send().await;
    assert_eq!((missing.status, missing.json()["code"].clone()), (404, json!("NOT_FOUND")));
    service.shut_down().await;
}
