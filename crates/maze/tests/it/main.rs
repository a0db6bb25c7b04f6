//! The rules of topologies: what ops do, what they refuse, what plans come to.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::needless_pass_by_value, reason = "expectations are written in place")]

extern crate morgana_maze as maze;

mod apply;
mod documents;
mod generate;
mod live;
mod plan;
mod properties;
mod rotate;
mod validate;

use model::{Ambient, Timestamp, Topology};

/// The demo, always the same.
fn demo() -> (Topology, Ambient) {
    let ambient = Ambient::seeded(7, Timestamp::from_micros(1_700_000_000_000_000));
    (maze::demo("demo".parse().unwrap(), &ambient), ambient)
}

/// One line per LAN and decky, by name, without what is random.
fn describe(topology: &Topology) -> Vec<String> {
    let mut lines: Vec<String> = topology
        .lans
        .values()
        .map(|lan| {
            let side = if lan.is_dmz { " dmz" } else { "" };
            format!("lan {} {}{side}{}", lan.name, lan.subnet, at(lan.position))
        })
        .collect();
    lines.extend(topology.deckies.values().map(|decky| {
        let edges = decky.edges.iter().map(|edge| {
            let lan = topology.lans.get(&edge.lan).map_or("?", |lan| lan.name.as_str());
            let forwards = if edge.forwards_l3 { "*" } else { "" };
            format!("{lan}={}{forwards}", edge.address)
        });
        let gateway = if decky.forwards_l3 { " gateway" } else { "" };
        let stopped = if decky.is_stopped { " stopped" } else { "" };
        let services = decky.services.iter().map(|s| format!("{}:{}", s.service, s.port));
        format!(
            "decky {} {} {} [{}]{}{}{gateway}{stopped}",
            decky.name,
            decky.archetype,
            edges.collect::<Vec<_>>().join(" "),
            services.collect::<Vec<_>>().join(" "),
            decky.rotate_every.map_or(String::new(), |every| format!(" every {every:?}")),
            at(decky.position),
        )
    }));
    lines.sort();
    lines
}

fn at(position: Option<model::Position>) -> String {
    position.map_or(String::new(), |p| format!(" at {},{}", p.x, p.y))
}
