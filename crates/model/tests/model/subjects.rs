//! Subjects and filters.

use model::{DeckyId, MutationState, Subject, SubjectError, SubjectFilter, TopologyId, TypedId};
use morgana_model as model;
use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};

#[test]
fn the_names_are_stable() {
    let topology = TopologyId::from_parts(model::Timestamp::from_micros(0), [0; 10]);
    let decky = DeckyId::from_parts(model::Timestamp::from_micros(0), [1; 10]);
    let t = "00000000-0000-7000-8000-000000000000";
    let d = "00000000-0000-7101-8101-010101010101";
    for (subject, text) in [
        (
            Subject::topology_mutation(topology, MutationState::Pending),
            format!("topology.{t}.mutation.enqueued"),
        ),
        (
            Subject::topology_mutation(topology, MutationState::Applying),
            format!("topology.{t}.mutation.applying"),
        ),
        (
            Subject::topology_mutation(topology, MutationState::Applied),
            format!("topology.{t}.mutation.applied"),
        ),
        (
            Subject::topology_mutation(topology, MutationState::Failed),
            format!("topology.{t}.mutation.failed"),
        ),
        (Subject::topology_status(topology), format!("topology.{t}.status")),
        (Subject::decky_state(decky), format!("decky.{d}.state")),
        (Subject::decky_mutation(decky), format!("decky.{d}.mutation")),
        (Subject::decky_traffic(decky), format!("decky.{d}.traffic")),
        (Subject::decky_mutate_request(decky), format!("decky.{d}.mutate_request")),
        (Subject::ingest_session(decky), format!("ingest.session.{d}")),
        (Subject::attacker_observed(), "attacker.observed".into()),
        (Subject::attacker_scored(), "attacker.scored".into()),
        (Subject::attacker_fingerprinted(), "attacker.fingerprinted".into()),
        (Subject::session_started(), "attacker.session.started".into()),
        (Subject::session_activity(), "attacker.session.activity".into()),
        (Subject::session_ended(), "attacker.session.ended".into()),
        (Subject::credential_captured(), "credential.captured".into()),
        (Subject::credential_reuse_detected(), "credential.reuse.detected".into()),
        (Subject::identity_formed(), "identity.formed".into()),
        (Subject::identity_observation_linked(), "identity.observation.linked".into()),
        (Subject::identity_merged(), "identity.merged".into()),
        (Subject::identity_unmerged(), "identity.unmerged".into()),
        (Subject::system_log(), "system.log".into()),
        (Subject::bus_health(), "system.bus.health".into()),
        (Subject::worker_health("mutator").unwrap(), "system.mutator.health".into()),
        (Subject::worker_control("mutator").unwrap(), "system.mutator.control".into()),
        (
            Subject::lifecycle("statehub", &["domain", "goal", "activated"]).unwrap(),
            "org.statehub.domain.goal.activated".into(),
        ),
    ] {
        assert_eq!(subject.as_str(), text);
        assert_eq!(text.parse(), Ok(subject));
    }
}

#[test]
fn builders_refuse_what_would_corrupt_the_hierarchy() {
    use SubjectError as E;
    for (part, refusal) in [
        ("", E::EmptyToken),
        ("a.b", E::Dot),
        ("a*", E::Wildcard('*')),
        (">", E::Wildcard('>')),
        ("a b", E::Character(' ')),
        ("a\t", E::Character('\t')),
        ("a\r\n", E::Character('\r')),
        ("a\u{a0}b", E::Character('\u{a0}')),
        ("a\0", E::Character('\0')),
        ("\u{85}", E::Character('\u{85}')),
        (&"x".repeat(256), E::TooLong),
    ] {
        assert_eq!(Subject::worker_health(part), Err(refusal), "{part:?}");
        assert_eq!(Subject::worker_control(part), Err(refusal), "{part:?}");
        assert_eq!(Subject::lifecycle(part, &["a"]), Err(refusal), "{part:?}");
        assert_eq!(Subject::lifecycle("a", &["b", part]), Err(refusal), "{part:?}");
    }
    let long = "x".repeat(250);
    assert_eq!(Subject::worker_health(&long), Err(E::TooLong), "the whole has a limit too");
    assert_eq!(Subject::lifecycle(&long, &["abc"]), Err(E::TooLong));
}

