//! What each step of a plan does: the rows, the switch and the host, in the order in which no
//! visitor meets something half done.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
};

use maze::Step;
use model::{Decky, DeckyId, Lan, LanId, ServiceConfig, TopologyId};

use super::{
    Netns, UPLINK, gate_tag, helper,
    rows::{self, Machine},
    works::Works,
};
use crate::{
    Bound, Gate, StepError,
    switch::{ClassId, Update},
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
        decky.edges.iter().try_for_each(|edge| self.check_protected(edge))?;
        let nature = self.nature(decky);
        let personality = self.personality(decky, &nature);
        let kernel = self.config.personalities.get(personality).kernel;
        let class = works.class(kernel)?;
        let mac = |lan, nth| self.mac_of(decky, &nature, lan, nth);
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
        row.edge_on(lan).map_or(Ok(()), |edge| self.check_protected(edge))?;
        let nature = self.nature(row);
        let mac = |lan, nth| self.mac_of(row, &nature, lan, nth);
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

    fn machine(&self, topology: TopologyId, decky: DeckyId) -> Result<Machine, StepError> {
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
            self.leave_gate(works, machine.class, service.port);
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
        if self.rows().enter_gate(machine.class, service.port) {
            // The kernel and the host take their time; frames do not wait for them.
            works.give_back();
            let opened = works
                .listen(machine.class, service.port)
                .map_err(helper::or_gone(|source| not_listening(&machine, service, source)))
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
            done = works.apply(Update::SetPorts { machine: machine.id, ports });
        }
        if let Err(error) = done {
            self.unbind(&machine, service);
            self.leave_gate(works, machine.class, service.port);
            return Err(error);
        }
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
        let open = machine.open.iter().filter(|open| **open != service);
        let ports = open.map(|open| open.port).collect();
        works.apply(Update::SetPorts { machine: machine.id, ports })?;
        self.unbind(&machine, service);
        self.rows().closed(topology, decky, service);
        self.leave_gate(works, machine.class, service.port);
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

    fn leave_gate(&self, works: &mut Works, class: ClassId, port: u16) {
        let is_last = self.rows().leave_gate(class, port);
        if is_last {
            works.give_back();
            self.host.close_gate(gate_tag(class), port);
        }
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

/// The kernel did not want to listen.
fn not_listening(machine: &Machine, config: ServiceConfig, source: io::Error) -> StepError {
    let (addr, service) = (at_home(machine, config.port), config.service);
    StepError::Listen { addr, service, source }
}
