//! What each step of a plan does: the rows, the switch and the host, in the order in which no
//! visitor meets something half done.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use maze::Step;
use model::{Decky, DeckyId, Lan, LanId, Service, ServiceConfig, TopologyId, Transport};

use super::{
    Netns, UPLINK, gate_tag, helper,
    rows::{self, GateId, Machine},
    works::Works,
};
use crate::{
    Bound, Gate, Listener, StepError,
    switch::{ClassId, Ports, Update},
};

impl Netns {
    /// Does one step; nothing of it remains where it fails.
    pub(super) fn step(&self, works: &mut Works, step: &Step) -> Result<(), StepError> {
        match step {
            Step::AddLan { topology, lan } => self.add_lan(works, *topology, lan),
            Step::RemoveLan { topology, lan } => self.remove_lan(works, *topology, *lan),
            Step::AddDecky { topology, decky } => self.add_decky(works, *topology, decky),
            Step::RemoveDecky { topology, decky } => self.remove_decky(works, *topology, *decky),
            Step::AttachDecky { topology, decky, lan } => {
                self.attach(works, *topology, decky, *lan)
            }
            Step::DetachDecky { topology, decky, lan } => {
                self.detach(works, *topology, *decky, *lan)
            }
            Step::SetForwarding { topology, decky } => self.set_forwarding(works, *topology, decky),
            Step::OpenService { topology, decky, service } => {
                self.open(works, *topology, *decky, *service)
            }
            Step::CloseService { topology, decky, service } => {
                self.close(works, *topology, *decky, *service)
            }
        }
    }

    fn add_lan(&self, works: &mut Works, topology: TopologyId, lan: &Lan) -> Result<(), StepError> {
        let Some(segment) = self.rows().segment_for(topology, lan)? else { return Ok(()) };
        let uplink = lan.is_dmz.then_some(UPLINK);
        works.apply(Update::PutSegment { segment, subnet: lan.subnet, uplink })?;
        self.rows().add_lan(topology, lan, segment);
        Ok(())
    }

