//! The match table against a list that is searched from end to end.

use std::{collections::BTreeMap, ops::Range};

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{
    Matcher, RouteId, Routes, is_literal, is_subset, matches, overlaps, valid_filter, valid_literal,
};

#[test]
fn filters_and_subjects_are_those_of_nats() {
    // filter, whether it is one, whether it is a subject
    let cases = [
        ("a", true, true),
        ("a.b.c", true, true),
        ("*", true, false),
        (">", true, false),
        ("a.*.c", true, false),
        ("a.>", true, false),
        ("foo*", true, true),
        (">x.b", true, true),
        ("a.**", true, true),
        ("", false, false),
        (".", false, false),
        ("a.", false, false),
        (".a", false, false),
        ("a..b", false, false),
        (">.a", false, false),
        ("a.>.", false, false),
    ];
    for (text, filter, literal) in cases {
        assert_eq!(valid_filter(text.as_bytes()), filter, "{text}");
        assert_eq!(valid_literal(text.as_bytes()), literal, "{text}");
    }
    assert!(is_literal(b"a.b*") && !is_literal(b"a.*"));
}

#[test]
fn filters_match_subjects() {
    let cases = [
        ("a.b", "a.b", true),
        ("a.b", "a.bc", false),
        ("a.b", "a", false),
        ("a", "a.b", false),
        ("*", "a", true),
        ("*", "a.b", false),
        ("a.*.c", "a.x.c", true),
        (">", "a.b.c", true),
        ("a.>", "a.b", true),
        ("a.>", "a", false),
        ("a.*", "a.*", true),
        ("a.>", "a.>", true),
        ("a.b", "a.*", false),
        ("foo*", "foobar", false),
        ("foo*", "foo*", true),
        (">", "a..b", false),
        ("*", "", false),
        ("", "", false),
        ("a.*", "a.", false),
    ];
    for (filter, subject, expected) in cases {
        assert_eq!(matches(filter.as_bytes(), subject.as_bytes()), expected, "{filter} {subject}");
        let mut matcher = Matcher::new(10);
        matcher.insert(filter.as_bytes(), None, 1);
        let found = !matcher.routes(subject.as_bytes()).is_empty();
        assert_eq!(found, expected, "{filter} {subject}");
    }
}

/// Every text of tokens from `words`, in the lengths of `lengths`.
fn texts(words: &[&str], lengths: Range<usize>) -> Vec<Vec<u8>> {
    let grown = |texts: &[String]| -> Vec<String> {
        let longer =
            |text: &String| words.iter().map(|w| format!("{text}.{w}")).collect::<Vec<_>>();
        texts.iter().flat_map(longer).collect()
    };
    let mut level: Vec<String> = words.iter().map(ToString::to_string).collect();
    let mut all = Vec::new();
    for _ in lengths {
        all.extend(level.iter().map(|text| text.clone().into_bytes()));
        level = grown(&level);
    }
    all
}

#[test]
fn overlaps_and_subsets_are_what_the_subjects_say() {
    let filters = texts(&["a", "b", "*", ">"], 1..4);
    let filters: Vec<_> = filters.into_iter().filter(|f| valid_filter(f)).collect();
    let subjects = texts(&["a", "b", "z"], 1..5);
    let sets: Vec<Vec<bool>> =
        filters.iter().map(|f| subjects.iter().map(|s| matches(f, s)).collect()).collect();
    for (a, in_a) in filters.iter().zip(&sets) {
        for (b, in_b) in filters.iter().zip(&sets) {
            let both = in_a.iter().zip(in_b).any(|(a, b)| *a && *b);
            let inside = in_a.iter().zip(in_b).all(|(a, b)| !a || *b);
            assert_eq!(overlaps(a, b), both, "{} {}", a.escape_ascii(), b.escape_ascii());
            assert_eq!(is_subset(a, b), inside, "{} in {}", a.escape_ascii(), b.escape_ascii());
        }
    }
}

#[test]
fn a_queue_group_is_one_over_its_filters() {
    let mut matcher = Matcher::new(10);
    matcher.insert(b"a.*", Some(b"q"), 3);
    matcher.insert(b"a.b", Some(b"q"), 1);
    matcher.insert(b"a.>", Some(b"r"), 2);
    matcher.insert(b">", None, 4);
    let routes = matcher.routes(b"a.b");
    assert_eq!(*routes.plain, [4]);
    assert_eq!(*routes.groups, [vec![1, 3].into(), vec![2].into()]);
}

#[test]
fn a_filter_of_a_thousand_tokens_comes_and_goes() {
    let deep = vec!["*"; 2048].join(".");
    let subject = vec!["a"; 2048].join(".");
    let mut matcher = Matcher::new(10);
    assert!(matcher.insert(deep.as_bytes(), None, 1));
    assert!(!matcher.insert(deep.as_bytes(), None, 1));
    assert_eq!(*matcher.routes(subject.as_bytes()).plain, [1]);
    assert!(matcher.node_bytes() >= 1000 * size_of::<usize>());
    assert!(matcher.node_bytes() <= super::route_cost(deep.as_bytes(), None));
    assert!(matcher.remove(deep.as_bytes(), None, 1));
    assert_eq!(matcher.node_bytes(), super::trie::NODE_COST, "the root stays");
    assert!(matcher.routes(subject.as_bytes()).is_empty());
    assert!(!matcher.remove(deep.as_bytes(), None, 1));
    assert!(matcher.is_empty());
}

