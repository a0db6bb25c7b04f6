//! The match table of the bus against a list that is searched from end to end, and its rules for
//! subjects against a second opinion.

use std::collections::BTreeMap;

use bus::matcher::{
    Matcher, RouteId, Routes, is_subset, matches, overlaps, valid_filter, valid_literal,
};

use super::Target;
use crate::Trace;

/// Lines: `+`, `-` or `?`, a byte for the id, a filter or subject, and a queue group or none.
pub(super) const TARGET: Target = Target {
    name: "bus_matcher",
    about: "the bus's match table, its cache and its rules for subjects, as a plain list says",
    words: &[
        "\n+1",
        "\n-1",
        "\n?1",
        "\n?1a.b\n",
        "\n+2a.* q\n",
        "\n-2a.* q\n",
        "\n+3>",
        "*",
        ">",
        ".",
        "..",
        ".>",
        ".*",
        "foo*",
        ">x",
        " q",
        " r",
        "a.b.c",
    ],
    mutation: None,
    run,
};

/// Lines of one input that are looked at: the list is slow.
const MAX_LINES: usize = 256;

#[derive(Default)]
struct List(Vec<(Vec<u8>, Option<Vec<u8>>, RouteId)>);

impl List {
    fn routes(&self, subject: &[u8]) -> Routes {
        let mut plain = Vec::new();
        let mut groups: BTreeMap<&[u8], Vec<RouteId>> = BTreeMap::new();
        for (_, queue, id) in self.0.iter().filter(|(filter, ..)| fits(filter, subject)) {
            match queue {
                None => plain.push(*id),
                Some(queue) => groups.entry(queue).or_default().push(*id),
            }
        }
        plain.sort_unstable();
        groups.values_mut().for_each(|ids| ids.sort_unstable());
        let groups = groups.into_values().map(Vec::into).collect();
        Routes { plain: plain.into(), groups }
    }
}

fn run(input: &[u8], trace: &mut Trace) {
    // small, so that results are forgotten
    let entries = input.first().map_or(0, |byte| usize::from(byte % 16));
    let mut table = (Matcher::new(entries), Matcher::default(), List::default());
    for line in input.split(|byte| *byte == b'\n').take(MAX_LINES) {
        let [operation, id, rest @ ..] = line else { continue };
        let mut words = rest.split(|byte| *byte == b' ');
        let filter = words.next().unwrap_or_default();
        let entry = (filter.to_vec(), words.next().map(<[u8]>::to_vec), RouteId::from(id % 8));
        match operation {
            b'+' => add(&mut table, entry, trace),
            b'-' => take(&mut table, &entry, trace),
            _ => look(&mut table, filter, trace),
        }
        assert_eq!((table.0.len(), table.1.len()), (table.2.0.len(), table.2.0.len()));
        assert!(table.0.cached() <= entries);
    }
}

type Table = (Matcher, Matcher, List);
type Entry = (Vec<u8>, Option<Vec<u8>>, RouteId);

fn add((small, large, list): &mut Table, entry: Entry, trace: &mut Trace) {
    let (filter, queue, id) = &entry;
    assert_eq!(valid_filter(filter), is_filter(filter), "{}", filter.escape_ascii());
    let fits = is_filter(filter) && !list.0.contains(&entry);
    assert_eq!(small.insert(filter, queue.as_deref(), *id), fits);
    assert_eq!(large.insert(filter, queue.as_deref(), *id), fits);
    trace.note((1, fits, queue.is_some()));
    list.0.extend(fits.then_some(entry));
}

fn take((small, large, list): &mut Table, entry: &Entry, trace: &mut Trace) {
    let (filter, queue, id) = entry;
    let at = list.0.iter().position(|other| other == entry);
    assert_eq!(small.remove(filter, queue.as_deref(), *id), at.is_some());
    assert_eq!(large.remove(filter, queue.as_deref(), *id), at.is_some());
    trace.note((2, at.is_some(), queue.is_some()));
    at.map(|at| list.0.swap_remove(at));
}

fn look((small, large, list): &mut Table, subject: &[u8], trace: &mut Trace) {
    let expected = list.routes(subject);
    assert_eq!(*small.routes(subject), expected, "{}", subject.escape_ascii());
    assert_eq!(*large.routes(subject), expected, "{}", subject.escape_ascii());
    trace.note((3, expected.plain.len(), expected.groups.len()));
    let is_word = |token: &[u8]| !matches!(token, b"" | b"*" | b">");
    let literal = subject.split(|byte| *byte == b'.').all(is_word);
    assert_eq!(valid_literal(subject), literal, "{}", subject.escape_ascii());
    for pair in list.0.windows(2) {
        relate(&pair[0].0, &pair[1].0, subject, literal);
    }
}

/// What follows for two filters from a subject.
fn relate(a: &[u8], b: &[u8], subject: &[u8], literal: bool) {
    let (in_a, in_b) = (fits(a, subject), fits(b, subject));
    assert_eq!((matches(a, subject), matches(b, subject)), (in_a, in_b));
    assert_eq!(overlaps(a, b), overlaps(b, a));
    assert!(is_subset(a, a) && overlaps(a, a));
    assert!(!is_subset(a, b) || overlaps(a, b));
    if literal {
        assert!(!(in_a && in_b) || overlaps(a, b));
        assert!(!is_subset(a, b) || !in_a || in_b);
    }
}

fn is_filter(text: &[u8]) -> bool {
    let text = [text, b"."].concat();
    !text.starts_with(b".")
        && !text.windows(2).any(|pair| pair == b"..")
        && !text.starts_with(b">.") | (text == b">.")
        && text.windows(3).position(|part| part == b".>.").is_none_or(|at| at + 3 == text.len())
}

/// By recursion on both ends.
fn fits(pattern: &[u8], subject: &[u8]) -> bool {
    let tokens = |text: &[u8]| text.split(|byte| *byte == b'.').map(<[u8]>::to_vec).collect();
    let (pattern, subject): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (tokens(pattern), tokens(subject));
    !subject.iter().any(Vec::is_empty) && fit(&pattern, &subject)
}

fn fit(pattern: &[Vec<u8>], subject: &[Vec<u8>]) -> bool {
    match (pattern, subject) {
        ([], []) => true,
        ([last], [_, ..]) if last == b">" => true,
        ([wanted, pattern @ ..], [token, subject @ ..]) => {
            (wanted == b"*" || wanted == token) && fit(pattern, subject)
        }
        _ => false,
    }
}
