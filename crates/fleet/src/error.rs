//! Why a step failed, in words that an operator can act on.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use maze::StepKind;
use model::{DeckyId, LanId, Service};

use crate::switch::{Mac, Refusal};

/// Which of many steps failed, and why. Those before it are done.
#[derive(Debug, thiserror::Error)]
#[error("step {at} failed")]
pub struct FailedStep {
    /// Its place among those that were to be done.
    pub at: usize,
    /// Why.
    #[source]
    pub error: StepError,
}

/// A step that failed. Nothing of it remains.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The step needs a LAN that does not exist.
    #[error("decky {decky} has an interface on LAN {lan}, which does not exist")]
    LanMissing {
        /// The machine.
        decky: DeckyId,
        /// Its LAN.
        lan: LanId,
    },
    /// The LAN still has machines on it.
    #[error("LAN {lan} cannot go: decky {decky} is on it")]
    LanInUse {
        /// The LAN.
        lan: LanId,
        /// One of its machines.
        decky: DeckyId,
    },
    /// The step needs a decky that does not exist.
    #[error("cannot open {service}: decky {decky} does not exist")]
    DeckyMissing {
        /// The machine.
        decky: DeckyId,
        /// The service that was to open.
        service: Service,
    },
    /// Another row of the same id exists and has to go first.
    #[error("cannot add {what}: another of the same id exists and has to be removed first")]
    Exists {
        /// The LAN or the machine.
        what: String,
    },
    /// All addresses for deckies are in use.
    #[error(
        "no loopback address is left for decky {decky} in 127.{second}.0.0/16; \
         remove deckies or choose another loopback prefix"
    )]
    AddressesExhausted {
        /// The machine.
        decky: DeckyId,
        /// The second octet of the driver's prefix.
        second: u8,
    },
    /// The port that stands in for a privileged one would be above 65535.
    #[error("port {port} plus the offset {offset} is above 65535; choose a smaller port offset")]
    PortOutOfRange {
        /// The port of the persona.
        port: u16,
        /// The configured offset.
        offset: u16,
    },
    /// A step about the interfaces of a machine that is not there.
    #[error("decky {decky} is not in the network")]
    MachineMissing {
        /// The machine.
        decky: DeckyId,
    },
    /// Somebody else listens there.
    #[error(
        "cannot listen on {addr} for {service}: already in use by another process; stop that \
         process, or choose another loopback prefix or port offset"
    )]
    AddressInUse {
        /// Address and port.
        addr: SocketAddr,
        /// For which service.
        service: Service,
        /// From the kernel.
        #[source]
        source: io::Error,
    },
    /// One of our own deckies listens there.
    #[error("cannot listen on {addr} for {service}: decky {owner} listens there")]
    PortTaken {
        /// Address and port.
        addr: SocketAddr,
        /// For which service.
        service: Service,
        /// Who has it.
        owner: DeckyId,
    },
    /// The process has as many descriptors as it may have.
    #[error(
        "cannot listen on {addr} for {service}: the process has no file descriptor left; raise \
         its limit (ulimit -n, or LimitNOFILE= of the service), or deploy fewer deckies"
    )]
    DescriptorsExhausted {
        /// Address and port.
        addr: SocketAddr,
        /// For which service.
        service: Service,
        /// From the kernel.
        #[source]
        source: io::Error,
    },
    /// Any other refusal of the kernel.
    #[error("cannot listen on {addr} for {service}")]
    Listen {
        /// Address and port.
        addr: SocketAddr,
        /// For which service.
        service: Service,
        /// From the kernel.
        #[source]
        source: io::Error,
    },
    /// Whoever was to serve the listener refused.
    #[error("cannot serve {service} of decky {decky} at {addr}: {reason}")]
    Host {
        /// The machine.
        decky: DeckyId,
        /// The service.
        service: Service,
        /// Where.
        addr: SocketAddr,
        /// In its own words.
        reason: String,
    },
    /// The address is not for deckies.
    #[error("{address} is protected: deckies never take it (key `fleet.protected`)")]
    Protected {
        /// Which.
        address: Ipv4Addr,
    },
    /// The address is this machine's own.
    #[error("{address} is an address of this machine itself: give the decky another")]
    OwnAddress {
        /// Which.
        address: Ipv4Addr,
    },
    /// Nobody could be asked whether the address is free.
    #[error("nobody could be asked whether {address} is free: the uplink is away, or down")]
    Unasked {
        /// Which.
        address: Ipv4Addr,
    },
    /// A real host has the address.
    #[error(
        "{address} belongs to a real host ({mac}): give the decky another address, or take the \
         host off the segment"
    )]
    RealHost {
        /// Which.
        address: Ipv4Addr,
        /// The host's hardware address.
        mac: Mac,
    },
    /// Two LANs on one real segment want the same address, or a number is used up.
    #[error("the switch refuses it")]
    Switch(#[from] Refusal),
    /// The kernel does not make a namespace or a listener.
    #[error("cannot {what}; Morgana has to run as root for the netns driver")]
    Kernel {
        /// What was tried.
        what: String,
        /// From the kernel.
        #[source]
        source: io::Error,
    },
    /// The network was switched off, or the switch died.
    #[error("the network is switched off; deploy again what shall be there, or restart Morgana")]
    Off,
    /// The kill switch was thrown before, and the network cannot be had back.
    #[error("the network cannot be switched on again: {what}")]
    SwitchedOff {
        /// What was tried.
        what: String,
        /// From the kernel.
        #[source]
        source: io::Error,
    },
    /// The root helper does not say that it let go of everything.
    #[error("the root helper may hold namespaces still: end Morgana, and they go with it")]
    NotReleased(#[source] io::Error),
    /// Who makes namespaces and listeners is gone.
    #[error(
        "the root helper has ended: restart Morgana to make new kinds of deckies and new ports"
    )]
    HelperGone,
    /// A failure that a test asked for.
    #[error("step {kind:?} failed as scripted")]
    Scripted {
        /// Which step.
        kind: StepKind,
        /// Whether trying again may help.
        transient: bool,
    },
}

impl StepError {
    /// Whether the same step may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::AddressInUse { .. } | Self::DescriptorsExhausted { .. } | Self::Host { .. } => {
                true
            }
            Self::RealHost { .. } | Self::OwnAddress { .. } | Self::Unasked { .. } => true,
            Self::Listen { source, .. }
            | Self::Kernel { source, .. }
            | Self::SwitchedOff { source, .. } => {
                matches!(source.kind(), io::ErrorKind::Interrupted | io::ErrorKind::OutOfMemory)
            }
            Self::Scripted { transient, .. } => *transient,
            Self::LanMissing { .. }
            | Self::LanInUse { .. }
            | Self::DeckyMissing { .. }
            | Self::MachineMissing { .. }
            | Self::Exists { .. }
            | Self::AddressesExhausted { .. }
            | Self::PortOutOfRange { .. }
            | Self::PortTaken { .. }
            | Self::Protected { .. }
            | Self::Switch(_)
            | Self::NotReleased(_)
            | Self::HelperGone
            | Self::Off => false,
        }
    }
}
