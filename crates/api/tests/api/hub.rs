//! The hub: its resources, their refusals, and what the journal says afterwards.

use std::time::Duration;

use model::JournalEntry;
use serde_json::{Value, json};

use crate::client::{Reply, Service};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn post(service: &Service, path: &str, body: Value) -> Reply {
    service.post(&format!("/api/v1{path}"), body).local().send().await
}

async fn patch(service: &Service, path: &str, body: Value) -> Reply {
    service.request("PATCH", &format!("/api/v1{path}")).json(body).local().send().await
}

async fn get(service: &Service, path: &str) -> Value {
    let reply = service.get(&format!("/api/v1{path}")).local().send().await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.body);
    reply.json()
}

/// Makes something; it must work.
async fn made(service: &Service, path: &str, body: Value) -> Value {
    let reply = post(service, path, body).await;
    assert_eq!(reply.status, 201, "{path}: {}", reply.body);
    reply.json()
}

/// A domain `ops`, a topic `decoys` and an active workstream `ssh`.
async fn ground(service: &Service) {
    made(service, "/domains", json!({ "slug": "ops", "title": "Operations" })).await;
    let topic = json!({ "slug": "decoys", "domain": "ops", "title": "Decoys" });
    made(service, "/topics", topic).await;
    let stream = json!({ "slug": "ssh", "topic": "decoys", "title": "SSH", "state": "active" });
    made(service, "/workstreams", stream).await;
}

/// The refusal: status, code, and code and field of the first error.
fn refusal(reply: &Reply) -> (u16, String, String, String) {
    let code = reply.code();
    let error = &reply.json()["errors"][0];
    let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    (reply.status, code, text("code"), text("field"))
}

fn check(reply: &Reply, status: u16, code: &str, error: &str, field: &str) {
    let expected = (status, code.into(), error.into(), field.into());
    assert_eq!(refusal(reply), expected, "{}", reply.body);
}

async fn lifecycle(service: &Service) -> Vec<JournalEntry> {
    let all = service.store.journal_after(0, 1000).await.unwrap();
    all.into_iter().filter(|entry| entry.topic.as_str().starts_with("org.statehub.")).collect()
}

fn payload(entry: &JournalEntry) -> Value {
    serde_json::from_str(entry.payload.get()).unwrap()
}

#[tokio::test]
async fn the_five_routes_publish_their_events_with_who_and_where() {
    let service = Service::start().await;
    let cookie = {
        service.set_up().await;
        service.user("operator").await
    };
    ground(&service).await;
    let send = async |method: &str, path: &str, body: Value| {
        let request = service.request(method, &format!("/api/v1{path}")).json(body);
        let reply = request.cookie(&cookie).header("traceparent", TRACE).send().await;
        assert!(reply.status < 300, "{path}: {}", reply.body);
        reply.json()
    };
    let repo = json!({ "slug": "maze", "domain": "ops", "remote_url": "https://example.net/m" });
    let repo = send("POST", "/repos/", repo).await;
    let goal = send("POST", "/domain-goals/", json!({ "domain": "ops", "title": "See" })).await;
    let goal_id = goal["goal_id"].as_str().unwrap();
    assert_eq!(goal["state"], "draft");
    send("POST", &format!("/domain-goals/{goal_id}/activate"), json!({})).await;
    let decision = json!({ "title": "Which banner?", "workstream": "ssh" });
    let decision = send("POST", "/decisions", decision).await;
    let resolve = format!("/decisions/{}/resolve", decision["decision_id"].as_str().unwrap());
    let resolved = send("POST", &resolve, json!({ "rationale": "The usual one." })).await;
    assert_eq!((&resolved["type"], &resolved["status"]), (&json!("made"), &json!("resolved")));
    assert_eq!(resolved["decided_by"], "operator");
    let task = json!({ "workstream": "ssh", "title": "Banner" });
    let task = send("POST", "/tasks", task).await;
    let body = json!({ "state": "finished", "repo": "maze", "repo_goal": goal_id });
    let stream = send("PATCH", "/workstreams/ssh", body).await;
    let look = send("POST", "/tasks/sweep-stale", json!({ "dry_run": true })).await;
    assert_eq!((&look["stale"], &look["cancelled"]), (&json!(1), &json!(0)), "{look}");
    let swept = send("POST", "/tasks/sweep-stale", json!({})).await;
    assert_eq!(swept["task_ids"], json!([task["task_id"]]));

    let events = lifecycle(&service).await;
    let topics: Vec<&str> = events.iter().map(|entry| entry.topic.as_str()).collect();
    assert_eq!(
        topics,
        [
            "org.statehub.repo.registered",
            "org.statehub.domain.goal.activated",
            "org.statehub.decision.resolved",
            "org.statehub.workstream.completed",
            "org.statehub.task.stale",
            "org.statehub.task.sweep.completed",
        ]
    );
    for event in &events {
        assert_eq!(event.context.actor.as_deref(), Some("operator"));
        assert_eq!(event.context.traceparent.as_deref(), Some(TRACE));
    }
    assert_eq!(payload(&events[0])["repo_id"], repo["repo_id"]);
    assert_eq!(payload(&events[3])["workstream_id"], stream["workstream_id"]);
    assert_eq!(payload(&events[3])["repo_goal_id"], goal["goal_id"]);
    assert_eq!(payload(&events[4])["previous_state"], "todo");
    assert_eq!(events[5].seq, swept["position"].as_u64());
    service.shut_down().await;
}

