//! Requests to the root helper, as a process that was taken over would send them.

use std::collections::{BTreeMap, BTreeSet};

use fleet::helper::{Ledger, MAX_CLASSES, MAX_PORTS, MAX_REQUEST, Request};

use super::Target;
use crate::Trace;

/// Most requests of one input.
const MAX_REQUESTS: usize = 4096;

/// A byte for the length, then a request, and again.
pub(super) const TARGET: Target = Target {
    name: "helper",
    about: "any requests are taken; what is granted is within the bounds of the root helper",
    words: &[
        "\u{1}\u{1}",
        "\u{1}\u{9}",
        "\u{4}\u{3}\u{0}\u{0}\u{16}",
        "\u{4}\u{4}\u{0}\u{0}\u{16}",
        "\u{9}\u{2}\u{1}\u{1}\u{1}\u{2}\u{0}`\u{0}\u{0}",
    ],
    mutation: None,
    run,
};

fn run(input: &[u8], trace: &mut Trace) {
    let (mut ledger, mut classes) = (Ledger::default(), 0);
    let mut ports: BTreeMap<u8, BTreeSet<_>> = BTreeMap::new();
    let mut rest = input;
    for _ in 0..MAX_REQUESTS {
        let [length, after @ ..] = rest else { break };
        let (bytes, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        let request = Request::decode(bytes);
        trace.note(request.as_ref().err().map(ToString::to_string));
        let Ok(request) = request else { continue };
        assert_eq!(request.encode(), bytes, "said in one way only");
        assert!(bytes.len() <= MAX_REQUEST);
        let granted = ledger.check(&request);
        trace.note(granted.as_ref().err().map(ToString::to_string));
        if granted.is_err() {
            continue;
        }
        ledger.granted(&request);
        match request {
            Request::Uplink => {}
            Request::Release => {
                classes = 0;
                ports.clear();
            }
            Request::Class(kernel) => {
                assert_eq!(kernel.check(), Ok(()));
                classes += 1;
            }
            Request::Open { class, transport, port } => {
                assert!(usize::from(class) < classes, "a namespace that there is");
                let ports = ports.entry(class).or_default();
                ports.insert((transport, port.get()));
                assert!(ports.len() <= MAX_PORTS);
            }
        }
        assert!(classes <= MAX_CLASSES);
    }
}
