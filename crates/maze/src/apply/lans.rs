//! What ops do to LANs.

use std::{net::Ipv4Addr, sync::Arc};

use ipnet::Ipv4Net;
use model::{Decky, Lan, LanId, LanPatch, Name, Op, Position};

use super::{Stage, Undo, Work, edges, some_of};
use crate::{ViolationCode, allocate, rules, violation::Findings};

/// A LAN that is to come.
pub(super) struct NewLan<'a> {
    pub(super) name: &'a Name,
    pub(super) subnet: Option<Ipv4Net>,
    pub(super) is_dmz: bool,
    pub(super) position: Option<Position>,
}

impl Work<'_> {
    pub(super) fn add_lan(&mut self, new: &NewLan<'_>) -> Undo {
        let mut findings = Findings::default();
        if self.topology.lans.len() >= rules::MAX_LANS {
            let message = format!("a topology has at most {} LANs", rules::MAX_LANS);
            findings.add(ViolationCode::LansTooMany, "payload", message);
        }
        self.check_lan_name(new.name, "payload.name", &mut findings);
        if new.is_dmz {
            self.check_only_dmz(None, "payload.is_dmz", &mut findings);
        }
        if let Some(subnet) = new.subnet {
            let others = self.topology.lans.values().map(|lan| &**lan);
            rules::check_subnet(subnet, others, "payload.subnet", &mut findings);
        }
        let subnet = new.subnet.or_else(|| allocate::subnet(self.topology));
        if subnet.is_none() {
            let message = "10.66.0.0/16 has no free /24 left; name a subnet";
            findings.add(ViolationCode::SubnetExhausted, "payload.subnet", message);
        }
        let Some(subnet) = subnet else { return Err(findings.into_vec()) };
        findings.or_ok()?;
        let lan = Lan {
            id: self.ambient.id(),
            name: new.name.clone(),
            subnet,
            is_dmz: new.is_dmz,
            position: new.position,
        };
        self.topology.lans.insert(lan.id, Arc::new(lan));
        Ok(vec![Op::RemoveLan { name: new.name.clone() }])
    }

    /// Removes a LAN that is nobody's home; who visits it is detached first.
    pub(super) fn remove_lan(&mut self, name: &Name) -> Undo {
        let lan = self.lan(name, "payload.name")?;
        let on_it = self.topology.deckies.values().filter(|decky| decky.edge_on(lan.id).is_some());
        let on_it: Vec<Arc<Decky>> = on_it.cloned().collect();
        let lives_there = |decky: &&Arc<Decky>| decky.home().is_some_and(|home| home.lan == lan.id);
        let at_home: Vec<&Name> = on_it.iter().filter(lives_there).map(|d| &d.name).collect();
        let mut findings = Findings::default();
        if !at_home.is_empty() {
            let message = format!("remove its deckies first: {}", some_of(&at_home));
            findings.add(ViolationCode::LanInUse, "payload.name", message);
        }
        findings.or_ok()?;
        let mut undo = vec![Op::RestoreLan { lan: Lan::clone(&lan) }];
        for decky in on_it {
            undo.extend(edges::reattach(&decky, &lan));
            let mut decky = Arc::unwrap_or_clone(decky);
            decky.edges.retain(|edge| edge.lan != lan.id);
            self.put_decky(decky);
        }
        self.topology.lans.remove(&lan.id);
        Ok(undo)
    }

    pub(super) fn update_lan(&mut self, name: &Name, patch: &LanPatch) -> Undo {
        let before = self.lan(name, "payload.name")?;
        let mut findings = Findings::default();
        let mut lan = Lan::clone(&before);
        if *patch == LanPatch::default() {
            let message = "name what to change: name, subnet, is_dmz or position";
            findings.add(ViolationCode::UpdateEmpty, "payload.patch", message);
        }
        if let Some(name) = patch.name.as_ref().filter(|name| **name != before.name) {
            self.check_lan_name(name, "payload.patch.name", &mut findings);
            lan.name = name.clone();
        }
        if let Some(is_dmz) = patch.is_dmz.filter(|is_dmz| *is_dmz != before.is_dmz) {
            self.check_not_live(&before, "payload.patch.is_dmz", &mut findings);
            if is_dmz {
                self.check_only_dmz(Some(before.id), "payload.patch.is_dmz", &mut findings);
            } else {
                self.check_no_gateway(&before, &mut findings);
            }
            lan.is_dmz = is_dmz;
        }
        let moved = match patch.subnet.filter(|subnet| *subnet != before.subnet) {
            Some(subnet) => {
                self.check_not_live(&before, "payload.patch.subnet", &mut findings);
                let others = self.topology.lans.values().filter(|other| other.id != before.id);
                let others = others.map(|lan| &**lan);
                rules::check_subnet(subnet, others, "payload.patch.subnet", &mut findings);
                lan.subnet = subnet;
                self.renumbered(&before, &lan, &mut findings)
            }
            None => Vec::new(),
        };
        lan.position = patch.position.unwrap_or(before.position);
        findings.or_ok()?;
        let undo = Op::UpdateLan {
            name: lan.name.clone(),
            patch: LanPatch {
                name: patch.name.as_ref().map(|_| before.name.clone()),
                subnet: patch.subnet.map(|_| before.subnet),
                is_dmz: patch.is_dmz.map(|_| before.is_dmz),
                position: patch.position.map(|_| before.position),
            },
        };
        self.topology.lans.insert(lan.id, Arc::new(lan));
        moved.into_iter().for_each(|decky| self.put_decky(decky));
        Ok(vec![undo])
    }

    /// The deckies on `before` with their addresses at the same place of the subnet of `after`.
    fn renumbered(&self, before: &Lan, after: &Lan, findings: &mut Findings) -> Vec<Decky> {
        let mut moved = Vec::new();
        for decky in self.topology.deckies.values() {
            let Some(edge) = decky.edge_on(before.id) else { continue };
            let network = u32::from(before.subnet.network());
            let place = u32::from(edge.address).saturating_sub(network);
            let address = u32::from(after.subnet.network()).saturating_add(place);
            let address = Ipv4Addr::from(address);
            rules::check_address(address, after, "payload.patch.subnet", findings);
            let mut decky = Decky::clone(decky);
            let edges = decky.edges.iter_mut().filter(|edge| edge.lan == before.id);
            edges.for_each(|edge| edge.address = address);
            moved.push(decky);
        }
        moved
    }

    /// Puts a row back as it was. Where it replaces another, that one comes back in turn.
    pub(super) fn restore_lan(&mut self, lan: &Lan) -> Undo {
        let replaced = self.topology.lans.insert(lan.id, Arc::new(lan.clone()));
        self.check_whole()?;
        Ok(vec![match replaced {
            Some(before) => Op::RestoreLan { lan: Arc::unwrap_or_clone(before) },
            None => Op::RemoveLan { name: lan.name.clone() },
        }])
    }

    fn check_lan_name(&self, name: &Name, field: &str, findings: &mut Findings) {
        if self.topology.lan_named(name).is_some() {
            let message = format!("there is a LAN {name} already");
            findings.add(ViolationCode::LanNameDup, field, message);
        }
    }

    fn check_only_dmz(&self, own: Option<LanId>, field: &str, findings: &mut Findings) {
        let mut lans = self.topology.lans.values();
        if let Some(dmz) = lans.find(|lan| lan.is_dmz && Some(lan.id) != own) {
            let message = format!("LAN {} faces the outside already; only one does", dmz.name);
            findings.add(ViolationCode::DmzMultiple, field, message);
        }
    }

    fn check_no_gateway(&self, lan: &Lan, findings: &mut Findings) {
        let lives_here = |decky: &&Arc<Decky>| decky.home().is_some_and(|home| home.lan == lan.id);
        let mut deckies = self.topology.deckies.values().filter(lives_here);
        if let Some(gateway) = deckies.find(|decky| decky.forwards_l3) {
            let message = format!("decky {} is a gateway: its home is the DMZ", gateway.name);
            findings.add(ViolationCode::GatewayNotInDmz, "payload.patch.is_dmz", message);
        }
    }

    fn check_not_live(&self, lan: &Lan, field: &str, findings: &mut Findings) {
        if self.stage == Stage::Live {
            let message = format!(
                "LAN {} is live: it keeps its subnet and its side; add another LAN instead",
                lan.name
            );
            findings.add(ViolationCode::LanLive, field, message);
        }
    }
}
