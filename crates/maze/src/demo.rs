//! The maze that a first visitor meets.

use model::{Ambient, Archetype, Name, Op, Service, Topology};

use crate::apply;

/// Name, subnet, and whether it faces the outside.
const LANS: [(&str, &str, bool); 3] = [
    ("dmz", "10.66.1.0/24", true),
    ("office", "10.66.2.0/24", false),
    ("servers", "10.66.3.0/24", false),
];

/// Name, LAN, archetype and services; addresses are allocated from .10 on.
const DECKIES: [(&str, &str, Archetype, &[Service]); 6] = [
    ("web-01", "dmz", Archetype::WebServer, &[Service::Http, Service::Ssh]),
    ("web-02", "dmz", Archetype::WebServer, &[Service::Http, Service::Ftp]),
    ("files-01", "office", Archetype::FileServer, &[Service::Ftp, Service::Ssh]),
    ("build-01", "office", Archetype::DevopsHost, &[Service::Ssh, Service::Http]),
    ("db-01", "servers", Archetype::DatabaseServer, &[Service::Redis, Service::Ssh]),
    ("app-01", "servers", Archetype::LinuxServer, &[Service::Http, Service::Ssh]),
];

/// Three LANs (dmz, office, servers) and six deckies, which together speak every service over TCP.
/// Its version is 1, nothing rotates by itself.
pub fn demo(name: Name, ambient: &Ambient) -> Topology {
    let mut topology = Topology::new(ambient.id(), name);
    for op in lans().chain(deckies()) {
        let applied = apply(&topology, &op, ambient);
        topology = applied.expect("the demo keeps the rules, as its test shows").topology;
    }
    Topology { version: 1, ..topology }
}

fn lans() -> impl Iterator<Item = Op> {
    LANS.into_iter().map(|(lan, subnet, is_dmz)| Op::AddLan {
        name: word(lan),
        subnet: subnet.parse().ok(),
        is_dmz,
        position: None,
    })
}

fn deckies() -> impl Iterator<Item = Op> {
    DECKIES.into_iter().map(|(decky, lan, archetype, services)| Op::AddDecky {
        name: word(decky),
        lan: word(lan),
        services: Some(services.to_vec()),
        archetype: Some(archetype),
        forwards_l3: false,
        ip: None,
        rotate_every_seconds: None,
        position: None,
    })
}

fn word(text: &str) -> Name {
    text.parse().expect("the names of the demo are names")
}
