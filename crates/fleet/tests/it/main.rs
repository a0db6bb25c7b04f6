//! Drivers: the loopback one with real sockets, the fake one with scripts.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

extern crate morgana_fleet as fleet;

mod fake;
mod loopback;
mod netns;

use maze::Step;
use model::{Ambient, Timestamp, Topology};

/// The demo, with ids that depend on the seed.
fn demo(seed: u64) -> (Topology, Ambient) {
    let ambient = Ambient::seeded(seed, Timestamp::from_micros(1_700_000_000_000_000));
    (maze::demo("demo".parse().unwrap(), &ambient), ambient)
}

/// Plans and executes; the steps that were done.
fn converge(driver: &dyn fleet::Driver, desired: &Topology) -> Vec<Step> {
    let steps = maze::plan(Some(desired), &driver.observe(desired.id));
    for step in &steps {
        driver.execute(step).unwrap_or_else(|error| panic!("{step}: {error}"));
    }
    assert_eq!(maze::plan(Some(desired), &driver.observe(desired.id)), []);
    steps
}

/// Takes everything down.
fn tear_down(driver: &dyn fleet::Driver, topology: &Topology) {
    for step in maze::plan(None, &driver.observe(topology.id)) {
        driver.execute(&step).unwrap_or_else(|error| panic!("{step}: {error}"));
    }
    assert!(driver.observe(topology.id).is_empty());
}
