//! What is asked of a service, at random: mostly what fits the maze, partly what does not.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use model::{Archetype, DeckyPatch, LanPatch, Name, Op, Position, Service};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::rules::Maze;

const LANS: [&str; 6] = ["dmz", "office", "servers", "lab", "guests", "core"];
const DECKIES: [&str; 9] =
    ["web-01", "web-02", "files-01", "build-01", "db-01", "app-01", "new-01", "new-02", "new-03"];
/// Of networks that are as they should be none shares its last two octets with another: the
/// loopback driver has no more of an address.
const SUBNETS: [&str; 7] = [
    "10.66.1.0/24",
    "10.66.2.0/24",
    "10.66.5.0/24",
    "10.66.6.128/25",
    "10.66.7.16/29",
    "10.66.7.32/29",
    "10.66.32.0/20",
];
const BAD_SUBNETS: [&str; 6] = [
    "10.66.5.9/24",
    "10.66.40.0/30",
    "10.64.0.0/13",
    "127.3.0.0/24",
    "10.66.0.0/21",
    "224.66.1.0/24",
];
/// So long that none comes due while a test runs; and such as are refused.
const INTERVALS: [u64; 4] = [0, 86_400, 172_800, 366 * 86_400];
const BAD_INTERVALS: [u64; 3] = [1, 29, 366 * 86_400 + 1];

