//! Mazes from a seed: the same on any machine.
//!
//! The numbers come from a generator of our own (SplitMix64), not from a library that may change
//! its stream. Ids and times come from outside, as everywhere: names, subnets, addresses,
//! services and edges are what the seed decides.

use ipnet::Ipv4Net;
use model::{Ambient, Archetype, Decky, Edge, Lan, LanId, Name, Service, Topology};
use serde::{Deserialize, Serialize};

use crate::{
    MAX_DECKIES, MAX_EDGES, MAX_LANS, Violation, ViolationCode, allocate, apply::in_order,
    violation::Findings,
};

/// What a generated maze looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Blueprint {
    /// Decides everything that the rest leaves open.
    pub seed: u64,
    /// Levels of LANs, the DMZ included: 1 to 16.
    pub depth: u32,
    /// LANs behind each LAN: 1 to 8.
    pub branching: u32,
    /// Fewest deckies of a LAN: 0 to 32. There is always one.
    pub deckies_min: u32,
    /// Most deckies of a LAN: 1 to 32.
    pub deckies_max: u32,
    /// How often the decky between a LAN and the one before it routes, in percent.
    pub bridge_forward_percent: u32,
    /// How often a LAN has a second way, to a LAN that is not beside it, in percent.
    pub cross_edge_percent: u32,
}

impl Default for Blueprint {
    fn default() -> Self {
        Self {
            seed: 0,
            depth: 3,
            branching: 2,
            deckies_min: 2,
            deckies_max: 6,
            bridge_forward_percent: 50,
            cross_edge_percent: 10,
        }
    }
}

impl Blueprint {
    /// How many LANs it has; `None` where that is beyond counting.
    fn lans(&self) -> Option<usize> {
        let levels = (0..self.depth).map(|level| (self.branching as usize).checked_pow(level));
        levels.sum::<Option<usize>>()
    }

    fn check(&self) -> Result<(), Vec<Violation>> {
        let mut findings = Findings::default();
        let mut within = |field: &str, value: u32, least: u32, most: u32| {
            if !(least..=most).contains(&value) {
                let message = format!("{field} is from {least} to {most}, not {value}");
                findings.add(ViolationCode::GeneratorRange, field, message);
            }
        };
        within("depth", self.depth, 1, 16);
        within("branching", self.branching, 1, 8);
        within("deckies_min", self.deckies_min, 0, 32);
        within("deckies_max", self.deckies_max, 1, 32);
        within("bridge_forward_percent", self.bridge_forward_percent, 0, 100);
        within("cross_edge_percent", self.cross_edge_percent, 0, 100);
        if self.deckies_min > self.deckies_max {
            let message = format!(
                "deckies_min is {}, more than deckies_max, {}",
                self.deckies_min, self.deckies_max
            );
            findings.add(ViolationCode::GeneratorRange, "deckies_min", message);
        }
        let lans = self.lans().unwrap_or(usize::MAX);
        if lans > MAX_LANS {
            let message = format!(
                "depth {} with branching {} is more than {MAX_LANS} LANs",
                self.depth, self.branching
            );
            findings.add(ViolationCode::LansTooMany, "depth", message);
        } else if lans * self.deckies_max as usize > MAX_DECKIES {
            let message = format!("that may be more than {MAX_DECKIES} deckies");
            findings.add(ViolationCode::DeckiesTooMany, "deckies_max", message);
        }
        findings.or_ok()
    }
}

/// A maze after this blueprint: breadth first from a DMZ, one /24 each; in each inner LAN one
/// decky has an interface on the LAN before it. Its version is 1.
///
/// # Errors
/// Where the blueprint is out of range: all that is wrong with it.
pub fn generate(
    name: Name,
    blueprint: &Blueprint,
    ambient: &Ambient,
) -> Result<Topology, Vec<Violation>> {
    blueprint.check()?;
    let mut builder = Builder {
        blueprint,
        dice: Dice(blueprint.seed),
        topology: Topology::new(ambient.id(), name),
        order: Vec::new(),
        parents: Vec::new(),
        names: Default::default(),
        ambient,
    };
    builder.build();
    Ok(builder.topology)
}

struct Builder<'a> {
    blueprint: &'a Blueprint,
    dice: Dice,
    topology: Topology,
    /// The LANs in the order of their making, each with its deckies.
    order: Vec<(LanId, Vec<Decky>)>,
    /// The place in `order` of the LAN before each.
    parents: Vec<Option<usize>>,
    names: std::collections::BTreeMap<&'static str, u32>,
    ambient: &'a Ambient,
}

