//! The interface on the real segment, and which hardware addresses its network delivers to.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::Context;
use fleet::{
    MacChoice,
    host::{self, Interface, Reach},
};

use super::Check;

/// Time for an answer from each hardware address.
const PATIENCE: Duration = Duration::from_millis(1500);
/// What Ethernet has.
const USUAL_MTU: u32 = 1500;

/// Whether the interface is there and ready, and what its network may think of strangers.
pub(super) fn checks(name: &str, mac: MacChoice) -> Vec<Check> {
    let interface = match Interface::named(name) {
        Ok(Some(interface)) => interface,
        Ok(None) => {
            let advice = "see `ip link` for the names; set fleet.uplink";
            return vec![Check::change("uplink", format!("there is no `{name}`"), advice)];
        }
        Err(error) => {
            let advice = "the kernel does not list its interfaces";
            return vec![Check::change("uplink", format!("`{name}`: {error}"), advice)];
        }
    };
    let mut checks = vec![state(&interface), address(&interface), mtu(&interface)];
    match mac {
        MacChoice::Own => checks.push(strangers(&interface, &host::firmware())),
        MacChoice::Host => checks.extend([shared(&interface), forwarding(interface.forwards())]),
    }
    checks
}

/// Whether deckies can share its hardware address.
fn shared(interface: &Interface) -> Check {
    const NAME: &str = "uplink mac";
    match interface.mac {
        [0, 0, 0, 0, 0, 0] => Check::change(
            NAME,
            format!("`{}` has no hardware address to share", interface.name),
            "name an Ethernet interface, or set fleet.uplink_mac = \"own\"",
        ),
        _ => Check::ok(NAME, "deckies share that of this machine (fleet.uplink_mac = \"host\")"),
    }
}

/// With a shared hardware address this machine gets what is for deckies, too.
fn forwarding(is_on: Option<bool>) -> Check {
    const NAME: &str = "uplink forwards";
    match is_on {
        Some(false) => Check::ok(NAME, "this machine does not forward: deckies alone answer"),
        Some(true) => Check::change(
            NAME,
            "this machine forwards packets: it would pass on what is for deckies, and tell their \
             visitors of better ways",
            "sysctl -w net.ipv4.ip_forward=0; where it has to forward, put deckies on another \
             machine, or set fleet.uplink_mac = \"own\"",
        ),
        None => Check::warning(NAME, "unknown", "see `sysctl net.ipv4.ip_forward`"),
    }
}

fn state(interface: &Interface) -> Check {
    const NAME: &str = "uplink";
    let name = &interface.name;
    match (interface.is_up, interface.has_carrier) {
        (true, true) => Check::ok(NAME, format!("`{name}` is up")),
        (true, false) => {
            Check::change(NAME, format!("`{name}` has no carrier"), "plug the cable in")
        }
        (false, _) => {
            Check::change(NAME, format!("`{name}` is down"), format!("ip link set {name} up"))
        }
    }
}

fn address(interface: &Interface) -> Check {
    const NAME: &str = "uplink addr";
    match interface.addresses.first() {
        None => Check::ok(NAME, "it has no IPv4 address: nothing of this machine answers there"),
        Some(address) => Check::warning(
            NAME,
            format!("this machine has {address} there"),
            "it stands beside the deckies, which never take it: let nothing but them listen there; \
             management belongs on another interface",
        ),
    }
}

fn mtu(interface: &Interface) -> Check {
    const NAME: &str = "uplink mtu";
    match interface.mtu() {
        Some(mtu @ ..=USUAL_MTU) => Check::ok(NAME, mtu.to_string()),
        Some(mtu) => Check::warning(
            NAME,
            mtu.to_string(),
            format!("deckies offer segments for {USUAL_MTU}, as most machines do"),
        ),
        None => Check::warning(NAME, "unknown", "see `ip link`"),
    }
}

