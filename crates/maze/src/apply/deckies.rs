//! What ops do to deckies: adding, removing, changing, starting and stopping them.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use model::{Archetype, Decky, DeckyPatch, Lan, Name, Op, Position, Service};

use super::{Stage, Undo, Work, edges, seconds_of, services};
use crate::{ViolationCode, rules, violation::Findings};

/// A decky that is to come.
pub(super) struct NewDecky<'a> {
    pub(super) name: &'a Name,
    pub(super) lan: &'a Name,
    pub(super) services: Option<&'a [Service]>,
    pub(super) archetype: Archetype,
    pub(super) forwards_l3: bool,
    pub(super) ip: Option<Ipv4Addr>,
    pub(super) rotate_every: Option<Duration>,
    pub(super) position: Option<Position>,
}

/// What changes about a decky.
pub(super) struct Patch<'a> {
    pub(super) machine: &'a DeckyPatch,
    pub(super) services: Option<&'a [Service]>,
    pub(super) rotate_every: Option<Option<Duration>>,
    pub(super) position: Option<Option<Position>>,
    pub(super) force: bool,
}

impl Patch<'_> {
    fn is_empty(&self) -> bool {
        *self.machine == DeckyPatch::default()
            && self.services.is_none()
            && self.rotate_every.is_none()
            && self.position.is_none()
    }
}