#[test]
fn the_cache_is_bounded_and_keeps_what_is_asked_for() {
    let mut matcher = Matcher::new(100);
    matcher.insert(b"*", None, 1);
    let hot = matcher.routes(b"hot");
    for n in 0..1000 {
        matcher.routes(n.to_string().as_bytes());
        assert!(matcher.cached() <= 100);
        assert!(std::rc::Rc::ptr_eq(&hot, &matcher.routes(b"hot")));
    }
}

#[test]
fn a_change_leaves_what_it_does_not_concern() {
    let mut matcher = Matcher::new(100);
    matcher.insert(b"a.*", None, 1);
    let before = matcher.routes(b"a.b");
    let same = |matcher: &mut Matcher| std::rc::Rc::ptr_eq(&before, &matcher.routes(b"a.b"));
    matcher.insert(b"b.*", None, 2);
    matcher.insert(b"a.c", None, 3);
    matcher.remove(b"b.*", None, 2);
    assert!(same(&mut matcher));
    matcher.insert(b"a.>", None, 4);
    assert!(!same(&mut matcher));
    assert_eq!(*matcher.routes(b"a.b").plain, [1, 4]);
}

/// What the table must be like.
#[derive(Default)]
struct Naive(Vec<(Vec<u8>, Option<Vec<u8>>, RouteId)>);

impl Naive {
    fn routes(&self, subject: &[u8]) -> Routes {
        let mut plain = Vec::new();
        let mut groups: BTreeMap<&[u8], Vec<RouteId>> = BTreeMap::new();
        for (_, queue, id) in self.0.iter().filter(|(filter, ..)| matches(filter, subject)) {
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

#[derive(Clone, Debug)]
enum Step {
    Insert(String, Option<Vec<u8>>, RouteId),
    /// Of those that are there, this one.
    Remove(usize),
    /// Most likely of one that is not there.
    RemoveOther(String, Option<Vec<u8>>, RouteId),
    Look(String),
}

fn text() -> impl Strategy<Value = String> {
    let token = select(vec!["a", "a", "b", "b", "c", "*", "*", ">", "foo*", ">x", ""]);
    vec(token, 1..5).prop_map(|tokens| tokens.join("."))
}

fn queue() -> impl Strategy<Value = Option<Vec<u8>>> {
    option::weighted(0.3, select(vec![b"q".to_vec(), b"r".to_vec()]))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (text(), queue(), 0..6_u32).prop_map(|(f, q, id)| Step::Insert(f, q, id)),
        2 => any::<usize>().prop_map(Step::Remove),
        1 => (text(), queue(), 0..6_u32).prop_map(|(f, q, id)| Step::RemoveOther(f, q, id)),
        6 => text().prop_map(Step::Look),
    ]
}

/// Both do `step`, and say the same.
fn take(matcher: &mut Matcher, naive: &mut Naive, step: &Step) {
    match step {
        Step::Insert(filter, queue, id) => {
            let entry = (filter.clone().into_bytes(), queue.clone(), *id);
            let fits = valid_filter(&entry.0) && !naive.0.contains(&entry);
            assert_eq!(matcher.insert(&entry.0, queue.as_deref(), *id), fits, "{entry:?}");
            naive.0.extend(fits.then_some(entry));
        }
        Step::Remove(which) if !naive.0.is_empty() => {
            let (filter, queue, id) = naive.0.swap_remove(which % naive.0.len());
            assert!(matcher.remove(&filter, queue.as_deref(), id));
        }
        Step::RemoveOther(filter, queue, id) => {
            let entry = (filter.clone().into_bytes(), queue.clone(), *id);
            let at = naive.0.iter().position(|other| *other == entry);
            assert_eq!(matcher.remove(&entry.0, queue.as_deref(), *id), at.is_some());
            at.map(|at| naive.0.swap_remove(at));
        }
        Step::Look(subject) => {
            let subject = subject.as_bytes();
            assert_eq!(
                *matcher.routes(subject),
                naive.routes(subject),
                "{}",
                subject.escape_ascii()
            );
        }
        Step::Remove(_) => {}
    }
    assert_eq!(matcher.len(), naive.0.len());
}

proptest! {
    #[test]
    fn the_table_is_what_the_list_is(
        steps in vec(step(), 0..150), entries in select(vec![0, 2, 8, 1000]),
    ) {
        let mut matcher = Matcher::new(entries);
        let mut naive = Naive::default();
        for step in &steps {
            take(&mut matcher, &mut naive, step);
            prop_assert!(matcher.cached() <= entries);
        }
    }

    #[test]
    fn what_was_looked_at_is_forgotten_when_it_changes(steps in vec(step(), 0..200)) {
        let subjects = texts(&["a", "b", "c"], 1..3);
        let mut matcher = Matcher::new(1000);
        let mut naive = Naive::default();
        for steps in steps.chunks(70) {
            steps.iter().for_each(|step| take(&mut matcher, &mut naive, step));
            for subject in &subjects {
                prop_assert_eq!(&*matcher.routes(subject), &naive.routes(subject));
            }
        }
    }
}
