//! What is committed for readers, against what the code makes: `schemas/` and `docs/events.md`.
//! `UPDATE_EVENTS=1` writes it anew.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use morgana_exports::{
    ENVELOPE, EventType, Field, Format, Kind, OLDER_ENVELOPE, Producer, TYPES, cloudevent,
    envelope_schema, older_envelope_schema, schema,
};
use serde_json::Value;

use crate::{
    samples::{SOURCE, samples},
    sent, types,
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn is_updating() -> bool {
    std::env::var_os("UPDATE_EVENTS").is_some()
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

#[test]
fn the_committed_schemas_are_those_that_the_code_makes() {
    let mut made: BTreeMap<String, String> =
        types().map(|event| (format!("{}.json", event.name), pretty(&schema(event)))).collect();
    made.insert(format!("{ENVELOPE}.json"), pretty(&envelope_schema()));
    made.insert(format!("{OLDER_ENVELOPE}.json"), pretty(&older_envelope_schema()));
    let directory = root().join("schemas");
    if is_updating() {
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        for (name, text) in &made {
            fs::write(directory.join(name), text).unwrap();
        }
    }
    let committed: BTreeMap<String, String> = fs::read_dir(&directory)
        .unwrap()
        .map(|file| file.unwrap())
        .map(|file| (file.file_name().into_string().unwrap(), fs::read_to_string(file.path())))
        .map(|(name, text)| (name, text.unwrap()))
        .collect();
    assert!(committed == made, "schemas/ differs from the code: run with UPDATE_EVENTS=1");
}

#[test]
fn the_committed_catalogue_is_the_one_that_the_code_makes() {
    let path = root().join("docs/events.md");
    if is_updating() {
        fs::write(&path, catalogue()).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == catalogue(), "docs/events.md differs: run with UPDATE_EVENTS=1");
}

const INTRODUCTION: &str = "\
# Lifecycle events

<!-- Made by `UPDATE_EVENTS=1 cargo test -p morgana-exports`; not to be changed by hand. -->

What Morgana tells the world, on the stream `ACTIVITY_EVENTS` (subjects `org.>`). How subjects are
named, where the stream is and how to read it: [hub.md](hub.md).

Every event is a [CloudEvent](https://cloudevents.io) 1.0: its `type` is its NATS subject, its `id`
is its `Nats-Msg-Id`, its `dataschema` names the schema of its `data` below. The envelope itself has
a schema too, [`schemas/envelope.json`](../schemas/envelope.json). A running Morgana serves all of
them, without a login, at `/api/v1/schemas/{type}`.

| Attribute | Value |
|---|---|
| `id` | the event's id: who has seen it has seen the event |
| `source` | `urn:morgana:<epoch>`; another epoch after a restore, since positions begin anew |
| `type` | the subject |
| `subject` | what it is about: a noun, a slash, an id |
| `time` | when it happened |
| `sequence` | its place in the journal of its source, 20 digits: texts sort like numbers; not dense |
| `actor` | who did it, where somebody did |
| `correlationid`, `causationid` | what it belongs to, what caused it, where known |
| `traceparent` | the trace of the request that caused it (W3C Trace Context), where it had one |
| `data` | what it says: as the schema of its type has it |

A new optional member of `data` may come at any time, and whoever passes an event on may add
attributes to it: the schemas are open, skip what you do not know. A member is not taken away or
renamed, nor is a type.

Below, events stand as they are sent unless another format is chosen; all [formats](#formats) are at
the end.
";

/// What each format is, before the example.
const fn meaning(format: Format) -> &'static str {
    match format {
        Format::Structured => {
            "CloudEvents' structured mode, the default: the body is the whole event in the JSON
format, as [`envelope`](../schemas/envelope.json) has it."
        }
        Format::Binary => {
            "CloudEvents' binary mode for NATS: the body is `data`, every other attribute is a header
`ce-…`. Of values, all but printable ASCII, and the space, `\"` and `%`, are percent-encoded. The
header `content-type` says the same as `ce-datacontenttype`."
        }
        Format::OlderEnvelope => {
            "For readers from before CloudEvents: the body is the envelope that they know, as
[`older-envelope`](../schemas/older-envelope.json) has it, with these members in every event.
`payload` is what `data` is elsewhere. `actor`, `correlationid` and `causationid` are not said;
`sequence` is in the header `Morgana-Sequence`."
        }
    }
}

fn catalogue() -> String {
    let mut text = String::from(INTRODUCTION);
    for events in TYPES {
        section(&mut text, events);
    }
    formats(&mut text);
    text
}

/// The same event in each format, as it is in the stream.
fn formats(text: &mut String) {
    text.push_str(
        "\n## Formats\n\nThe same event in each; [how to choose](hub.md#choosing-a-format).\n",
    );
    let event = cloudevent(&samples()[0].entry, SOURCE).unwrap();
    for format in Format::ALL {
        writeln!(text, "\n### `{}`\n\n{}\n", format.name(), meaning(format)).unwrap();
        let message = event.encode(format);
        writeln!(text, "```\nNats-Msg-Id: {}", event.id).unwrap();
        for (name, value) in &message.headers {
            writeln!(text, "{name}: {value}").unwrap();
        }
        let body: Value = serde_json::from_slice(&message.body).unwrap();
        writeln!(text, "\n{}\n```", serde_json::to_string_pretty(&body).unwrap()).unwrap();
    }
}

fn section(text: &mut String, events: &[EventType]) {
    let producer: Producer = events[0].producer;
    writeln!(text, "\n## From {}: `org.{}.>`\n", producer.title(), producer.token()).unwrap();
    writeln!(text, "| Subject | Sent when | About | Schema |\n|---|---|---|---|").unwrap();
    for event in events {
        let (noun, _) = event.about;
        let name = event.name;
        let link = format!("[schema](../schemas/{name}.json)");
        writeln!(text, "| `{name}` | {} | `{noun}/…` | {link} |", event.meaning).unwrap();
    }
    events.iter().for_each(|event| entry(text, event));
}

fn entry(text: &mut String, event: &EventType) {
    writeln!(text, "\n### `{}`\n\n{}\n", event.name, event.meaning).unwrap();
    writeln!(text, "| Member | Holds | Meaning |\n|---|---|---|").unwrap();
    for field in event.fields {
        member(text, field);
    }
    let sample = samples().into_iter().find(|sample| sample.name == event.name).unwrap();
    let example = serde_json::to_string_pretty(&sent(&sample)).unwrap();
    writeln!(text, "\n```json\n{example}\n```").unwrap();
}

fn member(text: &mut String, field: &Field) {
    let optional = if field.required { "" } else { ", or missing" };
    writeln!(text, "| `{}` | {}{optional} | {} |", field.name, words(field.kind), field.meaning)
        .unwrap();
}

fn words(kind: Kind) -> String {
    match kind {
        Kind::Id => "an id (UUID)".into(),
        Kind::Ids(most) => format!("up to {most} ids"),
        Kind::Slug => "a name of lower-case letters, digits and dashes".into(),
        Kind::Text(_) => "text".into(),
        Kind::Texts(most) => format!("up to {most} texts"),
        Kind::OneOf(words) => format!("`{}`", words.join("`, `")),
        Kind::Address => "an IP address".into(),
        Kind::Moment => "a moment (RFC 3339, UTC)".into(),
        Kind::Count(u64::MAX) => "a whole number".into(),
        Kind::Count(most) => format!("a whole number up to {most}"),
        Kind::Flag => "true or false".into(),
    }
}
