//! Links, addresses and routes over rtnetlink: what a namespace of ours needs, and no more.

use std::{io, net::Ipv4Addr, os::fd::OwnedFd};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netdevice, recv, send,
    socket_with,
};

use crate::switch::Mac;

const REQUEST: u16 = 0x1 | 0x4; // NLM_F_REQUEST, NLM_F_ACK
const CREATE: u16 = 0x400 | 0x200; // NLM_F_CREATE, NLM_F_EXCL
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const NEW_NEIGHBOUR: u16 = 28;
const ERROR: u16 = 2;
const INET: u8 = 2;
const UP: u32 = 1;

/// A conversation with the kernel about one namespace: that of the thread that opened it.
pub(super) struct Links(OwnedFd);

impl Links {
    pub(super) fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let kind = SocketType::RAW;
        // Protocol 0 is NETLINK_ROUTE.
        Ok(Self(socket_with(AddressFamily::NETLINK, kind, flags, None)?))
    }

    /// The index of the interface of this name.
    pub(super) fn index(&self, name: &str) -> io::Result<u32> {
        Ok(netdevice::name_to_index(&self.0, name)?)
    }

    /// Brings an interface up.
    pub(super) fn up(&self, index: u32) -> io::Result<()> {
        self.ask(Message::new(NEW_LINK, 0).fixed(&link(index)))
    }

    /// Brings an interface up, with this address, as long a queue, and packets as large.
    pub(super) fn up_with(&self, index: u32, mac: Mac, queue: u32, mtu: u32) -> io::Result<()> {
        let message = Message::new(NEW_LINK, 0).fixed(&link(index)).attribute(1, &mac.0);
        let (queue, mtu) = (queue.to_ne_bytes(), mtu.to_ne_bytes());
        self.ask(message.attribute(13, &queue).attribute(4, &mtu))
    }

    pub(super) fn add_address(&self, index: u32, address: Ipv4Addr, bits: u8) -> io::Result<()> {
        let mut fixed = [0; 8];
        (fixed[0], fixed[1]) = (INET, bits);
        fixed[4..].copy_from_slice(&index.to_ne_bytes());
        let message = Message::new(NEW_ADDRESS, CREATE).fixed(&fixed);
        self.ask(message.attribute(2, &address.octets()).attribute(1, &address.octets()))
    }

    /// A neighbour that is never asked for.
    pub(super) fn add_neighbour(&self, index: u32, at: Ipv4Addr, mac: Mac) -> io::Result<()> {
        const PERMANENT: u16 = 0x80;
        let mut fixed = [0; 12];
        fixed[0] = INET;
        fixed[4..8].copy_from_slice(&index.to_ne_bytes());
        fixed[8..10].copy_from_slice(&PERMANENT.to_ne_bytes());
        let message = Message::new(NEW_NEIGHBOUR, CREATE).fixed(&fixed);
        self.ask(message.attribute(1, &at.octets()).attribute(2, &mac.0))
    }

    /// Everything goes to this gateway, wherever it is.
    pub(super) fn add_default_route(&self, index: u32, gateway: Ipv4Addr) -> io::Result<()> {
        const MAIN: u8 = 254;
        const UNICAST: u8 = 1;
        const ON_LINK: u8 = 4;
        let fixed = [INET, 0, 0, 0, MAIN, 4, 0, UNICAST, ON_LINK, 0, 0, 0];
        let message = Message::new(NEW_ROUTE, CREATE).fixed(&fixed);
        self.ask(message.attribute(5, &gateway.octets()).attribute(4, &index.to_ne_bytes()))
    }

    /// Every address of the range is this machine's own.
    pub(super) fn add_local_range(&self, index: u32, range: Ipv4Addr, bits: u8) -> io::Result<()> {
        const LOCAL_TABLE: u8 = 255;
        const HOST_SCOPE: u8 = 254;
        const LOCAL: u8 = 2;
        let fixed = [INET, bits, 0, 0, LOCAL_TABLE, 4, HOST_SCOPE, LOCAL, 0, 0, 0, 0];
        let message = Message::new(NEW_ROUTE, CREATE).fixed(&fixed);
        self.ask(message.attribute(1, &range.octets()).attribute(4, &index.to_ne_bytes()))
    }

    /// Sends one request and waits for its answer.
    fn ask(&self, message: Message) -> io::Result<()> {
        send(&self.0, &message.finish(), SendFlags::empty())?;
        let mut answer = [0; 4096];
        let (length, _) = recv(&self.0, &mut answer, RecvFlags::empty())?;
        let answer = &answer[..length.min(4096)];
        let word = |at: usize| answer.get(at..at + 4).and_then(|w| w.try_into().ok());
        let kind = answer.get(4..6).and_then(|w| w.try_into().ok()).map(u16::from_ne_bytes);
        match (kind, word(16).map(i32::from_ne_bytes)) {
            (Some(ERROR), Some(0)) => Ok(()),
            (Some(ERROR), Some(code)) => Err(io::Error::from_raw_os_error(-code)),
            _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
        }
    }
}

/// `struct ifinfomsg` that brings the interface up.
fn link(index: u32) -> [u8; 16] {
    let mut fixed = [0; 16];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed[8..12].copy_from_slice(&UP.to_ne_bytes());
    fixed[12..].copy_from_slice(&UP.to_ne_bytes());
    fixed
}

/// A netlink message; all of its parts are aligned to four bytes.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; 16];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(REQUEST | flags).to_ne_bytes());
        Self(bytes)
    }

    fn fixed(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend_from_slice(&(4 + value.len() as u16).to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn finish(mut self) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}