impl Work<'_> {
    pub(super) fn add_decky(&mut self, new: &NewDecky<'_>) -> Undo {
        let mut findings = Findings::default();
        if self.topology.deckies.len() >= rules::MAX_DECKIES {
            let message = format!("a topology has at most {} deckies", rules::MAX_DECKIES);
            findings.add(ViolationCode::DeckiesTooMany, "payload", message);
        }
        if self.topology.decky_named(new.name).is_some() {
            let message = format!("there is a decky {} already", new.name);
            findings.add(ViolationCode::DeckyNameDup, "payload.name", message);
        }
        let first_of_pool = &new.archetype.pool()[..1];
        let services = services::configured(new.services.unwrap_or(first_of_pool), &[]);
        rules::check_services(new.archetype, &services, "payload.services", &mut findings);
        if let Some(every) = new.rotate_every {
            rules::check_rotation(every, "payload.rotate_every_seconds", &mut findings);
        }
        let edge = match self.lan(new.lan, "payload.lan") {
            Ok(lan) => {
                if new.forwards_l3 {
                    check_gateway(&lan, "payload.forwards_l3", &mut findings);
                }
                edges::edge(self.topology, &lan, new.ip, &mut findings)
            }
            Err(violations) => {
                violations.into_iter().for_each(|violation| findings.push(violation));
                None
            }
        };
        let Some(edge) = edge else { return Err(findings.into_vec()) };
        findings.or_ok()?;
        self.put_decky(Decky {
            id: self.ambient.id(),
            name: new.name.clone(),
            archetype: new.archetype,
            edges: vec![edge],
            forwards_l3: new.forwards_l3,
            is_stopped: false,
            services: services::sorted(services),
            rotate_every: new.rotate_every,
            rotated_at: self.ambient.now(),
            position: new.position,
        });
        Ok(vec![Op::RemoveDecky { decky: new.name.clone() }])
    }

    pub(super) fn remove_decky(&mut self, name: &Name) -> Undo {
        let decky = self.decky(name)?;
        self.topology.deckies.remove(&decky.id);
        Ok(vec![Op::RestoreDecky { decky: Arc::unwrap_or_clone(decky) }])
    }

    pub(super) fn update_decky(&mut self, name: &Name, patch: &Patch<'_>) -> Undo {
        let before = self.decky(name)?;
        let mut findings = Findings::default();
        let mut decky = Decky::clone(&before);
        if patch.is_empty() {
            let message = "name what to change: services, patch, rotate_every_seconds or position";
            findings.add(ViolationCode::UpdateEmpty, "payload", message);
        }
        decky.archetype = patch.machine.archetype.unwrap_or(before.archetype);
        decky.forwards_l3 = patch.machine.forwards_l3.unwrap_or(before.forwards_l3);
        self.check_machine(&before, &decky, patch.force, &mut findings);
        if let Some(services) = patch.services {
            decky.services = services::configured(services, &before.services);
        }
        if patch.services.is_some() || decky.archetype != before.archetype {
            let field = "payload.services";
            rules::check_services(decky.archetype, &decky.services, field, &mut findings);
            decky.services = services::sorted(decky.services);
        }
        if let Some(every) = patch.rotate_every {
            if let Some(every) = every {
                rules::check_rotation(every, "payload.rotate_every_seconds", &mut findings);
            }
            decky.rotate_every = every;
        }
        decky.position = patch.position.unwrap_or(before.position);
        findings.or_ok()?;
        if decky.services != before.services {
            decky.rotated_at = self.ambient.now();
        }
        let undo = undo_update(&before, &decky, patch);
        self.put_decky(decky);
        Ok(vec![undo])
    }

    /// Whether the decky may become this machine, here and now.
    fn check_machine(&self, before: &Decky, after: &Decky, force: bool, findings: &mut Findings) {
        let home = before.home().and_then(|edge| self.topology.lans.get(&edge.lan));
        if let Some(lan) = home.filter(|_| after.forwards_l3 && !before.forwards_l3) {
            check_gateway(lan, "payload.patch.forwards_l3", findings);
        }
        let is_live = self.stage == Stage::Live && !before.is_stopped;
        if !is_live || force {
            return;
        }
        if after.forwards_l3 != before.forwards_l3 {
            let message = format!(
                "decky {} is live: routes change under the eyes of visitors; say `force`",
                before.name
            );
            findings.add(ViolationCode::ForceRequired, "payload.patch.forwards_l3", message);
        }
        if after.archetype != before.archetype {
            let message = format!(
                "decky {} is live: as a {} it is another machine, and its sessions end; say `force`",
                before.name, after.archetype
            );
            findings.add(ViolationCode::ForceRequired, "payload.patch.archetype", message);
        }
    }

    /// Takes a decky off the network, or brings it back.
    pub(super) fn switch_decky(&mut self, name: &Name, stopped: bool) -> Undo {
        let before = self.decky(name)?;
        if before.is_stopped == stopped {
            let mut findings = Findings::default();
            let state = if stopped { "stopped" } else { "started" };
            let message = format!("decky {name} is {state} already");
            findings.add(ViolationCode::StateUnchanged, "payload.decky", message);
            return Err(findings.into_vec());
        }
        self.put_decky(Decky { is_stopped: stopped, ..Decky::clone(&before) });
        let decky = name.clone();
        Ok(vec![if stopped { Op::StartDecky { decky } } else { Op::StopDecky { decky } }])
    }

    /// Puts a row back as it was. Where it replaces another, that one comes back in turn.
    pub(super) fn restore_decky(&mut self, decky: &Decky) -> Undo {
        let replaced = self.topology.deckies.insert(decky.id, Arc::new(decky.clone()));
        self.check_whole()?;
        Ok(vec![match replaced {
            Some(before) => Op::RestoreDecky { decky: Arc::unwrap_or_clone(before) },
            None => Op::RemoveDecky { decky: decky.name.clone() },
        }])
    }
}

/// Whether a gateway may live on `home`.
fn check_gateway(home: &Lan, field: &str, findings: &mut Findings) {
    if !home.is_dmz {
        let message = format!("the home of a gateway is the DMZ, not LAN {}", home.name);
        findings.add(ViolationCode::GatewayNotInDmz, field, message);
    }
}

/// The op that gives back what `patch` changed: by name where names say enough, else the row.
fn undo_update(before: &Decky, after: &Decky, patch: &Patch<'_>) -> Op {
    let by_name = services::configured(&before.service_set(), &after.services);
    if by_name != before.services {
        return Op::RestoreDecky { decky: before.clone() };
    }
    let machine = DeckyPatch {
        archetype: patch.machine.archetype.map(|_| before.archetype),
        forwards_l3: patch.machine.forwards_l3.map(|_| before.forwards_l3),
    };
    let is_another = machine != DeckyPatch::default();
    Op::UpdateDecky {
        decky: before.name.clone(),
        services: patch.services.map(|_| before.service_set()),
        rotate_every_seconds: patch.rotate_every.map(|_| seconds_of(before.rotate_every)),
        position: patch.position.map(|_| before.position),
        force: is_another,
        patch: is_another.then_some(machine),
    }
}