#[tokio::test]
async fn bad_input_is_refused_with_code_and_field() {
    let service = Service::start().await;
    ground(&service).await;
    let domain = |slug: &str| json!({ "slug": slug, "title": "x" });
    let reply = post(&service, "/domains", domain("ops")).await;
    check(&reply, 409, "SLUG_TAKEN", "SLUG_TAKEN", "slug");
    for wrong in ["Ops", "a--b", "-a", "", &"x".repeat(65)] {
        let reply = post(&service, "/domains/", domain(wrong)).await;
        check(&reply, 422, "INVALID", "INVALID_VALUE", "slug");
    }
    let reply = post(&service, "/domains", json!({ "slug": "x", "title": "x", "colour": 1 })).await;
    check(&reply, 422, "INVALID", "UNKNOWN_FIELD", "colour");
    let reply = post(&service, "/domains", json!({ "slug": "x" })).await;
    check(&reply, 422, "INVALID", "MISSING_FIELD", "title");
    let reply = post(&service, "/repos", json!({ "slug": "x", "domain": "nowhere" })).await;
    check(&reply, 422, "INVALID", "UNKNOWN_REFERENCE", "domain");
    let url = "https://me:secret@example.net/m";
    let body = json!({ "slug": "x", "domain": "ops", "remote_url": url });
    let reply = post(&service, "/repos", body).await;
    check(&reply, 422, "INVALID", "INVALID_VALUE", "remote_url");
    assert!(!reply.body.contains("secret"), "{}", reply.body);
    let reply = post(&service, "/decisions", json!({ "title": "x", "type": "made" })).await;
    check(&reply, 422, "INVALID", "MISSING_FIELD", "rationale");
    let reply = post(&service, "/decisions", json!({ "title": "x", "decided_by": "y" })).await;
    check(&reply, 422, "INVALID", "UNEXPECTED_FIELD", "decided_by");
    let body = json!({ "workstream": "ssh", "title": "x", "state": "asleep" });
    let reply = post(&service, "/tasks", body).await;
    check(&reply, 422, "INVALID", "UNKNOWN_VALUE", "state");
    let reply = post(&service, "/tasks/none/progress", json!({ "text": "x" })).await;
    assert_eq!((reply.status, reply.code()), (404, "NOT_FOUND".into()));
    for (path, error, field) in [
        ("/tasks?colour=1", "UNKNOWN_FIELD", "colour"),
        ("/tasks?state=asleep", "UNKNOWN_VALUE", "state"),
        ("/tasks?stale=1&stale=2", "INVALID_VALUE", "stale"),
        ("/tasks?state=todo&state=done", "DUPLICATE_FIELD", "state"),
        ("/workstreams?limit=many", "INVALID_VALUE", "limit"),
        ("/workstreams?limit=0", "OUT_OF_RANGE", "limit"),
        ("/workstreams?cursor=x", "INVALID_CURSOR", "cursor"),
    ] {
        let reply = service.get(&format!("/api/v1{path}")).local().send().await;
        check(&reply, 422, "INVALID", error, field);
    }
    for version in ["x", ""] {
        let path = format!("/api/v1/domains/ops?version={version}");
        let reply = service.request("DELETE", &path).local().send().await;
        check(&reply, 422, "INVALID", "INVALID_VALUE", "version");
    }
    assert!(lifecycle(&service).await.is_empty());
    service.shut_down().await;
}