impl Builder<'_> {
    fn build(&mut self) {
        self.add_lan(None);
        let mut level = vec![0];
        for _ in 1..self.blueprint.depth {
            let mut next = Vec::new();
            for parent in level {
                for _ in 0..self.blueprint.branching {
                    next.push(self.add_lan(Some(parent)));
                }
            }
            level = next;
        }
        for lan in 0..self.order.len() {
            self.bridge(lan);
        }
        for lan in 1..self.order.len() {
            self.cross(lan);
        }
        for (_, deckies) in std::mem::take(&mut self.order) {
            for mut decky in deckies {
                in_order(&mut decky.edges);
                self.topology.deckies.insert(decky.id, decky.into());
            }
        }
    }

    /// A LAN with its deckies; answers its place.
    fn add_lan(&mut self, parent: Option<usize>) -> usize {
        let place = self.order.len();
        let subnet = allocate::subnet(&self.topology);
        let subnet = subnet.expect("there are as many /24 as a topology may have LANs");
        let name = match parent {
            None => "dmz".parse().expect("a word is a name"),
            Some(_) => {
                let theme = THEMES[self.dice.below(THEMES.len())];
                self.numbered(theme)
            }
        };
        let is_dmz = parent.is_none();
        let lan = Lan { id: self.ambient.id(), name, subnet, is_dmz, position: None };
        let id = lan.id;
        self.topology.lans.insert(id, lan.into());
        let (least, most) = (self.blueprint.deckies_min.max(1), self.blueprint.deckies_max);
        let count = least + self.dice.below((most - least + 1) as usize) as u32;
        let deckies = (0..count).map(|host| self.decky(id, subnet, host)).collect();
        self.order.push((id, deckies));
        self.parents.push(parent);
        place
    }

    fn decky(&mut self, lan: LanId, subnet: Ipv4Net, host: u32) -> Decky {
        let archetype = Archetype::ALL[self.dice.below(Archetype::ALL.len())];
        let mut services: Vec<Service> = archetype.pool().to_vec();
        let wanted = 1 + self.dice.below(services.len().min(3));
        while services.len() > wanted {
            services.remove(self.dice.below(services.len()));
        }
        services.sort_unstable();
        Decky {
            id: self.ambient.id(),
            name: self.numbered(stem(archetype)),
            archetype,
            edges: vec![self.edge(lan, subnet, host)],
            forwards_l3: false,
            is_stopped: false,
            services: services.into_iter().map(Into::into).collect(),
            rotate_every: None,
            rotated_at: self.ambient.now(),
            position: None,
        }
    }

    /// Deckies that live there have the addresses from the tenth on, in the order of their
    /// making; visitors come behind them.
    fn edge(&self, lan: LanId, subnet: Ipv4Net, host: u32) -> Edge {
        let address = u32::from(subnet.network()) + allocate::FIRST_HOST + host;
        Edge { lan, address: address.into(), forwards_l3: false }
    }

    /// Gives one decky of an inner LAN an interface on the LAN before it.
    fn bridge(&mut self, lan: usize) {
        let Some(parent) = self.parents[lan] else { return };
        let decky = self.dice.below(self.order[lan].1.len());
        let forwards_l3 = self.dice.hits(self.blueprint.bridge_forward_percent);
        self.attach((lan, decky), parent, forwards_l3);
    }

    /// Now and then gives a decky an interface on a LAN that is neither its own, nor before or
    /// behind it.
    fn cross(&mut self, lan: usize) {
        if !self.dice.hits(self.blueprint.cross_edge_percent) {
            return;
        }
        let is_beside =
            |other: usize| self.parents[other] == Some(lan) || self.parents[lan] == Some(other);
        let far: Vec<usize> =
            (0..self.order.len()).filter(|other| *other != lan && !is_beside(*other)).collect();
        if far.is_empty() {
            return;
        }
        let other = far[self.dice.below(far.len())];
        let decky = self.dice.below(self.order[lan].1.len());
        let forwards_l3 = self.dice.hits(self.blueprint.bridge_forward_percent);
        self.attach((lan, decky), other, forwards_l3);
    }

    /// One more interface for a decky; none where it has as many as it may have.
    fn attach(&mut self, (lan, decky): (usize, usize), other: usize, forwards_l3: bool) {
        let on = self.order[other].0;
        let residents = self.order[other].1.len();
        let everybody = self.order.iter().flat_map(|(_, deckies)| deckies);
        let visitors = everybody.filter(|decky| decky.edges[1..].iter().any(|e| e.lan == on));
        let host = (residents + visitors.count()) as u32;
        let subnet = self.topology.lans[&on].subnet;
        if allocate::FIRST_HOST + host >= 255 {
            return;
        }
        let edge = Edge { forwards_l3, ..self.edge(on, subnet, host) };
        let decky = &mut self.order[lan].1[decky];
        if decky.edges.len() < MAX_EDGES && decky.edge_on(on).is_none() {
            decky.edges.push(edge);
        }
    }

    /// `web-01`, `web-02`, ….
    fn numbered(&mut self, stem: &'static str) -> Name {
        let number = self.names.entry(stem).or_default();
        *number += 1;
        format!("{stem}-{number:02}").parse().expect("a word and a number are a name")
    }
}

/// What inner LANs are called.
const THEMES: [&str; 16] = [
    "office", "servers", "finance", "lab", "build", "storage", "sales", "support", "plant",
    "voice", "guests", "backup", "design", "legal", "staging", "database",
];

/// What deckies of an archetype are called.
const fn stem(archetype: Archetype) -> &'static str {
    match archetype {
        Archetype::LinuxServer => "app",
        Archetype::WebServer => "web",
        Archetype::DatabaseServer => "db",
        Archetype::FileServer => "files",
        Archetype::DevopsHost => "ops",
        Archetype::Printer => "printer",
        Archetype::MonitoringNode => "monitor",
    }
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `count`, which is not 0; by multiplication, whose bias is below 2^-32 here.
    fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.next()) * count as u128) >> 64) as usize
    }

    fn hits(&mut self, percent: u32) -> bool {
        self.below(100) < percent as usize
    }
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn the_dice_are_those_of_the_paper() {
        let mut dice = Dice(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| dice.next()).collect();
        assert_eq!(
            first,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }
}