    fn remove_lan(
        &self,
        works: &mut Works,
        topology: TopologyId,
        lan: LanId,
    ) -> Result<(), StepError> {
        let segment = self.rows().removable(topology, lan)?;
        if let Some(segment) = segment {
            works.apply(Update::DropSegment(segment))?;
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
        decky.edges.iter().try_for_each(|edge| self.check_protected(works, edge))?;
        let nature = self.nature(decky);
        let personality = self.personality(decky, &nature);
        let kernel = self.config.personalities.get(personality).kernel;
        let class = works.class(kernel)?;
        let shared = works.shared_mac();
        let mac = |lan, nth| shared.unwrap_or_else(|| self.own_mac(decky, &nature, lan, nth));
        let machine = self.rows().new_machine(topology, decky, class, mac)?;
        let row = machine.row(personality, self.clock(decky), nature.seed);
        let done = self
            .check_real_hosts(works, &machine.interfaces)
            .and_then(|()| works.apply(Update::PutMachine(row)));
        match done {
            Ok(()) => {
                works.came(self.outside(&machine.interfaces));
                self.rows().put_machine(topology, machine);
            }
            Err(_) => self.rows().give_back(&machine),
        }
        done
    }

    /// One more interface for a machine that is there, where all answers that answers elsewhere;
    /// all of it, or nothing.
    fn attach(
        &self,
        works: &mut Works,
        topology: TopologyId,
        row: &Decky,
        lan: LanId,
    ) -> Result<(), StepError> {
        let machine = self.machine(topology, row.id)?;
        if machine.interface_on(lan).is_some() {
            return Ok(());
        }
        row.edge_on(lan).map_or(Ok(()), |edge| self.check_protected(works, edge))?;
        let nature = self.nature(row);
        let shared = works.shared_mac();
        let mac = |lan, nth| shared.unwrap_or_else(|| self.own_mac(row, &nature, lan, nth));
        let wider = self.rows().attached(topology, &machine, (row, lan), mac)?;
        let Some(new) = wider.interface_on(lan) else { return Ok(()) };
        let done = self
            .check_real_hosts(works, &[(lan, *new)])
            .and_then(|()| self.bind_all(topology, &wider, lan))
            .and_then(|()| works.set_interfaces(&wider));
        match done {
            Ok(()) => {
                works.came(self.outside(&[(lan, *new)]));
                self.rows().put_machine(topology, wider);
            }
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
        works: &mut Works,
        topology: TopologyId,
        decky: DeckyId,
        lan: LanId,
    ) -> Result<(), StepError> {
        let Some(machine) = self.rows().machine(topology, decky) else { return Ok(()) };
        let Some(old) = machine.interface_on(lan) else { return Ok(()) };
        let narrower = machine.detached(lan);
        works.set_interfaces(&narrower)?;
        self.unbind_all(&machine, lan);
        // Nothing passes there any more, not even an end; frames do not wait for the host.
        works.give_back();
        self.host.interface_gone(decky, lan);
        let mut rows = self.rows();
        rows.put_machine(topology, narrower);
        rows.give_back_interface(old);
        Ok(())
    }

    fn set_forwarding(
        &self,
        works: &mut Works,
        topology: TopologyId,
        row: &Decky,
    ) -> Result<(), StepError> {
        let routed = self.machine(topology, row.id)?.routed(row);
        works.set_interfaces(&routed)?;
        self.rows().put_machine(topology, routed);
        Ok(())
    }

    fn machine(&self, topology: TopologyId, decky: DeckyId) -> Result<Arc<Machine>, StepError> {
        self.rows().machine(topology, decky).ok_or(StepError::MachineMissing { decky })
    }

    fn remove_decky(
        &self,
        works: &mut Works,
        topology: TopologyId,
        decky: DeckyId,
    ) -> Result<(), StepError> {
        let Some(machine) = self.rows().machine(topology, decky) else { return Ok(()) };
        works.apply(Update::DropMachine(machine.id))?;
        for service in &machine.open {
            self.unbind(&machine, *service);
        }
        works.went(decky);
        self.rows().remove_machine(topology, decky);
        for service in &machine.open {
            self.leave_gates(works, machine.class, *service);
        }
        Ok(())
    }

    fn open(
        &self,
        works: &mut Works,
        topology: TopologyId,
        decky: DeckyId,
        service: ServiceConfig,
    ) -> Result<(), StepError> {
        let missing = StepError::DeckyMissing { decky, service: service.service };
        let machine = self.rows().machine(topology, decky).ok_or(missing)?;
        if machine.open.contains(&service) {
            return Ok(());
        }
        self.enter_gates(works, &machine, service)?;
        let mut places = machine.places(service.port);
        let mut done = places.try_for_each(|at| self.bind(topology, &machine, service, at));
        drop(places);
        if done.is_ok() {
            let ports = ports(machine.open.iter().chain([&service]));
            done = works.apply(Update::SetPorts { machine: machine.id, ports });
        }
        if let Err(error) = done {
            self.unbind(&machine, service);
            self.leave_gates(works, machine.class, service);
            return Err(error);
        }
        // The last to hold it but the row.
        drop(machine);
        self.rows().opened(topology, decky, service);
        Ok(())
    }

    fn close(
        &self,
        works: &mut Works,
        topology: TopologyId,
        decky: DeckyId,
        service: ServiceConfig,
    ) -> Result<(), StepError> {
        let machine = self.rows().machine(topology, decky);
        let Some(machine) = machine.filter(|machine| machine.open.contains(&service)) else {
            return Ok(());
        };
        let ports = ports(machine.open.iter().filter(|open| **open != service));
        works.apply(Update::SetPorts { machine: machine.id, ports })?;
        self.unbind(&machine, service);
        let class = machine.class;
        // The last to hold it but the row.
        drop(machine);
        self.rows().closed(topology, decky, service);
        self.leave_gates(works, class, service);
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
            let (tag, transport) = (gate_tag(machine.class), service.service.transport());
            self.host.unbind(tag, transport, rows::place(interface, service.port));
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

    pub(super) fn unbind(&self, machine: &Machine, service: ServiceConfig) {
        for (_, at) in machine.places(service.port) {
            self.host.unbind(gate_tag(machine.class), service.service.transport(), at);
        }
    }

    /// Opens those gates of a service that nobody else in the class has: at its own port, and for
    /// its second connections. All of them, or none.
    fn enter_gates(
        &self,
        works: &mut Works,
        machine: &Machine,
        service: ServiceConfig,
    ) -> Result<(), StepError> {
        let own = gate(machine.class, service);
        self.enter_gate(works, machine, service, own)?;
        let done = match service.service {
            Service::Ftp => self.enter_data_gates(works, machine, service),
            _ => Ok(()),
        };
        if done.is_err() {
            self.leave_gate(works, own);
        }
        done
    }

    /// The services with second connections in a class have the gates for them in common.
    fn enter_data_gates(
        &self,
        works: &mut Works,
        machine: &Machine,
        service: ServiceConfig,
    ) -> Result<(), StepError> {
        let class = machine.class;
        let is_first = self.rows().enter_data(class);
        if !is_first {
            return Ok(());
        }
        self.host.data_ports(gate_tag(class), self.data_ports.clone());
        for (entered, port) in self.data_ports.range().enumerate() {
            let of = ServiceConfig { port, ..service };
            if let Err(error) = self.enter_gate(works, machine, of, gate(class, of)) {
                let ports = self.data_ports.range().take(entered);
                ports.for_each(|port| self.leave_gate(works, (class, Transport::Tcp, port)));
                self.rows().leave_data(class);
                return Err(error);
            }
        }
        Ok(())
    }

    fn enter_gate(
        &self,
        works: &mut Works,
        machine: &Machine,
        service: ServiceConfig,
        gate: GateId,
    ) -> Result<(), StepError> {
        let is_first = self.rows().enter_gate(gate);
        if !is_first {
            return Ok(());
        }
        // The kernel and the host take their time; frames do not wait for them.
        works.give_back();
        let opened = works
            .listen(gate)
            .map_err(helper::or_gone(|source| not_listening(machine, service, source)))
            .and_then(|listener| self.open_gate(machine, service, listener));
        if opened.is_err() {
            self.rows().leave_gate(gate);
        }
        opened
    }

    fn open_gate(
        &self,
        machine: &Machine,
        service: ServiceConfig,
        listener: Listener,
    ) -> Result<(), StepError> {
        let gate = Gate { tag: gate_tag(machine.class), listener };
        self.host.open_gate(gate).map_err(|reason| refused(machine, service, reason))
    }

    fn leave_gates(&self, works: &mut Works, class: ClassId, service: ServiceConfig) {
        self.leave_gate(works, gate(class, service));
        if service.service == Service::Ftp && self.rows().leave_data(class) {
            let ports = self.data_ports.range();
            ports.for_each(|port| self.leave_gate(works, (class, Transport::Tcp, port)));
        }
    }

    fn leave_gate(&self, works: &mut Works, gate: GateId) {
        let is_last = self.rows().leave_gate(gate);
        if is_last {
            let (class, transport, port) = gate;
            works.give_back();
            self.host.close_gate(gate_tag(class), transport, port);
        }
    }
}

/// The gate at a service's port.
fn gate(class: ClassId, service: ServiceConfig) -> GateId {
    (class, service.service.transport(), service.port)
}

/// Which ports the switch lets visitors through to.
fn ports<'a>(open: impl Iterator<Item = &'a ServiceConfig>) -> Ports {
    let mut ports = Ports::default();
    for config in open {
        match config.service.transport() {
            Transport::Tcp => ports.tcp.push(config.port),
            Transport::Udp => ports.udp.push(config.port),
        }
    }
    ports
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

/// The kernel did not want to listen.
fn not_listening(machine: &Machine, config: ServiceConfig, source: io::Error) -> StepError {
    let (addr, service) = (at_home(machine, config.port), config.service);
    StepError::Listen { addr, service, source }
}
