//! What a seed makes: the same on any machine, for ever.

use expect_test::expect;
use maze::{Blueprint, Document, generate};

use crate::demo;

#[test]
fn a_seed_is_a_maze() {
    let (_, ambient) = demo();
    let blueprint =
        Blueprint { seed: 7, depth: 3, branching: 2, deckies_max: 3, ..Blueprint::default() };
    let made = generate("golden".parse().unwrap(), &blueprint, &ambient).unwrap();
    expect![[r#"
        dmz 10.66.1.0/24 dmz
        legal-01 10.66.3.0/24
        legal-02 10.66.7.0/24
        servers-01 10.66.4.0/24
        servers-02 10.66.6.0/24
        staging-01 10.66.5.0/24
        support-01 10.66.2.0/24
        app-01 linux-server dmz=10.66.1.10 ssh http ftp
        app-02 linux-server support-01=10.66.2.10 http ftp
        db-01 database-server legal-01=10.66.3.11 dmz=10.66.1.13* servers-01=10.66.4.12 ssh redis
        db-02 database-server servers-01=10.66.4.10 ssh redis
        db-03 database-server servers-02=10.66.6.11 ssh
        db-04 database-server servers-02=10.66.6.12 legal-01=10.66.3.13 ssh redis
        db-05 database-server legal-02=10.66.7.11 ssh
        files-01 file-server legal-01=10.66.3.10 ssh ftp
        monitor-01 monitoring-node support-01=10.66.2.11 dmz=10.66.1.12 ssh snmp
        monitor-02 monitoring-node servers-01=10.66.4.11 support-01=10.66.2.12* ssh
        monitor-03 monitoring-node staging-01=10.66.5.10 support-01=10.66.2.13* ssh
        ops-01 devops-host dmz=10.66.1.11 http redis
        ops-02 devops-host legal-02=10.66.7.10 ssh http redis
        ops-03 devops-host legal-02=10.66.7.12 legal-01=10.66.3.14 redis
        printer-01 printer legal-01=10.66.3.12 ftp snmp
        web-01 web-server staging-01=10.66.5.11 ssh http
        web-02 web-server servers-02=10.66.6.10 http
    "#]]
    .assert_eq(&written(&made));
}

/// One line per LAN and decky, by names only: ids are new each time.
fn written(topology: &model::Topology) -> String {
    let document = Document::from(topology);
    let lans = document.lans.iter().map(|lan| {
        let dmz = if lan.is_dmz { " dmz" } else { "" };
        format!("{} {}{dmz}\n", lan.name, lan.subnet.as_deref().unwrap_or_default())
    });
    let deckies = document.deckies.iter().map(|decky| {
        let interfaces = decky.interfaces.iter().map(|interface| {
            let forwards = if interface.forwards_l3 { "*" } else { "" };
            let address = interface.address.as_deref().unwrap_or_default();
            format!(" {}={address}{forwards}", interface.lan)
        });
        let services = decky.services.iter().flatten().map(|service| match service {
            maze::ServiceDocument::Name(name) => format!(" {name}"),
            maze::ServiceDocument::Settings { service, port, .. } => format!(" {service}:{port:?}"),
        });
        let archetype = decky.archetype.as_deref().unwrap_or_default();
        let parts: String = interfaces.chain(services).collect();
        format!("{} {archetype}{parts}\n", decky.name)
    });
    lans.chain(deckies).collect()
}

#[test]
fn blueprints_are_bounded() {
    let (_, ambient) = demo();
    let wrong = Blueprint {
        depth: 17,
        branching: 9,
        deckies_min: 33,
        deckies_max: 0,
        bridge_forward_percent: 101,
        cross_edge_percent: 101,
        ..Blueprint::default()
    };
    let large = Blueprint { depth: 16, branching: 2, ..Blueprint::default() };
    let shown: String = [wrong, large]
        .iter()
        .flat_map(|blueprint| generate("x".parse().unwrap(), blueprint, &ambient).unwrap_err())
        .map(|v| format!("{} {}: {}\n", v.code, v.field, v.message))
        .collect();
    expect![[r#"
        GENERATOR_RANGE depth: depth is from 1 to 16, not 17
        GENERATOR_RANGE branching: branching is from 1 to 8, not 9
        GENERATOR_RANGE deckies_min: deckies_min is from 0 to 32, not 33
        GENERATOR_RANGE deckies_max: deckies_max is from 1 to 32, not 0
        GENERATOR_RANGE bridge_forward_percent: bridge_forward_percent is from 0 to 100, not 101
        GENERATOR_RANGE cross_edge_percent: cross_edge_percent is from 0 to 100, not 101
        GENERATOR_RANGE deckies_min: deckies_min is 33, more than deckies_max, 0
        LANS_TOO_MANY depth: depth 17 with branching 9 is more than 256 LANs
        LANS_TOO_MANY depth: depth 16 with branching 2 is more than 256 LANs
    "#]]
    .assert_eq(&shown);
}
