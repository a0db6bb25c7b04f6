//! Real machines on a real segment, without a kernel object for any of them: each decky is a row
//! in the switch, each class of kernel behaviour a namespace, each port of a class a listener.
//!
//! Owns the namespaces, the uplink, the switch's thread and what stands where; connections
//! belong to the [`DecoyHost`]. Everything goes with the process, however it ends: namespaces,
//! TAPs and sockets have no names. A restart finds an empty network and plans it anew.
//!
//! Egress is denied twice: by the switch, and by a filter on the only link of each namespace.

mod class;
mod config;
mod link;
mod rows;
mod runner;
mod sys;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use maze::{Observed, ObservedDecky, ObservedLan, Step};
use model::{
    Decky, DeckyId, Edge, InstallationSecret, Lan, LanId, ServiceConfig, Timestamp, TopologyId,
    TypedId as _,
};

pub use self::config::{MacChoice, NetnsConfig, NetnsError, Report, Uplink};
use self::{
    class::Class,
    config::open_uplink,
    rows::{Machine, Rows},
    runner::{Link, Runner, Stopped, class_id},
};
use crate::{
    Bound, DecoyHost, Driver, Endpoint, Gate, StepError,
    switch::{
        ClassId, Count, Interface, Kernel, Mac, PersonalityId, Refusal, Side, Switch, Update,
        UplinkId,
    },
};

/// The one uplink that there is now.
const UPLINK: UplinkId = UplinkId(0);

/// Deckies on a real segment.
pub struct Netns {
    config: NetnsConfig,
    host: Arc<dyn DecoyHost>,
    /// Held over a whole step: steps are done one at a time.
    works: Mutex<Works>,
    /// Held only to look or to write down, so that observing never waits for a host.
    rows: Mutex<Rows>,
}

/// What the kernel has of us.
struct Works {
    /// `None` once everything was switched off.
    runner: Option<Runner>,
    classes: Vec<(Kernel, Class)>,
}

impl Netns {
    /// Takes the uplink and starts the switch. No decky is there yet.
    ///
    /// # Errors
    /// Where the uplink cannot be had, for want of root for example.
    pub fn new(config: NetnsConfig, host: Arc<dyn DecoyHost>) -> Result<Self, NetnsError> {
        let uplink = open_uplink(&config)
            .map_err(|source| NetnsError::Uplink { uplink: config.uplink.to_string(), source })?;
        let seed = seed(&config.secret, &[b"switch"]);
        let switch = Switch::new(config.personalities.clone(), seed);
        let runner = Runner::start(switch).map_err(NetnsError::Switch)?;
        runner
            .attach(Side::Uplink(UPLINK), uplink)
            .map_err(|error| NetnsError::Switch(io::Error::other(error)))?;
        let works = Mutex::new(Works { runner: Some(runner), classes: Vec::new() });
        Ok(Self { config, host, works, rows: Mutex::default() })
    }

    /// The kill switch: every namespace, TAP, listener and the uplink are closed when this
    /// returns, and no step does anything afterwards.
    pub fn panic(&self) {
        let mut works = self.works();
        works.runner = None;
        works.classes.clear();
        for (tag, port) in self.rows().take_gates() {
            self.host.close_gate(tag, port);
        }
        let gone = self.rows().take_all();
        gone.into_iter().for_each(|decky| self.host.decky_gone(decky));
    }

    /// What the switch did so far; `None` once it is switched off.
    pub fn report(&self) -> Option<Report> {
        let (counters, connections) = self.works().runner.as_ref()?.look().ok()?;
        let count = |what: &Count| (what.as_str(), counters.get(*what));
        Some(Report { counts: Count::ALL.iter().map(count).collect(), connections })
    }

    /// The namespaces of the classes, to look into them.
    ///
    /// # Errors
    /// Where no descriptor is left.
    pub fn namespaces(&self) -> io::Result<Vec<OwnedFd>> {
        self.works().classes.iter().map(|(_, class)| class.namespace()).collect()
    }

    /// The hardware address of a decky on a LAN.
    pub fn mac(&self, decky: DeckyId, lan: LanId) -> Option<Mac> {
        let rows = self.rows();
        Some(rows.find(decky)?.interface_on(lan)?.mac)
    }

