//! What ops do to interfaces.

use std::{net::Ipv4Addr, sync::Arc};

use model::{Decky, Edge, Lan, Name, Op, Topology};

use super::{Undo, Work};
use crate::{Violation, ViolationCode, allocate, rules, violation::Findings};

/// The most interfaces of a decky.
pub const MAX_EDGES: usize = 16;

impl Work<'_> {
    pub(super) fn attach_decky(
        &mut self,
        name: &Name,
        lan: &Name,
        ip: Option<Ipv4Addr>,
        forwards_l3: bool,
    ) -> Undo {
        let (decky, lan) = self.decky_and_lan(name, lan)?;
        let mut findings = Findings::default();
        if decky.edge_on(lan.id).is_some() {
            let message = format!("decky {name} is on LAN {} already", lan.name);
            findings.add(ViolationCode::DeckyAttached, "payload.lan", message);
        }
        if decky.edges.len() >= MAX_EDGES {
            let message = format!("a decky has at most {MAX_EDGES} interfaces");
            findings.add(ViolationCode::EdgesTooMany, "payload.decky", message);
        }
        let edge = edge(self.topology, &lan, ip, &mut findings);
        let Some(edge) = edge else { return Err(findings.into_vec()) };
        findings.or_ok()?;
        let mut decky = Decky::clone(&decky);
        decky.edges.push(Edge { forwards_l3, ..edge });
        in_order(&mut decky.edges);
        self.put_decky(decky);
        Ok(vec![Op::DetachDecky { decky: name.clone(), lan: lan.name.clone() }])
    }

    pub(super) fn detach_decky(&mut self, name: &Name, lan: &Name) -> Undo {
        let (decky, lan) = self.decky_and_lan(name, lan)?;
        let mut findings = Findings::default();
        if decky.edge_on(lan.id).is_none() {
            let message = format!("decky {name} is not on LAN {}", lan.name);
            findings.add(ViolationCode::DeckyNotAttached, "payload.lan", message);
        } else if decky.home().is_some_and(|home| home.lan == lan.id) {
            let message = format!(
                "LAN {} is the home of decky {name}; remove the decky to take it from there",
                lan.name
            );
            findings.add(ViolationCode::DeckyHome, "payload.lan", message);
        }
        findings.or_ok()?;
        let undo = reattach(&decky, &lan);
        let mut decky = Decky::clone(&decky);
        decky.edges.retain(|edge| edge.lan != lan.id);
        self.put_decky(decky);
        Ok(undo.into_iter().collect())
    }

    fn decky_and_lan(
        &self,
        decky: &Name,
        lan: &Name,
    ) -> Result<(Arc<Decky>, Arc<Lan>), Vec<Violation>> {
        match (self.decky(decky), self.lan(lan, "payload.lan")) {
            (Ok(decky), Ok(lan)) => Ok((decky, lan)),
            (decky, lan) => Err([decky.err(), lan.err()].into_iter().flatten().flatten().collect()),
        }
    }
}

/// What attaches `decky` to `lan` as it is now.
pub(super) fn reattach(decky: &Decky, lan: &Lan) -> Option<Op> {
    let edge = decky.edge_on(lan.id)?;
    Some(Op::AttachDecky {
        decky: decky.name.clone(),
        lan: lan.name.clone(),
        ip: Some(edge.address),
        forwards_l3: edge.forwards_l3,
    })
}

/// The home first, the others by their LANs.
pub(crate) fn in_order(edges: &mut [Edge]) {
    if let Some((_home, others)) = edges.split_first_mut() {
        others.sort_by_key(|edge| edge.lan);
    }
}

/// A new interface on `lan`, at this address or the lowest free one; where there is none,
/// `findings` says why.
pub(super) fn edge(
    topology: &Topology,
    lan: &Lan,
    ip: Option<Ipv4Addr>,
    findings: &mut Findings,
) -> Option<Edge> {
    let Some(address) = ip.or_else(|| allocate::address(topology, lan)) else {
        let message = format!("LAN {} ({}) has no free address left", lan.name, lan.subnet);
        findings.add(ViolationCode::AddressExhausted, "payload.lan", message);
        return None;
    };
    rules::check_address(address, lan, "payload.ip", findings);
    let has_it =
        |decky: &&Arc<Decky>| decky.edge_on(lan.id).is_some_and(|edge| edge.address == address);
    if let Some(owner) = topology.deckies.values().find(has_it) {
        let message = format!("{address} belongs to decky {}", owner.name);
        findings.add(ViolationCode::IpCollision, "payload.ip", message);
    }
    Some(Edge { lan: lan.id, address, forwards_l3: false })
}
