//! What the netns driver is told, why it cannot start, and what it reports.

use std::{
    collections::BTreeSet,
    io,
    net::Ipv4Addr,
    os::fd::{AsFd as _, OwnedFd},
    path::PathBuf,
    time::Duration,
};

use ipnet::Ipv4Net;
use model::{Ambient, InstallationSecret};

use super::{link::Links, runner::Link, sys};
use crate::switch::{Count, Mac, Personalities};

/// Where deckies meet the real network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uplink {
    /// On this interface.
    Interface(String),
    /// On this interface of the namespace behind a file, such as `/run/netns/lab`.
    InterfaceWithin {
        /// The namespace.
        netns: PathBuf,
        /// The interface.
        name: String,
    },
    /// On an interface that is made for them: this machine is their visitor.
    Demo {
        /// What it is called.
        name: String,
        /// This machine's address on it, with the subnet.
        address: Ipv4Net,
    },
}

/// Which hardware addresses deckies show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MacChoice {
    /// Each its own, of a vendor that fits.
    #[default]
    Own,
    /// All of them that of the uplink: for networks that drop foreign ones.
    Host,
}

/// How a [`Netns`](super::Netns) works.
#[derive(Clone, Debug)]
pub struct NetnsConfig {
    /// Where deckies meet the real network.
    pub uplink: Uplink,
    /// Which hardware addresses they show.
    pub mac: MacChoice,
    /// What they can be.
    pub personalities: Personalities,
    /// Addresses that no decky ever takes.
    pub protected: Vec<Ipv4Net>,
    /// How long to ask and listen for a real host before an address on the uplink is taken; zero
    /// asks nobody and trusts what was heard by chance.
    pub listen_first: Duration,
    /// Whether the kernel may leave checksums and segmentation to the switch and back.
    pub offloads: bool,
    /// What hardware addresses, clocks and numbers derive from.
    pub secret: InstallationSecret,
    /// Time and randomness.
    pub ambient: Ambient,
}

/// Why the driver cannot work here.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// The uplink cannot be had.
    #[error("cannot use {uplink} as the uplink: it has to exist, and Morgana has to run as root")]
    Uplink {
        /// Which.
        uplink: String,
        /// From the kernel.
        #[source]
        source: io::Error,
    },
    /// The uplink has no hardware address that deckies could share.
    #[error("deckies cannot have the hardware address of {uplink} (key `fleet.uplink_mac`)")]
    NoMac {
        /// Which.
        uplink: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The switch's thread cannot be started.
    #[error("cannot start the switch")]
    Switch(#[source] io::Error),
}

/// What the switch did so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Each count with its name.
    pub counts: Vec<(&'static str, u64)>,
    /// Connections that are known now.
    pub connections: usize,
}

impl Report {
    /// One count.
    pub fn get(&self, what: Count) -> u64 {
        self.counts.iter().find(|(name, _)| *name == what.as_str()).map_or(0, |(_, count)| *count)
    }
}

impl std::fmt::Display for Uplink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Interface(name) | Self::Demo { name, .. } => write!(f, "`{name}`"),
            Self::InterfaceWithin { netns, name } => {
                write!(f, "`{name}` of the namespace `{}`", netns.display())
            }
        }
    }
}

/// Opens the way to the real network; `headers` says whether frames have virtio headers.
pub(super) fn open_uplink(uplink: &Uplink, headers: bool) -> io::Result<OwnedFd> {
    let packet = |name: &str| sys::open_packet(Links::open()?.index(name)?, headers);
    match uplink {
        Uplink::Interface(name) => packet(name),
        Uplink::InterfaceWithin { netns, name } => {
            let namespace = std::fs::File::open(netns)?;
            sys::within(namespace.as_fd(), || packet(name))
        }
        Uplink::Demo { name, address } => {
            let tap = sys::open_tap(name, headers)?;
            let links = Links::open()?;
            let index = links.index(name)?;
            links.up(index)?;
            links.add_address(index, address.addr(), address.prefix_len())?;
            Ok(tap)
        }
    }
}

/// What this machine itself is on the uplink.
#[derive(Debug)]
pub(super) struct Card {
    socket: OwnedFd,
    name: String,
    /// Whether it was made for deckies, with this machine as their visitor.
    is_demo: bool,
}

impl Card {
    /// The hardware address, where deckies can share it.
    pub(super) fn mac(&self) -> io::Result<Mac> {
        let mac = sys::hardware_address(self.socket.as_fd(), &self.name)?;
        let shared = mac.filter(|_| !self.is_demo);
        shared.map(Mac).ok_or_else(|| io::Error::other("it needs an Ethernet interface of its own"))
    }

    /// The addresses of the machine, on whatever interface: it answers for each of them on all.
    pub(super) fn addresses(&self) -> io::Result<BTreeSet<Ipv4Addr>> {
        sys::addresses(self.socket.as_fd())
    }
}

impl Uplink {
    /// A way to ask what this machine itself is there.
    pub(super) fn card(&self) -> io::Result<Card> {
        let (socket, name) = match self {
            Self::Interface(name) | Self::Demo { name, .. } => (sys::inet_socket()?, name),
            Self::InterfaceWithin { netns, name } => {
                let namespace = std::fs::File::open(netns)?;
                (sys::within(namespace.as_fd(), sys::inet_socket)?, name)
            }
        };
        Ok(Card { socket, name: name.clone(), is_demo: matches!(self, Self::Demo { .. }) })
    }

    /// The largest packet that a decky behind it sends: what the interface takes, as far as it is
    /// not more than Ethernet has.
    pub(super) fn mtu(&self) -> u32 {
        const USUAL: u32 = 1500;
        let mtu = self.card().and_then(|card| sys::mtu(card.socket.as_fd(), &card.name));
        // An interface that is away now will most likely be a usual one.
        mtu.map_or(USUAL, |mtu| mtu.min(USUAL))
    }

    /// How frames come and go over the descriptor of [`open_uplink`].
    pub(super) fn link(&self, descriptor: OwnedFd, headers: bool) -> Link {
        match self {
            Self::Interface(_) | Self::InterfaceWithin { .. } => {
                Link::Packet { socket: descriptor, headers }
            }
            Self::Demo { .. } => Link::Tap(descriptor),
        }
    }
}
