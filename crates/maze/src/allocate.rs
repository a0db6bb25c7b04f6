//! What is allocated when an op leaves it open: subnets and addresses, always the lowest free,
//! so that the same ops give the same maze.

use std::{collections::BTreeSet, net::Ipv4Addr};

use ipnet::Ipv4Net;
use model::{Lan, Topology};

use crate::rules;

/// Where a LAN's addresses for deckies begin; those below come last.
pub(crate) const FIRST_HOST: u32 = 10;

/// The lowest free of 10.66.1.0/24 to 10.66.255.0/24, then 10.66.0.0/24.
pub(crate) fn subnet(topology: &Topology) -> Option<Ipv4Net> {
    let candidates = (1..=255).chain([0]);
    let mut nets =
        candidates.filter_map(|third: u8| Ipv4Net::new(Ipv4Addr::new(10, 66, third, 0), 24).ok());
    nets.find(|net| !topology.lans.values().any(|lan| rules::overlap(lan.subnet, *net)))
}

/// The lowest free address of the LAN from its tenth on; then the lowest free below that.
pub(crate) fn address(topology: &Topology, lan: &Lan) -> Option<Ipv4Addr> {
    let edges = topology.deckies.values().flat_map(|decky| &decky.edges);
    let taken: BTreeSet<u32> =
        edges.filter(|edge| edge.lan == lan.id).map(|edge| edge.address.into()).collect();
    let network = u32::from(lan.subnet.network());
    let broadcast = u32::from(lan.subnet.broadcast());
    let after_gateway = u32::from(rules::gateway(lan.subnet)).saturating_add(1);
    let first = network.saturating_add(FIRST_HOST).min(broadcast);
    (first..broadcast)
        .chain(after_gateway..first)
        .find(|address| !taken.contains(address))
        .map(Ipv4Addr::from)
}
