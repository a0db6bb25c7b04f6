//! Events and operations as JSON.

use std::time::Duration;

use expect_test::{Expect, expect};
use model::{
    Ambient, Event, JournalEntry, MutationEvent, MutationState, Op, Payload, StatusChanged,
    Timestamp, TopologyStatus, WorkerHealth,
};
use morgana_model as model;
use serde_json::{Value, json};

fn ambient() -> Ambient {
    Ambient::seeded(1, Timestamp::from_micros(1_700_000_000_000_000))
}

/// Each op in its shortest and its longest form.
fn ops() -> Vec<Value> {
    let position = json!({"x": -3, "y": 40});
    vec![
        json!({"op": "add_lan", "payload": {"name": "dmz", "is_dmz": true, "subnet": "10.66.0.0/24", "position": position}}),
        json!({"op": "add_lan", "payload": {"name": "office", "is_dmz": false}}),
        json!({"op": "remove_lan", "payload": {"name": "office"}}),
        json!({"op": "add_decky", "payload": {"name": "web-01", "lan": "dmz"}}),
        json!({"op": "add_decky", "payload": {"name": "web-01", "lan": "dmz", "services": ["http", "ssh"],
            "archetype": "web-server", "ip": "10.66.0.9", "rotate_every_seconds": 3600, "position": position}}),
        json!({"op": "remove_decky", "payload": {"decky": "web-01"}}),
        json!({"op": "update_decky", "payload": {"decky": "web-01"}}),
        json!({"op": "update_decky", "payload": {"decky": "web-01", "services": [], "rotate_every_seconds": 0, "position": position}}),
        json!({"op": "update_decky", "payload": {"decky": "web-01", "position": null, "force": true,
            "patch": {"archetype": "web-server", "forwards_l3": true}}}),
        json!({"op": "update_lan", "payload": {"name": "dmz", "patch": {"name": "edge", "subnet": "10.1.0.0/24", "is_dmz": false, "position": null}}}),
        json!({"op": "attach_decky", "payload": {"decky": "web-01", "lan": "office", "ip": "10.66.0.9", "forwards_l3": true}}),
        json!({"op": "detach_decky", "payload": {"decky": "web-01", "lan": "office"}}),
        json!({"op": "start_decky", "payload": {"decky": "web-01"}}),
        json!({"op": "stop_decky", "payload": {"decky": "web-01"}}),
        json!({"op": "update_topology", "payload": {"rotate_every_seconds": 600}}),
        json!({"op": "batch", "payload": {"ops": [{"op": "remove_lan", "payload": {"name": "office"}}]}}),
        json!({"op": "rotate_decky", "payload": {"decky": "web-01"}}),
        json!({"op": "rotate_decky", "payload": {"decky": "web-01", "services": ["redis"]}}),
    ]
}

fn mutation_event(op: Op, reason: Option<&str>) -> MutationEvent {
    let ambient = ambient();
    MutationEvent {
        topology_id: ambient.id(),
        mutation_id: ambient.id(),
        state: MutationState::Failed,
        op,
        version: 7,
        requested_by: "eve".into(),
        reason: reason.map(Into::into),
    }
}

#[test]
fn ops_round_trip() {
    for written in ops() {
        let op: Op = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&op).unwrap(), written);
        assert_eq!(
            (op.word(), op.payload()),
            (written["op"].as_str().unwrap(), written["payload"].clone())
        );
        assert_eq!(serde_json::from_str::<Op>(&written.to_string()).unwrap(), op);
    }
}

#[test]
fn a_mutation_event_holds_op_and_payload_beside_its_own_fields() {
    for written in ops() {
        for reason in [None, Some("no address left")] {
            let event = mutation_event(serde_json::from_value(written.clone()).unwrap(), reason);
            let json = serde_json::to_value(&event).unwrap();
            assert_eq!((&json["op"], &json["payload"]), (&written["op"], &written["payload"]));
            let keys = json.as_object().unwrap().len();
            assert_eq!(keys, if reason.is_some() { 8 } else { 7 });
            let back: MutationEvent = serde_json::from_str(&json.to_string()).unwrap();
            assert_eq!(back.op, event.op);
            assert_eq!((back.state, back.reason), (event.state, event.reason));
        }
    }
}

