//! What an op may do under the eyes of visitors, and what it makes of the network.

use expect_test::{Expect, expect};
use maze::Stage;
use model::Op;

use crate::demo;

/// Applies the ops to the live demo; shows the steps of the last one, or what is wrong with it.
fn check(ops: &[&str], expected: Expect) {
    let (mut topology, ambient) = demo();
    let mut shown = String::new();
    for op in ops {
        let op: Op = serde_json::from_str(op).unwrap();
        shown.clear();
        match maze::preview(Stage::Live, &topology, &op, &ambient) {
            Err(violations) => {
                shown.extend(
                    violations.iter().map(|v| format!("{} {}: {}\n", v.code, v.field, v.message)),
                );
            }
            Ok(preview) => {
                let after = preview.applied.topology;
                shown.extend(preview.changes.iter().map(|change| format!("{change}\n")));
                let steps = preview.steps.iter();
                shown.extend(
                    steps.map(|step| format!("> {}\n", step.in_words(&[&topology, &after]))),
                );
                topology = after;
            }
        }
    }
    expected.assert_eq(&shown);
}

#[test]
fn an_interface_comes_and_goes_without_touching_the_machine() {
    let attach =
        r#"{"op":"attach_decky","payload":{"decky":"web-01","lan":"office","forwards_l3":true}}"#;
    check(
        &[attach],
        expect![[r#"
        decky web-01 changes
        > attach decky web-01 to LAN office as 10.66.2.12
    "#]],
    );
    let detach = r#"{"op":"detach_decky","payload":{"decky":"web-01","lan":"office"}}"#;
    check(
        &[attach, detach],
        expect![[r#"
        decky web-01 changes
        > detach decky web-01 from LAN office
    "#]],
    );
    check(
        &[attach, attach],
        expect![[r#"
        DECKY_ATTACHED payload.lan: decky web-01 is on LAN office already
    "#]],
    );
    check(
        &[detach],
        expect![[r#"
        DECKY_NOT_ATTACHED payload.lan: decky web-01 is not on LAN office
    "#]],
    );
    check(
        &[r#"{"op":"detach_decky","payload":{"decky":"web-01","lan":"dmz"}}"#],
        expect![[r#"
        DECKY_HOME payload.lan: LAN dmz is the home of decky web-01; remove the decky to take it from there
    "#]],
    );
}

#[test]
fn routes_change_only_by_force_and_only_in_the_dmz() {
    let flip = |decky: &str, force: bool| {
        format!(
            r#"{{"op":"update_decky","payload":{{"decky":"{decky}","patch":{{"forwards_l3":true}},"force":{force}}}}}"#
        )
    };
    check(
        &[&flip("web-01", false)],
        expect![[r#"
        FORCE_REQUIRED payload.patch.forwards_l3: decky web-01 is live: routes change under the eyes of visitors; say `force`
    "#]],
    );
    check(
        &[&flip("web-01", true)],
        expect![[r#"
        decky web-01 changes
        > set the routes of decky web-01
    "#]],
    );
    check(
        &[&flip("db-01", true)],
        expect![[r#"
        GATEWAY_NOT_IN_DMZ payload.patch.forwards_l3: the home of a gateway is the DMZ, not LAN servers
    "#]],
    );
}

#[test]
fn another_archetype_is_another_machine() {
    let change = |rest: &str| {
        format!(
            r#"{{"op":"update_decky","payload":{{"decky":"web-01","patch":{{"archetype":"file-server"}}{rest}}}}}"#
        )
    };
    check(
        &[&change("")],
        expect![[r#"
        FORCE_REQUIRED payload.patch.archetype: decky web-01 is live: as a file-server it is another machine, and its sessions end; say `force`
        SERVICE_NOT_IN_POOL payload.services[1]: a file-server runs ftp or ssh, not http
    "#]],
    );
    check(
        &[&change(r#","services":["ftp"],"force":true"#)],
        expect![[r#"
        decky web-01 changes
        > close ssh on port 22 of decky web-01
        > close http on port 80 of decky web-01
        > remove decky web-01
        > add decky web-01
        > open ftp on port 21 of decky web-01
    "#]],
    );
}

#[test]
fn a_live_lan_keeps_its_subnet_and_may_have_another_name() {
    check(
        &[
            r#"{"op":"update_lan","payload":{"name":"office","patch":{"subnet":"10.9.0.0/24","is_dmz":true}}}"#,
        ],
        expect![[r#"
            LAN_LIVE payload.patch.is_dmz: LAN office is live: it keeps its subnet and its side; add another LAN instead
            DMZ_MULTIPLE payload.patch.is_dmz: LAN dmz faces the outside already; only one does
            LAN_LIVE payload.patch.subnet: LAN office is live: it keeps its subnet and its side; add another LAN instead
        "#]],
    );
    check(
        &[r#"{"op":"update_lan","payload":{"name":"office","patch":{"name":"hall"}}}"#],
        expect![[r#"
            LAN office changes
        "#]],
    );
}

#[test]
fn a_removed_lan_lets_its_visitors_go() {
    check(
        &[
            r#"{"op":"add_lan","payload":{"name":"lab"}}"#,
            r#"{"op":"attach_decky","payload":{"decky":"web-01","lan":"lab"}}"#,
            r#"{"op":"remove_lan","payload":{"name":"lab"}}"#,
        ],
        expect![[r#"
            LAN lab goes
            decky web-01 changes
            > detach decky web-01 from LAN lab
            > remove LAN lab
        "#]],
    );
}

#[test]
fn a_stopped_decky_is_off_the_network() {
    let stop = r#"{"op":"stop_decky","payload":{"decky":"db-01"}}"#;
    check(
        &[stop],
        expect![[r#"
        decky db-01 changes
        > close ssh on port 22 of decky db-01
        > close redis on port 6379 of decky db-01
        > remove decky db-01
    "#]],
    );
    check(
        &[stop, stop],
        expect![[r#"
        STATE_UNCHANGED payload.decky: decky db-01 is stopped already
    "#]],
    );
    check(
        &[stop, r#"{"op":"start_decky","payload":{"decky":"db-01"}}"#],
        expect![[r#"
        decky db-01 changes
        > add decky db-01
        > open ssh on port 22 of decky db-01
        > open redis on port 6379 of decky db-01
    "#]],
    );
}

#[test]
fn a_live_maze_keeps_facing_the_outside() {
    let remove =
        |decky: &str| format!(r#"{{"op":"remove_decky","payload":{{"decky":"{decky}"}}}}"#);
    check(
        &[&remove("web-01"), &remove("web-02")],
        expect![[r#"
        DMZ_ORPHAN payload: no decky is on LAN dmz, which faces the outside: nobody would find the maze
    "#]],
    );
}

#[test]
fn a_batch_is_all_or_nothing_and_names_the_place() {
    check(
        &[r#"{"op":"batch","payload":{"ops":[
            {"op":"add_lan","payload":{"name":"lab"}},
            {"op":"add_decky","payload":{"name":"pc-01","lan":"lab"}},
            {"op":"rotate_decky","payload":{"decky":"web-01","services":["ftp"]}}]}}"#],
        expect![[r#"
            LAN lab comes
            decky web-01 changes
            decky pc-01 comes
            > close ssh on port 22 of decky web-01
            > close http on port 80 of decky web-01
            > add LAN lab (10.66.4.0/24)
            > add decky pc-01
            > open ftp on port 21 of decky web-01
            > open ssh on port 22 of decky pc-01
        "#]],
    );
    check(
        &[r#"{"op":"batch","payload":{"ops":[
            {"op":"add_lan","payload":{"name":"lab"}},
            {"op":"add_decky","payload":{"name":"pc-01","lan":"lap","services":["ssh"]}}]}}"#],
        expect![[r#"
            LAN_UNKNOWN payload.ops[1].payload.lan: there is no LAN lap; there is dmz, lab, office and servers
        "#]],
    );
    check(
        &[r#"{"op":"batch","payload":{"ops":[]}}"#],
        expect![[r#"
        BATCH_EMPTY payload.ops: name at least one op
    "#]],
    );
    check(
        &[r#"{"op":"batch","payload":{"ops":[{"op":"batch","payload":{"ops":[]}}]}}"#],
        expect![[r#"
            BATCH_NESTED payload.ops[0]: a batch has no batch in it
        "#]],
    );
}
