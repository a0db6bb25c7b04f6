//! Topologies and their mutations.

use model::Trigger;
use serde_json::{Value, json};
use store::NewMutation;

use crate::client::Service;

async fn demo(service: &Service) -> Value {
    let body = json!({ "name": "demo", "template": "demo" });
    let reply = service.post("/api/v1/topologies", body).local().send().await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.json()
}

#[tokio::test]
async fn topologies_are_created_found_by_name_deployed_and_taken_down() {
    let service = Service::start().await;
    let made = demo(&service).await;
    let id = made["topology_id"].as_str().unwrap();
    for text in [id, "demo", &id[..30]] {
        let found = service.get(&format!("/api/v1/topologies/{text}")).local().send().await;
        assert_eq!(found.json()["topology_id"], *id, "{text}");
        assert_eq!(found.header("etag"), Some("\"1\""));
    }
    assert_eq!(service.get("/api/v1/topologies/none").local().send().await.code(), "NOT_FOUND");
    let again = service.post("/api/v1/topologies", json!({ "name": "demo" })).local().send().await;
    assert_eq!((again.status, again.code()), (409, "NAME_TAKEN".into()));
    let wrong = json!({ "name": "x", "colour": 1 });
    let wrong = service.post("/api/v1/topologies", wrong).local().send().await;
    assert_eq!((wrong.status, &wrong.json()["errors"][0]["field"]), (422, &json!("colour")));

    let name = made["deckies"][0]["name"].as_str().unwrap();
    let decky = service.get(&format!("/api/v1/deckies/demo%2F{name}")).local().send().await;
    assert_eq!(decky.json()["decky_id"], made["deckies"][0]["decky_id"], "{}", decky.body);

    let early = service.request("POST", "/api/v1/topologies/demo/teardown").local().send().await;
    assert_eq!((early.status, early.code()), (409, "CONFLICT".into()));
    let deployed = service.request("POST", "/api/v1/topologies/demo/deploy").local().send().await;
    assert_eq!((deployed.status, &deployed.json()["status"]), (202, &json!("deploying")));
    assert!(deployed.json()["position"].as_u64().unwrap() > 1);
    let gone = service.request("DELETE", "/api/v1/topologies/demo").local().send().await;
    assert_eq!((gone.status, &gone.json()["status"]), (202, &json!("tearing_down")));
    service.shut_down().await;
}

#[tokio::test]
async fn mutations_are_checked_queued_once_and_listed_by_state() {
    let service = Service::start().await;
    demo(&service).await;
    let path = "/api/v1/topologies/demo/mutations";
    let op = |name: &str| json!({ "op": "add_lan", "payload": { "name": name } });
    let queue = |body: Value| service.post(path, body).local();

    let first = queue(op("lab")).header("idempotency-key", "k1").send().await;
    assert_eq!(first.status, 202, "{}", first.body);
    let (id, location) = (first.json()["mutation_id"].clone(), first.header("location").unwrap());
    assert_eq!(service.get(location).local().send().await.json()["mutation_id"], id);
    let again = queue(op("lab")).header("idempotency-key", "k1").send().await;
    assert_eq!((again.status, &again.json()["mutation_id"]), (202, &id));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let other = queue(op("den")).header("idempotency-key", "k1").send().await;
    assert_eq!((other.status, other.code()), (422, "IDEMPOTENCY_KEY_REUSED".into()));

    let refused = queue(op("dmz")).send().await;
    assert_eq!((refused.status, refused.code()), (422, "INVALID".into()));
    let error = refused.json()["errors"][0].clone();
    assert_eq!((&error["code"], &error["field"]), (&json!("LAN_NAME_DUP"), &json!("payload.name")));
    let stale = queue(op("den")).header("if-match", "\"7\"").send().await;
    assert_eq!((stale.status, stale.code()), (412, "VERSION_CONFLICT".into()));
    let unknown = json!({ "op": "add_lan", "payload": { "name": "den", "force": true } });
    let unknown = queue(unknown).send().await.json();
    assert_eq!(unknown["errors"][0]["field"], "payload.force");
    let unknown = queue(json!({ "op": "paint", "payload": {} })).send().await.json();
    assert_eq!(unknown["errors"][0]["field"], "op");
    // Fits only once the LAN that is queued before is there.
    let ahead = json!({ "op": "add_decky", "payload": { "name": "pc-9", "lan": "lab" } });
    assert_eq!(queue(ahead).send().await.status, 202);

    let listed = service.get(&format!("{path}?state=pending,applying&limit=1")).local();
    let listed = listed.send().await.json();
    assert_eq!(listed["items"][0]["op"], "add_decky");
    let cursor = listed["next_cursor"].as_str().unwrap();
    let rest = service.get(&format!("{path}?state=pending,applying&cursor={cursor}")).local();
    assert_eq!(rest.send().await.json()["items"][0]["mutation_id"], id);
    let none = service.get(&format!("{path}?state=failed")).local().send().await.json();
    assert_eq!(none["items"], json!([]));
    let wrong = service.get(&format!("{path}?state=lost")).local().send().await;
    assert_eq!((wrong.status, wrong.code()), (422, "INVALID".into()));

    let name = "/api/v1/deckies/demo%2Fpc-0/rotate";
    assert_eq!(service.request("POST", name).local().send().await.code(), "NOT_FOUND");
    service.shut_down().await;
}