#[tokio::test]
async fn null_is_refused_where_it_would_change_nothing() {
    let service = Service::start().await;
    ground(&service).await;
    let goal = made(&service, "/domain-goals", json!({ "domain": "ops", "title": "See" })).await;
    let goal = format!("/domain-goals/{}", goal["goal_id"].as_str().unwrap());
    let decision = made(&service, "/decisions", json!({ "title": "x" })).await;
    let decision = format!("/decisions/{}", decision["decision_id"].as_str().unwrap());
    for (path, fields) in [
        ("/domains/ops", &["version", "slug", "title", "description"][..]),
        ("/topics/decoys", &["version", "slug", "domain", "title", "description"]),
        ("/workstreams/ssh", &["version", "slug", "topic", "title", "description", "state"]),
        (&goal, &["version", "title", "description"]),
        (&decision, &["version", "title", "description"]),
    ] {
        for field in fields {
            let reply = patch(&service, path, json!({ *field: null })).await;
            check(&reply, 422, "INVALID", "INVALID_VALUE", field);
        }
    }
    for (path, body, field) in [
        (format!("{goal}/activate"), json!({ "version": null }), "version"),
        (format!("{goal}/retire"), json!({ "version": null }), "version"),
        (format!("{decision}/escalate"), json!({ "version": null }), "version"),
        (format!("{decision}/supersede"), json!({ "version": null }), "version"),
        (
            format!("{decision}/resolve"),
            json!({ "rationale": "x", "decided_by": null }),
            "decided_by",
        ),
    ] {
        check(&post(&service, &path, body).await, 422, "INVALID", "INVALID_VALUE", field);
    }
    let reply = patch(&service, "/domains/ops", json!({ "description": "" })).await;
    assert_eq!((reply.status, &reply.json()["description"]), (200, &json!("")), "{}", reply.body);
    let reply = post(&service, &format!("{decision}/supersede"), json!({ "by": null })).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    service.shut_down().await;
}

#[tokio::test]
async fn a_name_that_fits_nothing_or_several_things_is_told_with_its_field() {
    let service = Service::start().await;
    ground(&service).await;
    made(&service, "/workstreams", json!({ "slug": "ftp", "topic": "decoys", "title": "x" })).await;
    let stream = get(&service, "/workstreams/ssh").await;
    // Ids begin with the time, so those of one minute begin alike.
    let several = &stream["workstream_id"].as_str().unwrap()[..4];
    let list = async |query: &str| {
        service.get(&format!("/api/v1/tasks?workstream={query}")).local().send().await
    };
    check(&list("nothing").await, 404, "NOT_FOUND", "UNKNOWN_REFERENCE", "workstream");
    check(&list(several).await, 409, "AMBIGUOUS_NAME", "AMBIGUOUS_NAME", "workstream");
    let task = |stream: &str| json!({ "title": "x", "workstream": stream });
    let reply = post(&service, "/tasks", task("nothing")).await;
    check(&reply, 422, "INVALID", "UNKNOWN_REFERENCE", "workstream");
    let reply = post(&service, "/tasks", task(several)).await;
    check(&reply, 409, "AMBIGUOUS_NAME", "AMBIGUOUS_NAME", "workstream");
    service.shut_down().await;
}

