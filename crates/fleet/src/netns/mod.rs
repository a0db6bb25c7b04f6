//! Real machines on a real segment, without a kernel object for any of them: each decky is a row
//! in the switch, each class of kernel behaviour a namespace, each port of a class a socket.
//!
//! Owns the namespaces, the uplink, the switch's thread and what stands where; connections
//! belong to the [`DecoyHost`]. Everything goes with the process, however it ends: namespaces,
//! TAPs and sockets have no names. A restart finds an empty network and plans it anew. The kill
//! switch drops all of it at once; the next deployment takes the uplink again.
//!
//! Egress is denied twice: by the switch, and by a filter on the only link of each namespace.

mod asking;
mod class;
mod config;
mod data;
pub mod helper;
mod link;
mod nature;
mod powers;
mod rows;
mod runner;
mod steps;
mod sys;
mod watch;
mod works;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use maze::{Observed, Step};
use model::{
    Decky, DeckyId, Edge, InstallationSecret, LanId, Persona, ServiceConfig, Timestamp, TopologyId,
    TypedId as _,
};

use self::{
    asking::Answers,
    helper::Helper,
    nature::Nature,
    powers::Powers,
    rows::{Machine, Rows},
    runner::{Mend, Runner},
    works::{Turn, Works},
};
pub use self::{
    config::{MacChoice, NetnsConfig, NetnsError, Report, Uplink},
    data::{DATA_PORTS, DataPorts},
    powers::Reach,
};
use crate::{
    DecoyHost, Driver, Endpoint, FailedStep, StepError,
    switch::{ClassId, Contested, Count, Mac, PersonalityId, Side, Switch, UplinkId},
};

/// The one uplink that there is now.
const UPLINK: UplinkId = UplinkId(0);
/// After as many steps frames have their turn: within a millisecond.
const STEPS_IN_ONE_GO: usize = 512;

/// Deckies on a real segment.
pub struct Netns {
    config: NetnsConfig,
    host: Arc<dyn DecoyHost>,
    /// Held over all that is done at once: one at a time changes the network.
    works: Mutex<Works>,
    /// Held only to look or to write down, so that observing never waits for a host.
    rows: Mutex<Rows>,
    data_ports: DataPorts,
    /// Held only to look or to write down.
    answers: Mutex<Answers>,
    /// Written by the switch's thread, held only to look or to write down.
    contested: Arc<Mutex<Contests>>,
}

/// Addresses of deckies on the uplink that real hosts have, too, and whose they are.
type Contests = BTreeMap<Ipv4Addr, Mac>;

impl Netns {
    /// Takes the uplink and starts the switch. No decky is there yet. What needs privilege is
    /// done by this process.
    ///
    /// # Errors
    /// Where the uplink cannot be had, for want of root for example.
    pub fn new(config: NetnsConfig, host: Arc<dyn DecoyHost>) -> Result<Self, NetnsError> {
        let powers = Powers::own(config.reach());
        Self::with(config, host, powers)
    }

    /// The same with a helper that does what needs privilege; its reach is the configuration's.
    ///
    /// # Errors
    /// Where the uplink cannot be had.
    pub fn with_helper(
        config: NetnsConfig,
        host: Arc<dyn DecoyHost>,
        helper: Helper,
    ) -> Result<Self, NetnsError> {
        Self::with(config, host, Powers::helped(helper))
    }

    fn with(
        config: NetnsConfig,
        host: Arc<dyn DecoyHost>,
        powers: Powers,
    ) -> Result<Self, NetnsError> {
        let data_ports = DataPorts::new(seed(&config.secret, &[b"data ports"]));
        let (works, rows) = (Mutex::new(Works::new(powers)), Mutex::default());
        let (answers, contested) = (Mutex::default(), Arc::default());
        let netns = Self { config, host, works, rows, data_ports, answers, contested };
        netns.switch_on(&mut netns.works())?;
        Ok(netns)
    }

