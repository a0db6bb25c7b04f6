//! The relay: where sinks stand, their dead letters, and who may have them retried.

use std::collections::BTreeMap;

use model::{Event, Payload, SystemLog};
use serde_json::json;
use store::{NewDeadLetter, SinkProgress};

use crate::client::Service;

async fn bury(service: &Service, seqs: std::ops::RangeInclusive<u64>) {
    let letter = |seq| {
        let line = SystemLog {
            worker: "w".into(),
            level: "info".into(),
            message: format!("entry {seq}"),
            fields: BTreeMap::new(),
        };
        let entry = Event::new(&service.ambient, Payload::SystemLog(line)).to_entry(Some(seq));
        NewDeadLetter { entry, attempts: 2, reason: "no such index".into() }
    };
    let progress = SinkProgress { position: Some(*seqs.end()), dead: seqs.map(letter).collect() };
    service.store.save_sink("siem", progress).await.unwrap();
}

#[tokio::test]
async fn sinks_and_their_dead_letters_are_shown() {
    let service = Service::start().await;
    let viewer = service.user("viewer").await;
    bury(&service, 1..=3).await;
    let relay = service.get("/api/v1/relay").cookie(&viewer).send().await.json();
    assert_eq!(relay["items"][0]["sink"], "siem");
    assert_eq!(relay["items"][0]["dead_letters"], 3);
    assert_eq!(relay["items"][0]["state"], "running");
    let path = "/api/v1/relay/siem/dead-letters?limit=2";
    let page = service.get(path).cookie(&viewer).send().await.json();
    assert_eq!(page["items"][0]["payload"]["message"], "entry 3");
    assert_eq!(page["items"][0]["reason"], "no such index");
    let next = format!("{path}&cursor={}", page["next_cursor"].as_str().unwrap());
    let rest = service.get(&next).cookie(&viewer).send().await.json();
    assert_eq!(rest["items"][0]["seq"], 1);
    let none = service.get("/api/v1/relay/nosuch/dead-letters").cookie(&viewer).send().await;
    assert_eq!(none.code(), "NOT_FOUND");
    assert_eq!(service.get("/api/v1/relay").send().await.code(), "UNAUTHENTICATED");
}

#[tokio::test]
async fn operators_have_dead_letters_retried() {
    let service = Service::start().await;
    bury(&service, 1..=3).await;
    let path = "/api/v1/relay/siem/retry";
    for role in ["viewer", "auditor"] {
        let user = service.user(role).await;
        assert_eq!(service.post(path, json!({})).cookie(&user).send().await.code(), "FORBIDDEN");
    }
    let operator = service.user("operator").await;
    let letters = service.store.dead_letters("siem", None, 10).await.unwrap();
    let id = letters.items[0].id;
    let check = async |path: &str, body: serde_json::Value, retrying: u64| {
        let reply = service.post(path, body).cookie(&operator).send().await;
        assert_eq!((reply.status, &reply.json()["retrying"]), (202, &json!(retrying)));
    };
    check(path, json!({ "id": id }), 1).await;
    check(path, json!({}), 2).await;
    check(path, json!({}), 0).await;
    assert_eq!(service.store.retrying_dead_letters("siem", 10).await.unwrap().len(), 3);
    for (path, body, code) in [
        (path, json!({ "id": 999 }), "NOT_FOUND"),
        (path, json!({ "id": "x" }), "INVALID"),
        (path, json!({ "all": true }), "INVALID"),
        ("/api/v1/relay/nosuch/retry", json!({}), "NOT_FOUND"),
    ] {
        let reply = service.post(path, body.clone()).cookie(&operator).send().await;
        assert_eq!(reply.code(), code, "{path} {body}");
    }
}
