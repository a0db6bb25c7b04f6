//! One op, applied to a topology: the topology afterwards and the ops that undo it, or all that
//! is wrong with it.
//!
//! Nothing is changed in place, so an op that turns out wrong has no effect. What an undo cannot
//! bring back: ids and the time of the last rotation (a decky that comes back is a new machine),
//! a port other than the service's own, interfaces besides the home one (imports have those; no
//! op makes them), and the absence of a position.

use std::{collections::BTreeSet, net::Ipv4Addr, sync::Arc, time::Duration};

use ipnet::Ipv4Net;
use model::{
    Ambient, Archetype, Decky, Edge, Lan, Name, Op, Position, Service, ServiceConfig, Topology,
};

use crate::{
    Violation, ViolationCode, allocate, pick_services, rules,
    violation::{Findings, listed},
};

/// An op that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The topology afterwards, its version one higher.
    pub topology: Topology,
    /// The ops that undo it, in order.
    pub inverse: Vec<Op>,
}

/// What came of one op: the ops that undo it.
type Undo = Result<Vec<Op>, Vec<Violation>>;

/// Applies `op` to `topology`, or says everything that is wrong with it. Ids, the time of a
/// rotation and random picks come from `ambient`.
///
/// ```
/// # use morgana_maze as maze;
/// use model::{Ambient, Op, Timestamp};
/// let ambient = Ambient::seeded(1, Timestamp::from_micros(0));
/// let topology = maze::demo("demo".parse()?, &ambient);
/// let op = Op::RemoveLan { name: "office".parse()? };
/// let violations = maze::apply(&topology, &op, &ambient).expect_err("deckies live there");
/// assert_eq!(violations[0].code.as_str(), "LAN_IN_USE");
/// assert_eq!(violations[0].field, "payload.name");
/// # Ok::<(), model::NameError>(())
/// ```
pub fn apply(topology: &Topology, op: &Op, ambient: &Ambient) -> Result<Applied, Vec<Violation>> {
    let mut next = topology.clone();
    let inverse = match op {
        Op::AddLan { name, subnet, is_dmz, position } => {
            let lan = NewLan { name, subnet: *subnet, is_dmz: *is_dmz, position: *position };
            add_lan(&mut next, &lan, ambient)
        }
        Op::RemoveLan { name } => remove_lan(&mut next, name),
        Op::AddDecky { name, lan, services, archetype, ip, rotate_every_seconds, position } => {
            let decky = NewDecky {
                name,
                lan,
                services: services.as_deref(),
                archetype: archetype.unwrap_or(Archetype::LinuxServer),
                ip: *ip,
                rotate_every: rotate_every_seconds.and_then(interval),
                position: *position,
            };
            add_decky(&mut next, &decky, ambient)
        }
        Op::RemoveDecky { decky } => remove_decky(&mut next, decky),
        Op::UpdateDecky { decky, services, rotate_every_seconds, position } => {
            let patch = Patch {
                services: services.as_deref(),
                rotate_every: rotate_every_seconds.map(interval),
                position: *position,
            };
            update_decky(&mut next, decky, &patch, ambient)
        }
        Op::RotateDecky { decky, services } => {
            rotate_decky(&mut next, decky, services.as_deref(), ambient)
        }
    }?;
    next.version = next.version.saturating_add(1);
    Ok(Applied { topology: next, inverse })
}

struct NewLan<'a> {
    name: &'a Name,
    subnet: Option<Ipv4Net>,
    is_dmz: bool,
    position: Option<Position>,
}

fn add_lan(topology: &mut Topology, new: &NewLan<'_>, ambient: &Ambient) -> Undo {
    let mut findings = Findings::default();
    if topology.lans.len() >= rules::MAX_LANS {
        let message = format!("a topology has at most {} LANs", rules::MAX_LANS);
        findings.add(ViolationCode::LansTooMany, "payload", message);
    }
    if topology.lan_named(new.name).is_some() {
        let message = format!("there is a LAN {} already", new.name);
        findings.add(ViolationCode::LanNameDup, "payload.name", message);
    }
    if let Some(dmz) = topology.lans.values().find(|lan| lan.is_dmz && new.is_dmz) {
        let message = format!("LAN {} faces the outside already; only one does", dmz.name);
        findings.add(ViolationCode::DmzMultiple, "payload.is_dmz", message);
    }
    if let Some(subnet) = new.subnet {
        let others = topology.lans.values().map(|lan| &**lan);
        rules::check_subnet(subnet, others, "payload.subnet", &mut findings);
    }
    let subnet = new.subnet.or_else(|| allocate::subnet(topology));
    if subnet.is_none() {
        let message = "10.66.0.0/16 has no free /24 left; name a subnet";
        findings.add(ViolationCode::SubnetExhausted, "payload.subnet", message);
    }
    let Some(subnet) = subnet else { return Err(findings.into_vec()) };
    findings.or_ok()?;
    let lan = Lan {
        id: ambient.id(),
        name: new.name.clone(),
        subnet,
        is_dmz: new.is_dmz,
        position: new.position,
    };
    topology.lans.insert(lan.id, Arc::new(lan));
    Ok(vec![Op::RemoveLan { name: new.name.clone() }])
}