/// Draws by a seed.
pub(crate) struct Dice(StdRng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// Whether one of so many hundred times came up.
    pub(crate) fn percent(&mut self, of_hundred: u32) -> bool {
        self.0.random_range(0..100) < of_hundred
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }

    pub(crate) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        let at = self.below(of.len());
        of[at].clone()
    }

    fn maybe<T>(&mut self, of_hundred: u32, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.percent(of_hundred).then(|| draw(self))
    }

    /// A key that no other request has.
    pub(crate) fn key(&mut self) -> String {
        format!("{:032x}", self.0.random::<u128>())
    }

    /// An operation that is a single one or a batch.
    pub(crate) fn op(&mut self, maze: &Maze) -> Op {
        if !self.percent(8) {
            return self.single(maze);
        }
        let count = self.below(4) + usize::from(self.percent(90));
        let mut ops: Vec<Op> = (0..count).map(|_| self.named(maze)).collect();
        if self.percent(5) {
            ops.push(Op::Batch { ops: Vec::new() });
        }
        Op::Batch { ops }
    }

    /// A single operation whose outcome is known beforehand.
    pub(crate) fn named(&mut self, maze: &Maze) -> Op {
        match self.single(maze) {
            Op::RotateDecky { decky, services: None } => {
                Op::RotateDecky { decky, services: Some(self.services()) }
            }
            op => op,
        }
    }

    fn single(&mut self, maze: &Maze) -> Op {
        match self.below(100) {
            0..8 => Op::AddLan {
                name: self.free_lan(maze),
                subnet: self.maybe(60, Self::subnet),
                is_dmz: match maze.lans.values().any(|lan| lan.is_dmz) {
                    true => self.percent(3),
                    false => self.percent(90),
                },
                position: self.maybe(20, Self::position),
            },
            8..12 => Op::RemoveLan { name: self.lan(maze) },
            12..19 => Op::UpdateLan { name: self.lan(maze), patch: self.lan_patch(maze) },
            19..36 => self.add_decky(maze),
            36..42 => Op::RemoveDecky { decky: self.decky(maze) },
            42..54 => Op::AttachDecky {
                decky: self.decky(maze),
                lan: self.lan(maze),
                ip: self.maybe(40, |dice| dice.address(maze)),
                forwards_l3: self.percent(50),
            },
            54..62 => self.detach(maze),
            62..76 => self.update_decky(maze),
            76..86 => Op::RotateDecky {
                decky: self.decky(maze),
                services: self.maybe(60, Self::services),
            },
            86..92 => Op::StopDecky { decky: self.decky(maze) },
            92..97 => Op::StartDecky { decky: self.decky(maze) },
            _ => Op::UpdateTopology { rotate_every_seconds: self.maybe(90, Self::interval) },
        }
    }

    fn add_decky(&mut self, maze: &Maze) -> Op {
        let archetype = self.maybe(90, |dice| dice.pick(Archetype::ALL));
        let pool = archetype.unwrap_or(Archetype::LinuxServer).pool();
        let free: Vec<&str> =
            DECKIES.into_iter().filter(|name| maze.decky_named(name).is_none()).collect();
        let name = match free.is_empty() || self.percent(10) {
            true => self.pick(&DECKIES),
            false => self.pick(&free),
        };
        Op::AddDecky {
            name: word(name),
            lan: self.lan(maze),
            services: self.maybe(95, |dice| dice.some_of(pool)),
            archetype,
            forwards_l3: self.percent(15),
            ip: self.maybe(30, |dice| dice.address(maze)),
            rotate_every_seconds: self.maybe(10, Self::interval),
            position: self.maybe(20, Self::position),
        }
    }

    fn update_decky(&mut self, maze: &Maze) -> Op {
        let decky = self.decky(maze);
        let patch = self.maybe(30, |dice| DeckyPatch {
            archetype: dice.maybe(50, |dice| dice.pick(Archetype::ALL)),
            forwards_l3: dice.maybe(50, |dice| dice.percent(50)),
        });
        Op::UpdateDecky {
            decky,
            force: patch.is_some() && self.percent(70),
            patch,
            services: self.maybe(60, Self::services),
            rotate_every_seconds: self.maybe(10, Self::interval),
            position: self.maybe(30, |dice| dice.maybe(70, Self::position)),
        }
    }

    /// Mostly an interface that is there and no home.
    fn detach(&mut self, maze: &Maze) -> Op {
        let others = maze.deckies.values().flat_map(|decky| {
            let edges = decky.edges[1..].iter();
            edges.map(|edge| (decky.name.clone(), maze.lans[&edge.lan].name.clone()))
        });
        let others: Vec<_> = others.collect();
        if others.is_empty() || self.percent(15) {
            return Op::DetachDecky { decky: self.decky(maze), lan: self.lan(maze) };
        }
        let (decky, lan) = self.pick(&others);
        Op::DetachDecky { decky: word(&decky), lan: word(&lan) }
    }

    fn lan_patch(&mut self, maze: &Maze) -> LanPatch {
        LanPatch {
            name: self.maybe(40, |dice| dice.free_lan(maze)),
            subnet: self.maybe(30, Self::subnet),
            is_dmz: self.maybe(15, |dice| dice.percent(50)),
            position: self.maybe(40, |dice| dice.maybe(70, Self::position)),
        }
    }

    /// Mostly one that is there.
    fn lan(&mut self, maze: &Maze) -> Name {
        let there: Vec<&str> = maze.lans.values().map(|lan| lan.name.as_str()).collect();
        match there.is_empty() || self.percent(6) {
            true => word(self.pick(&LANS)),
            false => word(self.pick(&there)),
        }
    }

    /// Mostly one that is not there.
    fn free_lan(&mut self, maze: &Maze) -> Name {
        let free: Vec<&str> =
            LANS.into_iter().filter(|name| maze.lan_named(name).is_none()).collect();
        match free.is_empty() || self.percent(10) {
            true => word(self.pick(&LANS)),
            false => word(self.pick(&free)),
        }
    }

    /// Mostly one that is there.
    fn decky(&mut self, maze: &Maze) -> Name {
        let there: Vec<&str> = maze.deckies.values().map(|decky| decky.name.as_str()).collect();
        match there.is_empty() || self.percent(6) {
            true => word(self.pick(&DECKIES)),
            false => word(self.pick(&there)),
        }
    }

    /// Mostly such as fit some kind of machine; SSH seldom, whose keys cost time.
    fn services(&mut self) -> Vec<Service> {
        match self.below(20) {
            0 => Vec::new(),
            1 => vec![Service::Http, Service::Http],
            2 => Service::ALL.to_vec(),
            _ => {
                let pool = self.pick(Archetype::ALL).pool();
                self.some_of(pool)
            }
        }
    }

    fn some_of(&mut self, pool: &[Service]) -> Vec<Service> {
        let mut chosen: Vec<Service> = Vec::new();
        for service in pool {
            let chance = if *service == Service::Ssh { 12 } else { 60 };
            chosen.extend(self.maybe(chance, |_| *service));
        }
        if chosen.is_empty() && self.percent(90) {
            chosen.extend(pool.iter().find(|service| **service != Service::Ssh));
        }
        chosen
    }

    fn subnet(&mut self) -> Ipv4Net {
        let text = if self.percent(15) { self.pick(&BAD_SUBNETS) } else { self.pick(&SUBNETS) };
        text.parse().expect("a subnet")
    }

    /// Mostly on a LAN of the maze.
    fn address(&mut self, maze: &Maze) -> Ipv4Addr {
        let subnets: Vec<Ipv4Net> = maze.lans.values().map(|lan| lan.subnet).collect();
        let last = self.below(24) as u32;
        if subnets.is_empty() || self.percent(10) {
            return Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 66, 3, 0)) + last);
        }
        Ipv4Addr::from(u32::from(self.pick(&subnets).network()) + last)
    }

    fn interval(&mut self) -> u64 {
        if self.percent(15) { self.pick(&BAD_INTERVALS) } else { self.pick(&INTERVALS) }
    }

    fn position(&mut self) -> Position {
        Position { x: self.0.random_range(-9..9), y: self.0.random_range(-9..9) }
    }
}

/// The batch with which a maze begins.
pub(crate) fn ground() -> Op {
    let lan = |name, is_dmz| Op::AddLan { name: word(name), subnet: None, is_dmz, position: None };
    let decky = |name, lan, archetype, services: &[Service]| Op::AddDecky {
        name: word(name),
        lan: word(lan),
        services: Some(services.to_vec()),
        archetype: Some(archetype),
        forwards_l3: false,
        ip: None,
        rotate_every_seconds: None,
        position: None,
    };
    let ops = vec![
        lan("dmz", true),
        lan("office", false),
        decky("web-01", "dmz", Archetype::WebServer, &[Service::Http]),
        decky("files-01", "dmz", Archetype::FileServer, &[Service::Ftp]),
        decky("db-01", "office", Archetype::DatabaseServer, &[Service::Redis]),
    ];
    Op::Batch { ops }
}

fn word(text: &str) -> Name {
    text.parse().expect("a name")
}
