//! Plans for changes that matter, step by step.

use std::sync::Arc;

use expect_test::{Expect, expect};
use maze::{Observed, Step, plan};
use model::{Decky, Lan, Service, Topology};

use crate::demo;

fn built(topology: &Topology) -> Observed {
    let empty = Observed::empty(topology.id);
    plan(Some(topology), &empty).iter().fold(empty, |observed, step| observed.after(step))
}

/// The plan from the demo as built to what `change` makes of it.
fn check(change: impl FnOnce(&mut Topology), expected: Expect) {
    let (before, _) = demo();
    let mut after = before.clone();
    change(&mut after);
    let steps = plan(Some(&after), &built(&before));
    expected.assert_eq(&show(&steps, &[&before, &after]));
}

/// Steps with names instead of ids.
fn show(steps: &[Step], topologies: &[&Topology]) -> String {
    let mut text: String = steps.iter().map(|step| format!("{step}\n")).collect();
    for topology in topologies {
        for lan in topology.lans.values() {
            text = text.replace(&lan.id.to_string(), lan.name.as_str());
        }
        for decky in topology.deckies.values() {
            text = text.replace(&decky.id.to_string(), decky.name.as_str());
        }
    }
    text
}

fn change_decky(topology: &mut Topology, name: &str, change: impl FnOnce(&mut Decky)) {
    let id = topology.decky_named(&name.parse().unwrap()).unwrap().id;
    change(Arc::make_mut(topology.deckies.get_mut(&id).unwrap()));
}

fn change_lan(topology: &mut Topology, name: &str, change: impl FnOnce(&mut Lan)) {
    let id = topology.lan_named(&name.parse().unwrap()).unwrap().id;
    change(Arc::make_mut(topology.lans.get_mut(&id).unwrap()));
}

#[test]
fn deploying_builds_from_the_ground_up() {
    let (demo, _) = demo();
    let steps = plan(Some(&demo), &Observed::empty(demo.id));
    expect![[r#"
        add LAN dmz (10.66.1.0/24)
        add LAN office (10.66.2.0/24)
        add LAN servers (10.66.3.0/24)
        add decky web-02
        add decky web-01
        add decky app-01
        add decky db-01
        add decky files-01
        add decky build-01
        open http on port 80 of decky web-02
        open ftp on port 21 of decky web-02
        open ssh on port 22 of decky web-01
        open http on port 80 of decky web-01
        open ssh on port 22 of decky app-01
        open http on port 80 of decky app-01
        open ssh on port 22 of decky db-01
        open redis on port 6379 of decky db-01
        open ssh on port 22 of decky files-01
        open ftp on port 21 of decky files-01
        open ssh on port 22 of decky build-01
        open http on port 80 of decky build-01
    "#]]
    .assert_eq(&show(&steps, &[&demo]));
}

#[test]
fn teardown_takes_all_down() {
    let (demo, _) = demo();
    let steps = plan(None, &built(&demo));
    expect![[r#"
        close http on port 80 of decky web-02
        close ftp on port 21 of decky web-02
        close ssh on port 22 of decky web-01
        close http on port 80 of decky web-01
        close ssh on port 22 of decky app-01
        close http on port 80 of decky app-01
        close ssh on port 22 of decky db-01
        close redis on port 6379 of decky db-01
        close ssh on port 22 of decky files-01
        close ftp on port 21 of decky files-01
        close ssh on port 22 of decky build-01
        close http on port 80 of decky build-01
        remove decky web-02
        remove decky web-01
        remove decky app-01
        remove decky db-01
        remove decky files-01
        remove decky build-01
        remove LAN dmz
        remove LAN office
        remove LAN servers
    "#]]
    .assert_eq(&show(&steps, &[&demo]));
    let left = steps.iter().fold(built(&demo), |observed, step| observed.after(step));
    assert!(left.is_empty());
}

#[test]
fn nothing_to_do_is_no_steps() {
    check(|_| {}, expect![[""]]);
}

#[test]
fn positions_are_no_business_of_the_network() {
    let position = Some(model::Position { x: 1, y: 1 });
    check(
        |topology| {
            change_lan(topology, "dmz", |lan| lan.position = position);
            change_decky(topology, "web-01", |decky| decky.position = position);
        },
        expect![[""]],
    );
}

#[test]
fn services_change_without_touching_anything_else() {
    check(
        |topology| {
            change_decky(topology, "web-01", |decky| {
                decky.services = vec![Service::Ssh.into(), Service::Ftp.into()];
            });
        },
        expect![[r#"
            close http on port 80 of decky web-01
            open ftp on port 21 of decky web-01
        "#]],
    );
}

#[test]
fn a_new_address_is_a_new_machine() {
    check(
        |topology| {
            change_decky(topology, "db-01", |decky| {
                decky.edges[0].address = "10.66.3.99".parse().unwrap();
            });
        },
        expect![[r#"
            close ssh on port 22 of decky db-01
            close redis on port 6379 of decky db-01
            remove decky db-01
            add decky db-01
            open ssh on port 22 of decky db-01
            open redis on port 6379 of decky db-01
        "#]],
    );
}

#[test]
fn a_new_subnet_is_a_new_lan_with_its_machines() {
    check(
        |topology| {
            change_lan(topology, "office", |lan| lan.subnet = "10.66.2.0/23".parse().unwrap());
        },
        expect![[r#"
            close ssh on port 22 of decky files-01
            close ftp on port 21 of decky files-01
            close ssh on port 22 of decky build-01
            close http on port 80 of decky build-01
            remove decky files-01
            remove decky build-01
            remove LAN office
            add LAN office (10.66.2.0/23)
            add decky files-01
            add decky build-01
            open ssh on port 22 of decky files-01
            open ftp on port 21 of decky files-01
            open ssh on port 22 of decky build-01
            open http on port 80 of decky build-01
        "#]],
    );
}
