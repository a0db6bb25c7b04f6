//! Judges a whole topology, as an import brings it. What [`crate::apply()`] makes of a valid
//! topology is valid.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::Arc,
};

use model::{Decky, Lan, LanId, Name, Topology};

use crate::{
    MAX_EDGES, Violation, ViolationCode, rules,
    violation::{Findings, listed},
};

/// Everything that is wrong with `topology`; empty where nothing is. Fields are paths by name:
/// `lans.office.subnet`, `deckies.web-01.edges[0].address`.
pub fn validate(topology: &Topology) -> Vec<Violation> {
    let mut findings = Findings::default();
    if let Some(every) = topology.rotate_every {
        rules::check_rotation(every, "rotate_every", &mut findings);
    }
    check_lans(topology, &mut findings);
    check_deckies(topology, &mut findings);
    findings.into_vec()
}

/// What keeps a topology that is otherwise valid from being deployed: nothing of it would face
/// the outside. An empty one can be deployed.
pub fn deployable(topology: &Topology) -> Vec<Violation> {
    let mut findings = Findings::default();
    match topology.lans.values().find(|lan| lan.is_dmz) {
        None if topology.lans.is_empty() => {}
        None => {
            let message = "no LAN faces the outside; make one the DMZ";
            findings.add(ViolationCode::DmzMissing, "lans", message);
        }
        Some(dmz) => {
            let is_there = |decky: &Decky| decky.edge_on(dmz.id).is_some();
            let is_alone = !topology.deckies.values().any(|decky| is_there(decky));
            if is_alone && !topology.deckies.is_empty() {
                let message = format!(
                    "no decky is on LAN {}, which faces the outside: nobody would find the maze",
                    dmz.name
                );
                findings.add(ViolationCode::DmzOrphan, format!("lans.{}", dmz.name), message);
            }
        }
    }
    findings.into_vec()
}

/// LANs that no chain of deckies connects with the DMZ: allowed, but a visitor gets there from
/// the outside by no machine.
pub fn unreachable(topology: &Topology) -> Vec<Arc<Lan>> {
    let Some(dmz) = topology.lans.values().find(|lan| lan.is_dmz) else {
        return topology.lans.values().cloned().collect();
    };
    let mut reached = BTreeSet::from([dmz.id]);
    loop {
        let before = reached.len();
        for decky in topology.deckies.values() {
            if decky.edges.iter().any(|edge| reached.contains(&edge.lan)) {
                reached.extend(decky.edges.iter().map(|edge| edge.lan));
            }
        }
        if reached.len() == before {
            break;
        }
    }
    topology.lans.values().filter(|lan| !reached.contains(&lan.id)).cloned().collect()
}

fn check_lans(topology: &Topology, findings: &mut Findings) {
    if topology.lans.len() > rules::MAX_LANS {
        let message = format!("a topology has at most {} LANs", rules::MAX_LANS);
        findings.add(ViolationCode::LansTooMany, "lans", message);
        return;
    }
    let mut before: Vec<&Lan> = Vec::new();
    for (id, lan) in &topology.lans {
        let field = format!("lans.{}", lan.name);
        if *id != lan.id {
            let message = format!("the row of LAN {} is stored under {id}", lan.id);
            findings.add(ViolationCode::RowIdMismatch, &field, message);
        }
        if before.iter().any(|other| other.name == lan.name) {
            let message = format!("there are several LANs {}", lan.name);
            findings.add(ViolationCode::LanNameDup, format!("{field}.name"), message);
        }
        let others = before.iter().copied();
        rules::check_subnet(lan.subnet, others, &format!("{field}.subnet"), findings);
        before.push(lan);
    }
    let outside: Vec<&Name> = before.iter().filter(|lan| lan.is_dmz).map(|lan| &lan.name).collect();
    if outside.len() > 1 {
        let message = format!("only one LAN faces the outside, not {}", listed(&outside, "and"));
        findings.add(ViolationCode::DmzMultiple, "lans", message);
    }
}

fn check_deckies(topology: &Topology, findings: &mut Findings) {
    if topology.deckies.len() > rules::MAX_DECKIES {
        let message = format!("a topology has at most {} deckies", rules::MAX_DECKIES);
        findings.add(ViolationCode::DeckiesTooMany, "deckies", message);
        return;
    }
    let mut names: BTreeSet<&Name> = BTreeSet::new();
    let mut owners: BTreeMap<(LanId, Ipv4Addr), &Decky> = BTreeMap::new();
    for (id, decky) in &topology.deckies {
        let field = format!("deckies.{}", decky.name);
        if *id != decky.id {
            let message = format!("the row of decky {} is stored under {id}", decky.id);
            findings.add(ViolationCode::RowIdMismatch, &field, message);
        }
        if !names.insert(&decky.name) {
            let message = format!("there are several deckies {}", decky.name);
            findings.add(ViolationCode::DeckyNameDup, format!("{field}.name"), message);
        }
        let services = format!("{field}.services");
        rules::check_services(decky.archetype, &decky.services, &services, findings);
        if let Some(every) = decky.rotate_every {
            rules::check_rotation(every, &format!("{field}.rotate_every"), findings);
        }
        check_edges(topology, decky, &field, findings);
        for (index, edge) in decky.edges.iter().enumerate() {
            let owner = owners.insert((edge.lan, edge.address), decky);
            if let Some(owner) = owner.filter(|owner| owner.id != decky.id) {
                let field = format!("{field}.edges[{index}].address");
                let message = format!("{} belongs to decky {}", edge.address, owner.name);
                findings.add(ViolationCode::IpCollision, field, message);
            }
        }
    }
}

fn check_edges(topology: &Topology, decky: &Decky, field: &str, findings: &mut Findings) {
    if decky.edges.len() > MAX_EDGES {
        let message = format!("a decky has at most {MAX_EDGES} interfaces");
        findings.add(ViolationCode::EdgesTooMany, format!("{field}.edges"), message);
        return;
    }
    let home = decky.home().and_then(|edge| topology.lans.get(&edge.lan));
    if let Some(home) = home.filter(|lan| decky.forwards_l3 && !lan.is_dmz) {
        let message = format!("the home of a gateway is the DMZ, not LAN {}", home.name);
        findings.add(ViolationCode::GatewayNotInDmz, format!("{field}.forwards_l3"), message);
    }
    if decky.edges.is_empty() {
        let message = "a decky has at least one interface, on its home LAN";
        findings.add(ViolationCode::DeckyOrphan, format!("{field}.edges"), message);
    }
    let mut lans = BTreeSet::new();
    for (index, edge) in decky.edges.iter().enumerate() {
        let field = format!("{field}.edges[{index}]");
        let Some(lan) = topology.lans.get(&edge.lan) else {
            let message = format!("{} is on LAN {}, which is unknown", edge.address, edge.lan);
            findings.add(ViolationCode::IpUnknownLan, format!("{field}.lan"), message);
            continue;
        };
        if !lans.insert(edge.lan) {
            let message = format!("a decky has one interface on LAN {}, not several", lan.name);
            findings.add(ViolationCode::EdgeDup, format!("{field}.lan"), message);
        }
        rules::check_address(edge.address, lan, &format!("{field}.address"), findings);
    }
}