#[tokio::test]
async fn mazes_are_generated_exported_and_imported() {
    let service = Service::start().await;
    let wanted = json!({ "name": "big", "seed": 7, "depth": 2, "branching": 3 });
    let made = service.post("/api/v1/generator", wanted).local().send().await;
    assert_eq!((made.status, &made.json()["lan_count"]), (201, &json!(4)), "{}", made.body);
    let wrong = json!({ "name": "x", "depth": 99 });
    let wrong = service.post("/api/v1/generator", wrong).local().send().await.json();
    assert_eq!(wrong["errors"][0]["code"], "GENERATOR_RANGE");

    let get = |path: &str| service.get(&format!("/api/v1/topologies/{path}")).local();
    let mut document = get("big/export").send().await.json();
    assert_eq!(get("big/validation").send().await.json()["deployable"], true);
    let taken = service.post("/api/v1/import", document.clone()).local().send().await;
    assert_eq!(taken.code(), "NAME_TAKEN");
    document["name"] = json!("copy");
    let copy = service.post("/api/v1/import", document.clone()).local().send().await;
    assert_eq!(copy.status, 201, "{}", copy.body);
    assert_eq!(get("copy/export").send().await.json(), document);

    document["lans"][0]["is_dmz"] = json!(false);
    document["deckies"][0]["services"] = json!(["gopher"]);
    let judged = service.post("/api/v1/import?dry_run=true", document).local().send().await;
    assert_eq!((judged.status, &judged.json()["valid"]), (200, &json!(false)));
    assert_eq!(judged.json()["errors"][0]["code"], "UNKNOWN_SERVICE");
    service.shut_down().await;
}

