//! Header blocks of the bus: what is read can be built again, and nothing that is built ends early.

use bus::proto::{HeaderBuilder, Headers};

use super::Target;
use crate::Trace;

/// A header block; its lines are also taken as what somebody adds to one.
pub(super) const TARGET: Target = Target {
    name: "bus_headers",
    about: "header blocks of the bus: read, built again, and never ended by what is added",
    words: &[
        "NATS/1.0",
        "\r\n",
        "\r\n\r\n",
        ": ",
        ":",
        " 503",
        " No Responders",
        "Nats-Msg-Id",
        "\r",
        "\n",
    ],
    mutation: None,
    run,
};

fn run(input: &[u8], trace: &mut Trace) {
    let read = Headers::parse(input);
    trace.note(read.map(drop).map_err(|error| error.to_string()));
    if let Ok(headers) = read {
        trace.note((headers.status().is_some(), headers.description().is_some()));
        trace.note(headers.iter().count());
        again(&headers);
    }
    added(input);
}

/// A block that was read, built again.
fn again(headers: &Headers<'_>) {
    let mut builder = HeaderBuilder::new();
    if let Some(code) = headers.status() {
        let words = headers.description().map(String::from_utf8_lossy);
        builder = builder.status(code, words.as_deref());
    }
    for (key, value) in headers.iter() {
        assert!(headers.get(key).is_some());
        builder = builder.add(key, value);
    }
    let block = builder.finish();
    let built = Headers::parse(&block).expect("what is built is read");
    assert_eq!(built.status(), headers.status());
    assert_eq!(built.iter().count(), headers.iter().count());
    let clean = |text: &[u8]| !text.iter().any(u8::is_ascii_control);
    for (was, is) in
        headers.iter().zip(built.iter()).filter(|(was, _)| clean(was.0) && clean(was.1))
    {
        assert_eq!(is, was);
    }
}

/// Any bytes, added line by line and all at once.
fn added(input: &[u8]) {
    let mut builder = HeaderBuilder::new().add(input, input);
    let mut count = 1;
    for line in input.split(|byte| *byte == b'\n').take(64) {
        let (key, value) = line.split_at(line.len() / 2);
        builder = builder.add(key, value);
        count += 1;
    }
    let block = builder.finish();
    assert_eq!(Headers::parse(&block).map(|headers| headers.iter().count()), Ok(count));
}
