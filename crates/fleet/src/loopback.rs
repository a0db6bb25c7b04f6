//! A network on the loopback interface, without any privilege: each decky has an address of its
//! own in 127.0.0.0/8, each service a listener there.
//!
//! Owns addresses, and which listener stands for which service; the listeners themselves belong
//! to the [`DecoyHost`]. Nothing survives the process: a restart finds an empty network and
//! plans it anew. LANs are rows here, no segments: everybody on the machine reaches every decky.

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use maze::{Observed, ObservedLan, Step};
use model::{Decky, DeckyId, Lan, LanId, Service, ServiceConfig, TopologyId, Transport};

use self::network::{Machine, Network, Opening};
use crate::{DecoyHost, Driver, Endpoint, Listener, Opened, StepError};

mod network;

/// Which ports deckies listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Ports {
    /// Those of the persona; the offset is added where the process may not bind them, or where
    /// a program of this machine listens on all of its addresses.
    #[default]
    True,
    /// Always with the offset added.
    Offset,
}

/// How a [`Loopback`] chooses addresses and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopbackConfig {
    /// The first two octets of every address: 127 and anything but 0.
    pub prefix: [u8; 2],
    /// Added to a port that the process may not bind.
    pub port_offset: u16,
    /// Whether the offset is always added.
    pub ports: Ports,
}

impl Default for LoopbackConfig {
    fn default() -> Self {
        Self { prefix: [127, 66], port_offset: 20_000, ports: Ports::True }
    }
}

/// Why the loopback driver cannot work here.
#[derive(Debug, thiserror::Error)]
pub enum LoopbackError {
    /// The prefix is outside 127.0.0.0/8, or the part of it that everybody uses.
    #[error(
        "the loopback prefix {}.{} is not usable: choose one from 127.1 to 127.255", .0[0], .0[1]
    )]
    Prefix([u8; 2]),
    /// The kernel does not give us such addresses.
    #[error(
        "cannot bind {addr}: the loopback driver needs the whole of 127.0.0.0/8 on the loopback \
         interface, as Linux has it"
    )]
    Unavailable {
        /// What was tried.
        addr: Ipv4Addr,
        /// From the kernel.
        #[source]
        source: io::Error,
    },
}

/// Threads of the kill switch.
const REMOVERS: usize = 16;

/// Deckies on addresses of their own in 127.0.0.0/8.
///
/// A decky whose address on a LAN is 10.66.1.10 answers at 127.66.1.10 (with the default prefix);
/// where another decky has that already, at an address derived from its id.
pub struct Loopback {
    config: LoopbackConfig,
    host: Arc<dyn DecoyHost>,
    /// Held over a whole step: steps are done one at a time.
    stepping: Mutex<()>,
    /// Held only to look or to write down, so that observing never waits for a host.
    network: Mutex<Network>,
}

impl Loopback {
    /// A driver without deckies. Checks by a short bind that the addresses work here.
    pub fn new(config: LoopbackConfig, host: Arc<dyn DecoyHost>) -> Result<Self, LoopbackError> {
        let [first, second] = config.prefix;
        if first != 127 || second == 0 {
            return Err(LoopbackError::Prefix(config.prefix));
        }
        let addr = Ipv4Addr::new(first, second, 255, 254);
        TcpListener::bind((addr, 0))
            .map_err(|source| LoopbackError::Unavailable { addr, source })?;
        let network = Mutex::new(Network::new(config.prefix));
        Ok(Self { config, host, stepping: Mutex::default(), network })
    }

    fn network(&self) -> MutexGuard<'_, Network> {
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add_lan(&self, topology: TopologyId, lan: &Arc<Lan>) -> Result<(), StepError> {
        let mut network = self.network();
        let site = network.sites.entry(topology).or_default();
        let there = site.lans.entry(lan.id).or_insert_with(|| ObservedLan::from(&**lan));
        if there.is_segment(lan) {
            return Ok(());
        }
        Err(StepError::Exists { what: format!("LAN {}", lan.name) })
    }

    fn remove_lan(&self, topology: TopologyId, lan: LanId) -> Result<(), StepError> {
        let mut network = self.network();
        let Some(site) = network.sites.get_mut(&topology) else { return Ok(()) };
        let is_on_it = |machine: &Machine| machine.row.edges.iter().any(|edge| edge.lan == lan);
        if let Some((decky, _)) = site.deckies.iter().find(|(_, machine)| is_on_it(machine)) {
            return Err(StepError::LanInUse { lan, decky: *decky });
        }
        site.lans.remove(&lan);
        network.forget_empty(topology);
        Ok(())
    }

