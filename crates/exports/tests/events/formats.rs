//! Each event in each format: what a reader finds in the message is the event.

use std::collections::BTreeMap;

use morgana_exports::{
    CLOUDEVENTS_JSON, CloudEvent, Encoded, Format, Identity, SEQUENCE, cloudevent, event_type,
    older_envelope_schema, schema,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{
    conformance,
    samples::{SOURCE, Sample, samples},
    sent, strict, validator,
};

fn event(sample: &Sample) -> CloudEvent {
    cloudevent(&sample.entry, SOURCE).unwrap()
}

fn header<'a>(message: &'a Encoded, name: &str) -> Option<&'a str> {
    let mut found = message.headers.iter().filter(|(key, _)| key == name);
    let value = found.next().map(|(_, value)| value.as_str());
    assert_eq!(found.next(), None, "{name} stands there twice");
    value
}

fn body(message: &Encoded) -> Value {
    serde_json::from_slice(&message.body).unwrap()
}

/// "Percent-decoding", by the binding's words.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match first {
            b'%' => {
                let (digits, after) = rest.split_at(2);
                rest = after;
                u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).unwrap()
}

/// The event that a message in binary mode is, in the JSON format.
fn read_binary(message: &Encoded) -> Value {
    let attribute = |(name, value): &(String, String)| {
        Some((name.strip_prefix("ce-")?.to_owned(), decoded(value).into()))
    };
    let mut event: Map<String, Value> = message.headers.iter().filter_map(attribute).collect();
    event.insert("data".into(), body(message));
    event.into()
}

/// A message in binary mode, by the rules of the NATS binding.
fn check_binary(event: &CloudEvent) {
    let message = event.encode(Format::Binary);
    // "Otherwise it is using binary mode"; what `datacontenttype` says, as in HTTP and Kafka.
    assert_eq!(header(&message, "content-type"), header(&message, "ce-datacontenttype"));
    let names: BTreeMap<&str, ()> = message.headers.iter().map(|(n, _)| (n.as_str(), ())).collect();
    assert_eq!(names.len(), message.headers.len(), "each stands there once");
    for (name, value) in &message.headers {
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
        // "NATS headers MUST only use printable characters from the US-ASCII character set".
        assert!(value.bytes().all(|b| (0x21..=0x7e).contains(&b) && b != b'"'), "{value:?}");
        // "SHOULD be performed using upper-case for values A-F".
        let digits = value.split('%').skip(1).flat_map(|part| part.bytes().take(2));
        assert!(!digits.into_iter().any(|b| b.is_ascii_lowercase()), "{value:?}");
    }
    let whole: Value = serde_json::from_slice(&event.to_json()).unwrap();
    assert_eq!(read_binary(&message), whole, "it is the same event");
    conformance::check(whole.as_object().unwrap());
}

#[test]
fn binary_mode_says_what_structured_mode_does() {
    for sample in samples() {
        check_binary(&event(&sample));
        let message = event(&sample).encode(Format::Structured);
        assert_eq!(header(&message, "content-type"), Some(CLOUDEVENTS_JSON));
        assert_eq!(message.headers.len(), 1);
        assert_eq!(body(&message), sent(&sample));
    }
}