#[test]
fn texts_that_are_no_subject_or_no_filter_are_refused() {
    use SubjectError as E;
    for (text, refusal) in [
        ("", E::EmptyToken),
        (".", E::EmptyToken),
        ("a.", E::EmptyToken),
        (".a", E::EmptyToken),
        ("a..b", E::EmptyToken),
        ("a b", E::Character(' ')),
        ("a*", E::Wildcard('*')),
        ("a.b>", E::Wildcard('>')),
        (&"a.".repeat(128), E::TooLong),
    ] {
        assert_eq!(text.parse::<Subject>(), Err(refusal), "{text:?}");
        assert_eq!(text.parse::<SubjectFilter>(), Err(refusal), "{text:?}");
        let json = serde_json::to_string(text).unwrap();
        assert!(serde_json::from_str::<Subject>(&json).is_err());
        assert!(serde_json::from_str::<SubjectFilter>(&json).is_err());
    }
    for text in ["*", ">", "a.*", "a.>", "*.b.>"] {
        assert!(text.parse::<Subject>().is_err(), "nobody publishes to {text}");
        assert!(text.parse::<SubjectFilter>().is_ok());
    }
    assert_eq!(">.a".parse::<SubjectFilter>(), Err(E::AfterTail));
    assert_eq!("a.>.>".parse::<SubjectFilter>(), Err(E::AfterTail));
}

#[test]
fn a_tail_wants_at_least_one_token() {
    let below = SubjectFilter::below("topology").unwrap();
    assert_eq!(below.as_str(), "topology.>");
    assert!(below.matches(&"topology.a.status".parse().unwrap()));
    assert!(!below.matches(&"topology".parse().unwrap()));
    assert!(SubjectFilter::below("topology.*").is_err());
    assert!(SubjectFilter::all().matches(&Subject::system_log()));
}

/// Matching by characters, without knowledge of tokens: `*` is `[^.]+`, a final `>` is `.+`, all
/// else is itself.
fn oracle(filter: &[u8], subject: &[u8]) -> bool {
    match (filter, subject) {
        ([], []) => true,
        ([b'>'], [_, ..]) => true,
        ([b'*', rest @ ..], [first, after @ ..]) if *first != b'.' => {
            oracle(rest, after) || oracle(filter, after)
        }
        ([wanted, rest @ ..], [found, after @ ..]) if wanted == found => oracle(rest, after),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn matching_agrees_with_a_regular_expression(
        filter in r"(a|b|ab|\*)(\.(a|b|ab|\*)){0,3}(\.>)?|>",
        subject in r"(a|b|ab)(\.(a|b|ab)){0,4}",
    ) {
        let expected = oracle(filter.as_bytes(), subject.as_bytes());
        let filter: SubjectFilter = filter.parse().unwrap();
        prop_assert_eq!(filter.matches(&subject.parse().unwrap()), expected);
    }

    #[test]
    fn a_subject_matches_itself_and_nothing_unparsed_gets_in(text in r"[ab.*> \n]{0,8}") {
        match text.parse::<Subject>() {
            Ok(subject) => {
                prop_assert!(!text.contains(['*', '>', ' ', '\n']));
                prop_assert!(subject.tokens().all(|token| !token.is_empty()));
                prop_assert!(SubjectFilter::from(subject.clone()).matches(&subject));
            }
            Err(_) => {
                let sound = |token: &str| !token.is_empty() && !token.contains(['*', '>', ' ', '\n']);
                prop_assert!(!text.split('.').all(sound));
            }
        }
    }
}
