//! A topology as a document: what `export` writes and `import` reads, by names, without ids.
//!
//! Everything is text here, so that a document that a person has written is told all that is
//! wrong with it at once, in the codes of the rules.

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc, time::Duration};

use ipnet::Ipv4Net;
use model::{
    Ambient, Archetype, Decky, Edge, Lan, Name, Position, Service, ServiceConfig, Topology,
};
use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::{
    MAX_DECKIES, MAX_LANS, Violation, ViolationCode, allocate, apply::in_order, validate,
    violation::Findings,
};

/// The format that is written here.
pub const FORMAT: u32 = 1;

/// A topology.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Of the document; [`FORMAT`].
    pub format: u32,
    /// Of the topology.
    pub name: String,
    /// Seconds between scheduled rotations of deckies without an interval of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_every_seconds: Option<u64>,
    /// Its LANs.
    #[serde(default)]
    pub lans: Vec<LanDocument>,
    /// Its deckies.
    #[serde(default)]
    pub deckies: Vec<DeckyDocument>,
}

/// A LAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanDocument {
    /// Unique.
    pub name: String,
    /// CIDR; allocated where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// Whether it faces the outside.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_dmz: bool,
    /// Where the console draws it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
}

/// A decky.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeckyDocument {
    /// Unique.
    pub name: String,
    /// What it pretends to be; `linux-server` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archetype: Option<String>,
    /// Its interfaces; the first is on its home LAN.
    #[serde(default)]
    pub interfaces: Vec<InterfaceDocument>,
    /// Its services; the first of the archetype's pool where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<ServiceDocument>>,
    /// Whether it is a gateway.
    #[serde(default, skip_serializing_if = "is_false")]
    pub forwards_l3: bool,
    /// Whether it is off the network.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_stopped: bool,
    /// Seconds between scheduled rotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_every_seconds: Option<u64>,
    /// Where the console draws it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterfaceDocument {
    /// Name of the LAN.
    pub lan: String,
    /// IPv4; allocated where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Whether the decky routes between this LAN and its home.
    #[serde(default, skip_serializing_if = "is_false")]
    pub forwards_l3: bool,
}

/// A service: its name alone, or with settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ServiceDocument {
    /// At its own port.
    Name(String),
    /// With settings.
    Settings {
        /// Its name.
        service: String,
        /// Its TCP port; its own where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        port: Option<u16>,
        /// Settings that no service has.
        #[serde(flatten, skip_serializing)]
        undeclared: BTreeMap<String, IgnoredAny>,
    },
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl From<&Topology> for Document {
    fn from(topology: &Topology) -> Self {
        let lan = |lan: &Arc<Lan>| LanDocument {
            name: lan.name.to_string(),
            subnet: Some(lan.subnet.to_string()),
            is_dmz: lan.is_dmz,
            position: lan.position,
        };
        let mut lans: Vec<_> = topology.lans.values().map(lan).collect();
        lans.sort_by(|a, b| (!a.is_dmz, &a.name).cmp(&(!b.is_dmz, &b.name)));
        let mut deckies: Vec<_> =
            topology.deckies.values().map(|decky| written(topology, decky)).collect();
        deckies.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            format: FORMAT,
            name: topology.name.to_string(),
            rotate_every_seconds: topology.rotate_every.map(|every| every.as_secs()),
            lans,
            deckies,
        }
    }
}

