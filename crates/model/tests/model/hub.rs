//! The hub: moves between states, derived signs, texts, and the context of events.

use std::time::Duration;

use expect_test::{Expect, expect};
use model::{
    Ambient, Event, EventContext, Payload, Timestamp,
    hub::{
        DecisionStatus, GoalState, Location, MAX_PROSE_BYTES, Prose, RepoRegistered, STALLED_AFTER,
        Slug, TaskState, Title, WorkstreamSign, WorkstreamState, WorkstreamTally,
    },
    traceparent,
};
use morgana_model as model;
use proptest::prelude::*;

/// The table of moves: one line per state, with the states that it may become or why not.
macro_rules! table {
    ($state:ty) => {{
        let mut text = String::new();
        for from in <$state>::ALL {
            text += &format!("{from}:");
            for to in <$state>::ALL {
                match from.check(*to) {
                    Ok(()) => text += &format!(" {to}"),
                    Err(why) => text += &format!(" ({to} {why})"),
                }
                assert_eq!(from.may_become(*to), from.check(*to).is_ok());
            }
            text.push('\n');
        }
        text
    }};
}

#[allow(clippy::needless_pass_by_value, reason = "expect! makes a value")]
fn check(table: String, expected: Expect) {
    expected.assert_eq(&table);
}