    fn works(&self) -> MutexGuard<'_, Works> {
        self.works.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add_lan(&self, works: &Works, topology: TopologyId, lan: &Lan) -> Result<(), StepError> {
        let Some(segment) = self.rows().segment_for(topology, lan)? else { return Ok(()) };
        let uplink = lan.is_dmz.then_some(UPLINK);
        works.apply(vec![Update::PutSegment { segment, subnet: lan.subnet, uplink }])?;
        self.rows().add_lan(topology, lan, segment);
        Ok(())
    }

    fn remove_lan(&self, works: &Works, topology: TopologyId, lan: LanId) -> Result<(), StepError> {
        let segment = self.rows().removable(topology, lan)?;
        if let Some(segment) = segment {
            works.apply(vec![Update::DropSegment(segment)])?;
            self.rows().remove_lan(topology, lan);
        }
        Ok(())
    }

    fn add_decky(
        &self,
        works: &mut Works,
        topology: TopologyId,
        decky: &Arc<Decky>,
    ) -> Result<(), StepError> {
        if self.rows().has(topology, decky)? {
            return Ok(());
        }
        decky.edges.iter().try_for_each(|edge| self.check_protected(edge))?;
        let personality = self.personality(decky);
        let class = self.class(works, self.config.personalities.get(personality).kernel)?;
        let mac = |lan, nth| self.draw_mac(decky, lan, nth);
        let machine = self.rows().new_machine(topology, decky, class, mac)?;
        let row = machine.row(personality, self.clock(decky), self.draw(decky.id, &[b"seed"]));
        let done = self
            .listen_for_real_hosts(works, &machine.interfaces)
            .and_then(|()| works.apply(vec![Update::PutMachine(row)]));
        match done {
            Ok(()) => self.rows().put_machine(topology, machine),
            Err(_) => self.rows().give_back(&machine),
        }
        done
    }

    /// One more interface for a machine that is there, where all answers that answers elsewhere;
    /// all of it, or nothing.
    fn attach(
        &self,
        works: &Works,
        topology: TopologyId,
        row: &Decky,
        lan: LanId,
    ) -> Result<(), StepError> {
        let machine = self.machine(topology, row.id)?;
        if machine.interface_on(lan).is_some() {
            return Ok(());
        }
        row.edge_on(lan).map_or(Ok(()), |edge| self.check_protected(edge))?;
        let mac = |lan, nth| self.draw_mac(row, lan, nth);
        let wider = self.rows().attached(topology, &machine, (row, lan), mac)?;
        let Some(new) = wider.interface_on(lan) else { return Ok(()) };
        let done = self
            .listen_for_real_hosts(works, &[(lan, *new)])
            .and_then(|()| self.bind_all(topology, &wider, lan))
            .and_then(|()| works.set_interfaces(&wider));
        match done {
            Ok(()) => self.rows().put_machine(topology, wider),
            Err(_) => {
                self.unbind_all(&wider, lan);
                self.rows().give_back_interface(new);
            }
        }
        done
    }

    /// The switch knows the interface no more when what answered there goes.
    fn detach(
        &self,
        works: &Works,
        topology: TopologyId,
        decky: DeckyId,
        lan: LanId,
    ) -> Result<(), StepError> {
        let Some(machine) = self.rows().machine(topology, decky) else { return Ok(()) };
        let Some(old) = machine.interface_on(lan) else { return Ok(()) };
        let narrower = machine.detached(lan);
        works.set_interfaces(&narrower)?;
        self.unbind_all(&machine, lan);
        let mut rows = self.rows();
        rows.put_machine(topology, narrower);
        rows.give_back_interface(old);
        Ok(())
    }

    fn set_forwarding(
        &self,
        works: &Works,
        topology: TopologyId,
        row: &Decky,
    ) -> Result<(), StepError> {
        let routed = self.machine(topology, row.id)?.routed(row);
        works.set_interfaces(&routed)?;
        self.rows().put_machine(topology, routed);
        Ok(())
    }