fn written(topology: &Topology, decky: &Decky) -> DeckyDocument {
    let interface = |edge: &Edge| InterfaceDocument {
        lan: topology.lans.get(&edge.lan).map(|lan| lan.name.to_string()).unwrap_or_default(),
        address: Some(edge.address.to_string()),
        forwards_l3: edge.forwards_l3,
    };
    let mut interfaces: Vec<_> = decky.edges.iter().map(interface).collect();
    if let Some((_home, others)) = interfaces.split_first_mut() {
        others.sort_by(|a, b| a.lan.cmp(&b.lan));
    }
    let service = |config: &ServiceConfig| {
        if *config == ServiceConfig::from(config.service) {
            return ServiceDocument::Name(config.service.to_string());
        }
        ServiceDocument::Settings {
            service: config.service.to_string(),
            port: Some(config.port),
            undeclared: BTreeMap::new(),
        }
    };
    DeckyDocument {
        name: decky.name.to_string(),
        archetype: Some(decky.archetype.to_string()),
        interfaces,
        services: Some(decky.services.iter().map(service).collect()),
        forwards_l3: decky.forwards_l3,
        is_stopped: decky.is_stopped,
        rotate_every_seconds: decky.rotate_every.map(|every| every.as_secs()),
        position: decky.position,
    }
}

impl Document {
    /// The topology that it describes, with new ids and at version 1.
    ///
    /// # Errors
    /// All that is wrong with it; fields are paths into the document, or by name.
    pub fn read(&self, ambient: &Ambient) -> Result<Topology, Vec<Violation>> {
        let mut findings = Findings::default();
        if self.format != FORMAT {
            let message = format!("this is format {}; only {FORMAT} is known here", self.format);
            findings.add(ViolationCode::FormatUnknown, "format", message);
        }
        if self.lans.len() > MAX_LANS {
            let message = format!("a topology has at most {MAX_LANS} LANs");
            findings.add(ViolationCode::LansTooMany, "lans", message);
        }
        if self.deckies.len() > MAX_DECKIES {
            let message = format!("a topology has at most {MAX_DECKIES} deckies");
            findings.add(ViolationCode::DeckiesTooMany, "deckies", message);
        }
        // Beyond these, nothing is read.
        findings.or_ok_so_far()?;
        let name = name(&self.name, "name", &mut findings);
        let placeholder = || "unnamed".parse().expect("a word is a name");
        let topology = Topology::new(ambient.id(), name.unwrap_or_else(placeholder));
        let mut reader = Reader { topology, findings, ambient };
        reader.topology.rotate_every =
            self.rotate_every_seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs);
        self.lans.iter().enumerate().for_each(|(index, lan)| reader.lan(index, lan));
        // Addresses that are given come first, so that none that is allocated takes one.
        let (given, open): (Vec<_>, Vec<_>) =
            self.deckies.iter().enumerate().partition(|(_, d)| {
                d.interfaces.iter().all(|interface| interface.address.is_some())
            });
        given.into_iter().chain(open).for_each(|(index, decky)| reader.decky(index, decky));
        let Reader { topology, mut findings, .. } = reader;
        validate(&topology).into_iter().for_each(|violation| findings.push(violation));
        findings.or_ok().map(|()| topology)
    }
}

/// Reads what a document says into a topology; what cannot be read is found and left out.
struct Reader<'a> {
    topology: Topology,
    findings: Findings,
    ambient: &'a Ambient,
}

