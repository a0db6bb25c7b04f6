//! Workers: who may see them, and who may stop them.

use bus::{Delivery, OnLag};
use serde_json::json;

use crate::client::Service;

#[tokio::test]
async fn workers_are_listed_by_name() {
    let service = Service::start().await;
    let viewer = service.user("viewer").await;
    let reply = service.get("/api/v1/workers").cookie(&viewer).send().await;
    assert_eq!(reply.status, 200);
    let body = reply.json();
    let states: Vec<_> = body["items"].as_array().unwrap().iter().map(|w| &w["state"]).collect();
    assert_eq!(states, ["ok", "ok", "stopped"]);
    assert_eq!(body["items"][1]["figures"]["applied_total"], 3);
    assert_eq!(service.get("/api/v1/workers").send().await.status, 401);
}

#[tokio::test]
async fn only_administrators_stop_a_worker_and_the_order_goes_over_the_bus() {
    let service = Service::start().await;
    let filter = "system.*.control".parse().unwrap();
    let mut orders = service.bus.subscribe(filter, 8, OnLag::DropNewest).await;
    for role in ["viewer", "operator", "auditor"] {
        let user = service.user(role).await;
        let stop = service.post("/api/v1/workers/mutator/stop", json!({})).cookie(&user);
        assert_eq!(stop.send().await.code(), "FORBIDDEN", "{role}");
    }
    let admin = service.set_up().await;
    for (worker, code) in [
        ("nobody", "NOT_FOUND"),
        ("bus", "CONFLICT"),
        ("observer", "CONFLICT"),
        ("a.b", "NOT_FOUND"),
    ] {
        let path = format!("/api/v1/workers/{worker}/stop");
        assert_eq!(service.post(&path, json!({})).cookie(&admin).send().await.code(), code);
    }
    let stop = service.post("/api/v1/workers/mutator/stop", json!({})).cookie(&admin);
    let reply = stop.send().await;
    assert_eq!((reply.status, reply.json()["action"].as_str()), (202, Some("stop")));
    let Some(Delivery::Event(order)) = orders.next().await else { panic!("no order came") };
    assert_eq!(order.topic.as_str(), "system.mutator.control");
    let payload: serde_json::Value = serde_json::from_str(order.payload.get()).unwrap();
    assert_eq!(payload, json!({ "worker": "mutator", "action": "stop", "requested_by": "root" }));
    let audit = service.get("/api/v1/audit").cookie(&admin).send().await.json();
    assert_eq!(audit["items"][0]["action"], "worker.stop");
    service.bus.close().await;
    let late = service.post("/api/v1/workers/mutator/stop", json!({})).cookie(&admin).send().await;
    assert_eq!(late.code(), "CONFLICT", "{}", late.body);
}
