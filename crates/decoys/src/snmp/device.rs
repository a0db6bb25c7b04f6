//! What an agent knows about its machine: MIB-II's system, interfaces and ip groups (RFC 1213),
//! and of HOST-RESOURCES-MIB (RFC 2790) the system group or, of a printer, the printer.
//!
//! On a server every figure is the one that its shell shows. Agents that know more exist; this
//! one has a view that shows no more, as administrators configure it.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use model::{Archetype, Persona, Timestamp};

use super::{message::Value, oid::Oid, tree::Tree};
use crate::shell::{calendar::Date, machine::Machine};

const SYSTEM: &[u32] = &[1, 3, 6, 1, 2, 1, 1];
const INTERFACES: &[u32] = &[1, 3, 6, 1, 2, 1, 2];
const IP: &[u32] = &[1, 3, 6, 1, 2, 1, 4];
const HOST: &[u32] = &[1, 3, 6, 1, 2, 1, 25];

const SOFTWARE_LOOPBACK: i32 = 24;
const ETHERNET: i32 = 6;

/// Longest display string of HOST-RESOURCES-MIB.
const MAX_DISPLAY_BYTES: usize = 127;

/// What a module is known by, and what it says of itself.
type Module = (&'static [u32], &'static str);

/// Modules that Net-SNMP 5.9 says it implements.
const MODULES: &[Module] = &[
    (&[1, 3, 6, 1, 6, 3, 10, 3, 1, 1], "The SNMP Management Architecture MIB."),
    (&[1, 3, 6, 1, 6, 3, 11, 3, 1, 1], "The MIB for Message Processing and Dispatching."),
    (
        &[1, 3, 6, 1, 6, 3, 15, 2, 1, 1],
        "The management information definitions for the SNMP User-based Security Model.",
    ),
    (&[1, 3, 6, 1, 6, 3, 1], "The MIB module for SNMPv2 entities"),
    (&[1, 3, 6, 1, 6, 3, 16, 2, 2, 1], "View-based Access Control Model for SNMP."),
    (&[1, 3, 6, 1, 2, 1, 49], "The MIB module for managing TCP implementations"),
    (&[1, 3, 6, 1, 2, 1, 50], "The MIB module for managing UDP implementations"),
    (&[1, 3, 6, 1, 2, 1, 4], "The MIB module for managing IP and ICMP implementations"),
    (
        &[1, 3, 6, 1, 6, 3, 13, 3, 1, 3],
        "The MIB modules for managing SNMP Notification, plus filtering.",
    ),
    (&[1, 3, 6, 1, 2, 1, 92], "The MIB module for logging SNMP Notifications."),
];

const SERVER_PLACES: &[&str] =
    &["Server room", "Rack 2", "Rack B4, unit 17", "Data center 1", "Basement, rack 1"];
const PRINTER_PLACES: &[&str] =
    &["1st floor", "2nd floor, copy room", "Reception", "Room 114", "Warehouse"];

/// Model, its firmware's date, and the network card's number.
const PRINTERS: &[(&str, &str, &str)] = &[
    ("HP LaserJet 400 M401dn", "05/16/2013", "JD153"),
    ("HP LaserJet Pro M402dn", "04/12/2017", "JD155"),
    ("HP LaserJet P3010 Series", "10/21/2010", "JD149"),
    ("HP Color LaserJet CP4525", "06/13/2011", "JD149"),
];
const PRINTER_VENDORS: &[[u8; 3]] = &[[0x3c, 0xd9, 0x2b], [0x9c, 0xb6, 0x54], [0x00, 0x1b, 0x78]];

/// A machine with an agent.
pub(super) struct Device {
    machine: Machine,
    product: Product,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Product {
    NetSnmp,
    JetDirect,
}

impl Product {
    fn of(persona: &Persona) -> Self {
        match persona.archetype {
            Archetype::Printer => Self::JetDirect,
            Archetype::LinuxServer
            | Archetype::WebServer
            | Archetype::DatabaseServer
            | Archetype::FileServer
            | Archetype::DevopsHost
            | Archetype::MonitoringNode => Self::NetSnmp,
        }
    }
}

/// A network interface.
struct Interface {
    index: u32,
    description: String,
    kind: i32,
    mtu: i32,
    speed: u32,
    hardware: Vec<u8>,
    bytes: (u32, u32),
    packets: (u32, u32),
    address: Ipv4Addr,
    mask: Ipv4Addr,
    broadcast: i32,
}

/// Where the machine stands, as its administrator told it.
pub(crate) fn place(persona: &Persona) -> &'static str {
    let places = match Product::of(persona) {
        Product::NetSnmp => SERVER_PLACES,
        Product::JetDirect => PRINTER_PLACES,
    };
    places[persona.draw("snmp.place", places.len() as u64) as usize]
}

