//! A class: one namespace in which the kernel answers for every decky of one behaviour.
//!
//! It has one link, a TAP that the switch holds; every address of the inside is its own; what it sends
//! goes to one gateway that never has to be found. It goes with its descriptors: nothing of it
//! outlives the process.

use std::{
    collections::BTreeSet,
    io,
    net::Ipv4Addr,
    os::fd::{AsFd, OwnedFd},
};

use model::Transport;
use rustix::net::{
    AddressFamily, SocketAddrV4, SocketFlags, SocketType, bind, listen, socket_with, sockopt,
};

use super::{
    link::Links,
    sys::{self, Instruction},
};
use crate::{
    raw,
    switch::{CLASS_MAC, GATEWAY_MAC, Kernel},
};

const OWN: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 2);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
const INSIDE: Ipv4Addr = Ipv4Addr::new(240, 0, 0, 0);
const INSIDE_BITS: u8 = 4;
const TAP: &str = "tap0";
/// The kernel's usual 1,000 overflow under load, and each loss costs a visitor a second.
const QUEUE: u32 = 10_000;
/// Connections that wait to be accepted, per listener.
const BACKLOG: i32 = 4096;

/// Most different ports at which datagrams are taken, over a namespace's life. Each makes its
/// filter longer, and the kernel has room for 20 KiB of it (`net.core.optmem_max`), the one before
/// included.
const MAX_DATAGRAM_PORTS: usize = 256;
/// Bytes of datagrams that wait, per port: many deckies share it.
const DATAGRAM_BUFFER: i32 = 4 << 20;

/// A namespace with its link.
#[derive(Debug)]
pub(super) struct Class {
    namespace: OwnedFd,
    /// To change what may come out of it.
    tap: OwnedFd,
    /// Where datagrams were ever taken.
    datagram_ports: BTreeSet<u16>,
}

/// What keeps a namespace from sending anything but answers, apart from the switch: a classic
/// packet filter on its only link. IPv4 from the inside, whole; TCP, but no SYN without ACK; UDP,
/// but only from ports at which deckies are asked.
fn answers_only(datagram_ports: &BTreeSet<u16>) -> Vec<Instruction> {
    const LOAD_WORD: u16 = 0x20;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_INDEXED_HALF: u16 = 0x48;
    const LOAD_INDEXED_BYTE: u16 = 0x50;
    const HEADER_LENGTH: u16 = 0xb1;
    const AND: u16 = 0x54;
    const IF_EQUAL: u16 = 0x15;
    const IF_ANY: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const REFUSE: Instruction = (RETURN, 0, 0, 0);
    const TAKE: Instruction = (RETURN, 0, 0, u32::MAX);
    let mut program = vec![
        (LOAD_HALF, 0, 0, 12),
        (IF_EQUAL, 0, 11, 0x0800),
        (LOAD_WORD, 0, 0, 26),
        (AND, 0, 0, 0xf000_0000),
        (IF_EQUAL, 0, 8, 0xf000_0000),
        (LOAD_HALF, 0, 0, 20),
        (IF_ANY, 6, 0, 0x3fff),
        (LOAD_BYTE, 0, 0, 23),
        (IF_EQUAL, 0, 6, 6),
        (HEADER_LENGTH, 0, 0, 14),
        (LOAD_INDEXED_BYTE, 0, 0, 14 + 13),
        (AND, 0, 0, 0x12),
        (IF_EQUAL, 0, 1, 0x02),
        REFUSE,
        TAKE,
        // Not TCP.
        (IF_EQUAL, 1, 0, 17),
        REFUSE,
        (HEADER_LENGTH, 0, 0, 14),
        (LOAD_INDEXED_HALF, 0, 0, 14),
    ];
    program.extend(datagram_ports.iter().flat_map(|p| [(IF_EQUAL, 0, 1, u32::from(*p)), TAKE]));
    program.push(REFUSE);
    program
}

impl Class {
    /// Makes one; the descriptor of its TAP comes with it. `mtu` is that of the way out: what is
    /// larger would be lost there, and nobody would tell the kernel.
    pub(super) fn new(kernel: Kernel, offloads: bool, mtu: u32) -> io::Result<(Self, OwnedFd)> {
        sys::apart(move || {
            let namespace = sys::enter_new_namespace()?;
            let tap = sys::open_tap(TAP, offloads)?;
            let datagram_ports = BTreeSet::new();
            sys::filter_tap(tap.as_fd(), &answers_only(&datagram_ports))?;
            settle(kernel)?;
            let links = Links::open()?;
            links.up(links.index("lo")?)?;
            let index = links.index(TAP)?;
            links.up_with(index, CLASS_MAC, QUEUE, mtu)?;
            links.add_address(index, OWN, 32)?;
            links.add_neighbour(index, GATEWAY, GATEWAY_MAC)?;
            links.add_default_route(index, GATEWAY)?;
            links.add_local_range(links.index("lo")?, INSIDE, INSIDE_BITS)?;
            let ours = tap.try_clone()?;
            Ok((Self { namespace, tap: ours, datagram_ports }, tap))
        })
    }