fn remove_lan(topology: &mut Topology, name: &Name) -> Undo {
    let lan = known_lan(topology, name, "payload.name").map_err(|violation| vec![violation])?;
    let mut findings = Findings::default();
    let is_on_it = |decky: &&Arc<Decky>| decky.edges.iter().any(|edge| edge.lan == lan.id);
    let on_it: Vec<&Name> = topology.deckies.values().filter(is_on_it).map(|d| &d.name).collect();
    if !on_it.is_empty() {
        let message = format!("remove its deckies first: {}", some_of(&on_it));
        findings.add(ViolationCode::LanInUse, "payload.name", message);
    }
    findings.or_ok()?;
    topology.lans.remove(&lan.id);
    Ok(vec![Op::AddLan {
        name: lan.name.clone(),
        subnet: Some(lan.subnet),
        is_dmz: lan.is_dmz,
        position: lan.position,
    }])
}

struct NewDecky<'a> {
    name: &'a Name,
    lan: &'a Name,
    services: Option<&'a [Service]>,
    archetype: Archetype,
    ip: Option<Ipv4Addr>,
    rotate_every: Option<Duration>,
    position: Option<Position>,
}

fn add_decky(topology: &mut Topology, new: &NewDecky<'_>, ambient: &Ambient) -> Undo {
    let mut findings = Findings::default();
    if topology.deckies.len() >= rules::MAX_DECKIES {
        let message = format!("a topology has at most {} deckies", rules::MAX_DECKIES);
        findings.add(ViolationCode::DeckiesTooMany, "payload", message);
    }
    if topology.decky_named(new.name).is_some() {
        let message = format!("there is a decky {} already", new.name);
        findings.add(ViolationCode::DeckyNameDup, "payload.name", message);
    }
    let first_of_pool = &new.archetype.pool()[..1];
    let services = configured(new.services.unwrap_or(first_of_pool), &[]);
    rules::check_services(new.archetype, &services, "payload.services", &mut findings);
    if let Some(every) = new.rotate_every {
        rules::check_rotation(every, "payload.rotate_every_seconds", &mut findings);
    }
    let edge = home_edge(topology, new, &mut findings);
    let Some(edge) = edge else { return Err(findings.into_vec()) };
    findings.or_ok()?;
    let decky = Decky {
        id: ambient.id(),
        name: new.name.clone(),
        archetype: new.archetype,
        edges: vec![edge],
        services: sorted(services),
        rotate_every: new.rotate_every,
        rotated_at: ambient.now(),
        position: new.position,
    };
    topology.deckies.insert(decky.id, Arc::new(decky));
    Ok(vec![Op::RemoveDecky { decky: new.name.clone() }])
}

/// The first interface of a new decky; where there is none, `findings` says why.
fn home_edge(topology: &Topology, new: &NewDecky<'_>, findings: &mut Findings) -> Option<Edge> {
    let lan = match known_lan(topology, new.lan, "payload.lan") {
        Ok(lan) => lan,
        Err(violation) => {
            findings.push(violation);
            return None;
        }
    };
    let Some(address) = new.ip.or_else(|| allocate::address(topology, &lan)) else {
        let message = format!("LAN {} ({}) has no free address left", lan.name, lan.subnet);
        findings.add(ViolationCode::AddressExhausted, "payload.lan", message);
        return None;
    };
    let edge = Edge { lan: lan.id, address };
    rules::check_address(address, &lan, "payload.ip", findings);
    if let Some(owner) = topology.deckies.values().find(|decky| decky.edges.contains(&edge)) {
        let message = format!("{address} belongs to decky {}", owner.name);
        findings.add(ViolationCode::IpCollision, "payload.ip", message);
    }
    Some(edge)
}

fn remove_decky(topology: &mut Topology, name: &Name) -> Undo {
    let decky = known_decky(topology, name)?;
    topology.deckies.remove(&decky.id);
    let home = decky.edges.first();
    let readd =
        home.and_then(|edge| Some((edge, topology.lans.get(&edge.lan)?))).map(|(edge, lan)| {
            Op::AddDecky {
                name: decky.name.clone(),
                lan: lan.name.clone(),
                services: Some(decky.service_set()),
                archetype: Some(decky.archetype),
                ip: Some(edge.address),
                rotate_every_seconds: decky.rotate_every.map(|every| every.as_secs()),
                position: decky.position,
            }
        });
    Ok(readd.into_iter().collect())
}

