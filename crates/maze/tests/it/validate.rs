//! Whole topologies, as imports bring them.

use std::{sync::Arc, time::Duration};

use expect_test::{Expect, expect};
use model::{Decky, Edge, Lan, LanId, Service, ServiceConfig, Topology};

use crate::demo;

fn check(spoil: impl FnOnce(&mut Topology, &model::Ambient), expected: Expect) {
    let (mut topology, ambient) = demo();
    spoil(&mut topology, &ambient);
    let shown: String = maze::validate(&topology)
        .iter()
        .map(|v| format!("{} {}: {}\n", v.code, v.field, v.message))
        .collect();
    expected.assert_eq(&shown);
}

fn change_lan(topology: &mut Topology, name: &str, change: impl FnOnce(&mut Lan)) -> LanId {
    let id = topology.lan_named(&name.parse().unwrap()).unwrap().id;
    change(Arc::make_mut(topology.lans.get_mut(&id).unwrap()));
    id
}

fn change_decky(topology: &mut Topology, name: &str, change: impl FnOnce(&mut Decky)) {
    let id = topology.decky_named(&name.parse().unwrap()).unwrap().id;
    change(Arc::make_mut(topology.deckies.get_mut(&id).unwrap()));
}

#[test]
fn the_demo_is_valid() {
    check(|_, _| {}, expect![[""]]);
}

#[test]
fn lans_are_judged() {
    check(
        |topology, _| {
            change_lan(topology, "office", |lan| {
                lan.name = "dmz".parse().unwrap();
                lan.subnet = "10.66.0.0/16".parse().unwrap();
                lan.is_dmz = true;
            });
        },
        expect![[r#"
            LAN_NAME_DUP lans.dmz.name: there are several LANs dmz
            SUBNET_OVERLAP lans.dmz.subnet: 10.66.0.0/16 overlaps 10.66.1.0/24 of LAN dmz
            SUBNET_OVERLAP lans.servers.subnet: 10.66.3.0/24 overlaps 10.66.0.0/16 of LAN dmz
            DMZ_MULTIPLE lans: only one LAN faces the outside, not dmz and dmz
        "#]],
    );
}

#[test]
fn deckies_are_judged() {
    check(
        |topology, ambient| {
            let dmz = change_lan(topology, "dmz", |_| {});
            change_decky(topology, "web-02", |decky| {
                decky.name = "web-01".parse().unwrap();
                decky.services.clear();
                decky.rotate_every = Some(Duration::from_secs(1));
            });
            change_decky(topology, "db-01", |decky| decky.edges.clear());
            change_decky(topology, "app-01", |decky| {
                decky.edges = vec![
                    Edge { lan: dmz, address: "10.66.1.10".parse().unwrap(), forwards_l3: false },
                    Edge { lan: dmz, address: "10.66.1.255".parse().unwrap(), forwards_l3: false },
                    Edge {
                        lan: ambient.id(),
                        address: "10.66.1.10".parse().unwrap(),
                        forwards_l3: false,
                    },
                ];
                decky.services = vec![
                    ServiceConfig { service: Service::Ftp, port: 0 },
                    ServiceConfig { service: Service::Ssh, port: 80 },
                    ServiceConfig { service: Service::Http, port: 80 },
                ];
            });
        },
        expect![[r#"
            SERVICES_EMPTY deckies.web-01.services: a decky has at least one service; a web-server runs http, ftp or ssh
            ROTATION_INTERVAL deckies.web-01.rotate_every: rotating every 1 s is out of range; it has to be from 30 s to 31622400 s, or 0 for never
            DECKY_NAME_DUP deckies.web-01.name: there are several deckies web-01
            PORT_INVALID deckies.app-01.services[0]: ftp needs a port from 1 to 65535
            PORT_COLLISION deckies.app-01.services[2]: http and ssh share port 80
            EDGE_DUP deckies.app-01.edges[1].lan: a decky has one interface on LAN dmz, not several
            IP_RESERVED deckies.app-01.edges[1].address: 10.66.1.255 is the broadcast address of LAN dmz (10.66.1.0/24)
            IP_UNKNOWN_LAN deckies.app-01.edges[2].lan: 10.66.1.10 is on LAN 018bcfe5-6800-791e-87c9-2d25bde1bdf0, which is unknown
            IP_COLLISION deckies.app-01.edges[0].address: 10.66.1.10 belongs to decky web-01
            DECKY_ORPHAN deckies.db-01.edges: a decky has at least one interface, on its home LAN
        "#]],
    );
}

#[test]
fn rows_lie_under_their_ids() {
    check(
        |topology, ambient| {
            let (_, decky) = topology.deckies.pop_first().unwrap();
            topology.deckies.insert(ambient.id(), decky);
        },
        expect![[r#"
            ROW_ID_MISMATCH deckies.web-02: the row of decky 018bcfe5-6800-7069-bb41-a7975378db74 is stored under 018bcfe5-6800-791e-87c9-2d25bde1bdf0
        "#]],
    );
}