    fn remove_decky(&self, topology: TopologyId, decky: DeckyId) {
        let Some(open) = self.network().openings_of(topology, decky) else { return };
        for opening in open {
            self.close_opening(decky, opening);
        }
        self.host.decky_gone(decky);
        self.network().remove_decky(topology, decky);
    }

    /// One more address for a machine, where all answers that answers elsewhere; all of it, or
    /// nothing.
    fn attach(&self, topology: TopologyId, row: &Arc<Decky>, lan: LanId) -> Result<(), StepError> {
        let attached = self.network().attach(topology, row, lan)?;
        let Some((address, services)) = attached else { return Ok(()) };
        let mut openings: Vec<(ServiceConfig, Opening)> = Vec::new();
        for service in services {
            let opened = self
                .listen(address, service)
                .and_then(|listener| self.hand_over(topology, row, service, vec![(lan, listener)]));
            match opened {
                Ok(opened) => openings.extend(opened.into_iter().map(|at| (service, at))),
                Err(error) => {
                    for (_, opening) in openings {
                        self.close_opening(row.id, opening);
                    }
                    return Err(error);
                }
            }
        }
        self.network().attached(topology, row, (lan, address), openings);
        Ok(())
    }

    /// Closed first, forgotten then: a kill in between is a detach that runs again.
    fn detach(&self, topology: TopologyId, decky: DeckyId, lan: LanId) {
        let openings = self.network().openings_on(topology, decky, lan);
        for opening in openings {
            self.close_opening(decky, opening);
        }
        self.host.interface_gone(decky, lan);
        self.network().detached(topology, decky, lan);
    }

    fn open(
        &self,
        topology: TopologyId,
        decky: DeckyId,
        service: ServiceConfig,
    ) -> Result<(), StepError> {
        let missing = StepError::DeckyMissing { decky, service: service.service };
        let machine = self.network().machine(topology, decky).cloned().ok_or(missing)?;
        if machine.open.contains_key(&service) {
            return Ok(());
        }
        let listeners = machine
            .addresses
            .iter()
            .map(|(lan, address)| Ok((*lan, self.listen(*address, service)?)))
            .collect::<Result<Vec<_>, StepError>>()?;
        let openings = self.hand_over(topology, &machine.row, service, listeners)?;
        self.network().opened(topology, decky, service, openings);
        Ok(())
    }

    /// Gives the listeners to the host; all of them, or none.
    fn hand_over(
        &self,
        topology: TopologyId,
        row: &Arc<Decky>,
        service: ServiceConfig,
        listeners: Vec<(LanId, (SocketAddr, Listener))>,
    ) -> Result<Vec<Opening>, StepError> {
        let mut openings: Vec<Opening> = Vec::new();
        for (lan, (at, listener)) in listeners {
            let transport = listener.transport();
            let opened = Opened { topology, lan, decky: row.clone(), service, listener };
            if let Err(reason) = self.host.open(opened) {
                for opening in openings {
                    self.close_opening(row.id, opening);
                }
                let decky = row.id;
                return Err(StepError::Host { decky, service: service.service, addr: at, reason });
            }
            openings.push(Opening { lan, transport, at });
        }
        Ok(openings)
    }

    fn close_opening(&self, decky: DeckyId, opening: Opening) {
        self.host.close(decky, opening.lan, opening.transport, opening.at);
    }

    fn close(&self, topology: TopologyId, decky: DeckyId, service: ServiceConfig) {
        let Some(openings) = self.network().openings_at(topology, decky, service) else { return };
        for opening in openings {
            self.close_opening(decky, opening);
        }
        self.network().closed(topology, decky, service);
    }

    /// A listener for the service at the address: at its port, or at the one that stands in.
    fn listen(
        &self,
        address: Ipv4Addr,
        config: ServiceConfig,
    ) -> Result<(SocketAddr, Listener), StepError> {
        let ServiceConfig { service, port } = config;
        if self.config.ports == Ports::True {
            let true_port = SocketAddr::from((address, port));
            match bind(service.transport(), true_port) {
                Ok(listener) => return Ok((true_port, listener)),
                Err(error) if self.may_stand_in(&error, service, true_port) => {}
                Err(error) => return Err(self.refused(true_port, service, error)),
            }
        }
        let offset = self.config.port_offset;
        let stand_in = port.checked_add(offset);
        let stand_in = stand_in.ok_or(StepError::PortOutOfRange { port, offset })?;
        let addr = SocketAddr::from((address, stand_in));
        let listener = bind(service.transport(), addr);
        let listener = listener.map_err(|error| self.refused(addr, service, error))?;
        Ok((addr, listener))
    }