/// What is known to drop frames of hardware addresses that it did not give out.
fn strangers(interface: &Interface, firmware: &str) -> Check {
    const NAME: &str = "uplink mac";
    let advice = "try it with --mac-probe; where it is so, set fleet.uplink_mac = \"host\"";
    if interface.is_wireless() {
        return Check::warning(
            NAME,
            "it is wireless: access points drop foreign addresses",
            advice,
        );
    }
    match host::cloud_of(firmware) {
        Some(cloud) => Check::warning(
            NAME,
            format!("{cloud} delivers to addresses only that it gave out"),
            advice,
        ),
        None => Check::ok(NAME, "nothing is known to drop foreign addresses; --mac-probe tries it"),
    }
}

/// Tries it.
pub(super) async fn probe(uplink: Option<&str>, target: Option<Ipv4Addr>) -> anyhow::Result<Check> {
    let name = uplink.context("name the interface with --uplink")?;
    let interface = Interface::named(name)?.with_context(|| format!("there is no `{name}`"))?;
    let target = target.or_else(|| interface.gateway());
    let target = target.with_context(|| {
        format!("`{name}` has no default route: name a host of its segment with --probe-address")
    })?;
    let made_up = rand::random::<[u8; 6]>();
    let probing =
        tokio::task::spawn_blocking(move || host::mac_probe(&interface, target, made_up, PATIENCE));
    Ok(told(probing.await?.context("cannot send from a packet socket (CAP_NET_RAW)")?, target))
}

fn told(reach: Reach, target: Ipv4Addr) -> Check {
    const NAME: &str = "mac probe";
    match reach {
        Reach::Own => Check::ok(
            NAME,
            format!(
                "{target} answers a made-up address: fleet.uplink_mac = \"own\" (`up --mac own`)"
            ),
        ),
        Reach::Host => Check::warning(
            NAME,
            format!(
                "{target} answers this machine's address only: set fleet.uplink_mac = \"host\" \
                 (`up --mac host`)"
            ),
            "for deckies with addresses of their own allow foreign addresses: promiscuous mode and forged transmits of the \
             virtual switch, or no port security",
        ),
        Reach::Nobody => Check::change(
            NAME,
            format!("{target} answers nobody"),
            "ask for a host that is surely there with --probe-address",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Verdict;

    fn interface() -> Interface {
        Interface {
            name: "nosuch0".into(),
            index: 7,
            mac: [2; 6],
            is_up: true,
            has_carrier: true,
            addresses: vec![Ipv4Addr::new(192, 0, 2, 7)],
        }
    }

    #[test]
    fn the_probe_says_which_mode_works() {
        let at = Ipv4Addr::new(192, 0, 2, 1);
        assert!(told(Reach::Own, at).found.contains("fleet.uplink_mac = \"own\""));
        assert!(told(Reach::Host, at).found.contains("fleet.uplink_mac = \"host\""));
        assert_eq!(told(Reach::Nobody, at).verdict, Verdict::Change);
    }

    #[test]
    fn an_uplink_is_judged_by_its_state_and_its_network() {
        let up = interface();
        assert_eq!(state(&up).verdict, Verdict::Ok);
        assert_eq!(state(&Interface { is_up: false, ..up.clone() }).verdict, Verdict::Change);
        assert_eq!(state(&Interface { has_carrier: false, ..up.clone() }).verdict, Verdict::Change);
        assert_eq!(address(&up).verdict, Verdict::Warning);
        assert_eq!(address(&Interface { addresses: vec![], ..up.clone() }).verdict, Verdict::Ok);
        assert_eq!(strangers(&up, "Dell Inc.").verdict, Verdict::Ok);
        let cloud = strangers(&up, "Amazon EC2, m5.large");
        assert!(cloud.verdict == Verdict::Warning && cloud.advice.contains("\"host\""));
        assert_eq!(checks("nosuch0", MacChoice::Own)[0].verdict, Verdict::Change);
    }

    #[test]
    fn a_shared_address_needs_a_machine_that_does_not_forward() {
        let up = interface();
        assert_eq!(shared(&up).verdict, Verdict::Ok);
        assert_eq!(shared(&Interface { mac: [0; 6], ..up }).verdict, Verdict::Change);
        let verdicts = [Some(false), Some(true), None].map(|is_on| forwarding(is_on).verdict);
        assert_eq!(verdicts, [Verdict::Ok, Verdict::Change, Verdict::Warning]);
    }
}
