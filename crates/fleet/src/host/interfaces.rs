//! Network interfaces, and who listens on which port.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::sys;

/// An interface of the calling thread's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// Its hardware address; zeroes where it has none.
    pub mac: [u8; 6],
    /// Whether it is switched on.
    pub is_up: bool,
    /// Whether something is at the other end of the wire.
    pub has_carrier: bool,
    /// Its IPv4 addresses.
    pub addresses: Vec<Ipv4Addr>,
}

impl Interface {
    /// The interface of this name.
    ///
    /// # Errors
    /// Where the kernel does not say.
    pub fn named(name: &str) -> io::Result<Option<Self>> {
        Ok(sys::interfaces()?.into_iter().find(|interface| interface.name == name))
    }

    /// Whether it is a radio: access points drop frames of hardware addresses that did not log in.
    pub fn is_wireless(&self) -> bool {
        let place = format!("/sys/class/net/{}", self.name);
        ["wireless", "phy80211"]
            .iter()
            .any(|name| fs::exists(format!("{place}/{name}")).unwrap_or(false))
    }

    /// Largest packet, where the system says.
    pub fn mtu(&self) -> Option<u32> {
        fs::read_to_string(format!("/sys/class/net/{}/mtu", self.name)).ok()?.trim().parse().ok()
    }

    /// Whether packets that come in on it and are for others are passed on, where the system says.
    pub fn forwards(&self) -> Option<bool> {
        let setting = format!("/proc/sys/net/ipv4/conf/{}/forwarding", self.name);
        Some(fs::read_to_string(setting).ok()?.trim() != "0")
    }

    /// The router behind it, where it has the default route.
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        gateway_of(&fs::read_to_string("/proc/thread-self/net/route").ok()?, &self.name)
    }
}

/// The gateway of the default route in the text of `/proc/net/route`.
fn gateway_of(table: &str, name: &str) -> Option<Ipv4Addr> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (via, to, gateway) = (fields.first()?, fields.get(1)?, fields.get(2)?);
        let number = u32::from_str_radix(gateway, 16).ok().filter(|number| *number != 0)?;
        (*via == name && *to == "00000000").then(|| Ipv4Addr::from(number.to_ne_bytes()))
    })
}

/// A TCP port that a program of this machine listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub at: SocketAddr,
    inode: u64,
}

impl Listener {
    /// Whether it takes what is meant for this address.
    pub fn covers(&self, ip: IpAddr, port: u16) -> bool {
        self.at.port() == port && (self.at.ip() == ip || self.at.ip().is_unspecified())
    }

    /// The program behind it, as `name (pid)`, where this process may see that.
    pub fn program(&self) -> Option<String> {
        let wanted = format!("socket:[{}]", self.inode);
        fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
            let pid: u32 = process.file_name().to_str()?.parse().ok()?;
            let mut open = fs::read_dir(process.path().join("fd")).ok()?.flatten();
            open.find(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == &*wanted))?;
            let name = fs::read_to_string(process.path().join("comm")).ok()?;
            Some(format!("{} ({pid})", name.trim()))
        })
    }
}

/// All TCP listeners of the machine.
pub fn listeners() -> Vec<Listener> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let tables = [read("/proc/net/tcp"), read("/proc/net/tcp6")];
    tables.iter().flat_map(|table| table.lines().filter_map(listener)).collect()
}

fn listener(line: &str) -> Option<Listener> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if fields.get(3) != Some(&"0A") {
        return None;
    }
    let (ip, port) = fields.get(1)?.split_once(':')?;
    let words: Option<Vec<u32>> = (0..ip.len() / 8)
        .map(|word| u32::from_str_radix(ip.get(word * 8..word * 8 + 8)?, 16).ok())
        .collect();
    let bytes: Vec<u8> = words?.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let ip = match <[u8; 4]>::try_from(&*bytes) {
        Ok(bytes) => IpAddr::from(bytes),
        Err(_) => Ipv6Addr::from(<[u8; 16]>::try_from(&*bytes).ok()?).to_canonical(),
    };
    let at = SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?);
    Some(Listener { at, inode: fields.get(9)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_gateway_is_that_of_the_default_route() {
        let line = |name: &str, to: &str, gateway: [u8; 4]| {
            format!("{name}\t{to}\t{:08X}\t0003\t0\t0\t0\n", u32::from_ne_bytes(gateway))
        };
        let table = "Iface\tDestination\tGateway\n".to_owned()
            + &line("eth0", "0000000A", [0; 4])
            + &line("eth0", "00000000", [10, 0, 0, 1])
            + &line("eth1", "00000000", [10, 1, 0, 1]);
        assert_eq!(gateway_of(&table, "eth1"), Some(Ipv4Addr::new(10, 1, 0, 1)));
        assert_eq!(gateway_of(&table, "eth0"), Some(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(gateway_of(&table, "eth2"), None);
        assert_eq!(gateway_of("garbage", "eth0"), None);
    }

    #[test]
    fn who_listens_is_found_with_its_program() {
        let own = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = own.local_addr().unwrap();
        let found = listeners().into_iter().find(|listener| listener.at == at).unwrap();
        assert!(found.covers(at.ip(), at.port()) && !found.covers(at.ip(), 1));
        let pid = std::process::id().to_string();
        assert!(found.program().unwrap().contains(&pid));
        assert!(listener("  0: garbage").is_none());
    }

    #[test]
    fn the_loopback_interface_is_there() {
        let lo = Interface::named("lo").unwrap().unwrap();
        assert!(lo.is_up && lo.index > 0 && !lo.is_wireless() && lo.forwards().is_some());
        assert!(lo.addresses.contains(&Ipv4Addr::LOCALHOST));
        assert_eq!(Interface::named("nosuch0").unwrap(), None);
    }
}
