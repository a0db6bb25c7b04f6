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
            services: None,
            rotate_every_seconds: Some(every),
            position: None,
        };
        topology = maze::apply(&topology, &op, &ambient).unwrap().topology;
    }
    let due = |after| {
        let due = maze::due_rotations(&topology, start.plus(Duration::from_secs(after)));
        due.iter().map(|decky| decky.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(maze::next_due(&topology), Some(start.plus(Duration::from_secs(60))));
    assert!(due(59).is_empty());
    assert_eq!(due(60), ["db-01"]);
    assert_eq!(due(299), ["db-01", "web-01"]);
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
