//! Rules that [`crate::apply()`] and [`crate::validate()`] share, one function each.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use ipnet::Ipv4Net;
use model::{Archetype, Lan, Service, ServiceConfig};

use crate::{
    ViolationCode,
    violation::{Findings, listed},
};

/// The most LANs that a topology has.
pub const MAX_LANS: usize = 256;
/// The most deckies that a topology has.
pub const MAX_DECKIES: usize = 16_384;
/// The longest prefix of a subnet: 8 addresses, 5 of them for deckies.
pub const PREFIX_LONGEST: u8 = 29;
/// The shortest prefix of a subnet: 65,536 addresses.
pub const PREFIX_SHORTEST: u8 = 16;
/// The shortest time between two scheduled rotations of a decky.
pub const MIN_ROTATION: Duration = Duration::from_secs(30);
/// The longest time between two scheduled rotations of a decky.
pub const MAX_ROTATION: Duration = Duration::from_secs(366 * 24 * 3600);

/// Ranges that mean something else than machines on a segment (RFC 6890).
const RESERVED: [(Ipv4Net, &str); 5] = [
    (Ipv4Net::new_assert(Ipv4Addr::new(0, 0, 0, 0), 8), "unspecified"),
    (Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8), "loopback"),
    (Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16), "link-local"),
    (Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4), "multicast"),
    (Ipv4Net::new_assert(Ipv4Addr::new(240, 0, 0, 0), 4), "reserved"),
];

/// Whether two subnets share an address.
pub(crate) fn overlap(a: Ipv4Net, b: Ipv4Net) -> bool {
    let (a, b) = (a.trunc(), b.trunc());
    a.contains(&b) || b.contains(&a)
}

/// The address that a LAN keeps for its gateway.
pub(crate) fn gateway(subnet: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(subnet.network()).saturating_add(1))
}

/// A subnet by itself, and against the other LANs.
pub(crate) fn check_subnet<'a>(
    subnet: Ipv4Net,
    others: impl Iterator<Item = &'a Lan>,
    field: &str,
    findings: &mut Findings,
) {
    let network = subnet.trunc();
    if subnet != network {
        let message = format!("{subnet} has host bits set; the network is {network}");
        findings.add(ViolationCode::SubnetMalformed, field, message);
    }
    let prefix = subnet.prefix_len();
    if !(PREFIX_SHORTEST..=PREFIX_LONGEST).contains(&prefix) {
        let message = format!(
            "{subnet} has a prefix of {prefix}; it has to be from {PREFIX_SHORTEST} to \
             {PREFIX_LONGEST}"
        );
        findings.add(ViolationCode::SubnetSize, field, message);
    }
    for (range, meaning) in RESERVED.iter().filter(|(range, _)| overlap(*range, network)) {
        let message = format!(
            "{subnet} shares addresses with the {meaning} range {range}; take a private one, such as \
             10.66.1.0/24"
        );
        findings.add(ViolationCode::SubnetReserved, field, message);
    }
    for lan in others.filter(|lan| overlap(lan.subnet, network)) {
        let message = format!("{subnet} overlaps {} of LAN {}", lan.subnet, lan.name);
        findings.add(ViolationCode::SubnetOverlap, field, message);
    }
}

/// An address against the LAN that it is on.
pub(crate) fn check_address(address: Ipv4Addr, lan: &Lan, field: &str, findings: &mut Findings) {
    let (name, subnet) = (&lan.name, lan.subnet);
    if !subnet.contains(&address) {
        let message = format!("{address} is outside {subnet}, the subnet of LAN {name}");
        findings.add(ViolationCode::IpOutOfSubnet, field, message);
        return;
    }
    let reserved = [
        (subnet.network(), "network"),
        (gateway(subnet), "gateway"),
        (subnet.broadcast(), "broadcast"),
    ];
    if let Some((_, role)) = reserved.iter().find(|(taken, _)| *taken == address) {
        let message = format!("{address} is the {role} address of LAN {name} ({subnet})");
        findings.add(ViolationCode::IpReserved, field, message);
    }
}

/// Services by themselves and against the archetype.
pub(crate) fn check_services(
    archetype: Archetype,
    services: &[ServiceConfig],
    field: &str,
    findings: &mut Findings,
) {
    let pool = archetype.pool();
    if services.is_empty() {
        let message = format!("a decky has at least one service; a {archetype} runs {}", any(pool));
        findings.add(ViolationCode::ServicesEmpty, field, message);
    }
    let mut by_service: BTreeMap<Service, usize> = BTreeMap::new();
    let mut by_port: BTreeMap<u16, Service> = BTreeMap::new();
    for (index, ServiceConfig { service, port }) in services.iter().copied().enumerate() {
        let field = format!("{field}[{index}]");
        if !pool.contains(&service) {
            let message = format!("a {archetype} runs {}, not {service}", any(pool));
            findings.add(ViolationCode::ServiceNotInPool, &field, message);
        }
        if port == 0 {
            let message = format!("{service} needs a port from 1 to 65535");
            findings.add(ViolationCode::PortInvalid, &field, message);
        }
        if by_service.insert(service, index).is_some() {
            let message = format!("{service} is named twice");
            findings.add(ViolationCode::ServiceDuplicate, &field, message);
        } else if let Some(other) = by_port.insert(port, service) {
            let message = format!("{service} and {other} share port {port}");
            findings.add(ViolationCode::PortCollision, &field, message);
        }
    }
}

/// The time between two scheduled rotations.
pub(crate) fn check_rotation(every: Duration, field: &str, findings: &mut Findings) {
    if !(MIN_ROTATION..=MAX_ROTATION).contains(&every) {
        let message = format!(
            "rotating every {} s is out of range; it has to be from {} s to {} s, or 0 for never",
            every.as_secs(),
            MIN_ROTATION.as_secs(),
            MAX_ROTATION.as_secs()
        );
        findings.add(ViolationCode::RotationInterval, field, message);
    }
}

fn any(pool: &[Service]) -> String {
    listed(pool, "or")
}