    fn machine(&self, topology: TopologyId, decky: DeckyId) -> Result<Machine, StepError> {
        self.rows().machine(topology, decky).ok_or(StepError::MachineMissing { decky })
    }

    fn check_protected(&self, edge: &Edge) -> Result<(), StepError> {
        let address = edge.address;
        let is_protected = self.config.protected.iter().any(|net| net.contains(&address));
        if is_protected { Err(StepError::Protected { address }) } else { Ok(()) }
    }

    /// Asks the segment for the addresses that are to be taken there.
    fn listen_for_real_hosts(
        &self,
        works: &Works,
        interfaces: &[(LanId, Interface)],
    ) -> Result<(), StepError> {
        let rows = self.rows();
        let outside: Vec<(Mac, Ipv4Addr)> = interfaces
            .iter()
            .filter(|(lan, _)| rows.faces_uplink(*lan))
            .map(|(_, interface)| (interface.mac, interface.address))
            .collect();
        drop(rows);
        let runner = works.runner()?;
        if !self.config.listen_first.is_zero() && !outside.is_empty() {
            runner.probe(UPLINK, outside.clone())?;
            std::thread::sleep(self.config.listen_first);
        }
        let addresses = outside.iter().map(|(_, address)| *address).collect();
        match runner.heard(UPLINK, addresses)?.first() {
            Some((address, mac)) => Err(StepError::RealHost { address: *address, mac: *mac }),
            None => Ok(()),
        }
    }

    fn remove_decky(
        &self,
        works: &Works,
        topology: TopologyId,
        decky: DeckyId,
    ) -> Result<(), StepError> {
        let Some(machine) = self.rows().machine(topology, decky) else { return Ok(()) };
        works.apply(vec![Update::DropMachine(machine.id)])?;
        for service in &machine.open {
            self.unbind(&machine, *service);
        }
        self.host.decky_gone(decky);
        self.rows().remove_machine(topology, decky);
        for service in &machine.open {
            self.leave_gate(machine.class, service.port);
        }
        Ok(())
    }

    fn open(
        &self,
        works: &Works,
        topology: TopologyId,
        decky: DeckyId,
        service: ServiceConfig,
    ) -> Result<(), StepError> {
        let missing = StepError::DeckyMissing { decky, service: service.service };
        let machine = self.rows().machine(topology, decky).ok_or(missing)?;
        if machine.open.contains(&service) {
            return Ok(());
        }
        if self.rows().enter_gate(machine.class, service.port) {
            let opened = works
                .listen(&machine, service)
                .and_then(|listener| self.open_gate(&machine, service, listener));
            if let Err(error) = opened {
                self.rows().leave_gate(machine.class, service.port);
                return Err(error);
            }
        }
        let mut places = machine.places(service.port);
        let mut done = places.try_for_each(|at| self.bind(topology, &machine, service, at));
        drop(places);
        if done.is_ok() {
            let open = machine.open.iter().chain([&service]);
            let ports = open.map(|open| open.port).collect();
            done = works.apply(vec![Update::SetPorts { machine: machine.id, ports }]);
        }
        if let Err(error) = done {
            self.unbind(&machine, service);
            self.leave_gate(machine.class, service.port);
            return Err(error);
        }
        self.rows().opened(topology, decky, service);
        Ok(())
    }

    fn close(
        &self,
        works: &Works,
        topology: TopologyId,
        decky: DeckyId,
        service: ServiceConfig,
    ) -> Result<(), StepError> {
        let machine = self.rows().machine(topology, decky);
        let Some(machine) = machine.filter(|machine| machine.open.contains(&service)) else {
            return Ok(());
        };
        let open = machine.open.iter().filter(|open| **open != service);
        let ports = open.map(|open| open.port).collect();
        works.apply(vec![Update::SetPorts { machine: machine.id, ports }])?;
        self.unbind(&machine, service);
        self.rows().closed(topology, decky, service);
        self.leave_gate(machine.class, service.port);
        Ok(())
    }

    /// All that the machine has open answers on this LAN.
    fn bind_all(
        &self,
        topology: TopologyId,
        machine: &Machine,
        lan: LanId,
    ) -> Result<(), StepError> {
        let Some(interface) = machine.interface_on(lan) else { return Ok(()) };
        let here = |service: &ServiceConfig| (lan, rows::place(interface, service.port));
        machine.open.iter().try_for_each(|s| self.bind(topology, machine, *s, here(s)))
    }

