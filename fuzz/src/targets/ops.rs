//! Ops and the events that carry them: what was read once is read the same for ever.

use model::{Ambient, JournalEntry, MutationEvent, MutationState, Op, Timestamp};
use serde_json::Value;

use super::Target;
use crate::Trace;

/// Words of the JSON of ops.
pub(super) const WORDS: &[&str] = &[
    "{\"op\":\"add_lan\",\"payload\":{\"name\":\"lab\"}}",
    "{\"op\":\"remove_decky\",\"payload\":{\"decky\":\"web-01\"}}",
    "{\"op\":\"rotate_decky\",\"payload\":{\"decky\":\"web-01\"}}",
    "add_lan",
    "remove_lan",
    "add_decky",
    "remove_decky",
    "update_decky",
    "rotate_decky",
    "update_lan",
    "attach_decky",
    "detach_decky",
    "start_decky",
    "stop_decky",
    "update_topology",
    "batch",
    "{\"op\":\"attach_decky\",\"payload\":{\"decky\":\"web-01\",\"lan\":\"office\"}}",
    "\"ops\":[",
    "\"patch\":{",
    "\"forwards_l3\":true",
    "\"force\":true",
    "\"op\":",
    "\"payload\":",
    "\"name\":",
    "\"decky\":",
    "\"lan\":",
    "\"services\":",
    "\"ip\":",
    "\"archetype\":",
    "\"rotate_every_seconds\":",
    "\"is_dmz\":",
    "\"subnet\":",
    "\"position\":",
    "\"x\":",
    "\"y\":",
    "\"10.66.1.0/24\"",
    "\"10.66.1.10\"",
    "/30",
    "/16",
    "/0",
    "/32",
    "\"ssh\"",
    "\"http\"",
    "\"ftp\"",
    "\"redis\"",
    "[]",
    "null",
    "true",
    "false",
    "{",
    "}",
    ",",
    "\"dmz\"",
    "\"office\"",
    "\"servers\"",
    "\"web-01\"",
    "\"web-02\"",
    "\"db-01\"",
    "\\u0000",
    "linux-server",
    "devops-host",
    "database-server",
    "1e999",
    "-1",
    "0.5",
    "18446744073709551616",
];

/// JSON.
pub(super) const TARGET: Target = Target {
    name: "op_json",
    about: "ops and mutation events: JSON there and back without a change",
    words: WORDS,
    mutation: None,
    run,
};

fn run(input: &[u8], trace: &mut Trace) {
    match serde_json::from_slice::<Op>(input) {
        Ok(op) => {
            check_op(&op);
            check_event(&op, input.len());
            trace.note((op.word(), op.payload().as_object().map(|fields| fields.len())));
        }
        Err(error) => trace.note_text(error.to_string().as_bytes()),
    }
    if let Ok(entry) = serde_json::from_slice::<JournalEntry>(input) {
        let text = serde_json::to_string(&entry).expect("an entry serialises");
        let again: JournalEntry = serde_json::from_str(&text).expect("and is read again");
        assert_eq!(serde_json::to_string(&again).ok(), Some(text));
        trace.note("entry");
    }
    if let Ok(event) = serde_json::from_slice::<MutationEvent>(input) {
        check_round(&event);
        trace.note(("event", event.state));
    }
}

fn check_op(op: &Op) {
    let text = serde_json::to_string(op).expect("an op serialises");
    assert_eq!(serde_json::from_str::<Op>(&text).ok().as_ref(), Some(op), "{text}");
    let parts = serde_json::json!({"op": op.word(), "payload": op.payload()});
    assert_eq!(serde_json::from_value::<Op>(parts).ok().as_ref(), Some(op), "{text} by parts");
}

fn check_event(op: &Op, length: usize) {
    let ambient = Ambient::seeded(length as u64, Timestamp::from_micros(0));
    check_round(&MutationEvent {
        topology_id: ambient.id(),
        mutation_id: ambient.id(),
        state: MutationState::ALL[length % MutationState::ALL.len()],
        op: op.clone(),
        version: length as u64,
        requested_by: "local".into(),
        reason: (!length.is_multiple_of(3)).then(|| "why".into()),
    });
}

fn check_round(event: &MutationEvent) {
    let value = |event: &MutationEvent| serde_json::to_value(event).expect("an event serialises");
    let text = serde_json::to_string(event).expect("an event serialises");
    let again: MutationEvent = serde_json::from_str(&text).expect("an event is read again");
    assert_eq!(again.op, event.op);
    assert_eq!(value(&again), value(event));
    assert_eq!(serde_json::from_str::<Value>(&text).ok(), Some(value(event)));
}
