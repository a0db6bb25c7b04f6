//! What the machine allows: read, or tried in a way that leaves nothing behind.

use std::{fs, io, path::Path};

use rustix::process::{Resource, getrlimit};

use super::sys;
use crate::raw;

/// A right of a process, by its number in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Ports below 1024.
    NetBindService = 10,
    /// Interfaces, routes, packet filters.
    NetAdmin = 12,
    /// Packet sockets.
    NetRaw = 13,
    /// Namespaces.
    SysAdmin = 21,
}

impl Capability {
    /// Those that the `netns` driver works with.
    pub const OF_NETNS: [Self; 4] =
        [Self::NetAdmin, Self::NetRaw, Self::SysAdmin, Self::NetBindService];

    /// As systemd and the manual pages call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NetBindService => "CAP_NET_BIND_SERVICE",
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::NetRaw => "CAP_NET_RAW",
            Self::SysAdmin => "CAP_SYS_ADMIN",
        }
    }
}

/// What a process may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    /// Those of this process.
    ///
    /// # Errors
    /// Where there is no `/proc`.
    pub fn own() -> io::Result<Self> {
        let text = fs::read_to_string("/proc/self/status")?;
        Self::read(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// The effective ones in the text of `/proc/<pid>/status`.
    fn read(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        u64::from_str_radix(line.trim(), 16).ok().map(Self)
    }

    /// Whether this is among them.
    pub fn has(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u32) != 0
    }
}

/// How many descriptors this process may hold: now, and at most.
pub fn descriptor_limit() -> (u64, u64) {
    let limit = getrlimit(Resource::Nofile);
    (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX))
}

/// The kernel's release, and its first two numbers.
pub fn kernel() -> (String, (u32, u32)) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let numbers = version(&release).unwrap_or_default();
    (release, numbers)
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Whether TAPs can be opened, and with the headers that carry offloads. Makes none.
///
/// # Errors
/// Where `/dev/net/tun` is missing or may not be opened.
pub fn try_tun() -> io::Result<bool> {
    sys::tun_has_headers()
}

/// Makes a network namespace and forgets it.
///
/// # Errors
/// What the kernel says.
pub fn try_namespace() -> io::Result<()> {
    std::thread::scope(|scope| {
        let made = std::thread::Builder::new()
            .name("netns".into())
            .spawn_scoped(scope, raw::enter_new_namespace)?;
        made.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Whether users without privilege can make namespaces of their own: the most that there may be.
pub fn user_namespaces() -> u64 {
    let read = |path: &str| fs::read_to_string(path).ok()?.trim().parse().ok();
    let most: Option<u64> = read("/proc/sys/user/max_user_namespaces");
    match read("/proc/sys/kernel/unprivileged_userns_clone") {
        Some(0) => 0,
        _ => most.unwrap_or(0),
    }
}

/// Opens a packet socket, and says whether it takes virtio headers.
///
/// # Errors
/// What the kernel says.
pub fn try_packet_socket() -> io::Result<bool> {
    sys::packet_has_headers()
}

/// Whether something keeps the machine's clock right; `None` where the kernel does not say.
pub fn is_clock_synchronised() -> Option<bool> {
    sys::is_clock_synchronised()
}

/// Bytes that are free for this process where `path` is, or its nearest directory that exists.
///
/// # Errors
/// What the kernel says.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let there = path.ancestors().find(|place| place.exists()).unwrap_or(Path::new("/"));
    let stats = rustix::fs::statvfs(there)?;
    Ok(stats.f_bavail.saturating_mul(stats.f_frsize))
}

/// The names of a cloud or a hypervisor that the firmware gives, in one line.
pub fn firmware() -> String {
    let read = |name| fs::read_to_string(format!("/sys/class/dmi/id/{name}")).unwrap_or_default();
    let names = ["sys_vendor", "product_name", "bios_vendor", "chassis_asset_tag"].map(read);
    let words: Vec<&str> = names.iter().map(|name| name.trim()).filter(|n| !n.is_empty()).collect();
    words.join(", ")
}

/// Clouds whose networks deliver frames to the addresses only that they gave out themselves.
const CLOUDS: &[(&str, &str)] = &[
    ("Amazon EC2", "amazon ec2"),
    ("Google Compute Engine", "google"),
    ("Microsoft Azure or Hyper-V", "microsoft corporation, virtual machine"),
    ("DigitalOcean", "digitalocean"),
    ("Hetzner", "hetzner"),
    ("OpenStack", "openstack"),
    ("Alibaba Cloud", "alibaba"),
    ("Oracle Cloud", "oraclecloud"),
    ("Scaleway", "scaleway"),
    ("VMware", "vmware"),
];

/// The cloud or hypervisor behind these names, where it drops foreign hardware addresses.
pub fn cloud_of(firmware: &str) -> Option<&'static str> {
    let names = firmware.to_lowercase();
    CLOUDS.iter().find(|(_, hint)| names.contains(hint)).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_by_their_bits() {
        let some = Capabilities::read("Name:\tx\nCapEff:\t0000000000003400\n").unwrap();
        let has = Capability::OF_NETNS.map(|capability| some.has(capability));
        assert_eq!(has, [true, true, false, true]);
        assert_eq!(Capabilities::read("Name:\tx\n"), None);
        Capabilities::own().unwrap();
    }

    #[test]
    fn releases_and_clouds_are_recognised() {
        assert_eq!(version("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(version("5.10"), Some((5, 10)));
        assert_eq!(version("unknown"), None);
        assert_eq!(cloud_of("Amazon EC2, t3.micro"), Some("Amazon EC2"));
        assert_eq!(cloud_of("Dell Inc., PowerEdge R740"), None);
        assert!(free_bytes(Path::new("/nowhere/at/all")).unwrap() > 0);
        assert!(descriptor_limit().0 <= descriptor_limit().1);
    }
}
