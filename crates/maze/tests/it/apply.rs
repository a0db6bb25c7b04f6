//! What each op does to the demo, and how it is refused.

use expect_test::{Expect, expect};
use model::Op;

use crate::{demo, describe};

/// Applies the ops in order; shows what the last one changed and how it is undone, or what is
/// wrong with it.
fn check(ops: &[&str], expected: Expect) {
    let (mut topology, ambient) = demo();
    let mut shown = String::new();
    for op in ops {
        let op: Op = serde_json::from_str(op).unwrap();
        let before = describe(&topology);
        shown.clear();
        match maze::apply(&topology, &op, &ambient) {
            Err(violations) => {
                for v in violations {
                    shown += &format!("{} {}: {}\n", v.code, v.field, v.message);
                }
            }
            Ok(applied) => {
                assert_eq!(applied.topology.version, topology.version + 1);
                topology = applied.topology;
                let after = describe(&topology);
                let gone = before.iter().filter(|line| !after.contains(line));
                shown.extend(gone.map(|line| format!("- {line}\n")));
                let new = after.iter().filter(|line| !before.contains(line));
                shown.extend(new.map(|line| format!("+ {line}\n")));
                for undo in applied.inverse {
                    shown += &format!("undo {}\n", serde_json::to_string(&undo).unwrap());
                }
            }
        }
    }
    expected.assert_eq(&shown);
}