#[test]
fn goals_and_decisions_move_as_listed() {
    check(
        table!(GoalState),
        expect![[r#"
            draft: (draft no_such_move) active (achieved not_started) retired
            active: (draft no_such_move) (active no_such_move) achieved retired
            achieved: (draft final_state) (active final_state) (achieved final_state) (retired final_state)
            retired: (draft no_such_move) active (achieved not_started) (retired no_such_move)
        "#]],
    );
    check(
        table!(DecisionStatus),
        expect![[r#"
            open: (open no_such_move) escalated resolved superseded
            escalated: (open no_such_move) (escalated no_such_move) resolved superseded
            resolved: (open no_such_move) (escalated no_such_move) (resolved no_such_move) superseded
            superseded: (open final_state) (escalated final_state) (resolved final_state) (superseded final_state)
        "#]],
    );
}

/// Walks by the moves that are allowed; answers where it was.
macro_rules! walk {
    ($from:expr, $steps:expr) => {{
        let mut path = vec![$from];
        for step in $steps {
            let at = *path.last().unwrap();
            if at.may_become(step) {
                path.push(step);
            }
        }
        path
    }};
}

proptest! {
    #[test]
    fn no_path_leaves_a_final_state(
        steps in proptest::collection::vec(0..7usize, 0..40),
        start in 0..7usize,
    ) {
        let pick = |n: usize| WorkstreamState::ALL[n % WorkstreamState::ALL.len()];
        let path = walk!(pick(start), steps.iter().map(|n| pick(*n)));
        if let Some(at) = path.iter().position(|state| *state == WorkstreamState::Archived) {
            prop_assert_eq!(at, path.len() - 1);
        }
        for pair in path.windows(2).filter(|pair| pair[1] == WorkstreamState::Finished) {
            prop_assert_eq!(pair[0], WorkstreamState::Active, "only what is under way is finished");
        }
        let pick = |n: usize| TaskState::ALL[n % TaskState::ALL.len()];
        let path = walk!(pick(start), steps.iter().map(|n| pick(*n)));
        if let Some(at) = path.iter().position(|state| !state.is_open()) {
            prop_assert_eq!(at, path.len() - 1, "what is done or cancelled stays so");
        }
    }

    #[test]
    fn slugs_are_what_their_pattern_says(text in "[a-z0-9A-Z_-]{0,6}|[a-z-]{60,70}") {
        let words = text.split('-').all(|word| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        });
        prop_assert_eq!(text.parse::<Slug>().is_ok(), words && text.len() <= 64);
    }

    #[test]
    fn a_traceparent_passes_through_or_not_at_all(
        trace in "[0-9a-f]{32}", parent in "[0-9a-f]{16}", noise in ".{0,60}",
    ) {
        let header = format!("00-{trace}-{parent}-01");
        let zero = |id: &str| id.bytes().all(|b| b == b'0');
        let good = !zero(&trace) && !zero(&parent);
        prop_assert_eq!(traceparent(&header), good.then(|| header.clone()));
        if let Some(kept) = traceparent(&noise) {
            prop_assert_eq!(kept.len(), 55);
        }
    }
}

#[test]
fn every_move_that_is_no_move_is_refused() {
    fn same<S: Copy>(all: &[S], may: impl Fn(S, S) -> bool) {
        assert!(all.iter().all(|state| !may(*state, *state)));
    }
    same(WorkstreamState::ALL, WorkstreamState::may_become);
    same(TaskState::ALL, TaskState::may_become);
    same(GoalState::ALL, GoalState::may_become);
    same(DecisionStatus::ALL, DecisionStatus::may_become);
    let open = WorkstreamState::ALL.iter().filter(|state| **state != WorkstreamState::Archived);
    assert!(open.clone().all(|state| state.may_become(WorkstreamState::Archived)));
}

#[test]
fn signs_follow_from_tasks_and_time() {
    let then = Timestamp::from_micros(1_700_000_000_000_000);
    let sign = |state, tasks_open, tasks, quiet| {
        WorkstreamTally { tasks_open, tasks, last_activity_at: then }.sign(state, then.plus(quiet))
    };
    let (soon, late) = (STALLED_AFTER - Duration::from_micros(1), STALLED_AFTER);
    assert_eq!(sign(WorkstreamState::Active, 1, 2, soon), None);
    assert_eq!(sign(WorkstreamState::Active, 0, 0, soon), None);
    assert_eq!(sign(WorkstreamState::Active, 0, 0, late), Some(WorkstreamSign::Stalled));
    assert_eq!(sign(WorkstreamState::Active, 0, 2, soon), Some(WorkstreamSign::NeedsReview));
    assert_eq!(sign(WorkstreamState::Active, 0, 2, late), Some(WorkstreamSign::NeedsReview));
    assert_eq!(sign(WorkstreamState::Blocked, 1, 2, late), Some(WorkstreamSign::Stalled));
    assert_eq!(sign(WorkstreamState::Blocked, 1, 2, soon), None);
    for quiet in [WorkstreamState::Backlog, WorkstreamState::Finished, WorkstreamState::Archived] {
        assert_eq!(sign(quiet, 0, 2, late), None);
    }
}

#[test]
fn texts_are_refused_where_they_would_harm() {
    for wrong in ["", "   ", "a\nb", "\u{7}", &"x".repeat(201)] {
        assert!(wrong.parse::<Title>().is_err(), "{wrong:?}");
    }
    assert_eq!(" Decoys ".parse::<Title>().unwrap().as_str(), "Decoys");
    assert!("x".repeat(MAX_PROSE_BYTES).parse::<Prose>().is_ok());
    for wrong in ["a\0b", "\u{1b}[2J", &"x".repeat(MAX_PROSE_BYTES + 1)] {
        assert!(wrong.parse::<Prose>().is_err());
    }
    for good in
        ["git@example.net:a/b.git", "ssh://git@example.net/b", "/srv/a b", "https://h/a:b@c"]
    {
        assert!(good.parse::<Location>().is_ok(), "{good}");
    }
    for wrong in [
        "",
        "https://u:secret@example.net/b",
        "ssh://u:secret@example.net/b",
        "https://token@example.net/b",
        "git+HTTPS://token@example.net/b",
        "https://example.net/b?private_token=secret",
        "a\nb",
        &"x".repeat(2049),
    ] {
        assert!(wrong.parse::<Location>().is_err(), "{wrong}");
    }
}

#[test]
fn an_event_says_who_caused_it() {
    let ambient = Ambient::seeded(1, Timestamp::from_micros(1_700_000_000_000_000));
    let registered = RepoRegistered {
        repo_id: ambient.id(),
        repo_slug: "maze".parse().unwrap(),
        domain_slug: "ops".parse().unwrap(),
        remote_url: None,
        local_path: Some("/srv/maze".parse().unwrap()),
    };
    let event = Event::new(&ambient, Payload::RepoRegistered(registered));
    let bare = serde_json::to_string(&event.to_entry(Some(1))).unwrap();
    assert!(!bare.contains("context"), "{bare}");
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let context = EventContext::of("ada").traced(Some(trace));
    let entry = event.within(context.clone()).to_entry(Some(1));
    assert_eq!(entry.topic.as_str(), "org.statehub.repo.registered");
    let json = serde_json::to_string(&entry).unwrap();
    let back: model::JournalEntry = serde_json::from_str(&json).unwrap();
    assert_eq!(back.context, context);
    assert!(EventContext::of(&"é".repeat(200)).actor.unwrap().len() <= 256);
    assert!(EventContext::default().traced(Some("00-0-0-00")).is_empty());
}