#[tokio::test]
async fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let service = Service::start().await;
    demo(&service).await;
    let path = "/api/v1/topologies/demo/mutations?dry_run=true";
    let batch = json!({ "op": "batch", "payload": { "ops": [
        { "op": "add_lan", "payload": { "name": "lab" } },
        { "op": "attach_decky", "payload": { "decky": "web-01", "lan": "lab" } },
    ] } });
    let plan = service.post(path, batch.clone()).local().send().await;
    assert_eq!(plan.status, 200, "{}", plan.body);
    assert_eq!((&plan.json()["version"], &plan.json()["steps"]), (&json!(2), &json!([])));
    let deployed = service.request("POST", "/api/v1/topologies/demo/deploy").local().send().await;
    assert_eq!(deployed.status, 202, "{}", deployed.body);
    let plan = service.post(path, batch).local().send().await.json();
    let steps = plan["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 2, "{plan}");
    assert_eq!(steps[1], "attach decky web-01 to LAN lab as 10.66.4.10");
    let wrong = json!({ "op": "batch", "payload": { "ops": [
        { "op": "add_lan", "payload": { "name": "lab" } },
        { "op": "remove_lan", "payload": { "name": "dmz" } },
    ] } });
    let wrong = service.post(path, wrong).local().send().await.json();
    let error = &wrong["errors"][0];
    assert_eq!(
        (&error["code"], &error["field"]),
        (&json!("LAN_IN_USE"), &json!("payload.ops[1].payload.name"))
    );
    let listed = service.get("/api/v1/topologies/demo/mutations").local().send().await.json();
    assert_eq!(listed["items"], json!([]));

    let again = service.request("POST", "/api/v1/topologies/demo/deploy").local().send().await;
    assert_eq!((again.status, again.code()), (409, "CONFLICT".into()), "the second is told");
    let own = json!({ "op": "undo", "payload": { "mutations": [], "ops": [] } });
    let own = service.post("/api/v1/topologies/demo/mutations", own).local().send().await.json();
    assert_eq!(own["errors"][0]["field"], "op");
    let undo = service.request("POST", "/api/v1/topologies/demo/undo").local().send().await;
    assert_eq!((undo.status, undo.code()), (409, "UNDO_UNSAFE".into()));
    service.shut_down().await;
}

/// Has an op applied, as the mutator would.
async fn apply(service: &Service, op: Value, trigger: Trigger) {
    let record = service.store.topology_named(&"demo".parse().unwrap()).await.unwrap().unwrap();
    let mutation = NewMutation {
        topology_id: record.topology.id,
        op: serde_json::from_value(op).unwrap(),
        expected_version: None,
        idempotency_key: None,
        requested_by: "test".into(),
        trigger,
        dedupe_event: None,
    };
    service.store.enqueue(mutation).await.unwrap();
    take_up(service).await;
}

/// Has what is queued applied, as the mutator would.
async fn take_up(service: &Service) {
    let lease = std::time::Duration::from_secs(30);
    let claim = service.store.claim("test", lease).await.unwrap().unwrap();
    let (topology, mutation) = (&claim.topology.topology, &claim.mutation);
    let done = maze::apply(topology, &mutation.op, &service.ambient).unwrap();
    let (id, attempt) = (mutation.id, mutation.attempt);
    let finish =
        service.store.finish_applied(id, attempt, &done.topology, &done.inverse, Vec::new());
    finish.await.unwrap();
}

#[tokio::test]
async fn an_undo_is_refused_where_it_is_not_safe() {
    let service = Service::start().await;
    demo(&service).await;
    let add = json!({ "op": "add_decky", "payload": { "name": "new-01", "lan": "office" } });
    apply(&service, add, Trigger::Operator).await;
    let rotate = json!({ "op": "rotate_decky", "payload": { "decky": "new-01" } });
    apply(&service, rotate, Trigger::Scheduled).await;
    let undo = async |query: &str, body: Value| {
        let path = format!("/api/v1/topologies/demo/undo{query}");
        service.post(&path, body).local().send().await
    };
    let refused = undo("", json!({})).await;
    assert_eq!((refused.status, refused.code()), (409, "UNDO_UNSAFE".into()));
    assert!(refused.body.contains("new-01 was changed since by rotate_decky"), "{}", refused.body);
    let plan = undo("?dry_run=true", json!({ "force": true })).await;
    assert_eq!((plan.status, &plan.json()["changes"]), (200, &json!(["decky new-01 goes"])));
    let many = undo("", json!({ "count": 2, "force": true })).await;
    assert!(many.body.contains("only 1 mutations"), "{}", many.body);
    let stale = undo("", json!({ "force": true, "expected_version": 1 })).await;
    assert_eq!((stale.status, stale.code()), (412, "VERSION_CONFLICT".into()));
    let keyed = async |body: Value| {
        let undo = service.post("/api/v1/topologies/demo/undo", body).local();
        undo.header("idempotency-key", "back").send().await
    };
    let queued = keyed(json!({ "force": true })).await;
    assert_eq!((queued.status, &queued.json()["op"]), (202, &json!("undo")), "{}", queued.body);
    let early = undo("", json!({ "force": true })).await;
    assert!(early.body.contains("in the queue still"), "{}", early.body);

    // Who repeats the request is answered as before, while it waits and after it was applied.
    for is_applied in [false, true] {
        let again = keyed(json!({ "force": true })).await;
        assert_eq!((again.status, again.header("idempotency-replayed")), (202, Some("true")));
        assert_eq!(again.json()["mutation_id"], queued.json()["mutation_id"]);
        assert_eq!(again.json()["state"] == "applied", is_applied, "{}", again.body);
        if !is_applied {
            take_up(&service).await;
        }
    }
    let other = keyed(json!({ "count": 2, "force": true })).await;
    assert_eq!((other.status, other.code()), (422, "IDEMPOTENCY_KEY_REUSED".into()));
    service.shut_down().await;
}