    fn unbind_all(&self, machine: &Machine, lan: LanId) {
        let Some(interface) = machine.interface_on(lan) else { return };
        for service in &machine.open {
            self.host.unbind(gate_tag(machine.class), rows::place(interface, service.port));
        }
    }

    fn bind(
        &self,
        topology: TopologyId,
        machine: &Machine,
        service: ServiceConfig,
        (lan, at): (LanId, SocketAddr),
    ) -> Result<(), StepError> {
        let (tag, decky) = (gate_tag(machine.class), machine.decky.clone());
        let bound = Bound { tag, at, topology, lan, decky, service };
        self.host.bind(bound).map_err(|reason| refused(machine, service, reason))
    }

    fn unbind(&self, machine: &Machine, service: ServiceConfig) {
        for (_, at) in machine.places(service.port) {
            self.host.unbind(gate_tag(machine.class), at);
        }
    }

    fn open_gate(
        &self,
        machine: &Machine,
        service: ServiceConfig,
        listener: TcpListener,
    ) -> Result<(), StepError> {
        let gate = Gate { tag: gate_tag(machine.class), listener };
        self.host.open_gate(gate).map_err(|reason| refused(machine, service, reason))
    }

    fn leave_gate(&self, class: ClassId, port: u16) {
        let is_last = self.rows().leave_gate(class, port);
        if is_last {
            self.host.close_gate(gate_tag(class), port);
        }
    }

    /// The class of this behaviour; it is made when nobody had it before.
    fn class(&self, works: &mut Works, kernel: Kernel) -> Result<ClassId, StepError> {
        let known = works.classes.iter().position(|(known, _)| *known == kernel);
        let index = known.unwrap_or(works.classes.len());
        let id = class_id(index).ok_or(Refusal::Beyond { what: "the number of classes" })?;
        if known.is_none() {
            let failed = |source| StepError::Kernel { what: "make a namespace".into(), source };
            let (class, tap) = Class::new(kernel, self.config.offloads).map_err(failed)?;
            works.runner()?.attach(Side::Class(id), Link::Tap(tap))?;
            works.classes.push((kernel, class));
        }
        Ok(id)
    }

    fn personality(&self, decky: &Decky) -> PersonalityId {
        let draw = self.draw(decky.id, &[b"personality"]);
        self.config.personalities.for_archetype(decky.archetype, draw)
    }

    /// The same on every run, whatever other interfaces the machine has.
    fn draw_mac(&self, decky: &Decky, lan: LanId, nth: u64) -> Mac {
        let personality = self.config.personalities.get(self.personality(decky));
        let draw = || self.draw(decky.id, &[b"mac", lan.uuid().as_bytes(), &nth.to_be_bytes()]);
        match self.config.mac {
            MacChoice::Own => personality.mac(draw()),
            MacChoice::Host(mac) => mac,
        }
    }

    fn draw(&self, decky: DeckyId, purpose: &[&[u8]]) -> u64 {
        let id = decky.uuid();
        seed(&self.config.secret, &[&[b"netns", &id.as_bytes()[..]], purpose].concat())
    }

    /// What to add to the kernel's clock of milliseconds to get the decky's uptime.
    fn clock(&self, decky: &Decky) -> u32 {
        let secret = &self.config.secret;
        let persona = model::Persona::derive(secret, decky.id, &decky.name, decky.archetype);
        let uptime = persona.uptime(self.config.ambient.now()).as_millis() as u32;
        let kernel = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let kernel = (kernel.tv_sec as u64 * 1000 + kernel.tv_nsec as u64 / 1_000_000) as u32;
        uptime.wrapping_sub(kernel)
    }
}

impl Works {
    fn runner(&self) -> Result<&Runner, StepError> {
        self.runner.as_ref().ok_or(StepError::Off)
    }

    /// Changes the table; done when this returns.
    fn apply(&self, updates: Vec<Update>) -> Result<(), StepError> {
        Ok(self.runner()?.apply(updates)??)
    }

