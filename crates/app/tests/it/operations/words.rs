//! A maze in words, a line for everything that it has: of the model and of what the API shows, to
//! compare them.

use serde_json::Value;

use super::rules::{Edge, Mark, Maze};

impl Maze {
    /// The maze in words: a line for everything that it has.
    pub(crate) fn lines(&self) -> Vec<String> {
        let lan_name = |mark: Mark| self.lans[&mark].name.clone();
        let deckies = self.deckies.values().map(|decky| {
            let edge = |edge: &Edge| (lan_name(edge.lan), edge.address.to_string(), edge.forwards);
            decky_line(Shown {
                name: &decky.name,
                archetype: decky.archetype.as_str(),
                edges: decky.edges.iter().map(edge).collect(),
                is_gateway: decky.is_gateway,
                is_stopped: decky.is_stopped,
                services: decky.services.iter().map(|service| service.to_string()).collect(),
                rotate_every: decky.rotate_every,
                position: decky.position.map(|p| (p.x.into(), p.y.into())),
            })
        });
        let lans = self.lans.values().map(|lan| {
            let position = lan.position.map(|p| (i64::from(p.x), i64::from(p.y)));
            lan_line(&lan.name, &lan.subnet.to_string(), lan.is_dmz, position)
        });
        let mut lines: Vec<String> = lans.chain(deckies).collect();
        lines.push(format!("rotates every {:?}", self.rotate_every));
        lines.sort();
        lines
    }
}

/// As [`Maze::lines`], of what the API shows.
pub(crate) fn lines_of(shown: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let all = |value: &Value| value.as_array().expect("a list").clone();
    let position =
        |row: &Value| Some((row["position"]["x"].as_i64()?, row["position"]["y"].as_i64()?));
    let lans = all(&shown["lans"]).into_iter().map(|lan| {
        let (name, subnet) = (text(&lan["name"]), text(&lan["subnet"]));
        lan_line(&name, &subnet, lan["is_dmz"] == true, position(&lan))
    });
    let deckies = all(&shown["deckies"]).into_iter().map(|decky| {
        let edge = |edge: &Value| {
            (text(&edge["lan"]), text(&edge["address"]), edge["forwards_l3"] == true)
        };
        decky_line(Shown {
            name: decky["name"].as_str().expect("a name"),
            archetype: decky["archetype"].as_str().expect("an archetype"),
            edges: all(&decky["interfaces"]).iter().map(edge).collect(),
            is_gateway: decky["forwards_l3"] == true,
            is_stopped: decky["is_stopped"] == true,
            services: all(&decky["services"]).iter().map(|s| text(&s["service"])).collect(),
            rotate_every: decky["rotate_every_seconds"].as_u64(),
            position: position(&decky),
        })
    });
    let mut lines: Vec<String> = lans.chain(deckies).collect();
    lines.push(format!("rotates every {:?}", shown["rotate_every_seconds"].as_u64()));
    lines.sort();
    lines
}

struct Shown<'a> {
    name: &'a str,
    archetype: &'a str,
    /// LAN, address and whether it forwards; the first is its home.
    edges: Vec<(String, String, bool)>,
    is_gateway: bool,
    is_stopped: bool,
    services: Vec<String>,
    rotate_every: Option<u64>,
    position: Option<(i64, i64)>,
}

fn decky_line(mut decky: Shown<'_>) -> String {
    decky.edges[1..].sort();
    decky.services.sort();
    let Shown { name, archetype, edges, is_gateway, is_stopped, services, rotate_every, position } =
        decky;
    format!(
        "decky {name}: {archetype} on {edges:?}, gateway {is_gateway}, stopped {is_stopped}, \
         {services:?}, every {rotate_every:?}, at {position:?}"
    )
}

fn lan_line(name: &str, subnet: &str, is_dmz: bool, position: Option<(i64, i64)>) -> String {
    format!("lan {name}: {subnet}, dmz {is_dmz}, at {position:?}")
}
