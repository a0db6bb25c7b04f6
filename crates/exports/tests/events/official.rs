//! What the CloudEvents project's own conformance cases for the JSON format say of single events
//! (cloudevents/conformance, `format/json`), applied to the published schema of the envelope: it
//! takes what is allowed, and refuses what is not. Left out is what we never write: events without
//! `time` or with `null`, text as data, and batches.

use morgana_exports::envelope_schema;
use serde_json::{Value, json};

use crate::{samples::samples, sent, validator};

/// An event of ours with these members instead of its own; a member of `null` is taken away.
fn with(changes: &Value) -> Value {
    let mut event = sent(&samples()[0]);
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => _ = event.as_object_mut().unwrap().remove(name),
            value => event[name] = value.clone(),
        }
    }
    event
}

fn check(changes: &Value) -> Result<(), String> {
    validator::check(&envelope_schema(), &with(changes))
}

#[test]
fn what_is_allowed_is_taken() {
    for changes in [
        // Moments: of any precision, from any place.
        json!({"time": "2018-04-05T17:31:00Z"}),
        json!({"time": "2018-04-05T17:31:00.000000000Z"}),
        json!({"time": "2018-04-05T18:31:00+01:00"}),
        json!({"time": "2018-04-05T16:31:00-01:00"}),
        // A relative source.
        json!({"source": "#fragment"}),
        // Optional attributes may be missing.
        json!({"subject": null}),
        // Extensions of every type.
        json!({"extinteger": 10, "extboolean": true, "extstring": "text"}),
        json!({"exturi": "https://cloudevents.io", "exturiref": "//authority/path"}),
        json!({"exttimestamp": "2023-03-31T15:12:00Z", "extbinary": "TWE="}),
    ] {
        assert_eq!(check(&changes), Ok(()), "{changes}");
    }
}

#[test]
fn what_is_not_allowed_is_refused() {
    for changes in [
        // Required attributes.
        json!({"specversion": null}),
        json!({"id": null}),
        json!({"type": null}),
        json!({"source": null}),
        json!({"specversion": ""}),
        json!({"id": ""}),
        json!({"type": ""}),
        json!({"source": ""}),
        json!({"specversion": "0.9"}),
        json!({"id": 25}),
        json!({"id": {"xyz": "abc"}}),
        // Moments.
        json!({"time": "lunchtime"}),
        json!({"time": "2018-04-05T18:31Z"}),
        json!({"time": "2018-04-05T18:31:00X"}),
        json!({"time": "2018-04-05T18:31:00+25:00"}),
        json!({"time": "2018-04-05T18:31:00+xx:00"}),
        json!({"time": "2018-04-05T18:31:00+05"}),
        // Optional attributes.
        json!({"datacontenttype": "xyz"}),
        json!({"datacontenttype": ""}),
        json!({"dataschema": ""}),
        json!({"subject": ""}),
        // Extensions: their names and types.
        json!({"MyExtension": "bad"}),
        json!({"my.extension": "bad"}),
        json!({"myextension": 1.5}),
        // Data twice.
        json!({"data_base64": "eyAieHl6IjogMTIzIH0="}),
    ] {
        assert!(check(&changes).is_err(), "{changes}");
    }
}