    /// Whether another port may stand in: the process may not bind this one, or a program of this
    /// machine listens there on every address, as its own sshd does.
    fn may_stand_in(&self, error: &io::Error, service: Service, addr: SocketAddr) -> bool {
        match error.kind() {
            io::ErrorKind::PermissionDenied => true,
            io::ErrorKind::AddrInUse => self.owner_of(service, addr).is_none(),
            _ => false,
        }
    }

    fn owner_of(&self, service: Service, addr: SocketAddr) -> Option<DeckyId> {
        self.network().owner_of(service.transport(), addr)
    }

    fn refused(&self, addr: SocketAddr, service: Service, source: io::Error) -> StepError {
        match source.kind() {
            io::ErrorKind::AddrInUse => match self.owner_of(service, addr) {
                Some(owner) => StepError::PortTaken { addr, service, owner },
                None => StepError::AddressInUse { addr, service, source },
            },
            _ if is_out_of_descriptors(&source) => {
                StepError::DescriptorsExhausted { addr, service, source }
            }
            _ => StepError::Listen { addr, service, source },
        }
    }
}

impl Driver for Loopback {
    fn observe(&self, topology: TopologyId) -> Observed {
        self.network().observed(topology, None)
    }

    fn observe_some(&self, topology: TopologyId, deckies: &BTreeSet<DeckyId>) -> Observed {
        self.network().observed(topology, Some(deckies))
    }

    fn execute(&self, step: &Step) -> Result<(), StepError> {
        let _one_at_a_time = self.stepping.lock().unwrap_or_else(PoisonError::into_inner);
        match step {
            Step::AddLan { topology, lan } => self.add_lan(*topology, lan),
            Step::RemoveLan { topology, lan } => self.remove_lan(*topology, *lan),
            Step::AddDecky { topology, decky } => self.network().add_decky(*topology, decky),
            Step::RemoveDecky { topology, decky } => {
                self.remove_decky(*topology, *decky);
                Ok(())
            }
            Step::AttachDecky { topology, decky, lan } => self.attach(*topology, decky, *lan),
            Step::DetachDecky { topology, decky, lan } => {
                self.detach(*topology, *decky, *lan);
                Ok(())
            }
            Step::SetForwarding { topology, decky } => {
                self.network().set_forwarding(*topology, decky)
            }
            Step::OpenService { topology, decky, service } => {
                self.open(*topology, *decky, *service)
            }
            Step::CloseService { topology, decky, service } => {
                self.close(*topology, *decky, *service);
                Ok(())
            }
        }
    }

    fn endpoints(&self, decky: DeckyId) -> Vec<Endpoint> {
        let network = self.network();
        let machine = network.sites.values().find_map(|site| site.deckies.get(&decky));
        let open = machine.into_iter().flat_map(|machine| &machine.open);
        open.flat_map(|(config, openings)| {
            openings.iter().map(|opening| Endpoint {
                lan: opening.lan,
                service: config.service,
                port: config.port,
                listening: opening.at,
            })
        })
        .collect()
    }

    fn topologies(&self) -> Vec<TopologyId> {
        self.network().sites.keys().copied().collect()
    }

    /// Many at once: each removal waits until its listeners are closed.
    fn panic(&self) -> Vec<StepError> {
        let _one_at_a_time = self.stepping.lock().unwrap_or_else(PoisonError::into_inner);
        let deckies = self.network().deckies();
        let remove = |some: &[(TopologyId, DeckyId)]| {
            some.iter().for_each(|(topology, decky)| self.remove_decky(*topology, *decky));
        };
        thread::scope(|scope| {
            for some in deckies.chunks(deckies.len().div_ceil(REMOVERS).max(1)) {
                let named = thread::Builder::new().name("panic".into());
                if named.spawn_scoped(scope, move || remove(some)).is_err() {
                    remove(some);
                }
            }
        });
        self.network().sites.clear();
        Vec::new()
    }
}

/// Binds, and listens for connections; the standard library sets SO_REUSEADDR then, so that a
/// restart need not wait for connections of the process before it to be forgotten.
fn bind(transport: Transport, addr: SocketAddr) -> io::Result<Listener> {
    Ok(match transport {
        Transport::Tcp => {
            let listener = TcpListener::bind(addr)?;
            listener.set_nonblocking(true)?;
            Listener::Connections(listener)
        }
        Transport::Udp => {
            let socket = UdpSocket::bind(addr)?;
            socket.set_nonblocking(true)?;
            Listener::Datagrams(socket)
        }
    })
}

/// EMFILE and ENFILE; the same numbers on every Unix.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}