/// Whom to ask about the machine.
pub(crate) fn contact(persona: &Persona) -> String {
    format!("IT <it@{}>", persona.domain)
}

impl Device {
    pub(super) fn new(persona: Arc<Persona>, address: IpAddr, peer: IpAddr) -> Self {
        let product = Product::of(&persona);
        let booted_at = persona.booted_at;
        Self { machine: Machine::new(persona, address, peer, String::new(), booted_at), product }
    }

    /// All variables at `now`.
    pub(super) fn tree(&self, now: Timestamp) -> Tree {
        let mut tree = Tree::default();
        let interfaces = self.interfaces(now);
        self.system(now, &mut tree);
        add_interfaces(&interfaces, &mut tree);
        self.ip(now, &interfaces, &mut tree);
        match self.product {
            Product::NetSnmp => self.host(now, &mut tree),
            Product::JetDirect => self.printer(now, &mut tree),
        }
        tree
    }

    fn persona(&self) -> &Persona {
        &self.machine.persona
    }

    fn pick<T: Copy>(&self, label: &str, list: &[T]) -> T {
        list[self.persona().draw(label, list.len() as u64) as usize]
    }

    fn description(&self) -> String {
        let persona = self.persona();
        match self.product {
            Product::NetSnmp => format!(
                "Linux {} {} {} x86_64",
                persona.host_name, persona.kernel_release, persona.kernel_version
            ),
            Product::JetDirect => {
                let (_, date, card) = self.pick("snmp.printer", PRINTERS);
                let firmware = 10 + persona.draw("snmp.firmware", 80);
                format!(
                    "HP ETHERNET MULTI-ENVIRONMENT,ROM none,JETDIRECT,{card},\
                     EEPROM V.36.{firmware},CIDATE {date}"
                )
            }
        }
    }

    /// When the agent started: moments after the machine.
    fn agent_uptime(&self, now: Timestamp) -> Duration {
        let started = Duration::from_millis(6_000 + self.persona().draw("snmp.started", 9_000));
        self.machine.uptime(now).saturating_sub(started)
    }

    fn system(&self, now: Timestamp, tree: &mut Tree) {
        let persona = self.persona();
        let (object_id, services): (&[u32], _) = match self.product {
            Product::NetSnmp => (&[1, 3, 6, 1, 4, 1, 8072, 3, 2, 10], 72),
            Product::JetDirect => (&[1, 3, 6, 1, 4, 1, 11, 2, 3, 9, 1], 64),
        };
        let mut add = |number, value| tree.scalar(&Oid::new(SYSTEM).with(&[number]), value);
        add(1, text(&self.description()));
        add(2, Value::Oid(Oid::new(object_id)));
        add(3, Value::Ticks(ticks(self.agent_uptime(now))));
        add(4, text(&contact(persona)));
        add(5, text(&persona.host_name));
        add(6, text(place(persona)));
        add(7, Value::Integer(services));
        if self.product == Product::NetSnmp {
            let registered = Value::Ticks(1 + persona.draw("snmp.registered", 4) as u32);
            add(8, registered.clone());
            let table = Oid::new(SYSTEM).with(&[9, 1]);
            let rows = |value: &dyn Fn(&Module) -> Value| {
                let rows = (1..).zip(MODULES).map(|(index, module)| (vec![index], value(module)));
                rows.collect::<Vec<_>>()
            };
            tree.column(&table.with(&[2]), rows(&|(id, _)| Value::Oid(Oid::new(id))));
            tree.column(&table.with(&[3]), rows(&|(_, about)| text(about)));
            tree.column(&table.with(&[4]), rows(&|_| registered.clone()));
        }
    }