    /// Takes the uplink and starts the switch, with nobody behind it.
    fn switch_on(&self, works: &mut Works) -> Result<(), NetnsError> {
        let Self { config, host, .. } = self;
        let named = || config.uplink.to_string();
        let uplink = works.powers().uplink();
        let uplink = uplink.map_err(|source| NetnsError::Uplink { uplink: named(), source })?;
        let no_mac = |source| NetnsError::NoMac { uplink: named(), source };
        let card = config.uplink.card().map_err(no_mac)?;
        let shared_mac = match config.mac {
            MacChoice::Own => None,
            MacChoice::Host => Some(card.mac().map_err(no_mac)?),
        };
        let uplink = config.uplink.link(uplink, config.offloads);
        let seed = seed(&config.secret, &[b"switch"]);
        let switch = Switch::new(config.personalities.clone(), seed);
        let switch = switch.expecting(self.data_ports.guests());
        let (noted, warned) = (self.contested.clone(), host.clone());
        let contested = Box::new(move |news: &[Contested]| note_contests(&noted, &*warned, news));
        let affected = host.clone();
        let failed = Box::new(move |why: &str| affected.network_failed(why));
        let runner = Runner::start(switch, contested, failed).map_err(NetnsError::Switch)?;
        let (way, headers, told) = (config.uplink.clone(), config.offloads, host.clone());
        let again = works.powers().clone();
        let mend = Mend {
            open: Box::new(move || way.link(again.uplink()?, headers).if_up()),
            tell: Box::new(move |is_there| told.uplink_changed(is_there)),
        };
        runner
            .attach(Side::Uplink(UPLINK), uplink, Some(mend))
            .map_err(|error| NetnsError::Switch(io::Error::other(error)))?;
        works.switch_on(runner, card, shared_mac);
        Ok(())
    }

    /// The kill switch took everything; whoever brings a LAN gets the switch back.
    fn switch_on_for(&self, works: &mut Works, steps: &[Step]) -> Result<(), StepError> {
        let brings = |step: &Step| matches!(step, Step::AddLan { .. });
        if !works.is_off() || !steps.iter().any(brings) {
            return Ok(());
        }
        self.switch_on(works).map_err(|error| {
            let what = error.to_string();
            let source = match error {
                NetnsError::Uplink { source, .. }
                | NetnsError::NoMac { source, .. }
                | NetnsError::Switch(source) => source,
            };
            helper::or_gone(|source| StepError::SwitchedOff { what, source })(source)
        })
    }

    /// What the switch did since it was last switched on; `None` while it is off.
    pub fn report(&self) -> Option<Report> {
        let mut works = self.works();
        let switch = works.switch().ok()?;
        let count = |what: &Count| (what.as_str(), switch.counters().get(*what));
        let (counts, connections) = (Count::ALL.iter().map(count).collect(), switch.flows());
        Some(Report { counts, connections })
    }

    /// The namespaces of the classes, to look into them.
    ///
    /// # Errors
    /// Where no descriptor is left, and with a helper: it keeps them to itself.
    pub fn namespaces(&self) -> io::Result<Vec<OwnedFd>> {
        self.works().namespaces()
    }

    /// The hardware address of a decky on a LAN.
    pub fn mac(&self, decky: DeckyId, lan: LanId) -> Option<Mac> {
        let rows = self.rows();
        Some(rows.find(decky)?.interface_on(lan)?.mac)
    }

