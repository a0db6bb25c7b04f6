//! Live streams over real sockets.

use std::time::{Duration, Instant};

use model::{Event, Payload, SystemLog};
use morgana_api::Limits;
use serde_json::json;

use crate::client::{Service, Stream};

async fn topology(service: &Service, name: &str) -> String {
    let reply = service.post("/api/v1/topologies", json!({ "name": name })).local().send().await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.json()["topology_id"].as_str().unwrap().into()
}

async fn add_lan(service: &Service, topology: &str, name: &str) -> u64 {
    let body = json!({ "op": "add_lan", "payload": { "name": name } });
    let path = format!("/api/v1/topologies/{topology}/mutations");
    let reply = service.post(&path, body).local().send().await;
    assert_eq!(reply.status, 202, "{}", reply.body);
    reply.json()["position"].as_u64().unwrap()
}

#[tokio::test]
async fn a_topology_stream_is_keepalive_snapshot_live_and_resumes() {
    let service = Service::start().await;
    let id = topology(&service, "maze").await;
    add_lan(&service, "maze", "one").await;
    let path = "/api/v1/topologies/maze/events";
    let mut stream = service.get(path).local().open().await;
    assert_eq!(stream.reply.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(stream.reply.header("cache-control"), Some("no-store, no-transform"));
    assert!(stream.block().await.unwrap().starts_with(": keepalive"));
    assert!(stream.block().await.unwrap().starts_with("retry: "));
    let snapshot = stream.expect("snapshot").await;
    assert_eq!(snapshot.data["topology_id"], *id);
    assert_eq!(snapshot.data["status"], "pending");
    assert_eq!(snapshot.data["in_flight"][0]["payload"]["name"], "one");
    let position = add_lan(&service, "maze", "two").await;
    topology(&service, "other").await;
    let live = stream.expect("mutation.enqueued").await;
    assert_eq!(live.data["seq"], position);
    assert_eq!(live.data["topic"], format!("topology.{id}.mutation.enqueued"));
    assert_eq!(live.data["payload"]["payload"]["name"], "two");
    let last = live.id.unwrap();
    drop(stream);

    let position = add_lan(&service, "maze", "three").await;
    let mut resumed = service.get(path).header("last-event-id", &last).local().open().await;
    assert_eq!(resumed.expect("mutation.enqueued").await.data["seq"], position);
    let foreign = service.get(&format!("{path}?last_event_id=elsewhere:1")).local();
    let mut foreign = foreign.open().await;
    assert_eq!(foreign.expect("reset").await.data["reason"], "epoch_unknown");
    assert_eq!(foreign.expect("snapshot").await.data["in_flight"].as_array().unwrap().len(), 3);
    service.stop.cancel();
    let end = resumed.expect("stream-error").await;
    assert_eq!(
        (&end.data["code"], &end.data["retryable"]),
        (&json!("SHUTTING_DOWN"), &json!(true))
    );
    assert_eq!(resumed.event().await, None);
    service.shut_down().await;
}

#[tokio::test]
async fn streams_by_filter_show_what_is_not_journalled_without_an_id() {
    let service = Service::start().await;
    let path = "/api/v1/events?filter=system.%3E&filter=topology.*.status";
    let mut stream = service.get(path).local().open().await;
    let snapshot = stream.expect("snapshot").await;
    assert_eq!(snapshot.data["filter"], json!(["system.>", "topology.*.status"]));
    let log = SystemLog {
        worker: "w".into(),
        level: "info".into(),
        message: "hello".into(),
        fields: Default::default(),
    };
    service.bus.publish(&Event::new(&service.ambient, Payload::SystemLog(log)));
    let passing = stream.expect("log").await;
    assert_eq!((passing.id, &passing.data["seq"]), (None, &json!(null)));
    topology(&service, "maze").await;
    assert!(stream.expect("status").await.id.is_some());
    let hidden = service.get("/api/v1/events?filter=ingest.%3E").local().send().await;
    assert_eq!((hidden.status, hidden.code()), (403, "FORBIDDEN".into()));
    service.bus.close().await;
    assert_eq!(stream.expect("degraded").await.data["degraded"], true);
    service.shut_down().await;
}

#[tokio::test]
async fn lists_of_identities_and_attackers_begin_their_streams() {
    let service = Service::start().await;
    for (path, field) in [("identities", "identities"), ("attackers", "attackers")] {
        let mut stream = service.get(&format!("/api/v1/{path}/events")).local().open().await;
        let snapshot = stream.expect("snapshot").await;
        assert_eq!((&snapshot.data[field], &snapshot.data["total"]), (&json!([]), &json!(0)));
    }
    service.shut_down().await;
}

async fn ends_revoked(mut stream: Stream) {
    let began = Instant::now();
    stream.expect("auth-revoked").await;
    assert_eq!(stream.event().await, None);
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn logout_disabling_and_token_revocation_end_streams() {
    let service = Service::start().await;
    service.set_up().await;
    let path = "/api/v1/identities/events";
    let viewer = service.user("viewer").await;
    let open = async |cookie: &str| {
        let mut stream = service.get(path).cookie(cookie).open().await;
        stream.expect("snapshot").await;
        stream
    };
    let stream = open(&viewer).await;
    service.post("/api/v1/logout", json!({})).cookie(&viewer).send().await;
    ends_revoked(stream).await;

    let viewer = service.log_in("viewer").await;
    let stream = open(&viewer).await;
    let body = json!({ "disabled": true });
    let patch = service.request("PATCH", "/api/v1/users/viewer").json(body).local();
    assert_eq!(patch.send().await.status, 200);
    ends_revoked(stream).await;
    assert_eq!(service.get("/api/v1/me").cookie(&viewer).send().await.status, 401);
    service.shut_down().await;
}

#[tokio::test]
async fn a_login_that_ends_without_this_process_ends_its_streams() {
    let service = Service::start().await;
    let cookie = service.set_up().await;
    let mut stream = service.get("/api/v1/identities/events").cookie(&cookie).open().await;
    stream.expect("snapshot").await;
    let user = service.store.user_by_name("root").await.unwrap().unwrap();
    service.store.delete_web_sessions_of(user.id).await.unwrap();
    stream.expect("auth-revoked").await;
    assert_eq!(stream.event().await, None);
    service.shut_down().await;
}

#[tokio::test]
async fn a_ticket_opens_one_stream() {
    let service = Service::start().await;
    let cookie = service.set_up().await;
    let made = service.post("/api/v1/tickets", json!({})).cookie(&cookie).send().await;
    assert_eq!(made.status, 201, "{}", made.body);
    let ticket = made.json()["ticket"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/identities/events?token={ticket}");
    let mut stream = service.get(&path).open().await;
    stream.expect("snapshot").await;
    assert_eq!(service.get(&path).send().await.status, 401);
    let secret = cookie.split_once('=').unwrap().1;
    let path = format!("/api/v1/identities/events?token={secret}");
    assert_eq!(service.get(&path).send().await.status, 401);
    service.shut_down().await;
}

#[tokio::test]
async fn too_many_streams_are_refused_before_anything_else_and_permits_come_back() {
    let limits = Limits { streams_per_token: 1, ..Limits::default() };
    let service = Service::with(limits).await;
    let stream = service.get("/api/v1/identities/events").local().open().await;
    let refused = service.get("/api/v1/topologies/none/events").local().send().await;
    assert_eq!((refused.status, refused.code()), (429, "TOO_MANY_STREAMS".into()));
    assert_eq!(refused.header("retry-after"), Some("10"));
    assert_eq!(service.get("/api/v1/topologies/none/events").send().await.status, 401);
    drop(stream);
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let reply = service.get("/api/v1/topologies/none/events").local().send().await;
        if reply.status == 404 {
            break;
        }
        assert!(Instant::now() < deadline, "the permit never came back: {}", reply.body);
        tokio::task::yield_now().await;
    }
    service.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_begin_amid_changes_miss_and_repeat_nothing() {
    const CHANGES: u64 = 120;
    const STREAMS: u64 = 12;
    let service = std::sync::Arc::new(Service::start().await);
    let watch = async |number: u64| {
        while service.store.journal_head() < number * CHANGES / STREAMS {
            tokio::task::yield_now().await;
        }
        let mut stream = service.get("/api/v1/events").local().open().await;
        let mut position = stream.expect("snapshot").await.data["seq"].as_u64().unwrap();
        while position < CHANGES {
            let frame = stream.event().await.unwrap();
            if let Some(seq) = frame.data["seq"].as_u64() {
                assert_eq!(seq, position + 1, "stream {number}: {frame:?}");
                position = seq;
            }
        }
    };
    let change = async {
        for number in 0..CHANGES {
            topology(&service, &format!("maze-{number}")).await;
        }
    };
    let watching = futures_util::future::join_all((0..STREAMS).map(watch));
    tokio::join!(change, watching);
    std::sync::Arc::into_inner(service).unwrap().shut_down().await;
}
