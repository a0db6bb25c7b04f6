//! What has to come of operations: the rules of topologies once more, written down from the
//! reference, on rows that know nothing of the product's own. Pure.
//!
//! Every LAN and every decky has a mark of its own, given when it comes and kept over an undo, so
//! that a machine that comes back is told from another of its name.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use ipnet::Ipv4Net;
use model::{Archetype, DeckyPatch, LanPatch, Name, Op, Position, Service};

/// Tells LANs and deckies apart, whatever they are called.
pub(crate) type Mark = u32;
/// Why an operation is refused.
pub(crate) type Codes = BTreeSet<&'static str>;

/// A topology.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Maze {
    pub(crate) lans: BTreeMap<Mark, Lan>,
    pub(crate) deckies: BTreeMap<Mark, Decky>,
    pub(super) rotate_every: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lan {
    pub(crate) name: String,
    pub(crate) subnet: Ipv4Net,
    pub(crate) is_dmz: bool,
    pub(super) position: Option<Position>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decky {
    pub(crate) name: String,
    pub(super) archetype: Archetype,
    /// The first is on its home LAN.
    pub(crate) edges: Vec<Edge>,
    pub(super) is_gateway: bool,
    pub(crate) is_stopped: bool,
    pub(crate) services: BTreeSet<Service>,
    pub(super) rotate_every: Option<u64>,
    pub(super) position: Option<Position>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Edge {
    pub(crate) lan: Mark,
    pub(crate) address: Ipv4Addr,
    pub(super) forwards: bool,
}

impl Decky {
    /// Whether this is the machine that the other row is: what visitors know it by has not changed.
    pub(crate) fn is_machine(&self, other: &Self) -> bool {
        let home = |decky: &Self| (decky.edges[0].lan, decky.edges[0].address);
        self.name == other.name && self.archetype == other.archetype && home(self) == home(other)
    }

    pub(crate) fn edge_on(&self, lan: Mark) -> Option<&Edge> {
        self.edges.iter().find(|edge| edge.lan == lan)
    }
}

const RESERVED: [&str; 5] =
    ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"];

fn code(codes: &mut Codes, is_wrong: bool, code: &'static str) {
    if is_wrong {
        codes.insert(code);
    }
}

fn overlap(one: Ipv4Net, other: Ipv4Net) -> bool {
    one.network() <= other.broadcast() && other.network() <= one.broadcast()
}

impl Maze {
    /// What the operation makes of the maze, visible to visitors (`is_live`) or not; or why it is
    /// refused. A rotation without services changes none here: which come is not told before.
    pub(crate) fn apply(&self, op: &Op, is_live: bool, marks: &mut Mark) -> Result<Self, Codes> {
        let mut next = self.clone();
        next.run(op, is_live, marks)?;
        let broken = next.undeployable();
        let was_fine = self.undeployable().is_empty();
        if is_live && was_fine && !broken.is_empty() { Err(broken) } else { Ok(next) }
    }

    /// What keeps it from being deployed.
    pub(crate) fn undeployable(&self) -> Codes {
        let mut codes = Codes::new();
        let dmz = self.lans.iter().find(|(_, lan)| lan.is_dmz).map(|(mark, _)| *mark);
        code(&mut codes, dmz.is_none() && !self.lans.is_empty(), "DMZ_MISSING");
        if let Some(dmz) = dmz {
            let is_reached = self.deckies.values().any(|decky| decky.edge_on(dmz).is_some());
            code(&mut codes, !is_reached && !self.deckies.is_empty(), "DMZ_ORPHAN");
        }
        codes
    }

    pub(crate) fn lan_named(&self, name: &str) -> Option<Mark> {
        self.lans.iter().find(|(_, lan)| lan.name == name).map(|(mark, _)| *mark)
    }

    pub(crate) fn decky_named(&self, name: &str) -> Option<Mark> {
        self.deckies.iter().find(|(_, decky)| decky.name == name).map(|(mark, _)| *mark)
    }

    fn run(&mut self, op: &Op, is_live: bool, marks: &mut Mark) -> Result<(), Codes> {
        match op {
            Op::AddLan { name, subnet, is_dmz, position } => {
                self.add_lan((name, *subnet, *is_dmz, *position), marks)
            }
            Op::RemoveLan { name } => self.remove_lan(name),
            Op::UpdateLan { name, patch } => self.update_lan(name, patch, is_live),
            Op::AddDecky { .. } => self.add_decky(op, marks),
            Op::RemoveDecky { decky } => {
                let mark = self.decky(decky)?;
                self.deckies.remove(&mark);
                Ok(())
            }
            Op::AttachDecky { decky, lan, ip, forwards_l3 } => {
                self.attach(decky, lan, *ip, *forwards_l3)
            }
            Op::DetachDecky { decky, lan } => self.detach(decky, lan),
            Op::UpdateDecky { .. } => self.update_decky(op, is_live),
            Op::RotateDecky { decky, services } => self.rotate(decky, services.as_deref()),
            Op::StartDecky { decky } => self.switch(decky, false),
            Op::StopDecky { decky } => self.switch(decky, true),
            Op::UpdateTopology { rotate_every_seconds } => {
                let mut codes = Codes::new();
                code(&mut codes, rotate_every_seconds.is_none(), "UPDATE_EMPTY");
                check_interval(*rotate_every_seconds, &mut codes);
                fine(codes)?;
                self.rotate_every = rotate_every_seconds.filter(|seconds| *seconds > 0);
                Ok(())
            }
            Op::Batch { ops } => {
                fine(if ops.is_empty() { Codes::from(["BATCH_EMPTY"]) } else { Codes::new() })?;
                ops.iter().try_for_each(|op| match op {
                    Op::Batch { .. } => Err(Codes::from(["BATCH_NESTED"])),
                    op => self.run(op, is_live, marks),
                })
            }
            Op::Undo { .. } | Op::RestoreLan { .. } | Op::RestoreDecky { .. } => {
                unreachable!("nobody asks for these")
            }
        }
    }

    fn add_lan(
        &mut self,
        (name, subnet, is_dmz, position): (&Name, Option<Ipv4Net>, bool, Option<Position>),
        marks: &mut Mark,
    ) -> Result<(), Codes> {
        let mut codes = Codes::new();
        code(&mut codes, self.lan_named(name.as_str()).is_some(), "LAN_NAME_DUP");
        code(&mut codes, is_dmz && self.lans.values().any(|lan| lan.is_dmz), "DMZ_MULTIPLE");
        if let Some(subnet) = subnet {
            self.check_subnet(subnet, None, &mut codes);
        }
        let free = |third: u8| {
            let net = Ipv4Net::new_assert(Ipv4Addr::new(10, 66, third, 0), 24);
            (!self.lans.values().any(|lan| overlap(lan.subnet, net))).then_some(net)
        };
        let subnet = subnet.or_else(|| (1..=255).chain([0]).find_map(free));
        code(&mut codes, subnet.is_none(), "SUBNET_EXHAUSTED");
        fine(codes)?;
        *marks += 1;
        let subnet = subnet.expect("without one it was refused");
        self.lans.insert(*marks, Lan { name: name.to_string(), subnet, is_dmz, position });
        Ok(())
    }

    fn remove_lan(&mut self, name: &Name) -> Result<(), Codes> {
        let lan = self.lan(name)?;
        if self.deckies.values().any(|decky| decky.edges[0].lan == lan) {
            return Err(["LAN_IN_USE"].into());
        }
        self.deckies.values_mut().for_each(|decky| decky.edges.retain(|edge| edge.lan != lan));
        self.lans.remove(&lan);
        Ok(())
    }

    fn update_lan(&mut self, name: &Name, patch: &LanPatch, is_live: bool) -> Result<(), Codes> {
        let mark = self.lan(name)?;
        let before = self.lans[&mark].clone();
        let mut codes = Codes::new();
        code(&mut codes, *patch == LanPatch::default(), "UPDATE_EMPTY");
        let mut after = before.clone();
        if let Some(name) = &patch.name {
            let owner = self.lan_named(name.as_str());
            code(&mut codes, owner.is_some_and(|owner| owner != mark), "LAN_NAME_DUP");
            after.name = name.to_string();
        }
        after.is_dmz = patch.is_dmz.unwrap_or(before.is_dmz);
        if after.is_dmz != before.is_dmz {
            code(&mut codes, is_live, "LAN_LIVE");
            let others = self.lans.iter().filter(|(other, _)| **other != mark);
            let is_second = others.into_iter().any(|(_, lan)| lan.is_dmz);
            code(&mut codes, after.is_dmz && is_second, "DMZ_MULTIPLE");
            let is_gateway = |decky: &Decky| decky.is_gateway && decky.edges[0].lan == mark;
            let has_gateway = self.deckies.values().any(is_gateway);
            code(&mut codes, before.is_dmz && has_gateway, "GATEWAY_NOT_IN_DMZ");
        }
        after.subnet = patch.subnet.unwrap_or(before.subnet);
        let (old, new) = (before.subnet, after.subnet);
        let is_moved = old != new;
        if is_moved {
            code(&mut codes, is_live, "LAN_LIVE");
            self.check_subnet(new, Some(mark), &mut codes);
        }
        after.position = patch.position.unwrap_or(before.position);
        let mut deckies = self.deckies.clone();
        let edges = deckies.values_mut().flat_map(|decky| &mut decky.edges);
        for edge in edges.filter(|edge| edge.lan == mark && is_moved) {
            let place = u32::from(edge.address) - u32::from(old.network());
            edge.address = (u32::from(new.network()) + place).into();
            check_address(edge.address, new, &mut codes);
        }
        fine(codes)?;
        self.deckies = deckies;
        self.lans.insert(mark, after);
        Ok(())
    }

    fn add_decky(&mut self, op: &Op, marks: &mut Mark) -> Result<(), Codes> {
        let Op::AddDecky {
            name,
            lan,
            services,
            archetype,
            forwards_l3,
            ip,
            rotate_every_seconds,
            position,
        } = op
        else {
            unreachable!("called for this op only")
        };
        let mut codes = Codes::new();
        code(&mut codes, self.decky_named(name.as_str()).is_some(), "DECKY_NAME_DUP");
        let archetype = archetype.unwrap_or(Archetype::LinuxServer);
        let services = services.clone().unwrap_or_else(|| archetype.pool()[..1].to_vec());
        check_services(archetype, &services, &mut codes);
        check_interval(*rotate_every_seconds, &mut codes);
        let edge = match self.lan(lan) {
            Ok(lan) => {
                let is_misplaced = *forwards_l3 && !self.lans[&lan].is_dmz;
                code(&mut codes, is_misplaced, "GATEWAY_NOT_IN_DMZ");
                self.edge(lan, *ip, &mut codes)
            }
            Err(unknown) => {
                codes.extend(unknown);
                None
            }
        };
        fine(codes)?;
        *marks += 1;
        let decky = Decky {
            name: name.to_string(),
            archetype,
            edges: edge.into_iter().collect(),
            is_gateway: *forwards_l3,
            is_stopped: false,
            services: services.into_iter().collect(),
            rotate_every: rotate_every_seconds.filter(|seconds| *seconds > 0),
            position: *position,
        };
        self.deckies.insert(*marks, decky);
        Ok(())
    }

    fn update_decky(&mut self, op: &Op, is_live: bool) -> Result<(), Codes> {
        let Op::UpdateDecky { decky, patch, services, rotate_every_seconds, position, force } = op
        else {
            unreachable!("called for this op only")
        };
        let mark = self.decky(decky)?;
        let before = self.deckies[&mark].clone();
        let machine = patch.clone().unwrap_or_default();
        let mut codes = Codes::new();
        let says_nothing = machine == DeckyPatch::default()
            && (services.is_none() && rotate_every_seconds.is_none() && position.is_none());
        code(&mut codes, says_nothing, "UPDATE_EMPTY");
        let mut after = before.clone();
        after.archetype = machine.archetype.unwrap_or(before.archetype);
        after.is_gateway = machine.forwards_l3.unwrap_or(before.is_gateway);
        let becomes_gateway = after.is_gateway && !before.is_gateway;
        let is_inside = !self.lans[&before.edges[0].lan].is_dmz;
        code(&mut codes, becomes_gateway && is_inside, "GATEWAY_NOT_IN_DMZ");
        let is_another =
            after.archetype != before.archetype || after.is_gateway != before.is_gateway;
        let is_seen = is_live && !before.is_stopped;
        code(&mut codes, is_another && is_seen && !force, "FORCE_REQUIRED");
        let listed: Vec<Service> = match services {
            Some(services) => services.clone(),
            None => before.services.iter().copied().collect(),
        };
        if services.is_some() || after.archetype != before.archetype {
            check_services(after.archetype, &listed, &mut codes);
        }
        after.services = listed.into_iter().collect();
        check_interval(*rotate_every_seconds, &mut codes);
        if let Some(seconds) = rotate_every_seconds {
            after.rotate_every = Some(*seconds).filter(|seconds| *seconds > 0);
        }
        after.position = position.unwrap_or(before.position);
        fine(codes)?;
        self.deckies.insert(mark, after);
        Ok(())
    }

    fn switch(&mut self, name: &Name, is_stopped: bool) -> Result<(), Codes> {
        let mark = self.decky(name)?;
        let decky = self.deckies.get_mut(&mark).expect("it was just found");
        if decky.is_stopped == is_stopped {
            return Err(["STATE_UNCHANGED"].into());
        }
        decky.is_stopped = is_stopped;
        Ok(())
    }

    fn attach(
        &mut self,
        decky: &Name,
        lan: &Name,
        ip: Option<Ipv4Addr>,
        forwards: bool,
    ) -> Result<(), Codes> {
        let (decky, lan) = self.both(decky, lan)?;
        let mut codes = Codes::new();
        let is_there = self.deckies[&decky].edge_on(lan).is_some();
        code(&mut codes, is_there, "DECKY_ATTACHED");
        let edge = self.edge(lan, ip, &mut codes);
        fine(codes)?;
        let row = self.deckies.get_mut(&decky).expect("it was just found");
        row.edges.extend(edge.map(|edge| Edge { forwards, ..edge }));
        Ok(())
    }

    fn detach(&mut self, decky: &Name, lan: &Name) -> Result<(), Codes> {
        let (decky, lan) = self.both(decky, lan)?;
        let row = self.deckies.get_mut(&decky).expect("it was just found");
        match row.edges.iter().position(|edge| edge.lan == lan) {
            None => Err(["DECKY_NOT_ATTACHED"].into()),
            Some(0) => Err(["DECKY_HOME"].into()),
            Some(at) => {
                row.edges.remove(at);
                Ok(())
            }
        }
    }

    fn rotate(&mut self, name: &Name, services: Option<&[Service]>) -> Result<(), Codes> {
        let mark = self.decky(name)?;
        let row = self.deckies.get_mut(&mark).expect("it was just found");
        let Some(services) = services else { return Ok(()) };
        let mut codes = Codes::new();
        check_services(row.archetype, services, &mut codes);
        let services: BTreeSet<_> = services.iter().copied().collect();
        code(&mut codes, services == row.services, "SERVICES_UNCHANGED");
        fine(codes)?;
        row.services = services;
        Ok(())
    }

    /// Takes note of what a rotation has picked.
    pub(crate) fn settle_pick(&mut self, name: &Name, picked: BTreeSet<Service>) {
        let mark = self.decky_named(name.as_str()).expect("what rotated is there");
        let row = self.deckies.get_mut(&mark).expect("it was just found");
        let pool = row.archetype.pool();
        assert!(picked.iter().all(|service| pool.contains(service)), "{name}: {picked:?}");
        assert!((1..=3).contains(&picked.len()), "{name}: {picked:?}");
        assert_ne!(picked, row.services, "{name} was to rotate");
        row.services = picked;
    }

    fn lan(&self, name: &Name) -> Result<Mark, Codes> {
        self.lan_named(name.as_str()).ok_or_else(|| ["LAN_UNKNOWN"].into())
    }

    fn decky(&self, name: &Name) -> Result<Mark, Codes> {
        self.decky_named(name.as_str()).ok_or_else(|| ["DECKY_UNKNOWN"].into())
    }

    fn both(&self, decky: &Name, lan: &Name) -> Result<(Mark, Mark), Codes> {
        match (self.decky(decky), self.lan(lan)) {
            (Ok(decky), Ok(lan)) => Ok((decky, lan)),
            (decky, lan) => Err([decky.err(), lan.err()].into_iter().flatten().flatten().collect()),
        }
    }

    /// An interface on the LAN: where it is asked for, or at the lowest free address from the
    /// tenth on, then below.
    fn edge(&self, lan: Mark, ip: Option<Ipv4Addr>, codes: &mut Codes) -> Option<Edge> {
        let subnet = self.lans[&lan].subnet;
        let edges = || self.deckies.values().flat_map(|decky| &decky.edges);
        let is_taken = |a: &Ipv4Addr| edges().any(|edge| edge.lan == lan && edge.address == *a);
        let hosts: Vec<Ipv4Addr> = subnet.hosts().skip(1).collect();
        let (low, high) = hosts.split_at(hosts.len().min(8));
        let free = high.iter().chain(low).find(|address| !is_taken(address)).copied();
        let Some(address) = ip.or(free) else {
            codes.insert("ADDRESS_EXHAUSTED");
            return None;
        };
        check_address(address, subnet, codes);
        code(codes, is_taken(&address), "IP_COLLISION");
        Some(Edge { lan, address, forwards: false })
    }

    fn check_subnet(&self, subnet: Ipv4Net, own: Option<Mark>, codes: &mut Codes) {
        code(codes, subnet.addr() != subnet.network(), "SUBNET_MALFORMED");
        code(codes, !(16..=29).contains(&subnet.prefix_len()), "SUBNET_SIZE");
        let mut reserved = RESERVED.iter().map(|text| text.parse().expect("a subnet"));
        code(codes, reserved.any(|range| overlap(range, subnet)), "SUBNET_RESERVED");
        let mut others = self.lans.iter().filter(|(mark, _)| Some(**mark) != own);
        code(codes, others.any(|(_, lan)| overlap(lan.subnet, subnet)), "SUBNET_OVERLAP");
    }

    /// Which events a change from `self` to `after` has, besides the mutation's own: kind and name
    /// of the decky, sorted.
    pub(crate) fn told(&self, after: &Self, is_live: bool) -> Vec<(String, String)> {
        let mut told = Vec::new();
        for mark in self.deckies.keys().chain(after.deckies.keys()).collect::<BTreeSet<_>>() {
            let (old, new) = (self.deckies.get(mark), after.deckies.get(mark));
            let name = &old.or(new).expect("it is in one of them").name;
            let services = |row: Option<&Decky>| row.map(|row| row.services.clone());
            let is_stopped = |row: Option<&Decky>| row.map(|row| row.is_stopped);
            let is_served_otherwise = services(old) != services(new);
            if is_served_otherwise || (is_live && is_stopped(old) != is_stopped(new)) {
                told.push(("decky.state".to_owned(), name.clone()));
            }
            if is_served_otherwise {
                told.push(("decky.mutation".to_owned(), name.clone()));
            }
        }
        told.sort();
        told
    }
}

fn fine(codes: Codes) -> Result<(), Codes> {
    if codes.is_empty() { Ok(()) } else { Err(codes) }
}

fn check_interval(seconds: Option<u64>, codes: &mut Codes) {
    let is_out = |seconds: u64| seconds > 0 && !(30..=366 * 86_400).contains(&seconds);
    code(codes, seconds.is_some_and(is_out), "ROTATION_INTERVAL");
}

fn check_services(archetype: Archetype, services: &[Service], codes: &mut Codes) {
    let distinct: BTreeSet<_> = services.iter().collect();
    code(codes, services.is_empty(), "SERVICES_EMPTY");
    code(codes, distinct.len() < services.len(), "SERVICE_DUPLICATE");
    let is_strange = |service: &Service| !archetype.pool().contains(service);
    code(codes, services.iter().any(is_strange), "SERVICE_NOT_IN_POOL");
}

fn check_address(address: Ipv4Addr, subnet: Ipv4Net, codes: &mut Codes) {
    let gateway = Ipv4Addr::from(u32::from(subnet.network()) + 1);
    let is_inside = subnet.contains(&address);
    let is_reserved = [subnet.network(), gateway, subnet.broadcast()].contains(&address);
    code(codes, !is_inside, "IP_OUT_OF_SUBNET");
    code(codes, is_inside && is_reserved, "IP_RESERVED");
}
