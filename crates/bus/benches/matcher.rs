//! What a look-up in the match table costs: `cargo bench -p morgana-bus --bench matcher`.
//!
//! Prints millions of operations a second; each figure is the best of five rounds.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use morgana_bus::matcher::Matcher;

fn main() {
    hot();
    wide();
    churn();
}

/// Runs `round`, which does `operations`, five times.
fn report(what: &str, operations: usize, mut round: impl FnMut()) {
    let times = (0..5).map(|_| {
        let start = Instant::now();
        round();
        start.elapsed()
    });
    let best = times.min().unwrap_or(Duration::MAX);
    let rate = operations as f64 / best.as_secs_f64() / 1e6;
    println!("{what:<58} {rate:>8.1} M/s {:>8.1} ns", 1e3 / rate);
}

/// Few subjects of 16 to 40 bytes, all remembered.
fn hot() {
    let mut matcher = Matcher::default();
    matcher.insert(b"decky.>", None, 1);
    let subjects: Vec<Vec<u8>> =
        (0..16).map(|n| format!("decky.d{n:04}.{}", "x".repeat(4 + n)).into_bytes()).collect();
    for count in [1, 16] {
        report(&format!("remembered, {count} subjects"), 1 << 22, || {
            for n in 0..1 << 22 {
                black_box(matcher.routes(black_box(&subjects[n % count])));
            }
        });
    }
}

/// 10,000 filters, a tenth of them wildcards, and 50,000 subjects.
fn wide() {
    let filters: Vec<Vec<u8>> = (0..10_000)
        .map(|n| match n % 10 {
            0 => format!("bench.{n}.*.>"),
            _ => format!("bench.{n}.load.{}", n % 5),
        })
        .map(String::into_bytes)
        .collect();
    let subjects: Vec<Vec<u8>> = (0..50_000)
        .map(|n| format!("bench.{}.load.{}", n % 10_000, n / 10_000))
        .map(String::into_bytes)
        .collect();
    let mut matcher = Matcher::default();
    report("10,000 filters added and taken away, changes", 20_000, || {
        filters.iter().zip(1..).for_each(|(filter, id)| {
            matcher.insert(filter, None, id);
        });
        filters.iter().zip(1..).for_each(|(filter, id)| {
            matcher.remove(filter, None, id);
        });
    });
    filters.iter().zip(1..).for_each(|(filter, id)| {
        matcher.insert(filter, None, id);
    });
    let mut forgetful = Matcher::new(0);
    filters.iter().zip(1..).for_each(|(filter, id)| {
        forgetful.insert(filter, None, id);
    });
    report("10,000 filters, 50,000 subjects, found anew", subjects.len(), || {
        subjects.iter().for_each(|subject| drop(black_box(forgetful.routes(subject))));
    });
    report("10,000 filters, 50,000 subjects, remembered", subjects.len(), || {
        subjects.iter().for_each(|subject| drop(black_box(matcher.routes(subject))));
    });
}

/// Inboxes come and go while a subject is hot.
fn churn() {
    let mut matcher = Matcher::default();
    matcher.insert(b"bench.>", None, 1);
    let inboxes: Vec<Vec<u8>> = (0..1000).map(|n| format!("_INBOX.n{n}.*").into_bytes()).collect();
    report("an inbox added or taken away, and a look-up", 2 * inboxes.len(), || {
        for inbox in &inboxes {
            matcher.insert(inbox, None, 2);
            black_box(matcher.routes(b"bench.of.a.subject"));
            matcher.remove(inbox, None, 2);
            black_box(matcher.routes(b"bench.of.a.subject"));
        }
    });
}