#[test]
fn lan_is_added_with_the_lowest_free_subnet() {
    check(
        &[r#"{"op":"add_lan","payload":{"name":"lab"}}"#],
        expect![[r#"
        + lan lab 10.66.4.0/24
        undo {"op":"remove_lan","payload":{"name":"lab"}}
    "#]],
    );
    check(
        &[
            r#"{"op":"remove_lan","payload":{"name":"lab"}}"#,
            r#"{"op":"add_lan","payload":{"name":"big","subnet":"10.66.4.0/22"}}"#,
            r#"{"op":"add_lan","payload":{"name":"next","position":{"x":1,"y":2}}}"#,
        ],
        expect![[r#"
            + lan next 10.66.8.0/24 at 1,2
            undo {"op":"remove_lan","payload":{"name":"next"}}
        "#]],
    );
}

#[test]
fn lan_with_everything_wrong_names_everything() {
    check(
        &[r#"{"op":"add_lan","payload":{"name":"dmz","subnet":"10.66.1.5/24","is_dmz":true}}"#],
        expect![[r#"
            LAN_NAME_DUP payload.name: there is a LAN dmz already
            DMZ_MULTIPLE payload.is_dmz: LAN dmz faces the outside already; only one does
            SUBNET_MALFORMED payload.subnet: 10.66.1.5/24 has host bits set; the network is 10.66.1.0/24
            SUBNET_OVERLAP payload.subnet: 10.66.1.5/24 overlaps 10.66.1.0/24 of LAN dmz
        "#]],
    );
}

#[test]
fn subnets_that_mean_something_else_are_refused() {
    for (subnet, expected) in [
        (
            "127.1.0.0/16",
            expect![[r#"
            SUBNET_RESERVED payload.subnet: 127.1.0.0/16 shares addresses with the loopback range 127.0.0.0/8; take a private one, such as 10.66.1.0/24
        "#]],
        ),
        (
            "169.254.7.0/24",
            expect![[r#"
            SUBNET_RESERVED payload.subnet: 169.254.7.0/24 shares addresses with the link-local range 169.254.0.0/16; take a private one, such as 10.66.1.0/24
        "#]],
        ),
        (
            "224.0.1.0/24",
            expect![[r#"
            SUBNET_RESERVED payload.subnet: 224.0.1.0/24 shares addresses with the multicast range 224.0.0.0/4; take a private one, such as 10.66.1.0/24
        "#]],
        ),
        (
            "0.0.0.0/0",
            expect![[r#"
            SUBNET_SIZE payload.subnet: 0.0.0.0/0 has a prefix of 0; it has to be from 16 to 29
            SUBNET_RESERVED payload.subnet: 0.0.0.0/0 shares addresses with the unspecified range 0.0.0.0/8; take a private one, such as 10.66.1.0/24
            SUBNET_RESERVED payload.subnet: 0.0.0.0/0 shares addresses with the loopback range 127.0.0.0/8; take a private one, such as 10.66.1.0/24
            SUBNET_RESERVED payload.subnet: 0.0.0.0/0 shares addresses with the link-local range 169.254.0.0/16; take a private one, such as 10.66.1.0/24
            SUBNET_RESERVED payload.subnet: 0.0.0.0/0 shares addresses with the multicast range 224.0.0.0/4; take a private one, such as 10.66.1.0/24
            SUBNET_RESERVED payload.subnet: 0.0.0.0/0 shares addresses with the reserved range 240.0.0.0/4; take a private one, such as 10.66.1.0/24
            SUBNET_OVERLAP payload.subnet: 0.0.0.0/0 overlaps 10.66.1.0/24 of LAN dmz
            SUBNET_OVERLAP payload.subnet: 0.0.0.0/0 overlaps 10.66.2.0/24 of LAN office
            SUBNET_OVERLAP payload.subnet: 0.0.0.0/0 overlaps 10.66.3.0/24 of LAN servers
        "#]],
        ),
        (
            "192.168.1.0/30",
            expect![[r#"
            SUBNET_SIZE payload.subnet: 192.168.1.0/30 has a prefix of 30; it has to be from 16 to 29
        "#]],
        ),
    ] {
        check(
            &[&format!(r#"{{"op":"add_lan","payload":{{"name":"lab","subnet":"{subnet}"}}}}"#)],
            expected,
        );
    }
}

#[test]
fn only_an_empty_lan_is_removed() {
    check(
        &[r#"{"op":"remove_lan","payload":{"name":"office"}}"#],
        expect![[r#"
        LAN_IN_USE payload.name: remove its deckies first: files-01 and build-01
    "#]],
    );
    check(
        &[r#"{"op":"remove_lan","payload":{"name":"nowhere"}}"#],
        expect![[r#"
        LAN_UNKNOWN payload.name: there is no LAN nowhere; there is dmz, office and servers
    "#]],
    );
    check(
        &[
            r#"{"op":"add_lan","payload":{"name":"lab","subnet":"192.168.7.0/24"}}"#,
            r#"{"op":"remove_lan","payload":{"name":"lab"}}"#,
        ],
        expect![[r#"
            - lan lab 192.168.7.0/24
            undo {"op":"restore_lan","payload":{"lan":{"id":"018bcfe5-6800-791e-87c9-2d25bde1bdf0","name":"lab","subnet":"192.168.7.0/24","is_dmz":false,"position":null}}}
        "#]],
    );
}

#[test]
fn decky_is_added_with_defaults() {
    check(
        &[r#"{"op":"add_decky","payload":{"name":"box","lan":"dmz"}}"#],
        expect![[r#"
        + decky box linux-server dmz=10.66.1.12 [ssh:22]
        undo {"op":"remove_decky","payload":{"decky":"box"}}
    "#]],
    );
}

#[test]
fn decky_is_added_as_wanted() {
    check(
        &[r#"{"op":"add_decky","payload":{"name":"cache","lan":"servers","ip":"10.66.3.200",
            "services":["ssh","redis"],"archetype":"database-server","rotate_every_seconds":60}}"#],
        expect![[r#"
            + decky cache database-server servers=10.66.3.200 [ssh:22 redis:6379] every 60s
            undo {"op":"remove_decky","payload":{"decky":"cache"}}
        "#]],
    );
}

#[test]
fn decky_with_everything_wrong_names_everything() {
    check(
        &[r#"{"op":"add_decky","payload":{"name":"web-01","lan":"dmz","ip":"10.66.1.10",
            "services":["redis","http","http"],"archetype":"web-server",
            "rotate_every_seconds":29}}"#],
        expect![[r#"
            DECKY_NAME_DUP payload.name: there is a decky web-01 already
            SERVICE_NOT_IN_POOL payload.services[0]: a web-server runs http, ftp or ssh, not redis
            SERVICE_DUPLICATE payload.services[2]: http is named twice
            ROTATION_INTERVAL payload.rotate_every_seconds: rotating every 29 s is out of range; it has to be from 30 s to 31622400 s, or 0 for never
            IP_COLLISION payload.ip: 10.66.1.10 belongs to decky web-01
        "#]],
    );
    check(
        &[r#"{"op":"add_decky","payload":{"name":"new","lan":"nowhere","services":[]}}"#],
        expect![[r#"
            SERVICES_EMPTY payload.services: a decky has at least one service; a linux-server runs ssh, http or ftp
            LAN_UNKNOWN payload.lan: there is no LAN nowhere; there is dmz, office and servers
        "#]],
    );
}

#[test]
fn addresses_that_no_machine_has_are_refused() {
    for (ip, expected) in [
        (
            "10.66.1.0",
            expect![[r#"
            IP_RESERVED payload.ip: 10.66.1.0 is the network address of LAN dmz (10.66.1.0/24)
        "#]],
        ),
        (
            "10.66.1.1",
            expect![[r#"
            IP_RESERVED payload.ip: 10.66.1.1 is the gateway address of LAN dmz (10.66.1.0/24)
        "#]],
        ),
        (
            "10.66.1.255",
            expect![[r#"
            IP_RESERVED payload.ip: 10.66.1.255 is the broadcast address of LAN dmz (10.66.1.0/24)
        "#]],
        ),
        (
            "10.66.2.9",
            expect![[r#"
            IP_OUT_OF_SUBNET payload.ip: 10.66.2.9 is outside 10.66.1.0/24, the subnet of LAN dmz
        "#]],
        ),
    ] {
        check(
            &[&format!(
                r#"{{"op":"add_decky","payload":{{"name":"box","lan":"dmz","ip":"{ip}"}}}}"#
            )],
            expected,
        );
    }
}

#[test]
fn a_full_lan_says_so() {
    let mut ops =
        vec![r#"{"op":"add_lan","payload":{"name":"tiny","subnet":"192.168.9.0/29"}}"#.to_owned()];
    ops.extend(
        (1..=6)
            .map(|n| format!(r#"{{"op":"add_decky","payload":{{"name":"t{n}","lan":"tiny"}}}}"#)),
    );
    let ops: Vec<&str> = ops.iter().map(String::as_str).collect();
    check(
        &ops[..6],
        expect![[r#"
        + decky t5 linux-server tiny=192.168.9.6 [ssh:22]
        undo {"op":"remove_decky","payload":{"decky":"t5"}}
    "#]],
    );
    check(
        &ops,
        expect![[r#"
        ADDRESS_EXHAUSTED payload.lan: LAN tiny (192.168.9.0/29) has no free address left
    "#]],
    );
}

#[test]
fn decky_is_removed_and_comes_back_the_same() {
    check(
        &[r#"{"op":"remove_decky","payload":{"decky":"db-01"}}"#],
        expect![[r#"
            - decky db-01 database-server servers=10.66.3.10 [ssh:22 redis:6379]
            undo {"op":"restore_decky","payload":{"decky":{"id":"018bcfe5-6800-787c-9e17-876ac515cf26","name":"db-01","archetype":"database-server","edges":[{"lan":"018bcfe5-6800-7d61-8245-e06bb0bc4f57","address":"10.66.3.10","forwards_l3":false}],"forwards_l3":false,"is_stopped":false,"services":[{"service":"ssh","port":22},{"service":"redis","port":6379}],"rotate_every":null,"rotated_at":"2023-11-14T22:13:20.000000Z","position":null}}}
        "#]],
    );
    check(
        &[r#"{"op":"remove_decky","payload":{"decky":"db-99"}}"#],
        expect![[r#"
        DECKY_UNKNOWN payload.decky: topology demo has no decky db-99
    "#]],
    );
}

#[test]
fn decky_is_updated() {
    check(
        &[r#"{"op":"update_decky","payload":{"decky":"web-01","services":["ftp"],
            "rotate_every_seconds":300,"position":{"x":3,"y":-4}}}"#],
        expect![[r#"
            - decky web-01 web-server dmz=10.66.1.10 [ssh:22 http:80]
            + decky web-01 web-server dmz=10.66.1.10 [ftp:21] every 300s at 3,-4
            undo {"op":"update_decky","payload":{"decky":"web-01","services":["ssh","http"],"rotate_every_seconds":0,"position":null}}
        "#]],
    );
    check(
        &[
            r#"{"op":"update_decky","payload":{"decky":"web-01","rotate_every_seconds":300}}"#,
            r#"{"op":"update_decky","payload":{"decky":"web-01","rotate_every_seconds":0}}"#,
        ],
        expect![[r#"
            - decky web-01 web-server dmz=10.66.1.10 [ssh:22 http:80] every 300s
            + decky web-01 web-server dmz=10.66.1.10 [ssh:22 http:80]
            undo {"op":"update_decky","payload":{"decky":"web-01","rotate_every_seconds":300}}
        "#]],
    );
    check(
        &[r#"{"op":"update_decky","payload":{"decky":"web-01"}}"#],
        expect![[r#"
            UPDATE_EMPTY payload: name what to change: services, patch, rotate_every_seconds or position
        "#]],
    );
    check(
        &[r#"{"op":"update_decky","payload":{"decky":"web-01","services":[],
            "rotate_every_seconds":99999999}}"#],
        expect![[r#"
            SERVICES_EMPTY payload.services: a decky has at least one service; a web-server runs http, ftp or ssh
            ROTATION_INTERVAL payload.rotate_every_seconds: rotating every 99999999 s is out of range; it has to be from 30 s to 31622400 s, or 0 for never
        "#]],
    );
}

#[test]
fn decky_is_rotated() {
    check(
        &[r#"{"op":"rotate_decky","payload":{"decky":"web-01","services":["ftp","ssh"]}}"#],
        expect![[r#"
            - decky web-01 web-server dmz=10.66.1.10 [ssh:22 http:80]
            + decky web-01 web-server dmz=10.66.1.10 [ssh:22 ftp:21]
            undo {"op":"rotate_decky","payload":{"decky":"web-01","services":["ssh","http"]}}
        "#]],
    );
    check(
        &[r#"{"op":"rotate_decky","payload":{"decky":"web-01"}}"#],
        expect![[r#"
        - decky web-01 web-server dmz=10.66.1.10 [ssh:22 http:80]
        + decky web-01 web-server dmz=10.66.1.10 [ssh:22 ftp:21]
        undo {"op":"rotate_decky","payload":{"decky":"web-01","services":["ssh","http"]}}
    "#]],
    );
    check(
        &[r#"{"op":"rotate_decky","payload":{"decky":"web-01","services":["ssh","http"]}}"#],
        expect![[r#"
            SERVICES_UNCHANGED payload.services: decky web-01 has exactly these services already
        "#]],
    );
    check(
        &[r#"{"op":"rotate_decky","payload":{"decky":"web-01","services":["redis"]}}"#],
        expect![[r#"
            SERVICE_NOT_IN_POOL payload.services[0]: a web-server runs http, ftp or ssh, not redis
        "#]],
    );
}