#[tokio::test]
async fn what_is_begun_is_ended_and_written_down_though_its_caller_leaves() {
    /// Several transactions of a sweep.
    const STALE: usize = 450;
    let service = Service::start().await;
    ground(&service).await;
    let stream = service.store.workstream_named(&"ssh".parse().unwrap()).await.unwrap().unwrap();
    let mut makers = tokio::task::JoinSet::new();
    for _ in 0..STALE {
        let new = store::NewTask {
            workstream_id: stream.id,
            title: "x".parse().unwrap(),
            description: model::hub::Prose::default(),
            state: model::hub::TaskState::Todo,
        };
        let store = service.store.clone();
        makers.spawn(async move { store.create_task(new, None).await.unwrap() });
    }
    makers.join_all().await;
    patch(&service, "/workstreams/ssh", json!({ "state": "finished" })).await;
    let repo = json!({ "slug": "maze", "domain": "ops" });
    for (path, body, action, object) in [
        ("/tasks/sweep-stale", json!({}), "task.sweep", format!("tasks/{STALE}")),
        ("/repos", repo, "repo.create", "repo/".into()),
    ] {
        service.post(&format!("/api/v1{path}"), body).send_and_leave().await;
        let written = async {
            loop {
                let log = service.store.audit_log(None, 1).await.unwrap();
                let newest = log.items.into_iter().next().map(|entry| entry.record);
                if let Some(newest) = newest.filter(|newest| newest.action == action) {
                    break newest;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let written = tokio::time::timeout(Duration::from_secs(20), written).await;
        let written = written.unwrap_or_else(|_| panic!("{action} is not written down"));
        assert!(written.object.starts_with(&object), "{written:?}");
    }
    let told = lifecycle(&service).await;
    let told: Vec<&str> = told.iter().rev().take(3).map(|entry| entry.kind.as_str()).collect();
    let (repo, summary) = ("statehub.repo.registered", "statehub.task.sweep.completed");
    assert_eq!(told, [repo, summary, "statehub.task.stale"]);
    service.shut_down().await;
}

#[tokio::test]
async fn a_request_that_is_repeated_by_its_key_makes_one_thing() {
    let service = Service::start().await;
    ground(&service).await;
    let send = async |path: &str, key: &str, body: Value| {
        let request = service.post(&format!("/api/v1{path}"), body).local();
        request.header("idempotency-key", key).send().await
    };
    let is_replayed = |reply: &Reply| reply.header("idempotency-replayed") == Some("true");
    let task = json!({ "workstream": "ssh", "title": "Banner" });
    let first = send("/tasks", "one", task.clone()).await;
    let again = send("/tasks/", "one", task.clone()).await;
    assert_eq!((first.status, again.status), (201, 201), "{}", again.body);
    assert_eq!((is_replayed(&first), is_replayed(&again)), (false, true));
    assert_eq!((first.json(), first.header("location")), (again.json(), again.header("location")));
    let note = json!({ "text": "half of it" });
    for expected in [false, true] {
        let noted = send("/workstreams/ssh/progress", "two", note.clone()).await;
        assert_eq!((noted.status, is_replayed(&noted)), (201, expected), "{}", noted.body);
    }
    let repo = json!({ "slug": "maze", "domain": "ops" });
    for expected in [false, true] {
        let repo = send("/repos", "three", repo.clone()).await;
        assert_eq!((repo.status, is_replayed(&repo)), (201, expected), "{}", repo.body);
    }
    let other = json!({ "workstream": "ssh", "title": "Keys" });
    assert_eq!(send("/tasks", "one", other).await.code(), "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(send("/domains", "one", task.clone()).await.status, 422);
    assert!(!is_replayed(&send("/tasks", "four", task.clone()).await));
    assert_eq!(get(&service, "/tasks").await["items"].as_array().unwrap().len(), 2);
    let log = get(&service, "/workstreams/ssh/progress").await;
    assert_eq!(log["items"].as_array().unwrap().len(), 1);
    assert_eq!(lifecycle(&service).await.len(), 1);
    let written = service.store.audit_log(None, 100).await.unwrap().items;
    let made = written.iter().filter(|entry| entry.record.action == "task.create").count();
    assert_eq!(made, 2);

    let path = first.header("location").unwrap();
    service.request("DELETE", path).local().send().await;
    let reply = send("/tasks", "one", task).await;
    assert_eq!((reply.status, reply.code()), (404, "NOT_FOUND".into()), "made, and removed since");
    service.shut_down().await;
}

#[tokio::test]
async fn moves_that_do_not_exist_are_refused_with_a_reason() {
    let service = Service::start().await;
    ground(&service).await;
    let state = |state: &str| json!({ "state": state });
    patch(&service, "/workstreams/ssh", state("blocked")).await;
    let reply = patch(&service, "/workstreams/ssh", state("finished")).await;
    check(&reply, 409, "ILLEGAL_TRANSITION", "WAITING", "state");
    let reply = patch(&service, "/workstreams/ssh", json!({ "state": "stalled" })).await;
    check(&reply, 422, "INVALID", "UNKNOWN_VALUE", "state");
    let body = json!({ "slug": "late", "topic": "decoys", "title": "x", "state": "finished" });
    let reply = post(&service, "/workstreams", body).await;
    check(&reply, 409, "ILLEGAL_TRANSITION", "NOT_STARTED", "state");
    let reply = patch(&service, "/workstreams/ssh", state("archived")).await;
    assert_eq!((reply.status, &reply.json()["state"]), (200, &json!("archived")));
    let reply = patch(&service, "/workstreams/ssh", state("active")).await;
    check(&reply, 409, "ILLEGAL_TRANSITION", "FINAL_STATE", "state");
    let reply = post(&service, "/tasks", json!({ "workstream": "ssh", "title": "x" })).await;
    check(&reply, 409, "WORKSTREAM_CLOSED", "WORKSTREAM_CLOSED", "workstream");

    let goal = async |title: &str| {
        let goal =
            made(&service, "/domain-goals", json!({ "domain": "ops", "title": title })).await;
        format!("/domain-goals/{}", goal["goal_id"].as_str().unwrap())
    };
    let (first, second) = (goal("See").await, goal("Hear").await);
    let reply = post(&service, &format!("{first}/achieve"), json!({})).await;
    check(&reply, 409, "ILLEGAL_TRANSITION", "NOT_STARTED", "state");
    assert_eq!(post(&service, &format!("{first}/activate"), json!({})).await.status, 200);
    let reply = post(&service, &format!("{second}/activate"), json!({})).await;
    check(&reply, 409, "GOAL_ALREADY_ACTIVE", "GOAL_ALREADY_ACTIVE", "replace");
    let reply = post(&service, &format!("{second}/activate"), json!({ "replace": true })).await;
    assert_eq!(reply.json()["state"], "active", "{}", reply.body);
    assert_eq!(get(&service, &first).await["state"], "retired");

    let decision = made(&service, "/decisions", json!({ "title": "x", "topic": "decoys" })).await;
    let path = format!("/decisions/{}", decision["decision_id"].as_str().unwrap());
    let reply = post(&service, &format!("{path}/resolve"), json!({ "rationale": " " })).await;
    check(&reply, 422, "INVALID", "INVALID_VALUE", "rationale");
    assert_eq!(post(&service, &format!("{path}/escalate"), json!({})).await.status, 200);
    assert_eq!(post(&service, &format!("{path}/supersede"), json!({})).await.status, 200);
    let reply = post(&service, &format!("{path}/resolve"), json!({ "rationale": "x" })).await;
    check(&reply, 409, "ILLEGAL_TRANSITION", "FINAL_STATE", "status");
    service.shut_down().await;
}

#[tokio::test]
async fn things_are_found_listed_changed_and_removed() {
    let service = Service::start().await;
    ground(&service).await;
    let domain = get(&service, "/domains/ops").await;
    let id = domain["domain_id"].as_str().unwrap();
    for text in [id, &id[..30]] {
        assert_eq!(get(&service, &format!("/domains/{text}")).await, domain, "{text}");
    }
    for n in 0..3 {
        made(&service, "/tasks", json!({ "workstream": "ssh", "title": format!("t{n}") })).await;
    }
    let first = get(&service, "/tasks?workstream=ssh&state=todo&limit=2").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = get(&service, &format!("/tasks/?workstream=ssh&limit=2&cursor={cursor}")).await;
    assert_eq!(
        (second["items"].as_array().unwrap().len(), &second["next_cursor"]),
        (1, &Value::Null)
    );
    let stream = get(&service, "/workstreams/ssh").await;
    assert_eq!((&stream["tasks_open"], &stream["sign"]), (&json!(3), &Value::Null));

    let task = format!("/tasks/{}", first["items"][0]["task_id"].as_str().unwrap());
    let reply = patch(&service, &task, json!({ "state": "progress", "version": 1 })).await;
    assert_eq!((&reply.json()["version"], &reply.json()["state"]), (&json!(2), &json!("progress")));
    let reply = patch(&service, &task, json!({ "title": "x", "version": 1 })).await;
    check(&reply, 409, "VERSION_CONFLICT", "VERSION_CONFLICT", "version");
    let noted = made(&service, &format!("{task}/progress"), json!({ "text": "half\nof it" })).await;
    assert_eq!((&noted["author"], &noted["text"]), (&json!("local"), &json!("half\nof it")));
    let log = get(&service, "/workstreams/ssh/progress").await;
    assert_eq!(log["items"], json!([noted]));

    let remove = async |path: &str| {
        service.request("DELETE", &format!("/api/v1{path}")).local().send().await
    };
    check(&remove("/domains/ops").await, 409, "IN_USE", "IN_USE", "topics");
    check(&remove("/workstreams/ssh").await, 409, "IN_USE", "IN_USE", "tasks");
    let reply = remove(&format!("{task}?version=1")).await;
    check(&reply, 409, "VERSION_CONFLICT", "VERSION_CONFLICT", "version");
    assert_eq!(remove(&task).await.status, 204);
    assert_eq!(remove(&task).await.status, 404);

    let repo = json!({ "slug": "maze", "domain": "ops", "local_path": "/srv/maze" });
    made(&service, "/repos", repo).await;
    patch(&service, "/workstreams/ssh", json!({ "repo": "maze" })).await;
    let reply = patch(&service, "/repos/maze", json!({ "local_path": null })).await;
    assert_eq!(reply.json()["local_path"], Value::Null);
    let reply = patch(&service, "/workstreams/ssh", json!({ "repo": null })).await;
    assert_eq!(reply.json()["repo_id"], Value::Null, "{}", reply.body);
    assert_eq!(get(&service, "/workstreams?repo=maze").await["items"], json!([]));
    assert_eq!(remove("/repos/maze").await.status, 204);
    service.shut_down().await;
}
