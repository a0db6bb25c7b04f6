//! The process and the kernel: rights, namespaces, descriptors, the clock.

use fleet::host::{self, Capabilities, Capability};

use super::{Check, Driver};

/// The oldest kernel on which the `netns` driver is tried.
const OLDEST: (u32, u32) = (5, 10);

/// Everything about the machine that does not depend on where things are.
pub(super) fn checks(driver: Driver, needs: (u64, u64)) -> Vec<Check> {
    let mut checks = vec![rights(driver), descriptors(host::descriptor_limit(), needs)];
    if driver == Driver::Netns {
        checks.extend([kernel(), tun(), namespaces(), packet_sockets()]);
    }
    checks.push(clock(host::is_clock_synchronised()));
    checks
}

fn rights(driver: Driver) -> Check {
    const NAME: &str = "rights";
    let has = match Capabilities::own() {
        Ok(has) => has,
        Err(error) => return Check::warning(NAME, format!("unknown: {error}"), "mount /proc"),
    };
    match driver {
        Driver::Loopback if has.has(Capability::NetBindService) => {
            Check::ok(NAME, "ports below 1024 can be bound")
        }
        Driver::Loopback => Check::warning(
            NAME,
            "ports below 1024 cannot be bound",
            "decoys get port numbers with fleet.port_offset added; for the true ones run as root, \
             or with CAP_NET_BIND_SERVICE",
        ),
        Driver::Netns => missing(has),
    }
}

/// What the `netns` driver would lack.
fn missing(has: Capabilities) -> Check {
    let names = Capability::OF_NETNS.map(Capability::as_str);
    let lacking = Capability::OF_NETNS.into_iter().filter(|capability| !has.has(*capability));
    let lacking: Vec<&str> = lacking.map(Capability::as_str).collect();
    if lacking.is_empty() {
        return Check::ok("rights", format!("has {}", names.join(", ")));
    }
    Check::change(
        "rights",
        format!("lacks {}", lacking.join(", ")),
        "run as root, or by `morgana service install --driver netns`",
    )
}

fn descriptors((soft, hard): (u64, u64), (needed, services): (u64, u64)) -> Check {
    const NAME: &str = "descriptors";
    let found = format!(
        "{soft} now, {hard} at most; {needed} may be needed ({services} of them for services of deckies)"
    );
    let advice =
        "raise LimitNOFILE= of the service, or `ulimit -Hn`; or lower visitors.connections";
    if hard < needed { Check::change(NAME, found, advice) } else { Check::ok(NAME, found) }
}

fn kernel() -> Check {
    const NAME: &str = "kernel";
    match host::kernel() {
        (release, version) if version >= OLDEST => Check::ok(NAME, format!("Linux {release}")),
        (release, _) => Check::warning(
            NAME,
            format!("Linux {release}"),
            "the netns driver is tried on Linux 5.10 and later",
        ),
    }
}

fn tun() -> Check {
    const NAME: &str = "tun";
    match host::try_tun() {
        Ok(true) => Check::ok(NAME, "/dev/net/tun opens, with headers for offloads"),
        Ok(false) => Check::change(
            NAME,
            "/dev/net/tun knows no virtio headers",
            "use a kernel with IFF_VNET_HDR (any since 2.6.27 with CONFIG_TUN)",
        ),
        Err(error) => Check::change(
            NAME,
            format!("/dev/net/tun: {error}"),
            "load the module `tun`; in a container pass the device in (--device /dev/net/tun)",
        ),
    }
}

fn namespaces() -> Check {
    const NAME: &str = "namespaces";
    let users = match host::user_namespaces() {
        0 => "not by users without privilege",
        _ => "users without privilege may have their own",
    };
    match host::try_namespace() {
        Ok(()) => Check::ok(NAME, format!("network namespaces can be made; {users}")),
        Err(error) => Check::change(
            NAME,
            format!("no network namespace can be made: {error}; {users}"),
            "run with CAP_SYS_ADMIN, and see /proc/sys/user/max_net_namespaces",
        ),
    }
}

fn packet_sockets() -> Check {
    const NAME: &str = "packets";
    match host::try_packet_socket() {
        Ok(true) => Check::ok(NAME, "packet sockets can be opened, with headers for offloads"),
        Ok(false) => Check::change(
            NAME,
            "packet sockets know no virtio headers",
            "use a kernel with PACKET_VNET_HDR and CONFIG_PACKET",
        ),
        Err(error) => Check::change(
            NAME,
            format!("no packet socket can be opened: {error}"),
            "run with CAP_NET_RAW, on a kernel with CONFIG_PACKET",
        ),
    }
}

fn clock(is_synchronised: Option<bool>) -> Check {
    const NAME: &str = "clock";
    match is_synchronised {
        Some(true) => Check::ok(NAME, "is synchronised"),
        Some(false) => Check::warning(
            NAME,
            "is not synchronised",
            "run an NTP client: what visitors did is compared with other logs by its time",
        ),
        None => Check::warning(NAME, "the kernel does not say", "see that an NTP client runs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Verdict;

    #[test]
    fn descriptors_that_do_not_suffice_are_to_be_changed() {
        assert_eq!(descriptors((1024, 4096), (4352, 0)).verdict, Verdict::Change);
        let enough = descriptors((1024, 8192), (4352, 12));
        assert_eq!(enough.verdict, Verdict::Ok);
        assert!(enough.found.contains("1024 now, 8192 at most; 4352"), "{enough:?}");
    }

    #[test]
    fn a_clock_that_runs_free_is_a_warning() {
        let verdicts = [Some(true), Some(false), None].map(|clock| super::clock(clock).verdict);
        assert_eq!(verdicts, [Verdict::Ok, Verdict::Warning, Verdict::Warning]);
    }
}