    fn works(&self) -> Turn<'_> {
        Turn(self.works.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nature(&self, decky: &Decky) -> Nature {
        Nature::of(&self.config.secret, decky.id)
    }

    fn personality(&self, decky: &Decky, nature: &Nature) -> PersonalityId {
        self.config.personalities.for_archetype(decky.archetype, nature.system)
    }

    fn own_mac(&self, decky: &Decky, nature: &Nature, lan: LanId, nth: u64) -> Mac {
        let personality = self.config.personalities.get(self.personality(decky, nature));
        personality.mac(nature.mac(lan, nth))
    }

    /// What to add to the kernel's clock of milliseconds to get the decky's uptime.
    fn clock(&self, decky: &Decky) -> u32 {
        let booted_at = Persona::booted_at(&self.config.secret, decky.id);
        let uptime = self.config.ambient.now().since(booted_at).as_millis() as u32;
        let kernel = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let kernel = (kernel.tv_sec as u64 * 1000 + kernel.tv_nsec as u64 / 1_000_000) as u32;
        uptime.wrapping_sub(kernel)
    }
}

impl Driver for Netns {
    fn observe(&self, topology: TopologyId) -> Observed {
        self.rows().observed(topology, None)
    }

    fn observe_some(&self, topology: TopologyId, deckies: &BTreeSet<DeckyId>) -> Observed {
        self.rows().observed(topology, Some(deckies))
    }

    fn execute(&self, step: &Step) -> Result<(), StepError> {
        self.execute_all(std::slice::from_ref(step)).map_err(|failed| failed.error)
    }

    fn prepare(&self, steps: &[Step]) {
        self.ask(steps);
    }

    fn execute_all(&self, steps: &[Step]) -> Result<(), FailedStep> {
        let on = self.switch_on_for(&mut self.works(), steps);
        on.map_err(|error| FailedStep { at: 0, error })?;
        self.ask(steps);
        let mut works = self.works();
        let done = steps.iter().enumerate().try_for_each(|(at, step)| {
            if at % STEPS_IN_ONE_GO == 0 {
                works.give_back();
            }
            self.step(&mut works, step).map_err(|error| FailedStep { at, error })
        });
        works.take_gone().into_iter().for_each(|decky| self.host.decky_gone(decky));
        done
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

    /// The uplink, the namespaces and their TAPs go first, all at once: from then on nothing
    /// answers and nothing gets out, whatever becomes of the rest.
    fn panic(&self) -> Vec<StepError> {
        let mut works = self.works();
        let left = works.switch_off().err();
        self.forget_answers();
        locked(&self.contested).clear();
        let gone = std::mem::take(&mut *self.rows());
        for machine in gone.machines() {
            machine.open.iter().for_each(|service| self.unbind(machine, *service));
            self.host.decky_gone(machine.decky.id);
        }
        for (class, transport, port) in gone.gates() {
            self.host.close_gate(gate_tag(class), transport, port);
        }
        left.into_iter().collect()
    }

    fn troubles(&self, topology: TopologyId) -> Vec<(DeckyId, String)> {
        let contested = locked(&self.contested).clone();
        let rows = self.rows();
        let Some(site) = rows.site(topology).filter(|_| !contested.is_empty()) else {
            return Vec::new();
        };
        let trouble = |machine: &Machine| {
            let outside = machine.interfaces.iter().filter(|(lan, _)| rows.faces_uplink(*lan));
            let mut addresses = outside.map(|(_, interface)| interface.address);
            let (address, mac) = addresses.find_map(|at| contested.get_key_value(&at))?;
            Some(format!(
                "a real host ({mac}) has {address}, too: the decky does not answer for it until \
                 the host is silent; take the host off the segment, or give the decky another \
                 address"
            ))
        };
        site.deckies.iter().filter_map(|(id, m)| Some((*id, trouble(m)?))).collect()
    }

    fn figures(&self) -> Vec<(String, u64)> {
        let Some(report) = self.report() else { return Vec::new() };
        let total = |(name, count)| (format!("{name}_total"), count);
        let now = [("connections".to_owned(), report.connections as u64)];
        report.counts.into_iter().map(total).chain(now).collect()
    }
}

/// Takes note of real hosts that came to addresses of deckies and left them, and says so.
fn note_contests(contests: &Mutex<Contests>, host: &dyn DecoyHost, news: &[Contested]) {
    for Contested { address, by, is_over, .. } in news {
        match is_over {
            true => locked(contests).remove(address),
            false => locked(contests).insert(*address, *by),
        };
        host.address_contested(*address, *by, *is_over);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
