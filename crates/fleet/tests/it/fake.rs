//! The fake driver does what its script says, and nothing else.

use fleet::{Driver, Failure, Fake};
use maze::StepKind;

use crate::{converge, demo, tear_down};

#[test]
fn steps_are_recorded_and_done() {
    let (topology, _) = demo(1);
    let fake = Fake::new();
    let steps = converge(&fake, &topology);
    assert_eq!(fake.steps(), steps);
    assert_eq!(fake.topologies(), [topology.id]);
    let web = topology.decky_named(&"web-01".parse().unwrap()).unwrap();
    let endpoints = fake.endpoints(web.id);
    assert_eq!(endpoints.len(), 2);
    assert!(endpoints.iter().any(|e| e.listening == "10.66.1.10:80".parse().unwrap()));
    tear_down(&fake, &topology);
    assert!(fake.topologies().is_empty());
}

#[test]
fn a_scripted_step_fails_once_without_effect() {
    let (topology, _) = demo(2);
    let fake = Fake::new();
    fake.fail_nth(2, Failure::Permanent);
    let steps = maze::plan(Some(&topology), &fake.observe(topology.id));
    fake.execute(&steps[0]).unwrap();
    let error = fake.execute(&steps[1]).unwrap_err();
    assert!(!error.is_transient());
    assert_eq!(fake.observe(topology.id).lans.len(), 1);
    converge(&fake, &topology);
}

#[test]
fn a_kind_fails_as_often_as_told() {
    let (topology, _) = demo(3);
    let fake = Fake::new();
    fake.fail_kind(StepKind::OpenService, 2, Failure::Transient);
    let steps = maze::plan(Some(&topology), &fake.observe(topology.id));
    let results: Vec<_> = steps.iter().map(|step| fake.execute(step)).collect();
    let failed: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    assert_eq!(failed.len(), 2);
    assert!(failed.iter().all(fleet::StepError::is_transient));
    assert_eq!(converge(&fake, &topology).len(), 2);
}

#[test]
fn a_network_may_outlive_its_driver() {
    let (topology, _) = demo(4);
    let fake = Fake::new();
    fake.fail_nth(5, Failure::AfterDoing);
    let steps = maze::plan(Some(&topology), &fake.observe(topology.id));
    let done = steps.iter().take_while(|step| fake.execute(step).is_ok()).count();
    assert_eq!(done, 4);
    let survivor = Fake::on(fake.network());
    assert_eq!(survivor.steps(), []);
    assert_eq!(converge(&survivor, &topology), steps[5..]);
    assert!(Fake::new().observe(topology.id).is_empty());
}

#[test]
fn the_kill_switch_says_what_it_could_not_remove() {
    let (fake, (topology, _)) = (Fake::new(), crate::demo(1));
    crate::converge(&fake, &topology);
    fake.fail_kind(StepKind::RemoveDecky, 1, Failure::Permanent);
    let left = fake.panic();
    assert!(!left.is_empty());
    assert!(fake.panic().is_empty());
    assert!(fake.topologies().is_empty());
}