#[test]
fn what_an_op_does_not_know_is_refused() {
    for written in ops() {
        let mut inside = written.clone();
        inside["payload"]["colour"] = json!(true);
        let mut beside = written.clone();
        beside["colour"] = json!(true);
        let mut unknown = written.clone();
        unknown["op"] = json!("paint_decky");
        let mut bare = written.clone();
        bare.as_object_mut().unwrap().remove("payload");
        for refused in [inside.clone(), beside, unknown, bare] {
            assert!(serde_json::from_value::<Op>(refused.clone()).is_err(), "{refused}");
        }
        let op: Op = serde_json::from_value(written).unwrap();
        let mut event = serde_json::to_value(mutation_event(op, None)).unwrap();
        event["payload"] = inside["payload"].clone();
        assert!(serde_json::from_value::<MutationEvent>(event).is_err());
    }
    for payload in [
        json!({"name": "A", "lan": "dmz"}),
        json!({"name": "a", "lan": "dmz", "ip": "10.66.0.300"}),
        json!({"name": "a", "lan": "dmz", "services": ["smb"]}),
        json!({"name": "a", "lan": "dmz", "rotate_every_seconds": -1}),
        json!({"lan": "dmz"}),
    ] {
        let refused = json!({"op": "add_decky", "payload": payload});
        assert!(serde_json::from_value::<Op>(refused.clone()).is_err(), "{refused}");
    }
}

#[allow(clippy::needless_pass_by_value, reason = "expect! makes a value")]
fn check_entry(seq: Option<u64>, expected: Expect) {
    let ambient = ambient();
    let payload = Payload::Status(StatusChanged {
        topology_id: ambient.id(),
        from: TopologyStatus::Pending,
        status: TopologyStatus::Deploying,
        version: 1,
        reason: None,
    });
    let entry = Event::new(&ambient, payload).to_entry(seq);
    let json = serde_json::to_string(&entry).unwrap();
    expected.assert_eq(&json);
    let back: JournalEntry = serde_json::from_str(&json).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), json);
    let body: StatusChanged = serde_json::from_str(back.payload.get()).unwrap();
    assert_eq!(body.status, TopologyStatus::Deploying);
}

#[test]
fn the_envelope_is_stable() {
    check_entry(
        Some(9),
        expect![[
            r#"{"v":1,"id":"018bcfe5-6800-75d1-b4b0-dac948325ac1","seq":9,"topic":"topology.018bcfe5-6800-7118-b0d3-641a68f94a69.status","type":"topology.status","ts":"2023-11-14T22:13:20.000000Z","payload":{"topology_id":"018bcfe5-6800-7118-b0d3-641a68f94a69","from":"pending","status":"deploying","version":1}}"#
        ]],
    );
    check_entry(
        None,
        expect![[
            r#"{"v":1,"id":"018bcfe5-6800-75d1-b4b0-dac948325ac1","topic":"topology.018bcfe5-6800-7118-b0d3-641a68f94a69.status","type":"topology.status","ts":"2023-11-14T22:13:20.000000Z","payload":{"topology_id":"018bcfe5-6800-7118-b0d3-641a68f94a69","from":"pending","status":"deploying","version":1}}"#
        ]],
    );
}

#[test]
fn an_event_carries_the_time_of_what_happened() {
    let ambient = ambient();
    let before = ambient.now().minus(Duration::from_secs(5));
    let payload =
        Payload::mutation(mutation_event(serde_json::from_value(ops().remove(2)).unwrap(), None));
    assert_eq!((payload.kind(), payload.is_journalled()), ("topology.mutation.failed", true));
    let event = Event::at(&ambient, before, payload);
    assert_eq!(event.ts, before);
    assert!(event.topic.as_str().ends_with(".mutation.failed"));
}

#[test]
fn a_worker_whose_name_is_no_token_is_refused() {
    let ambient = ambient();
    let health = |worker: &str| {
        Payload::WorkerHealth(WorkerHealth {
            worker: worker.into(),
            ts: ambient.now(),
            figures: [("lag".to_owned(), 3)].into(),
        })
    };
    assert_eq!(
        Event::try_new(&ambient, health("mutator")).unwrap().topic.as_str(),
        "system.mutator.health"
    );
    assert!(Event::try_new(&ambient, health("a.b")).is_err());
    assert!(!health("mutator").is_journalled());
}