impl Reader<'_> {
    fn lan(&mut self, index: usize, lan: &LanDocument) {
        let field = |part: &str| format!("lans[{index}].{part}");
        let name = name(&lan.name, &field("name"), &mut self.findings);
        let subnet = match &lan.subnet {
            Some(text) => text.parse::<Ipv4Net>().ok().or_else(|| {
                let message = format!("{text:?} is no subnet, such as 10.66.1.0/24");
                self.findings.add(ViolationCode::SubnetMalformed, field("subnet"), message);
                None
            }),
            None => allocate::subnet(&self.topology).or_else(|| {
                let message = "10.66.0.0/16 has no free /24 left; name a subnet";
                self.findings.add(ViolationCode::SubnetExhausted, field("subnet"), message);
                None
            }),
        };
        let Some((name, subnet)) = name.zip(subnet) else { return };
        let id = self.ambient.id();
        let row = Lan { id, name, subnet, is_dmz: lan.is_dmz, position: lan.position };
        self.topology.lans.insert(id, row.into());
    }

    fn decky(&mut self, index: usize, decky: &DeckyDocument) {
        let field = |part: &str| format!("deckies[{index}].{part}");
        let name = name(&decky.name, &field("name"), &mut self.findings);
        let archetype = self.archetype(decky.archetype.as_deref(), &field("archetype"));
        let interfaces = decky.interfaces.iter().enumerate();
        let edges: Vec<Option<Edge>> = interfaces
            .map(|(place, interface)| self.edge(interface, &field(&format!("interfaces[{place}]"))))
            .collect();
        let services = match &decky.services {
            None => archetype.map(|archetype| vec![archetype.pool()[0].into()]),
            Some(services) => {
                let read = services.iter().enumerate().map(|(place, service)| {
                    self.service(service, &field(&format!("services[{place}]")))
                });
                read.collect::<Vec<_>>().into_iter().collect()
            }
        };
        let edges: Option<Vec<Edge>> = edges.into_iter().collect();
        let (Some(name), Some(archetype), Some(mut services), Some(mut edges)) =
            (name, archetype, services, edges)
        else {
            return;
        };
        services.sort_unstable();
        in_order(&mut edges);
        let row = Decky {
            id: self.ambient.id(),
            name,
            archetype,
            edges,
            forwards_l3: decky.forwards_l3,
            is_stopped: decky.is_stopped,
            services,
            rotate_every: decky
                .rotate_every_seconds
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
            rotated_at: self.ambient.now(),
            position: decky.position,
        };
        self.topology.deckies.insert(row.id, row.into());
    }

    fn archetype(&mut self, text: Option<&str>, field: &str) -> Option<Archetype> {
        let Some(text) = text else { return Some(Archetype::LinuxServer) };
        text.parse::<Archetype>()
            .map_err(|error| {
                self.findings.add(ViolationCode::UnknownArchetype, field, error.to_string());
            })
            .ok()
    }

    fn edge(&mut self, interface: &InterfaceDocument, field: &str) -> Option<Edge> {
        let lans = self.topology.lans.values();
        let Some(lan) = lans.clone().find(|lan| lan.name.as_str() == interface.lan).cloned() else {
            let message = format!("there is no LAN {:?}", interface.lan);
            self.findings.add(ViolationCode::IpUnknownLan, format!("{field}.lan"), message);
            return None;
        };
        let address = match &interface.address {
            Some(text) => text.parse::<Ipv4Addr>().ok().or_else(|| {
                let message = format!("{text:?} is no IPv4 address");
                let field = format!("{field}.address");
                self.findings.add(ViolationCode::IpMalformed, field, message);
                None
            }),
            None => allocate::address(&self.topology, &lan).or_else(|| {
                let message = format!("LAN {} has no free address left", lan.name);
                let field = format!("{field}.address");
                self.findings.add(ViolationCode::AddressExhausted, field, message);
                None
            }),
        };
        Some(Edge { lan: lan.id, address: address?, forwards_l3: interface.forwards_l3 })
    }

    fn service(&mut self, service: &ServiceDocument, field: &str) -> Option<ServiceConfig> {
        let (word, port) = match service {
            ServiceDocument::Name(word) => (word, None),
            ServiceDocument::Settings { service, port, undeclared } => {
                for key in undeclared.keys() {
                    let message = format!("{service} has no setting {key:?}; it has port");
                    let field = format!("{field}.{key}");
                    self.findings.add(ViolationCode::ServiceCfgUndeclared, field, message);
                }
                (service, *port)
            }
        };
        match word.parse::<Service>() {
            Ok(service) => {
                Some(ServiceConfig { service, port: port.unwrap_or_else(|| service.port()) })
            }
            Err(error) => {
                self.findings.add(ViolationCode::UnknownService, field, error.to_string());
                None
            }
        }
    }
}

fn name(text: &str, field: &str, findings: &mut Findings) -> Option<Name> {
    text.parse::<Name>()
        .map_err(|error| findings.add(ViolationCode::NameMalformed, field, error.to_string()))
        .ok()
}
