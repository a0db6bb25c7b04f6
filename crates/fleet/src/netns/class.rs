//! A class: one namespace in which the kernel answers for every decky of one behaviour.
//!
//! It has one link, a TAP that we hold; every address of the inside is its own; what it sends
//! goes to one gateway that never has to be found. It goes with its descriptors: nothing of it
//! outlives the process.

use std::{
    io,
    net::Ipv4Addr,
    os::fd::{AsFd, OwnedFd},
};

use rustix::net::{
    AddressFamily, SocketAddrV4, SocketFlags, SocketType, bind, listen, socket_with, sockopt,
};

use super::{
    link::Links,
    sys::{self, Instruction},
};
use crate::switch::{CLASS_MAC, GATEWAY_MAC, Kernel};

const OWN: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 2);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
const INSIDE: Ipv4Addr = Ipv4Addr::new(240, 0, 0, 0);
const INSIDE_BITS: u8 = 4;
const TAP: &str = "tap0";
/// The kernel's usual 1,000 overflow under load, and each loss costs a visitor a second.
const QUEUE: u32 = 10_000;
/// Connections that wait to be accepted, per listener.
const BACKLOG: i32 = 4096;

/// A namespace with its link.
#[derive(Debug)]
pub(super) struct Class {
    namespace: OwnedFd,
}

/// What keeps a namespace from sending anything but answers, apart from the switch: a classic
/// packet filter on its only link. IPv4 TCP from the inside, whole, and no SYN without ACK.
const ANSWERS_ONLY: [Instruction; 14] = {
    const LOAD_WORD: u16 = 0x20;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_INDEXED_BYTE: u16 = 0x50;
    const HEADER_LENGTH: u16 = 0xb1;
    const AND: u16 = 0x54;
    const IF_EQUAL: u16 = 0x15;
    const IF_ANY: u16 = 0x45;
    const RETURN: u16 = 0x06;
    [
        (LOAD_HALF, 0, 0, 12),
        (IF_EQUAL, 0, 11, 0x0800),
        (LOAD_WORD, 0, 0, 26),
        (AND, 0, 0, 0xf000_0000),
        (IF_EQUAL, 0, 8, 0xf000_0000),
        (LOAD_HALF, 0, 0, 20),
        (IF_ANY, 6, 0, 0x3fff),
        (LOAD_BYTE, 0, 0, 23),
        (IF_EQUAL, 0, 4, 6),
        (HEADER_LENGTH, 0, 0, 14),
        (LOAD_INDEXED_BYTE, 0, 0, 14 + 13),
        (AND, 0, 0, 0x12),
        (IF_EQUAL, 0, 1, 0x02),
        (RETURN, 0, 0, 0),
    ]
};
/// The last instruction: all of the packet.
const TAKE: Instruction = (0x06, 0, 0, u32::MAX);

impl Class {
    /// Makes one; the descriptor of its TAP comes with it. `mtu` is that of the way out: what is
    /// larger would be lost there, and nobody would tell the kernel.
    pub(super) fn new(kernel: Kernel, offloads: bool, mtu: u32) -> io::Result<(Self, OwnedFd)> {
        sys::apart(move || {
            let namespace = sys::enter_new_namespace()?;
            let tap = sys::open_tap(TAP, offloads)?;
            let program: Vec<Instruction> = ANSWERS_ONLY.into_iter().chain([TAKE]).collect();
            sys::filter_tap(tap.as_fd(), &program)?;
            settle(kernel)?;
            let links = Links::open()?;
            links.up(links.index("lo")?)?;
            let index = links.index(TAP)?;
            links.up_with(index, CLASS_MAC, QUEUE, mtu)?;
            links.add_address(index, OWN, 32)?;
            links.add_neighbour(index, GATEWAY, GATEWAY_MAC)?;
            links.add_default_route(index, GATEWAY)?;
            links.add_local_range(links.index("lo")?, INSIDE, INSIDE_BITS)?;
            Ok((Self { namespace }, tap))
        })
    }

    /// A listener for this port of every decky in the class.
    pub(super) fn listen(&self, port: u16) -> io::Result<OwnedFd> {
        sys::within(self.namespace.as_fd(), || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
            sockopt::set_socket_reuseaddr(&socket, true)?;
            bind(&socket, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))?;
            listen(&socket, BACKLOG)?;
            Ok(socket)
        })
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
