//! The vocabulary: what it accepts, what it refuses, how it is written.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod events;
mod hub;
mod personas;
mod subjects;
mod texts;

use model::{Ambient, DeckyId, Name, NameError, Timestamp, TopologyStatus, TypedId};
use morgana_model as model;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

#[test]
fn names_are_lower_case_dns_labels() {
    for name in ["a", "0", "web-01", "a--b", &"x".repeat(63)] {
        assert_eq!(name.parse::<Name>().map(|name| name.to_string()).as_deref(), Ok(name));
    }
    for (text, refusal) in [
        ("", NameError::Empty),
        (&*"x".repeat(64), NameError::TooLong),
        ("Web", NameError::Character('W')),
        ("a.b", NameError::Character('.')),
        ("a b", NameError::Character(' ')),
        ("a_b", NameError::Character('_')),
        ("ü", NameError::Character('ü')),
        ("a\n", NameError::Character('\n')),
        ("-a", NameError::Hyphen),
        ("a-", NameError::Hyphen),
        ("-", NameError::Hyphen),
    ] {
        assert_eq!(text.parse::<Name>(), Err(refusal), "{text:?}");
        assert!(serde_json::from_str::<Name>(&serde_json::to_string(text).unwrap()).is_err());
    }
}

#[test]
fn a_topology_moves_as_the_reference_says_and_back_to_pending_by_the_kill_switch() {
    let moves = "
        pending      deploying
        deploying    active failed degraded tearing_down pending
        active       degraded tearing_down pending
        degraded     active tearing_down pending
        failed       tearing_down
        tearing_down torn_down degraded
        torn_down";
    let mut checked = 0;
    for line in moves.trim().lines() {
        let mut words = line.split_whitespace();
        let from: TopologyStatus = words.next().unwrap().parse().unwrap();
        let allowed: Vec<&str> = words.collect();
        for next in TopologyStatus::ALL {
            assert_eq!(from.may_become(*next), allowed.contains(&next.as_str()), "{from} {next}");
            checked += 1;
        }
    }
    assert_eq!(checked, TopologyStatus::ALL.len() * TopologyStatus::ALL.len());
}

#[test]
fn words_outside_a_vocabulary_are_refused_with_the_known_ones() {
    let refusal = "smb".parse::<model::Service>().unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "`smb` is not a known service; known are ssh, http, ftp, redis, snmp"
    );
    for service in model::Service::ALL {
        assert_eq!(service.as_str().parse(), Ok(*service));
        let json = serde_json::to_string(service).unwrap();
        assert_eq!(json, format!("{:?}", service.as_str()), "the same word in JSON");
    }
}

#[test]
fn ids_sort_by_creation_and_are_uuid_v7() {
    let ambient = Ambient::seeded(1, Timestamp::from_micros(1_700_000_000_123_456));
    let mut ids: Vec<DeckyId> = vec![];
    for _ in 0..100 {
        ids.push(ambient.id());
        ambient.advance(std::time::Duration::from_millis(1));
    }
    assert!(ids.is_sorted());
    assert!(ids.iter().all(|id| id.uuid().get_version_num() == 7));
    assert_eq!(ids[0].created_at(), Timestamp::from_micros(1_700_000_000_123_000));
    assert_eq!(ids[0].to_string().parse(), Ok(ids[0]));
    let refusal = "web-01".parse::<DeckyId>().unwrap_err();
    assert_eq!(refusal.to_string(), "`web-01` is not a decky id");
}

#[test]
fn timestamps_have_six_digits_and_a_z() {
    for (micros, text) in [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_700_000_000_000_001, "2023-11-14T22:13:20.000001Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (i64::MIN, "0001-01-01T00:00:00.000000Z"),
        (i64::MAX, "9999-12-30T22:00:00.000000Z"),
    ] {
        assert_eq!(Timestamp::from_micros(micros).to_string(), text);
    }
    let offset: Timestamp = "2023-11-14T23:13:20.5+01:00".parse().unwrap();
    assert_eq!(offset.to_string(), "2023-11-14T22:13:20.500000Z");
    for text in ["", "yesterday", "2023-11-14", "2023-11-14T22:13:20"] {
        assert!(text.parse::<Timestamp>().is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn timestamps_sort_like_their_texts(a in any::<i64>(), b in any::<i64>()) {
        let (a, b) = (Timestamp::from_micros(a), Timestamp::from_micros(b));
        let (low, high) = (a.min(b), a.max(b));
        prop_assert!(low.to_string() <= high.to_string());
        prop_assert_eq!(low.to_string().len(), 27);
    }

    #[test]
    fn timestamps_of_this_era_round_trip(micros in 0i64..253_000_000_000_000_000) {
        let moment = Timestamp::from_micros(micros);
        prop_assert_eq!(moment.to_string().parse::<Timestamp>().unwrap(), moment);
        let json = serde_json::to_string(&moment).unwrap();
        prop_assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), moment);
    }
}
