//! What is sent, checked against what is promised.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod conformance;
mod documents;
mod formats;
mod official;
mod samples;
mod validator;

use std::collections::BTreeSet;

use exports::{EventType, Kind, Producer, TYPES, cloudevent, event_type, schema, type_of};
use model::Subject;
use morgana_exports as exports;
use serde_json::{Value, json};

use crate::samples::{SOURCE, Sample, inside, samples};

fn types() -> impl Iterator<Item = &'static EventType> {
    TYPES.iter().copied().flatten()
}

fn sent(sample: &Sample) -> Value {
    let event = cloudevent(&sample.entry, SOURCE);
    let event = event.unwrap_or_else(|| panic!("{} is not sent", sample.name));
    serde_json::from_slice(&event.to_json()).unwrap()
}

/// A schema that knows all members, so that one that nobody has described is seen.
fn strict(mut schema: Value) -> Value {
    schema["additionalProperties"] = false.into();
    schema
}

#[test]
fn every_type_is_sent_by_something_and_has_its_schema() {
    let mut seen = BTreeSet::new();
    for sample in samples() {
        let event = sent(&sample);
        assert_eq!(event["type"], sample.name);
        validator::check(&strict(exports::envelope_schema()), &event).unwrap();
        let schema = strict(schema(event_type(sample.name).unwrap()));
        assert_eq!(schema["$id"], event["dataschema"]);
        let checked = validator::check(&schema, &event["data"]);
        assert_eq!(checked, Ok(()), "{}: {event:#}", sample.name);
        seen.insert(sample.name);
    }
    let all: BTreeSet<&str> = types().map(|event| event.name).collect();
    assert_eq!(seen, all);
}

#[test]
fn samples_have_every_member_once_and_lack_every_optional_one_once() {
    for event in types() {
        let of_type: Vec<Value> =
            samples().iter().filter(|s| s.name == event.name).map(sent).collect();
        for field in event.fields {
            let has = |data: &Value| data["data"].get(field.name).is_some();
            assert!(of_type.iter().any(has), "{}: no sample has {}", event.name, field.name);
            let lacking = of_type.iter().any(|event| !has(event));
            assert_eq!(lacking, !field.required, "{}: {} is missing", event.name, field.name);
        }
    }
}

#[test]
fn schemas_take_members_that_come_later() {
    for sample in samples() {
        let mut event = sent(&sample);
        event["data"]["later"] = 1.into();
        event["addedontheway"] = "by a broker".into();
        let schema = schema(event_type(sample.name).unwrap());
        assert_eq!(validator::check(&schema, &event["data"]), Ok(()), "{}", sample.name);
        assert_eq!(validator::check(&exports::envelope_schema(), &event), Ok(()));
        assert!(validator::check(&strict(schema), &event["data"]).is_err());
    }
}

#[test]
fn schemas_refuse_what_is_missing_or_of_another_kind() {
    for sample in samples() {
        let (event_type, event) = (event_type(sample.name).unwrap(), sent(&sample));
        let schema = schema(event_type);
        for field in event_type.fields {
            let mut changed = event["data"].clone();
            if changed.get(field.name).is_none() {
                continue;
            }
            for wrong in wrong(field.kind) {
                changed[field.name] = wrong;
                let checked = validator::check(&schema, &changed);
                assert!(checked.is_err(), "{}: {changed}", sample.name);
            }
            changed.as_object_mut().unwrap().remove(field.name);
            let checked = validator::check(&schema, &changed);
            assert_eq!(checked.is_err(), field.required, "{}: no {}", sample.name, field.name);
        }
    }
}

/// What a member of this kind must not hold.
fn wrong(kind: Kind) -> Vec<Value> {
    match kind {
        Kind::Id => vec![json!(1), json!("no id")],
        Kind::Ids(_) => vec![json!("no list"), json!(["no id"])],
        Kind::Slug => vec![json!("Upper"), json!("two--dashes"), json!("a".repeat(65))],
        Kind::Text(most) => vec![json!(1), json!("a".repeat(most as usize + 1))],
        Kind::Texts(most) => vec![json!("no list"), json!(vec!["a"; most as usize + 1])],
        Kind::OneOf(_) => vec![json!("none of them")],
        Kind::Address => vec![json!(7), json!("")],
        Kind::Moment => vec![json!("yesterday"), json!(0)],
        Kind::Count(u64::MAX) => vec![json!(-1), json!("1"), json!(1.5)],
        Kind::Count(most) => vec![json!(-1), json!(most + 1)],
        Kind::Flag => vec![json!("yes"), json!(0)],
    }
}

#[test]
fn what_the_hub_says_passes_whole() {
    for sample in samples().iter().filter(|sample| sample.name.starts_with("org.statehub.")) {
        let payload: Value = serde_json::from_str(sample.entry.payload.get()).unwrap();
        assert_eq!(sent(sample)["data"], payload, "{}", sample.name);
        assert_eq!(sample.entry.topic.as_str(), sample.name);
    }
}

#[test]
fn names_follow_the_grammar_of_subjects() {
    for event in types() {
        let tokens: Vec<&str> = event.name.split('.').collect();
        assert!(tokens.len() >= 4, "{}", event.name);
        assert_eq!(tokens[..2], ["org", event.producer.token()]);
        let plain = |token: &&str| token.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(tokens.iter().all(plain), "{}", event.name);
        assert_eq!(Subject::lifecycle(tokens[1], &tokens[2..]).unwrap().as_str(), event.name);
    }
    let names: BTreeSet<&str> = types().map(|event| event.name).collect();
    assert_eq!(names.len(), types().count(), "each stands there once");
    let hub = types().filter(|event| event.producer == Producer::StateHub).count();
    assert_eq!(hub, 6);
}

#[test]
fn what_is_not_in_the_catalogue_stays_inside() {
    for entry in inside() {
        assert!(type_of(&entry).is_none(), "{} {}", entry.kind, entry.payload);
        assert!(cloudevent(&entry, SOURCE).is_none());
    }
}

#[test]
fn no_secret_and_no_typed_line_leaves() {
    for sample in samples() {
        let text = sent(&sample).to_string();
        assert!(!text.contains("5ec2e7"), "the hash of a secret is in {text}");
    }
}