#[test]
fn attributes_are_percent_encoded_as_the_binding_shows() {
    for (actor, value) in [
        ("Euro \u{20ac} \u{1f600}", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
        (r#"100 % "sure""#, "100%20%25%20%22sure%22"),
        ("%20", "%2520"),
        ("a:b~!c", "a:b~!c"),
    ] {
        let mut entry = samples().remove(0).entry;
        entry.context.actor = Some(actor.into());
        let message = cloudevent(&entry, SOURCE).unwrap().encode(Format::Binary);
        assert_eq!(header(&message, "ce-actor"), Some(value));
    }
}

proptest! {
    #[test]
    fn binary_mode_carries_whatever_the_context_holds(
        actor in any::<Option<String>>(),
        correlation_id in any::<Option<String>>(),
        causation_id in any::<Option<String>>(),
    ) {
        let mut entry = samples().remove(0).entry;
        entry.context.actor = actor;
        entry.context.correlation_id = correlation_id;
        entry.context.causation_id = causation_id;
        check_binary(&cloudevent(&entry, SOURCE).unwrap());
    }
}

#[test]
fn the_older_envelope_has_its_eight_members() {
    for sample in samples() {
        let (whole, message) = (sent(&sample), event(&sample).encode(Format::OlderEnvelope));
        assert_eq!(header(&message, "content-type"), Some("application/json"));
        assert_eq!(header(&message, SEQUENCE), whole["sequence"].as_str());
        let envelope = body(&message);
        assert_eq!(validator::check(&strict(older_envelope_schema()), &envelope), Ok(()));
        let data = schema(event_type(sample.name).unwrap());
        assert_eq!(validator::check(&strict(data), &envelope["payload"]), Ok(()));
        let trace = whole.get("traceparent").map(|_| "4bf92f3577b34da6a3ce929d0e0e4736");
        let expected = json!({
            "event_id": whole["id"],
            "type": whole["type"],
            "source": whole["source"],
            "occurred_at": whole["time"],
            "subject": whole["subject"],
            "trace_id": trace,
            "schema_version": "1.0",
            "payload": whole["data"],
        });
        assert_eq!(envelope, expected);
    }
}

fn read(message: &Encoded) -> Option<Identity> {
    Identity::read(|name| header(message, name), &message.body)
}

#[test]
fn every_message_says_which_event_it_is() {
    for (sample, format) in samples().iter().flat_map(|s| Format::ALL.map(|format| (s, format))) {
        let expected = Identity {
            id: sample.entry.id,
            event_type: sample.name,
            source: SOURCE.into(),
            sequence: sample.entry.seq.unwrap(),
        };
        assert_eq!(read(&event(sample).encode(format)), Some(expected), "{}", format.name());
    }
}

/// Takes these members or headers away one by one: what is left is no event.
fn check_needed(format: Format, headers: &[&str], members: &[&str]) {
    let whole = event(&samples()[0]).encode(format);
    for name in headers {
        let mut less = whole.clone();
        less.headers.retain(|(key, _)| key != name);
        assert_eq!(read(&less), None, "{format:?} without {name}");
    }
    for name in members {
        let mut less = body(&whole);
        less.as_object_mut().unwrap().remove(*name).unwrap();
        let less = Encoded { body: less.to_string().into(), ..whole.clone() };
        assert_eq!(read(&less), None, "{format:?} without {name}");
    }
}

#[test]
fn what_is_no_event_is_none() {
    check_needed(Format::Structured, &[], &["id", "type", "source", "sequence"]);
    check_needed(Format::Binary, &["ce-id", "ce-type", "ce-source", "ce-sequence"], &[]);
    check_needed(Format::OlderEnvelope, &[SEQUENCE], &["event_id", "type", "source"]);
    let foreign = |headers: &[(&str, &str)], body: &str| {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        read(&Encoded { headers, body: body.into() })
    };
    let id = "019b76da-a800-7075-baa3-b893e730ac81";
    for body in ["", "no JSON", "7", "[]", "null", r#"{"event_id":7}"#] {
        assert_eq!(foreign(&[], body), None, "{body}");
        assert_eq!(foreign(&[("ce-id", id)], body), None, "{body}");
    }
    let event = |id: &str, name: &str, source: &str, sequence: &str| {
        json!({"id": id, "type": name, "source": source, "sequence": sequence}).to_string()
    };
    let (name, place) = ("org.statehub.task.stale", "00000000000000000012");
    assert!(foreign(&[], &event(id, name, "/elsewhere", place)).is_some());
    for event in [
        event("1", name, "/elsewhere", place),
        event(id, "org.orders.order.placed", "/elsewhere", place),
        event(id, name, &"long".repeat(100), place),
        event(id, name, "/elsewhere", "many"),
    ] {
        assert_eq!(foreign(&[], &event), None, "{event}");
    }
}