struct Patch<'a> {
    services: Option<&'a [Service]>,
    rotate_every: Option<Option<Duration>>,
    position: Option<Position>,
}

fn update_decky(
    topology: &mut Topology,
    name: &Name,
    patch: &Patch<'_>,
    ambient: &Ambient,
) -> Undo {
    let before = known_decky(topology, name)?;
    let mut findings = Findings::default();
    let mut decky = Decky::clone(&before);
    if patch.services.is_none() && patch.rotate_every.is_none() && patch.position.is_none() {
        let message = "name what to change: services, rotate_every_seconds or position";
        findings.add(ViolationCode::UpdateEmpty, "payload", message);
    }
    if let Some(services) = patch.services {
        let services = configured(services, &before.services);
        rules::check_services(decky.archetype, &services, "payload.services", &mut findings);
        decky.services = sorted(services);
    }
    if let Some(every) = patch.rotate_every {
        if let Some(every) = every {
            rules::check_rotation(every, "payload.rotate_every_seconds", &mut findings);
        }
        decky.rotate_every = every;
    }
    decky.position = patch.position.or(decky.position);
    findings.or_ok()?;
    if decky.services != before.services {
        decky.rotated_at = ambient.now();
    }
    topology.deckies.insert(decky.id, Arc::new(decky));
    Ok(undo_update(&before, patch))
}

/// The update that gives back what `patch` changed; none where that is only a first position.
fn undo_update(before: &Decky, patch: &Patch<'_>) -> Vec<Op> {
    let services = patch.services.map(|_| before.service_set());
    let rotate_every_seconds =
        patch.rotate_every.map(|_| before.rotate_every.map_or(0, |every| every.as_secs()));
    let position = patch.position.and(before.position);
    if services.is_none() && rotate_every_seconds.is_none() && position.is_none() {
        return Vec::new();
    }
    vec![Op::UpdateDecky { decky: before.name.clone(), services, rotate_every_seconds, position }]
}

fn rotate_decky(
    topology: &mut Topology,
    name: &Name,
    services: Option<&[Service]>,
    ambient: &Ambient,
) -> Undo {
    let before = known_decky(topology, name)?;
    let mut findings = Findings::default();
    let picked = match services {
        Some(services) => Some(services.to_vec()),
        None => pick_services(&before, ambient),
    };
    let Some(picked) = picked else {
        let message = format!("a {} has no other services to rotate to", before.archetype);
        findings.add(ViolationCode::ServicesNoChoice, "payload.decky", message);
        return Err(findings.into_vec());
    };
    let services = configured(&picked, &before.services);
    rules::check_services(before.archetype, &services, "payload.services", &mut findings);
    let services = sorted(services);
    if services == sorted(before.services.clone()) {
        let message = format!("decky {name} has exactly these services already");
        findings.add(ViolationCode::ServicesUnchanged, "payload.services", message);
    }
    findings.or_ok()?;
    let decky = Decky { services, rotated_at: ambient.now(), ..Decky::clone(&before) };
    topology.deckies.insert(decky.id, Arc::new(decky));
    let services = Some(before.service_set());
    Ok(vec![Op::RotateDecky { decky: name.clone(), services }])
}

fn known_lan(topology: &Topology, name: &Name, field: &str) -> Result<Arc<Lan>, Violation> {
    topology.lan_named(name).cloned().ok_or_else(|| {
        let names: Vec<&Name> = topology.lans.values().map(|lan| &lan.name).collect();
        Violation {
            code: ViolationCode::LanUnknown,
            field: field.into(),
            message: format!("there is no LAN {name}; there is {}", some_of(&names)),
        }
    })
}

fn known_decky(topology: &Topology, name: &Name) -> Result<Arc<Decky>, Vec<Violation>> {
    topology.decky_named(name).cloned().ok_or_else(|| {
        vec![Violation {
            code: ViolationCode::DeckyUnknown,
            field: "payload.decky".into(),
            message: format!("topology {} has no decky {name}", topology.name),
        }]
    })
}

/// The services with their ports: those of `current` keep theirs.
fn configured(services: &[Service], current: &[ServiceConfig]) -> Vec<ServiceConfig> {
    let kept = |service: Service| current.iter().find(|config| config.service == service).copied();
    services.iter().map(|service| kept(*service).unwrap_or((*service).into())).collect()
}

fn sorted(services: Vec<ServiceConfig>) -> Vec<ServiceConfig> {
    services.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}

/// Zero means never.
fn interval(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// The most names that one message lists.
const NAMES_LISTED: usize = 8;

fn some_of(names: &[&Name]) -> String {
    match names.len().checked_sub(NAMES_LISTED) {
        None | Some(0) => listed(names, "and"),
        Some(more) => {
            let mut shown: Vec<String> =
                names[..NAMES_LISTED].iter().map(ToString::to_string).collect();
            shown.push(format!("{more} more"));
            listed(&shown, "and")
        }
    }
}