    /// A socket for this port of every decky in the class.
    pub(super) fn open(&mut self, transport: Transport, port: u16) -> io::Result<OwnedFd> {
        match transport {
            Transport::Tcp => self.listen(port),
            Transport::Udp => self.listen_datagrams(port),
        }
    }

    fn listen(&self, port: u16) -> io::Result<OwnedFd> {
        sys::within(self.namespace.as_fd(), || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
            sockopt::set_socket_reuseaddr(&socket, true)?;
            bind(&socket, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))?;
            listen(&socket, BACKLOG)?;
            Ok(socket)
        })
    }

    /// What is sent from the port may come out of the namespace from then on.
    fn listen_datagrams(&mut self, port: u16) -> io::Result<OwnedFd> {
        let mut ports = self.datagram_ports.clone();
        ports.insert(port);
        if ports.len() > MAX_DATAGRAM_PORTS {
            return Err(io::Error::other("too many different UDP ports of one kind of decky"));
        }
        let socket = sys::within(self.namespace.as_fd(), || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
            raw::set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &DATAGRAM_BUFFER)?;
            bind(&socket, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))?;
            Ok(socket)
        })?;
        sys::filter_tap(self.tap.as_fd(), &answers_only(&ports))?;
        self.datagram_ports = ports;
        Ok(socket)
    }

    /// The namespace itself, to look into.
    pub(super) fn namespace(&self) -> io::Result<OwnedFd> {
        self.namespace.try_clone()
    }
}

/// Sets what the calling thread's namespace is told. IPv6 first: a link that comes up with it
/// speaks at once.
fn settle(kernel: Kernel) -> io::Result<()> {
    let memory = format!("4096 131072 {}", kernel.tcp_rmem_max);
    let settings: &[(&str, &dyn std::fmt::Display)] = &[
        ("ipv6/conf/all/disable_ipv6", &1),
        ("ipv6/conf/default/disable_ipv6", &1),
        ("ipv4/conf/all/rp_filter", &0),
        ("ipv4/conf/default/rp_filter", &0),
        ("ipv4/conf/tap0/rp_filter", &0),
        ("ipv4/conf/all/accept_redirects", &0),
        ("ipv4/ip_forward", &0),
        ("ipv4/icmp_ratelimit", &0),
        ("ipv4/tcp_max_syn_backlog", &65_536),
        ("ipv4/tcp_timestamps", &kernel.tcp_timestamps),
        ("ipv4/tcp_sack", &kernel.tcp_sack),
        ("ipv4/tcp_window_scaling", &kernel.tcp_window_scaling),
        ("ipv4/tcp_ecn", &kernel.tcp_ecn),
        ("ipv4/tcp_rmem", &memory),
    ];
    for (name, value) in settings {
        let written = std::fs::write(format!("/proc/sys/net/{name}"), value.to_string());
        match written {
            // A kernel without IPv6 needs no telling.
            Err(error) if error.kind() == io::ErrorKind::NotFound && name.starts_with("ipv6") => {}
            Err(error) => return Err(io::Error::new(error.kind(), format!("{name}: {error}"))),
            Ok(()) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privilege;

    #[test]
    fn datagrams_are_taken_at_so_many_ports_and_no_more() {
        if !privilege::is_root() || !std::path::Path::new("/dev/net/tun").exists() {
            eprintln!("skipped: namespaces need root and /dev/net/tun");
            return;
        }
        let kernel = Kernel {
            tcp_timestamps: 1,
            tcp_rmem_max: 1 << 20,
            tcp_sack: 1,
            tcp_window_scaling: 1,
            tcp_ecn: 2,
        };
        let (mut class, _tap) = Class::new(kernel, true, 1500).unwrap();
        let most = MAX_DATAGRAM_PORTS as u16;
        for port in 1..=most {
            class.open(Transport::Udp, port).unwrap_or_else(|error| panic!("{port}: {error}"));
        }
        class.open(Transport::Udp, most).expect("a port may come back");
        let refused = class.open(Transport::Udp, most + 1).unwrap_err().to_string();
        assert_eq!(refused, "too many different UDP ports of one kind of decky");
        class.open(Transport::Tcp, most + 1).expect("listeners are not affected");
    }
}
