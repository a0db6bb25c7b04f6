//! The kill switch: who may throw it, and what it leaves behind.

use serde_json::json;

use crate::client::Service;

#[tokio::test]
async fn operators_switch_the_network_off_and_it_is_written_down() {
    let service = Service::start().await;
    let demo = json!({ "name": "demo", "template": "demo" });
    assert_eq!(service.post("/api/v1/topologies", demo).local().send().await.status, 201);
    let deploy = service.request("POST", "/api/v1/topologies/demo/deploy");
    assert_eq!(deploy.local().send().await.status, 202);

    assert_eq!(service.post("/api/v1/panic", json!({})).send().await.status, 401);
    let (viewer, auditor) = (service.user("viewer").await, service.user("auditor").await);
    for user in [&viewer, &auditor] {
        let refused = service.post("/api/v1/panic", json!({})).cookie(user).send().await;
        assert_eq!(refused.code(), "FORBIDDEN");
    }
    let operator = service.user("operator").await;
    let typo = service.post("/api/v1/panic", json!({ "onyl": "demo" })).cookie(&operator);
    assert_eq!(typo.send().await.status, 422);

    let reply = service.post("/api/v1/panic", json!({})).cookie(&operator).send().await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let off = &reply.json()["topologies"][0];
    assert_eq!((&off["name"], &off["from"]), (&json!("demo"), &json!("deploying")));
    assert_eq!((&off["status"], &off["decky_count"]), (&json!("pending"), &json!(6)));
    assert_eq!(reply.json()["left"], json!([]));
    let shown = service.get("/api/v1/topologies/demo").local().send().await.json();
    assert_eq!(shown["status"], "pending");
    assert_eq!(shown["reason"], "by operator", "{shown:#}");

    let again = service.request("POST", "/api/v1/panic").local().send().await;
    assert_eq!((again.status, &again.json()["topologies"]), (200, &json!([])));
    let audit = service.get("/api/v1/audit").cookie(&auditor).send().await.json();
    let all = audit["items"].as_array().unwrap();
    let thrown: Vec<_> = all.iter().filter(|e| e["action"] == "network.panic").collect();
    assert_eq!(thrown.len(), 2, "{audit:#}");
    assert!(thrown.iter().any(|e| e["detail"] == "1 topologies with 6 deckies"), "{audit:#}");
    service.shut_down().await;
}
