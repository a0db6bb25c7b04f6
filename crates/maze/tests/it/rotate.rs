//! Who rotates when, and to what.

use std::{collections::BTreeSet, time::Duration};

use model::{Op, Service};

use crate::demo;

#[test]
fn the_longest_overdue_comes_first() {
    let (mut topology, ambient) = demo();
    assert_eq!(maze::next_due(&topology), None);
    let start = ambient.now();
    for (decky, every) in [("web-01", 90), ("db-01", 60), ("app-01", 300)] {
        let op = Op::UpdateDecky {
            decky: decky.parse().unwrap(),
            patch: None,
            services: None,
            rotate_every_seconds: Some(every),
            position: None,
            force: false,
        };
        topology = maze::apply(&topology, &op, &ambient).unwrap().topology;
    }
    let due = |after| {
        let due = maze::due_rotations(&topology, start.plus(Duration::from_secs(after)));
        due.iter().map(|decky| decky.name.to_string()).collect::<Vec<_>>()
    };
    let next = maze::next_due(&topology).unwrap().since(start);
    assert!((48..=60).contains(&next.as_secs()), "{next:?}");
    assert!(due(47).is_empty());
    assert_eq!(due(60), ["db-01"]);
    let mut all = due(300);
    all.sort();
    assert_eq!(all, ["app-01", "db-01", "web-01"]);
}

#[test]
fn rotations_are_spread_and_the_topology_has_an_interval_for_the_rest() {
    let (topology, ambient) = demo();
    let every = |seconds| Op::UpdateTopology { rotate_every_seconds: Some(seconds) };
    let topology = maze::apply(&topology, &every(1000), &ambient).unwrap().topology;
    let stopped = Op::StopDecky { decky: "db-01".parse().unwrap() };
    let topology = maze::apply(&topology, &stopped, &ambient).unwrap().topology;
    let due: BTreeSet<_> =
        topology.deckies.values().filter_map(|decky| topology.due_at(decky)).collect();
    assert_eq!(due.len(), 5, "five deckies, five moments; who is stopped does not rotate");
    let offsets = due.iter().map(|at| at.since(ambient.now()).as_secs());
    assert!(offsets.clone().all(|after| (800..=1000).contains(&after)), "{due:?}");
    let never = maze::apply(&topology, &every(0), &ambient).unwrap().topology;
    assert_eq!(maze::next_due(&never), None);
}

#[test]
fn a_rotation_starts_the_clock_again() {
    let (topology, ambient) = demo();
    let decky: model::Name = "web-01".parse().unwrap();
    ambient.advance(Duration::from_secs(5));
    let op = Op::RotateDecky { decky: decky.clone(), services: None };
    let after = maze::apply(&topology, &op, &ambient).unwrap().topology;
    assert_eq!(after.decky_named(&decky).unwrap().rotated_at, ambient.now());
}

#[test]
fn every_other_set_of_the_pool_is_picked_and_never_the_same() {
    let (topology, ambient) = demo();
    let decky = topology.decky_named(&"web-01".parse().unwrap()).unwrap();
    let seen: BTreeSet<Vec<Service>> =
        (0..500).map(|_| maze::pick_services(decky, &ambient).unwrap()).collect();
    assert_eq!(seen.len(), 6, "of the 7 sets of 3 services, all but the current one");
    assert!(!seen.contains(&decky.service_set()));
}