#[tokio::test]
async fn a_retirement_that_is_repeated_is_answered_as_the_first_time() {
    let service = Service::start().await;
    demo(&service).await;
    let retire = async |key: &str| {
        let retire = service.request("POST", "/api/v1/deckies/demo%2Fapp-01/retire").local();
        retire.header("idempotency-key", key).send().await
    };
    let first = retire("bye").await;
    assert_eq!(first.status, 202, "{}", first.body);
    take_up(&service).await;
    let again = retire("bye").await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (202, Some("true")));
    assert_eq!(again.json()["mutation_id"], first.json()["mutation_id"]);
    let late = retire("late").await;
    assert_eq!((late.status, late.code()), (404, "NOT_FOUND".into()));
    service.shut_down().await;
}

#[tokio::test]
async fn what_faces_nobody_is_not_deployed() {
    let service = Service::start().await;
    let inner = json!({ "format": 1, "name": "inner", "lans": [{ "name": "a" }] });
    assert_eq!(service.post("/api/v1/import", inner).local().send().await.status, 201);
    let refused = service.request("POST", "/api/v1/topologies/inner/deploy").local().send().await;
    assert_eq!(refused.json()["errors"][0]["code"], "DMZ_MISSING");
    service.shut_down().await;
}

#[tokio::test]
async fn problems_are_json_everywhere_and_bodies_are_bounded() {
    let service = Service::start().await;
    let check = |reply: crate::client::Reply, status: u16, code: &str| {
        assert_eq!((reply.status, reply.code()), (status, code.into()), "{}", reply.body);
    };
    check(service.get("/api/v1/nothing").send().await, 404, "NO_ROUTE");
    check(service.get("/api/v2").send().await, 404, "NO_ROUTE");
    check(service.request("PUT", "/api/v1/topologies").send().await, 405, "METHOD_NOT_ALLOWED");
    let broken = service.request("POST", "/api/v1/topologies").local();
    check(broken.raw("application/json", "{").send().await, 400, "MALFORMED_REQUEST");
    let large = json!({ "name": "x".repeat(300_000) });
    check(service.post("/api/v1/topologies", large).local().send().await, 413, "BODY_TOO_LARGE");
    let page = service.get("/api/v1/topologies?limit=500").local();
    check(page.send().await, 422, "INVALID");
    service.shut_down().await;
}

#[tokio::test]
async fn the_console_is_served_for_its_own_paths_with_strict_headers() {
    let service = Service::start().await;
    for path in ["/", "/mazes/demo"] {
        let page = service.get(path).send().await;
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    }
    assert_eq!(service.get("/missing.js").send().await.status, 404);
    let api = service.get("/api/v1/setup").send().await;
    assert_eq!(api.header("cache-control"), Some("no-store"));
    assert_eq!(service.get("/healthz").send().await.json(), json!({ "status": "ok" }));
    service.shut_down().await;
}