    fn set_interfaces(&self, of: &Machine) -> Result<(), StepError> {
        let interfaces = of.switch_interfaces();
        self.apply(vec![Update::SetInterfaces { machine: of.id, interfaces }])
    }

    fn listen(&self, machine: &Machine, config: ServiceConfig) -> Result<TcpListener, StepError> {
        let class = self.classes.get(usize::from(machine.class.0)).ok_or(StepError::Off)?;
        let ServiceConfig { service, port } = config;
        let failed = |source| StepError::Listen { addr: at_home(machine, port), service, source };
        class.1.listen(port).map_err(failed)
    }
}

/// The host did not want to serve it.
fn refused(machine: &Machine, config: ServiceConfig, reason: String) -> StepError {
    let (decky, service, addr) = (machine.decky.id, config.service, at_home(machine, config.port));
    StepError::Host { decky, service, addr, reason }
}

/// Where visitors find the port, on the machine's home LAN.
fn at_home(machine: &Machine, port: u16) -> SocketAddr {
    let address = machine.decky.home().map_or(Ipv4Addr::UNSPECIFIED, |edge| edge.address);
    (address, port).into()
}

impl From<Stopped> for StepError {
    fn from(Stopped: Stopped) -> Self {
        Self::Off
    }
}

impl Driver for Netns {
    fn observe(&self, topology: TopologyId) -> Observed {
        let rows = self.rows();
        let mut observed = Observed::empty(topology);
        if let Some(site) = rows.site(topology) {
            observed.lans =
                site.lans.iter().map(|(id, (lan, _))| (*id, ObservedLan::clone(lan))).collect();
            let seen = |machine: &Machine| {
                let mut seen = ObservedDecky::without_services(&machine.decky);
                seen.services = machine.open.iter().copied().collect();
                seen
            };
            observed.deckies = site.deckies.iter().map(|(id, m)| (*id, seen(m))).collect();
        }
        observed
    }

    fn execute(&self, step: &Step) -> Result<(), StepError> {
        let mut works = self.works();
        works.runner()?;
        match step {
            Step::AddLan { topology, lan } => self.add_lan(&works, *topology, lan),
            Step::RemoveLan { topology, lan } => self.remove_lan(&works, *topology, *lan),
            Step::AddDecky { topology, decky } => self.add_decky(&mut works, *topology, decky),
            Step::RemoveDecky { topology, decky } => self.remove_decky(&works, *topology, *decky),
            Step::AttachDecky { topology, decky, lan } => {
                self.attach(&works, *topology, decky, *lan)
            }
            Step::DetachDecky { topology, decky, lan } => {
                self.detach(&works, *topology, *decky, *lan)
            }
            Step::SetForwarding { topology, decky } => {
                self.set_forwarding(&works, *topology, decky)
            }
            Step::OpenService { topology, decky, service } => {
                self.open(&works, *topology, *decky, *service)
            }
            Step::CloseService { topology, decky, service } => {
                self.close(&works, *topology, *decky, *service)
            }
        }
    }

    fn endpoints(&self, decky: DeckyId) -> Vec<Endpoint> {
        let rows = self.rows();
        let Some(machine) = rows.find(decky) else { return Vec::new() };
        let endpoint = |service: &ServiceConfig, edge: &Edge| Endpoint {
            lan: edge.lan,
            service: service.service,
            port: service.port,
            listening: SocketAddr::new(IpAddr::V4(edge.address), service.port),
        };
        let open = machine.open.iter();
        open.flat_map(|s| machine.decky.edges.iter().map(move |e| endpoint(s, e))).collect()
    }

    fn topologies(&self) -> Vec<TopologyId> {
        self.rows().topologies()
    }
}

/// 64 bits for one purpose.
fn seed(secret: &InstallationSecret, parts: &[&[u8]]) -> u64 {
    let bytes = secret.mac(parts);
    bytes[..8].iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// The tag of a class's gates: no real LAN has the id.
fn gate_tag(class: ClassId) -> LanId {
    LanId::from_parts(Timestamp::from_micros(0), [0, 0, 0, 0, 0, 0, 0, 0, 0, class.0])
}
