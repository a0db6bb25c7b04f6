//! The rules of CloudEvents 1.0 that a producer has to keep, by their place in the specification.

use morgana_exports::cloudevent;
use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::{
    samples::{SOURCE, samples},
    sent,
};

/// Every rule for one event, as it is sent.
pub(crate) fn check(event: &Map<String, Value>) {
    // "Naming conventions": lower-case letters and digits, at most 20.
    for name in event.keys() {
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        assert!(plain && name.len() <= 20, "{name}");
    }
    // "Required attributes": there and not empty.
    for name in ["id", "source", "specversion", "type"] {
        assert!(event[name].as_str().is_some_and(|value| !value.is_empty()), "{name}");
    }
    assert_eq!(event["specversion"], "1.0");
    // "Optional attributes": not empty where they are there. JSON format 2.2: absent, not null.
    for (name, value) in event.iter().filter(|(name, _)| *name != "data") {
        let text = value.as_str().unwrap_or_else(|| panic!("{name} is {value}"));
        assert!(!text.is_empty(), "{name}");
        // "Type system", String: no control characters, no noncharacters.
        let is_none = |c: char| {
            let place = u32::from(c) & 0xffff;
            place >= 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c)
        };
        assert!(!text.chars().any(|c| c.is_control() || is_none(c)), "{name}: {text:?}");
    }
    // "type": prefixed by a name in reverse, versioned by it alone; tokens of NATS here.
    assert!(event["type"].as_str().unwrap().starts_with("org."));
    // Extension "sequence": no empty string. Extension "distributed tracing": as W3C has it.
    if let Some(trace) = event.get("traceparent") {
        let lengths: Vec<usize> = trace.as_str().unwrap().split('-').map(str::len).collect();
        assert_eq!(lengths, [2, 32, 16, 2], "{trace}");
    }
    // `time` by RFC 3339; `dataschema` an absolute URI; `source` a URI reference.
    let time = event["time"].as_str().unwrap();
    assert!(time.parse::<model::Timestamp>().is_ok() && time.ends_with('Z'), "{time}");
    let uri =
        |text: &str| text.starts_with("urn:morgana:") && text.bytes().all(|b| b.is_ascii_graphic());
    assert!(uri(event["dataschema"].as_str().unwrap()));
    assert!(uri(event["source"].as_str().unwrap()));
    // JSON format 3.1: JSON data stands in `data` as it is, and nothing beside it.
    assert!(event["data"].is_object() && !event.contains_key("data_base64"));
}

#[test]
fn every_event_keeps_the_rules() {
    for sample in samples() {
        check(sent(&sample).as_object().unwrap());
    }
}

#[test]
fn source_and_id_name_one_event() {
    // "id": "producers MUST ensure that source + id is unique for each distinct event".
    let named = |sample: &_| {
        let event: Value = sent(sample);
        (event["source"].to_string(), event["id"].to_string())
    };
    let all: Vec<_> = samples().iter().map(named).collect();
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
}

#[test]
fn members_stand_there_once() {
    // RFC 8259, 4: names within an object should be unique; a reader takes either of two.
    for sample in samples() {
        let written = cloudevent(&sample.entry, SOURCE).unwrap().to_json();
        let read: Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(read.to_string().len(), written.len(), "{read}");
    }
}

#[test]
fn what_is_no_character_is_left_out() {
    let mut entry = samples().remove(0).entry;
    entry.context.actor = Some("a\u{fffe}d\u{1ffff}\u{fdd0}\u{fdef}\u{7f}\u{9f}a\u{fffd}".into());
    entry.context.correlation_id = Some("\u{ffff}".into());
    let event = cloudevent(&entry, SOURCE).unwrap();
    assert_eq!(event.actor.as_deref(), Some("ada\u{fffd}"));
    assert_eq!(event.correlation_id, None, "nothing is left of it");
}

#[test]
fn sequences_sort_as_texts_like_positions() {
    let entry = &samples()[0].entry;
    let sequence = |seq| {
        let entry = model::JournalEntry { seq: Some(seq), ..entry.clone() };
        cloudevent(&entry, SOURCE).unwrap().sequence.unwrap()
    };
    let positions = [1, 2, 9, 10, 99, 100, u64::from(u32::MAX), u64::MAX];
    assert!(positions.map(sequence).is_sorted());
}

proptest! {
    /// Whoever acts may be called anything; the attributes stay allowed ones.
    #[test]
    fn attributes_are_allowed_whatever_the_context_holds(
        actor in any::<Option<String>>(),
        correlation_id in any::<Option<String>>(),
        causation_id in any::<Option<String>>(),
    ) {
        let mut entry = samples().remove(0).entry;
        entry.context.actor = actor;
        entry.context.correlation_id = correlation_id;
        entry.context.causation_id = causation_id;
        let event = cloudevent(&entry, SOURCE).unwrap().to_json();
        check(&serde_json::from_slice(&event).unwrap());
    }
}
