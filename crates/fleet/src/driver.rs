//! The seam between the mutator and a network.

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    sync::Arc,
};

use maze::{Observed, Step};
use model::{Decky, DeckyId, LanId, Service, ServiceConfig, TopologyId, Transport};

use crate::{DataPorts, FailedStep, StepError, switch::Mac};

/// Makes a network. Calls are quick and synchronous: from a thread that may block, or directly.
pub trait Driver: Send + Sync {
    /// What exists of the topology.
    fn observe(&self, topology: TopologyId) -> Observed;

    /// What exists of the topology's LANs and of these deckies; those that do not exist are left
    /// out.
    fn observe_some(&self, topology: TopologyId, deckies: &BTreeSet<DeckyId>) -> Observed {
        let mut observed = self.observe(topology);
        observed.deckies.retain(|id, _| deckies.contains(id));
        observed
    }

    /// Is told what will be executed next, in parts or all at once: what takes time is done for
    /// all of it at once, and parts do not wait for it again. They do not rely on it.
    fn prepare(&self, _steps: &[Step]) {}

    /// Does one step. Idempotent; returns once the network is so. A step that fails leaves
    /// nothing half done.
    fn execute(&self, step: &Step) -> Result<(), StepError>;

    /// Does steps in order. At the first that fails it ends: what is before that is done, it and
    /// what is after it is not. Many steps are quicker together than one by one.
    fn execute_all(&self, steps: &[Step]) -> Result<(), FailedStep> {
        let failed = |(at, step)| self.execute(step).err().map(|error| FailedStep { at, error });
        steps.iter().enumerate().find_map(failed).map_or(Ok(()), Err)
    }

    /// Where the decky answers, per service and LAN; empty for a decky that does not exist.
    fn endpoints(&self, decky: DeckyId) -> Vec<Endpoint>;

    /// The topologies of which anything exists.
    fn topologies(&self) -> Vec<TopologyId>;

    /// What is wrong with deckies of the topology that are there, in words for operators.
    fn troubles(&self, _topology: TopologyId) -> Vec<(DeckyId, String)> {
        Vec::new()
    }

    /// What it did so far and has now, by name.
    fn figures(&self) -> Vec<(String, u64)> {
        Vec::new()
    }

    /// The kill switch: nothing of any topology is there any more when this returns, but for what
    /// an answered error names. Nobody executes steps meanwhile. A later step makes the network
    /// anew, or says why it cannot.
    fn panic(&self) -> Vec<StepError> {
        let gone = |topology| maze::plan(None, &self.observe(topology));
        let steps: Vec<Step> = self.topologies().into_iter().flat_map(gone).collect();
        let (mut errors, mut done) = (Vec::new(), 0);
        while let Err(FailedStep { at, error }) = self.execute_all(&steps[done..]) {
            errors.push(error);
            done += at + 1;
        }
        errors
    }
}

/// One service of a decky on one of its LANs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The LAN.
    pub lan: LanId,
    /// The protocol.
    pub service: Service,
    /// The port that the decky pretends to have.
    pub port: u16,
    /// Where it really answers.
    pub listening: SocketAddr,
}

/// A socket on which visitors come in: bound and non-blocking.
#[derive(Debug)]
pub enum Listener {
    /// For connections; it listens.
    Connections(TcpListener),
    /// For datagrams. It may be bound to one address or, where many deckies share it, to all:
    /// each datagram tells the local address that was meant, and is answered from there.
    Datagrams(UdpSocket),
}

impl Listener {
    /// Where it is bound.
    ///
    /// # Errors
    /// Where the kernel says no.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Connections(listener) => listener.local_addr(),
            Self::Datagrams(socket) => socket.local_addr(),
        }
    }

    /// What it carries.
    pub fn transport(&self) -> Transport {
        match self {
            Self::Connections(_) => Transport::Tcp,
            Self::Datagrams(_) => Transport::Udp,
        }
    }
}

/// A listener that a driver opened, with all that its server has to know.
#[derive(Debug)]
pub struct Opened {
    /// Of which topology.
    pub topology: TopologyId,
    /// On which LAN.
    pub lan: LanId,
    /// The machine.
    pub decky: Arc<Decky>,
    /// What it shall speak. The port is the pretended one; the listener knows the real one.
    pub service: ServiceConfig,
    /// Where its visitors come in; of the service's transport.
    pub listener: Listener,
}

/// A listener that many deckies share: the local address of a connection, or of a datagram, says
/// which one was meant.
#[derive(Debug)]
pub struct Gate {
    /// Stands in the place of a LAN where the host looks up who was meant. The addresses behind
    /// a gate are the driver's own, so that LANs with equal subnets are told apart.
    pub tag: LanId,
    /// Bound to all addresses.
    pub listener: Listener,
}

/// Who answers at an address behind a gate.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The gate's tag.
    pub tag: LanId,
    /// The local address of what is meant, by the service's transport.
    pub at: SocketAddr,
    /// Of which topology.
    pub topology: TopologyId,
    /// On which LAN.
    pub lan: LanId,
    /// The machine.
    pub decky: Arc<Decky>,
    /// What it shall speak.
    pub service: ServiceConfig,
}

/// Who serves what a driver opens. It must not call the driver back from within these.
pub trait DecoyHost: Send + Sync {
    /// Takes over a listener that deckies will share; returns once it is served. Connections to
    /// an address that nobody is bound to are closed, datagrams dropped.
    fn open_gate(&self, gate: Gate) -> Result<(), String>;

    /// Drops the shared listener of this tag, transport and port; returns once it is closed.
    fn close_gate(&self, tag: LanId, transport: Transport, port: u16);

    /// Sessions behind the gates of this tag may ask their visitors to come once more, at these
    /// ports; there are gates for them, too. Told before the first decky with such a service.
    fn data_ports(&self, tag: LanId, ports: DataPorts);

    /// From now on this decky answers there.
    fn bind(&self, bound: Bound) -> Result<(), String>;

    /// Nobody answers there any more; sessions over connections go on. Unknown ones are fine.
    fn unbind(&self, tag: LanId, transport: Transport, at: SocketAddr);

    /// Takes a listener over; returns once it is served. The error is a reason for operators.
    fn open(&self, opened: Opened) -> Result<(), String>;

    /// Drops the listener at `at`; returns once it is closed. Unknown ones are fine.
    fn close(&self, decky: DeckyId, lan: LanId, transport: Transport, at: SocketAddr);

    /// The decky is gone: whatever still runs on it ends.
    fn decky_gone(&self, decky: DeckyId);

    /// The decky has no interface on this LAN any more: what came by it ends.
    fn interface_gone(&self, decky: DeckyId, lan: LanId);

    /// The way to the real network went away, or came back; told once for each.
    fn uplink_changed(&self, is_there: bool);

    /// Nothing answers any more, nor will it: the driver has to be made anew. What it had of the
    /// network is gone, or goes with the process.
    fn network_failed(&self, why: &str) {
        let _ = why;
    }

    /// A real host came to an address that a decky has on the real network, or is gone from it;
    /// told once for each.
    fn address_contested(&self, _address: Ipv4Addr, _by: Mac, _is_over: bool) {}
}
