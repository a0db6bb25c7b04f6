//! Documents that people write, and what they are told.

use expect_test::{Expect, expect};
use maze::Document;

use crate::{demo, describe};

fn check(text: &str, expected: Expect) {
    let (_, ambient) = demo();
    let document: Document = serde_json::from_str(text).unwrap();
    let shown = match document.read(&ambient) {
        Ok(topology) => describe(&topology).join("\n"),
        Err(violations) => {
            let say = |v: &maze::Violation| format!("{} {}: {}", v.code, v.field, v.message);
            violations.iter().map(say).collect::<Vec<_>>().join("\n")
        }
    };
    expected.assert_eq(&shown);
}

#[test]
fn what_is_left_open_is_chosen() {
    check(
        r#"{"format":1,"name":"small","rotate_every_seconds":600,
            "lans":[{"name":"edge","is_dmz":true},{"name":"inner","subnet":"192.168.4.0/24"}],
            "deckies":[{"name":"open","interfaces":[{"lan":"edge"},{"lan":"inner","forwards_l3":true}]},
                {"name":"given","archetype":"web-server","forwards_l3":true,
                 "interfaces":[{"lan":"edge","address":"10.66.1.10"}],
                 "services":["http",{"service":"ssh","port":2222}]}]}"#,
        expect![[r#"
            decky given web-server edge=10.66.1.10 [ssh:2222 http:80] gateway
            decky open linux-server edge=10.66.1.11 inner=192.168.4.10* [ssh:22]
            lan edge 10.66.1.0/24 dmz
            lan inner 192.168.4.0/24"#]],
    );
}

#[test]
fn everything_wrong_is_named_by_its_code() {
    check(
        r#"{"format":1,"name":"Bad Name",
            "lans":[{"name":"a","subnet":"10.1.0.0/33"},{"name":"b","subnet":"10.66.1.0/24"}],
            "deckies":[
                {"name":"one","archetype":"mainframe","interfaces":[{"lan":"b","address":"10.66.1.999"}]},
                {"name":"two","interfaces":[{"lan":"c"}],"services":["gopher",{"service":"ssh","cipher":"rot13"}]},
                {"name":"three","interfaces":[],"services":["ssh"]}]}"#,
        expect![[r#"
            NAME_MALFORMED name: a name consists of lower-case letters, digits and hyphens, not 'B'
            SUBNET_MALFORMED lans[0].subnet: "10.1.0.0/33" is no subnet, such as 10.66.1.0/24
            UNKNOWN_ARCHETYPE deckies[0].archetype: `mainframe` is not a known archetype; known are linux-server, web-server, database-server, file-server, devops-host, printer, monitoring-node
            IP_MALFORMED deckies[0].interfaces[0].address: "10.66.1.999" is no IPv4 address
            IP_UNKNOWN_LAN deckies[1].interfaces[0].lan: there is no LAN "c"
            UNKNOWN_SERVICE deckies[1].services[0]: `gopher` is not a known service; known are ssh, http, ftp, redis, snmp
            SERVICE_CFG_UNDECLARED deckies[1].services[1].cipher: ssh has no setting "cipher"; it has port
            DECKY_ORPHAN deckies.three.edges: a decky has at least one interface, on its home LAN"#]],
    );
    check(
        r#"{"format":2,"name":"later"}"#,
        expect!["FORMAT_UNKNOWN format: this is format 2; only 1 is known here"],
    );
}

#[test]
fn rules_of_the_whole_hold_for_documents() {
    check(
        r#"{"format":1,"name":"clash",
            "lans":[{"name":"a","subnet":"10.66.1.0/24","is_dmz":true},{"name":"b","subnet":"10.66.1.128/25"}],
            "deckies":[{"name":"gate","interfaces":[{"lan":"b","address":"10.66.1.140"}],"forwards_l3":true},
                {"name":"gate","interfaces":[{"lan":"b","address":"10.66.1.140"}]}]}"#,
        expect![[r#"
            SUBNET_OVERLAP lans.a.subnet: 10.66.1.0/24 overlaps 10.66.1.128/25 of LAN b
            GATEWAY_NOT_IN_DMZ deckies.gate.forwards_l3: the home of a gateway is the DMZ, not LAN b
            DECKY_NAME_DUP deckies.gate.name: there are several deckies gate
            IP_COLLISION deckies.gate.edges[0].address: 10.66.1.140 belongs to decky gate"#]],
    );
}

#[test]
fn what_faces_nobody_is_not_deployed() {
    let (_, ambient) = demo();
    let deployable = |text: &str| {
        let document: Document = serde_json::from_str(text).unwrap();
        let codes = maze::deployable(&document.read(&ambient).unwrap())
            .into_iter()
            .map(|v| v.code.as_str());
        codes.collect::<Vec<_>>()
    };
    assert!(deployable(r#"{"format":1,"name":"empty"}"#).is_empty());
    assert_eq!(deployable(r#"{"format":1,"name":"inner","lans":[{"name":"a"}]}"#), ["DMZ_MISSING"]);
    assert_eq!(
        deployable(
            r#"{"format":1,"name":"lonely","lans":[{"name":"a","is_dmz":true},{"name":"b"}],
                "deckies":[{"name":"d","interfaces":[{"lan":"b"}]}]}"#
        ),
        ["DMZ_ORPHAN"]
    );
    let (whole, _) = demo();
    let unreachable: Vec<_> =
        maze::unreachable(&whole).iter().map(|lan| lan.name.to_string()).collect();
    assert_eq!(unreachable, ["office", "servers"], "no decky of the demo has two interfaces");
}