    fn interfaces(&self, now: Timestamp) -> Vec<Interface> {
        let traffic = self.machine.traffic(now);
        let card = Interface {
            index: 1,
            description: self.description(),
            kind: ETHERNET,
            mtu: 1500,
            speed: 100_000_000,
            hardware: self.hardware(),
            bytes: (traffic.bytes_in as u32, traffic.bytes_out as u32),
            packets: (traffic.packets_in as u32, traffic.packets_out as u32),
            address: self.address(),
            mask: Ipv4Addr::new(255, 255, 255, 0),
            broadcast: 1,
        };
        if self.product == Product::JetDirect {
            return vec![card];
        }
        let (description, speed) = match self.machine.interface() {
            // Ten gigabits do not fit.
            "ens192" => ("VMware VMXNET3 Ethernet Controller", u32::MAX),
            // The driver of virtual machines knows no speed.
            _ => ("Red Hat, Inc. Virtio network device", 0),
        };
        let card = Interface { index: 2, description: description.into(), speed, ..card };
        let (bytes, packets) = self.machine.loopback_traffic();
        let loopback = Interface {
            index: 1,
            description: "lo".into(),
            kind: SOFTWARE_LOOPBACK,
            mtu: 65_536,
            speed: 10_000_000,
            hardware: Vec::new(),
            bytes: (bytes, bytes),
            packets: (packets, packets),
            address: Ipv4Addr::LOCALHOST,
            mask: Ipv4Addr::new(255, 0, 0, 0),
            broadcast: 0,
        };
        vec![loopback, card]
    }

    fn hardware(&self) -> Vec<u8> {
        match self.product {
            Product::NetSnmp => {
                let text = self.machine.mac();
                text.split(':').filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
            }
            Product::JetDirect => {
                let vendor = self.pick("snmp.vendor", PRINTER_VENDORS);
                [&vendor[..], &self.persona().seed("snmp.mac")[..3]].concat()
            }
        }
    }

    fn address(&self) -> Ipv4Addr {
        match self.machine.address {
            IpAddr::V4(address) => address,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        }
    }

    fn gateway(&self) -> Ipv4Addr {
        self.machine.gateway().parse().unwrap_or(Ipv4Addr::UNSPECIFIED)
    }

    fn ip(&self, now: Timestamp, interfaces: &[Interface], tree: &mut Tree) {
        let traffic = self.machine.traffic(now);
        let (received, sent) = (traffic.packets_in as u32, traffic.packets_out as u32);
        for number in 1..=19 {
            let value = match number {
                1 => Value::Integer(2),
                2 => Value::Integer(64),
                3 | 9 => Value::Counter(received),
                10 => Value::Counter(sent),
                13 => Value::Integer(0),
                _ => Value::Counter(0),
            };
            tree.scalar(&Oid::new(IP).with(&[number]), value);
        }
        tree.scalar(&Oid::new(IP).with(&[23]), Value::Counter(0));
        let addresses = Oid::new(IP).with(&[20, 1]);
        let mut add = |number, value: &dyn Fn(&Interface) -> Value| {
            let rows = interfaces.iter().map(|i| (numbers(i.address), value(i)));
            tree.column(&addresses.with(&[number]), rows);
        };
        add(1, &|i| Value::Address(i.address.octets()));
        add(2, &|i| Value::Integer(i.index as i32));
        add(3, &|i| Value::Address(i.mask.octets()));
        add(4, &|i| Value::Integer(i.broadcast));
        self.routes(interfaces, tree);
    }

    /// The default route and that of the LAN.
    fn routes(&self, interfaces: &[Interface], tree: &mut Tree) {
        let index = interfaces.last().map_or(1, |card| card.index as i32);
        let [a, b, c, _] = self.address().octets();
        let lan = Ipv4Addr::new(a, b, c, 0);
        let (none, mask) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(255, 255, 255, 0));
        // Destination, metric, next hop, type (direct or indirect), mask.
        let routes = [(none, 1, self.gateway(), 4, none), (lan, 0, none, 3, mask)];
        let table = Oid::new(IP).with(&[21, 1]);
        for number in [1, 2, 3, 7, 8, 9, 11, 13] {
            let rows = routes.map(|(destination, metric, hop, kind, mask)| {
                let value = match number {
                    1 => Value::Address(destination.octets()),
                    2 => Value::Integer(index),
                    3 => Value::Integer(metric),
                    7 => Value::Address(hop.octets()),
                    8 => Value::Integer(kind),
                    9 => Value::Integer(2),
                    11 => Value::Address(mask.octets()),
                    _ => Value::Oid(Oid::new(&[0, 0])),
                };
                (numbers(destination), value)
            });
            tree.column(&table.with(&[number]), rows);
        }
    }

    /// `hrSystem` of a server.
    fn host(&self, now: Timestamp, tree: &mut Tree) {
        let processes = self.machine.residents().len() as u32;
        let parameters = self.machine.boot_parameters();
        let mut add = |number, value| tree.scalar(&Oid::new(HOST).with(&[1, number]), value);
        add(1, Value::Ticks(ticks(self.machine.uptime(now))));
        add(2, Value::Octets(date_and_time(now)));
        add(3, Value::Integer(393_216));
        add(4, text(&parameters[..parameters.len().min(MAX_DISPLAY_BYTES)]));
        add(5, Value::Gauge(0));
        add(6, Value::Gauge(processes));
        add(7, Value::Integer(0));
    }

    /// The uptime and the one device of a printer, which is idle and well.
    fn printer(&self, now: Timestamp, tree: &mut Tree) {
        let (model, ..) = self.pick("snmp.printer", PRINTERS);
        tree.scalar(&Oid::new(HOST).with(&[1, 1]), Value::Ticks(ticks(self.machine.uptime(now))));
        let mut add = |column: &[u32], value| {
            tree.column(&Oid::new(HOST).with(&[3]).with(column), [(vec![1], value)]);
        };
        add(&[2, 1, 1], Value::Integer(1));
        add(&[2, 1, 2], Value::Oid(Oid::new(HOST).with(&[3, 1, 5])));
        add(&[2, 1, 3], text(model));
        add(&[2, 1, 4], Value::Oid(Oid::new(&[0, 0])));
        add(&[2, 1, 5], Value::Integer(2));
        add(&[2, 1, 6], Value::Counter(0));
        add(&[5, 1, 1], Value::Integer(3));
        add(&[5, 1, 2], Value::Octets(vec![0]));
    }
}

/// `ifTable`. Whatever is not said is 0: no errors, nothing dropped, no change since the start.
fn add_interfaces(interfaces: &[Interface], tree: &mut Tree) {
    tree.scalar(&Oid::new(INTERFACES).with(&[1]), Value::Integer(interfaces.len() as i32));
    for number in 1..=22 {
        let value = |i: &Interface| match number {
            1 => Value::Integer(i.index as i32),
            2 => text(&i.description),
            3 => Value::Integer(i.kind),
            4 => Value::Integer(i.mtu),
            5 => Value::Gauge(i.speed),
            6 => Value::Octets(i.hardware.clone()),
            7 | 8 => Value::Integer(1),
            9 => Value::Ticks(0),
            10 => Value::Counter(i.bytes.0),
            11 => Value::Counter(i.packets.0),
            16 => Value::Counter(i.bytes.1),
            17 => Value::Counter(i.packets.1),
            21 => Value::Gauge(0),
            22 => Value::Oid(Oid::new(&[0, 0])),
            _ => Value::Counter(0),
        };
        let rows = interfaces.iter().map(|i| (vec![i.index], value(i)));
        tree.column(&Oid::new(INTERFACES).with(&[2, 1, number]), rows);
    }
}

fn text(text: &str) -> Value {
    Value::Octets(text.as_bytes().to_vec())
}

fn numbers(address: Ipv4Addr) -> Vec<u32> {
    address.octets().map(u32::from).to_vec()
}

/// Hundredths of a second; they begin again after 497 days.
fn ticks(up: Duration) -> u32 {
    (up.as_millis() / 10) as u32
}

/// `DateAndTime` of SNMPv2-TC, in UTC.
fn date_and_time(now: Timestamp) -> Vec<u8> {
    let date = Date::of(now);
    let [high, low] = (date.year as u16).to_be_bytes();
    let fields =
        [date.month, date.day, date.hour, date.minute, date.second].map(|field| field as u8);
    [&[high, low][..], &fields, &[0, b'+', 0, 0]].concat()
}
